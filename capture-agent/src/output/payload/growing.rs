//! A payload file while it grows.
//!
//! Invariants: each byte stands at its place in the body, and what is missing is a hole; the
//! digest is of a file without holes, or there is none; however many files grow, no more than
//! [`MAX_OPEN`] are open.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest as _, Sha256};

use super::folder::{Folder, Identity};
use super::name::Name;
use crate::event::BodyKey;
use crate::http::BodyPart;
use crate::segment::Timestamp;

/// Most files that are open at a time: a process may have 1,024 by default, for all it does.
const MAX_OPEN: usize = 256;

/// Bytes at its beginning by which the type of a body is told.
const FIRST_BYTES: usize = 512;

/// Most holes of a file that are listed: stops a body of nothing else.
const MAX_HOLES: usize = 64;

/// Bytes that are not in a file, and where they would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHole {
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// A body that comes in, and its file.
#[derive(Debug)]
pub(super) struct Growing {
    /// When its exchange began, as far as was known when it did.
    pub(super) time: Timestamp,
    /// What the file is called now.
    pub(super) file: String,
    pub(super) identity: Identity,
    pub(super) first: Vec<u8>,
    pub(super) holes: Vec<FileHole>,
    /// Bytes that have come, written or not.
    pub(super) received: u64,
    /// Where the last byte ends that was written.
    pub(super) end: u64,
    /// Whether some could not be written; nothing more is.
    pub(super) has_failed: bool,
    digest: Option<Sha256>,
}

impl Growing {
    /// Makes the file of a body that will be called so.
    pub(super) fn begin(
        folder: &Folder,
        name: &Name,
        serial: u64,
        time: Timestamp,
    ) -> io::Result<(Self, File)> {
        let part = |number| format!("{}.part", name.numbered(number, serial));
        let (file_name, file, identity) = folder.create(part)?;
        let growing = Self {
            time,
            file: file_name,
            identity,
            first: Vec::new(),
            holes: Vec::new(),
            received: 0,
            end: 0,
            has_failed: false,
            digest: Some(Sha256::new()),
        };
        Ok((growing, file))
    }

    /// Writes a part to its place.
    pub(super) fn write(&mut self, file: &File, part: &BodyPart) -> io::Result<()> {
        let (offset, bytes) = (part.offset, part.bytes.as_slice());
        file.write_all_at(bytes, offset)?;
        if offset > self.end {
            self.digest = None;
            if self.holes.len() < MAX_HOLES {
                self.holes.push(FileHole { offset: self.end, bytes: offset - self.end });
            }
        }
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
            let room = FIRST_BYTES.saturating_sub(self.first.len()).min(bytes.len());
            self.first.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
        self.end = offset + bytes.len() as u64;
        Ok(())
    }

    /// SHA-256 of the file, in hexadecimal digits.
    pub(super) fn sha256(&mut self) -> Option<String> {
        let digest = self.digest.take().filter(|_| !self.has_failed)?.finalize();
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Files that are open.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    files: HashMap<BodyKey, (File, u64)>,
    /// Counts uses.
    now: u64,
}

impl OpenFiles {
    /// Keeps a file open that has just been used; closes the one that has not been for longest where
    /// there are too many.
    pub(super) fn keep(&mut self, body: BodyKey, file: File) {
        if self.files.len() >= MAX_OPEN {
            let oldest =
                self.files.iter().min_by_key(|(_, (_, used))| *used).map(|(body, _)| *body);
            oldest.and_then(|oldest| self.files.remove(&oldest));
        }
        self.now += 1;
        self.files.insert(body, (file, self.now));
    }

    /// The file of a body, for as long as it is used.
    pub(super) fn take(&mut self, body: BodyKey) -> Option<File> {
        self.files.remove(&body).map(|(file, _)| file)
    }
}
