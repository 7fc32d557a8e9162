//! A body as it was on the wire, kept beside its decoded content: what can't be encoded back.
//!
//! Follows RFC 9112 section 7: chunks are undone, no other coding is. Invariants: secrets of a form
//! are masked byte by byte, so that its length stays true, and of a form in a coding nothing is
//! kept; what is kept is bounded by the limit of the content.

use super::HttpRules;
use super::exchange::Body;
use super::form::Form;
use super::head::{Head, Parse};
use super::redact::Redaction;
use crate::segment::Timestamp;

/// Pieces that are kept apart however small they are, and bytes that each further one has to have
/// on average: stops a body that comes byte by byte.
const FREE_PIECES: usize = 256;
const BYTES_PER_PIECE: usize = 256;

/// A body as it was on the wire, after chunks were put together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// The first of the bytes that came, as many as were to be kept; secrets of forms as `*`.
    pub bytes: Vec<u8>,
    /// When they came, and where in the body they lie: one after the other.
    pub pieces: Vec<Piece>,
    /// Bytes of the body that came, kept or not.
    pub seen_bytes: u64,
}

/// Bytes of a body that came together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// How many bytes of the body come before it, those that are not here included.
    pub offset: u64,
    /// How many there are.
    pub len: usize,
    /// When they were seen.
    pub time: Timestamp,
}

impl Wire {
    /// Bytes of memory that it takes beyond its own size.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    /// The pieces with their bytes.
    pub fn parts(&self) -> impl Iterator<Item = (Piece, &[u8])> {
        let mut start = 0;
        self.pieces.iter().map_while(move |piece| {
            let bytes = self.bytes.get(start..start + piece.len)?;
            start += piece.len;
            Some((*piece, bytes))
        })
    }
}

impl Piece {
    const fn is_followed_by(&self, next: &Self) -> bool {
        self.offset + self.len as u64 == next.offset
    }

    /// Adds the piece that follows.
    fn join(&mut self, next: &Self) {
        self.len += next.len;
        self.time = self.time.max(next.time);
    }
}

/// A body that is being kept as it comes.
#[derive(Debug)]
pub(super) struct Keeping {
    wire: Wire,
    /// Bytes that there still is room for.
    room: usize,
    /// How many bytes of the body come before the next one.
    offset: u64,
    /// Masks the secrets of a form.
    form: Option<Form>,
    grain: Grain,
}

/// How fine pieces are in time: so many arrivals are one.
#[derive(Debug)]
struct Grain {
    arrivals: u32,
    /// Those of the last piece.
    last: u32,
}

impl Keeping {
    /// Keeps the body after this head; `None` where nothing of it is wanted that its content, as it
    /// will say in `body`, does not tell.
    pub(super) fn of(message: &impl Parse, rules: &HttpRules, body: &Body) -> Option<Box<Self>> {
        let head = message.common();
        let is_coded = is_transfer_coded(head) || head.value("content-encoding").is_some();
        let limit = rules.keep_body_bytes;
        // Without a coding the content is as long as the body.
        if !rules.keep_wire || (limit == 0 && !is_transfer_coded(head)) {
            return None;
        }
        let hides = rules.head.redaction.hides_fields();
        let types = || head.values("content-type").filter(|_| hides && limit > 0);
        let form = types().find_map(Form::masked);
        let is_opaque = form.is_some() && (is_coded || !body.decoded);
        let room = if is_opaque { 0 } else { limit };
        let grain = Grain { arrivals: 1, last: 0 };
        Some(Box::new(Self { wire: Wire::default(), room, offset: 0, form, grain }))
    }

    /// Takes bytes of the body.
    pub(super) fn push(&mut self, bytes: &[u8], time: Timestamp, redaction: &Redaction) {
        let piece = Piece { offset: self.offset, len: bytes.len().min(self.room), time };
        self.offset += bytes.len() as u64;
        self.wire.seen_bytes += bytes.len() as u64;
        if piece.len == 0 {
            return;
        }
        if !self.note(piece) {
            self.room = 0; // a body of nothing but holes
            return;
        }
        self.room -= piece.len;
        let kept = bytes.get(..piece.len).unwrap_or_default();
        let wire = &mut self.wire;
        match &mut self.form {
            Some(form) => form.push(kept, redaction, &mut |shown| wire.bytes.extend(shown)),
            None => wire.bytes.extend_from_slice(kept),
        }
    }

    /// Takes down a piece; returns whether there was room for it.
    fn note(&mut self, piece: Piece) -> bool {
        let max = FREE_PIECES + self.wire.bytes.len() / BYTES_PER_PIECE;
        if self.wire.pieces.len() >= max {
            self.coarsen();
        }
        let (pieces, grain) = (&mut self.wire.pieces, &mut self.grain);
        let has_room = pieces.len() < max;
        let last = pieces.last_mut().filter(|last| last.is_followed_by(&piece));
        match last.filter(|last| last.time == piece.time || grain.last < grain.arrivals) {
            Some(last) => {
                last.join(&piece);
                grain.last += 1;
            }
            None if has_room => {
                pieces.push(piece);
                grain.last = 1;
            }
            None => return false,
        }
        true
    }

