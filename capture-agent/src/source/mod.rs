//! Where segments come from: the kernel half, or a capture file.
//!
//! Every source selects by the same [`Selection`](crate::selection::Selection) and counts what it
//! did with each packet by the same [`Verdict`]s, so the ledger reads alike for both.

pub mod file;
pub mod live;

use std::sync::Arc;

use capture_ebpf::Verdict;

use crate::segment::{IfaceId, Interface, Segment};

/// What a source yields.
#[derive(Debug)]
pub enum Item<'a> {
    /// An interface got a name; comes before its first segment. `None` where the source does not
    /// know one, or forgets an interface that has been gone for long.
    Interface(IfaceId, Option<Arc<Interface>>),
    /// A selected segment.
    Segment(Segment<'a>),
}

/// What a source did with packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// Packets that it saw, counted as they came.
    pub seen: u64,
    /// The same packets by what was done with them, counted as they went.
    pub verdicts: Verdicts,
    /// What was made of those that were handed over.
    pub handed_over: HandedOver,
}

impl Packets {
    /// Whether every packet that was seen has its verdict.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.seen == self.verdicts.sum()
    }

    /// Adds what was done with other packets.
    pub fn merge(&mut self, other: &Self) {
        self.seen += other.seen;
        self.verdicts.merge(&other.verdicts);
        self.handed_over.merge(&other.handed_over);
    }
}

/// What the kernel half handed over, and what it kept of what was selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandedOver {
    /// Records: a segment is one, or several where it is long; notices are some too.
    pub records: u64,
    /// Records that only say what was left out.
    pub notices: u64,
    /// Payload bytes in records.
    pub bytes: u64,
    /// Payload bytes that were left in the kernel because a flow's budget was used up.
    pub elided_bytes: u64,
    /// Payload bytes that were selected and lost.
    pub dropped_bytes: u64,
}

impl HandedOver {
    fn merge(&mut self, other: &Self) {
        self.records += other.records;
        self.notices += other.notices;
        self.bytes += other.bytes;
        self.elided_bytes += other.elided_bytes;
        self.dropped_bytes += other.dropped_bytes;
    }
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

    /// How many packets got one.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}
