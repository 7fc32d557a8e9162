//! The index of a folder of payload files: a line for each.
//!
//! Invariant: lines are added whole, at the end, whoever else adds some; what was there stays.

use std::fs::File;
use std::io::{self, Write};

use super::folder::Folder;
use crate::output::json::Json;
use crate::output::record::{Payload, Record};

/// Its name.
pub(super) const NAME: &str = "index.jsonl";

/// Most bytes of lines that wait for room on the disk.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    file: File,
    /// Whether it ends amid a line: another agent was killed, or the disk was full.
    is_broken: bool,
    /// Lines that are not written yet.
    waiting: Vec<u8>,
    pub(super) bytes: u64,
}

impl Index {
    pub(super) fn open(folder: &Folder) -> io::Result<Self> {
        let (file, is_broken) = folder.append(NAME)?;
        Ok(Self { file, is_broken, waiting: Vec::new(), bytes: 0 })
    }

    /// Adds a line. One that finds no room on the disk is written with a later one, unless very many
    /// wait already.
    pub(super) fn add(&mut self, payload: Payload<'_>) -> io::Result<()> {
        if self.waiting.len() >= MAX_WAITING_BYTES {
            self.write()?;
        }
        let (record, before) = (Record::Payload(payload.into()), self.waiting.len());
        Json(&mut self.waiting).record(&record).map_err(|error| {
            self.waiting.truncate(before);
            io::Error::other(error)
        })?;
        self.waiting.push(b'\n');
        self.write()
    }

    /// Writes the lines that wait.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let Self { file, is_broken, waiting, bytes } = self;
        if waiting.is_empty() {
            return Ok(());
        }
        if std::mem::take(is_broken) {
            waiting.insert(0, b'\n');
        }
        // At once, so that no other agent's line comes in between.
        let written = file.write(waiting)?;
        *bytes += written as u64;
        let done = waiting.get(..written).unwrap_or_default();
        let lines = memchr::memrchr(b'\n', done).map_or(0, |end| end + 1);
        *is_broken = lines < written;
        waiting.drain(..lines);
        if waiting.is_empty() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}
