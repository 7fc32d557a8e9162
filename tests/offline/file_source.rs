//! Capture files in, segments out.

mod checksums;
mod damage;
mod formats;
mod fragments;
mod frames;
mod tunnels;

use std::io::{Cursor, Read};

use capture_agent::segment::{Endpoint, IfaceId, Segment};
use capture_agent::selection::{PortSet, Sample, Selection};
use capture_agent::source::file::{FileError, FileSource, LinkType};
use capture_agent::source::{Item, Verdicts};
use capture_ebpf::Verdict;

use crate::support::pcap::{Order, Pcap, RAW_IP, Tcp, Variant};

const CLIENT: &str = "10.0.0.5:51234";
const SERVER: &str = "10.0.0.1:80";
const CLIENT_V6: &str = "[2001:db8::5]:51234";
const SERVER_V6: &str = "[2001:db8::1]:80";

/// A segment that outlives its source.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    time_ns: u64,
    iface: u32,
    src: Endpoint,
    dst: Endpoint,
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    payload: Vec<u8>,
    wire_len: u32,
}

impl Seen {
    fn new(segment: &Segment<'_>) -> Self {
        Self {
            time_ns: segment.time.as_nanos(),
            iface: segment.iface.0,
            src: segment.src,
            dst: segment.dst,
            seq: segment.seq.0,
            ack: segment.ack.0,
            flags: segment.flags.0,
            window: segment.window,
            payload: segment.payload.to_vec(),
            wire_len: segment.wire_len,
        }
    }

    /// What a source says of `tcp`, captured whole.
    fn of(tcp: &Tcp, time_ns: u64, iface: u32) -> Self {
        Self {
            time_ns,
            iface,
            src: Endpoint::new(tcp.src.ip(), tcp.src.port()),
            dst: Endpoint::new(tcp.dst.ip(), tcp.dst.port()),
            seq: tcp.seq,
            ack: tcp.ack,
            flags: tcp.flags,
            window: tcp.window,
            payload: tcp.payload.clone(),
            wire_len: u32::try_from(tcp.payload.len()).unwrap(),
        }
    }
}

/// All that a source says.
#[derive(Debug, Default)]
struct Reading {
    interfaces: Vec<(IfaceId, Option<String>)>,
    segments: Vec<Seen>,
    verdicts: Verdicts,
    unreadable: Vec<LinkType>,
    error: Option<FileError>,
}

impl Reading {
    /// The error as the user sees it.
    fn error(&self) -> String {
        self.error.as_ref().expect("an error").to_string()
    }

    /// Checks that each of these packets, and no other, was seen.
    fn assert_verdicts(&self, counts: &[(Verdict, u64)]) {
        let mut expected = Verdicts::default();
        for (verdict, count) in counts {
            expected.add(*verdict, *count);
        }
        assert_eq!(self.verdicts, expected, "{self:?}");
    }
}

fn everything() -> Selection {
    Selection { ports: PortSet::any(), hosts: Vec::new(), sample: Sample::ALL }
}

fn drain(source: Result<FileSource, FileError>) -> Reading {
    let mut reading = Reading::default();
    let mut source = match source {
        Ok(source) => source,
        Err(error) => return Reading { error: Some(error), ..reading },
    };
    loop {
        match source.next_item() {
            Ok(Some(Item::Segment(segment))) => reading.segments.push(Seen::new(&segment)),
            Ok(Some(Item::Interface(id, name))) => {
                reading.interfaces.push((id, name.map(|iface| iface.name.to_string())));
            }
            Ok(None) => break,
            Err(error) => {
                reading.error = Some(error);
                assert!(matches!(source.next_item(), Ok(None)), "an error is the end");
                break;
            }
        }
    }
    reading.verdicts = source.verdicts();
    reading.unreadable = source.unreadable_link_types().to_vec();
    reading
}

fn read_from(reader: impl Read + Send + 'static, selection: Selection) -> Reading {
    drain(FileSource::from_reader(Box::new(reader), "test.pcap", selection))
}

fn read(bytes: &[u8]) -> Reading {
    read_from(Cursor::new(bytes.to_vec()), everything())
}

/// Reads what must be whole.
fn read_whole(bytes: &[u8]) -> Reading {
    let reading = read(bytes);
    assert!(reading.error.is_none(), "{reading:?}");
    reading
}

/// A capture of IP packets, a millisecond apart.
fn capture_of_packets<P: AsRef<[u8]>>(packets: impl IntoIterator<Item = P>) -> Vec<u8> {
    let file = Pcap::new(Order::Little, Variant::Micros, RAW_IP);
    let timed = (0..).map(|ms| ms * 1_000_000).zip(packets);
    timed.fold(file, |file, (time, packet)| file.packet(time, packet.as_ref())).bytes()
}

/// Reads a capture of IP packets, each of which must get one verdict.
fn read_packets<P: AsRef<[u8]>>(packets: impl IntoIterator<Item = P>) -> Reading {
    let packets: Vec<_> = packets.into_iter().collect();
    let reading = read_whole(&capture_of_packets(&packets));
    assert_eq!(reading.verdicts.sum(), packets.len() as u64, "{reading:?}");
    let handed_over = reading.verdicts.count(Verdict::HandedOver);
    assert_eq!(handed_over, reading.segments.len() as u64, "{reading:?}");
    reading
}

/// Numbers without order, the same ones each time.
fn random() -> impl FnMut(usize) -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    }
}
