//! Where segments come from: the kernel half, or a capture file.
//!
//! Every source selects by the same [`Selection`](crate::selection::Selection) and counts what it
//! did with each packet by the same [`Verdict`]s, so the ledger reads alike for both.

pub mod file;
pub mod live;

use std::sync::Arc;

use capture_ebpf::Verdict;

use crate::segment::{IfaceId, Segment};

/// What a source yields.
#[derive(Debug)]
pub enum Item<'a> {
    /// An interface got its name; comes before its first segment. `None` where the source does
    /// not know a name.
    Interface(IfaceId, Option<Arc<str>>),
    /// A selected segment.
    Segment(Segment<'a>),
}

/// How many packets got each [`Verdict`]. They add up to the packets seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts([u64; Verdict::COUNT as usize]);

impl Verdicts {
    /// Adds `count` packets with this verdict.
    pub fn add(&mut self, verdict: Verdict, count: u64) {
        if let Some(slot) = self.0.get_mut(verdict as usize) {
            *slot += count;
        }
    }

    /// Gives `count` packets another verdict, once more is known of them.
    pub(crate) fn revise(&mut self, from: Verdict, to: Verdict, count: u64) {
        if let Some(slot) = self.0.get_mut(from as usize) {
            *slot -= count;
        }
        self.add(to, count);
    }

    /// Adds another source's packets.
    pub fn merge(&mut self, other: &Self) {
        for verdict in Verdict::ALL {
            self.add(verdict, other.count(verdict));
        }
    }

    /// How many packets got this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.0.get(verdict as usize).copied().unwrap_or(0)
    }

    /// How many packets were seen.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.0.iter().sum()
    }
}
