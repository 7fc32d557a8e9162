//! What most streams never need, so that a quiet one stays small.

use super::held::Held;
use super::{Counters, Stray};
use crate::segment::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) held: Held,
    /// When the oldest of what is held came, or the hole before it was last made smaller.
    pub(super) since: Timestamp,
    /// All but `segments` and `bytes`, which every stream has.
    pub(super) counters: Counters,
    pub(super) strays: Vec<Stray>,
}

impl Trouble {
    /// Bytes of memory that it takes.
    pub(super) fn cost(&self) -> usize {
        let strays: usize = self.strays.iter().map(Stray::cost).sum();
        size_of::<Self>() + self.held.cost() + strays
    }

    /// A segment repeats so many bytes.
    pub(super) const fn seen_again(&mut self, bytes: u64) {
        self.counters.retransmitted_bytes += bytes;
        self.counters.retransmitted_segments += 1;
    }
}
