//! Memory that Lua does not know of: the events that a script holds.
//!
//! To Lua an exchange is a few bytes, though a body of megabytes hangs on it; so what is no longer
//! held is looked for as often as its size asks for, and what is held has a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlua::{Error, Lua};

/// Bytes that may gather before it is looked for what is no longer held.
const GATHERED_BYTES: usize = 8 << 20;

/// What a script holds of events.
#[derive(Debug)]
pub(super) struct AllHeld {
    bytes: Arc<AtomicUsize>,
    /// When to look for what is no longer held.
    threshold: AtomicUsize,
    limit: usize,
}

/// One event; no longer held when this goes.
#[derive(Debug)]
pub(super) struct Held {
    bytes: usize,
    all: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl AllHeld {
    pub(super) fn new(limit: usize) -> Self {
        let threshold = AtomicUsize::new(GATHERED_BYTES.min(limit));
        Self { bytes: Arc::default(), threshold, limit }
    }

    /// Makes room for an event.
    pub(super) fn hold(&self, bytes: usize, lua: &Lua) -> mlua::Result<Held> {
        let sum = || self.bytes.load(Ordering::Relaxed).saturating_add(bytes);
        if sum() > self.threshold.load(Ordering::Relaxed) {
            lua.gc_collect()?;
            let next = (2 * sum()).max(GATHERED_BYTES).min(self.limit);
            self.threshold.store(next, Ordering::Relaxed);
        }
        if sum() > self.limit {
            let limit = self.limit;
            let text = format!(
                "the exchanges that it holds take more than {limit} bytes (--script-memory)"
            );
            return Err(Error::RuntimeError(text));
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(Held { bytes, all: Arc::clone(&self.bytes) })
    }
}
