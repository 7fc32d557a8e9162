//! What came of events and segments in the end: in outputs, and in a recording.

use super::events::{Counts, RawCounts};

/// What one output has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Where to: a path, or `-`.
    pub output: String,
    /// Exchanges.
    pub exchanges: u64,
    /// Flow summaries.
    pub flows: u64,
    /// Messages of WebSockets.
    pub messages: u64,
    /// Bytes, in all.
    pub bytes: u64,
    /// What it was given of what is for consumers alone; `None` where it takes none of that.
    pub raw: Option<RawCounts>,
    /// Events that came to it and that it has no use for: a kind of which it shows nothing, or has
    /// no record, or after the end that a script has asked for.
    pub left_out: Counts,
    /// What it was to write, and could not.
    pub lost: Counts,
    /// Of a script, how often it has failed, where that does not end it.
    pub errors: Option<u64>,
    /// Payload files, where that is what it writes.
    pub files: Option<FilesWritten>,
}

/// What has become of the bodies that were to be saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilesWritten {
    /// Files with a whole body.
    pub whole: u64,
    /// Files with a part of one.
    pub partial: u64,
    /// Files that were removed, because their exchanges were not among those that are shown.
    pub removed: u64,
    /// Bytes of bodies that were written, in files that were removed too.
    pub content_bytes: u64,
    /// Bytes of bodies that could not be written.
    pub failed_bytes: u64,
}

/// What became of the segments that a recording was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Where to: a path.
    pub output: String,
    /// Segments in the recording.
    pub segments: u64,
    /// Segments left out because it could not keep up.
    pub dropped: u64,
    /// Segments left out because the file could not be written any more.
    pub failed: u64,
}
