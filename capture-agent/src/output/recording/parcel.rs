//! Segments as blocks, on their way to the file.
//!
//! Invariant: a packet names its interface by its place in the parcel; whoever writes it knows the
//! number that the interface has in the file.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::output::pcapng::{self, Note, PacketBlock};
use crate::segment::{IfaceId, Interface, Segment};
use crate::source::file::recorded::Remark;

/// Bytes of a parcel that is handed over without waiting for more.
pub(super) const FULL_BYTES: usize = 256 << 10;
/// Room for a parcel: one segment may come after it is nearly full.
const ROOM_BYTES: usize = FULL_BYTES + (128 << 10);

/// An interface as it was when a segment was seen on it; `None` where nothing is known of it.
pub(super) type Sight = (IfaceId, Option<Arc<Interface>>);

/// What is called how.
pub(super) type Names = HashMap<IfaceId, Arc<Interface>>;

#[derive(Debug, Default)]
pub(super) struct Parcel {
    bytes: Vec<u8>,
    sights: Vec<Sight>,
    segments: u64,
    /// What is said of a packet, kept for its room.
    comment: String,
}

impl Parcel {
    pub(super) fn is_empty(&self) -> bool {
        self.segments == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BYTES
    }

    pub(super) const fn segments(&self) -> u64 {
        self.segments
    }

    /// What it takes of the queue's room.
    pub(super) fn weight(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds a segment, before which so many were left out.
    pub(super) fn add(&mut self, segment: &Segment<'_>, names: &Names, mut dropped: u64) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(ROOM_BYTES);
        }
        let place = self.place(segment.iface, names);
        for piece in pcapng::pieces(segment) {
            let remark = Remark {
                missing: piece.missing,
                wire_len: pcapng::wire_len_untold(&piece),
                cgroup: piece.cgroup,
            };
            remark.write(&mut self.comment);
            let comment = Some(&*self.comment).filter(|comment| !comment.is_empty());
            pcapng::packet(&mut self.bytes, place, &piece, Note { comment, dropped });
            dropped = 0;
        }
        self.segments += 1;
    }

    /// The interface's place in this parcel; that of the segment before is mostly the one.
    fn place(&mut self, iface: IfaceId, names: &Names) -> u32 {
        let known = names.get(&iface);
        let is_it = |(id, interface): &Sight| *id == iface && interface.as_ref() == known;
        let place = self.sights.iter().rposition(is_it).unwrap_or_else(|| {
            self.sights.push((iface, known.cloned()));
            self.sights.len() - 1
        });
        place as u32
    }

    /// The interface at a place.
    pub(super) fn sight(&self, place: u32) -> Option<&Sight> {
        self.sights.get(place as usize)
    }

    /// The block that begins at `at`, whose packet names the place of its interface.
    pub(super) fn packet(&self, at: usize) -> Option<PacketBlock> {
        pcapng::packet_at(&self.bytes, at)
    }

    /// Gives the packet whose block begins at `at` the number that its interface has in the file.
    pub(super) fn number(&mut self, at: usize, number: u32) {
        pcapng::set_interface(&mut self.bytes, at, number);
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// Empties it, but keeps its room.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.sights.clear();
        self.segments = 0;
    }
}
