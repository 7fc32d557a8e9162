//! One file on a disk, which is whole after each commit.
//!
//! Invariants: what was committed, and the tail behind it, are a whole file of the format; the next
//! commit overwrites the tail; one that fails leaves the file as it was before. A guardian knows
//! what was committed, and puts that right where the agent is gone amid a commit. What was in the
//! file before stays until the first commit; where there is none, nothing has changed.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::{Errno, pwritev};

use super::guardian::{Guarded, Guardian};
use super::packer::{Coding, Packer};

#[derive(Debug)]
pub(super) struct Regular {
    file: File,
    /// Bytes of it that stay.
    committed: u64,
    /// What stands behind them.
    tail: Vec<u8>,
    packer: Packer,
    guarded: Option<Guarded>,
    /// `None` after the first commit has begun.
    before: Option<Before>,
    /// Who is to guard it then.
    guardian: Option<Arc<Guardian>>,
}

/// What was there before the first commit.
#[derive(Debug)]
pub(super) enum Before {
    /// A file with something else in it, which may be anybody's to read.
    Other,
    /// Nothing under this name.
    Nothing(PathBuf),
}

impl Regular {
    /// An empty file; `frame` is what a whole one without records holds.
    pub(super) fn new(
        file: File,
        coding: Coding,
        frame: &[u8],
        guardian: Option<&Arc<Guardian>>,
    ) -> Self {
        let packer = Packer::new(coding);
        let tail = packer.tail(frame);
        let guarded = guardian.and_then(|guardian| guardian.guard(&file, &tail));
        Self { file, committed: 0, tail, packer, guarded, before: None, guardian: None }
    }

    /// A file that was opened as it is, and is made anew by the first commit.
    pub(super) fn anew(
        file: File,
        coding: Coding,
        frame: &[u8],
        guardian: Option<Arc<Guardian>>,
        before: Before,
    ) -> Self {
        let mut opened = Self::new(file, coding, frame, None);
        (opened.before, opened.guardian) = (Some(before), guardian);
        opened
    }

    /// Makes the file anew, once.
    fn begin(&mut self) -> io::Result<()> {
        if self.before.is_none() {
            return Ok(());
        }
        // First of all: who is gone after it leaves a whole file.
        let guardian = self.guardian.take();
        self.guarded = guardian.and_then(|guardian| guardian.guard(&self.file, &self.tail));
        self.file.set_len(0)?;
        self.file.set_permissions(Permissions::from_mode(0o600))?;
        self.before = None;
        Ok(())
    }

    /// Adds whole records; `end` ends the file until the next ones.
    pub(super) fn commit(&mut self, records: &[u8], end: &[u8]) -> io::Result<()> {
        self.begin()?;
        let packed = self.packer.pack(records)?;
        let tail = self.packer.tail(end);
        let written = write_at(&self.file, self.committed, [&packed, &tail]);
        let added = packed.len() as u64;
        if let Err(error) = written {
            self.packer.give_up();
            self.mend();
            return Err(error);
        }
        self.packer.keep();
        self.committed += added;
        self.tail = tail;
        if let Some(guarded) = &self.guarded {
            guarded.publish(self.committed, &self.tail);
        }
        Ok(())
    }

    /// Makes the file what it was after the last commit. The tail comes first: it had its place on
    /// the disk, which may be full.
    fn mend(&self) {
        let is_whole = self.file.write_all_at(&self.tail, self.committed).is_ok();
        let tail = if is_whole { self.tail.len() as u64 } else { 0 };
        let _ = self.file.set_len(self.committed + tail);
    }

    /// Bytes of it that stay.
    pub(super) const fn committed(&self) -> u64 {
        self.committed
    }

    pub(super) fn compresses(&self) -> bool {
        self.packer.compresses()
    }
}

impl Drop for Regular {
    fn drop(&mut self) {
        let Some(Before::Nothing(path)) = self.before.take() else { return };
        // Somebody else's file may have its name by now.
        let identity = |it: &Metadata| (it.dev(), it.ino());
        let ours = self.file.metadata().map(|it| (identity(&it), it.len()));
        let there = fs::symlink_metadata(&path).map(|it| (identity(&it), 0));
        if ours.is_ok_and(|ours| there.is_ok_and(|there| ours == there)) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Writes all of both, by one call if the system takes it: who reads meanwhile sees a whole file.
fn write_at(file: &File, at: u64, [first, second]: [&[u8]; 2]) -> io::Result<()> {
    let mut slices = [IoSlice::new(first), IoSlice::new(second)];
    let (mut slices, mut at) = (&mut slices[..], at);
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match pwritev(file, slices, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                IoSlice::advance_slices(&mut slices, count);
                at += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
