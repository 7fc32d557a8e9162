//! Interfaces of a pcapng section.
//!
//! Follows draft-ietf-opsawg-pcapng section 4.2.
//!
//! Invariants: interfaces of one name are one interface, across sections too, and in a recording
//! those of one number are; so what the file makes its reader remember is bounded by the limits
//! here.

use std::collections::HashMap;
use std::sync::Arc;

use super::clock::Clock;
use super::fields::{Fields, OptionTooLong};
use super::link::LinkType;
use super::recorded::Described;
use crate::segment::{self, IfaceId};

/// Interfaces in a section, and names in a file: a file of nothing but declarations must not take
/// memory without end. The older packet block can name no more.
const MAX_INTERFACES: usize = 65_536;
/// Longer names are cut here; systems allow fewer bytes by far.
const MAX_NAME_BYTES: usize = 256;

const OPTION_NAME: u16 = 2;
const OPTION_DESCRIPTION: u16 = 3;
const OPTION_TSRESOL: u16 = 9;
const OPTION_TSOFFSET: u16 = 14;

/// What is known of an interface; `None` where it has no name.
type Known = Option<Arc<segment::Interface>>;

pub(super) struct Interface {
    pub(super) id: IfaceId,
    pub(super) link: LinkType,
    pub(super) snap_len: u32,
    pub(super) clock: Clock,
}

/// What makes an interface the one that it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Named(Option<Arc<str>>),
    /// In a recording of the agent's own: as it was numbered then, whatever its name.
    Numbered(IfaceId),
}

#[derive(Default)]
pub(super) struct Interfaces {
    section: Vec<Interface>,
    ids: HashMap<Key, IfaceId>,
    /// What was told last of each.
    told: HashMap<IfaceId, Known>,
    /// No lower number is free.
    next: u32,
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

    /// Adds the interface that the body of a block declares; returns it if it is new, or another
    /// than it was.
    pub(super) fn declare(
        &mut self,
        mut body: Fields<'_>,
        is_recording: bool,
    ) -> Result<Option<(IfaceId, Known)>, &'static str> {
        let (Some(link), Some(_reserved), Some(snap_len)) = (body.u16(), body.u16(), body.u32())
        else {
            return Err("it is shorter than its fields");
        };
        let options = Options::read(body, is_recording)?;
        if self.section.len() == MAX_INTERFACES || self.ids.len() == MAX_INTERFACES {
            return Err("it declares one interface too many (the limit is 65536)");
        }
        let (key, known) = options.identity();
        let id = self.id(key);
        self.section.push(Interface {
            id,
            link: LinkType(link),
            // 0 is no limit.
            snap_len: if snap_len == 0 { u32::MAX } else { snap_len },
            clock: Clock::new(options.tsresol, options.tsoffset_s),
        });
        let before = self.told.insert(id, known.clone());
        Ok((before.as_ref() != Some(&known)).then_some((id, known)))
    }

    fn id(&mut self, key: Key) -> IfaceId {
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        // The files of a recording number them alike; where another file's are among them, they
        // must not become one.
        let id = match key {
            Key::Numbered(id) if !self.told.contains_key(&id) => id,
            _ => {
                while self.told.contains_key(&IfaceId(self.next)) {
                    self.next += 1;
                }
                IfaceId(self.next)
            }
        };
        self.ids.insert(key, id);
        id
    }
}

struct Options {
    name: Option<Arc<str>>,
    described: Option<Described>,
    tsresol: u8,
    tsoffset_s: i64,
}

impl Options {
    fn read(fields: Fields<'_>, is_recording: bool) -> Result<Self, &'static str> {
        let mut options = Self { name: None, described: None, tsresol: 6, tsoffset_s: 0 };
        for option in fields.options() {
            let (code, mut value) = option.map_err(|OptionTooLong| "an option runs past it")?;
            match (code, value.rest()) {
                (OPTION_NAME, bytes) => options.name = Some(name(bytes)),
                (OPTION_DESCRIPTION, bytes) if is_recording => {
                    options.described = Described::parse(bytes);
                }
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

    fn identity(&self) -> (Key, Known) {
        let name = self.name.clone();
        let Some(Described { id, ifindex, netns }) = &self.described else {
            let known = name.clone().map(|name| Arc::new(segment::Interface::named(name)));
            return (Key::Named(name), known);
        };
        let netns = netns.as_deref().map(|netns| self::name(netns.as_bytes()));
        let with = |name| Arc::new(segment::Interface { name, ifindex: *ifindex, netns });
        (Key::Numbered(*id), name.map(with))
    }
}

fn name(bytes: &[u8]) -> Arc<str> {
    let bytes = bytes.get(..MAX_NAME_BYTES).unwrap_or(bytes);
    // Some writers end the name with a zero byte.
    String::from_utf8_lossy(bytes).trim_end_matches('\0').into()
}
