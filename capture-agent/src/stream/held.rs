//! Segments that cannot go up yet: they came before one that precedes them, or wait to be
//! acknowledged.
//!
//! Invariants: pieces do not overlap and are not empty; of several copies of a byte the one stands
//! that the policy says, and any copy before the word that the byte was left out.

use std::collections::BTreeMap;

use super::{Mark, Overlap};
use crate::segment::Missing;

/// What a piece costs beside its bytes: its entry, and the allocator's share. Counted, so that
/// many tiny pieces cannot take more memory than the limit says.
const PIECE_COST: usize = 104;

/// What a piece of a stream is.
#[derive(Debug)]
pub(super) enum Content {
    Bytes(Vec<u8>),
    /// So many bytes that were left out, and why.
    LeftOut(u64, Missing),
}

/// A piece of a stream.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) content: Content,
    pub(super) mark: Mark,
}

/// What became of bytes that were offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Bytes that were not held before.
    pub(super) fresh: u64,
    /// Bytes that were held before with another value.
    pub(super) conflicting: usize,
}

/// Pieces of a stream, by stream offset.
#[derive(Debug, Default)]
pub(super) struct Held {
    pieces: BTreeMap<u64, Piece>,
    cost: usize,
    /// Bytes that were left out.
    left_out: u64,
}

impl Held {
    pub(super) const fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes of payload that are here.
    pub(super) fn bytes(&self) -> usize {
        self.cost - self.pieces.len() * PIECE_COST
    }

    /// Bytes of payload that were seen, those that were left out included.
    pub(super) fn seen_bytes(&self) -> u64 {
        self.bytes() as u64 + self.left_out
    }

    /// Stream offset after the last piece.
    pub(super) fn end(&self) -> Option<u64> {
        self.pieces.last_key_value().map(|(offset, piece)| offset + piece.len())
    }

    /// Stream offset of the first piece.
    pub(super) fn first(&self) -> Option<u64> {
        self.pieces.first_key_value().map(|(offset, _)| *offset)
    }

    /// Keeps those of the bytes that are not held yet, and of the others what the policy says.
    pub(super) fn insert(
        &mut self,
        offset: u64,
        bytes: &[u8],
        mark: Mark,
        overlap: Overlap,
    ) -> Kept {
        let end = offset.saturating_add(bytes.len() as u64);
        if self.left_out > 0 {
            self.take_back(offset, end);
        }
        let part = |from: u64, to: u64| bytes.get((from - offset) as usize..(to - offset) as usize);
        let mut kept = Kept::default();
        let mut at = offset;
        while at < end {
            // The last piece that begins at or before `at` may cover it; the next one ends the room.
            if let Some((start, piece)) = self.pieces.range_mut(..=at).next_back() {
                let covered = start + piece.len();
                if covered > at {
                    let until = covered.min(end);
                    let again = part(at, until).unwrap_or_default();
                    kept.conflicting += piece.overwrite((at - start) as usize, again, overlap);
                    at = until;
                    continue;
                }
            }
            let room = self.pieces.range(at..end).next().map_or(end, |(start, _)| *start);
            let fresh = part(at, room).unwrap_or_default();
            kept.fresh += fresh.len() as u64;
            self.add(at, Piece { content: Content::Bytes(fresh.to_vec()), mark });
            at = room;
        }
        kept
    }

    /// So many bytes from `offset` on were left out. Returns how many of them were neither held nor
    /// known to be left out.
    pub(super) fn leave_out(&mut self, offset: u64, len: u64, missing: Missing, mark: Mark) -> u64 {
        let end = offset.saturating_add(len);
        let (mut at, mut fresh) = (offset, 0);
        while at < end {
            let before = self.pieces.range(..=at).next_back();
            let covered = before.map(|(start, piece)| start + piece.len());
            if let Some(covered) = covered.filter(|covered| *covered > at) {
                at = covered;
                continue;
            }
            let room = self.pieces.range(at..end).next().map_or(end, |(start, _)| *start);
            fresh += room - at;
            self.add(at, Piece { content: Content::LeftOut(room - at, missing), mark });
            at = room;
        }
        fresh
    }

    /// Takes what is held at `offset` and before `limit`, as far as one piece goes.
    pub(super) fn take(&mut self, offset: u64, limit: u64) -> Option<Piece> {
        if limit <= offset {
            return None;
        }
        let mut piece = self.remove(offset)?;
        if let Some(rest) = piece.split_off(limit - offset) {
            self.add(limit, rest);
        }
        Some(piece)
    }

    /// Bytes are here of which some may have been left out.
    fn take_back(&mut self, from: u64, to: u64) {
        loop {
            let pieces = self.pieces.range(..to).rev();
            let mut pieces = pieces.take_while(|(start, piece)| *start + piece.len() > from);
            let Some((start, _)) = pieces.find(|(_, piece)| piece.is_left_out()) else { break };
            let start = *start;
            let Some(mut before) = self.remove(start) else { break };
            let after = before.split_off(to - start);
            if start < from {
                before.split_off(from - start);
                self.add(start, before);
            }
            if let Some(after) = after {
                self.add(to, after);
            }
        }
    }

    fn add(&mut self, at: u64, piece: Piece) {
        self.cost += PIECE_COST;
        match &piece.content {
            Content::Bytes(bytes) => self.cost += bytes.len(),
            Content::LeftOut(len, _) => self.left_out += len,
        }
        self.pieces.insert(at, piece);
    }

    fn remove(&mut self, at: u64) -> Option<Piece> {
        let piece = self.pieces.remove(&at)?;
        self.cost -= PIECE_COST;
        match &piece.content {
            Content::Bytes(bytes) => self.cost -= bytes.len(),
            Content::LeftOut(len, _) => self.left_out -= len,
        }
        Some(piece)
    }
}

impl Piece {
    fn len(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::LeftOut(len, _) => *len,
        }
    }

    const fn is_left_out(&self) -> bool {
        matches!(self.content, Content::LeftOut(..))
    }

    /// Cuts off what comes after its first `len` bytes, if anything does.
    fn split_off(&mut self, len: u64) -> Option<Self> {
        let after = self.len().checked_sub(len).filter(|after| *after > 0)?;
        let content = match &mut self.content {
            Content::Bytes(bytes) => Content::Bytes(bytes.split_off(usize::try_from(len).ok()?)),
            Content::LeftOut(whole, missing) => {
                *whole = len;
                Content::LeftOut(after, *missing)
            }
        };
        Some(Self { content, mark: self.mark })
    }

    /// Another copy of the bytes at `start` has come; returns how many of them differ.
    fn overwrite(&mut self, start: usize, again: &[u8], overlap: Overlap) -> usize {
        let Content::Bytes(bytes) = &mut self.content else { return 0 };
        let Some(old) = bytes.get_mut(start..start + again.len()) else { return 0 };
        let differ = old.iter().zip(again).filter(|(old, new)| old != new).count();
        if differ > 0 {
            self.mark.conflict = true;
            if overlap == Overlap::Last {
                old.copy_from_slice(again);
            }
        }
        differ
    }
}
