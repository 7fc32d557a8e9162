//! How far the outputs have come, for those who watch them from another thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::{Stats, Written};
use crate::owner::Owners;

/// What waits in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueDepth {
    /// Whither: `outputs` or `recording`.
    pub name: &'static str,
    /// Events that wait; `None` where they are not counted.
    pub events: Option<u64>,
    /// How many may.
    pub max_events: Option<u64>,
    /// Bytes that they take, about.
    pub bytes: u64,
    /// How many may.
    pub max_bytes: u64,
}

/// What the outputs have written, as of the last time that they wrote something.
#[derive(Clone, Debug)]
pub struct Progress {
    state: Arc<Mutex<State>>,
    owners: Option<Owners>,
}

#[derive(Debug, Default)]
struct State {
    written: Vec<Written>,
    faults: Vec<String>,
}

impl Progress {
    pub(super) fn new(owners: Option<Owners>) -> Self {
        Self { state: Arc::default(), owners }
    }

    /// The outputs have come so far, and this is wrong with them.
    pub(super) fn tell(&self, written: Vec<Written>, faults: Vec<String>) {
        *self.state() = State { written, faults };
    }

    /// Completes a ledger with it.
    pub fn fill(&self, stats: &mut Stats) {
        stats.written.clone_from(&self.state().written);
        stats.owners = self.owners.as_ref().map(Owners::counters);
    }

    /// What is wrong with outputs that can't be written as they should be; empty where all are well.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.state().faults.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
