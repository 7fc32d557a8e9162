//! A line at the bottom of the terminal, such as how far a reader is, steps aside while something
//! else is written there.
//!
//! The terminal is the process's own, so there is one such line for all of it.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::{PoisonError, RwLock};

use indicatif::ProgressBar;

static LINE: RwLock<Option<ProgressBar>> = RwLock::new(None);

/// From now on there is such a line, or none any more.
pub fn set(line: Option<ProgressBar>) {
    *LINE.write().unwrap_or_else(PoisonError::into_inner) = line;
}

/// Writes something to the terminal, whole lines of it.
pub fn write<T>(write: impl FnOnce() -> T) -> T {
    let line = LINE.read().unwrap_or_else(PoisonError::into_inner);
    match &*line {
        Some(line) => line.suspend(write),
        None => write(),
    }
}

/// Says something on standard error, in one piece. That nobody hears it, as where its reader is gone or
/// its disk is full, is nothing to end for.
pub fn say(what: impl Display) {
    let line = format!("{what}\n");
    let _ = write(|| io::stderr().write_all(line.as_bytes()));
}

/// Takes the line away for good, before the process ends. What is just being written is waited for.
pub fn clear() {
    if let Some(line) = LINE.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
        line.finish_and_clear();
    }
}
