//! What a flow is known by: its two ends, in one order whoever speaks.

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    low: Endpoint,
    high: Endpoint,
}

impl FlowKey {
    /// The key of segments between these two ends, either way.
    #[must_use]
    pub fn new(one: Endpoint, other: Endpoint) -> Self {
        if one <= other { Self { low: one, high: other } } else { Self { low: other, high: one } }
    }

    /// The two ends, the lower one first.
    #[must_use]
    pub const fn ends(&self) -> (Endpoint, Endpoint) {
        (self.low, self.high)
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
