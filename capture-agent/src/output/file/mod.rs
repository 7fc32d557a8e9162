//! Where an output's records go: to a file, to one file after the other, or to what takes bytes one
//! after the other. Only whole records are handed on.

mod guardian;
mod packer;
mod regular;
pub(super) mod rules;
mod series;
pub(super) mod stream;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, RawFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) use guardian::Guardian;
use packer::Coding;
use regular::{Before, Regular};
use rules::{Clock, Rotation, Rules};
use rustix::io::{FdFlags, fcntl_getfd};
use series::Series;
use stream::{Descriptor, RawWrite, Stream};

use super::{OutputError, Target};
use crate::segment::Timestamp;

/// How long what is compressed may wait for more before it can be read.
pub(super) const READABLE: Duration = Duration::from_secs(1);

/// Bytes that are gathered before they are written.
const GATHERED_BYTES: usize = 64 << 10;
/// The same where they are compressed: what makes them readable costs some bytes each time.
const PACKED_BYTES: usize = 1 << 20;

/// Where records go.
#[derive(Debug)]
pub(super) struct Files {
    place: Place,
    rotation: Rotation,
    clock: Clock,
    /// When the file was begun.
    begun: Timestamp,
}

#[derive(Debug)]
enum Place {
    Stream(Stream),
    One(Regular),
    Many { series: Series, coding: Coding, file: Option<Regular>, guardian: Option<Arc<Guardian>> },
}

impl Files {
    /// Where a target wants them; `frame` is what a whole file without records holds. What is in a file
    /// stays until the first commit. The guardian is asked for where there is something to guard.
    pub(super) fn open(
        target: &Target,
        rules: &Rules,
        frame: &[u8],
        guardian: impl FnOnce() -> io::Result<Option<Arc<Guardian>>>,
    ) -> Result<Self, OutputError> {
        let failed = |error| OutputError::Open { target: target.clone(), error };
        let Target::File(path) = target else {
            let stdout = Descriptor::shared(io::stdout().as_fd(), rules.stop.clone());
            return Ok(Self::to(Box::new(stdout.map_err(failed)?), Coding::Plain, rules));
        };
        let coding = Coding::of_path(path);
        if let Some(descriptor) = inherited(path, rules).map_err(failed)? {
            return Ok(Self::to(Box::new(descriptor), coding, rules));
        }
        let is_special = fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir());
        if rules.rotation.is_wanted() && !is_special {
            let series = Series::new(path, rules.keep).map_err(failed)?;
            let guardian = guardian().map_err(failed)?;
            return Ok(Self::new(Place::Many { series, coding, file: None, guardian }, rules));
        }
        let (file, before) = open_file(path).map_err(|error| no_reader(target, path, error))?;
        if !file.metadata().map_err(failed)?.is_file() {
            let descriptor = Descriptor::new(file, rules.stop.clone());
            return Ok(Self::to(Box::new(descriptor), coding, rules));
        }
        let guardian = guardian().map_err(failed)?;
        let file = Regular::anew(file, coding, frame, guardian, before);
        Ok(Self::new(Place::One(file), rules))
    }

    fn new(place: Place, rules: &Rules) -> Self {
        let (rotation, clock) = (rules.rotation, rules.clock);
        Self { place, rotation, clock, begun: Timestamp::default() }
    }

    fn to(writer: Box<dyn RawWrite>, coding: Coding, rules: &Rules) -> Self {
        Self::new(Place::Stream(Stream::new(writer, coding)), rules)
    }

    /// To what takes bytes one after the other.
    #[cfg(test)]
    pub(super) fn stream(writer: Box<dyn RawWrite>) -> Self {
        Self::to(writer, Coding::Plain, &Rules::default())
    }

    /// Whether a disk that is full may have room again.
    pub(super) const fn may_recover(&self) -> bool {
        matches!(self.clock, Clock::Wall) && !matches!(self.place, Place::Stream(_))
    }

    /// Whether it goes on from one file to the next.
    pub(super) const fn rotates(&self) -> bool {
        matches!(self.place, Place::Many { .. })
    }

    /// Whether it is no file on a disk.
    pub(super) const fn is_stream(&self) -> bool {
        matches!(self.place, Place::Stream(_))
    }

    /// Whether there is a file.
    pub(super) const fn has_begun(&self) -> bool {
        !matches!(self.place, Place::Many { file: None, .. })
    }

    /// Whether the next record is to be in a new file, with so many bytes on their way to this one.
    pub(super) fn is_over(&self, gathered: usize, now: Timestamp) -> bool {
        let Place::Many { file, .. } = &self.place else { return false };
        let Some(file) = file else { return true };
        let gathered = if file.compresses() { 0 } else { gathered as u64 };
        let is_large = |size| file.committed() + gathered >= size;
        // Also where the clock was set back, or it would never be.
        let is_old = |after: Duration| {
            now < self.begun || u128::from(now.nanos_since(self.begun)) >= after.as_nanos()
        };
        self.rotation.size.is_some_and(is_large) || self.rotation.time.is_some_and(is_old)
    }

    /// Goes on in a new file, where the place has several; `frame` as above. The one before is whole.
    pub(super) fn begin(&mut self, time: Timestamp, frame: &[u8]) -> io::Result<()> {
        if let Place::Many { series, coding, file, guardian } = &mut self.place {
            *file = None;
            *file = Some(Regular::new(series.begin(time)?, *coding, frame, guardian.as_ref()));
            self.begun = time;
        }
        Ok(())
    }

    /// Adds whole records: all of them, or none to a file on a disk. `end` ends the file there until
    /// the next ones.
    pub(super) fn commit(&mut self, records: &[u8], end: &[u8]) -> io::Result<()> {
        match &mut self.place {
            Place::Stream(stream) => stream.write(records),
            Place::One(file) | Place::Many { file: Some(file), .. } => file.commit(records, end),
            Place::Many { .. } => Ok(()),
        }
    }

    /// Ends what has no end yet.
    pub(super) fn finish(&mut self, end: &[u8]) -> io::Result<()> {
        match &mut self.place {
            Place::Stream(stream) => stream.finish(end),
            Place::One(_) | Place::Many { .. } => Ok(()),
        }
    }

    /// How many bytes are to be gathered before they are written.
    pub(super) fn gather(&self) -> usize {
        if !self.compresses() {
            return GATHERED_BYTES;
        }
        let size = self.rotation.size.and_then(|size| usize::try_from(size).ok());
        size.map_or(PACKED_BYTES, |size| size.clamp(1, PACKED_BYTES))
    }

    pub(super) fn compresses(&self) -> bool {
        match &self.place {
            Place::Stream(stream) => stream.compresses(),
            Place::One(file) => file.compresses(),
            Place::Many { coding, .. } => *coding != Coding::Plain,
        }
    }
}

