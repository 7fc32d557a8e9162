//! IP fragments put together: in any order, bounded, and never made up.

use super::*;
use crate::support::packets::{Family, fragment, fragments, ip, udp};

/// Longer than any fragment here.
fn payload() -> Vec<u8> {
    (0..2_000_u32).map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes()[0]).collect()
}

fn segments() -> [Tcp; 2] {
    [
        Tcp::new(CLIENT, SERVER, 0xffff_fff0, &payload()),
        Tcp::new(CLIENT_V6, SERVER_V6, 7, &payload()),
    ]
}

/// What is read is this segment, from all of the `frames`, when the last of them came.
#[track_caller]
fn assert_reassembled(reading: &Reading, tcp: &Tcp, frames: u64) {
    assert_eq!(reading.segments, [Seen::of(tcp, (frames - 1) * 1_000_000, 0)]);
    reading.assert_verdicts(&[(Verdict::HandedOver, 1), (Verdict::Reassembled, frames - 1)]);
}

#[track_caller]
fn assert_left_out(packets: &[Vec<u8>]) {
    let frames = packets.len() as u64;
    read_packets(packets).assert_verdicts(&[(Verdict::Fragment, frames)]);
}

#[test]
fn in_order_and_reversed() {
    for tcp in segments() {
        for size in [8, 16, 24, 488, 1_480, 2_008, 2_016] {
            let mut parts = fragments(&tcp.ip(), 1, size);
            let frames = parts.len() as u64;
            assert_reassembled(&read_packets(&parts), &tcp, frames);
            parts.reverse();
            assert_reassembled(&read_packets(&parts), &tcp, frames);
        }
    }
}

#[test]
fn in_any_order() {
    let mut random = random();
    for tcp in segments() {
        for _ in 0..50 {
            let mut parts = fragments(&tcp.ip(), 1, 104);
            for last in (1..parts.len()).rev() {
                parts.swap(last, random(last + 1));
            }
            assert_reassembled(&read_packets(&parts), &tcp, parts.len() as u64);
        }
    }
}

#[test]
fn the_first_fragment_may_be_too_short_for_the_tcp_header() {
    for tcp in segments() {
        let packet = tcp.ip();
        let len = 20 + tcp.payload.len();
        let parts = [
            fragment(&packet, 1, 0..8, true),
            fragment(&packet, 1, 8..16, true),
            fragment(&packet, 1, 16..len, false),
        ];
        assert_reassembled(&read_packets(&parts), &tcp, 3);
    }
}

#[test]
fn a_second_copy_of_a_fragment_changes_nothing() {
    for tcp in segments() {
        let parts = fragments(&tcp.ip(), 1, 1_000);
        let [first, second, last] = parts.as_slice() else { panic!("{} parts", parts.len()) };
        for order in [[first, first, second, last], [last, first, last, second]] {
            assert_reassembled(&read_packets(order), &tcp, 4);
        }
        // After the whole, it begins a datagram that never becomes one.
        let reading = read_packets([first, second, last, last]);
        assert_eq!(reading.segments.len(), 1);
        reading.assert_verdicts(&[
            (Verdict::HandedOver, 1),
            (Verdict::Reassembled, 2),
            (Verdict::Fragment, 1),
        ]);
    }
}

#[test]
fn fragments_that_overlap_end_their_datagram() {
    for tcp in segments() {
        let packet = tcp.ip();
        let len = 20 + tcp.payload.len();
        let part = |range, more| fragment(&packet, 1, range, more);
        let mut forged = part(0..1_000, true);
        *forged.last_mut().unwrap() ^= 1;
        let whole = [part(0..1_000, true), part(1_000..len, false)];
        for overlapping in [
            part(8..1_008, true),  // over the end of the first
            part(8..24, true),     // within the first, as teardrop
            part(992..len, false), // the last, over the end of the first
            part(0..2_000, true),  // around the first
            part(0..992, true),    // where the first is, but shorter
            forged,                // where the first is, but different
        ] {
            let [first, last] = whole.clone();
            assert_left_out(&[first.clone(), overlapping.clone(), last.clone()]);
            // Not even all of them once more bring it back.
            assert_left_out(&[first.clone(), overlapping, last.clone(), first, last]);
        }
    }
}

#[test]
fn fragments_that_contradict_the_end_end_their_datagram() {
    for tcp in segments() {
        let packet = tcp.ip();
        let len = 20 + tcp.payload.len();
        let part = |range, more| fragment(&packet, 1, range, more);
        for contradicting in [
            [part(1_000..1_496, false), part(1_496..2_000, true)], // beyond the end
            [part(1_496..2_000, true), part(1_000..1_496, false)],
            [part(1_000..1_496, false), part(1_496..len, false)], // two ends
            [part(1_000..1_496, false), part(1_000..1_496, true)], // the end, and not
            [part(1_000..1_496, true), part(1_000..1_496, false)],
        ] {
            let [one, other] = contradicting;
            assert_left_out(&[one, other, part(0..1_000, true), part(1_000..len, false)]);
        }
    }
}

