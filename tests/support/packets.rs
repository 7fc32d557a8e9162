//! IP packets cut in fragments, and put into tunnels.
#![allow(dead_code, reason = "each test target uses a part")]

use std::ops::Range;

use etherparse::{IpNumber, Ipv4Header, Ipv6Header};

use super::pcap::{ether_type, ethernet};

pub(crate) const IPV4: u8 = 4;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const IPV6: u8 = 41;
pub(crate) const GRE: u8 = 47;
pub(crate) const MPLS: u8 = 137;

pub(crate) const VXLAN_PORT: u16 = 4789;
pub(crate) const GENEVE_PORT: u16 = 6081;

/// An IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// The family of an IP packet.
pub(crate) fn family(packet: &[u8]) -> Family {
    if packet[0] >> 4 == 4 { Family::V4 } else { Family::V6 }
}

/// An IP packet between two hosts that no test's conversation is of.
pub(crate) fn ip(family: Family, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    let mut packet = Vec::new();
    match family {
        Family::V4 => {
            let (src, dst) = ([192, 0, 2, 1], [192, 0, 2, 2]);
            let header = Ipv4Header::new(len, 64, IpNumber(protocol), src, dst).unwrap();
            header.write(&mut packet).unwrap();
        }
        Family::V6 => {
            let header = Ipv6Header {
                payload_length: len,
                next_header: IpNumber(protocol),
                hop_limit: 64,
                source: [0xfd; 16],
                destination: [0xfe; 16],
                ..Ipv6Header::default()
            };
            header.write(&mut packet).unwrap();
        }
    }
    packet.extend(payload);
    packet
}

/// The part of a packet's payload in `range`, as a fragment of the datagram `id`.
pub(crate) fn fragment(packet: &[u8], id: u16, range: Range<usize>, more: bool) -> Vec<u8> {
    let offset = u16::try_from(range.start).unwrap();
    assert!(offset.is_multiple_of(8), "offsets are in units of 8 bytes");
    if family(packet) == Family::V4 {
        let (mut header, payload) = Ipv4Header::from_slice(packet).unwrap();
        let part = &payload[range];
        header.total_len = u16::try_from(header.header_len() + part.len()).unwrap();
        header.identification = id;
        header.dont_fragment = false;
        header.more_fragments = more;
        header.fragment_offset = (offset / 8).try_into().unwrap();
        header.header_checksum = header.calc_header_checksum();
        return [&header.to_bytes(), part].concat();
    }
    let (mut header, payload) = Ipv6Header::from_slice(packet).unwrap();
    let part = &payload[range];
    let next = header.next_header.0;
    header.payload_length = u16::try_from(8 + part.len()).unwrap();
    header.next_header = IpNumber::IPV6_FRAGMENTATION_HEADER;
    let [high, low] = (offset | u16::from(more)).to_be_bytes();
    let [id_high, id_low] = id.to_be_bytes();
    let extension = [next, 0, high, low, 0, 0, id_high, id_low];
    [header.to_bytes().as_slice(), &extension, part].concat()
}

/// A packet in fragments of `size` bytes of its payload.
pub(crate) fn fragments(packet: &[u8], id: u16, size: usize) -> Vec<Vec<u8>> {
    let len = packet.len() - if family(packet) == Family::V4 { 20 } else { 40 };
    let starts = (0..len).step_by(size);
    starts
        .map(|start| {
            let end = len.min(start + size);
            fragment(packet, id, start..end, end < len)
        })
        .collect()
}

/// A UDP datagram to `port`, without a checksum.
pub(crate) fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap();
    let header = [[0xc0, 0x01], port.to_be_bytes(), len.to_be_bytes(), [0; 2]];
    [&header.concat(), payload].concat()
}

/// VXLAN around an Ethernet frame.
pub(crate) fn vxlan(frame: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0, 0, 0, 42, 0], frame].concat()
}

