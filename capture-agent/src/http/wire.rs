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
const FREE_PIECES: usize = 64;
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

    /// Takes down a piece; returns whether there was room for it.
    fn note(&mut self, offset: u64, len: usize, time: Timestamp) -> bool {
        let is_crowded = self.pieces.len() >= FREE_PIECES + self.bytes.len() / BYTES_PER_PIECE;
        let last = self.pieces.last_mut();
        let last = last.filter(|last| last.offset + last.len as u64 == offset);
        match last.filter(|last| last.time == time || is_crowded) {
            Some(last) => {
                last.len += len;
                last.time = last.time.max(time);
            }
            None if is_crowded => return false,
            None => self.pieces.push(Piece { offset, len, time }),
        }
        true
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
        Some(Box::new(Self { wire: Wire::default(), room, offset: 0, form }))
    }

    /// Takes bytes of the body.
    pub(super) fn push(&mut self, bytes: &[u8], time: Timestamp, redaction: &Redaction) {
        let Self { wire, room, offset, form } = self;
        let at = *offset;
        *offset += bytes.len() as u64;
        wire.seen_bytes += bytes.len() as u64;
        let kept = bytes.get(..*room).unwrap_or(bytes);
        if kept.is_empty() {
            return;
        }
        if !wire.note(at, kept.len(), time) {
            *room = 0; // a body of nothing but holes
            return;
        }
        *room -= kept.len();
        match form {
            Some(form) => form.push(kept, redaction, &mut |shown| wire.bytes.extend(shown)),
            None => wire.bytes.extend_from_slice(kept),
        }
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
