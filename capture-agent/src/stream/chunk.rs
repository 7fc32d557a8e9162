//! What comes out of a stream.

use super::Disorder;
use crate::segment::{Missing, Timestamp};

/// What is known of the segment that bytes came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// When it was seen.
    pub time: Timestamp,
    /// How far into the other direction its sender had acknowledged: a stream offset.
    pub acked: u64,
    /// Whether another copy of some of its bytes differed.
    pub conflict: bool,
    /// How it stood with the stream when the bytes came out, this segment included; filled in by
    /// the stream.
    pub disorder: Disorder,
}

/// What comes out of a stream, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// Bytes as they were sent.
    Data {
        /// Stream offset of the first one.
        offset: u64,
        /// The bytes: never empty, and all of one segment.
        bytes: &'a [u8],
        /// The segment they came in.
        mark: Mark,
    },
    /// Bytes that were sent and are not here.
    Gap {
        /// Stream offset of the first one.
        offset: u64,
        /// How many: never 0.
        len: u64,
        /// Why.
        missing: Missing,
        /// When the last of them was seen, of those that were.
        time: Option<Timestamp>,
        /// How it stood with the stream by then.
        disorder: Disorder,
    },
}
