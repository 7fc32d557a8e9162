//! Where events leave: one module a format.
//!
//! Invariant: what came from the network is escaped before it is written, so that it can neither
//! steer a terminal nor break a format.

mod all;
mod batch;
pub mod flows;
mod format;
mod formats;
#[cfg(test)]
mod framed;
mod har;
mod json;
mod jsonl;
mod parcel;
mod payload;
pub mod pcapng;
pub mod queue;
pub mod record;
pub mod recording;
pub mod relay;
mod room;
mod single;
mod style;
pub mod summary;
mod target;
mod text;
pub mod transcript;
mod untold;

use crate::notation::{escape, time};
pub use all::{Consumer, Ended, Outputs, Takes};
pub use format::Format;
pub use payload::PayloadFiles;
pub use single::Output;
pub use target::{OutputError, Target};
pub use text::Verbosity;
