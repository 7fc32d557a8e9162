//! A bounded window on a stream of bytes: the one buffer between a capture file and the segments.
//!
//! Invariants: records lie in the buffer in one piece, and a packet is a range of it that stays
//! valid until more is asked for; the buffer never grows beyond what a caller asks to see, so
//! callers check a length before they ask. Where the reader fails for now, nothing is taken, and what
//! it gave before is kept.

use std::io::{ErrorKind, Read};
use std::ops::Range;

use super::error::{Packing, Problem};

/// Large enough that system calls do not count, small enough for a core's own cache.
const INITIAL_BYTES: usize = 256 * 1024;

pub(super) struct Window {
    reader: Box<dyn Read + Send>,
    packing: Option<Packing>,
    buffer: Vec<u8>,
    /// What was read and not yet taken.
    unread: Range<usize>,
    /// Bytes of the stream before `unread`.
    offset: u64,
}

impl Window {
    pub(super) fn new(reader: Box<dyn Read + Send>, packing: Option<Packing>) -> Self {
        Self { reader, packing, buffer: vec![0; INITIAL_BYTES], unread: 0..0, offset: 0 }
    }

    pub(super) const fn packing(&self) -> Option<Packing> {
        self.packing
    }

    /// How many bytes were taken.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `len` bytes, fewer only at the end of the stream.
    pub(super) fn peek(&mut self, len: usize) -> Result<&[u8], Problem> {
        if self.unread.len() < len {
            self.fill(len)?;
        }
        let end = self.unread.end.min(self.unread.start + len);
        Ok(self.bytes(self.unread.start..end))
    }

    /// The next `N` bytes, or `None` where the stream ends before.
    pub(super) fn peek_array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Problem> {
        Ok(self.peek(N)?.first_chunk().copied())
    }

    /// Takes the next `len` bytes, or `None` where the stream ends before.
    pub(super) fn take(&mut self, len: usize) -> Result<Option<Range<usize>>, Problem> {
        if self.peek(len)?.len() < len {
            return Ok(None);
        }
        let start = self.unread.start;
        self.unread.start += len;
        self.offset += len as u64;
        Ok(Some(start..self.unread.start))
    }

    /// What was read and not yet taken.
    #[inline]
    pub(super) fn at_hand(&self) -> &[u8] {
        self.bytes(self.unread.clone())
    }

    /// Takes the next `len` bytes, if they need not be read first.
    #[inline]
    pub(super) fn take_at_hand(&mut self, len: usize) -> Option<Range<usize>> {
        if self.unread.len() < len {
            return None;
        }
        let start = self.unread.start;
        self.unread.start += len;
        self.offset += len as u64;
        Some(start..self.unread.start)
    }

    /// Takes `left` bytes without holding them; `false` where the stream ends before. Where that
    /// fails for now, `left` says how many are still to be taken.
    pub(super) fn skip(&mut self, left: &mut usize) -> Result<bool, Problem> {
        while *left > 0 {
            let step = self.peek((*left).min(INITIAL_BYTES))?.len();
            if step == 0 {
                return Ok(false);
            }
            self.unread.start += step;
            self.offset += step as u64;
            *left -= step;
        }
        Ok(true)
    }

    /// What was taken last, as long as nothing more was asked for.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// Reads until `len` bytes are there or the stream ends, and no further than one read goes:
    /// what a pipe has delivered is not held back.
    #[cold]
    fn fill(&mut self, len: usize) -> Result<(), Problem> {
        if self.unread.start > 0 {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        while self.unread.end < len {
            let Some(space) = self.buffer.get_mut(self.unread.end..) else { break };
            match self.reader.read(space) {
                Ok(0) => break,
                Ok(count) => self.unread.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.problem(error)),
            }
        }
        Ok(())
    }

    fn problem(&self, error: std::io::Error) -> Problem {
        match self.packing {
            None => Problem::Read(error),
            Some(_) if error.kind() == ErrorKind::WouldBlock => Problem::Read(error),
            Some(packing) if error.kind() == ErrorKind::UnexpectedEof => {
                Problem::PackedCut(packing)
            }
            Some(packing) => Problem::PackedDamaged { packing, error },
        }
    }
}
