//! pcapng, written: what Wireshark, tcpdump and the agent's own `read` take in.
//!
//! Follows draft-ietf-opsawg-pcapng. Each function adds a whole block to what is in a buffer, so
//! that whoever writes the buffer can end one file and begin another between any two of them.
//!
//! The blocks are put together here rather than by a crate (`pcap-file` is the one there is): a
//! frame is built in its place, and the lengths around it are filled in after it. There a packet
//! takes a frame that was put together elsewhere, a list of options on the heap, and a pass over
//! all of it that does nothing but count.

mod block;
mod frame;
pub(super) mod rebuilt;

use std::ops::Range;

use crate::segment::{Segment, Timestamp};

use block::{Options, option};
pub use frame::pieces;

/// Bytes of a frame at most: Wireshark takes no longer ones.
const SNAP_BYTES: u32 = 256 << 10;
const ETHERNET: u16 = 1;
/// Time stamps count nanoseconds: the negative power of ten.
const NANOSECONDS: u8 = 9;

/// Begins a section: what a file begins with. Interfaces count anew from here on.
pub fn section(bytes: &mut Vec<u8>, comment: &str) {
    const BYTE_ORDER: u32 = 0x1a2b_3c4d;
    const VERSION: [u16; 2] = [1, 0];
    /// Nobody knows yet how long the section becomes.
    const UNKNOWN_LENGTH: i64 = -1;
    block::add(bytes, block::SECTION_HEADER, |bytes| {
        bytes.extend(BYTE_ORDER.to_le_bytes());
        VERSION.iter().for_each(|part| bytes.extend(part.to_le_bytes()));
        bytes.extend(UNKNOWN_LENGTH.to_le_bytes());
        Options::new(bytes)
            .text(option::COMMENT, comment)
            .text(option::SECTION_OS, &operating_system())
            .text(option::SECTION_APPLICATION, APPLICATION)
            .end();
    });
}

/// What made a section, as its header says.
const APPLICATION: &str = concat!("capture-agent ", env!("CARGO_PKG_VERSION"));

/// The system that it was made on.
fn operating_system() -> String {
    let name = rustix::system::uname();
    let parts = [name.sysname(), name.release(), name.machine()];
    parts.map(|part| part.to_string_lossy().into_owned()).join(" ")
}

/// Declares the next interface of the section; the first is number 0.
pub fn interface(bytes: &mut Vec<u8>, name: Option<&str>, description: Option<&str>) {
    block::add(bytes, block::INTERFACE_DESCRIPTION, |bytes| {
        bytes.extend(ETHERNET.to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(SNAP_BYTES.to_le_bytes());
        let options = Options::new(bytes)
            .text_if_any(option::INTERFACE_NAME, name)
            .text_if_any(option::INTERFACE_DESCRIPTION, description);
        options.bytes(option::INTERFACE_TIME_RESOLUTION, &[NANOSECONDS]).end();
    });
}

/// What is said of a packet beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Note<'a> {
    /// For people, and for a reader that knows what it means.
    pub comment: Option<&'a str>,
    /// How many packets are missing between the one before and this.
    pub dropped: u64,
}

/// Adds a segment as a packet of an interface of the section. Its payload must fit into an IP
/// packet: it is one of [`pieces`]. Of what was not captured no more is told than an IP header can.
pub fn packet(bytes: &mut Vec<u8>, interface: u32, segment: &Segment<'_>, note: Note<'_>) {
    let time = segment.time.as_nanos();
    block::add(bytes, block::ENHANCED_PACKET, |bytes| {
        let [high, low] = [(time >> 32) as u32, time as u32];
        let captured = frame::len(segment, segment.payload.len());
        let original = frame::len(segment, frame::told_len(segment));
        for field in [interface, high, low, captured as u32, original as u32] {
            bytes.extend(field.to_le_bytes());
        }
        frame::build(bytes, segment);
        block::pad(bytes, captured);
        let options = Options::new(bytes).text_if_any(option::COMMENT, note.comment);
        if note.dropped > 0 {
            options.bytes(option::PACKETS_DROPPED, &note.dropped.to_le_bytes()).end();
        } else {
            options.end();
        }
    });
}

