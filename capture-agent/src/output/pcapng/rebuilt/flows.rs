//! The flows of a file, and where their streams are.
//!
//! Invariant: bounded, whatever the number of flows; those that were written to last stay.

use std::collections::HashMap;

use crate::flow::{Direction, FlowId};
use crate::segment::SeqNum;

/// Flows in each half of the table: stops flows without end. When a half is full, the other one,
/// whose flows have had nothing written since, makes room.
const HALF: usize = 1 << 15;

/// Where the two streams of a flow are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    to_server: SeqNum,
    to_client: SeqNum,
    /// Whether the last request has had no response.
    pub(super) awaits_response: bool,
}

impl Ends {
    /// Two streams after their handshake; a flow has the same ones in every file.
    fn new(flow: FlowId, index: u32) -> Self {
        // The number tells one that is forgotten and comes again from what came before.
        let mixed = (flow.0 ^ u64::from(index).rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (to_server, to_client) = (SeqNum((mixed >> 32) as u32), SeqNum(mixed as u32));
        Self { to_server, to_client, awaits_response: false }
    }

    /// The sequence number that comes next.
    pub(super) const fn next(&self, direction: Direction) -> SeqNum {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }

    /// So many sequence numbers are taken.
    pub(super) const fn skip(&mut self, direction: Direction, count: u32) {
        match direction {
            Direction::ToServer => self.to_server = self.to_server.plus(count),
            Direction::ToClient => self.to_client = self.to_client.plus(count),
        }
    }
}

/// The flows of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Flows {
    recent: HashMap<FlowId, Ends>,
    older: HashMap<FlowId, Ends>,
}

impl Flows {
    /// Where a flow is before the exchange of this number, and whether nothing was written of it.
    pub(super) fn of(&mut self, flow: FlowId, index: u32) -> (&mut Ends, bool) {
        if self.recent.len() >= HALF && !self.recent.contains_key(&flow) {
            self.older = std::mem::take(&mut self.recent);
        }
        let mut is_new = false;
        let ends = self.recent.entry(flow).or_insert_with(|| {
            self.older.remove(&flow).unwrap_or_else(|| {
                is_new = true;
                Ends::new(flow, index)
            })
        });
        (ends, is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_forgotten_when_very_many_others_came_after_them() {
        let mut flows = Flows::default();
        flows.of(FlowId(0), 0).0.skip(Direction::ToServer, 7);
        let next = flows.of(FlowId(0), 1).0.next(Direction::ToServer);
        assert_eq!(next, Ends::new(FlowId(0), 0).to_server.plus(7));
        for flow in 1..=HALF as u64 {
            assert!(flows.of(FlowId(flow), 0).1);
            assert!(!flows.of(FlowId(0), 2).1, "it is in use");
        }
        for flow in 1..=2 * HALF as u64 {
            flows.of(FlowId(flow), 0);
        }
        assert!(flows.of(FlowId(0), 3).1);
        assert!(flows.recent.len() + flows.older.len() <= 2 * HALF);
    }
}
