//! The kernel half's own log, for `--kernel-log`.
//!
//! The level is a read-only global of the kernel half, so the verifier removes what is not asked
//! for from the program: a capture without it pays nothing.

use std::io;

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::LiveError;

/// The name of aya's ring for log messages.
pub(super) const MAP: &str = "AYA_LOGS";

/// How much the kernel half says: numbers of aya's levels, those that it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[repr(u8)]
pub enum KernelLogLevel {
    /// Segments that are lost.
    Warn = 2,
    /// Each segment that is handed over.
    Debug = 4,
    /// The verdict on each packet.
    Trace = 5,
}

/// Messages of the kernel half, to be forwarded to where people see them.
pub struct KernelLog<F> {
    logger: EbpfLogger<Forward<F>>,
}

impl<F: Fn(&str) + Send + Sync> KernelLog<F> {
    pub(super) fn new(ebpf: &mut Ebpf, forward: F) -> Result<Self, LiveError> {
        EbpfLogger::init_with_logger(ebpf, Forward(forward))
            .map(|logger| Self { logger })
            .map_err(|error| LiveError::Map { map: MAP, reason: error.to_string() })
    }

    /// Forwards messages, a line each, until it is dropped; wants a tokio runtime with IO.
    ///
    /// # Errors
    /// The runtime's, when it can't wait for messages.
    pub async fn run(self) -> io::Result<()> {
        // SAFETY: the logger owns its ring's descriptor, and lives in the `AsyncFd` until the end.
        let mut logger =
            unsafe { AsyncFd::register_with_interest(self.logger, Interest::READABLE) }?;
        loop {
            let mut ready = logger.readable_mut().await?;
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    }
}

/// Gives messages to a function, as lines.
struct Forward<F>(F);

impl<F: Fn(&str) + Send + Sync> Log for Forward<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = record.level().as_str().to_ascii_lowercase();
        (self.0)(&format!("kernel {level}: {}", record.args()));
    }

    fn flush(&self) {}
}