/// The length of a segment's payload on the wire, where its packet doesn't tell it.
pub(super) fn wire_len_untold(segment: &Segment<'_>) -> Option<u32> {
    let told = frame::told_len(segment);
    Some(segment.wire_len).filter(|len| *len as usize > told)
}

/// A packet's block among others.
#[derive(Debug)]
pub(super) struct PacketBlock {
    /// Where it lies.
    pub(super) range: Range<usize>,
    /// The interface that it names.
    pub(super) interface: u32,
    pub(super) time: Timestamp,
}

/// The block that begins at `at` in blocks of packets.
pub(super) fn packet_at(blocks: &[u8], at: usize) -> Option<PacketBlock> {
    let (words, _) = blocks.get(at..)?.as_chunks();
    let [_, len, interface, high, low, ..] = words else { return None };
    let [len, interface, high, low] = [len, interface, high, low].map(|it| u32::from_le_bytes(*it));
    let time = Timestamp(u64::from(high) << 32 | u64::from(low));
    Some(PacketBlock { range: at..at + len as usize, interface, time })
}

/// Has the packet whose block begins at `at` be one of another interface.
pub(super) fn set_interface(blocks: &mut [u8], at: usize, interface: u32) {
    const KIND_AND_LEN_BYTES: usize = 8;
    let block = blocks.get_mut(at + KIND_AND_LEN_BYTES..);
    if let Some(place) = block.and_then(|rest| rest.first_chunk_mut()) {
        *place = interface.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::segment::{Endpoint, IfaceId, Missing, SeqNum, TcpFlags, Timestamp};
    use crate::selection::{PortSet, Sample, Selection};
    use crate::source::Item;
    use crate::source::file::FileSource;

    fn segment(payload: &[u8]) -> Segment<'_> {
        Segment {
            time: Timestamp(1_700_000_000_123_456_789),
            iface: IfaceId(0),
            src: Endpoint::v4([10, 0, 0, 5], 51_234),
            dst: Endpoint::v4([10, 0, 0, 1], 80),
            seq: SeqNum(1_000),
            ack: SeqNum(77),
            flags: TcpFlags::PSH.with(TcpFlags::ACK),
            window: 512,
            payload,
            wire_len: payload.len() as u32,
            missing: Missing::Unseen,
            cgroup: 0,
        }
    }

    /// What is read of it: names of interfaces, and segments as they are told.
    fn read(bytes: Vec<u8>) -> (Vec<String>, Vec<String>) {
        let selection = Selection {
            ports: "any".parse::<PortSet>().unwrap(),
            hosts: Vec::new(),
            sample: "1/1".parse::<Sample>().unwrap(),
        };
        let source = FileSource::from_reader(Box::new(Cursor::new(bytes)), "it", selection);
        let mut source = source.unwrap().verify_checksums(true);
        let (mut names, mut segments) = (Vec::new(), Vec::new());
        while let Some(item) = source.next_item().unwrap() {
            match item {
                Item::Interface(id, Some(interface)) => {
                    names.push(format!("{} {}", id.0, interface.name));
                }
                Item::Interface(id, None) => names.push(id.0.to_string()),
                Item::Segment(segment) => segments.push(format!("{segment:?}")),
            }
        }
        (names, segments)
    }

    #[test]
    fn what_was_written_is_read_again() {
        let long = vec![b'x'; 65_496];
        let mut bytes = Vec::new();
        section(&mut bytes, "for a test");
        interface(&mut bytes, Some("eth0"), Some("the first"));
        interface(&mut bytes, None, None);
        let whole = segment(b"GET / HTTP/1.1\r\n");
        let cut = Segment { wire_len: 9_000, iface: IfaceId(1), ..segment(b"odd") };
        let note = Note { comment: Some("ä comment"), dropped: 3 };
        packet(&mut bytes, 0, &whole, note);
        packet(&mut bytes, 1, &cut, Note::default());
        let long = segment(&long);
        let pieces: Vec<_> = pieces(&long).collect();
        assert_eq!(pieces.len(), 2);
        pieces.iter().for_each(|piece| packet(&mut bytes, 0, piece, note));
        let (names, segments) = read(bytes);
        assert_eq!(names, ["0 eth0", "1"]);
        let expected = [&[whole, cut][..], &pieces[..]].concat();
        let expected: Vec<_> = expected.iter().map(|segment| format!("{segment:?}")).collect();
        assert_eq!(segments, expected);
    }
}
