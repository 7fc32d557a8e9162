//! Files that are no captures, and captures that are cut or damaged.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use capture_agent::source::file::{Packing, Problem};
use capture_ebpf::Verdict;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::support::packets::{Family, UDP, VXLAN_PORT, fragments, ip, udp, vxlan};
use crate::support::pcap::{
    Conversation, ETHERNET, IF_NAME, IF_TSOFFSET, IF_TSRESOL, Pcapng, ethernet,
};

const RADIOTAP: u16 = 127;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 0).unwrap()
}

fn frame() -> Vec<u8> {
    Tcp::new(CLIENT, SERVER, 1, b"GET / HTTP/1.1\r\n\r\n").ethernet()
}

fn pcap() -> Pcap {
    Pcap::new(Order::Little, Variant::Micros, ETHERNET)
}

fn pcapng() -> Pcapng {
    Pcapng::new(Order::Little)
}

/// Small captures that use every part of the formats.
fn captures() -> Vec<Vec<u8>> {
    let segments = Conversation::new(CLIENT_V6, SERVER_V6)
        .open()
        .client_sends(b"GET / HTTP/1.1\r\n\r\n")
        .close()
        .segments();
    let frames: Vec<_> = segments.iter().map(Tcp::ethernet).collect();
    let pcap = |order, variant| {
        let file = Pcap::new(order, variant, ETHERNET);
        frames.iter().fold(file, |file, frame| file.packet(9, frame)).bytes()
    };
    let mut pcapng = pcapng()
        .interface(ETHERNET, 262_144, &[(IF_NAME, b"eth0"), (IF_TSRESOL, &[9])])
        .interface(RADIOTAP, 0, &[(IF_NAME, b"wlan0"), (IF_TSOFFSET, &[0; 8])]);
    for frame in &frames[..3] {
        pcapng = pcapng
            .packet(0, 9, frame, frame.len())
            .packet(1, 9, frame, frame.len())
            .simple(frame, frame.len())
            .block(5, &[7; 20]);
    }
    pcapng = pcapng.section(Order::Big).interface(ETHERNET, 0, &[(IF_NAME, b"eth1")]);
    for frame in &frames[3..] {
        pcapng = pcapng.obsolete(0, 9, frame, frame.len()).packet(0, 9, frame, frame.len());
    }
    let tunnelled = [Family::V4, Family::V6].iter().cycle().zip(&segments).map(|(outer, tcp)| {
        let frame = vxlan(&ethernet(&[(0x8100, 5)], &tcp.ip()));
        ip(*outer, UDP, &udp(VXLAN_PORT, &frame))
    });
    let parts = tunnelled.flat_map(|packet| fragments(&packet, 7, 48));
    vec![
        pcap(Order::Little, Variant::Micros),
        pcap(Order::Big, Variant::Kuznetzov),
        pcapng.bytes(),
        capture_of_packets(parts),
    ]
}

/// Everything yielded before the end or the error, in the order it came by kind.
fn yielded(reading: &Reading) -> (usize, usize) {
    (reading.interfaces.len(), reading.segments.len())
}

#[track_caller]
fn assert_begins_like(damaged: &Reading, whole: &Reading, (interfaces, segments): (usize, usize)) {
    assert_eq!(damaged.interfaces.get(..interfaces), whole.interfaces.get(..interfaces));
    assert_eq!(damaged.segments.get(..segments), whole.segments.get(..segments));
}

#[track_caller]
fn assert_error(reading: &Reading, says: &[&str]) {
    let error = reading.error();
    assert!(error.starts_with("test.pcap: ") && !error.contains('\n'), "{error}");
    for part in says {
        assert!(error.contains(part), "'{part}' is not in: {error}");
    }
}

#[test]
fn every_prefix_yields_its_whole_records_and_then_says_that_it_was_cut() {
    for capture in captures() {
        let whole = read_whole(&capture);
        let mut last = (0, 0);
        let mut boundaries = 0;
        for len in 0..capture.len() {
            let reading = read(&capture[..len]);
            assert_begins_like(&reading, &whole, yielded(&reading));
            assert!(yielded(&reading) >= last, "{len} bytes yield less than {}", len - 1);
            last = yielded(&reading);
            match &reading.error {
                None => boundaries += 1,
                Some(FileError { problem: Problem::Cut { .. }, .. }) => {}
                Some(FileError { problem: Problem::Empty(_), .. }) => assert_eq!(len, 0),
                Some(FileError { problem: Problem::NotACapture { .. }, .. }) => assert!(len < 4),
                Some(error) => panic!("{len} bytes: {error}"),
            }
        }
        assert!((8..=30).contains(&boundaries), "{boundaries} prefixes end between records");
    }
}

