//! How the work of `read` is divided among threads.

use std::thread;

/// More help nothing: two that put events into their formats keep up with the engine.
const MOST_USEFUL: usize = 4;

/// What has threads of its own, beside the one of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Division {
    /// Whether the files are read ahead of the engine.
    pub(super) reads_ahead: bool,
    /// How many threads write.
    pub(super) writers: usize,
}

impl Division {
    /// That of so many threads, or of as many as the cores allow.
    pub(super) fn of(threads: Option<usize>) -> Self {
        let cores = || thread::available_parallelism().map_or(1, usize::from).min(MOST_USEFUL);
        match threads.unwrap_or_else(cores) {
            0 | 1 => Self { reads_ahead: false, writers: 0 },
            2 => Self { reads_ahead: false, writers: 1 },
            more => Self { reads_ahead: true, writers: more - 2 },
        }
    }
}