#[test]
fn bytes_seen_twice_do_not_stand_in_for_those_not_seen() {
    for tcp in segments() {
        let packet = tcp.ip();
        let len = 20 + tcp.payload.len();
        let part = |range, more| fragment(&packet, 1, range, more);
        // As many bytes as the datagram has, with a hole in it.
        for parts in [
            [part(0..1_000, true), part(504..1_504, true), part(2_000..len, false)],
            [part(504..1_504, true), part(0..1_000, true), part(2_000..len, false)],
            [part(1_496..2_000, true), part(1_000..1_496, false), part(0..496, true)],
        ] {
            assert_left_out(&parts);
        }
    }
}

#[test]
fn a_datagram_with_a_fragment_missing_is_left_out() {
    for tcp in segments() {
        let parts = fragments(&tcp.ip(), 1, 304);
        for missing in 0..parts.len() {
            let mut parts = parts.clone();
            parts.remove(missing);
            assert_left_out(&parts);
        }
    }
}

#[test]
fn datagrams_that_come_mixed_are_told_apart() {
    let mut conversations = Vec::new();
    for n in 0..50_u16 {
        for mut tcp in segments() {
            tcp.src.set_port(1_000 + n);
            tcp.payload[0] = n.to_be_bytes()[1];
            conversations.push((fragments(&tcp.ip(), n, 512), tcp));
        }
    }
    let parts = conversations[0].0.len();
    let mixed = (0..parts).flat_map(|at| conversations.iter().map(move |(parts, _)| &parts[at]));
    let reading = read_packets(mixed);
    let payloads: Vec<_> =
        reading.segments.iter().map(|seen| (seen.src.port, &seen.payload)).collect();
    let expected: Vec<_> =
        conversations.iter().map(|(_, tcp)| (tcp.src.port(), &tcp.payload)).collect();
    assert_eq!(payloads, expected);
    reading.assert_verdicts(&[
        (Verdict::HandedOver, 100),
        (Verdict::Reassembled, 100 * (parts as u64 - 1)),
    ]);
}

#[test]
fn datagrams_of_one_number_are_told_apart_by_protocol_and_hosts() {
    let [tcp, _] = segments();
    let mut other_host = tcp.clone();
    other_host.src = "10.0.0.6:51234".parse().unwrap();
    let mut icmp = tcp.ip();
    icmp[9] = 1;
    let mut datagram = tcp.ip();
    datagram[9] = 17;
    let packets = [tcp.ip(), other_host.ip(), icmp, datagram];
    let parts: Vec<_> = packets.iter().map(|packet| fragments(packet, 1, 1_200)).collect();
    let reading = read_packets((0..2).flat_map(|at| parts.iter().map(move |parts| &parts[at])));
    assert_eq!(reading.segments.len(), 2);
    reading.assert_verdicts(&[
        (Verdict::HandedOver, 2),
        (Verdict::Reassembled, 2),
        (Verdict::NotTcp, 4),
    ]);
}

#[test]
fn fragments_of_what_is_no_segment_count_as_what_it_is() {
    let dns = udp(53, &payload());
    for family in [Family::V4, Family::V6] {
        let parts = fragments(&ip(family, 17, &dns), 1, 512);
        read_packets(&parts).assert_verdicts(&[(Verdict::NotTcp, parts.len() as u64)]);
    }
    for tcp in segments() {
        let parts = fragments(&tcp.ip(), 1, 512);
        let file = capture_of_packets(&parts);
        let ports =
            Selection { ports: "81".parse().unwrap(), hosts: Vec::new(), sample: Sample::ALL };
        let reading = read_from(Cursor::new(file), ports);
        reading.assert_verdicts(&[(Verdict::OtherPort, parts.len() as u64)]);

        let mut broken = tcp.ip();
        let data_offset = broken.len() - tcp.payload.len() - 8;
        broken[data_offset] = 0x40;
        let parts = fragments(&broken, 1, 512);
        read_packets(&parts).assert_verdicts(&[(Verdict::Malformed, parts.len() as u64)]);
    }
}

#[test]
fn fragments_wait_for_30_seconds_of_packet_time() {
    for tcp in segments() {
        let parts = fragments(&tcp.ip(), 1, 1_200);
        let read_after = |ms: u64| {
            let file = Pcap::new(Order::Little, Variant::Micros, RAW_IP);
            let file = file.packet(0, &parts[0]).packet(ms * 1_000_000, &parts[1]);
            read_whole(&file.bytes())
        };
        let whole = [(Verdict::HandedOver, 1), (Verdict::Reassembled, 1)];
        read_after(30_000).assert_verdicts(&whole);
        read_after(30_001).assert_verdicts(&[(Verdict::Fragment, 2)]);
    }
}