#[test]
fn random_damage_never_panics_and_never_reaches_what_is_before_it() {
    let mut random = random();
    for capture in captures() {
        let whole = read_whole(&capture);
        let before: Vec<_> =
            (0..capture.len()).map(|len| yielded(&read(&capture[..len]))).collect();
        for _ in 0..4_000 {
            let mut damaged = capture.clone();
            let mut first = capture.len();
            for _ in 0..=random(4) {
                let at = random(capture.len());
                let odd = [0, 1, 0x7f, 0x80, 0xff, u8::try_from(random(256)).unwrap()];
                damaged[at] = odd[random(odd.len())];
                first = first.min(at);
            }
            let reading = read(&damaged);
            assert_begins_like(&reading, &whole, before[first]);
        }
        for packed in [gzip(&capture), zstd(&capture)] {
            for _ in 0..1_000 {
                let mut damaged = packed.clone();
                damaged[random(packed.len())] ^= 1 << random(8);
                read(&damaged);
            }
        }
    }
}

#[test]
fn what_is_not_a_capture_is_named() {
    for (bytes, says) in [
        (b"".as_slice(), "is empty"),
        (b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "looks like text"),
        ("H\u{e4}llo W\u{f6}rld".as_bytes(), "looks like text"),
        (&[0; 100], "no format that is known"),
        (&[0xd4, 0xc3], "no format that is known"),
        (b"\xfd7zXZ\0\0\x04", "packed with xz; unpack it first"),
        (b"PK\x03\x04", "zip archive"),
        (b"snoop\0\0\0\0\0\0\x02", "editcap"),
    ] {
        assert_error(&read(bytes), &[says]);
        if !bytes.is_empty() {
            assert_error(&read(bytes), &["is not a pcap or pcapng capture"]);
        }
        assert_error(&read(&gzip(bytes)), &["is gzip, and what is in it ", says]);
        assert_error(&read(&zstd(bytes)), &["is zstd, and what is in it ", says]);
    }
    assert_error(&read(&gzip(&gzip(b"x"))), &["packed a second time"]);
}

#[test]
fn versions_that_nobody_defined_are_named() {
    let mut file = pcap().bytes();
    file[4] = 9;
    assert_error(&read(&file), &["is pcap of version 9"]);
    let mut file = pcapng().bytes();
    file[12] = 2;
    assert_error(&read(&file), &["is pcapng of version 2"]);
}

#[test]
fn files_that_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| drain(FileSource::open(path, everything())).error();
    let missing = folder.path().join("missing.pcap");
    assert_eq!(open(&missing), format!("{}: there is no such file", missing.display()));
    assert!(open(folder.path()).contains("is a directory"));
    assert!(open(Path::new("/proc/self/mem")).contains("cannot be read"));
    let hostile = open(Path::new("a\x1b[2Jb\nc"));
    assert!(!hostile.contains(['\x1b', '\n']), "{hostile:?}");

    let secret = folder.path().join("secret.pcap");
    std::fs::write(&secret, pcap().bytes()).unwrap();
    assert!(drain(FileSource::open(&secret, everything())).error.is_none());
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read it all the same.
    if std::fs::File::open(&secret).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied) {
        assert!(open(&secret).contains("permission denied"));
    }
}

#[test]
fn a_record_of_four_gib_is_damage_and_not_an_allocation() {
    for order in [Order::Little, Order::Big] {
        for claim in [u32::MAX, 0x8000_0000, 1_048_577] {
            let good = Pcap::new(order, Variant::Micros, ETHERNET).packet(0, &frame()).bytes();
            let record = [[0; 8].as_slice(), &order.u32(claim), &order.u32(claim)].concat();
            let reading = read(&[good.clone(), record].concat());
            assert_eq!(reading.segments.len(), 1);
            let at = format!("the packet record at byte {} claims {claim} bytes", good.len());
            assert_error(&reading, &[&at]);
        }
    }
}

#[test]
fn blocks_that_claim_too_much_or_too_little() {
    let good = pcapng().interface(ETHERNET, 0, &[]).packet(0, 0, &frame(), 72).bytes();
    for (kind, len, says) in [
        (6_u32, 0xffff_fffc_u32, "claims 4294967292 bytes"),
        (0x0a0d_0d0a, 0xffff_fffc, "claims 4294967292 bytes"),
        (0x0bad, 0xffff_fffc, "ends in the middle of the block"),
        (6, 0, "its length cannot be that of a block"),
        (6, 8, "its length cannot be that of a block"),
        (6, 33, "its length cannot be that of a block"),
        (6, 12, "the lengths at its two ends differ"),
    ] {
        let order = 0x1a2b_3c4d_u32.to_le_bytes();
        let block = [kind.to_le_bytes(), len.to_le_bytes(), order, [0; 4]].concat();
        let reading = read(&[good.clone(), block].concat());
        assert_eq!(reading.segments.len(), 1);
        assert_error(&reading, &[says, &format!("at byte {}", good.len())]);
    }
}

