//! What can be wrong with a capture file, each as one line that says what it is and what to do.

use std::{fmt, io};

use super::MAX_RECORD_BYTES;
use super::link::LinkType;

/// A capture file that cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct FileError {
    /// The file as the user named it, fit for a terminal.
    pub name: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl FileError {
    /// Names of files come from archives and downloads too: what steers a terminal is left out.
    pub(super) fn new(name: &str, problem: Problem) -> Self {
        let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        Self { name: name.chars().map(printable).collect(), problem }
    }
}

/// What is wrong with a capture file.
///
/// Offsets count bytes of the capture, after unpacking where the file is packed.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Nothing has this name.
    #[error("there is no such file")]
    Missing,
    /// The user may not read it.
    #[error(
        "permission denied; make it readable for this user, or run this as one who may read it"
    )]
    Denied,
    /// A directory.
    #[error("is a directory; name the capture files in it")]
    Directory,
    /// The system failed to read it.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// No bytes at all.
    #[error("{}is empty; a capture has at least a file header", of_packed(*.0))]
    Empty(Option<Packing>),
    /// Neither pcap nor pcapng.
    #[error("{}is not a pcap or pcapng capture: {looks}", of_packed(*.packing))]
    NotACapture {
        /// How the file is packed.
        packing: Option<Packing>,
        /// What the first bytes look like, as a sentence.
        looks: &'static str,
    },
    /// A format version nobody has defined.
    #[error("is {format} of version {major}, which is not known; only version {known} is")]
    Version {
        /// pcap or pcapng.
        format: &'static str,
        /// The file's major version.
        major: u16,
        /// The major version this reader follows.
        known: u16,
    },
    /// Nothing in the file has a link type that can be read.
    #[error("has link type {0}, which cannot be read; {readable} can", readable = LinkType::READABLE)]
    LinkType(LinkType),
    /// The bytes end inside a header, a record or a block.
    #[error(
        "ends in the middle of the {what} at byte {offset}: the file was cut; everything before was read"
    )]
    Cut {
        /// Header, record or block.
        what: &'static str,
        /// Where it begins.
        offset: u64,
    },
    /// A record or block longer than anything that is captured.
    #[error(
        "the {what} at byte {offset} claims {len} bytes, more than the {MAX_RECORD_BYTES} that any \
         packet can have: the file is damaged there; everything before was read"
    )]
    TooLong {
        /// Record or block.
        what: &'static str,
        /// Where it begins.
        offset: u64,
        /// The length it claims.
        len: u32,
    },
    /// A pcapng block that contradicts itself or the blocks before it.
    #[error("the block at byte {offset} is damaged: {what}; everything before was read")]
    Block {
        /// Where it begins.
        offset: u64,
        /// The contradiction.
        what: &'static str,
    },
    /// The packed bytes end before their own end mark.
    #[error("the {0} data was cut: it ends too early; everything before was read")]
    PackedCut(Packing),
    /// The packed bytes do not unpack.
    #[error("the {packing} data is damaged ({error}); everything before was read")]
    PackedDamaged {
        /// How the file is packed.
        packing: Packing,
        /// What the decoder says.
        error: io::Error,
    },
}

impl Problem {
    /// Whether it is none: nothing more is there yet.
    pub(super) fn is_for_now(&self) -> bool {
        matches!(self, Self::Read(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether the capture ends too early, as that of a program does which is ended amid its work.
    #[must_use]
    pub const fn is_early_end(&self) -> bool {
        matches!(self, Self::Empty(_) | Self::Cut { .. } | Self::PackedCut(_))
    }
}

/// How a capture file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

fn of_packed(packing: Option<Packing>) -> &'static str {
    match packing {
        None => "",
        Some(Packing::Gzip) => "is gzip, and what is in it ",
        Some(Packing::Zstd) => "is zstd, and what is in it ",
    }
}
