//! What goes over a connection after HTTP has ended on it: by CONNECT, or by an upgrade.
//!
//! Follows RFC 9110 sections 7.8 and 9.3.6. Invariant: a tunnel is counted, and only what it
//! carries is looked at that its upgrade has named.

use super::head::{RequestHead, ResponseHead};
use crate::flow::Direction;

/// What was carried after HTTP had ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// `connect`, or the protocol that was upgraded to, in lower case.
    pub protocol: Box<[u8]>,
    /// Bytes of it that the client sent, as far as they were seen.
    pub to_server_bytes: u64,
    /// Bytes of it that the server sent, as far as they were seen.
    pub to_client_bytes: u64,
}

/// Longest name of a protocol that is kept: a header can be as long as a head.
const MAX_PROTOCOL_BYTES: usize = 64;

impl Tunnel {
    /// The tunnel that this response opens.
    pub(super) fn new(request: Option<&RequestHead>, response: &ResponseHead) -> Self {
        let upgrade = || {
            let asked = request.and_then(|request| request.head().members("upgrade").next());
            response.head().members("upgrade").next().or(asked).unwrap_or(b"unknown")
        };
        let protocol = if response.status() == Some(101) { upgrade() } else { b"connect" };
        let protocol = protocol.get(..MAX_PROTOCOL_BYTES).unwrap_or(protocol);
        Self {
            protocol: protocol.to_ascii_lowercase().into(),
            to_server_bytes: 0,
            to_client_bytes: 0,
        }
    }

    /// Bytes of memory that it takes.
    pub(super) const fn memory(&self) -> usize {
        size_of::<Self>() + self.protocol.len()
    }

    /// The client has not waited for the tunnel to open: so many bytes of it came before.
    pub(super) const fn had_come(&mut self, bytes: u64) {
        self.to_server_bytes += bytes;
    }

    /// Takes bytes of one direction.
    pub(super) const fn take(&mut self, direction: Direction, bytes: &[u8]) {
        let count = match direction {
            Direction::ToServer => &mut self.to_server_bytes,
            Direction::ToClient => &mut self.to_client_bytes,
        };
        *count += bytes.len() as u64;
    }
}
