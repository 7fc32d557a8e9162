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

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    file: File,
    /// Whether it ends amid a line: another agent was killed, or the disk was full.
    is_broken: bool,
    line: Vec<u8>,
    pub(super) bytes: u64,
}

impl Index {
    pub(super) fn open(folder: &Folder) -> io::Result<Self> {
        let (file, is_broken) = folder.append(NAME)?;
        Ok(Self { file, is_broken, line: Vec::new(), bytes: 0 })
    }

    /// Adds a line.
    pub(super) fn add(&mut self, payload: Payload<'_>) -> io::Result<()> {
        let Self { file, is_broken, line, bytes } = self;
        line.clear();
        if *is_broken {
            line.push(b'\n');
        }
        Json(line).record(&Record::Payload(payload.into())).map_err(io::Error::other)?;
        line.push(b'\n');
        // At once, so that no other agent's line comes in between.
        let written = file.write(line)?;
        *bytes += written as u64;
        *is_broken = written < line.len() && (*is_broken || written > 0);
        if written < line.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}
