//! Capture files: pcap and pcapng, packed or not, to segments.
//!
//! Invariants: memory is bounded by one record, and by what fragments may hold, whatever the file
//! claims and however long it is; payloads are slices of the read buffer, or of the datagram that
//! was put together last; what lies before damage is yielded before the error; each packet in the
//! file gets exactly one verdict.
//!
//! The packets of a datagram that came in fragments share one: where a segment is in it, the last
//! counts as handed over and the others as reassembled. Until it is whole they are fragments.
//!
//! The formats are read here rather than by a crate: a record's length must be known and judged
//! before the record is held, and damage inside a block told from a block that is not there yet.

mod clock;
mod error;
mod fields;
mod fragments;
mod frame;
mod input;
mod interface;
mod ip;
mod link;
mod pcap;
mod pcapng;
mod tunnel;
mod window;

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use capture_ebpf::Verdict;

pub use error::{FileError, Packing, Problem};
pub use link::LinkType;

use self::fragments::{Datagram, Fragment, Fragments};
use self::frame::{Found, Search, TcpFrame};
use self::input::Format;
use self::window::Window;
use super::{Item, Verdicts};
use crate::segment::{IfaceId, Segment, Timestamp};
use crate::selection::Selection;

/// A record that claims more is damage, and must not make the reader hold what it claims. The
/// largest packets are those of BIG TCP: 512 KiB and headers.
const MAX_RECORD_BYTES: u32 = 1024 * 1024;

/// What a capture format yields.
enum Record {
    /// An interface, before its first packet.
    Interface(IfaceId, Option<Arc<str>>),
    /// A packet.
    Packet(Packet),
}

/// A packet in the window.
struct Packet {
    time: Timestamp,
    iface: IfaceId,
    link: LinkType,
    /// Where its captured bytes lie in the window.
    frame: Range<usize>,
    /// Its length on the wire.
    frame_len: usize,
}

/// Segments of a capture file.
pub struct FileSource {
    name: String,
    selection: Selection,
    window: Window,
    format: Format,
    verify_checksums: bool,
    fragments: Fragments,
    /// The datagram that the last packet completed.
    datagram: Option<Datagram>,
    verdicts: Verdicts,
    unreadable: Vec<LinkType>,
    any_readable: bool,
    ended: bool,
}

impl FileSource {
    /// Opens the capture at `path`; `-` is standard input.
    ///
    /// # Errors
    /// What cannot be read, and what is not a capture.
    pub fn open(path: &Path, selection: Selection) -> Result<Self, FileError> {
        let name = match path.to_str() {
            Some("-") => "standard input".to_owned(),
            _ => path.to_string_lossy().into_owned(),
        };
        match input::open(path) {
            Ok(reader) => Self::from_reader(reader, &name, selection),
            Err(problem) => Err(FileError::new(&name, problem)),
        }
    }

    /// Reads the capture that `reader` yields; errors call it `name`.
    ///
    /// # Errors
    /// What cannot be read, and what is not a capture.
    pub fn from_reader(
        reader: Box<dyn Read + Send>,
        name: &str,
        selection: Selection,
    ) -> Result<Self, FileError> {
        let recognised = input::unpack(reader).and_then(|mut window| {
            let format = Format::recognise(&mut window)?;
            Ok((window, format))
        });
        match recognised {
            Ok((window, format)) => Ok(Self {
                name: name.to_owned(),
                selection,
                window,
                format,
                verify_checksums: false,
                fragments: Fragments::default(),
                datagram: None,
                verdicts: Verdicts::default(),
                unreadable: Vec::new(),
                any_readable: false,
                ended: false,
            }),
            Err(problem) => Err(FileError::new(name, problem)),
        }
    }

    /// Leaves out what has a wrong IPv4 header or TCP checksum, where it was captured far enough
    /// to tell. Not so unless asked: on the host that sends, checksums are filled in by the
    /// network card, after the capture.
    #[must_use]
    pub fn verify_checksums(mut self, verify: bool) -> Self {
        self.verify_checksums = verify;
        self
    }

