//! Flows: what they are known by, how they open and end, and the table that holds them.

mod handshake;
mod key;
mod table;

pub use handshake::Handshake;
pub use key::{Direction, FlowKey};
pub use table::{FlowIndex, FlowTable, Keyed, Phase, bytes_per_flow};

use crate::segment::Timestamp;

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// FIN both ways.
    Fin,
    /// A reset.
    Rst,
    /// Nothing was heard of it for too long.
    Idle,
    /// Its place in the table, or its memory, was needed.
    Pressure,
    /// Its ends opened a new connection.
    Reused,
    /// The capture ended.
    End,
}

/// What a flow is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    /// Its handshake is not over.
    Opening,
    /// Both sides may speak.
    Open,
    /// The side that sends in this direction has said FIN.
    HalfClosed(Direction),
    /// It has ended; strays may follow.
    Closed(CloseReason),
}

/// A name for a flow, the same whenever a capture is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId(pub u64);

impl FlowId {
    /// The name of the flow between these ends whose first segment was seen at `start`.
    #[must_use]
    pub fn new(key: &FlowKey, start: Timestamp) -> Self {
        let (low, high) = key.ends();
        let ends = [low, high].map(|end| (end.addr.octets(), end.port.to_be_bytes()));
        let bytes = ends.iter().flat_map(|(addr, port)| addr.iter().chain(port));
        // FNV-1a: stable between versions, and nobody gains by a collision.
        let hash = bytes
            .chain(&start.as_nanos().to_be_bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        Self(hash)
    }
}
