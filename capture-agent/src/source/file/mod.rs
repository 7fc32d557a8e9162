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
mod opening;
mod pcap;
mod pcapng;
mod plain;
pub(crate) mod recorded;
mod tunnel;
mod window;

use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use capture_ebpf::Verdict;

pub use error::{FileError, Packing, Problem};
pub use input::BytesRead;
pub use link::LinkType;
pub use opening::Opening;

use self::fragments::{Datagram, Fragment, Fragments};
use self::frame::{Frame, Search, TcpFrame};
use self::input::{Format, Pipe};
use self::ip::Ip;
use self::recorded::Remark;
use self::window::Window;
use super::{Item, Verdicts};
use crate::segment::{IfaceId, Interface, Segment, Timestamp};
use crate::selection::Selection;

/// A record that claims more is damage, and must not make the reader hold what it claims. The
/// largest packets are those of BIG TCP: 512 KiB and headers.
const MAX_RECORD_BYTES: u32 = 1024 * 1024;

/// What a capture format yields.
enum Record {
    /// An interface, before its first packet.
    Interface(IfaceId, Option<Arc<Interface>>),
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
    /// In a recording of the agent's own, what the frame cannot tell.
    remark: Remark,
}

/// What a source is made of.
struct Parts {
    name: String,
    selection: Selection,
    pipe: Option<Pipe>,
    window: Window,
    format: Format,
}

