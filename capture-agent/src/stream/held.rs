//! Segments that cannot go up yet: they came before one that precedes them, or wait to be
//! acknowledged.
//!
//! Invariants: pieces do not overlap and are not empty; of several copies of a byte the one stands
//! that the policy says.

use std::collections::BTreeMap;

use super::{Mark, Overlap};

/// What a piece costs beside its bytes: its entry, and the allocator's share. Counted, so that
/// many tiny pieces cannot take more memory than the limit says.
const PIECE_COST: usize = 104;

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    mark: Mark,
}

/// What became of bytes that were offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Bytes that were not held before.
    pub(super) fresh: usize,
    /// Bytes that were held before with another value.
    pub(super) conflicting: usize,
}

/// Pieces of a stream, by stream offset.
#[derive(Debug, Default)]
pub(super) struct Held {
    pieces: BTreeMap<u64, Piece>,
    cost: usize,
}

impl Held {
    pub(super) const fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes of payload.
    pub(super) fn bytes(&self) -> usize {
        self.cost - self.pieces.len() * PIECE_COST
    }

    /// Stream offset after the last piece.
    pub(super) fn end(&self) -> Option<u64> {
        self.pieces.last_key_value().map(|(offset, piece)| offset + piece.bytes.len() as u64)
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
        let part = |from: u64, to: u64| bytes.get((from - offset) as usize..(to - offset) as usize);
        let mut kept = Kept::default();
        let mut at = offset;
        while at < end {
            // The last piece that begins at or before `at` may cover it; the next one ends the room.
            if let Some((start, piece)) = self.pieces.range_mut(..=at).next_back() {
                let covered = start + piece.bytes.len() as u64;
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
            self.cost += fresh.len() + PIECE_COST;
            kept.fresh += fresh.len();
            self.pieces.insert(at, Piece { bytes: fresh.to_vec(), mark });
            at = room;
        }
        kept
    }

    /// Takes what is held at `offset` and before `limit`, as far as one piece goes.
    pub(super) fn take(&mut self, offset: u64, limit: u64) -> Option<(Vec<u8>, Mark)> {
        if limit <= offset {
            return None;
        }
        let entry = self.pieces.first_entry().filter(|entry| *entry.key() == offset)?;
        let Piece { mut bytes, mark } = entry.remove();
        self.cost -= bytes.len() + PIECE_COST;
        let len = usize::try_from(limit - offset).unwrap_or(usize::MAX);
        if len < bytes.len() {
            let rest = bytes.split_off(len);
            self.cost += rest.len() + PIECE_COST;
            self.pieces.insert(limit, Piece { bytes: rest, mark });
        }
        Some((bytes, mark))
    }
}

impl Piece {
    /// Another copy of the bytes at `start` has come; returns how many of them differ.
    fn overwrite(&mut self, start: usize, again: &[u8], overlap: Overlap) -> usize {
        let Some(old) = self.bytes.get_mut(start..start + again.len()) else { return 0 };
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
