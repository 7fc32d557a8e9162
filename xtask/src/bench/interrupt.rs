//! Ctrl-C and SIGTERM end a benchmark by way of an error, so that what it made and set is undone.
//!
//! Children in the foreground get the signal too, and end; what they say then is no figure.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use signal_hook::consts::TERM_SIGNALS;

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on these signals are noted, and end nothing by themselves.
pub(super) fn watch() -> Result<()> {
    for signal in TERM_SIGNALS {
        signal_hook::flag::register(*signal, Arc::clone(&INTERRUPTED))
            .context("can't wait for signals")?;
    }
    Ok(())
}

/// Fails once there was one.
pub(super) fn check() -> Result<()> {
    ensure!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
    Ok(())
}