#[test]
fn lengths_that_no_datagram_has_are_malformed() {
    for tcp in segments() {
        let packet = tcp.ip();
        let reading = read_packets([
            fragment(&packet, 1, 0..1_001, true), // not a multiple of 8
            fragment(&packet, 2, 0..0, true),
            fragment(&packet, 3, 1_000..1_000, false),
        ]);
        reading.assert_verdicts(&[(Verdict::Malformed, 3)]);
    }
    // Beyond 65,535 bytes, as in the ping of death.
    for family in [Family::V4, Family::V6] {
        let far = fragment(&ip(family, 6, &vec![0; 65_490]), 1, 65_480..65_488, true);
        let at = if family == Family::V4 { 6..8 } else { 42..44 };
        for (offset, verdict) in [(0xffe8_u16, Verdict::Fragment), (0xfff8, Verdict::Malformed)] {
            let mut far = far.clone();
            let field = if family == Family::V4 { 0x2000 | offset >> 3 } else { offset | 1 };
            far[at.clone()].copy_from_slice(&field.to_be_bytes());
            read_packets([far]).assert_verdicts(&[(verdict, 1)]);
        }
    }
}

#[test]
fn a_datagram_of_too_many_fragments_is_left_out() {
    let tcp = Tcp::new(CLIENT, SERVER, 7, &[b'x'; 60_000]);
    let parts = fragments(&tcp.ip(), 1, 48);
    assert_reassembled(&read_packets(&parts), &tcp, parts.len() as u64);
    assert_left_out(&fragments(&tcp.ip(), 1, 8));
}

#[test]
fn a_flood_of_fragments_pushes_out_the_oldest() {
    let [tcp, _] = segments();
    let parts = fragments(&tcp.ip(), 0, 1_200);
    let flood = |count: u16| {
        (1..=count).map(|id| fragment(&Tcp::new(SERVER, CLIENT, 1, &[0; 8]).ip(), id, 0..8, true))
    };
    let read_within = |count| {
        let flood: Vec<_> = flood(count).collect();
        read_packets(parts[..1].iter().chain(&flood).chain(&parts[1..]))
    };
    assert_eq!(read_within(5_000).segments.len(), 1);
    read_within(50_000).assert_verdicts(&[(Verdict::Fragment, 50_002)]);
}

#[test]
fn a_snap_length_cuts_the_payload_of_a_reassembled_segment_and_not_its_length() {
    for tcp in segments() {
        let parts = fragments(&tcp.ip(), 1, 1_000);
        let cut = |which: usize, by: usize| {
            let file = Pcap::new(Order::Little, Variant::Micros, RAW_IP);
            let file = parts.iter().enumerate().fold(file, |file, (at, part)| {
                let captured = part.len() - if at == which { by } else { 0 };
                file.cut_packet(0, &part[..captured], part.len())
            });
            read_whole(&file.bytes())
        };
        for (which, by, kept) in [(0, 10, 970), (1, 10, 1_970), (2, 10, 1_990), (0, 980, 0)] {
            let mut expected = Seen::of(&tcp, 0, 0);
            expected.payload.truncate(kept);
            assert_eq!(cut(which, by).segments, [expected], "{which} cut by {by}");
        }
        let malformed = cut(0, 981);
        malformed.assert_verdicts(&[(Verdict::Malformed, 3)]);
    }
}

#[test]
fn a_packet_seen_on_two_interfaces_is_put_together_on_each() {
    use crate::support::pcap::Pcapng;
    let [tcp, _] = segments();
    let file = Pcapng::new(Order::Little).interface(RAW_IP, 0, &[(2, b"a")]);
    let file = file.interface(RAW_IP, 0, &[(2, b"b")]);
    let file = fragments(&tcp.ip(), 1, 1_200).iter().fold(file, |file, part| {
        file.packet(0, 0, part, part.len()).packet(1, 0, part, part.len())
    });
    let reading = read_whole(&file.bytes());
    assert_eq!(reading.segments, [Seen::of(&tcp, 0, 0), Seen::of(&tcp, 0, 1)]);
    reading.assert_verdicts(&[(Verdict::HandedOver, 2), (Verdict::Reassembled, 2)]);
}

#[test]
fn extension_headers_may_be_in_the_fragments() {
    let [_, tcp] = segments();
    let mut packet = tcp.ip();
    packet[6] = 60;
    packet.splice(40..40, [[6, 1].as_slice(), &[0; 14]].concat());
    let len = u16::try_from(packet.len() - 40).unwrap();
    packet[4..6].copy_from_slice(&len.to_be_bytes());
    let parts = fragments(&packet, 1, 8);
    assert_reassembled(&read_packets(&parts), &tcp, parts.len() as u64);
}

#[test]
fn only_the_first_ipv6_fragment_says_what_the_packet_is() {
    let [_, tcp] = segments();
    let mut parts = fragments(&tcp.ip(), 1, 1_200);
    parts[1][40] = 58;
    assert_reassembled(&read_packets(&parts), &tcp, 2);
    parts.reverse();
    assert_reassembled(&read_packets(&parts), &tcp, 2);
}

#[test]
fn every_frame_keeps_one_verdict_whatever_is_damaged() {
    let mut random = random();
    for tcp in segments() {
        let parts = fragments(&tcp.ip(), 1, 304);
        for _ in 0..3_000 {
            let mut parts = parts.clone();
            for _ in 0..=random(3) {
                let part = random(parts.len());
                let at = random(64.min(parts[part].len()));
                parts[part][at] = u8::try_from(random(256)).unwrap();
            }
            read_packets(&parts);
        }
    }
}
