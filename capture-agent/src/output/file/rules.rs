//! How files grow: what is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::segment::Timestamp;

/// When an output goes on in a new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Once a file has so many bytes, on the disk.
    pub size: Option<u64>,
    /// So long after a file was begun.
    pub time: Option<Duration>,
}

impl Rotation {
    /// Whether it is asked for at all.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.size.is_some() || self.time.is_some()
    }
}

/// Whose time it is, and what follows from that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// That of packets: the same files come out whenever a capture file is read. An output that can't
    /// be written is given up.
    #[default]
    Packets,
    /// That of the wall, as it passes: what was written can be read soon after. An output whose disk
    /// is full is tried again.
    Wall,
}

impl Clock {
    /// The time it is, where the latest packet came at `latest`.
    pub(in crate::output) fn now(self, latest: Timestamp) -> Timestamp {
        match self {
            Self::Packets => latest,
            Self::Wall => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
            }
        }
    }
}

/// How files grow.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// When an output goes on in a new file.
    pub rotation: Rotation,
    /// How many files of an output are kept; all where that is `None`.
    pub keep: Option<usize>,
    /// Whose time it is.
    pub clock: Clock,
    /// Whether a process makes files whole when this one is gone amid a write.
    pub guarded: bool,
    /// Whether the end was asked for.
    pub stop: Stop,
}

/// Set once the agent is to end: then nobody is waited for any longer.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether the agent is to end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks for the end; whether that was asked for before.
    #[must_use]
    pub fn set(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }
}
