//! Flows with an open hole, in the order in which the time of their holes is over.
//!
//! Invariant: a flow is in the queue at most once, and only while it is in the table; so the queue
//! is never longer than the table, however often flows come and go.

use std::collections::{BTreeMap, HashMap};

use crate::flow::FlowKey;
use crate::segment::Timestamp;

/// What an entry takes: itself twice over for what a tree leaves empty, and its time.
const ENTRY_BYTES: usize = 2 * size_of::<((Timestamp, u64), FlowKey)>() + 32;

/// Flows with an open hole.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// By when the hole opened, and by the number of the flow.
    queue: BTreeMap<(Timestamp, u64), FlowKey>,
    /// The time of a flow's entry, by its number.
    times: HashMap<u64, Timestamp>,
}

impl Holes {
    /// Bytes of memory that the queue takes.
    pub(super) fn memory(&self) -> usize {
        self.queue.len() * ENTRY_BYTES
    }

    /// A hole is open on a flow; nothing changes if it is in the queue.
    pub(super) fn add(&mut self, since: Timestamp, number: u64, key: FlowKey) {
        self.times.entry(number).or_insert_with(|| {
            self.queue.insert((since, number), key);
            since
        });
    }

    /// Takes out a flow whose hole opened at least so long ago. It may have become smaller since.
    pub(super) fn take_overdue(&mut self, now: Timestamp, hole_ns: u64) -> Option<FlowKey> {
        let entry = self.queue.first_entry()?;
        let (since, number) = *entry.key();
        if now.nanos_since(since) < hole_ns {
            return None;
        }
        self.times.remove(&number);
        Some(entry.remove())
    }

    /// When the first of them is overdue.
    pub(super) fn next_due(&self, hole_ns: u64) -> Option<Timestamp> {
        let (since, _) = self.queue.first_key_value()?.0;
        Some(Timestamp(since.as_nanos().saturating_add(hole_ns)))
    }

    /// A flow is gone.
    pub(super) fn remove(&mut self, number: u64) {
        if let Some(since) = self.times.remove(&number) {
            self.queue.remove(&(since, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Endpoint;

    #[test]
    fn a_flow_is_in_the_queue_once_and_goes_with_the_flow() {
        let key = FlowKey::new(Endpoint::v4([10, 0, 0, 1], 80), Endpoint::v4([10, 0, 0, 2], 80));
        let mut holes = Holes::default();
        // The same ends again and again, as when somebody reuses them on purpose.
        for number in 0..1_000 {
            holes.add(Timestamp(number), number, key);
            holes.add(Timestamp(number + 1), number, key);
            assert_eq!(holes.memory(), ENTRY_BYTES);
            holes.remove(number);
            assert_eq!((holes.memory(), holes.times.len()), (0, 0));
        }
        holes.add(Timestamp(9), 1, key);
        assert_eq!(holes.take_overdue(Timestamp(18), 10), None);
        assert_eq!(holes.take_overdue(Timestamp(19), 10), Some(key));
        assert_eq!(holes.memory(), 0);
    }
}
