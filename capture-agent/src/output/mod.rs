//! Where events leave: one module a format.
//!
//! Invariant: what came from the network is escaped before it is written, so that it can neither
//! steer a terminal nor break a format.

mod all;
pub mod aside;
mod batch;
mod curl;
mod file;
pub mod flows;
mod format;
mod formats;
#[cfg(test)]
mod framed;
mod har;
mod hex;
mod json;
mod jsonl;
mod notice;
mod opener;
mod parcel;
mod payload;
pub mod pcapng;
mod progress;
pub mod queue;
pub mod record;
pub mod recording;
pub mod relay;
mod room;
mod single;
pub mod style;
pub mod summary;
mod target;
pub mod terminal;
mod text;
pub mod transcript;
mod untold;

use crate::notation::{escape, time};
pub use all::{Consumer, Ended, Outputs, Takes};
pub(crate) use batch::weight;
pub use file::rules::{Clock, Rotation, Rules, Stop};
pub use format::Format;
pub(crate) use jsonl::line as json_line;
pub use notice::Notice;
pub use opener::Opener;
pub use payload::PayloadFiles;
pub use progress::{Progress, QueueDepth};
pub use single::Output;
pub use target::{OutputError, Target};
pub use terminal::Screen;
pub use text::Verbosity;
