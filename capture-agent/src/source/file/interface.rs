//! Interfaces of a pcapng section.
//!
//! Follows draft-ietf-opsawg-pcapng section 4.2.
//!
//! Invariants: interfaces of one name are one interface, across sections too, so what the file
//! makes its reader remember is bounded by the limits here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::clock::Clock;
use super::fields::Fields;
use super::link::LinkType;
use crate::segment::IfaceId;

/// Interfaces in a section, and names in a file: a file of nothing but declarations must not take
/// memory without end. The older packet block can name no more.
const MAX_INTERFACES: usize = 65_536;
/// Longer names are cut here; systems allow fewer bytes by far.
const MAX_NAME_BYTES: usize = 256;

const OPTION_END: u16 = 0;
const OPTION_NAME: u16 = 2;
const OPTION_TSRESOL: u16 = 9;
const OPTION_TSOFFSET: u16 = 14;

type Name = Option<Arc<str>>;

pub(super) struct Interface {
    pub(super) id: IfaceId,
    pub(super) link: LinkType,
    pub(super) snap_len: u32,
    pub(super) clock: Clock,
}

#[derive(Default)]
pub(super) struct Interfaces {
    section: Vec<Interface>,
    ids: HashMap<Name, IfaceId>,
}

impl Interfaces {
    pub(super) fn start_section(&mut self) {
        self.section.clear();
    }

    pub(super) fn find(&self, index: u32) -> Result<&Interface, &'static str> {
        self.section
            .get(index as usize)
            .ok_or("its packet is of an interface that is not declared before it")
    }

    /// Adds the interface that the body of a block declares; returns it if its name is new.
    pub(super) fn declare(
        &mut self,
        mut body: Fields<'_>,
    ) -> Result<Option<(IfaceId, Name)>, &'static str> {
        let (Some(link), Some(_reserved), Some(snap_len)) = (body.u16(), body.u16(), body.u32())
        else {
            return Err("it is shorter than its fields");
        };
        let options = Options::read(body)?;
        if self.section.len() == MAX_INTERFACES || self.ids.len() == MAX_INTERFACES {
            return Err("it declares one interface too many (the limit is 65536)");
        }
        let next = IfaceId(u32::try_from(self.ids.len()).unwrap_or(u32::MAX));
        let (id, told) = match self.ids.entry(options.name) {
            Entry::Occupied(known) => (*known.get(), None),
            Entry::Vacant(vacant) => {
                let name = vacant.key().clone();
                vacant.insert(next);
                (next, Some((next, name)))
            }
        };
        self.section.push(Interface {
            id,
            link: LinkType(link),
            // 0 is no limit.
            snap_len: if snap_len == 0 { u32::MAX } else { snap_len },
            clock: Clock::new(options.tsresol, options.tsoffset_s),
        });
        Ok(told)
    }
}

struct Options {
    name: Name,
    tsresol: u8,
    tsoffset_s: i64,
}

impl Options {
    fn read(mut fields: Fields<'_>) -> Result<Self, &'static str> {
        let mut options = Self { name: None, tsresol: 6, tsoffset_s: 0 };
        while let (Some(code), Some(len)) = (fields.u16(), fields.u16()) {
            if code == OPTION_END {
                break;
            }
            let padded = usize::from(len).next_multiple_of(4);
            let mut value = fields.part(padded).ok_or("an option runs past it")?;
            let bytes = value.rest().get(..usize::from(len)).unwrap_or_default();
            match (code, bytes) {
                (OPTION_NAME, bytes) => options.name = Some(name(bytes)),
                (OPTION_TSRESOL, [tsresol]) => options.tsresol = *tsresol,
                (OPTION_TSOFFSET, [_, _, _, _, _, _, _, _]) => {
                    options.tsoffset_s = value.i64().unwrap_or_default();
                }
                (OPTION_TSRESOL | OPTION_TSOFFSET, _) => {
                    return Err("its time resolution or offset has the wrong length");
                }
                _ => {}
            }
        }
        Ok(options)
    }
}

fn name(bytes: &[u8]) -> Arc<str> {
    let bytes = bytes.get(..MAX_NAME_BYTES).unwrap_or(bytes);
    // Some writers end the name with a zero byte.
    String::from_utf8_lossy(bytes).trim_end_matches('\0').into()
}
