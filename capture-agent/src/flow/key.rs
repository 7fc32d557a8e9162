//! What a flow is known by: its two ends, in one order whoever speaks.

use std::hash::{Hash, Hasher};

use crate::segment::Endpoint;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

impl Direction {
    /// Both, the client's first.
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];

    /// The other way.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

/// The two ends of a flow, the lower one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    low: Endpoint,
    high: Endpoint,
}

impl FlowKey {
    /// The key of segments between these two ends, either way.
    #[must_use]
    pub fn new(one: Endpoint, other: Endpoint) -> Self {
        // As numbers, in the same order as the ends themselves have, which compare by parts.
        let in_order = (one.addr.to_bits(), one.port) <= (other.addr.to_bits(), other.port);
        let (low, high) = if in_order { (one, other) } else { (other, one) };
        Self { low, high }
    }

    /// Whether these are its two ends.
    #[must_use]
    pub fn is_between(&self, one: Endpoint, other: Endpoint) -> bool {
        (self.low == one && self.high == other) || (self.low == other && self.high == one)
    }

    /// The two ends, the lower one first.
    #[must_use]
    pub const fn ends(&self) -> (Endpoint, Endpoint) {
        (self.low, self.high)
    }
}

impl Hash for FlowKey {
    /// In as few pieces as there can be: it is done for each segment.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ports = u32::from(self.low.port) << 16 | u32::from(self.high.port);
        let mut bytes = [0; 36];
        let (low, rest) = bytes.split_at_mut(16);
        let (high, last) = rest.split_at_mut(16);
        low.copy_from_slice(&self.low.addr.octets());
        high.copy_from_slice(&self.high.addr.octets());
        last.copy_from_slice(&ports.to_ne_bytes());
        state.write(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_have_one_key() {
        let (a, b) = (Endpoint::v4([10, 0, 0, 2], 80), Endpoint::v4([10, 0, 0, 1], 5_000));
        assert_eq!(FlowKey::new(a, b), FlowKey::new(b, a));
        assert_ne!(FlowKey::new(a, b), FlowKey::new(a, Endpoint::v4([10, 0, 0, 1], 5_001)));
    }
}