/// Segments of a capture file.
pub struct FileSource {
    name: String,
    selection: Selection,
    /// What is waited for, where the capture comes as it is written.
    pipe: Option<Pipe>,
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
        let name = input::name(path);
        match input::open(path) {
            Ok(reader) => Self::from_reader(reader, &name, selection),
            Err(problem) => Err(FileError::new(&name, problem)),
        }
    }

    /// Tells whether the file can be opened, as far as that is seen without taking something out of
    /// it; of pipes nothing is.
    ///
    /// # Errors
    /// Why it can't be opened.
    pub fn check(path: &Path) -> Result<(), FileError> {
        let is_special = |it: std::fs::Metadata| !it.is_file() && !it.is_dir();
        if path == Path::new("-") || std::fs::metadata(path).is_ok_and(is_special) {
            return Ok(());
        }
        let opened = input::open(path).map(drop);
        opened.map_err(|problem| FileError::new(&path.to_string_lossy(), problem))
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
        let mut opening = Opening::from_reader(reader, name, selection);
        let waits = || FileError::new(name, Problem::Read(ErrorKind::WouldBlock.into()));
        opening.source()?.ok_or_else(waits)
    }

    fn new(parts: Parts) -> Self {
        let Parts { name, selection, pipe, window, format } = parts;
        Self {
            name,
            selection,
            pipe,
            window,
            format,
            verify_checksums: false,
            fragments: Fragments::default(),
            datagram: None,
            verdicts: Verdicts::default(),
            unreadable: Vec::new(),
            any_readable: false,
            ended: false,
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

    /// The next interface or selected segment, `None` at the end of the file and after an error. Of
    /// one that does not wait, also where nothing more is there for now; whether it has come to its
    /// end, [`Self::is_over`] tells.
    ///
    /// # Errors
    /// The first damage in the file; all before it was yielded.
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, FileError> {
        let (packet, tcp) = loop {
            if self.ended {
                return Ok(None);
            }
            match self.format.record(&mut self.window) {
                Ok(Some(Record::Packet(packet))) => {
                    if let Some(tcp) = self.judge(&packet) {
                        break (packet, tcp);
                    }
                }
                Ok(Some(Record::Interface(id, interface))) => {
                    return Ok(Some(Item::Interface(id, interface)));
                }
                Ok(None) => return self.end(None).map(|()| None),
                Err(problem) => return self.end(Some(problem)).map(|()| None),
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
            wire_len: packet.remark.wire_len.map_or(tcp.wire_len, |len| len.max(tcp.wire_len)),
            missing: packet.remark.missing,
            cgroup: packet.remark.cgroup,
        })))
    }

    /// Whether nothing more comes.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.ended
    }

    /// Whether the capture comes as it is written, and was opened without waiting.
    #[must_use]
    pub const fn is_pipe(&self) -> bool {
        self.pipe.is_some()
    }

    /// Waits until more may have come, and no longer than this.
    pub fn wait(&self, patience: Duration) {
        self.pipe.iter().for_each(|pipe| _ = pipe.wait(patience));
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

    /// Comes to the end of the capture, or of what can be read of it, unless for now alone.
    #[cold]
    fn end(&mut self, problem: Option<Problem>) -> Result<(), FileError> {
        if problem.as_ref().is_some_and(Problem::is_for_now) {
            return Ok(());
        }
        self.ended = true;
        let all_unreadable = self.unreadable.first().filter(|_| !self.any_readable);
        match problem.or(all_unreadable.copied().map(Problem::LinkType)) {
            Some(problem) => Err(FileError::new(&self.name, problem)),
            None => Ok(()),
        }
    }

    /// Gives `packet` its verdict; yields the selected segment that it has or completes.
    fn judge(&mut self, packet: &Packet) -> Option<TcpFrame> {
        self.datagram = None;
        let found = self.find(packet);
        let verdict = match &found {
            Ok(tcp) => self.select(tcp),
            Err(verdict) => *verdict,
        };
        self.verdicts.add(verdict, 1);
        let is_wanted = verdict == Verdict::HandedOver;
        if let Some(datagram) = &self.datagram {
            let of_others = if is_wanted { Verdict::Reassembled } else { verdict };
            self.verdicts.revise(Verdict::Fragment, of_others, datagram.frames - 1);
        }
        found.ok().filter(|_| is_wanted)
    }

    fn select(&self, tcp: &TcpFrame) -> Verdict {
        if !self.selection.selects_ports(tcp.src, tcp.dst) {
            Verdict::OtherPort
        } else if !self.selection.selects_hosts(tcp.src, tcp.dst) {
            Verdict::OtherHost
        } else if !self.selection.samples(tcp.src, tcp.dst) {
            Verdict::NotSampled
        } else {
            Verdict::HandedOver
        }
    }

    #[inline(always)]
    fn find(&mut self, packet: &Packet) -> Result<TcpFrame, Verdict> {
        let Packet { link, frame_len, .. } = *packet;
        if link.is_readable() {
            self.any_readable = true;
        } else if !self.unreadable.contains(&link) {
            self.unreadable.push(link);
        }
        let frame = self.window.bytes(packet.frame.clone());
        if link == LinkType::ETHERNET
            && !self.verify_checksums
            && let Some(tcp) = plain::segment(frame)
        {
            return Ok(tcp);
        }
        match Frame::parse(link, frame, frame_len, self.verify_checksums)? {
            Frame::Tcp(tcp) => Ok(tcp),
            Frame::Ip(ip) => self.search(packet, ip),
        }
    }

    /// Searches what a frame holds, and the datagrams that it completes.
    #[cold]
    fn search(&mut self, packet: &Packet, ip: Ip) -> Result<TcpFrame, Verdict> {
        let Packet { time, iface, .. } = *packet;
        let mut search = Search::new(ip, self.verify_checksums);
        loop {
            let (buffer, frames) = match &self.datagram {
                None => (self.window.bytes(packet.frame.clone()), 1),
                Some(datagram) => (datagram.bytes.as_slice(), datagram.frames),
            };
            if let Some(tcp) = search.tcp(buffer)? {
                return Ok(tcp);
            }
            let (ip, part) = search.fragment().ok_or(Verdict::Fragment)?;
            let bytes = ip.payload.bytes(buffer)?;
            let fragment = Fragment { time, iface, ip, part, bytes, frames };
            let datagram = self.datagram.insert(self.fragments.add(&fragment)?);
            search.enter(datagram.ip)?;
        }
    }
}
