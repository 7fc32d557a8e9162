//! What a script prints: gathered, written to standard output, counted.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mlua::Error;

use crate::notation::escape::visible_lines;
use crate::output::terminal::{Screen, Stream};
use crate::output::{OutputError, Target};

/// Bytes that are gathered before they are written.
const GATHERED_BYTES: usize = 64 << 10;

/// What a script prints.
#[derive(Clone, Debug)]
pub(super) struct Printed(Arc<Mutex<Gathered>>);

#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// Whether it is for a terminal, which nothing that is printed shall steer.
    is_for_terminal: bool,
    /// How many there were in all.
    all: u64,
    error: Option<io::Error>,
}

impl Printed {
    pub(super) fn new() -> Self {
        let is_for_terminal = Screen::of(Stream::Stdout).is_terminal();
        Self(Arc::new(Mutex::new(Gathered { is_for_terminal, ..Gathered::default() })))
    }

    /// Prints a text.
    pub(super) fn print(&self, text: &[u8]) -> mlua::Result<()> {
        let mut gathered = self.gathered();
        if gathered.is_for_terminal {
            gathered.add(visible_lines(text).as_bytes());
        } else {
            gathered.add(text);
        }
        if gathered.bytes.len() >= GATHERED_BYTES {
            gathered.write();
        }
        match &gathered.error {
            Some(error) => Err(Error::RuntimeError(format!("cannot print: {error}"))),
            None => Ok(()),
        }
    }

    /// Hands everything to the system.
    pub(super) fn flush(&self) -> Result<(), OutputError> {
        self.gathered().write();
        self.check()
    }

    /// Fails where something could not be printed.
    pub(super) fn check(&self) -> Result<(), OutputError> {
        let error = self.gathered().error.take();
        error.map_or(Ok(()), |error| Err(OutputError::in_writing(Target::Stdout, error)))
    }

    /// How many bytes were printed.
    pub(super) fn bytes(&self) -> u64 {
        self.gathered().all
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.all += bytes.len() as u64;
    }

    /// Writes what is gathered; where that fails it is gone all the same.
    fn write(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.bytes).and_then(|()| stdout.flush());
        self.bytes.clear();
        self.bytes.shrink_to(GATHERED_BYTES);
        self.error = written.err().or(self.error.take());
    }
}
