//! Capture files: pcap and pcapng, packed or not, to segments.
//!
//! Invariants: memory is bounded by one record whatever the file claims and however long it is;
//! payloads are slices of the read buffer; what lies before damage is yielded before the error;
//! each packet in the file gets exactly one verdict.
//!
//! The formats are read here rather than by a crate: a record's length must be known and judged
//! before the record is held, and damage inside a block told from a block that is not there yet.

mod clock;
mod error;
mod fields;
mod frame;
mod input;
mod interface;
mod link;
mod pcap;
mod pcapng;
mod window;

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use capture_ebpf::Verdict;

pub use error::{FileError, Packing, Problem};
pub use link::LinkType;

use self::frame::TcpFrame;
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
                verdicts: Verdicts::default(),
                unreadable: Vec::new(),
                any_readable: false,
                ended: false,
            }),
            Err(problem) => Err(FileError::new(name, problem)),
        }
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
                Some(Record::Packet(packet)) => match self.judge(&packet) {
                    Ok(tcp) => break (packet, tcp),
                    Err(verdict) => self.verdicts.add(verdict, 1),
                },
            }
        };
        self.verdicts.add(Verdict::HandedOver, 1);
        let start = packet.frame.start;
        Ok(Some(Item::Segment(Segment {
            time: packet.time,
            iface: packet.iface,
            src: tcp.src,
            dst: tcp.dst,
            seq: tcp.seq,
            ack: tcp.ack,
            flags: tcp.flags,
            window: tcp.window,
            payload: self.window.bytes(start + tcp.payload.start..start + tcp.payload.end),
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

    fn judge(&mut self, packet: &Packet) -> Result<TcpFrame, Verdict> {
        if packet.link.is_readable() {
            self.any_readable = true;
        } else if !self.unreadable.contains(&packet.link) {
            self.unreadable.push(packet.link);
        }
        let frame = self.window.bytes(packet.frame.clone());
        let tcp = frame::tcp(packet.link, frame, packet.frame_len)?;
        if !self.selection.selects_ports(tcp.src, tcp.dst) {
            return Err(Verdict::OtherPort);
        }
        if !self.selection.selects_hosts(tcp.src, tcp.dst) {
            return Err(Verdict::OtherHost);
        }
        Ok(tcp)
    }
}
