//! The plain frame: Ethernet, tagged or not, with IPv4 without options or IPv6 without extension
//! headers, and TCP. Nearly all are like that.
//!
//! Follows RFC 894, IEEE 802.1Q, RFC 791, RFC 8200 section 3 and RFC 9293 section 3.1.
//!
//! Invariant: it finds what [`Frame::parse`](super::frame::Frame::parse) finds, or nothing, where
//! that is to look itself.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::frame::TcpFrame;
use crate::segment::{Endpoint, SeqNum, TcpFlags};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: [u16; 2] = [0x8100, 0x88a8];
/// More tags than that are not plain.
const MAX_TAGS: usize = 2;
const TCP: u8 = 6;

/// An IP packet: its ends, and where its payload lies.
struct Packet {
    src: Ipv6Addr,
    dst: Ipv6Addr,
    payload: Range<usize>,
}

/// The segment in a frame of Ethernet, if it is a plain one.
#[inline(always)]
pub(super) fn segment(frame: &[u8]) -> Option<TcpFrame> {
    let (mut kind, mut at) = (u16_at(frame, 12)?, 14);
    for _ in 0..MAX_TAGS {
        if VLAN.contains(&kind) {
            (kind, at) = (u16_at(frame, at + 2)?, at + 4);
        }
    }
    let packet = match kind {
        IPV4 => ipv4(frame, at)?,
        IPV6 => ipv6(frame, at)?,
        _ => return None,
    };
    let Packet { src, dst, payload } = packet;
    let header: &[u8; 20] = frame.get(payload.start..)?.first_chunk()?;
    let header_len = usize::from(header[12] >> 4) * 4;
    let captured_end = payload.end.min(frame.len());
    let start = payload.start + header_len;
    // No header is shorter; and where it ends was captured.
    if header_len < header.len() || start > captured_end {
        return None;
    }
    Some(TcpFrame {
        src: Endpoint { addr: src, port: u16::from_be_bytes([header[0], header[1]]) },
        dst: Endpoint { addr: dst, port: u16::from_be_bytes([header[2], header[3]]) },
        seq: SeqNum(u32::from_be_bytes([header[4], header[5], header[6], header[7]])),
        ack: SeqNum(u32::from_be_bytes([header[8], header[9], header[10], header[11]])),
        flags: TcpFlags(header[13]),
        window: u16::from_be_bytes([header[14], header[15]]),
        payload: start..captured_end,
        wire_len: (payload.end - start) as u32,
    })
}

#[inline(always)]
fn ipv4(frame: &[u8], at: usize) -> Option<Packet> {
    const WITHOUT_OPTIONS: u8 = 0x45;
    let header: &[u8; 20] = frame.get(at..)?.first_chunk()?;
    // More fragments, or an offset.
    let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    if header[0] != WITHOUT_OPTIONS || header[9] != TCP || is_fragment {
        return None;
    }
    let total_len = u16::from_be_bytes([header[2], header[3]]);
    let addr =
        |octets| Ipv6Addr::from_bits(0xffff_0000_0000 | u128::from(u32::from_be_bytes(octets)));
    Some(Packet {
        src: addr([header[12], header[13], header[14], header[15]]),
        dst: addr([header[16], header[17], header[18], header[19]]),
        payload: at + header.len()..at + usize::from(total_len),
    })
}

#[inline(always)]
fn ipv6(frame: &[u8], at: usize) -> Option<Packet> {
    let header: &[u8; 40] = frame.get(at..)?.first_chunk()?;
    let [first, _, _, _, len_high, len_low, next, _, addrs @ ..] = header;
    if first >> 4 != 6 || *next != TCP {
        return None;
    }
    let (src, dst) = addrs.split_first_chunk::<16>()?;
    let payload = at + header.len();
    let len = u16::from_be_bytes([*len_high, *len_low]);
    Some(Packet {
        src: Ipv6Addr::from_bits(u128::from_be_bytes(*src)),
        dst: Ipv6Addr::from_bits(u128::from_be_bytes(*dst.first_chunk()?)),
        payload: payload..payload + usize::from(len),
    })
}

#[inline(always)]
fn u16_at(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use etherparse::{PacketBuilder, VlanId};
    use proptest::prelude::*;

    use super::super::frame::Frame;
    use super::super::link::LinkType;
    use super::*;

    fn frame(is_v6: bool, tags: usize, len: usize) -> Vec<u8> {
        let link = PacketBuilder::ethernet2([1; 6], [2; 6]);
        let id = VlanId::try_new(7).unwrap();
        let payload = vec![b'x'; len];
        let mut frame = Vec::new();
        macro_rules! packet {
            ($link:expr) => {
                if is_v6 {
                    let tcp = $link.ipv6([3; 16], [4; 16], 64).tcp(5_000, 80, 1, 2).ack(3);
                    tcp.write(&mut frame, &payload)
                } else {
                    let tcp = $link.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(80, 5_000, 1, 2);
                    tcp.ack(3).write(&mut frame, &payload)
                }
            };
        }
        match tags {
            0 => packet!(link),
            1 => packet!(link.single_vlan(id)),
            _ => packet!(link.double_vlan(id, id)),
        }
        .unwrap();
        frame
    }

    /// What the general way finds.
    fn found(frame: &[u8], frame_len: usize) -> Option<TcpFrame> {
        match Frame::parse(LinkType::ETHERNET, frame, frame_len, false) {
            Ok(Frame::Tcp(tcp)) => Some(tcp),
            _ => None,
        }
    }

    #[test]
    fn a_plain_frame_is_found() {
        for (is_v6, tags) in [(false, 0), (true, 0), (false, 1), (true, 1), (false, 2), (true, 2)] {
            let frame = frame(is_v6, tags, 100);
            assert!(segment(&frame).is_some());
            assert_eq!(segment(&frame), found(&frame, frame.len()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            cases: 4_096,
            ..ProptestConfig::default()
        })]

        #[test]
        fn what_it_finds_is_what_the_general_way_finds(
            (is_v6, tags, len) in (any::<bool>(), 0..3_usize, 0..60_usize),
            changes in prop::collection::vec((0..90_usize, any::<u8>()), 0..4),
            (cut, more) in (0..160_usize, 0..20_usize),
        ) {
            let mut frame = frame(is_v6, tags, len);
            for (at, byte) in changes {
                if let Some(place) = frame.get_mut(at) {
                    *place = byte;
                }
            }
            frame.truncate(cut);
            if let Some(tcp) = segment(&frame) {
                prop_assert_eq!(Some(tcp), found(&frame, frame.len() + more));
            }
        }

        #[test]
        fn noise_is_what_the_general_way_says(frame in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(tcp) = segment(&frame) {
                prop_assert_eq!(Some(tcp), found(&frame, frame.len()));
            }
        }
    }
}
