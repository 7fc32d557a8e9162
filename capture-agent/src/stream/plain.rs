//! The plain case: a segment that has what is expected next and ends nothing, on a stream of which
//! nothing is held. Nine of ten segments of a body are like that.
//!
//! Invariant: it comes to the same as [`Stream::acknowledged`] and [`Stream::accept`].

use super::Stream;
use crate::segment::{Segment, SeqNum};

impl Stream {
    /// Whether it has begun, has not ended, and has no hole.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.anchored
            && !self.fin_seen
            && self.acked - self.next <= 0
            && self.trouble.as_deref().is_none_or(|trouble| trouble.held.is_empty())
    }

    /// Whether an acknowledgement is of bytes that were seen, and not older than the last one.
    #[must_use]
    pub fn has_sent(&self, ack: SeqNum) -> bool {
        ack - self.next <= 0 && ack - self.acked >= 0
    }

    /// Takes an acknowledgement for which [`Stream::has_sent`] holds.
    pub const fn take_plain_acknowledgement(&mut self, ack: SeqNum) {
        self.acked = ack;
    }

    /// Takes a segment that begins at the byte that is expected next, and has no flag that counts.
    pub fn take_plain(&mut self, segment: &Segment<'_>) {
        if segment.payload.is_empty() {
            return;
        }
        self.segments += 1;
        if let Some(trouble) = self.trouble.as_deref_mut() {
            trouble.since = trouble.since.max(segment.time);
        }
        self.advance(segment.payload.len() as u64);
    }
}
