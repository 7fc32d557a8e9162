//! Where events leave: one module a format.
//!
//! Invariant: what came from the network is escaped before it is written, so that it can neither
//! steer a terminal nor break a format.

mod all;
mod batch;
mod escape;
pub mod flows;
mod formats;
mod json;
mod jsonl;
mod parcel;
pub mod queue;
pub mod record;
pub mod relay;
mod room;
mod single;
mod style;
pub mod summary;
mod target;
mod text;
mod time;
pub mod transcript;

use std::path::Path;

pub use all::{Consumer, Ended, Outputs, Takes};
pub use single::Output;
pub use target::{OutputError, Target};
pub use text::Verbosity;

/// The formats there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line an exchange, for people.
    Text,
    /// An object a line, for programs.
    Jsonl,
}

impl Format {
    /// The format that the name of a file calls for.
    ///
    /// # Errors
    /// If the name calls for none.
    pub fn of_path(path: &Path) -> Result<Self, OutputError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("txt" | "log") => Ok(Self::Text),
            _ => Err(OutputError::UnknownFormat(path.to_owned())),
        }
    }
}
