//! Where events leave: one module a format.
//!
//! Invariant: what came from the network is escaped before it is written, so that it can neither
//! steer a terminal nor break a format.

mod batch;
mod escape;
pub mod flows;
mod formats;
mod json;
mod jsonl;
mod parcel;
pub mod queue;
pub mod record;
pub mod relay;
mod room;
mod style;
pub mod summary;
mod text;
mod time;
pub mod transcript;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::event::{Event, Written};
use crate::owner::Owners;
use formats::{Formats, Formatter, KEPT_BYTES};
use parcel::{Count, Late, Parcel};
pub use text::Verbosity;

/// Bytes that are gathered before they are written.
const GATHERED_BYTES: usize = 64 << 10;

/// The formats there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line an exchange, for people.
    Text,
    /// An object a line, for programs.
    Jsonl,
}

/// Where an output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, made anew.
    File(PathBuf),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What is wrong with an output.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The name of a file does not tell its format.
    #[error("cannot tell the format of '{}' by its name: end it in .jsonl or .txt", .0.display())]
    UnknownFormat(PathBuf),
    /// It could not be opened.
    #[error("cannot write to {target}: {error}")]
    Open {
        /// Where to.
        target: Target,
        /// Why.
        error: io::Error,
    },
    /// It could not be written any further.
    #[error("cannot write to {target}: {error}; what came before is there")]
    Write {
        /// Where to.
        target: Target,
        /// Why.
        error: io::Error,
    },
    /// Whoever read it has gone.
    #[error("{0} was closed by its reader")]
    Closed(Target),
}

impl OutputError {
    /// What it means that writing there has failed.
    #[must_use]
    pub fn in_writing(target: Target, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed(target)
        } else {
            Self::Write { target, error }
        }
    }
}

impl Format {
    /// The format that the name of a file calls for.
    ///
    /// # Errors
    /// If the name calls for none.
    pub fn of_path(path: &Path) -> Result<Self, OutputError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("txt" | "log") => Ok(Self::Text),
            _ => Err(OutputError::UnknownFormat(path.to_owned())),
        }
    }
}

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

trait RawWrite: Write + Send + std::fmt::Debug {}
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

    fn new(format: Formatter, target: Target, writer: Box<dyn RawWrite>) -> Self {
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
    fn write_formatted(&mut self, event: &Event, bytes: &[u8]) -> Result<(), OutputError> {
        self.gathered.extend_from_slice(bytes);
        self.count(event, bytes.len())
    }

    /// Writes many events that are in this output's format.
    fn write_many(&mut self, count: Count, bytes: &[u8]) -> Result<(), OutputError> {
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
        let mut one = Count::default();
        one.add(event);
        self.count_many(one, bytes)
    }

    fn count_many(&mut self, count: Count, bytes: usize) -> Result<(), OutputError> {
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

    fn failed(&self, error: io::Error) -> OutputError {
        OutputError::in_writing(self.target.clone(), error)
    }
}

/// Heads and bodies are nobody else's business: a new file is its owner's alone.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Several outputs that get the same events.
#[derive(Debug, Default)]
pub struct Outputs {
    outputs: Vec<Output>,
    owners: Option<Owners>,
}

impl Outputs {
    /// These outputs together.
    #[must_use]
    pub const fn new(outputs: Vec<Output>) -> Self {
        Self { outputs, owners: None }
    }

    /// Has the owner of each event's flow looked up.
    #[must_use]
    pub fn with_owners(self, owners: Owners) -> Self {
        Self { owners: Some(owners), ..self }
    }

    /// Who is to be asked about each flow that opens.
    #[must_use]
    pub const fn owners(&self) -> Option<&Owners> {
        self.owners.as_ref()
    }

    /// Writes an event to each output. A ledger gets what they have written until now.
    ///
    /// # Errors
    /// If one can't be written.
    pub fn write(&mut self, mut event: Event) -> Result<(), OutputError> {
        if let Event::Stats(stats) = &mut event {
            stats.written = self.written();
            stats.owners = self.owners.as_ref().map(Owners::counters);
        } else if let (Some(owners), Some(flow)) = (&self.owners, event.flow_mut()) {
            flow.owner = owners.of(flow);
        }
        self.outputs.iter_mut().try_for_each(|output| output.write(&event))
    }

    /// Writes events that were put into the formats before. A ledger was not: it gets what was
    /// written before it, as above.
    fn write_prepared(&mut self, events: Vec<Event>, formats: &Formats) -> Result<(), OutputError> {
        for (number, event) in events.into_iter().enumerate() {
            if matches!(event, Event::Stats(_)) {
                self.write(event)?;
                continue;
            }
            for (output, formatted) in self.outputs.iter_mut().zip(formats.event(number)) {
                match formatted {
                    Some(bytes) => output.write_formatted(&event, bytes)?,
                    None => output.write(&event)?,
                }
            }
        }
        Ok(())
    }

    /// Writes what is in the formats, and puts what is late into them.
    fn write_parcel(&mut self, parcel: &mut Parcel) -> Result<(), OutputError> {
        let mut done = vec![0; parcel.ends.len()];
        for Late { event, at, before } in std::mem::take(&mut parcel.late) {
            self.write_part(parcel, &done, &at, before)?;
            self.write(event)?;
            done = at;
        }
        self.write_part(parcel, &done, &parcel.ends, parcel.rest)
    }

    fn write_part(
        &mut self,
        parcel: &Parcel,
        starts: &[usize],
        ends: &[usize],
        count: Count,
    ) -> Result<(), OutputError> {
        let places = starts.iter().zip(ends).map(|(start, end)| *start..*end);
        let outputs = self.outputs.iter_mut().zip(&parcel.formatted).zip(places);
        for ((output, formatted), place) in outputs {
            output.write_many(count, formatted.get(place).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Hands everything to the system: what one output refuses, the others still get.
    ///
    /// # Errors
    /// If one can't be written: of the first.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        self.outputs.iter_mut().map(Output::flush).fold(Ok(()), Result::and)
    }

    /// What each has written.
    #[must_use]
    pub fn written(&self) -> Vec<Written> {
        self.outputs.iter().map(Output::written).collect()
    }

    fn formats(&self) -> impl Iterator<Item = Formatter> {
        self.outputs.iter().map(|output| output.format.clone())
    }
}
