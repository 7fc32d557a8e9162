//! Room in the queue to the writer.
//!
//! Invariant: what has taken room is never more than [`MAX_QUEUED_EVENTS`] and [`MAX_QUEUED_BYTES`].

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::QueueDepth;
use super::parcel::{self, Parcel};

/// Most events in the queue.
pub const MAX_QUEUED_EVENTS: usize = 64 << 10;
/// Most bytes of events in the queue: bodies are what fills memory when a disk is slow.
pub const MAX_QUEUED_BYTES: usize = 256 << 20;

/// How often a sender that waits for room looks for some.
const LOOK: Duration = Duration::from_millis(1);

/// Written parcels that are kept for their room: some for each worker.
const MAX_SPARE: usize = 32;

/// What is in the queue.
#[derive(Debug, Default)]
pub(super) struct Queued {
    events: AtomicUsize,
    bytes: AtomicUsize,
    /// Whether the writer has gone: there will be no more room.
    is_closed: AtomicBool,
    /// Parcels that were written: fresh memory for each would be taken from the system page by page.
    spare: Mutex<Vec<Parcel>>,
}

impl Queued {
    /// Whether there seems to be room for a parcel, or for this many bytes where those are more.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let bytes = bytes.max(parcel::MAX_BYTES);
        let (queued, full) = (self.bytes.load(Ordering::Relaxed), MAX_QUEUED_BYTES);
        self.events.load(Ordering::Relaxed) + parcel::MAX_EVENTS <= MAX_QUEUED_EVENTS
            && queued.saturating_add(bytes) <= full
    }

    /// Takes room, if there is some.
    pub(super) fn take(&self, events: usize, bytes: usize) -> bool {
        let events_before = self.events.fetch_add(events, Ordering::Relaxed);
        let bytes_before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits =
            events_before + events <= MAX_QUEUED_EVENTS && bytes_before + bytes <= MAX_QUEUED_BYTES;
        if !fits {
            self.give_back(events, bytes);
        }
        fits
    }

    /// Takes room, and waits for it unless there will never be enough.
    pub(super) fn wait(&self, events: usize, bytes: usize) -> bool {
        while !self.take(events, bytes) {
            if bytes > MAX_QUEUED_BYTES || self.is_closed() {
                return false;
            }
            thread::sleep(LOOK);
        }
        true
    }

    pub(super) fn give_back(&self, events: usize, bytes: usize) {
        self.events.fetch_sub(events, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What has taken room now.
    pub(super) fn depth(&self, name: &'static str) -> QueueDepth {
        let [events, bytes] =
            [&self.events, &self.bytes].map(|it| it.load(Ordering::Relaxed) as u64);
        let (max_events, max_bytes) = (MAX_QUEUED_EVENTS as u64, MAX_QUEUED_BYTES as u64);
        QueueDepth { name, events: Some(events), max_events: Some(max_events), bytes, max_bytes }
    }

    #[cfg(test)]
    pub(super) fn events(&self) -> usize {
        self.events.load(Ordering::Relaxed)
    }

    /// There will be no more room.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// An empty parcel that has been used before, if there is one.
    pub(super) fn spare(&self) -> Option<Parcel> {
        self.spares().pop()
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Parcel>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a parcel for its room.
    pub(super) fn recycle(&self, parcel: Parcel) {
        let parcel = parcel.emptied();
        let mut spare = self.spares();
        if spare.len() < MAX_SPARE {
            spare.push(parcel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_for_the_room_leaves_it_to_others() {
        let queued = Queued::default();
        assert!(queued.take(1, 1));
        assert!(!queued.take(1, MAX_QUEUED_BYTES));
        assert!(queued.take(1, MAX_QUEUED_BYTES - 1));
        assert!(!queued.take(1, 1));
        queued.give_back(1, 1);
        assert!(queued.take(1, 1));
    }

    #[test]
    fn there_seems_to_be_room_as_long_as_there_is_for_a_whole_parcel() {
        let queued = Queued::default();
        assert!(queued.has_room(MAX_QUEUED_BYTES) && !queued.has_room(MAX_QUEUED_BYTES + 1));
        assert!(queued.take(MAX_QUEUED_EVENTS - parcel::MAX_EVENTS, 0) && queued.has_room(0));
        assert!(queued.take(1, 0) && !queued.has_room(0));
        queued.give_back(1, 0);
        assert!(queued.take(0, MAX_QUEUED_BYTES - parcel::MAX_BYTES) && queued.has_room(0));
        assert!(queued.take(0, 1) && !queued.has_room(0));
    }
}
