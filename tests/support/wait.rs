//! Waiting for a condition, with a deadline and never by a guessed pause.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a busy two-core machine, short enough to notice.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(5);

/// Asks `probe` until it has an answer; `None` after [`DEADLINE`].
pub(crate) fn poll<T>(mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(POLL);
    }
}

/// Panics unless `condition` comes true before [`DEADLINE`].
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let came_true = poll(|| condition().then_some(())).is_some();
    assert!(came_true, "{what}: not within {DEADLINE:?}");
}
