//! A segment as a frame: Ethernet with made-up addresses, IPv4 or IPv6, and TCP without options.
//!
//! Follows RFC 894, RFC 791, RFC 8200 section 3 and RFC 9293 section 3.1.
//!
//! Invariants: checksums are right wherever a frame has all the payload that it says, and 0 where
//! it has not, for nobody knows them then; no frame is longer than an IP packet can be, nor says
//! that it was.

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, TcpHeader};

use crate::segment::{Endpoint, Missing, Segment, TcpFlags};

/// Payload that fits into an IPv4 packet with these headers, and so into an IPv6 one.
const MAX_PAYLOAD_BYTES: usize = u16::MAX as usize - Ipv4Header::MIN_LEN - TcpHeader::MIN_LEN;
const ETHERNET_BYTES: usize = 14;
const HOP_LIMIT: u8 = 64;

/// The segments that say the same together, none of them with more payload than a packet has room
/// for. What was not captured is all the last one's.
pub fn pieces<'a>(segment: &Segment<'a>) -> impl Iterator<Item = Segment<'a>> {
    let whole = *segment;
    let last = whole.payload.len().saturating_sub(1) / MAX_PAYLOAD_BYTES;
    (0..=last).map(move |number| {
        let start = number * MAX_PAYLOAD_BYTES;
        let rest = whole.payload.get(start..).unwrap_or_default();
        let payload = rest.get(..MAX_PAYLOAD_BYTES).unwrap_or(rest);
        let mut piece = Segment { payload, ..whole };
        if number > 0 {
            // SYN has a number of its own, before the payload.
            let before = start as u32 + u32::from(whole.flags.syn());
            piece.seq = whole.seq.plus(before);
            piece.flags = without(piece.flags, TcpFlags::SYN);
        }
        if number < last {
            piece.wire_len = payload.len() as u32;
            piece.missing = Missing::Unseen;
            let ends = TcpFlags::FIN.with(TcpFlags::RST).with(TcpFlags::PSH);
            piece.flags = without(piece.flags, ends);
        } else {
            piece.wire_len = whole.wire_len.saturating_sub(start as u32);
        }
        piece
    })
}

const fn without(flags: TcpFlags, others: TcpFlags) -> TcpFlags {
    TcpFlags(flags.0 & !others.0)
}

/// The length of a segment's frame with so many bytes of payload.
pub(super) fn len(segment: &Segment<'_>, payload: usize) -> usize {
    let ip = if v4(segment).is_some() { Ipv4Header::MIN_LEN } else { Ipv6Header::LEN };
    ETHERNET_BYTES + ip + TcpHeader::MIN_LEN + payload
}

/// The length of a segment's payload as far as a packet can tell: what is longer is on the wire
/// several packets, and here one that was cut off.
pub(super) fn told_len(segment: &Segment<'_>) -> usize {
    (segment.wire_len as usize).min(MAX_PAYLOAD_BYTES)
}

/// Adds the frame of a segment whose payload fits into a packet.
pub(super) fn build(bytes: &mut Vec<u8>, segment: &Segment<'_>) {
    let told_len = told_len(segment);
    let is_whole = segment.payload.len() == told_len;
    let tcp_len = TcpHeader::MIN_LEN + told_len;
    let mut tcp = tcp(segment);
    if let Some((source, destination)) = v4(segment) {
        let mut ip = Ipv4Header {
            total_len: (Ipv4Header::MIN_LEN + tcp_len) as u16,
            dont_fragment: true,
            time_to_live: HOP_LIMIT,
            protocol: IpNumber::TCP,
            source,
            destination,
            ..Ipv4Header::default()
        };
        ip.header_checksum = ip.calc_header_checksum();
        if is_whole {
            tcp.checksum = tcp.calc_checksum_ipv4(&ip, segment.payload).unwrap_or_default();
        }
        bytes.extend(ethernet(segment, EtherType::IPV4));
        bytes.extend(ip.to_bytes());
    } else {
        let ip = Ipv6Header {
            payload_length: tcp_len as u16,
            next_header: IpNumber::TCP,
            hop_limit: HOP_LIMIT,
            source: segment.src.addr.octets(),
            destination: segment.dst.addr.octets(),
            ..Ipv6Header::default()
        };
        if is_whole {
            tcp.checksum = tcp.calc_checksum_ipv6(&ip, segment.payload).unwrap_or_default();
        }
        bytes.extend(ethernet(segment, EtherType::IPV6));
        bytes.extend(ip.to_bytes());
    }
    bytes.extend(tcp.to_bytes());
    bytes.extend_from_slice(segment.payload);
}

/// The two ends, where both are IPv4.
fn v4(segment: &Segment<'_>) -> Option<([u8; 4], [u8; 4])> {
    let octets = |end: Endpoint| Some(end.addr.to_ipv4_mapped()?.octets());
    octets(segment.src).zip(octets(segment.dst))
}

fn ethernet(segment: &Segment<'_>, ether_type: EtherType) -> [u8; ETHERNET_BYTES] {
    let (source, destination) = (mac(segment.src), mac(segment.dst));
    Ethernet2Header { source, destination, ether_type }.to_bytes()
}

/// Locally administered, and the same for the same address.
fn mac(end: Endpoint) -> [u8; 6] {
    let [.., a, b, c, d] = end.addr.octets();
    [0x02, 0, a, b, c, d]
}

