//! Events on their way to the writer, many at a time, in the formats of the outputs already: who
//! has made an event has it in its caches, and the writer has nothing to do but to write.
//!
//! Invariant: events stay in their order, whoever puts them into their formats.

use super::batch::{join, weight};
use super::formats::{Formatter, KEPT_BYTES};
use crate::event::{Counts, Event};

/// Events that go together at most: to wake a thread costs more than an event.
pub(super) const MAX_EVENTS: usize = 256;
/// Bytes that go together at most, or those of one event: what the system is given at once.
pub(super) const MAX_BYTES: usize = 256 << 10;

/// An event that the writer puts into the formats.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) event: Event,
    /// How many bytes of each output come before it.
    pub(super) at: Vec<usize>,
    /// What those are, since the late one before.
    pub(super) before: Counts,
}

/// Events in their order.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    /// For each output those that are in its format, one after the other.
    pub(super) formatted: Vec<Vec<u8>>,
    /// Where each of these ends.
    pub(super) ends: Vec<usize>,
    pub(super) late: Vec<Late>,
    /// What comes after the last late one.
    pub(super) rest: Counts,
    all: Counts,
    events: usize,
    late_bytes: usize,
}

impl Parcel {
    pub(super) fn new(outputs: usize) -> Self {
        Self { formatted: vec![Vec::new(); outputs], ends: vec![0; outputs], ..Self::default() }
    }

    /// Adds an event in these formats; false, and nothing is added, where it can't be put into one.
    pub(super) fn format(&mut self, event: &Event, formats: &mut [Formatter]) -> bool {
        let mut each = formats.iter_mut().zip(&mut self.formatted);
        let is_formatted = each.all(|(format, bytes)| format.format(event, bytes).is_ok());
        for (bytes, end) in self.formatted.iter_mut().zip(&mut self.ends) {
            if is_formatted {
                *end = bytes.len();
            } else {
                bytes.truncate(*end);
            }
        }
        if is_formatted {
            self.rest.add(event);
            self.count(event);
        }
        is_formatted
    }

    /// Adds an event as it is.
    pub(super) fn add_late(&mut self, event: Event) {
        self.all.add(&event);
        let last = self.late.last_mut().filter(|last| last.at == self.ends);
        let last = last.map(|last| &mut last.event);
        let Some(event) = join(last, event, &mut self.late_bytes) else { return };
        self.events += 1;
        self.late_bytes += weight(&event);
        let before = std::mem::take(&mut self.rest);
        self.late.push(Late { event, at: self.ends.clone(), before });
    }

    fn count(&mut self, event: &Event) {
        self.all.add(event);
        self.events += 1;
    }

    pub(super) const fn all(&self) -> &Counts {
        &self.all
    }

    pub(super) const fn events(&self) -> usize {
        self.events
    }

    /// About how many bytes it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.ends.iter().sum::<usize>() + self.late_bytes
    }

    pub(super) fn is_full(&self) -> bool {
        self.events >= MAX_EVENTS || self.bytes() >= MAX_BYTES
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// The same with nothing in it, and with its room for what comes next.
    pub(super) fn emptied(self) -> Self {
        let Self { mut formatted, mut ends, mut late, .. } = self;
        for bytes in &mut formatted {
            bytes.clear();
            bytes.shrink_to(KEPT_BYTES);
        }
        ends.fill(0);
        late.clear();
        Self { formatted, ends, late, ..Self::default() }
    }
}
