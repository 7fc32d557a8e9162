//! pcap and pcapng, packed or not.

use std::io::{Read, Write};

use capture_agent::segment::IfaceId;
use capture_agent::source::Item;
use capture_agent::source::file::FileSource;
use capture_ebpf::Verdict;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::support::pcap::{
    Conversation, ETHERNET, IF_NAME, IF_TSOFFSET, IF_TSRESOL, Order, Pcap, Pcapng, RAW_IP, Variant,
    pcap_of,
};

const TIME_NS: u64 = 1_700_000_000_123_456_000;

fn request() -> Tcp {
    Tcp::new(CLIENT, SERVER, 1_000, b"GET / HTTP/1.1\r\n\r\n")
}

fn conversation() -> Vec<Tcp> {
    Conversation::new(CLIENT, SERVER)
        .open()
        .client_sends(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        .server_sends(&[b'x'; 4_000])
        .close()
        .segments()
}

#[test]
fn pcap_in_each_byte_order_and_variant() {
    for order in [Order::Little, Order::Big] {
        for variant in [Variant::Micros, Variant::Nanos, Variant::Kuznetzov] {
            let time_ns = TIME_NS + if variant == Variant::Nanos { 789 } else { 0 };
            let file = Pcap::new(order, variant, ETHERNET)
                .packet(time_ns, &request().ethernet())
                .packet(time_ns + 1_000, &request().ethernet())
                .bytes();
            let reading = read_whole(&file);
            let expected =
                [time_ns, time_ns + 1_000].map(|time_ns| Seen::of(&request(), time_ns, 0));
            assert_eq!(reading.segments, expected, "{order:?} {variant:?}");
            assert_eq!(reading.interfaces, [(IfaceId(0), None)]);
        }
    }
}

#[test]
fn every_segment_of_a_conversation_comes_out_pure_acks_too() {
    let segments = conversation();
    let reading = read_whole(&pcap_of(&segments));
    let times = (1_700_000_000_000_u64..).map(|ms| ms * 1_000_000);
    let expected: Vec<_> =
        segments.iter().zip(times).map(|(tcp, time_ns)| Seen::of(tcp, time_ns, 0)).collect();
    assert_eq!(reading.segments, expected);
    reading.assert_verdicts(&[(Verdict::HandedOver, segments.len() as u64)]);
}

#[test]
fn a_frame_check_sequence_in_the_link_type_field_is_no_link_type() {
    let frame = request().ethernet();
    let file = Pcap::new(Order::Little, Variant::Micros, ETHERNET).packet(0, &frame);
    let mut bytes = file.bytes();
    bytes[23] = 0x24;
    assert_eq!(read_whole(&bytes).segments, [Seen::of(&request(), 0, 0)]);
}

#[test]
fn pcapng_sections_have_their_own_byte_order_and_interfaces() {
    let (tcp, micros) = (request(), TIME_NS / 1_000);
    let (frame, packet) = (tcp.ethernet(), tcp.ip());
    let file = Pcapng::new(Order::Little)
        .interface(ETHERNET, 0, &[(IF_NAME, b"eth0")])
        .interface(RAW_IP, 0, &[(IF_NAME, b"wg0"), (IF_TSRESOL, &[9])])
        .packet(1, TIME_NS + 7, &packet, packet.len())
        .packet(0, micros, &frame, frame.len())
        .section(Order::Big)
        .interface(RAW_IP, 0, &[(IF_NAME, b"tun7")])
        .interface(ETHERNET, 0, &[(IF_NAME, b"eth0")])
        .packet(0, micros, &packet, packet.len())
        .packet(1, micros, &frame, frame.len())
        .bytes();
    let reading = read_whole(&file);
    let name = |id, name: &str| (IfaceId(id), Some(name.to_owned()));
    assert_eq!(reading.interfaces, [name(0, "eth0"), name(1, "wg0"), name(2, "tun7")]);
    let expected = [(TIME_NS + 7, 1), (TIME_NS, 0), (TIME_NS, 2), (TIME_NS, 0)];
    assert_eq!(reading.segments, expected.map(|(time_ns, iface)| Seen::of(&tcp, time_ns, iface)));
}

#[test]
fn pcapng_time_follows_resolution_and_offset_in_either_byte_order() {
    let frame = request().ethernet();
    for order in [Order::Little, Order::Big] {
        let offset = order.i64(1_700_000_000);
        let back = order.i64(-5);
        type Options<'a> = &'a [(u16, &'a [u8])];
        let cases: [(Options<'_>, u64, u64); 6] = [
            (&[], 5_000_001, 5_000_001_000),
            (&[(IF_TSRESOL, &[3])], 5_001, 5_001_000_000),
            (&[(IF_TSRESOL, &[0x80 | 20])], (5 << 20) | (1 << 19), 5_500_000_000),
            (&[(IF_TSRESOL, &[9]), (IF_TSOFFSET, &offset)], 42, 1_700_000_000_000_000_042),
            (&[(IF_TSOFFSET, &back)], 6_000_000, 1_000_000_000),
            (&[(IF_TSRESOL, &[0]), (IF_TSOFFSET, &back)], 1, 0),
        ];
        for (options, stamp, time_ns) in cases {
            let file = Pcapng::new(order)
                .interface(ETHERNET, 0, options)
                .packet(0, stamp, &frame, frame.len())
                .bytes();
            let reading = read_whole(&file);
            assert_eq!(
                reading.segments,
                [Seen::of(&request(), time_ns, 0)],
                "{order:?} {options:?}"
            );
        }
    }
}

#[test]
fn older_and_simple_packets_and_blocks_of_other_kinds() {
    let tcp = request();
    let frame = tcp.ethernet();
    let snapped = &frame[..60];
    for order in [Order::Little, Order::Big] {
        let file = Pcapng::new(order)
            .block(0x0bad, &[0xff; 300_001])
            .interface(ETHERNET, 60, &[(1, b"a comment")])
            .obsolete(0, 3_000_000, &frame, frame.len())
            .block(5, &[0; 8])
            .simple(snapped, frame.len())
            .simple(snapped, 60)
            .bytes();
        let reading = read_whole(&file);
        let mut cut = Seen::of(&tcp, 3_000_000_000, 0);
        cut.payload.truncate(60 - 54);
        assert_eq!(reading.segments, [Seen::of(&tcp, 3_000_000_000, 0), cut.clone(), cut]);
        reading.assert_verdicts(&[(Verdict::HandedOver, 3)]);
    }
}

#[test]
fn packed_files_are_read_as_they_are() {
    let plain = pcap_of(&conversation());
    let expected = read_whole(&plain).segments;
    let (head, tail) = plain.split_at(plain.len() / 2);
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 0).unwrap();
    let skippable = [b"\x51\x2a\x4d\x18\x02\0\0\0ab".as_slice(), &zstd(&plain)].concat();
    for packed in [
        gzip(&plain),
        [gzip(head), gzip(tail)].concat(),
        zstd(&plain),
        [zstd(head), zstd(tail)].concat(),
        skippable,
    ] {
        assert_eq!(read_whole(&packed).segments, expected);
    }
}

/// A pipe: hands out one chunk at a time, and must not be asked for more than the test has.
struct Pipe(Vec<Vec<u8>>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        assert!(!self.0.is_empty(), "asked for more than there is so far");
        let chunk = self.0.remove(0);
        buffer[..chunk.len()].copy_from_slice(&chunk);
        Ok(chunk.len())
    }
}

#[test]
fn what_a_pipe_has_delivered_is_not_held_back() {
    let file = pcap_of(&conversation()[..1]);
    let chunks = vec![file[..4].to_vec(), file[4..30].to_vec(), file[30..].to_vec()];
    let mut source = FileSource::from_reader(Box::new(Pipe(chunks)), "pipe", everything()).unwrap();
    assert!(matches!(source.next_item(), Ok(Some(Item::Interface(..)))));
    assert!(matches!(source.next_item(), Ok(Some(Item::Segment(_)))));
}

#[test]
fn a_stream_that_trickles_reads_the_same() {
    let file = pcap_of(&conversation());
    let mut chunks: Vec<_> = file.iter().map(|byte| vec![*byte]).collect();
    chunks.push(Vec::new());
    let reading = read_from(Pipe(chunks), everything());
    assert!(reading.error.is_none(), "{reading:?}");
    assert_eq!(reading.segments, read_whole(&file).segments);
}

#[test]
fn records_larger_than_the_buffer_are_read() {
    let mut tcp = Tcp::new(CLIENT, SERVER, 1, &[]);
    // As before segmentation offload with BIG TCP: the header leaves the length at 0.
    let mut frame = tcp.ethernet();
    frame[16..18].fill(0);
    tcp.payload = (0..524_288_u32).map(|n| n.to_le_bytes()[0]).collect();
    frame.extend(&tcp.payload);
    let mut file = Pcap::new(Order::Little, Variant::Micros, ETHERNET);
    for _ in 0..3 {
        file = file.packet(0, &frame).packet(0, &request().ethernet());
    }
    let pair = [Seen::of(&tcp, 0, 0), Seen::of(&request(), 0, 0)];
    assert!(read_whole(&file.bytes()).segments == [pair.clone(), pair.clone(), pair].concat());
}

#[test]
fn selection_and_verdicts() {
    let to = |server: &str| Tcp::new(CLIENT, server, 1, b"x").ethernet();
    let from = |server: &str| Tcp::new(server, CLIENT, 1, b"x").ethernet();
    let file = Pcap::new(Order::Little, Variant::Micros, ETHERNET)
        .packet(0, &to("10.0.0.1:80"))
        .packet(0, &from("10.0.0.1:80"))
        .packet(0, &to("10.0.0.1:443"))
        .packet(0, &to("10.0.0.2:80"))
        .bytes();
    let selection = Selection {
        ports: "80".parse().unwrap(),
        hosts: vec!["10.0.0.1".parse().unwrap()],
        sample: Sample::ALL,
    };
    let reading = read_from(Cursor::new(file), selection);
    assert_eq!(reading.segments.len(), 2);
    reading.assert_verdicts(&[
        (Verdict::HandedOver, 2),
        (Verdict::OtherPort, 1),
        (Verdict::OtherHost, 1),
    ]);
}