    /// The next interface or selected segment, `None` at the end of the file and after an error.
    ///
    /// # Errors
    /// The first damage in the file; all before it was yielded.
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, FileError> {
        let (packet, tcp) = loop {
            match self.record()? {
                None => return Ok(None),
                Some(Record::Interface(id, name)) => return Ok(Some(Item::Interface(id, name))),
                Some(Record::Packet(packet)) => {
                    if let Some(tcp) = self.judge(&packet) {
                        break (packet, tcp);
                    }
                }
            }
        };
        let buffer = match &self.datagram {
            None => self.window.bytes(packet.frame),
            Some(datagram) => &datagram.bytes,
        };
        Ok(Some(Item::Segment(Segment {
            time: packet.time,
            iface: packet.iface,
            src: tcp.src,
            dst: tcp.dst,
            seq: tcp.seq,
            ack: tcp.ack,
            flags: tcp.flags,
            window: tcp.window,
            payload: buffer.get(tcp.payload).unwrap_or_default(),
            wire_len: tcp.wire_len,
        })))
    }

    /// What happened to each packet so far.
    #[must_use]
    pub const fn verdicts(&self) -> Verdicts {
        self.verdicts
    }

    /// Link types of packets that could not be looked into and count as not IP. Only pcapng can
    /// mix them with others; where a file has nothing else, its end is an error.
    #[must_use]
    pub fn unreadable_link_types(&self) -> &[LinkType] {
        &self.unreadable
    }

    fn record(&mut self) -> Result<Option<Record>, FileError> {
        if self.ended {
            return Ok(None);
        }
        let record = match self.format.record(&mut self.window) {
            Ok(None) if !self.any_readable => match self.unreadable.first() {
                Some(link) => Err(Problem::LinkType(*link)),
                None => Ok(None),
            },
            record => record,
        };
        self.ended = !matches!(record, Ok(Some(_)));
        record.map_err(|problem| FileError::new(&self.name, problem))
    }

    /// Gives `packet` its verdict; yields the selected segment that it has or completes.
    fn judge(&mut self, packet: &Packet) -> Option<TcpFrame> {
        self.datagram = None;
        let found = self.find(packet).and_then(|tcp| self.select(tcp));
        let (verdict, of_others) = match found {
            Ok(_) => (Verdict::HandedOver, Verdict::Reassembled),
            Err(verdict) => (verdict, verdict),
        };
        self.verdicts.add(verdict, 1);
        if let Some(datagram) = &self.datagram {
            self.verdicts.revise(Verdict::Fragment, of_others, datagram.frames - 1);
        }
        found.ok()
    }

    fn find(&mut self, packet: &Packet) -> Result<TcpFrame, Verdict> {
        if packet.link.is_readable() {
            self.any_readable = true;
        } else if !self.unreadable.contains(&packet.link) {
            self.unreadable.push(packet.link);
        }
        let frame = self.window.bytes(packet.frame.clone());
        let mut search = Search::new(self.verify_checksums);
        let found = search.frame(packet.link, frame, packet.frame_len)?;
        match found {
            Found::Tcp(tcp) => Ok(tcp),
            fragment => self.find_in_datagrams(packet, search, fragment),
        }
    }

    /// Goes on from a fragment, through the datagrams that it completes.
    #[cold]
    fn find_in_datagrams(
        &mut self,
        packet: &Packet,
        mut search: Search,
        mut found: Found,
    ) -> Result<TcpFrame, Verdict> {
        loop {
            let (ip, part) = match found {
                Found::Tcp(tcp) => return Ok(tcp),
                Found::Fragment(ip, part) => (ip, part),
            };
            let (buffer, frames) = match &self.datagram {
                None => (self.window.bytes(packet.frame.clone()), 1),
                Some(datagram) => (datagram.bytes.as_slice(), datagram.frames),
            };
            let Packet { time, iface, .. } = *packet;
            let bytes = ip.payload.bytes(buffer)?;
            let fragment = Fragment { time, iface, ip, part, bytes, frames };
            let datagram = self.fragments.add(&fragment)?;
            found = {
                let Datagram { ip, bytes, .. } = self.datagram.insert(datagram);
                search.reassembled(bytes, *ip)?
            };
        }
    }

    fn select(&self, tcp: TcpFrame) -> Result<TcpFrame, Verdict> {
        if !self.selection.selects_ports(tcp.src, tcp.dst) {
            return Err(Verdict::OtherPort);
        }
        if !self.selection.selects_hosts(tcp.src, tcp.dst) {
            return Err(Verdict::OtherHost);
        }
        Ok(tcp)
    }
}