/// GENEVE with these options around something of an EtherType.
pub(crate) fn geneve(options: &[u8], kind: u16, inner: &[u8]) -> Vec<u8> {
    let [high, low] = kind.to_be_bytes();
    let words = u8::try_from(options.len() / 4).unwrap();
    [&[words, 0, high, low, 0, 0, 42, 0], options, inner].concat()
}

/// GRE with a field of 4 bytes for each of `flags` (0x80 checksum, 0x20 key, 0x10 sequence).
pub(crate) fn gre(flags: u8, kind: u16, inner: &[u8]) -> Vec<u8> {
    let [high, low] = kind.to_be_bytes();
    let fields = vec![0xee; 4 * flags.count_ones() as usize];
    [&[flags, 0, high, low], fields.as_slice(), inner].concat()
}

/// MPLS labels around an IP packet.
pub(crate) fn mpls(labels: u8, packet: &[u8]) -> Vec<u8> {
    let stack = (1..=labels).flat_map(|label| [0, label, u8::from(label == labels), 64]);
    stack.chain(packet.iter().copied()).collect()
}

/// Puts an IP packet into an IP packet.
type Wrap = fn(Family, &[u8]) -> Vec<u8>;

/// Every kind of tunnel that is looked into, by name.
pub(crate) const TUNNELS: [(&str, Wrap); 17] = [
    ("IP in IP", |outer, packet| {
        ip(outer, if family(packet) == Family::V4 { IPV4 } else { IPV6 }, packet)
    }),
    ("GRE", |outer, packet| ip(outer, GRE, &gre(0, ether_type(packet), packet))),
    ("GRE, checksum", |outer, packet| ip(outer, GRE, &gre(0x80, ether_type(packet), packet))),
    ("GRE, key", |outer, packet| ip(outer, GRE, &gre(0x20, ether_type(packet), packet))),
    ("GRE, sequence", |outer, packet| ip(outer, GRE, &gre(0x10, ether_type(packet), packet))),
    ("GRE, all fields", |outer, packet| ip(outer, GRE, &gre(0xb0, ether_type(packet), packet))),
    ("GRE, Ethernet", |outer, packet| ip(outer, GRE, &gre(0, 0x6558, &ethernet(&[], packet)))),
    ("NVGRE", |outer, packet| ip(outer, GRE, &gre(0x20, 0x6558, &ethernet(&[], packet)))),
    ("GRE, MPLS", |outer, packet| ip(outer, GRE, &gre(0, 0x8847, &mpls(2, packet)))),
    ("VXLAN", |outer, packet| ip(outer, UDP, &udp(VXLAN_PORT, &vxlan(&ethernet(&[], packet))))),
    ("VXLAN, Linux's port", |outer, packet| {
        ip(outer, UDP, &udp(8472, &vxlan(&ethernet(&[], packet))))
    }),
    ("VXLAN, tags inside", |outer, packet| {
        let frame = ethernet(&[(0x88a8, 7), (0x8100, 8)], packet);
        ip(outer, UDP, &udp(VXLAN_PORT, &vxlan(&frame)))
    }),
    ("GENEVE", |outer, packet| {
        ip(outer, UDP, &udp(GENEVE_PORT, &geneve(&[], 0x6558, &ethernet(&[], packet))))
    }),
    ("GENEVE, options", |outer, packet| {
        let options = [1, 1, 0, 1, 0xaa, 0xaa, 0xaa, 0xaa, 1, 2, 0x80, 0];
        ip(outer, UDP, &udp(GENEVE_PORT, &geneve(&options, 0x6558, &ethernet(&[], packet))))
    }),
    ("GENEVE, IP", |outer, packet| {
        ip(outer, UDP, &udp(GENEVE_PORT, &geneve(&[0; 252], ether_type(packet), packet)))
    }),
    ("MPLS in IP", |outer, packet| ip(outer, MPLS, &mpls(1, packet))),
    ("VXLAN in GRE in IP", |outer, packet| {
        let vxlan = ip(Family::V4, UDP, &udp(VXLAN_PORT, &vxlan(&ethernet(&[], packet))));
        ip(outer, IPV4, &ip(Family::V4, GRE, &gre(0x20, 0x0800, &vxlan)))
    }),
];
