//! What runs beside a capture: the signals that end it, and the runtime that waits for them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
pub(super) use capture_agent::output::Stop;
use capture_agent::output::aside;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// How long the end of the process waits for the terminal.
const PATIENCE: Duration = Duration::from_millis(100);

/// What comes so soon after a signal is the same one again: `timeout` signals its child, and then the
/// group that its child is in.
const ECHO: Duration = Duration::from_millis(200);

/// Who asks for the end of the capture: the status that the first signal stands for, and when it came.
struct Asked {
    stop: Stop,
    first: Option<(i32, Instant)>,
}

impl Asked {
    /// Asks the capture to end. Returns whether that was asked for before: who asks twice does not want
    /// to wait.
    fn ask(&mut self, status: i32, now: Instant) -> bool {
        let (first, at) = *self.first.get_or_insert((status, now));
        let was_asked = self.stop.set();
        let is_echo = first == status && now.duration_since(at) < ECHO;
        was_asked && !is_echo
    }

    fn ask_or_exit(&mut self, status: i32) {
        if self.ask(status, Instant::now()) {
            clear_line();
            std::process::exit(status);
        }
    }
}

/// Takes away the line that stands at the bottom of the terminal; a terminal that takes nothing is not
/// waited for.
fn clear_line() {
    let (cleared, is_cleared) = mpsc::channel();
    thread::spawn(move || {
        aside::clear();
        cleared.send(())
    });
    let _ = is_cleared.recv_timeout(PATIENCE);
}

/// Whether there was a SIGINT: the terminal shows `^C` then, in a line that does not end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether there was a SIGINT.
pub(super) fn was_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// SIGINT and SIGTERM, caught from the moment this is made.
pub(super) struct Control {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
    stop: Stop,
}

impl Control {
    pub(super) fn new() -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let caught = |kind| {
            let _entered = runtime.enter();
            signal(kind).context("cannot catch signals")
        };
        let interrupt = caught(SignalKind::interrupt())?;
        let terminate = caught(SignalKind::terminate())?;
        Ok(Self { runtime, interrupt, terminate, stop: Stop::default() })
    }

    /// What is set once the capture is to end.
    pub(super) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Runs `work` on a thread until it is over; a signal sets the stop that it was given, and a
    /// second one ends the process as it would have without us. `beside` runs all the while.
    pub(super) fn run<T: Send + 'static>(
        mut self,
        beside: impl Future<Output = io::Result<()>>,
        work: impl FnOnce(Stop) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        self.runtime.block_on(async {
            let (done, mut finished) = oneshot::channel();
            let seen = self.stop.clone();
            let mut asked = Asked { stop: self.stop.clone(), first: None };
            let worker = thread::Builder::new().name("capture".to_owned()).spawn(move || {
                let result = work(seen);
                // The main thread waits for this; if it is gone, so is the process.
                let _ = done.send(());
                result
            })?;
            tokio::pin!(beside);
            let mut beside_runs = true;
            loop {
                tokio::select! {
                    // Also where the thread has panicked, and `done` is gone with it.
                    _ = &mut finished => break,
                    _ = self.interrupt.recv() => {
                        INTERRUPTED.store(true, Ordering::Relaxed);
                        asked.ask_or_exit(130);
                    }
                    _ = self.terminate.recv() => asked.ask_or_exit(143),
                    result = &mut beside, if beside_runs => {
                        result?;
                        beside_runs = false;
                    }
                }
            }
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_twice_does_not_wait_and_an_echo_is_not_asking() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let asked = || {
            let mut asked = Asked { stop: Stop::default(), first: None };
            assert!(!asked.ask(130, start));
            assert!(asked.stop.is_set());
            asked
        };
        assert!(!asked().ask(130, after(1)));
        assert!(asked().ask(130, after(201)));
        assert!(asked().ask(143, after(1)));
        let mut echoed = asked();
        assert!(!echoed.ask(130, after(1)));
        assert!(echoed.ask(130, after(1_000)));
    }
}
