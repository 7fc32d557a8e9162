//! One direction of a flow: its bytes in order, and the names of those that were not seen.
//!
//! Follows RFC 9293 section 3.4 (sequence numbers) and 3.10.7.4 (what to do with a segment).
//!
//! Invariants: chunks leave with rising offsets and without overlap, each stream byte at most
//! once, as data or as part of a gap; what is held stays under [`Limits::held_bytes`].

mod held;

use crate::segment::{Segment, SeqNum, Timestamp};
use held::Held;

/// Acknowledgements further ahead than this are not believed: no window is larger
/// (RFC 7323 section 2.3), and one forged segment must not skip a stream ahead.
const MAX_ACK_AHEAD: i32 = 1 << 30;

/// Bounds on what is held while a hole may still be filled.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes, with what it costs to keep them, held for one direction: stops a sender that
    /// leaves a hole on purpose. Larger than a hole needs on a fast, long line.
    pub held_bytes: usize,
    /// Nanoseconds that a hole may stay open, by packet time.
    pub hole_ns: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { held_bytes: 16 << 20, hole_ns: 10_000_000_000 }
    }
}

/// What is known of the segment that bytes came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When it was seen.
    pub time: Timestamp,
    /// How far into the other direction its sender had acknowledged: a stream offset.
    pub acked: u64,
}

/// What comes out of a stream, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// Bytes as they were sent.
    Data {
        /// Stream offset of the first one.
        offset: u64,
        /// The bytes: never empty, and all of one segment.
        bytes: &'a [u8],
        /// The segment they came in.
        mark: Mark,
    },
    /// Bytes that were sent but not seen.
    Gap {
        /// Stream offset of the first one.
        offset: u64,
        /// How many: never 0.
        len: u64,
    },
}

/// What happened to a stream so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments with payload, SYN, FIN or RST: those that only acknowledge do not count.
    pub segments: u64,
    /// Payload bytes that were seen, each once.
    pub bytes: u64,
    /// Payload bytes that were seen again.
    pub retransmitted_bytes: u64,
    /// Segments that came before one that precedes them.
    pub out_of_order: u64,
    /// Bytes that were sent but not seen.
    pub gap_bytes: u64,
}

/// One direction of a flow.
///
/// Offsets count payload bytes from 0 at the first byte after SYN, or at the first byte that was
/// expected when the stream was picked up midway.
#[derive(Debug, Default)]
pub struct Stream {
    /// Sequence number of the byte at `offset`, once `anchored`.
    next: SeqNum,
    /// Stream offset of the byte that is expected next.
    offset: u64,
    anchored: bool,
    /// Sequence number of SYN, where it was seen.
    isn: Option<SeqNum>,
    /// Stream offset of FIN.
    fin: Option<u64>,
    held: Option<Box<Held>>,
    counters: Counters,
}

impl Stream {
    /// What happened so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Stream offset of the byte that is expected next.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the stream's SYN was seen, so that offset 0 is its very first byte.
    #[must_use]
    pub const fn from_start(&self) -> bool {
        self.isn.is_some()
    }

