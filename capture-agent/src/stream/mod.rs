//! One direction of a flow: its bytes in order, and the names of those that are not here.
//!
//! Follows RFC 9293 section 3.4 (sequence numbers) and 3.10.7.4 (what to do with a segment).
//!
//! Invariants: chunks leave with rising offsets and without overlap, each stream byte at most
//! once, as data or as part of a gap; what is held stays under [`Rules::held_bytes`].

mod chunk;
mod counters;
mod held;
mod missing;
mod place;
mod plain;
mod rules;
mod trouble;

use crate::segment::{Missing, Segment, SeqNum, Timestamp};
pub use chunk::{Chunk, Mark};
pub use counters::{Counters, Disorder};
use held::{Content, Piece};
pub use place::{NEARBY, Place, Stray};
pub use rules::{Deliver, Overlap, Rules};
use trouble::Trouble;

/// What is further ahead than this is not believed: no window is larger (RFC 7323 section 2.3).
/// From half the way on, [`Stream::place_of`] wants it confirmed.
const MAX_AHEAD: i32 = 1 << 30;

/// What is further behind is taken to be acknowledged. With [`MAX_AHEAD`] it stays under 2^31, from
/// where on a sequence number ahead cannot be told from one behind.
const MAX_UNACKNOWLEDGED: i32 = MAX_AHEAD / 2;

/// One direction of a flow.
///
/// Offsets count payload bytes from 0 at the first byte after SYN, or at the first byte that was
/// expected when the stream was picked up midway.
#[derive(Debug, Default)]
pub struct Stream {
    /// Stream offset of the byte that is expected next.
    offset: u64,
    segments: u64,
    /// Sequence number of the byte at `offset`, once `anchored`.
    next: SeqNum,
    /// Up to where the receiver has acknowledged, once `anchored`.
    acked: SeqNum,
    /// Sequence number of SYN, once `syn_seen`.
    isn: SeqNum,
    /// Sequence number of FIN, once `fin_seen`.
    fin: SeqNum,
    anchored: bool,
    syn_seen: bool,
    fin_seen: bool,
    trouble: Option<Box<Trouble>>,
}

