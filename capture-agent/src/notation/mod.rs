//! How what was observed is written: bytes as text, times, names, contents.
//!
//! Invariant: it is the same wherever it is written, and wherever it is asked for.

mod content;
pub(crate) mod escape;
mod names;
pub(crate) mod time;

pub(crate) use content::{content, encoding, text, version};
pub(crate) use names::{FlowName, Url};
