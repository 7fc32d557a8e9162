//! Where an output goes, and what can be wrong there.

use std::io;
use std::path::PathBuf;

use super::Format;

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
    #[error(
        "cannot tell the format of '{}' by its name: end it in one of {}, or put one of {} and a \
         colon before it", .0.display(), Format::known().0, Format::known().1
    )]
    UnknownFormat(PathBuf),
    /// It could not be opened.
    #[error("cannot write to {target}: {error}")]
    Open {
        /// Where to.
        target: Target,
        /// Why.
        error: io::Error,
    },
    /// It is a FIFO that nobody reads.
    #[error("cannot write to {0}: nobody reads this FIFO; start what reads it first")]
    NoReader(Target),
    /// It could not be written any further.
    #[error("cannot write to {target}: {error}; what came before is there")]
    Write {
        /// Where to.
        target: Target,
        /// Why.
        error: io::Error,
    },
    /// A consumer has what it wants: the capture is to end, and nothing has failed.
    #[error("no more is wanted")]
    Enough,
    /// A consumer can't go on: the capture is to end, and the other outputs end well.
    #[error("{0}")]
    Consumer(Box<dyn std::error::Error + Send + Sync>),
    /// It was written to the end, but not with everything.
    #[error("{lost} missing in {target}: {why}")]
    Lost {
        /// Where to.
        target: Target,
        /// What is missing, in words.
        lost: String,
        /// What was wrong first.
        why: String,
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
