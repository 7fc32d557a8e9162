//! Where events leave: one module a format.
//!
//! Invariant: what came from the network is escaped before it is written, so that it can neither
//! steer a terminal nor break a format.

mod escape;
pub mod flows;
mod jsonl;
pub mod queue;
pub mod record;
mod style;
pub mod summary;
mod text;
mod time;
pub mod transcript;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::event::{Event, Written};
pub use text::Verbosity;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 64 << 10;

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
    writer: Counting<BufWriter<Box<dyn RawWrite>>>,
    exchanges: u64,
    flows: u64,
    messages: u64,
}

trait RawWrite: Write + Send + std::fmt::Debug {}
impl<W: Write + Send + std::fmt::Debug> RawWrite for W {}

#[derive(Debug)]
enum Formatter {
    Text(text::Text),
    Jsonl(jsonl::JsonLines),
}

impl Output {
    /// Opens an output. A file is made anew, for its owner's eyes alone.
    ///
    /// # Errors
    /// If the file can't be made.
    pub fn open(format: Format, target: Target, verbosity: Verbosity) -> Result<Self, OutputError> {
        let mut colour = false;
        let raw: Box<dyn RawWrite> = match &target {
            Target::Stdout => {
                colour = style::is_wanted();
                Box::new(io::stdout())
            }
            Target::File(path) => Box::new(
                create(path)
                    .map_err(|error| OutputError::Open { target: target.clone(), error })?,
            ),
        };
        let format = match format {
            Format::Text => Formatter::Text(text::Text::new(verbosity, colour)),
            Format::Jsonl => Formatter::Jsonl(jsonl::JsonLines::default()),
        };
        let writer = Counting { inner: BufWriter::with_capacity(BUFFER_BYTES, raw), bytes: 0 };
        Ok(Self { format, target, writer, exchanges: 0, flows: 0, messages: 0 })
    }

    /// Writes an event.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&mut self, event: &Event) -> Result<(), OutputError> {
        let result = match &mut self.format {
            Formatter::Text(text) => text.write(event, &mut self.writer),
            Formatter::Jsonl(lines) => lines.write(event, &mut self.writer),
        };
        result.map_err(|error| self.failed(error))?;
        match event {
            Event::Exchange(_) => self.exchanges += 1,
            Event::WebSocket(_) => self.messages += 1,
            Event::Flow(_) => self.flows += 1,
            Event::Stats(_) => {}
        }
        Ok(())
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        self.writer.flush().map_err(|error| self.failed(error))
    }

    /// What was written so far.
    #[must_use]
    pub fn written(&self) -> Written {
        let output = match &self.target {
            Target::Stdout => "-".to_owned(),
            Target::File(path) => path.display().to_string(),
        };
        let Self { exchanges, flows, messages, .. } = *self;
        Written { output, exchanges, flows, messages, bytes: self.writer.bytes }
    }

    fn failed(&self, error: io::Error) -> OutputError {
        OutputError::in_writing(self.target.clone(), error)
    }
}

/// Heads and bodies are nobody else's business: a new file is its owner's alone.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// A writer that counts.
#[derive(Debug)]
struct Counting<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Several outputs that get the same events.
#[derive(Debug, Default)]
pub struct Outputs(Vec<Output>);

impl Outputs {
    /// These outputs together.
    #[must_use]
    pub const fn new(outputs: Vec<Output>) -> Self {
        Self(outputs)
    }

    /// Writes an event to each output. A ledger gets what they have written until now.
    ///
    /// # Errors
    /// If one can't be written.
    pub fn write(&mut self, event: Event) -> Result<(), OutputError> {
        let event = match event {
            Event::Stats(mut stats) => {
                stats.written = self.written();
                Event::Stats(stats)
            }
            other => other,
        };
        self.0.iter_mut().try_for_each(|output| output.write(&event))
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// If one can't be written.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        self.0.iter_mut().try_for_each(Output::flush)
    }

    /// What each has written.
    #[must_use]
    pub fn written(&self) -> Vec<Written> {
        self.0.iter().map(Output::written).collect()
    }
}
