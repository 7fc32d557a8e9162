//! The table of flows: found by key, kept in the order of their activity.
//!
//! Invariants: every flow is in exactly one queue, that of its phase; a queue is in the order
//! of the flows' last touch, so its head is the first to go. Finding, touching and removing are
//! constant work.

use hashbrown::HashTable;

use super::FlowKey;
use super::key::KeyHasher;

/// A flow's place in the table, valid until the flow is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowIndex(u32);

const NONE: u32 = u32::MAX;

/// What a flow is waiting for: each phase has a queue of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its handshake is not over.
    Opening = 0,
    /// It is open.
    Open = 1,
    /// It has ended, and lingers for strays.
    Lingering = 2,
}

/// What can be kept in the table: it knows its key, so that the table need not keep it too.
pub trait Keyed {
    /// What the flow is known by: never another one while it is in the table.
    fn key(&self) -> FlowKey;

    /// Whether that is its key.
    fn has_key(&self, key: &FlowKey) -> bool {
        self.key() == *key
    }
}

#[derive(Debug)]
struct Slot<F> {
    flow: F,
    phase: Phase,
    /// The next older and the next younger flow of the queue, or `NONE`.
    older: u32,
    younger: u32,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    oldest: u32,
    youngest: u32,
}

/// What the index holds for a flow: the hash beside the place, so that it grows without a look
/// at the flows.
#[derive(Debug)]
struct Entry {
    hash: u32,
    slot: u32,
}

/// Slots are laid out by this many: a table that grows copies nothing, so no segment waits for it.
const BLOCK_SLOTS: usize = 1024;

/// The table of flows; `F` is what is kept of each.
#[derive(Debug)]
pub struct FlowTable<F> {
    /// Blocks of [`BLOCK_SLOTS`] slots, all but the last one full.
    blocks: Vec<Vec<Option<Slot<F>>>>,
    free: Vec<u32>,
    index: HashTable<Entry>,
    queues: [Queue; 3],
    hasher: KeyHasher,
    /// Where the flow was that was touched last: mostly, it is asked for again.
    latest: u32,
}

/// Bytes that a flow takes in the table: its slot, and its entry in the index at its fullest and
/// emptiest on average.
#[must_use]
pub const fn bytes_per_flow<F>() -> usize {
    size_of::<Option<Slot<F>>>() + 3 * size_of::<Entry>() / 2 + 1
}

/// hashbrown takes the place from the lower bits and a tag, which tells most others in the same place
/// apart, from the upper ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl<F> Default for FlowTable<F> {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            queues: [Queue { oldest: NONE, youngest: NONE }; 3],
            hasher: KeyHasher::new(),
            latest: NONE,
        }
    }
}

impl<F: Keyed> FlowTable<F> {
    /// How many flows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no flow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The flow of this key.
    #[must_use]
    pub fn find(&self, key: &FlowKey) -> Option<FlowIndex> {
        if self.slot(self.latest).is_some_and(|slot| slot.flow.has_key(key)) {
            return Some(FlowIndex(self.latest));
        }
        let hash = self.hasher.hash(key);
        self.index
            .find(spread(hash), |entry| {
                entry.hash == hash
                    && self.slot(entry.slot).is_some_and(|slot| slot.flow.has_key(key))
            })
            .map(|entry| FlowIndex(entry.slot))
    }

    /// The flow at this place.
    #[must_use]
    pub fn flow(&self, index: FlowIndex) -> Option<&F> {
        self.slot(index.0).map(|slot| &slot.flow)
    }

    /// The flow at this place.
    pub fn flow_mut(&mut self, index: FlowIndex) -> Option<&mut F> {
        self.slot_mut(index.0).map(|slot| &mut slot.flow)
    }

    /// The phase of the flow at this place.
    #[must_use]
    pub fn phase(&self, index: FlowIndex) -> Option<Phase> {
        self.slot(index.0).map(|slot| slot.phase)
    }

    /// Adds a flow whose key is not in the table, as the youngest of its queue.
    pub fn insert(&mut self, flow: F, phase: Phase) -> FlowIndex {
        let hash = self.hasher.hash(&flow.key());
        let slot = Some(Slot { flow, phase, older: NONE, younger: NONE });
        let place = self.free.pop().unwrap_or_else(|| self.add_slot());
        if let Some(room) = self.room_mut(place) {
            *room = slot;
        }
        self.index
            .insert_unique(spread(hash), Entry { hash, slot: place }, |entry| spread(entry.hash));
        self.link(place, phase);
        FlowIndex(place)
    }

    /// The flow has just been active, and is in this phase: it is the youngest there. Returns
    /// whether another flow than before may be the oldest of a phase.
    pub fn touch(&mut self, index: FlowIndex, phase: Phase) -> bool {
        self.latest = index.0;
        let Some(slot) = self.slot(index.0) else { return false };
        let is_in_phase = slot.phase == phase;
        if is_in_phase && slot.younger == NONE {
            return false;
        }
        let was_oldest = slot.older == NONE;
        self.unlink(index.0);
        self.link(index.0, phase);
        was_oldest || !is_in_phase
    }

    /// The flow of this phase whose last touch is the oldest.
    #[must_use]
    pub fn oldest(&self, phase: Phase) -> Option<FlowIndex> {
        let oldest = self.queue(phase).oldest;
        (oldest != NONE).then_some(FlowIndex(oldest))
    }

    /// The flows of a phase, the one whose last touch is the oldest first.
    pub fn iter(&self, phase: Phase) -> impl Iterator<Item = &F> {
        let oldest = self.slot(self.queue(phase).oldest);
        std::iter::successors(oldest, |slot| self.slot(slot.younger)).map(|slot| &slot.flow)
    }

