//! DEFLATE (RFC 1951), bare or with the wrapping of zlib (RFC 1950).
//!
//! Invariants: a reference to before the first byte is an error; so is the sum of zlib where it
//! is wrong. The window grows with what is decoded, so a short body costs little.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_PARSE_ZLIB_HEADER,
    TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::{DecodeError, Out};

/// How far back a reference may go (RFC 1951 section 2).
const HISTORY_BYTES: usize = 32 << 10;
const FIRST_WINDOW_BYTES: usize = 4 << 10;
/// The history, and room for what comes before it is moved to the front.
const MAX_WINDOW_BYTES: usize = HISTORY_BYTES + (16 << 10);

/// What stands around the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Wrapping {
    /// Nothing.
    Raw,
    /// The header and the checksum of zlib.
    Zlib,
}

/// Decodes DEFLATE.
pub(in crate::http) struct Inflate {
    core: Box<DecompressorOxide>,
    wrapping: Wrapping,
    /// What has come out, or the end of it, at the front.
    window: Vec<u8>,
    filled: usize,
    done: bool,
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { wrapping, filled, done, .. } = self;
        write!(f, "Inflate {{ wrapping: {wrapping:?}, filled: {filled}, done: {done}, .. }}")
    }
}

impl Inflate {
    pub(in crate::http) fn new(wrapping: Wrapping) -> Self {
        Self { core: Box::default(), wrapping, window: Vec::new(), filled: 0, done: false }
    }

    /// Forgets everything but the memory that it has.
    pub(in crate::http) fn reset(&mut self, wrapping: Wrapping) {
        self.core.init();
        self.wrapping = wrapping;
        self.filled = 0;
        self.done = false;
    }

    /// Forgets that the last block was the last one: more blocks follow, with the same history.
    pub(in crate::http) fn go_on(&mut self) {
        self.core.init();
        self.done = false;
    }

    /// Whether the last block has ended, and what zlib puts after it.
    pub(in crate::http) fn is_done(&self) -> bool {
        self.done
    }

    /// Decodes bytes; returns those that come after the end.
    pub(in crate::http) fn push<'a>(
        &mut self,
        bytes: &'a [u8],
        out: &mut Out<'_>,
    ) -> Result<&'a [u8], DecodeError> {
        let mut flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        if self.wrapping == Wrapping::Zlib {
            flags |= TINFL_FLAG_PARSE_ZLIB_HEADER;
        }
        let mut rest = bytes;
        while !self.done {
            self.make_room();
            let (status, read, written) =
                decompress(&mut self.core, rest, &mut self.window, self.filled, flags);
            rest = rest.get(read..).unwrap_or_default();
            let fresh = self.filled..self.filled + written;
            self.filled = fresh.end;
            if let Some(fresh) = self.window.get(fresh).filter(|fresh| !fresh.is_empty()) {
                out(fresh)?;
            }
            match status {
                TINFLStatus::Done => self.done = true,
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput => break,
                _ => return Err(DecodeError::Malformed),
            }
        }
        Ok(rest)
    }

    /// Makes room after what has come out, where there is none.
    fn make_room(&mut self) {
        if self.filled < self.window.len() {
            return;
        }
        let len = self.window.len();
        if len < MAX_WINDOW_BYTES {
            let more = (len * 2).clamp(FIRST_WINDOW_BYTES, MAX_WINDOW_BYTES);
            self.window.reserve_exact(more - len);
            self.window.resize(more, 0);
        } else {
            self.window.copy_within(len - HISTORY_BYTES.., 0);
            self.filled = HISTORY_BYTES;
        }
    }

    /// Bytes of memory beside its own size.
    pub(in crate::http) fn memory(&self) -> usize {
        size_of::<DecompressorOxide>() + self.window.capacity()
    }
}
