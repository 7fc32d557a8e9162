//! Segments that came before one that precedes them.
//!
//! Invariants: pieces do not overlap; of two copies of a byte the first one stands; there is
//! always at least one piece once `insert` has been called, until `take_at` takes the last.

use std::collections::BTreeMap;

use super::Mark;
use crate::segment::Timestamp;

/// What a piece costs beside its bytes: its entry, and the allocator's share. Counted, so that
/// many tiny pieces cannot take more memory than the limit says.
const PIECE_COST: usize = 96;

#[derive(Debug)]
struct Piece {
    bytes: Box<[u8]>,
    mark: Mark,
}

/// Pieces of a stream beyond a hole, by stream offset.
#[derive(Debug)]
pub(super) struct Held {
    pieces: BTreeMap<u64, Piece>,
    cost: usize,
    since: Timestamp,
}

impl Held {
    pub(super) fn new(since: Timestamp) -> Self {
        Self { pieces: BTreeMap::new(), cost: 0, since }
    }

    /// When the first hole was seen to be one.
    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    pub(super) const fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Stream offset of the first piece: where the first hole ends.
    pub(super) fn first(&self) -> u64 {
        self.pieces.first_key_value().map_or(u64::MAX, |(offset, _)| *offset)
    }

    /// Keeps those of the bytes that are not held yet; returns how many those are.
    pub(super) fn insert(&mut self, offset: u64, bytes: &[u8], mark: Mark) -> usize {
        let end = offset.saturating_add(bytes.len() as u64);
        let mut kept = 0;
        let mut at = offset;
        while at < end {
            // The last piece that begins at or before `at` may cover it; the next one ends the room.
            if let Some((start, piece)) = self.pieces.range(..=at).next_back() {
                let covered = start + piece.bytes.len() as u64;
                if covered > at {
                    at = covered;
                    continue;
                }
            }
            let room = self.pieces.range(at..end).next().map_or(end, |(start, _)| *start);
            let range = (at - offset) as usize..(room - offset) as usize;
            let Some(part) = bytes.get(range) else { break };
            self.cost += part.len() + PIECE_COST;
            kept += part.len();
            self.pieces.insert(at, Piece { bytes: part.into(), mark });
            at = room;
        }
        kept
    }

    /// Takes the piece at `offset`, where there is one.
    pub(super) fn take_at(&mut self, offset: u64) -> Option<(Box<[u8]>, Mark)> {
        let entry = self.pieces.first_entry().filter(|entry| *entry.key() == offset)?;
        let Piece { bytes, mark } = entry.remove();
        self.cost -= bytes.len() + PIECE_COST;
        // The next hole, if there is one, was there no sooner than the piece before it.
        self.since = self.since.max(mark.time);
        Some((bytes, mark))
    }
}
