//! What takes bytes one after the other and never gives them back: standard output, a FIFO, a
//! terminal, a device.
//!
//! Invariant: who has asked for the end of the agent waits for a reader that does not read for
//! [`PATIENCE`] at most.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::packer::{Coding, Packer};
use super::rules::Stop;
use crate::output::aside;

/// How long a reader may take nothing once the agent is to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked whether the agent is to end.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

pub(in crate::output) trait RawWrite: Write + Send + std::fmt::Debug {}
impl<W: Write + Send + std::fmt::Debug> RawWrite for W {}

#[derive(Debug)]
pub(super) struct Stream {
    writer: Box<dyn RawWrite>,
    packer: Packer,
}

impl Stream {
    pub(super) fn new(writer: Box<dyn RawWrite>, coding: Coding) -> Self {
        Self { writer, packer: Packer::new(coding) }
    }

    pub(super) fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let packed = self.packer.pack(records)?;
        self.writer.write_all(&packed)?;
        self.writer.flush()
    }

    pub(super) fn finish(&mut self, end: &[u8]) -> io::Result<()> {
        self.writer.write_all(&self.packer.tail(end))?;
        self.writer.flush()
    }

    pub(super) fn compresses(&self) -> bool {
        self.packer.compresses()
    }
}

/// An open file that writing may have to wait for.
#[derive(Debug)]
pub(super) struct Descriptor {
    file: File,
    is_terminal: bool,
    stop: Stop,
}

impl Descriptor {
    /// Of what was opened to return where it would have to wait, or never lets anyone wait.
    pub(super) fn new(file: File, stop: Stop) -> Self {
        Self { is_terminal: file.is_terminal(), file, stop }
    }

    /// Of what others write to as well: what they rely on is not changed.
    pub(super) fn shared(descriptor: BorrowedFd<'_>, stop: Stop) -> io::Result<Self> {
        let own = File::from(descriptor.try_clone_to_owned()?);
        let kind = own.metadata()?.file_type();
        if !kind.is_fifo() && !kind.is_char_device() {
            return Ok(Self::new(own, stop));
        }
        // A way of our own to the same pipe or terminal, which alone does not block.
        let path = format!("/proc/self/fd/{}", own.as_raw_fd());
        let file = open_to_wait(Path::new(&path)).unwrap_or(own);
        Ok(Self::new(file, stop))
    }

    /// Waits until more can be written, unless the reader holds up the agent's end.
    fn wait(&self) -> io::Result<()> {
        let mut deadline = None;
        loop {
            let mut polled = [PollFd::new(&self.file, PollFlags::OUT)];
            match poll(&mut polled, Some(&LOOK)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if self.stop.is_set() {
                let deadline = deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
                if Instant::now() >= *deadline {
                    let says = "its reader has stopped reading";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, says));
                }
            }
        }
    }
}

/// Opens what is there already, to return instead of waiting for a reader.
fn open_to_wait(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

impl Write for Descriptor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                result => return result,
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_terminal && !bytes.is_empty() {
            // All at once: a line that steps aside must not come back amid another one.
            return aside::write(|| write_whole(self, bytes));
        }
        write_whole(self, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As [`Write::write_all`] has it for writers that have none of their own.
fn write_whole(writer: &mut Descriptor, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match writer.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
