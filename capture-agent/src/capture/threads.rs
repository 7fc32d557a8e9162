//! How the work of `read` is divided among threads.

use std::thread;

/// Files, engine and outputs with one each, which pays from two cores on: none of them is busy all
/// the time. The engine is the slowest of the three, so that more threads help nothing.
const MOST_USEFUL: usize = 3;

/// What has threads of its own, beside the one of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Division {
    /// Whether the files are read ahead of the engine.
    pub(super) reads_ahead: bool,
    /// How many threads write.
    pub(super) writers: usize,
}

impl Division {
    /// That of so many threads, or of as many as are useful on this host.
    pub(super) fn of(threads: Option<usize>) -> Self {
        let useful = || match thread::available_parallelism() {
            Ok(cores) if cores.get() > 1 => MOST_USEFUL,
            _ => 1,
        };
        match threads.unwrap_or_else(useful) {
            0 | 1 => Self { reads_ahead: false, writers: 0 },
            2 => Self { reads_ahead: false, writers: 1 },
            more => Self { reads_ahead: true, writers: more - 2 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_threads_than_asked_for() {
        for threads in 1..=64 {
            let Division { reads_ahead, writers } = Division::of(Some(threads));
            assert_eq!(1 + usize::from(reads_ahead) + writers, threads);
        }
    }
}
