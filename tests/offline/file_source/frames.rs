//! Link types, headers and lengths.

use capture_ebpf::Verdict;

use super::*;
use crate::support::packets::mpls;
use crate::support::pcap::{ETHERNET, SYN, ether_type, ethernet};

const SLL: u16 = 113;
const SLL2: u16 = 276;

fn tcp_v4() -> Tcp {
    Tcp::new(CLIENT, SERVER, 0xffff_fff0, b"GET / HTTP/1.1\r\n\r\n")
}

fn tcp_v6() -> Tcp {
    Tcp::new(CLIENT_V6, SERVER_V6, 7, b"GET / HTTP/1.1\r\n\r\n")
}

fn read_frame(link: u16, frame: &[u8]) -> Reading {
    read_cut_frame(link, frame, frame.len())
}

fn read_cut_frame(link: u16, frame: &[u8], wire_len: usize) -> Reading {
    let file =
        Pcap::new(Order::Little, Variant::Micros, link).cut_packet(0, frame, wire_len).bytes();
    let reading = read_whole(&file);
    assert_eq!(reading.verdicts.sum(), 1, "{reading:?}");
    reading
}

#[track_caller]
fn assert_found(link: u16, frame: &[u8], tcp: &Tcp) {
    assert_eq!(read_frame(link, frame).segments, [Seen::of(tcp, 0, 0)], "link type {link}");
}

#[track_caller]
fn assert_verdict(link: u16, frame: &[u8], verdict: Verdict) {
    read_frame(link, frame).assert_verdicts(&[(verdict, 1)]);
}

/// A Linux cooked header with `tags` as VLAN types and ids.
fn cooked(tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let types = tags.iter().copied().chain([ether_type(packet)]);
    [vec![0; 14], types.flat_map(u16::to_be_bytes).collect(), packet.to_vec()].concat()
}

#[test]
fn every_link_type_yields_the_segment() {
    for tcp in [tcp_v4(), tcp_v6()] {
        let packet = tcp.ip();
        let v4 = tcp.src.is_ipv4();
        for raw in [12, 14, RAW_IP, if v4 { 228 } else { 229 }] {
            assert_found(raw, &packet, &tcp);
        }
        assert_found(ETHERNET, &ethernet(&[], &packet), &tcp);
        assert_found(SLL, &cooked(&[], &packet), &tcp);
        let kind = ether_type(&packet).to_be_bytes();
        assert_found(SLL2, &[&kind, [0; 18].as_slice(), &packet].concat(), &tcp);
        let families: &[u32] = if v4 { &[2] } else { &[10, 24, 28, 30] };
        for family in families {
            for order in [family.to_le_bytes(), family.to_be_bytes()] {
                assert_found(0, &[&order, packet.as_slice()].concat(), &tcp);
            }
            assert_found(108, &[&family.to_be_bytes(), packet.as_slice()].concat(), &tcp);
        }
    }
}

#[test]
fn vlan_tags_are_passed_over_on_ethernet_and_in_cooked_captures() {
    for tcp in [tcp_v4(), tcp_v6()] {
        let packet = tcp.ip();
        for tags in [
            [(0x8100, 5)].as_slice(),
            &[(0x88a8, 5), (0x8100, 6)],
            &[(0x9100, 5), (0x8100, 6)],
            &[(0x88a8, 5), (0x8100, 6), (0x8100, 7)],
        ] {
            assert_found(ETHERNET, &ethernet(tags, &packet), &tcp);
        }
        assert_found(SLL, &cooked(&[0x8100, 5], &packet), &tcp);
        let kind = ether_type(&packet).to_be_bytes();
        let tagged = [&[0x81, 0], [0; 18].as_slice(), &[0, 5], &kind, &packet].concat();
        assert_found(SLL2, &tagged, &tcp);
    }
}

