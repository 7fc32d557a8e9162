//! One output: events in a format, gathered, written to a target, counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::formats::{Formatter, KEPT_BYTES};
use super::{Format, OutputError, Target, Verbosity};
use crate::event::{Counts, Event, Written};

/// Bytes that are gathered before they are written.
const GATHERED_BYTES: usize = 64 << 10;

/// An open output.
#[derive(Debug)]
pub struct Output {
    format: Formatter,
    target: Target,
    writer: Box<dyn RawWrite>,
    /// Events in their format, as many as are written at once.
    gathered: Vec<u8>,
    written: Written,
}

pub(super) trait RawWrite: Write + Send + std::fmt::Debug {}
impl<W: Write + Send + std::fmt::Debug> RawWrite for W {}

impl Output {
    /// Opens an output. A file is made anew, for its owner's eyes alone.
    ///
    /// # Errors
    /// If the file can't be made.
    pub fn open(format: Format, target: Target, verbosity: Verbosity) -> Result<Self, OutputError> {
        let format = Formatter::new(format, verbosity, target == Target::Stdout);
        let writer: Box<dyn RawWrite> = match &target {
            Target::Stdout => Box::new(io::stdout()),
            Target::File(path) => Box::new(
                create(path)
                    .map_err(|error| OutputError::Open { target: target.clone(), error })?,
            ),
        };
        Ok(Self::new(format, target, writer))
    }

    pub(super) fn new(format: Formatter, target: Target, writer: Box<dyn RawWrite>) -> Self {
        let output = match &target {
            Target::Stdout => "-".to_owned(),
            Target::File(path) => path.display().to_string(),
        };
        let written = Written { output, ..Written::default() };
        Self { format, target, writer, gathered: Vec::new(), written }
    }

    /// Writes an event.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&mut self, event: &Event) -> Result<(), OutputError> {
        let before = self.gathered.len();
        let formatted = self.format.format(event, &mut self.gathered);
        formatted.map_err(|error| self.failed(error))?;
        self.count(event, self.gathered.len() - before)
    }

    /// Writes an event that is in this output's format.
    pub(super) fn write_formatted(
        &mut self,
        event: &Event,
        bytes: &[u8],
    ) -> Result<(), OutputError> {
        self.gathered.extend_from_slice(bytes);
        self.count(event, bytes.len())
    }

    /// Writes many events that are in this output's format.
    pub(super) fn write_many(&mut self, count: Counts, bytes: &[u8]) -> Result<(), OutputError> {
        if bytes.len() < GATHERED_BYTES {
            self.gathered.extend_from_slice(bytes);
            return self.count_many(count, bytes.len());
        }
        // There are enough of them already.
        self.count_many(count, bytes.len())?;
        self.hand_over()?;
        self.writer.write_all(bytes).map_err(|error| self.failed(error))
    }

    fn count(&mut self, event: &Event, bytes: usize) -> Result<(), OutputError> {
        let mut one = Counts::default();
        one.add(event);
        self.count_many(one, bytes)
    }

    fn count_many(&mut self, count: Counts, bytes: usize) -> Result<(), OutputError> {
        self.written.exchanges += count.exchanges;
        self.written.messages += count.messages;
        self.written.flows += count.flows;
        self.written.bytes += bytes as u64;
        if self.gathered.len() < GATHERED_BYTES {
            return Ok(());
        }
        self.hand_over()
    }

    /// Writes what is gathered; where that fails it is gone all the same, and never written twice.
    fn hand_over(&mut self) -> Result<(), OutputError> {
        let written = self.writer.write_all(&self.gathered);
        self.gathered.clear();
        self.gathered.shrink_to(KEPT_BYTES);
        written.map_err(|error| self.failed(error))
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        self.hand_over()?;
        self.writer.flush().map_err(|error| self.failed(error))
    }

    /// What was written so far.
    #[must_use]
    pub fn written(&self) -> Written {
        self.written.clone()
    }

    /// Its format, as it is now.
    pub(super) const fn formatter(&self) -> &Formatter {
        &self.format
    }

    fn failed(&self, error: io::Error) -> OutputError {
        OutputError::in_writing(self.target.clone(), error)
    }
}

/// Heads and bodies are nobody else's business: a new file is its owner's alone.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
