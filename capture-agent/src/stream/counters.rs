//! What is counted of a stream.

use crate::segment::Missing;

/// What happened to a stream so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments with payload, SYN, FIN or RST: those that only acknowledge do not count, and those
    /// that were left out count as one for each time that was told.
    pub segments: u64,
    /// Payload bytes that are here, each once.
    pub bytes: u64,
    /// Segments with payload that was seen before, all of it or a part; not keep-alive probes.
    pub retransmitted_segments: u64,
    /// Payload bytes that were seen again.
    pub retransmitted_bytes: u64,
    /// Payload bytes that were seen again with another value.
    pub conflicting_bytes: u64,
    /// Segments that were late: they fill a hole before what had come already. A hole that nobody
    /// fills is no matter of order, but of `gap_bytes`.
    pub out_of_order: u64,
    /// Bytes that were sent and are lost: not seen, or dropped.
    pub gap_bytes: u64,
    /// Those of them that were seen, and dropped by the agent itself.
    pub dropped_bytes: u64,
    /// Bytes that were seen and left out on purpose; not among `bytes`.
    pub elided_bytes: u64,
}

/// What a network that loses and reorders does to a stream, in segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disorder {
    /// Those with payload that was seen before, modulo 2^32.
    pub retransmitted: u32,
    /// Those that came later than one that follows them, modulo 2^32.
    pub out_of_order: u32,
}

impl Counters {
    /// So many bytes were sent and are not here.
    pub(super) const fn miss(&mut self, len: u64, missing: Missing) {
        match missing {
            Missing::Elided => self.elided_bytes += len,
            Missing::Unseen | Missing::Dropped => self.gap_bytes += len,
        }
        if matches!(missing, Missing::Dropped) {
            self.dropped_bytes += len;
        }
    }

    pub(super) const fn disorder(&self) -> Disorder {
        Disorder {
            retransmitted: self.retransmitted_segments as u32,
            out_of_order: self.out_of_order as u32,
        }
    }
}

impl Disorder {
    /// What happened since it stood at `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            retransmitted: self.retransmitted.wrapping_sub(earlier.retransmitted),
            out_of_order: self.out_of_order.wrapping_sub(earlier.out_of_order),
        }
    }
}
