//! The file of a recording, or one file after the other: parcels in, sections and interfaces put
//! before what they are needed for.
//!
//! Invariant: each file begins with a section and declares its interfaces; a block is in a file
//! whole, or not at all.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::parcel::{Parcel, Sight};
use crate::output::file::rules::{Clock, Rules};
use crate::output::file::{Files, Guardian, READABLE};
use crate::output::{OutputError, Target, pcapng};
use crate::segment::{IfaceId, Interface, Timestamp};
use crate::source::file::recorded;

/// Interfaces in a section: readers take no more.
const MAX_INTERFACES: u32 = 65_536;

/// An open recording.
#[derive(Debug)]
pub struct Recording {
    files: Files,
    clock: Clock,
    target: Target,
    /// Blocks that are written together.
    gathered: Vec<u8>,
    /// Segments of parcels that are not all in the file.
    gathered_segments: u64,
    committed_at: Instant,
    /// The latest time of a segment.
    latest: Timestamp,
    /// Of each interface, what was declared last in this section, and its number there.
    declared: HashMap<IfaceId, (Option<Arc<Interface>>, u32)>,
    /// How many were declared in this section.
    interfaces: u32,
}

impl Recording {
    /// Opens the file, for its owner's eyes alone; what is in it stays until [`Self::begin`]. One after
    /// the other is made, as there is something to write, where the rules say so.
    ///
    /// # Errors
    /// If it can't be opened or made.
    pub fn open(path: &Path, rules: &Rules) -> Result<Self, OutputError> {
        let target = Target::File(path.to_owned());
        let guardian = || rules.guarded.then(|| Guardian::start().map(Arc::new)).transpose();
        let files = Files::open(&target, rules, &section(), guardian)?;
        let mut recording = Self {
            files,
            clock: rules.clock,
            target,
            gathered: Vec::new(),
            gathered_segments: 0,
            committed_at: Instant::now(),
            latest: Timestamp::default(),
            declared: HashMap::new(),
            interfaces: 0,
        };
        if !recording.files.rotates() {
            recording.begin_section();
        }
        Ok(recording)
    }

    /// Makes the file anew.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn begin(&mut self) -> Result<(), OutputError> {
        self.commit().map_err(|error| self.failed(error))
    }

    /// Writes a parcel.
    ///
    /// # Errors
    /// If it can't be written; then it is counted as if nothing of it was.
    pub(super) fn write(&mut self, parcel: &mut Parcel) -> Result<(), OutputError> {
        self.add(parcel).map_err(|error| self.failed(error))
    }

    fn add(&mut self, parcel: &mut Parcel) -> io::Result<()> {
        let (mut from, mut at) = (0, 0);
        // The interface that was looked up last, by its place in the parcel and its number.
        let mut known: Option<(u32, u32)> = None;
        let wall = Clock::Wall.now(self.latest);
        while let Some(block) = parcel.packet(at) {
            self.latest = self.latest.max(block.time);
            let now = if self.clock == Clock::Wall { wall } else { self.latest };
            if self.files.is_over(self.gathered.len() + at - from, now) {
                self.put(parcel.bytes(from..at))?;
                (from, known) = (at, None);
                self.begin_file(now)?;
            }
            let place = block.interface;
            let number = match known.filter(|(of, _)| *of == place) {
                Some((_, number)) => number,
                None => {
                    let Some(sight) = parcel.sight(place) else { break };
                    if let Some(number) = self.number_of(sight) {
                        number
                    } else {
                        self.put(parcel.bytes(from..at))?;
                        from = at;
                        self.declare(sight)
                    }
                }
            };
            known = Some((place, number));
            parcel.number(at, number);
            at = block.range.end;
        }
        self.put(parcel.bytes(from..at))?;
        if !self.gathered.is_empty() {
            self.gathered_segments += parcel.segments();
        }
        Ok(())
    }

    /// The number of an interface that was declared as it is.
    fn number_of(&self, (id, interface): &Sight) -> Option<u32> {
        let (declared, number) = self.declared.get(id)?;
        (declared == interface).then_some(*number)
    }

    fn declare(&mut self, (id, interface): &Sight) -> u32 {
        if self.interfaces == MAX_INTERFACES {
            self.begin_section();
        }
        let description = recorded::description(*id, interface.as_deref());
        let name = interface.as_ref().map(|interface| &*interface.name);
        pcapng::interface(&mut self.gathered, name, Some(&description));
        let number = self.interfaces;
        self.interfaces += 1;
        self.declared.insert(*id, (interface.clone(), number));
        number
    }

    fn begin_section(&mut self) {
        self.declared.clear();
        self.interfaces = 0;
        self.gathered.extend_from_slice(&section());
    }

    fn begin_file(&mut self, now: Timestamp) -> io::Result<()> {
        self.commit()?;
        self.files.begin(now, &section())?;
        self.begin_section();
        Ok(())
    }

    /// Adds whole blocks.
    fn put(&mut self, blocks: &[u8]) -> io::Result<()> {
        if !self.files.compresses() && blocks.len() >= self.files.gather() {
            // There are enough of them already.
            self.commit()?;
            return self.files.commit(blocks, b"");
        }
        self.gathered.extend_from_slice(blocks);
        if self.gathered.len() < self.files.gather() { Ok(()) } else { self.commit() }
    }

    /// Writes what is gathered.
    fn commit(&mut self) -> io::Result<()> {
        if !self.gathered.is_empty() {
            self.files.commit(&self.gathered, b"")?;
            self.gathered.clear();
            self.gathered_segments = 0;
            self.committed_at = Instant::now();
        }
        Ok(())
    }

    /// Segments that were taken, but are not in the file yet.
    pub(super) const fn gathered_segments(&self) -> u64 {
        self.gathered_segments
    }

    /// In how long it is to be flushed, where it can't all be read yet.
    pub(super) fn patience(&self) -> Option<Duration> {
        let waits = self.files.compresses() && !self.gathered.is_empty();
        waits.then(|| READABLE.saturating_sub(self.committed_at.elapsed()))
    }

    /// Hands to the system what is worth it: compressed blocks are better handed on with others.
    pub(super) fn flush(&mut self) -> Result<(), OutputError> {
        if self.patience().is_some_and(|left| !left.is_zero()) {
            return Ok(());
        }
        self.commit().map_err(|error| self.failed(error))
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) -> Result<(), OutputError> {
        let finished = self.commit().and_then(|()| self.files.finish(b""));
        finished.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> OutputError {
        OutputError::in_writing(self.target.clone(), error)
    }
}

/// What a file begins with.
fn section() -> Vec<u8> {
    let mut bytes = Vec::new();
    pcapng::section(&mut bytes, recorded::SECTION_COMMENT);
    bytes
}
