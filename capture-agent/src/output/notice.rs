//! What is said of outputs while they are written.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::{OutputError, Target};
use crate::event::Counts;

/// Something about an output that who runs the agent should know at once.
#[derive(Debug)]
pub enum Notice {
    /// Its disk is full; it is tried again.
    Full(Target, io::Error),
    /// It can be written again; so much was lost in all.
    GoesOn(Target, Counts),
    /// It is given up.
    Closed(OutputError),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(target, error) => write!(
                f,
                "cannot write to {target}: {error}; what comes is lost until there is room again"
            ),
            Self::GoesOn(target, lost) => {
                write!(f, "{target} is written again; {lost} missing so far")
            }
            Self::Closed(error) => write!(f, "{error}; the other outputs go on"),
        }
    }
}

type Told = dyn Fn(&Notice) + Send + Sync;

/// Who is told.
#[derive(Clone, Default)]
pub(super) struct Report(Option<Arc<Told>>);

impl Report {
    pub(super) fn to(who: impl Fn(&Notice) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(who)))
    }

    pub(super) fn say(&self, notice: &Notice) {
        if let Some(who) = &self.0 {
            who(notice);
        }
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report")
    }
}
