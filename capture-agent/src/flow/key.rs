//! What a flow is known by: its two ends, in one order whoever speaks.

use std::hash::{BuildHasher, RandomState};

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
        let is = |end: Endpoint, this: Endpoint| {
            // In one piece: by parts it is a call for each address.
            end.port == this.port && end.addr.to_bits() == this.addr.to_bits()
        };
        (is(self.low, one) && is(self.high, other)) || (is(self.low, other) && is(self.high, one))
    }

    const fn words(&self) -> [u32; KEY_WORDS] {
        let (low, high) = (self.low.addr.to_bits(), self.high.addr.to_bits());
        [
            low as u32,
            (low >> 32) as u32,
            (low >> 64) as u32,
            (low >> 96) as u32,
            high as u32,
            (high >> 32) as u32,
            (high >> 64) as u32,
            (high >> 96) as u32,
            (self.low.port as u32) << 16 | self.high.port as u32,
        ]
    }

    /// The two ends, the lower one first.
    #[must_use]
    pub const fn ends(&self) -> (Endpoint, Endpoint) {
        (self.low, self.high)
    }
}

/// Hashes keys of flows, for each segment anew.
///
/// It is multilinear (Lemire and Kaser, "Strongly universal string hashing is fast"): for whoever
/// does not know its random factors, two keys of his choice have the same hash with a probability
/// of 2^-32. So nobody can choose flows that are found slowly.
#[derive(Clone, Debug)]
pub(super) struct KeyHasher {
    first: u64,
    factors: [u64; KEY_WORDS],
}

/// Words of 32 bits in a key.
const KEY_WORDS: usize = 9;

impl KeyHasher {
    /// One with random factors.
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        Self {
            first: random.hash_one(KEY_WORDS),
            factors: std::array::from_fn(|word| random.hash_one(word)),
        }
    }

    /// The hash of a key: as even in its upper bits as in its lower ones.
    #[inline]
    pub(super) fn hash(&self, key: &FlowKey) -> u32 {
        let products = key.words().into_iter().zip(&self.factors);
        let sum = products.fold(self.first, |sum, (word, factor)| {
            sum.wrapping_add(u64::from(word).wrapping_mul(*factor))
        });
        (sum >> 32) as u32
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
