//! Tunnels looked into, in all their kinds.

use std::fs;

use super::*;
use crate::support::agent::Agent;
use crate::support::packets::{
    Family, GENEVE_PORT, GRE, IPV4, IPV6, TUNNELS, UDP, VXLAN_PORT, fragments, geneve, gre, ip,
    udp, vxlan,
};
use crate::support::pcap::{Conversation, ETHERNET, ethernet};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

fn segments() -> [Tcp; 2] {
    let request = b"GET / HTTP/1.1\r\n\r\n";
    [Tcp::new(CLIENT, SERVER, 1, request), Tcp::new(CLIENT_V6, SERVER_V6, 7, request)]
}

#[track_caller]
fn assert_verdict(packet: &[u8], verdict: Verdict) {
    read_packets([packet]).assert_verdicts(&[(verdict, 1)]);
}

#[test]
fn every_kind_holds_a_whole_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tunnel.pcap");
    let read = |packets: Vec<Vec<u8>>| {
        fs::write(&file, capture_of_packets(packets)).unwrap();
        let output = Agent::read(&file).args(["--format", "jsonl", "--bodies"]).run();
        assert_eq!(output.status, Some(0), "{output:?}");
        output.stdout
    };
    for (client, server) in [(CLIENT, SERVER), (CLIENT_V6, SERVER_V6)] {
        let response =
            [b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n".as_slice(), &[b'x'; 3_000]];
        let conversation = Conversation::new(client, server)
            .open()
            .client_sends(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
            .server_sends(&response.concat())
            .close()
            .segments();
        let plain = read(conversation.iter().map(Tcp::ip).collect());
        assert!(plain.contains("\"state\":\"complete\""), "{plain}");
        for (name, wrap) in TUNNELS {
            for outer in FAMILIES {
                let tunnelled = conversation.iter().map(|tcp| wrap(outer, &tcp.ip())).collect();
                assert_eq!(read(tunnelled), plain, "{name} over {outer:?}");
            }
        }
    }
}

#[test]
fn every_kind_may_come_in_fragments() {
    for tcp in segments() {
        for (name, wrap) in TUNNELS {
            for outer in FAMILIES {
                let packet = wrap(outer, &tcp.ip());
                for size in [8, 40, 64] {
                    let parts = fragments(&packet, 1, size);
                    let last = parts.len() as u64 - 1;
                    let reading = read_packets(&parts);
                    assert_eq!(reading.segments, [Seen::of(&tcp, last * 1_000_000, 0)], "{name}");
                    reading
                        .assert_verdicts(&[(Verdict::HandedOver, 1), (Verdict::Reassembled, last)]);
                }
            }
        }
    }
}

#[test]
fn every_kind_may_hold_fragments() {
    for tcp in segments() {
        for (name, wrap) in TUNNELS {
            for outer in FAMILIES {
                // Fragments in tunnel packets that are in fragments: all of the frames are of
                // the one segment.
                let inner = fragments(&tcp.ip(), 9, 16);
                let packets = inner.iter().map(|part| wrap(outer, part));
                let parts: Vec<_> = (1..)
                    .zip(packets)
                    .flat_map(|(id, packet)| fragments(&packet, id, 32))
                    .collect();
                let last = parts.len() as u64 - 1;
                let reading = read_packets(&parts);
                assert_eq!(reading.segments, [Seen::of(&tcp, last * 1_000_000, 0)], "{name}");
                reading.assert_verdicts(&[(Verdict::HandedOver, 1), (Verdict::Reassembled, last)]);
            }
        }
    }
}

#[test]
fn ports_and_hosts_are_those_inside() {
    let [tcp, _] = segments();
    let file = || Cursor::new(capture_of_packets([TUNNELS[9].1(Family::V4, &tcp.ip())]));
    let select = |ports: &str, hosts: &[&str]| Selection {
        ports: ports.parse().unwrap(),
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        sample: Sample::ALL,
    };
    assert_eq!(read_from(file(), select("80", &["10.0.0.0/8"])).segments.len(), 1);
    read_from(file(), select("4789", &[])).assert_verdicts(&[(Verdict::OtherPort, 1)]);
    read_from(file(), select("80", &["192.0.2.1"])).assert_verdicts(&[(Verdict::OtherHost, 1)]);
}

#[test]
fn padding_inside_and_around_is_not_payload() {
    let mut tcp = Tcp::new(CLIENT, SERVER, 1, b"x");
    for payload in [b"x".as_slice(), b""] {
        tcp.payload = payload.to_vec();
        let mut inner = tcp.ethernet();
        inner.resize(60, 0xee);
        let mut frame = ethernet(&[], &ip(Family::V4, UDP, &udp(VXLAN_PORT, &vxlan(&inner))));
        frame.extend([0xdd; 9]);
        let file = Pcap::new(Order::Little, Variant::Micros, ETHERNET).packet(0, &frame);
        assert_eq!(read_whole(&file.bytes()).segments, [Seen::of(&tcp, 0, 0)]);
    }
}

#[test]
fn a_snap_length_cuts_the_payload_inside_and_not_its_length() {
    for tcp in segments() {
        for (name, wrap) in TUNNELS {
            let packet = wrap(Family::V4, &tcp.ip());
            let headers_len = packet.len() - tcp.payload.len();
            for len in headers_len..packet.len() {
                let file = Pcap::new(Order::Little, Variant::Micros, RAW_IP);
                let reading = read_whole(&file.cut_packet(0, &packet[..len], packet.len()).bytes());
                let mut expected = Seen::of(&tcp, 0, 0);
                expected.payload.truncate(len - headers_len);
                assert_eq!(reading.segments, [expected], "{name}, {len} bytes");
            }
        }
    }
}

#[test]
fn tunnels_nest_only_so_deep() {
    for tcp in segments() {
        let nested =
            |depth: usize| (0..depth).fold(tcp.ip(), |packet, _| TUNNELS[0].1(Family::V6, &packet));
        assert_eq!(read_packets([nested(8)]).segments, [Seen::of(&tcp, 0, 0)]);
        for depth in [9, 10, 1_000] {
            assert_verdict(&nested(depth), Verdict::NotTcp);
        }
    }
}

#[test]
fn what_only_looks_like_a_tunnel_is_not_tcp() {
    let [tcp, _] = segments();
    let frame = tcp.ethernet();
    let [mut no_network, mut gre_routed, mut gre_v1] =
        [vxlan(&frame), gre(0, 0x6558, &frame), gre(0, 0x6558, &frame)];
    no_network[0] = 0;
    gre_routed[0] = 0x40;
    gre_v1[1] = 1;
    let mut geneve_v1 = geneve(&[], 0x6558, &frame);
    geneve_v1[0] = 0x40;
    let arp = [&[0xff; 12], [8, 6].as_slice(), &[0; 28]].concat();
    for outer in FAMILIES {
        for packet in [
            ip(outer, UDP, &udp(VXLAN_PORT, &no_network)),
            ip(outer, UDP, &udp(VXLAN_PORT, &[8, 0, 0])),
            ip(outer, UDP, &udp(VXLAN_PORT, &vxlan(&arp))),
            ip(outer, UDP, &udp(VXLAN_PORT + 1, &vxlan(&frame))),
            ip(outer, UDP, &udp(GENEVE_PORT, &geneve_v1)),
            ip(outer, UDP, &udp(GENEVE_PORT, &geneve(&[], 0x88cc, &frame))),
            ip(outer, UDP, &udp(53, b"dns")),
            ip(outer, UDP, b"udp"),
            ip(outer, GRE, &gre_routed),
            ip(outer, GRE, &gre_v1),
            ip(outer, GRE, &gre(0x20, 0x88cc, &frame)),
            ip(outer, GRE, b"gre"),
            ip(outer, 50, &tcp.ip()),
        ] {
            assert_verdict(&packet, Verdict::NotTcp);
        }
    }
}

#[test]
fn a_tunnel_with_damage_inside_is_malformed() {
    let [tcp, _] = segments();
    for packet in [
        ip(Family::V4, IPV4, &[0x15; 40]),
        ip(Family::V4, IPV6, &tcp.ip()[..10]),
        ip(Family::V4, IPV4, &[]),
        ip(Family::V4, GRE, &gre(0xb0, 0x0800, &[])),
        ip(Family::V4, UDP, &udp(VXLAN_PORT, &vxlan(&[0; 13]))),
        ip(Family::V4, UDP, &udp(GENEVE_PORT, &[0x3f, 0, 0x65, 0x58, 0, 0, 0, 0])),
    ] {
        assert_verdict(&packet, Verdict::Malformed);
    }
}

#[test]
fn no_damage_in_a_tunnel_costs_more_than_its_frame() {
    let mut random = random();
    for tcp in segments() {
        for (_, wrap) in TUNNELS {
            let packet = wrap(Family::V4, &tcp.ip());
            for len in 0..packet.len() {
                read_packets([&packet[..len]]);
            }
            for _ in 0..1_000 {
                let mut damaged = packet.clone();
                for _ in 0..=random(3) {
                    damaged[random(packet.len())] = u8::try_from(random(256)).unwrap();
                }
                let reading = read_packets([damaged.as_slice(), &packet]);
                assert_eq!(reading.segments.last(), Some(&Seen::of(&tcp, 1_000_000, 0)));
            }
        }
    }
}