#[test]
fn blocks_that_contradict_themselves_or_those_before() {
    let declared = || pcapng().interface(ETHERNET, 0, &[]);
    let whole_packet = [[0; 12].as_slice(), &[18, 0, 0, 0], &[18, 0, 0, 0], &[0; 20]].concat();
    let long_packet = [[0; 12].as_slice(), &[21, 0, 0, 0], &[21, 0, 0, 0], &[0; 20]].concat();
    let option_past_end = [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 200, 0];
    for (file, says) in [
        (pcapng().packet(0, 0, &frame(), 72), "not declared before it"),
        (declared().packet(1, 0, &frame(), 72), "not declared before it"),
        (declared().section(Order::Big).packet(0, 0, &frame(), 72), "not declared before it"),
        (pcapng().simple(&frame(), 72), "not declared before it"),
        (declared().simple(&frame(), 1_000), "its packet is longer than the block"),
        (declared().block(6, &long_packet), "its packet is longer than the block"),
        (declared().block(6, &whole_packet[..16]), "shorter than its fields"),
        (declared().block(1, &[0; 4]), "shorter than its fields"),
        (declared().block(1, &option_past_end), "an option runs past it"),
        (pcapng().interface(ETHERNET, 0, &[(IF_TSRESOL, &[9, 9])]), "wrong length"),
        (pcapng().interface(ETHERNET, 0, &[(IF_TSOFFSET, &[9])]), "wrong length"),
    ] {
        assert_error(&read(&file.bytes()), &["is damaged: ", says]);
    }
    let mut second_magic = declared().section(Order::Little).bytes();
    let at = second_magic.len() - 20;
    second_magic[at] ^= 1;
    assert_error(&read(&second_magic), &["section header without a byte order"]);
}

#[test]
fn interfaces_without_end_do_not_take_memory_without_end() {
    let endless = (0..70_000).fold(pcapng(), |file, _| file.interface(ETHERNET, 0, &[]));
    assert_error(&read(&endless.bytes()), &["one interface too many"]);
    let names = (0..70_000).fold(pcapng(), |file, n| {
        file.section(Order::Little).interface(ETHERNET, 0, &[(IF_NAME, n.to_string().as_bytes())])
    });
    assert_error(&read(&names.bytes()), &["one interface too many"]);
    let sections = (0..70_000).fold(pcapng(), |file, _| {
        file.section(Order::Little).interface(ETHERNET, 0, &[(IF_NAME, b"eth0")])
    });
    assert_eq!(read_whole(&sections.bytes()).interfaces.len(), 1);
}

#[test]
fn packed_files_that_are_cut_or_damaged() {
    let segments =
        Conversation::new(CLIENT, SERVER).open().server_sends(&[b'x'; 90_000]).segments();
    let mut noise = (0_u32..).map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes()[0]);
    let file = segments.into_iter().fold(pcap(), |file, mut tcp| {
        tcp.payload.fill_with(|| noise.next().unwrap());
        file.packet(0, &tcp.ethernet())
    });
    let plain = file.bytes();
    let whole = read_whole(&plain);
    for (packing, packed) in [(Packing::Gzip, gzip(&plain)), (Packing::Zstd, zstd(&plain))] {
        let reading = read(&packed[..packed.len() - 5]);
        assert_error(&reading, &[&format!("the {packing} data was cut")]);
        assert_begins_like(&reading, &whole, yielded(&reading));
        // A decoder yields block by block, and the last block is not whole.
        if packing == Packing::Gzip {
            assert_eq!(reading.segments.len(), whole.segments.len());
        }

        let mut damaged = packed.clone();
        // Damaged deflate may unpack to anything; its check sum tells, at the end.
        let from = if packing == Packing::Gzip { packed.len() - 8 } else { packed.len() / 2 };
        damaged[from..].fill(0xff);
        let reading = read(&damaged);
        assert_error(&reading, &[&format!("the {packing} data is damaged")]);
        assert_begins_like(&reading, &whole, yielded(&reading));
    }
}

#[test]
fn a_link_type_that_cannot_be_read_is_named() {
    let file = Pcap::new(Order::Little, Variant::Micros, RADIOTAP).packet(0, &frame()).bytes();
    let says = ["has link type 127 (IEEE 802.11 with radio header)", "Ethernet, raw IP"];
    assert_error(&read(&file), &says);
    let alone = pcapng().interface(RADIOTAP, 0, &[]).packet(0, 0, &frame(), 72).bytes();
    assert_error(&read(&alone), &says);
}

#[test]
fn in_pcapng_one_such_interface_does_not_cost_the_others() {
    let packet = Tcp::new(CLIENT, SERVER, 1, b"x").ip();
    let file = pcapng()
        .interface(RADIOTAP, 0, &[])
        .interface(RAW_IP, 0, &[])
        .packet(0, 0, &frame(), 72)
        .packet(1, 0, &packet, packet.len())
        .packet(0, 0, &frame(), 72)
        .bytes();
    let reading = read_whole(&file);
    reading.assert_verdicts(&[(Verdict::HandedOver, 1), (Verdict::NotIp, 2)]);
    assert_eq!(reading.unreadable, [LinkType(RADIOTAP)]);
}
