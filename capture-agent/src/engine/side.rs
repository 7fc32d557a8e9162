//! One direction of a conversation, and what is told and booked of both.

use crate::flow::Direction;
use crate::listener::{Data, FlowView, Listener};
use crate::segment::{IfaceId, Missing, Timestamp};
use crate::stream::{Chunk, Stream};

/// What is booked of a flow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Payload bytes that were seen.
    pub(super) bytes: u64,
    /// Bytes that were sent and are lost.
    pub(super) gap_bytes: u64,
    /// Those of them that the agent itself lost.
    pub(super) dropped_bytes: u64,
    /// Bytes that were left out on purpose.
    pub(super) elided_bytes: u64,
    /// Bytes of memory beyond the flow's place in the table.
    pub(super) memory: usize,
    /// Since when a hole is open, in either direction.
    pub(super) hole_since: Option<Timestamp>,
}

/// One direction of a conversation.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) stream: Stream,
    /// Where it was first seen, once `is_seen`.
    pub(super) iface: IfaceId,
    pub(super) is_seen: bool,
    /// Whether its SYN was seen.
    pub(super) from_start: bool,
    /// Whether its end has been passed on.
    pub(super) finished: bool,
    /// Whether a warning was given that much is not acknowledged.
    pub(super) warned: bool,
}

impl Side {
    pub(super) fn iface(&self) -> Option<IfaceId> {
        self.is_seen.then_some(self.iface)
    }
}

/// Tells a listener what came out of a stream.
pub(super) fn tell(
    listener: &mut impl Listener,
    flow: &FlowView<'_>,
    direction: Direction,
    chunk: Chunk<'_>,
) {
    match chunk {
        Chunk::Data { offset, bytes, mark } => {
            let data = Data { offset, bytes, time: mark.time };
            match direction {
                Direction::ToServer => listener.sent(flow, data),
                Direction::ToClient => listener.received(flow, data),
            }
        }
        Chunk::Gap { offset, len, missing: Missing::Elided, .. } => {
            listener.elided(flow, direction, offset, len);
        }
        Chunk::Gap { offset, len, .. } => listener.gap(flow, direction, offset, len),
    }
}