impl Stream {
    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let (mut counters, held) = match self.trouble.as_deref() {
            None => (Counters::default(), 0),
            Some(trouble) => (trouble.counters, trouble.held.bytes() as u64),
        };
        counters.segments = self.segments;
        counters.bytes = self.offset - counters.gap_bytes - counters.elided_bytes + held;
        counters
    }

    /// Whether nothing was ever held, late, repeated or missing: its offset says how much was seen.
    #[must_use]
    pub const fn is_untroubled(&self) -> bool {
        self.trouble.is_none()
    }

    /// How much of what happened so far speaks of a bad network.
    #[must_use]
    pub fn disorder(&self) -> Disorder {
        self.trouble.as_deref().map_or(Disorder::default(), |trouble| trouble.counters.disorder())
    }

    /// Stream offset of the byte that is expected next.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether FIN was seen and everything before it has gone up.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.fin_seen && self.fin - self.next <= 0
    }

    /// Since when a hole is open.
    #[must_use]
    pub fn hole_since(&self) -> Option<Timestamp> {
        let trouble = self.trouble.as_deref()?;
        self.hole_end().filter(|end| *end > self.offset).map(|_| trouble.since)
    }

    /// Bytes of memory that the stream takes beyond its own size.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.trouble.as_deref().map_or(0, Trouble::cost)
    }

    /// Bytes that were seen and that their receiver has not acknowledged, as far as was seen; of
    /// those that went up, 512 MiB at most.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        let held = self.trouble.as_deref().map_or(0, |trouble| trouble.held.seen_bytes());
        u64::try_from(self.next - self.acked).unwrap_or(0) + held
    }

    /// The stream offset that a sequence number stands for, as of now; 0 for what is older.
    #[must_use]
    pub fn offset_of(&self, seq: SeqNum) -> u64 {
        if !self.anchored {
            return 0;
        }
        self.offset.saturating_add_signed(i64::from(seq - self.next))
    }

    /// Signed distance from the byte that is expected next, `None` before anything is known.
    #[must_use]
    pub fn distance(&self, seq: SeqNum) -> Option<i32> {
        self.anchored.then(|| seq - self.next)
    }

    /// Whether a SYN with this sequence number opens this very stream, maybe again.
    #[must_use]
    pub fn is_opened_by(&self, seq: SeqNum) -> bool {
        if self.syn_seen {
            return self.isn == seq;
        }
        // What followed SYN may have been seen before it.
        let first = self.next.0.wrapping_sub((self.offset & u64::from(u32::MAX)) as u32);
        !self.anchored || seq.plus(1) == SeqNum(first)
    }

    /// Whether a segment has nothing that has not gone up before: no byte, no SYN, no FIN.
    #[must_use]
    pub fn has_seen(&self, segment: &Segment<'_>) -> bool {
        let flags = segment.flags;
        let len = i64::from(segment.wire_len) + i64::from(flags.syn());
        let ahead = i64::from(segment.seq - self.next) + len;
        // What follows FIN is one further: FIN has a sequence number, but no byte.
        self.anchored
            && ahead <= i64::from(self.is_finished())
            && (!flags.syn() || (self.syn_seen && self.isn == segment.seq))
            && (!flags.fin() || self.fin_seen)
    }

    /// Takes a segment of this direction. Payload that is in order goes to `sink` as it is,
    /// without a copy.
    pub fn accept(
        &mut self,
        segment: &Segment<'_>,
        mark: Mark,
        rules: &Rules,
        sink: &mut (impl FnMut(Chunk<'_>) + ?Sized),
    ) {
        let flags = segment.flags;
        let first = if flags.syn() { segment.seq.plus(1) } else { segment.seq };
        if flags.rst() {
            // What it carries says why, and is no part of the stream (RFC 9293 section 3.5.3).
            self.segments += 1;
            return;
        }
        if !self.anchored {
            self.anchor(first);
        }
        if flags.syn() && !self.syn_seen {
            self.syn_seen = true;
            self.isn = segment.seq;
        }
        self.segments += u64::from(segment.seq_len() > 0);
        let ahead = first - self.next;
        if is_keep_alive(segment, ahead) || ahead > MAX_AHEAD {
            return;
        }
        let end = first.plus(segment.wire_len);
        // Its acknowledgement may have been seen before it, and was taken for that of a byte.
        let was_acknowledged = end.plus(1) == self.next && self.acked == self.next;
        if flags.fin() && !self.fin_seen && (end - self.next >= 0 || was_acknowledged) {
            self.fin_seen = true;
            self.fin = end;
            // It leaves a hole, and there may be nothing to hold.
            let leaves_hole = ahead > 0 || segment.wire_len as usize > segment.payload.len();
            if leaves_hole && self.held_first().is_none() {
                self.trouble().since = mark.time;
            }
        }
        let seen = usize::try_from(-i64::from(ahead)).unwrap_or(0).min(segment.payload.len());
        let (seen, fresh) = segment.payload.split_at(seen);
        if !seen.is_empty() {
            self.trouble().seen_again(seen.len() as u64);
        }
        let mut is_new = seen.is_empty();
        let is_cut = segment.missing != Missing::Unseen;
        if fresh.is_empty() && !is_cut {
            self.pass_over_acknowledged(rules, sink);
            return;
        }
        let may_go = rules.deliver == Deliver::InOrder && ahead <= 0;
        if may_go && self.trouble.as_deref().is_none_or(|trouble| trouble.held.is_empty()) {
            if !fresh.is_empty() {
                if let Some(trouble) = self.trouble.as_deref_mut() {
                    trouble.since = trouble.since.max(mark.time);
                }
                self.go_up(fresh, mark, sink);
            }
            if !is_cut {
                return;
            }
        } else if !fresh.is_empty() {
            let ahead = u64::try_from(ahead).unwrap_or(0);
            is_new &= self.hold(fresh, ahead, is_new, mark, rules);
        }
        if is_cut {
            self.leave_out(segment, first, is_new, mark);
        }
        self.release(rules, sink);
        self.pass_over_acknowledged(rules, sink);
        while self.held_bytes() > rules.held_bytes {
            self.give_way(sink);
            self.release(rules, sink);
        }
    }

    /// The receiver has acknowledged everything before `ack`: what of it was not seen is a gap.
    pub fn acknowledged(
        &mut self,
        ack: SeqNum,
        rules: &Rules,
        sink: &mut (impl FnMut(Chunk<'_>) + ?Sized),
    ) {
        if !self.anchored {
            // The first that is heard of this direction is what its receiver already has.
            self.anchor(ack);
            return;
        }
        let ahead = ack - self.next;
        if ahead > MAX_AHEAD || ack - self.acked <= 0 {
            return;
        }
        self.acked = ack;
        self.release(rules, sink);
        self.pass_over_acknowledged(rules, sink);
    }

    /// Nobody speaks after FIN: the receiver, who has said its own, has acknowledged one more than
    /// the last byte that was seen, and that was a FIN. Returns whether it was.
    pub fn end_at_acknowledgement(&mut self) -> bool {
        let is_fin = self.anchored && self.may_be_fin(self.acked);
        if is_fin {
            self.fin_seen = true;
            self.fin = self.next;
        }
        is_fin
    }

    /// What is said needs one more byte: where that is what may have been the acknowledgement of a
    /// FIN, it was that of the byte, which is a gap.
    pub fn lose_acknowledged_byte(&mut self, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        if self.anchored && self.may_be_fin(self.acked) {
            self.gap_until(self.offset + 1, sink);
        }
    }

    /// Gives up a hole that has been open for too long.
    pub fn expire(
        &mut self,
        now: Timestamp,
        rules: &Rules,
        sink: &mut (impl FnMut(Chunk<'_>) + ?Sized),
    ) {
        while self.hole_since().is_some_and(|since| now.nanos_since(since) >= rules.hole_ns) {
            self.give_way(sink);
            self.release(rules, sink);
        }
    }

    /// Nothing more will come: holes are gaps, and so is what was sent before a FIN. One more than
    /// the last byte, acknowledged and not seen, was a FIN itself.
    pub fn finish(&mut self, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        while self.held_first().is_some() {
            self.give_way(sink);
        }
        if self.fin_seen {
            self.gap_until(self.offset_of(self.fin), sink);
        }
        self.forget_strays();
    }

    fn anchor(&mut self, next: SeqNum) {
        self.next = next;
        self.acked = next;
        self.anchored = true;
    }

    fn trouble(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }

    fn held_first(&self) -> Option<u64> {
        self.trouble.as_deref()?.held.first()
    }

    fn held_bytes(&self) -> usize {
        self.trouble.as_deref().map_or(0, |trouble| trouble.held.cost())
    }

    /// Whether an acknowledgement may be that of a FIN which was not seen, and of nothing else.
    fn may_be_fin(&self, ack: SeqNum) -> bool {
        ack - self.next == 1 && !self.fin_seen && self.held_first().is_none()
    }

    /// Keeps payload that begins `ahead` of what is expected next, of a segment all of which may
    /// be new. Returns whether all of the payload is.
    fn hold(&mut self, bytes: &[u8], ahead: u64, is_new: bool, mark: Mark, rules: &Rules) -> bool {
        let offset = self.offset + ahead;
        let trouble = self.trouble();
        if trouble.held.is_empty() {
            trouble.since = mark.time;
        }
        let was_late = trouble.held.end().is_some_and(|end| offset < end);
        let kept = trouble.held.insert(offset, bytes, mark, rules.overlap);
        let again = bytes.len() as u64 - kept.fresh;
        let counters = &mut trouble.counters;
        counters.out_of_order += u64::from(was_late && kept.fresh > 0);
        counters.retransmitted_bytes += again;
        counters.retransmitted_segments += u64::from(is_new && again > 0);
        counters.conflicting_bytes += kept.conflicting as u64;
        again == 0
    }

    fn go_up(&mut self, bytes: &[u8], mark: Mark, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        let mark = Mark { disorder: self.disorder(), ..mark };
        sink(Chunk::Data { offset: self.offset, bytes, mark });
        self.advance(bytes.len() as u64);
    }

    fn advance(&mut self, len: u64) {
        let unacknowledged = i64::from(self.next - self.acked);
        self.offset += len;
        // Modulo 2^32, as sequence numbers are.
        self.next = self.next.plus((len & u64::from(u32::MAX)) as u32);
        // Where few acknowledgements are seen, the last one must not fall so far behind that the
        // next one looks older.
        if unacknowledged.saturating_add_unsigned(len) > i64::from(MAX_UNACKNOWLEDGED) {
            self.acked = SeqNum(self.next.0.wrapping_sub(MAX_UNACKNOWLEDGED.cast_unsigned()));
        }
    }

    /// Lets go what is held, in order, and allowed to.
    fn release(&mut self, rules: &Rules, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        let limit = match rules.deliver {
            Deliver::InOrder => u64::MAX,
            Deliver::Acked => self.offset_of(self.acked),
        };
        self.release_before(limit, sink);
    }

    fn release_before(&mut self, limit: u64, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        while let Some(trouble) = self.trouble.as_deref_mut() {
            let Some(Piece { content, mark }) = trouble.held.take(self.offset, limit) else {
                break;
            };
            // The next hole, if there is one, was there no sooner than the piece before it.
            trouble.since = trouble.since.max(mark.time);
            match content {
                Content::Bytes(bytes) => self.go_up(&bytes, mark, sink),
                Content::LeftOut(len, missing) => {
                    trouble.counters.miss(len, missing);
                    self.miss(len, missing, Some(mark.time), sink);
                }
            }
        }
    }
}

/// A probe repeats the last byte, or sends garbage in its place (RFC 9293 section 3.8.4).
fn is_keep_alive(segment: &Segment<'_>, ahead: i32) -> bool {
    ahead == -1 && segment.wire_len <= 1 && !segment.flags.syn() && !segment.flags.fin()
}

#[cfg(test)]
mod tests;
