//! A recording: every segment that the engine was given, in the order in which it was, as a pcapng
//! that Wireshark reads, and of which `read` makes the same exchanges again.
//!
//! Who feeds an engine holds a [`Recorder`] and tells it what it tells the engine. Segments become
//! blocks there, and go in parcels to the one who writes them: straight, or through a queue to a
//! thread of its own.
//!
//! Invariants: a segment that a recorder was given is written, or counted as dropped where there was
//! no room for it (live it never pushes back), or as failed once the file can't be written; segments
//! of one recorder stay in their order; what is on its way takes no more than the queue's room,
//! beside a parcel for each recorder. What is written depends on the segments alone, and neither on
//! time nor on threads, where one recorder is all there is and pushes back.

mod file;
mod parcel;
mod queue;
mod recorder;

pub use file::Recording;
pub use queue::{Writer, spawn};
pub use recorder::{Recorder, Taken};

use std::time::Duration;

use super::OutputError;

/// What came of a recording, once it has ended.
#[derive(Debug)]
pub struct Outcome {
    /// Segments that are in the file.
    pub written: u64,
    /// Segments that came when it could not be written any more.
    pub failed: u64,
    /// What went wrong with it.
    pub result: Result<(), OutputError>,
}

/// Writes parcels until that fails, and counts.
struct Keeper {
    /// `None` once it has failed.
    recording: Option<Recording>,
    /// Is told at once when it has.
    on_failure: fn(&OutputError),
    outcome: Outcome,
}

impl Keeper {
    fn new(recording: Recording, on_failure: fn(&OutputError)) -> Self {
        let outcome = Outcome { written: 0, failed: 0, result: Ok(()) };
        Self { recording: Some(recording), on_failure, outcome }
    }

    /// Writes a parcel; returns whether more can be written.
    fn take(&mut self, parcel: &mut parcel::Parcel) -> bool {
        let segments = parcel.segments();
        match self.recording.as_mut().map(|recording| recording.write(parcel)) {
            Some(Ok(())) => self.outcome.written += segments,
            Some(Err(error)) => {
                self.outcome.failed += segments;
                self.fail(error);
            }
            None => self.outcome.failed += segments,
        }
        self.recording.is_some()
    }

    fn fail(&mut self, error: OutputError) {
        (self.on_failure)(&error);
        // What was only gathered never came to the file.
        let gathered = self.recording.take().map_or(0, |recording| recording.gathered_segments());
        self.outcome.written -= gathered;
        self.outcome.failed += gathered;
        self.outcome.result = Err(error);
    }

    /// Hands what was written to the system.
    fn patience(&self) -> Option<Duration> {
        self.recording.as_ref()?.patience()
    }

    fn flush(&mut self) {
        if let Some(Err(error)) = self.recording.as_mut().map(Recording::flush) {
            self.fail(error);
        }
    }

    fn end(mut self) -> Outcome {
        if let Some(Err(error)) = self.recording.as_mut().map(Recording::finish) {
            self.fail(error);
        }
        self.outcome
    }
}