/// The header without its checksum.
fn tcp(segment: &Segment<'_>) -> TcpHeader {
    let Segment { src, dst, seq, ack, flags, window, .. } = *segment;
    let is_set = |bit: u8| flags.0 & bit != 0;
    let mut tcp = TcpHeader::new(src.port, dst.port, seq.0, window);
    tcp.acknowledgment_number = ack.0;
    (tcp.fin, tcp.syn, tcp.rst) = (flags.fin(), flags.syn(), flags.rst());
    (tcp.psh, tcp.ack, tcp.urg) = (is_set(TcpFlags::PSH.0), flags.ack(), is_set(0x20));
    (tcp.ece, tcp.cwr) = (is_set(0x40), is_set(0x80));
    tcp
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;
    use crate::segment::{IfaceId, SeqNum, Timestamp};

    fn segment<'a>(payload: &'a [u8], flags: TcpFlags) -> Segment<'a> {
        Segment {
            time: Timestamp(5),
            iface: IfaceId(0),
            src: Endpoint::v4([10, 0, 0, 5], 51_234),
            dst: Endpoint::v4([10, 0, 0, 1], 80),
            seq: SeqNum(0xffff_ff00),
            ack: SeqNum(77),
            flags,
            window: 512,
            payload,
            wire_len: payload.len() as u32,
            missing: Missing::Unseen,
            cgroup: 0,
        }
    }

    fn over_v6<'a>(payload: &'a [u8]) -> Segment<'a> {
        let end = |ip: &str, port| Endpoint::new(ip.parse().unwrap(), port);
        let (src, dst) = (end("2001:db8::5", 51_234), end("2001:db8::1", 80));
        Segment { src, dst, ..segment(payload, TcpFlags::ACK) }
    }

    fn frame(segment: &Segment<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        build(&mut bytes, segment);
        assert_eq!(bytes.len(), len(segment, segment.payload.len()));
        bytes
    }

    #[test]
    fn a_frame_is_what_a_packet_builder_makes_of_it() {
        let (from, to) = ([2, 0, 10, 0, 0, 5], [2, 0, 10, 0, 0, 1]);
        let v4 = PacketBuilder::ethernet2(from, to).ipv4([10, 0, 0, 5], [10, 0, 0, 1], 64);
        let mut expected = Vec::new();
        let tcp = v4.tcp(51_234, 80, 0xffff_ff00, 512).ack(77).psh();
        tcp.write(&mut expected, b"GET /").unwrap();
        assert_eq!(frame(&segment(b"GET /", TcpFlags::PSH.with(TcpFlags::ACK))), expected);

        let segment = over_v6(b"odd");
        let (src, dst) = (segment.src.addr.octets(), segment.dst.addr.octets());
        let macs = ([2, 0, 0, 0, 0, 5], [2, 0, 0, 0, 0, 1]);
        let v6 = PacketBuilder::ethernet2(macs.0, macs.1).ipv6(src, dst, 64);
        let mut expected = Vec::new();
        v6.tcp(51_234, 80, 0xffff_ff00, 512).ack(77).write(&mut expected, b"odd").unwrap();
        assert_eq!(frame(&segment), expected);
    }

    #[test]
    fn every_flag_stands_where_it_stood() {
        for bits in 0..=u8::MAX {
            let frame = frame(&segment(b"", TcpFlags(bits)));
            assert_eq!(frame[14 + 20 + 13], bits);
        }
    }

    #[test]
    fn what_was_cut_off_keeps_its_length_as_far_as_an_ip_header_can_tell() {
        let cases = [(1_000, 1_040), (65_495, 65_535), (65_496, 65_535), (u32::MAX, 65_535)];
        for (wire_len, told) in cases {
            let frame = frame(&Segment { wire_len, ..segment(b"GET", TcpFlags::ACK) });
            assert_eq!(u16::from_be_bytes([frame[16], frame[17]]), told, "{wire_len}");
            assert_eq!(frame.len(), 14 + 20 + 20 + 3);
            assert_eq!(frame[14 + 20 + 16..][..2], [0, 0], "nobody knows the checksum");
        }
        let frame = frame(&Segment { wire_len: u32::MAX, ..over_v6(b"") });
        assert_eq!(frame[18..20], 65_515_u16.to_be_bytes());
    }

    #[test]
    fn what_is_longer_than_a_packet_is_cut_in_several_that_say_the_same() {
        let payload: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        let flags = TcpFlags::SYN.with(TcpFlags::FIN).with(TcpFlags::PSH).with(TcpFlags::ACK);
        let whole = Segment { wire_len: 250_000, ..segment(&payload, flags) };
        let pieces: Vec<_> = pieces(&whole).collect();
        assert_eq!(pieces.len(), 4);
        let mut next = whole.seq;
        let mut put_together: Vec<u8> = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            let is_last = number == 3;
            assert_eq!(piece.seq, next);
            next = next.plus(piece.seq_len());
            assert_eq!([piece.flags.syn(), piece.flags.fin()], [number == 0, is_last]);
            assert_eq!(piece.payload.len() as u32 == piece.wire_len, !is_last);
            put_together.extend(piece.payload);
            let frame = frame(piece);
            assert!(frame.len() <= 65_535 + ETHERNET_BYTES);
            assert_eq!(frame[14 + 20 + 4..][..4], piece.seq.0.to_be_bytes());
        }
        assert_eq!(put_together, payload);
        assert_eq!(next, whole.seq.plus(whole.seq_len()));
    }

    #[test]
    fn what_fits_is_one_piece_and_so_is_nothing() {
        for len in [0, 1, 1_448, MAX_PAYLOAD_BYTES] {
            let payload = vec![b'x'; len];
            let whole = segment(&payload, TcpFlags::PSH.with(TcpFlags::ACK));
            let pieces: Vec<_> = pieces(&whole).collect();
            let [piece] = &pieces[..] else { panic!("{} pieces", pieces.len()) };
            assert_eq!((piece.payload, piece.flags), (whole.payload, whole.flags));
        }
    }
}
