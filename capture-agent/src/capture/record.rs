//! `--record`: what is said of it, and what became of it.

use std::io;

use anyhow::Context as _;
use capture_agent::event::Recorded;
use capture_agent::output::recording::{self, Outcome, Recorder, Recording, Taken, Writer};
use capture_agent::output::{Clock, OutputError, QueueDepth, Stop, aside};

use crate::cli::CommonArgs;

/// A recording that is being made, and the thread that writes it, where there is one.
#[derive(Debug)]
pub(super) struct Record {
    output: String,
    writer: Option<Writer>,
}

/// Opens the recording that is asked for.
pub(super) fn open(
    args: &CommonArgs,
    clock: Clock,
    stop: Stop,
) -> Result<Option<Open>, OutputError> {
    let Some(path) = &args.record.record else { return Ok(None) };
    let recording = Recording::open(path, &args.outputs.rules(clock, stop))?;
    Ok(Some(Open { output: path.display().to_string(), recording, is_quiet: args.quiet }))
}

/// A recording that is open.
pub(super) struct Open {
    output: String,
    recording: Recording,
    is_quiet: bool,
}

impl Open {
    /// Makes its file anew, and says what is in it.
    pub(super) fn begin(mut self) -> Result<Self, OutputError> {
        self.recording.begin()?;
        if !self.is_quiet {
            let output = &self.output;
            aside::say(format_args!(
                "recording to {output} every segment as it was on the wire, secrets included"
            ));
        }
        Ok(self)
    }

    /// Has a thread write, which never pushes back.
    pub(super) fn live(self) -> io::Result<(Recorder, Record)> {
        self.by_thread(false)
    }

    /// Has the engine's own thread write, or another one that pushes back.
    pub(super) fn of_files(self, has_thread: bool) -> io::Result<(Recorder, Record)> {
        if has_thread {
            return self.by_thread(true);
        }
        let recorder = Recorder::new(self.recording, say);
        Ok((recorder, Record { output: self.output, writer: None }))
    }

    fn by_thread(self, pushes_back: bool) -> io::Result<(Recorder, Record)> {
        let (recorder, writer) = recording::spawn(self.recording, pushes_back, say)?;
        Ok((recorder, Record { output: self.output, writer: Some(writer) }))
    }
}

/// Says at once that there is no more recording; whether it is whole is what people ask later.
fn say(error: &OutputError) {
    aside::say(format_args!("the recording ends, and the capture goes on: {error}"));
}

impl Record {
    /// What waits to be written, where a thread does that.
    pub(super) fn depth(&self) -> Option<QueueDepth> {
        self.writer.as_ref().map(Writer::depth)
    }

    /// What became of the segments so far, as far as is known: some are on their way.
    pub(super) fn so_far(&self, taken: Taken) -> Recorded {
        let Taken { segments, dropped, failed } = taken;
        let segments = segments.saturating_sub(dropped + failed);
        Recorded { output: self.output.clone(), segments, dropped, failed }
    }

    /// What became of them once the recorders, which have taken that much, are gone; `alone` is what came
    /// of a recorder without a thread.
    pub(super) fn end(
        self,
        taken: Taken,
        alone: Option<Outcome>,
    ) -> (Recorded, anyhow::Result<()>) {
        let nothing = Outcome { written: 0, failed: 0, result: Ok(()) };
        let outcome = self.writer.map(Writer::join).or(alone).unwrap_or(nothing);
        let recorded = Recorded {
            output: self.output,
            segments: outcome.written,
            dropped: taken.dropped,
            failed: taken.failed + outcome.failed,
        };
        (recorded, outcome.result.context("the recording is not whole"))
    }
}
