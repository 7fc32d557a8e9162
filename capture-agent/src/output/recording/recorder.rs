//! The end of a recording that whoever feeds an engine holds.

use std::sync::Arc;

use super::parcel::{Names, Parcel};
use super::queue::{Queue, Sent};
use super::{Keeper, Outcome, Recording};
use crate::output::OutputError;
use crate::segment::{IfaceId, Interface, Segment};
use crate::source::Item;

/// Takes what an engine is given.
#[derive(Debug)]
pub struct Recorder {
    way: Way,
    parcel: Parcel,
    names: Names,
    /// Segments that were dropped since the last one that was not: the next one says so.
    unsaid: u64,
    taken: Taken,
}

/// What a recorder has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Segments that it was given.
    pub segments: u64,
    /// Those that found no room on their way to the file.
    pub dropped: u64,
    /// Those that came when the file could not be written any more, as far as is known here.
    pub failed: u64,
}

impl Taken {
    /// Adds what another recorder has taken.
    pub const fn merge(&mut self, other: &Self) {
        let Self { segments, dropped, failed } = other;
        self.segments += *segments;
        self.dropped += *dropped;
        self.failed += *failed;
    }
}

enum Way {
    /// Straight to the file.
    Here(Box<Keeper>),
    /// To the thread that writes.
    Queue(Queue),
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "Here",
            Self::Queue(_) => "Queue",
        })
    }
}

impl Recorder {
    /// One that writes by itself; where it can't go on, `on_failure` is told at once.
    #[must_use]
    pub fn new(recording: Recording, on_failure: fn(&OutputError)) -> Self {
        Self::by(Way::Here(Box::new(Keeper::new(recording, on_failure))))
    }

    pub(super) fn to_queue(queue: Queue) -> Self {
        Self::by(Way::Queue(queue))
    }

    fn by(way: Way) -> Self {
        let (parcel, names, taken) = (Parcel::default(), Names::new(), Taken::default());
        Self { way, parcel, names, unsaid: 0, taken }
    }

    /// One more for the same thread, for another engine; `None` where there is no thread.
    #[must_use]
    pub fn another(&self) -> Option<Self> {
        match &self.way {
            Way::Here(_) => None,
            Way::Queue(queue) => Some(Self::to_queue(queue.another())),
        }
    }

    /// Takes what the engine is given next.
    #[inline]
    pub fn item(&mut self, item: &Item<'_>) {
        match item {
            Item::Interface(id, interface) => self.interface(*id, interface.as_ref()),
            Item::Segment(segment) => self.segment(segment),
        }
    }

    /// An interface is this one from now on; `None` where nothing is known of it any more.
    fn interface(&mut self, id: IfaceId, interface: Option<&Arc<Interface>>) {
        match interface {
            Some(interface) => self.names.insert(id, Arc::clone(interface)),
            None => self.names.remove(&id),
        };
    }

    fn segment(&mut self, segment: &Segment<'_>) {
        self.taken.segments += 1;
        if self.parcel.is_empty() && !self.begin() {
            return;
        }
        self.parcel.add(segment, &self.names, std::mem::take(&mut self.unsaid));
        if self.parcel.is_full() {
            self.flush();
        }
    }

    /// Begins a parcel, unless what is put into it would be thrown away: then counts one segment.
    fn begin(&mut self) -> bool {
        let Way::Queue(queue) = &self.way else { return true };
        if queue.is_closed() {
            self.taken.failed += 1;
            return false;
        }
        if !queue.may_have_room() {
            self.leave_out(1);
            return false;
        }
        self.parcel = queue.parcel();
        true
    }

    const fn leave_out(&mut self, segments: u64) {
        self.taken.dropped += segments;
        self.unsaid += segments;
    }

    /// Hands over what was taken.
    pub fn flush(&mut self) {
        if self.parcel.is_empty() {
            return;
        }
        match &mut self.way {
            Way::Here(keeper) => {
                keeper.take(&mut self.parcel);
                self.parcel.clear();
            }
            Way::Queue(queue) => {
                let parcel = std::mem::take(&mut self.parcel);
                match queue.send(parcel) {
                    Sent::Queued => {}
                    Sent::Dropped(parcel) => self.leave_out(parcel.segments()),
                    Sent::Failed(parcel) => self.taken.failed += parcel.segments(),
                }
            }
        }
    }

    /// Hands over what was taken, and has it handed to the system.
    pub fn hand_over(&mut self) {
        self.flush();
        if let Way::Here(keeper) = &mut self.way {
            keeper.flush();
        }
    }

    /// From now on waits for room: nothing is seen any more that could be missed meanwhile.
    pub fn wait_for_room(&mut self) {
        if let Way::Queue(queue) = &mut self.way {
            queue.wait_for_room();
        }
    }

    /// What it has taken so far.
    #[must_use]
    pub const fn taken(&self) -> Taken {
        self.taken
    }

    /// Nothing more comes. What became of the recording, unless a thread knows.
    #[must_use]
    pub fn end(mut self) -> Option<Outcome> {
        self.flush();
        match self.way {
            Way::Here(keeper) => Some(keeper.end()),
            Way::Queue(_) => None,
        }
    }
}