    /// Takes a flow out.
    pub fn remove(&mut self, index: FlowIndex) -> Option<F> {
        self.unlink(index.0);
        let slot = self.room_mut(index.0)?.take()?;
        let hash = self.hasher.hash(&slot.flow.key());
        let entry = self.index.find_entry(spread(hash), |entry| entry.slot == index.0);
        if let Ok(entry) = entry {
            entry.remove();
        }
        self.free.push(index.0);
        Some(slot.flow)
    }

    fn slot(&self, place: u32) -> Option<&Slot<F>> {
        let place = place as usize;
        self.blocks.get(place / BLOCK_SLOTS)?.get(place % BLOCK_SLOTS)?.as_ref()
    }

    fn slot_mut(&mut self, place: u32) -> Option<&mut Slot<F>> {
        self.room_mut(place)?.as_mut()
    }

    fn room_mut(&mut self, place: u32) -> Option<&mut Option<Slot<F>>> {
        let place = place as usize;
        self.blocks.get_mut(place / BLOCK_SLOTS)?.get_mut(place % BLOCK_SLOTS)
    }

    /// Adds an empty slot.
    fn add_slot(&mut self) -> u32 {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK_SLOTS) {
            self.blocks.push(Vec::with_capacity(BLOCK_SLOTS));
        }
        let before = (self.blocks.len() - 1) * BLOCK_SLOTS;
        let Some(block) = self.blocks.last_mut() else { return NONE };
        block.push(None);
        (before + block.len() - 1) as u32
    }

    const fn queue(&self, phase: Phase) -> &Queue {
        let [opening, open, lingering] = &self.queues;
        match phase {
            Phase::Opening => opening,
            Phase::Open => open,
            Phase::Lingering => lingering,
        }
    }

    const fn queue_mut(&mut self, phase: Phase) -> &mut Queue {
        let [opening, open, lingering] = &mut self.queues;
        match phase {
            Phase::Opening => opening,
            Phase::Open => open,
            Phase::Lingering => lingering,
        }
    }

    fn link(&mut self, place: u32, phase: Phase) {
        let queue = self.queue_mut(phase);
        let older = std::mem::replace(&mut queue.youngest, place);
        if older == NONE {
            queue.oldest = place;
        } else if let Some(slot) = self.slot_mut(older) {
            slot.younger = place;
        }
        if let Some(slot) = self.slot_mut(place) {
            slot.phase = phase;
            slot.older = older;
            slot.younger = NONE;
        }
    }

    fn unlink(&mut self, place: u32) {
        let Some(slot) = self.slot(place) else { return };
        let (phase, older, younger) = (slot.phase, slot.older, slot.younger);
        match self.slot_mut(older) {
            Some(slot) => slot.younger = younger,
            None => self.queue_mut(phase).oldest = younger,
        }
        match self.slot_mut(younger) {
            Some(slot) => slot.older = older,
            None => self.queue_mut(phase).youngest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Endpoint;

    fn key(port: u16) -> FlowKey {
        FlowKey::new(Endpoint::v4([10, 0, 0, 2], port), Endpoint::v4([10, 0, 0, 1], 80))
    }

    impl Keyed for u16 {
        fn key(&self) -> FlowKey {
            key(*self)
        }
    }

    /// A table with flows of these ports, and their places.
    fn table(ports: std::ops::Range<u16>, phase: Phase) -> (FlowTable<u16>, Vec<FlowIndex>) {
        let mut table = FlowTable::default();
        let places = ports.map(|port| table.insert(port, phase)).collect();
        (table, places)
    }

    /// The flows of a phase, oldest first, taken out one by one.
    fn drain(table: &mut FlowTable<u16>, phase: Phase) -> Vec<u16> {
        std::iter::from_fn(|| {
            let index = table.oldest(phase)?;
            table.remove(index)
        })
        .collect()
    }

    #[test]
    fn flows_are_found_by_key_until_they_are_removed() {
        let (mut table, places) = table(0..5_000, Phase::Open);
        for (port, place) in (0..5_000).zip(&places) {
            assert_eq!(table.find(&key(port)), Some(*place));
            assert_eq!(table.flow(*place), Some(&port));
        }
        for place in places.iter().step_by(2) {
            table.remove(*place).unwrap();
        }
        assert_eq!(table.len(), 2_500);
        for port in 0..5_000 {
            assert_eq!(table.find(&key(port)).is_some(), port % 2 == 1, "{port}");
        }
        table.insert(6_000, Phase::Open);
        assert!(table.find(&key(6_000)).is_some());
    }

    #[test]
    fn the_oldest_touch_goes_first() {
        let (mut table, places) = table(0..6, Phase::Open);
        table.touch(places[0], Phase::Open);
        table.touch(places[3], Phase::Open);
        table.remove(places[2]);
        assert_eq!(drain(&mut table, Phase::Open), [1, 4, 5, 0, 3]);
        assert!(table.is_empty());
    }

    #[test]
    fn each_phase_has_its_own_order() {
        let (mut table, places) = table(0..4, Phase::Opening);
        table.touch(places[1], Phase::Open);
        table.touch(places[0], Phase::Lingering);
        table.touch(places[3], Phase::Open);
        assert_eq!(drain(&mut table, Phase::Opening), [2]);
        assert_eq!(drain(&mut table, Phase::Open), [1, 3]);
        assert_eq!(drain(&mut table, Phase::Lingering), [0]);
    }
}
