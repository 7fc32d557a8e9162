//! How long a connection took to open: SYN, SYN-ACK, ACK (RFC 9293 section 3.5).

use super::Direction;
use crate::segment::{Segment, Timestamp};

/// What was seen of the opening handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handshake {
    /// Nothing, or not enough to time it.
    #[default]
    NotSeen,
    /// The client's SYN, first sent then.
    Syn(Timestamp),
    /// The server's SYN too.
    SynAck(Timestamp),
    /// All of it: nanoseconds from the first SYN to the ACK.
    Done(u64),
}

impl Handshake {
    /// Takes a segment of the flow.
    pub fn observe(&mut self, direction: Direction, segment: &Segment<'_>) {
        let (syn, ack) = (segment.flags.syn(), segment.flags.ack());
        *self = match (*self, direction) {
            (Self::NotSeen, Direction::ToServer) if syn && !ack => Self::Syn(segment.time),
            (Self::Syn(first), Direction::ToClient) if syn && ack => Self::SynAck(first),
            // Data before the server's SYN was: it is too late to time it.
            (Self::Syn(_), _) if !syn => Self::NotSeen,
            (Self::SynAck(first), Direction::ToServer) if ack && !syn => {
                Self::Done(segment.time.nanos_since(first))
            }
            (unchanged, _) => unchanged,
        };
    }

    /// Nanoseconds from the first SYN to the ACK that completed the handshake.
    #[must_use]
    pub const fn connect_ns(self) -> Option<u64> {
        match self {
            Self::Done(nanos) => Some(nanos),
            _ => None,
        }
    }

    /// Whether the connection is still opening: the place where a flood of SYNs ends up.
    #[must_use]
    pub const fn is_opening(self) -> bool {
        matches!(self, Self::Syn(_) | Self::SynAck(_))
    }
}
