//! Where those who serve ask for a snapshot, and the one who conducts the capture puts it.
//!
//! Invariants: the conductor never waits for those who ask, and they wait for it no longer than
//! [`PATIENCE`]; all who ask at the same time get the same snapshot, and none younger than
//! [`LEAST_AGE`] is drawn up anew, however often they ask.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::Snapshot;
use crate::output::Progress;

/// How long a snapshot is waited for: a conductor that reads from a pipe may not hear the question.
const PATIENCE: Duration = Duration::from_secs(1);

/// Of how long ago a snapshot is fresh: bounds what scrapers can cost the capture.
const LEAST_AGE: Duration = Duration::from_millis(100);

/// The latest snapshot, and whether another one is asked for.
#[derive(Debug)]
pub struct Board {
    is_asked: AtomicBool,
    conductor: OnceLock<Thread>,
    latest: watch::Sender<Option<Snapshot>>,
    /// What the outputs know, as of when it is asked for: they may write on while the conductor waits
    /// for a pipe.
    progress: Progress,
}

impl Board {
    /// For a capture with these outputs.
    #[must_use]
    pub fn new(progress: Progress) -> Self {
        Self {
            progress,
            is_asked: AtomicBool::new(false),
            conductor: OnceLock::new(),
            latest: watch::Sender::new(None),
        }
    }

    /// The calling thread conducts the capture: it is unparked when a snapshot is asked for.
    pub fn conduct(&self) {
        // Who began it conducts it to the end.
        let _ = self.conductor.set(thread::current());
    }

    /// Whether a snapshot is asked for; says so once.
    pub fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed) && self.is_asked.swap(false, Ordering::Relaxed)
    }

    /// Puts up a snapshot.
    pub fn publish(&self, snapshot: Snapshot) {
        self.latest.send_replace(Some(snapshot));
    }

    /// A fresh snapshot; the latest before where none comes in time, which of a live capture is a
    /// trouble of its own; and none where there never was one.
    pub(super) async fn look(&self) -> Option<Snapshot> {
        let mut latest = self.latest.subscribe();
        let is_young = |it: &Snapshot| it.drawn_up.elapsed() < LEAST_AGE;
        if latest.borrow_and_update().as_ref().is_some_and(is_young) {
            return self.completed(&latest, true);
        }
        self.is_asked.store(true, Ordering::Relaxed);
        self.conductor.get().into_iter().for_each(Thread::unpark);
        let is_fresh = matches!(timeout(PATIENCE, latest.changed()).await, Ok(Ok(())));
        self.completed(&latest, is_fresh)
    }

    fn completed(
        &self,
        latest: &watch::Receiver<Option<Snapshot>>,
        is_fresh: bool,
    ) -> Option<Snapshot> {
        let mut snapshot = latest.borrow().clone()?;
        self.progress.fill(&mut snapshot.stats);
        snapshot.troubles.extend(self.progress.faults());
        // A reader that waits for a pipe has nothing to say, and need not.
        if !is_fresh && snapshot.live.is_some() {
            let age = snapshot.drawn_up.elapsed().as_secs();
            snapshot.troubles.push(format!("the capture has not answered for {age} s"));
        }
        Some(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::event::Stats;
    use crate::metrics::Live;
    use crate::output::Outputs;

    fn board() -> Board {
        Board::new(Outputs::default().watched().progress().unwrap().clone())
    }

    fn snapshot(opened: u64) -> Snapshot {
        let mut stats = Stats::default();
        stats.engine.flows_opened = opened;
        let drawn_up = Instant::now();
        Snapshot { drawn_up, stats, queues: Vec::new(), live: None, troubles: Vec::new() }
    }

    /// What is found, and whether all is well.
    fn look(board: &Board) -> Option<(u64, bool)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let snapshot = runtime.block_on(board.look())?;
        Some((snapshot.stats.engine.flows_opened, snapshot.troubles.is_empty()))
    }

    #[test]
    fn nothing_is_drawn_up_that_nobody_asks_for() {
        let board = board();
        assert!(!board.is_asked());
        assert_eq!(look(&board), None);
        assert!(board.is_asked() && !board.is_asked());
    }

    #[test]
    fn who_conducts_is_woken_and_who_asks_gets_what_is_drawn_up_then() {
        let board = Arc::new(board());
        let old = Instant::now().checked_sub(LEAST_AGE * 2).unwrap();
        board.publish(Snapshot { drawn_up: old, ..snapshot(1) });
        let conductor = {
            let board = Arc::clone(&board);
            thread::spawn(move || {
                board.conduct();
                while !board.is_asked() {
                    thread::park();
                }
                board.publish(snapshot(2));
            })
        };
        while board.conductor.get().is_none() {
            thread::yield_now();
        }
        assert_eq!(look(&board), Some((2, true)));
        conductor.join().unwrap();
        // Where nobody answers any more, there is still what was; of a live capture all is not well then.
        board.publish(Snapshot { drawn_up: old, ..snapshot(3) });
        assert_eq!(look(&board), Some((3, true)));
        let live = Some(Live { rings: Vec::new(), interfaces: 1 });
        board.publish(Snapshot { drawn_up: old, live, ..snapshot(4) });
        assert_eq!(look(&board), Some((4, false)));
    }
}
