//! Bytes of a stream that are not here: holes, given up or filled in by the word that their bytes
//! were left out.
//!
//! Invariant: each of them is told once, with why it is missing.

use super::{Chunk, Mark, Rules, Stream};
use crate::segment::{Missing, Segment, SeqNum, Timestamp};

impl Stream {
    /// Where what is held begins, or else FIN: if there is a hole, it ends there.
    pub(super) fn hole_end(&self) -> Option<u64> {
        let fin = || self.fin_seen.then(|| self.offset_of(self.fin));
        self.held_first().or_else(fin)
    }

    /// What is acknowledged and was not seen is a gap.
    pub(super) fn pass_over_acknowledged(
        &mut self,
        rules: &Rules,
        sink: &mut (impl FnMut(Chunk<'_>) + ?Sized),
    ) {
        if self.acked - self.next <= 0 || self.may_be_fin(self.acked) {
            return;
        }
        let mut until = self.offset_of(self.acked);
        if self.fin_seen {
            // FIN has a sequence number of its own, but no byte.
            until = until.min(self.offset_of(self.fin));
        }
        while self.offset < until {
            let hole_end = self.held_first().map_or(until, |first| first.min(until));
            self.gap_until(hole_end, sink);
            self.release(rules, sink);
        }
    }

    /// What a segment has beyond its payload was left out: that takes its place among what is held.
    pub(super) fn leave_out(
        &mut self,
        segment: &Segment<'_>,
        first: SeqNum,
        is_new: bool,
        mark: Mark,
    ) {
        let payload = segment.payload.len() as u64;
        let len = u64::from(segment.wire_len).saturating_sub(payload);
        // The payload may have gone up by now.
        let ahead = i64::from(first - self.next).saturating_add_unsigned(payload);
        let seen = u64::try_from(-ahead).unwrap_or(0).min(len);
        let offset = self.offset.saturating_add_signed(ahead).max(self.offset);
        let trouble = self.trouble();
        if trouble.held.is_empty() && len > seen {
            trouble.since = mark.time;
        }
        let fresh = trouble.held.leave_out(offset, len - seen, segment.missing, mark);
        let again = len - fresh;
        trouble.counters.retransmitted_bytes += again;
        trouble.counters.retransmitted_segments += u64::from(is_new && again > 0);
    }

    pub(super) fn gap_until(&mut self, end: u64, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        let len = end.saturating_sub(self.offset);
        if len > 0 {
            self.trouble().counters.miss(len, Missing::Unseen);
            self.miss(len, Missing::Unseen, None, sink);
        }
    }

    pub(super) fn miss(
        &mut self,
        len: u64,
        missing: Missing,
        time: Option<Timestamp>,
        sink: &mut (impl FnMut(Chunk<'_>) + ?Sized),
    ) {
        let disorder = self.disorder();
        sink(Chunk::Gap { offset: self.offset, len, missing, time, disorder });
        self.advance(len);
    }

    /// Declares the first hole a gap, and lets the first piece behind it go, acknowledged or not.
    pub(super) fn give_way(&mut self, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        if let Some(end) = self.hole_end() {
            self.gap_until(end, sink);
            self.release_before(u64::MAX, sink);
        }
    }
}
