//! One end of a connection: as much of TCP (RFC 9293, RFC 5681, RFC 6582) as a capture shows.
//!
//! A window that grows with what is acknowledged, delayed acknowledgements, what is early is kept
//! and acknowledged at once, three of those or a time-out send again. So the two ends converge
//! whatever the network does. Positions are stream offsets that never wrap; FIN takes the one
//! after the last byte.

use std::ops::Range;

use super::message::Outbox;

/// RFC 6928.
const FIRST_WINDOW_SEGMENTS: u64 = 10;
/// What Linux's default buffers come to.
const LARGEST_WINDOW_BYTES: u64 = 256 << 10;

pub(super) struct End {
    pub(super) outbox: Outbox,
    pub(super) isn: u32,
    mss: u64,
    /// Up to where it has sent, and up to where that was acknowledged.
    pub(super) sent: u64,
    pub(super) acked: u64,
    /// Whether FIN follows the last byte.
    pub(super) closing: bool,
    window: u64,
    repeated_acks: u32,
    /// What was lost lies before this.
    recovering_until: u64,
    /// Up to where it has what the other says, and what came early, ordered and apart.
    pub(super) has: u64,
    early: Vec<Range<u64>>,
    /// In-order segments that it has not acknowledged.
    pub(super) unacknowledged: u32,
}

/// What comes of a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    Nothing,
    /// Acknowledge soon.
    Soon,
    /// Acknowledge at once.
    AtOnce,
}

impl End {
    pub(super) fn new(isn: u32, mss: u64) -> Self {
        Self {
            outbox: Outbox::default(),
            isn,
            mss,
            sent: 0,
            acked: 0,
            closing: false,
            window: FIRST_WINDOW_SEGMENTS * mss,
            repeated_acks: 0,
            recovering_until: 0,
            has: 0,
            early: Vec::new(),
            unacknowledged: 0,
        }
    }

    /// Position after all that it has to say.
    pub(super) fn end(&self) -> u64 {
        self.outbox.end() + u64::from(self.closing)
    }

    /// What it may send now that it has not sent.
    pub(super) fn next(&mut self) -> Option<Range<u64>> {
        let from = self.sent;
        if from >= self.end() || from >= self.acked + self.window {
            return None;
        }
        let range = self.segment(from);
        self.sent = range.end;
        Some(range)
    }

    /// A full segment from there on, or what there is; FIN goes alone.
    fn segment(&self, from: u64) -> Range<u64> {
        let last = self.outbox.end();
        if from >= last { from..from + 1 } else { from..(from + self.mss).min(last) }
    }

    /// Takes an acknowledgement; what is to be sent again.
    pub(super) fn acknowledged(&mut self, ack: u64, pure: bool) -> Option<Range<u64>> {
        if ack > self.acked {
            let recovering = self.acked < self.recovering_until;
            self.window =
                (self.window + ack - self.acked).min(LARGEST_WINDOW_BYTES.max(2 * self.mss));
            self.acked = ack;
            self.sent = self.sent.max(ack);
            self.outbox.forget(ack);
            self.repeated_acks = 0;
            // The next hole of the same loss.
            return (recovering && ack < self.recovering_until).then(|| self.again());
        }
        if pure && ack == self.acked && self.sent > self.acked {
            self.repeated_acks += 1;
            if self.repeated_acks == 3 && self.acked >= self.recovering_until {
                return Some(self.recover());
            }
        }
        None
    }

    /// Begins to send again what is not acknowledged.
    pub(super) fn recover(&mut self) -> Range<u64> {
        self.recovering_until = self.sent;
        self.window = (self.window / 2).max(4 * self.mss);
        self.repeated_acks = 0;
        self.again()
    }

    fn again(&self) -> Range<u64> {
        let range = self.segment(self.acked);
        range.start..range.end.min(self.sent.max(range.start + 1))
    }

    /// Takes a segment of the other's.
    pub(super) fn takes(&mut self, range: &Range<u64>) -> Duty {
        if range.is_empty() {
            return Duty::Nothing;
        }
        if range.start <= self.has && range.end > self.has && self.early.is_empty() {
            self.has = range.end;
            self.unacknowledged += 1;
            return if self.unacknowledged >= 2 { Duty::AtOnce } else { Duty::Soon };
        }
        if range.end > self.has {
            let at = self.early.partition_point(|early| early.start < range.start);
            self.early.insert(at, range.clone());
            while self.early.first().is_some_and(|early| early.start <= self.has) {
                self.has = self.has.max(self.early.remove(0).end);
            }
        }
        Duty::AtOnce
    }
}
