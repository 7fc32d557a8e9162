//! The way from a capture file to the outputs where they have threads of their own: it pushes
//! back, and loses nothing.
//!
//! Each thread puts the events of a batch into their formats, then waits for the outputs, which go
//! from thread to thread as the baton of a relay does; so batches are put into their formats at
//! the same time, and written in their order.
//!
//! Invariants: what is written is the same to the byte however many threads there are, to where
//! an output fails; batches that wait are bounded, so memory is too.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::batch::Batch;
use super::formats::Formats;
use super::{OutputError, Outputs};
use crate::event::Event;

/// Batches that wait for each thread: enough that neither side waits for the other's every step.
const WAITING_BATCHES: usize = 2;

/// The outputs, once all is over, and what went wrong first.
pub type Written = (Outputs, Result<(), OutputError>);

/// What a thread is to do next.
enum Leg {
    Write(Batch),
    /// Hand everything to the system.
    Flush,
    /// All is written: end with the outputs.
    End,
}

#[derive(Debug)]
struct Runner {
    legs: SyncSender<Leg>,
    thread: JoinHandle<Option<Written>>,
}

/// Threads that write events.
#[derive(Debug)]
pub struct Relay {
    runners: Vec<Runner>,
    /// The runner whose turn it is.
    turn: usize,
    batch: Batch,
    has_failed: bool,
}

impl Relay {
    /// Starts so many threads, one at least.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(outputs: Outputs, threads: usize) -> io::Result<Self> {
        let formats = Formats::new(outputs.formats());
        let batons = (0..threads.max(1)).map(|_| sync_channel(1));
        let (passes, takes): (Vec<_>, Vec<_>) = batons.unzip();
        if let Some(first) = passes.first() {
            // Who takes it is there, and there is room for it.
            let _ = first.send(outputs);
        }
        let nexts = passes.iter().cycle().skip(1).cloned();
        let start = |(baton, next)| {
            let (legs, todo) = sync_channel(WAITING_BATCHES);
            let formats = formats.clone();
            let run = move || run(&todo, &baton, &next, formats);
            let thread = thread::Builder::new().name("writer".to_owned()).spawn(run)?;
            Ok(Runner { legs, thread })
        };
        let runners = takes.into_iter().zip(nexts).map(start).collect::<io::Result<_>>()?;
        Ok(Self { runners, turn: 0, batch: Batch::default(), has_failed: false })
    }

    /// Takes an event, and waits while too many do.
    pub fn send(&mut self, event: Event) {
        self.batch.push(event);
        if self.batch.is_full() {
            self.pass_on();
        }
    }

    /// Has what was sent written, and handed to the system.
    pub fn flush(&mut self) {
        self.pass_on();
        self.leg(Leg::Flush);
    }

    /// Whether an output has failed; nothing more is written then.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Writes what was sent, and hands everything to the system.
    ///
    /// # Panics
    /// If a thread has.
    pub fn end(mut self) -> Written {
        self.pass_on();
        self.leg(Leg::End);
        let threads: Vec<_> = self.runners.into_iter().map(|runner| runner.thread).collect();
        let ends = threads.into_iter().filter_map(|thread| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        // One has the outputs; where none had, it would have panicked.
        ends.last().unwrap_or_else(|| (Outputs::default(), Ok(())))
    }

    fn pass_on(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.leg(Leg::Write(batch));
        }
    }

    fn leg(&mut self, leg: Leg) {
        let runner = self.runners.get(self.turn);
        self.has_failed |= runner.is_none_or(|runner| runner.legs.send(leg).is_err());
        self.turn = (self.turn + 1) % self.runners.len().max(1);
    }
}

/// What a thread does: until the end, which gives it the outputs for good, or until another one
/// has ended. An output that fails is an end too.
fn run(
    todo: &Receiver<Leg>,
    baton: &Receiver<Outputs>,
    next: &SyncSender<Outputs>,
    mut formats: Formats,
) -> Option<Written> {
    loop {
        let batch = match todo.recv().ok()? {
            Leg::Write(batch) => batch,
            Leg::Flush => {
                let mut outputs = baton.recv().ok()?;
                if let Err(error) = outputs.flush() {
                    return Some(failed(outputs, error));
                }
                next.send(outputs).ok()?;
                continue;
            }
            Leg::End => {
                let mut outputs = baton.recv().ok()?;
                let finished = outputs.finish();
                return Some((outputs, finished));
            }
        };
        formats.prepare(&batch.events);
        let mut outputs = baton.recv().ok()?;
        if let Err(error) = outputs.write_prepared(batch.events, &formats) {
            return Some(failed(outputs, error));
        }
        next.send(outputs).ok()?;
    }
}

/// One output that fails must not take from the others what they have.
fn failed(mut outputs: Outputs, error: OutputError) -> Written {
    let _ = outputs.finish();
    (outputs, Err(error))
}