/// Heads and bodies are nobody else's business: a new file is its owner's alone. What is in one that
/// is there stays, for now. A FIFO without a reader is an error.
fn open_file(path: &Path) -> io::Result<(File, Before)> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.create_new(true).open(path) {
        Ok(file) => Ok((file, Before::Nothing(path.to_owned()))),
        // A link that leads nowhere is there too.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = options.create_new(false).create(true).open(path)?;
            Ok((file, Before::Other))
        }
        Err(error) => Err(error),
    }
}

fn no_reader(target: &Target, path: &Path, error: io::Error) -> OutputError {
    let is_fifo = || fs::metadata(path).is_ok_and(|there| there.file_type().is_fifo());
    if error.raw_os_error() == Some(libc::ENXIO) && is_fifo() {
        OutputError::NoReader(target.clone())
    } else {
        OutputError::Open { target: target.clone(), error }
    }
}

/// What the agent was started with: opened anew, a file would be cut, and written from its beginning.
fn inherited(path: &Path, rules: &Rules) -> io::Result<Option<Descriptor>> {
    let number = match path.to_str() {
        Some("/dev/stdout") => Some(1),
        Some("/dev/stderr") => Some(2),
        Some(path) => ["/dev/fd/", "/proc/self/fd/"].iter().find_map(|folder| {
            let number = path.strip_prefix(folder)?;
            // The kernel knows no sign and no zeros before.
            number.parse::<RawFd>().ok().filter(|parsed| parsed.to_string() == number)
        }),
        None => None,
    };
    let Some(number) = number.filter(|number| *number >= 0) else { return Ok(None) };
    // SAFETY: Only borrowed to ask the kernel whether it is open, and to duplicate it. Nothing in the
    // agent closes what it has inherited: its own descriptors all have CLOEXEC, and are left alone.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    match fcntl_getfd(descriptor) {
        Ok(flags) if !flags.contains(FdFlags::CLOEXEC) => {
            Descriptor::shared(descriptor, rules.stop.clone()).map(Some)
        }
        // Opened by its path, it says what is wrong.
        _ => Ok(None),
    }
}