    /// Makes one of each two pieces between which nothing is missing: half as fine in time.
    fn coarsen(&mut self) {
        let mut joined = false;
        self.wire.pieces.dedup_by(|next, last| {
            joined = !joined && last.is_followed_by(next);
            if joined {
                last.join(next);
            }
            joined
        });
        self.grain.arrivals = self.grain.arrivals.saturating_mul(2);
        self.grain.last = self.grain.arrivals;
    }

    /// Bytes of the body are not here.
    pub(super) fn gap(&mut self, len: u64, redaction: &Redaction) {
        self.offset += len;
        if let Some(form) = &mut self.form {
            form.gap(redaction, &mut |shown| self.wire.bytes.extend(shown));
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(mut self: Box<Self>, redaction: &Redaction) -> Wire {
        if let Some(mut form) = self.form.take() {
            form.finish(false, redaction, &mut |shown| self.wire.bytes.extend(shown));
        }
        self.wire
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.wire.memory() + self.form.as_ref().map_or(0, Form::memory)
    }
}

/// Whether it has a transfer coding beside chunked.
fn is_transfer_coded(head: &Head) -> bool {
    head.members("transfer-encoding").any(|coding| !coding.eq_ignore_ascii_case(b"chunked"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{HeadRules, RequestHead};

    fn keeping(headers: &str, limit: usize) -> Option<Box<Keeping>> {
        let text = format!("POST / HTTP/1.1\r\n{headers}\r\n");
        let head = RequestHead::parse(text.as_bytes(), &HeadRules::default()).unwrap();
        let rules = HttpRules { keep_wire: true, keep_body_bytes: limit, ..HttpRules::default() };
        let decoded = Body { decoded: true, ..Body::default() };
        Keeping::of(&head, &rules, &decoded)
    }

    fn kept(headers: &str, limit: usize, parts: &[&[u8]]) -> Wire {
        let mut keeping = keeping(headers, limit).unwrap();
        for (time, part) in parts.iter().enumerate() {
            keeping.push(part, Timestamp(time as u64), &Redaction::default());
        }
        keeping.finish(&Redaction::default())
    }

    #[test]
    fn pieces_keep_their_times_until_they_are_too_many() {
        let wire = kept("", 100, &[b"ab", b"cde"]);
        let parts: Vec<_> = wire.parts().map(|(piece, bytes)| (piece.time.0, bytes)).collect();
        assert_eq!(parts, [(0, &b"ab"[..]), (1, b"cde")]);
        let many = vec![&b"x"[..]; 100_000];
        let wire = kept("", 1 << 20, &many);
        assert_eq!(wire.bytes.len(), 100_000);
        assert_eq!(wire.parts().map(|(_, bytes)| bytes.len()).sum::<usize>(), 100_000);
        let max = FREE_PIECES + 100_000 / BYTES_PER_PIECE;
        assert!((max / 2 - 1..=max).contains(&wire.pieces.len()), "{}", wire.pieces.len());
        let coarsest = wire.pieces.iter().map(|piece| piece.len).max();
        assert!(coarsest < Some(10_000), "{coarsest:?}");
        assert!(wire.pieces.is_sorted_by_key(|piece| (piece.offset, piece.time.0)));
    }

    #[test]
    fn what_is_past_the_limit_is_counted_and_not_kept() {
        let wire = kept("", 3, &[b"ab", b"cde", b"fg"]);
        assert_eq!((&wire.bytes[..], wire.seen_bytes), (&b"abc"[..], 7));
        let holes = {
            let mut keeping = keeping("", 1 << 20).unwrap();
            for time in 0..10_000 {
                keeping.push(b"x", Timestamp(time), &Redaction::default());
                keeping.gap(1, &Redaction::default());
            }
            keeping.finish(&Redaction::default())
        };
        assert_eq!(holes.seen_bytes, 10_000);
        assert!(holes.pieces.len() <= FREE_PIECES + 10_000 / BYTES_PER_PIECE);
        assert_eq!(holes.parts().count(), holes.pieces.len());
    }

    #[test]
    fn forms_are_masked_and_coded_ones_not_kept() {
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let parts: [&[u8]; 3] = [b"a=b&pass", b"word=12", b"34&c=d"];
        assert_eq!(kept(form, 100, &parts).bytes, b"a=b&password=****&c=d");
        let coded = format!("{form}Content-Encoding: gzip\r\n");
        let wire = kept(&coded, 100, &parts);
        assert_eq!((wire.bytes.len(), wire.seen_bytes), (0, 21));
        let coded = format!("{form}Transfer-Encoding: gzip, chunked\r\n");
        assert_eq!(kept(&coded, 100, &parts).bytes, b"");
    }

    #[test]
    fn nothing_is_kept_that_was_not_asked_for() {
        assert!(keeping("Content-Length: 9\r\n", 0).is_none());
        assert!(keeping("Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n", 0).is_none());
        // How long it was in the stream, nothing else tells.
        let wire = kept("Transfer-Encoding: gzip, chunked\r\n", 0, &[b"abc"]);
        assert_eq!((wire.bytes.len(), wire.seen_bytes), (0, 3));
    }
}