#[test]
fn pppoe_sessions_are_looked_into() {
    for (tcp, protocol) in [(tcp_v4(), [0, 0x21]), (tcp_v6(), [0, 0x57])] {
        let pppoe = [&[0x88, 0x64, 0x11, 0, 0, 9, 0, 0], protocol.as_slice(), &tcp.ip()].concat();
        assert_found(ETHERNET, &[[2; 12].as_slice(), &pppoe].concat(), &tcp);
        assert_found(ETHERNET, &[[2; 12].as_slice(), &[0x81, 0, 0, 5], &pppoe].concat(), &tcp);
    }
    let control = [[2; 12].as_slice(), &[0x88, 0x64, 0x11, 0, 0, 9, 0, 0, 0xc0, 0x21]].concat();
    assert_verdict(ETHERNET, &control, Verdict::NotIp);
}

#[test]
fn mpls_labels_are_passed_over() {
    for tcp in [tcp_v4(), tcp_v6()] {
        for kind in [0x8847_u16, 0x8848] {
            let labelled = [&kind.to_be_bytes(), mpls(3, &tcp.ip()).as_slice()].concat();
            assert_found(ETHERNET, &[[2; 12].as_slice(), &labelled].concat(), &tcp);
            assert_found(
                ETHERNET,
                &[[2; 12].as_slice(), &[0x81, 0, 0, 5], &labelled].concat(),
                &tcp,
            );
        }
    }
    let pseudowire = [[2; 12].as_slice(), &[0x88, 0x47], &mpls(1, &[0; 60])].concat();
    assert_verdict(ETHERNET, &pseudowire, Verdict::NotIp);
    let endless = [[2; 12].as_slice(), &[0x88, 0x47], &[0; 400]].concat();
    assert_verdict(ETHERNET, &endless, Verdict::Malformed);
}

#[test]
fn the_padding_of_short_frames_is_not_payload() {
    let mut tcp = tcp_v4();
    tcp.payload = b"x".to_vec();
    let mut frame = tcp.ethernet();
    frame.resize(60, 0xee);
    assert_found(ETHERNET, &frame, &tcp);
    tcp.payload.clear();
    let mut frame = tcp.ethernet();
    frame.resize(60, 0xee);
    assert_found(ETHERNET, &frame, &tcp);
}

#[test]
fn tcp_options_are_not_payload() {
    for words in [1, 3, 10] {
        let mut tcp = tcp_v4();
        tcp.flags = SYN;
        tcp.ack = 0;
        tcp.options = vec![1; words * 4];
        assert_found(ETHERNET, &tcp.ethernet(), &tcp);
    }
}

#[test]
fn ipv4_options_are_not_payload() {
    let tcp = tcp_v4();
    let mut packet = tcp.ip();
    packet.splice(20..20, [1; 40]);
    packet[0] = 0x4f;
    let len = u16::try_from(packet.len()).unwrap();
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    assert_found(RAW_IP, &packet, &tcp);
}

/// An IPv6 packet with extension headers before TCP: types in order, and their bytes, whose first
/// byte is filled in here.
fn with_extensions(tcp: &Tcp, extensions: &[(u8, &[u8])]) -> Vec<u8> {
    let mut packet = tcp.ip();
    let next_types = extensions.iter().map(|(kind, _)| *kind).skip(1).chain([6]);
    let mut chain: Vec<u8> = Vec::new();
    for ((_, bytes), next) in extensions.iter().zip(next_types) {
        chain.push(next);
        chain.extend(&bytes[1..]);
    }
    packet[6] = extensions[0].0;
    packet.splice(40..40, chain);
    let len = u16::try_from(packet.len() - 40).unwrap();
    packet[4..6].copy_from_slice(&len.to_be_bytes());
    packet
}

