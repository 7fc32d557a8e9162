//! The file of a recording: parcels in, sections and interfaces put before what they are needed for.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use super::parcel::{Parcel, Sight};
use crate::output::{OutputError, Target, pcapng};
use crate::segment::{IfaceId, Interface};
use crate::source::file::recorded;

/// Interfaces in a section: readers take no more.
const MAX_INTERFACES: u32 = 65_536;

/// An open recording.
#[derive(Debug)]
pub struct Recording {
    file: File,
    /// Bytes that are in the file.
    len: u64,
    target: Target,
    /// Of each interface, what was declared last in this section, and its number there.
    declared: HashMap<IfaceId, (Option<Arc<Interface>>, u32)>,
    /// How many were declared in this section.
    interfaces: u32,
}

impl Recording {
    /// Makes the file anew, for its owner's eyes alone.
    ///
    /// # Errors
    /// If it can't be made or written.
    pub fn create(path: &Path) -> Result<Self, OutputError> {
        let target = Target::File(path.to_owned());
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = file.map_err(|error| OutputError::Open { target: target.clone(), error })?;
        let mut recording = Self { file, len: 0, target, declared: HashMap::new(), interfaces: 0 };
        recording.begin_section()?;
        Ok(recording)
    }

    /// Writes a parcel.
    ///
    /// # Errors
    /// If it can't be written; then nobody knows how much of it was.
    pub(super) fn write(&mut self, parcel: &mut Parcel) -> Result<(), OutputError> {
        let (mut from, mut at) = (0, 0);
        // The interface that was looked up last, by its place in the parcel and its number.
        let mut known: Option<(u32, u32)> = None;
        while let Some((block, place)) = parcel.packet(at) {
            let number = match known.filter(|(of, _)| *of == place) {
                Some((_, number)) => number,
                None => {
                    let Some(sight) = parcel.sight(place) else { break };
                    self.number_of(sight).map_or_else(
                        || {
                            self.put(parcel.bytes(from..at))?;
                            from = at;
                            self.declare(sight)
                        },
                        Ok,
                    )?
                }
            };
            known = Some((place, number));
            parcel.number(at, number);
            at = block.end;
        }
        self.put(parcel.bytes(from..at))
    }

    /// The number of an interface that was declared as it is.
    fn number_of(&self, (id, interface): &Sight) -> Option<u32> {
        let (declared, number) = self.declared.get(id)?;
        (declared == interface).then_some(*number)
    }

    fn declare(&mut self, (id, interface): &Sight) -> Result<u32, OutputError> {
        if self.interfaces == MAX_INTERFACES {
            self.begin_section()?;
        }
        let description = recorded::description(*id, interface.as_deref());
        let name = interface.as_ref().map(|interface| &*interface.name);
        let mut block = Vec::new();
        pcapng::interface(&mut block, name, Some(&description));
        self.put(&block)?;
        let number = self.interfaces;
        self.interfaces += 1;
        self.declared.insert(*id, (interface.clone(), number));
        Ok(number)
    }

    fn begin_section(&mut self) -> Result<(), OutputError> {
        self.declared.clear();
        self.interfaces = 0;
        let mut block = Vec::new();
        pcapng::section(&mut block, recorded::SECTION_COMMENT);
        self.put(&block)
    }

    /// Writes whole blocks, all of them or none.
    fn put(&mut self, blocks: &[u8]) -> Result<(), OutputError> {
        let written = self.file.write_all(blocks);
        if written.is_ok() {
            self.len += blocks.len() as u64;
        } else {
            let _ = self.file.set_len(self.len);
        }
        written.map_err(|error| OutputError::in_writing(self.target.clone(), error))
    }

    /// Hands everything to the system.
    pub(super) fn flush(&mut self) -> Result<(), OutputError> {
        let flushed = self.file.flush();
        flushed.map_err(|error| OutputError::in_writing(self.target.clone(), error))
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) -> Result<(), OutputError> {
        self.flush()
    }
}
