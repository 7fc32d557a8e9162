//! A message as bytes of a stream, which need not be in memory at once.

use std::collections::VecDeque;
use std::ops::Range;

use super::content::{Arena, Content, Part};

/// A chunk goes out when it has at least so many bytes, as a server's buffer would.
const CHUNK_BYTES: usize = 4 << 10;

/// A message: slices of the arena and of its own bytes, by offset.
#[derive(Default)]
pub(super) struct Message {
    own: Vec<u8>,
    /// Where each piece begins, and what it is; ordered.
    pieces: Vec<(u64, Piece)>,
    len: u64,
}

enum Piece {
    Arena(Range<usize>),
    Own(Range<usize>),
}

impl Message {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn own(&mut self, bytes: &[u8]) {
        let from = self.own.len();
        self.own.extend_from_slice(bytes);
        self.push(Piece::Own(from..self.own.len()), bytes.len());
    }

    fn push(&mut self, piece: Piece, len: usize) {
        if len > 0 {
            self.pieces.push((self.len, piece));
            self.len += len as u64;
        }
    }

    fn part(&mut self, part: Part) {
        match part {
            Part::Arena(range) => {
                let len = range.len();
                self.push(Piece::Arena(range), len);
            }
            Part::Own(bytes) => self.own(&bytes),
        }
    }

    /// A body as it is.
    pub(super) fn body(&mut self, content: Content) {
        for part in content.parts {
            self.part(part);
        }
    }

    /// A body in chunks (RFC 9112, section 7.1).
    pub(super) fn chunked_body(&mut self, content: Content) {
        let mut chunk = Vec::new();
        let mut parts = content.parts.into_iter().filter(|part| part.len() > 0).peekable();
        while let Some(part) = parts.next() {
            chunk.push(part);
            let len: usize = chunk.iter().map(Part::len).sum();
            if len >= CHUNK_BYTES || parts.peek().is_none() {
                self.own(format!("{len:x}\r\n").as_bytes());
                for part in chunk.drain(..) {
                    self.part(part);
                }
                self.own(b"\r\n");
            }
        }
        self.own(b"0\r\n\r\n");
    }

    /// Appends these of its bytes.
    fn copy(&self, arena: &Arena, range: &Range<u64>, to: &mut Vec<u8>) {
        let first = self.pieces.partition_point(|(from, _)| *from <= range.start).saturating_sub(1);
        let mut at = range.start;
        for (from, piece) in self.pieces.iter().skip(first) {
            if at >= range.end {
                break;
            }
            let bytes = match piece {
                Piece::Arena(range) => arena.slice(range),
                Piece::Own(range) => self.own.get(range.clone()).unwrap_or_default(),
            };
            let bytes = bytes.get((at - from) as usize..).unwrap_or_default();
            let len = bytes.len().min((range.end - at) as usize);
            to.extend_from_slice(bytes.get(..len).unwrap_or_default());
            at += len as u64;
        }
    }
}

/// What one end says, from the first byte that the other has not acknowledged.
#[derive(Default)]
pub(super) struct Outbox {
    /// Each with the stream offset of its first byte.
    messages: VecDeque<(u64, Message)>,
    end: u64,
}

impl Outbox {
    /// Stream offset after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Where it lies in the stream.
    pub(super) fn push(&mut self, message: Message) -> Range<u64> {
        let from = self.end;
        self.end += message.len();
        self.messages.push_back((from, message));
        from..self.end
    }

    /// Forgets what lies wholly before this offset.
    pub(super) fn forget(&mut self, before: u64) {
        while self.messages.front().is_some_and(|(from, message)| from + message.len <= before) {
            self.messages.pop_front();
        }
    }

    /// Appends these bytes of the stream.
    pub(super) fn copy(&self, arena: &Arena, range: &Range<u64>, to: &mut Vec<u8>) {
        for (from, message) in &self.messages {
            let (start, end) = (range.start.max(*from), range.end.min(from + message.len));
            if start < end {
                message.copy(arena, &(start - from..end - from), to);
            }
        }
    }
}