#[test]
fn ipv6_extension_headers_are_passed_over() {
    let tcp = tcp_v6();
    let (hop_by_hop, routing, destination) = (0, 43, 60);
    let chain: [(u8, &[u8]); 4] = [
        (hop_by_hop, &[0, 0, 5, 2, 0, 0, 1, 0]),
        (destination, &[0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (routing, &[0, 0, 0, 0, 0, 0, 0, 0]),
        (destination, &[0, 0, 1, 4, 0, 0, 0, 0]),
    ];
    for count in 1..=chain.len() {
        assert_found(RAW_IP, &with_extensions(&tcp, &chain[..count]), &tcp);
    }
    // A fragment header on a packet that is whole (RFC 6946).
    assert_found(RAW_IP, &with_extensions(&tcp, &[(44, &[0, 0, 0, 0, 0, 0, 0, 1])]), &tcp);
}

#[test]
fn a_length_left_at_zero_for_the_network_card_means_the_rest_of_the_frame() {
    let mut tcp = tcp_v4();
    let mut frame = tcp.ethernet();
    frame[16..18].fill(0);
    assert_found(ETHERNET, &frame, &tcp);
    tcp = tcp_v6();
    let mut frame = tcp.ethernet();
    frame[18..20].fill(0);
    assert_found(ETHERNET, &frame, &tcp);
    let len = frame.len();
    let reading = read_cut_frame(ETHERNET, &frame[..len - 8], len);
    assert_eq!(reading.segments[0].payload, tcp.payload[..10]);
    assert_eq!(reading.segments[0].wire_len, 18);
}

#[test]
fn a_snap_length_cuts_the_payload_and_not_the_length() {
    for tcp in [tcp_v4(), tcp_v6()] {
        let mut tcp = tcp;
        tcp.options = vec![1; 12];
        let packet = tcp.ip();
        let fixed_len = packet.len() - 12 - tcp.payload.len();
        for len in 0..packet.len() {
            let reading = read_cut_frame(RAW_IP, &packet[..len], packet.len());
            if len < fixed_len {
                reading.assert_verdicts(&[(Verdict::Malformed, 1)]);
                continue;
            }
            let mut expected = Seen::of(&tcp, 0, 0);
            expected.payload.truncate(len.saturating_sub(fixed_len + 12));
            assert_eq!(reading.segments, [expected], "{len} bytes");
        }
    }
}

#[test]
fn what_is_not_a_tcp_segment_is_counted_by_what_it_is() {
    let arp = [&[0xff; 12], [8, 6].as_slice(), &[0; 28]].concat();
    assert_verdict(ETHERNET, &arp, Verdict::NotIp);
    assert_verdict(ETHERNET, &ethernet(&[(0x8100, 1)], &tcp_v4().ip())[..16], Verdict::Malformed);
    assert_verdict(ETHERNET, &[], Verdict::Malformed);
    assert_verdict(RAW_IP, &[0x15; 40], Verdict::NotIp);
    assert_verdict(0, &[7, 0, 0, 0, 0x45], Verdict::NotIp);

    let mut udp = tcp_v4().ip();
    udp[9] = 17;
    assert_verdict(RAW_IP, &udp, Verdict::NotTcp);
    let mut icmp = tcp_v6().ip();
    icmp[6] = 58;
    assert_verdict(RAW_IP, &icmp, Verdict::NotTcp);
}

#[test]
fn headers_that_contradict_themselves_are_malformed() {
    for (at, byte) in [
        (0, 0x44),  // IPv4 header of 16 bytes
        (3, 39),    // total length without room for the TCP header
        (3, 19),    // total length without room for its own header
        (32, 0x40), // TCP header of 16 bytes
        (32, 0xf0), // TCP header longer than the packet
    ] {
        let mut packet = tcp_v4().ip();
        packet[at] = byte;
        assert_verdict(RAW_IP, &packet, Verdict::Malformed);
    }
    let truncated = with_extensions(&tcp_v6(), &[(60, &[0, 200, 0, 0, 0, 0, 0, 0])]);
    assert_verdict(RAW_IP, &truncated, Verdict::Malformed);
}