    /// Whether FIN was seen and everything before it has gone up.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.fin.is_some_and(|fin| self.offset >= fin)
    }

    /// Since when a hole is open.
    #[must_use]
    pub fn hole_since(&self) -> Option<Timestamp> {
        self.held.as_ref().map(|held| held.since())
    }

    /// Bytes held behind holes, with what it costs to keep them.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.cost())
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
        !self.anchored || self.isn == Some(seq)
    }

    /// Whether a segment has nothing that has not gone up before: no byte, no SYN, no FIN.
    #[must_use]
    pub fn has_seen(&self, segment: &Segment<'_>) -> bool {
        let flags = segment.flags;
        let end = segment.seq.plus(segment.wire_len).plus(u32::from(flags.syn()));
        // What follows FIN is one further: FIN has a sequence number, but no byte.
        self.anchored
            && end - self.next <= i32::from(self.is_finished())
            && (!flags.syn() || self.isn == Some(segment.seq))
            && (!flags.fin() || self.fin.is_some())
    }

    /// Takes a segment of this direction. Payload that is in order goes to `sink` as it is,
    /// without a copy.
    pub fn accept(
        &mut self,
        segment: &Segment<'_>,
        mark: Mark,
        limits: &Limits,
        sink: &mut (impl FnMut(Chunk<'_>) + ?Sized),
    ) {
        let flags = segment.flags;
        let first = if flags.syn() { segment.seq.plus(1) } else { segment.seq };
        if !self.anchored {
            self.anchor(first);
        }
        if flags.syn() && self.isn.is_none() {
            self.isn = Some(segment.seq);
        }
        if segment.seq_len() > 0 || flags.rst() {
            self.counters.segments += 1;
        }
        let ahead = i64::from(first - self.next);
        if flags.fin() && self.fin.is_none() {
            self.fin = self.offset.checked_add_signed(ahead + i64::from(segment.wire_len));
        }
        if self.is_keep_alive(segment, ahead) {
            return;
        }
        let (seen, fresh) = match usize::try_from(-ahead) {
            Ok(seen) => segment.payload.split_at(seen.min(segment.payload.len())),
            Err(_) => (&[][..], segment.payload),
        };
        self.counters.retransmitted_bytes += seen.len() as u64;
        if fresh.is_empty() {
            return;
        }
        if ahead <= 0 && self.held.is_none() {
            self.deliver(fresh, mark, sink);
            return;
        }
        if ahead > 0 {
            self.counters.out_of_order += 1;
        }
        let offset = self.offset.saturating_add_signed(ahead.max(0));
        let held = self.held.get_or_insert_with(|| Box::new(Held::new(mark.time)));
        let kept = held.insert(offset, fresh, mark);
        self.counters.retransmitted_bytes += (fresh.len() - kept) as u64;
        self.release(sink);
        while self.held_bytes() > limits.held_bytes {
            self.skip_hole(sink);
        }
    }

    /// The receiver has acknowledged everything before `ack`: what of it was not seen is a gap.
    pub fn acknowledged(&mut self, ack: SeqNum, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        if !self.anchored {
            // The first that is heard of this direction is what its receiver already has.
            self.anchor(ack);
            return;
        }
        let ahead = ack - self.next;
        if ahead <= 0 || ahead > MAX_ACK_AHEAD {
            return;
        }
        let mut until = self.offset + u64::from(ahead.unsigned_abs());
        if let Some(fin) = self.fin {
            // FIN has a sequence number of its own, but no byte.
            until = until.min(fin);
        }
        while self.offset < until {
            let hole_end = self.held.as_ref().map_or(until, |held| held.first().min(until));
            self.gap_until(hole_end, sink);
            self.release(sink);
        }
    }

    /// Gives up a hole that has been open for too long.
    pub fn expire(
        &mut self,
        now: Timestamp,
        limits: &Limits,
        sink: &mut (impl FnMut(Chunk<'_>) + ?Sized),
    ) {
        while self.hole_since().is_some_and(|since| now.nanos_since(since) >= limits.hole_ns) {
            self.skip_hole(sink);
        }
    }

    /// Nothing more will come: holes are gaps, and so is what was sent before a FIN.
    pub fn finish(&mut self, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        while self.held.is_some() {
            self.skip_hole(sink);
        }
        if let Some(fin) = self.fin {
            self.gap_until(fin, sink);
        }
    }

    fn anchor(&mut self, next: SeqNum) {
        self.next = next;
        self.anchored = true;
    }

    /// A probe repeats the last byte, or sends garbage in its place (RFC 9293 section 3.8.4).
    fn is_keep_alive(&self, segment: &Segment<'_>, ahead: i64) -> bool {
        ahead == -1 && segment.wire_len <= 1 && !segment.flags.syn() && !segment.flags.fin()
    }

    fn deliver(&mut self, bytes: &[u8], mark: Mark, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        sink(Chunk::Data { offset: self.offset, bytes, mark });
        self.counters.bytes += bytes.len() as u64;
        self.advance(bytes.len() as u64);
    }

    fn gap_until(&mut self, end: u64, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        let len = end.saturating_sub(self.offset);
        if len > 0 {
            sink(Chunk::Gap { offset: self.offset, len });
            self.counters.gap_bytes += len;
            self.advance(len);
        }
    }

    fn advance(&mut self, len: u64) {
        self.offset += len;
        // Modulo 2^32, as sequence numbers are.
        self.next = self.next.plus((len & u64::from(u32::MAX)) as u32);
    }

    /// Lets go what is held and now in order.
    fn release(&mut self, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        while let Some(held) = &mut self.held {
            let Some((bytes, mark)) = held.take_at(self.offset) else { break };
            if held.is_empty() {
                self.held = None;
            }
            self.deliver(&bytes, mark, sink);
        }
    }

    /// Declares the first hole a gap and lets go what was held behind it.
    fn skip_hole(&mut self, sink: &mut (impl FnMut(Chunk<'_>) + ?Sized)) {
        if let Some(held) = &self.held {
            let first = held.first();
            self.gap_until(first, sink);
            self.release(sink);
        }
    }
}

#[cfg(test)]
mod tests;
