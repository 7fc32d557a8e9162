//! A frame to the TCP segment in it.
//!
//! Follows RFC 791, RFC 8200 and RFC 9293 section 3.1.
//!
//! Invariants: lengths are those of the IP header, never that of the frame, whose end may be
//! padding; the frame's length counts only where the IP header leaves its own at 0, as it is
//! before segmentation offload. A cut frame keeps its true length in `wire_len`.

use std::net::IpAddr;
use std::ops::Range;

use capture_ebpf::Verdict;
use etherparse::{IpNumber, LaxIpPayloadSlice, LaxIpv4Slice, LaxIpv6Slice};

use super::link::LinkType;
use crate::segment::{Endpoint, SeqNum, TcpFlags};

/// A TCP segment, its payload as a range of the frame.
pub(super) struct TcpFrame {
    pub(super) src: Endpoint,
    pub(super) dst: Endpoint,
    pub(super) seq: SeqNum,
    pub(super) ack: SeqNum,
    pub(super) flags: TcpFlags,
    pub(super) window: u16,
    pub(super) payload: Range<usize>,
    pub(super) wire_len: u32,
}

/// What an IP packet carries.
struct IpPayload {
    src: IpAddr,
    dst: IpAddr,
    /// Where it begins in the packet, and where what was captured of it ends.
    captured: Range<usize>,
    /// Its length on the wire.
    wire_len: usize,
}

/// The segment in `frame`, which was `frame_len` bytes on the wire, or why there is none.
pub(super) fn tcp(link: LinkType, frame: &[u8], frame_len: usize) -> Result<TcpFrame, Verdict> {
    let at = link.ip_offset(frame)?;
    let packet = frame.get(at..).ok_or(Verdict::Malformed)?;
    let packet_len = frame_len.max(frame.len()) - at;
    let ip = match packet.first().ok_or(Verdict::Malformed)? >> 4 {
        4 => ipv4(packet, packet_len)?,
        6 => ipv6(packet, packet_len)?,
        _ => return Err(Verdict::Malformed),
    };
    let captured = packet.get(ip.captured.clone()).ok_or(Verdict::Malformed)?;
    let header: &[u8; 20] = captured.first_chunk().ok_or(Verdict::Malformed)?;
    let header_len = usize::from(header[12] >> 4) * 4;
    if header_len < header.len() || header_len > ip.wire_len {
        return Err(Verdict::Malformed);
    }
    // Options may be cut off; the segment still says how long it was.
    let payload = (at + ip.captured.start + header_len).min(at + ip.captured.end);
    let wire_len = u32::try_from(ip.wire_len - header_len).map_err(|_| Verdict::Malformed)?;
    Ok(TcpFrame {
        src: Endpoint::new(ip.src, u16::from_be_bytes([header[0], header[1]])),
        dst: Endpoint::new(ip.dst, u16::from_be_bytes([header[2], header[3]])),
        seq: SeqNum(u32::from_be_bytes([header[4], header[5], header[6], header[7]])),
        ack: SeqNum(u32::from_be_bytes([header[8], header[9], header[10], header[11]])),
        flags: TcpFlags(header[13]),
        window: u16::from_be_bytes([header[14], header[15]]),
        payload: payload..at + ip.captured.end,
        wire_len,
    })
}

fn is_whole_tcp(payload: &LaxIpPayloadSlice<'_>, broken_extension: bool) -> Result<(), Verdict> {
    // What looks like an extension header in a later fragment need not be one.
    if broken_extension && !payload.fragmented {
        return Err(Verdict::Malformed);
    }
    if payload.ip_number != IpNumber::TCP {
        return Err(Verdict::NotTcp);
    }
    if payload.fragmented {
        return Err(Verdict::Fragment);
    }
    Ok(())
}

fn ipv4(packet: &[u8], packet_len: usize) -> Result<IpPayload, Verdict> {
    let (ip, broken_extension) =
        LaxIpv4Slice::from_slice(packet).map_err(|_| Verdict::Malformed)?;
    is_whole_tcp(ip.payload(), broken_extension.is_some())?;
    let header = ip.header();
    let headers_len =
        header.slice().len() + ip.extensions().auth.map_or(0, |auth| auth.slice().len());
    let total_len = match usize::from(header.total_len()) {
        0 => packet_len,
        total_len => total_len,
    };
    Ok(IpPayload {
        src: header.source_addr().into(),
        dst: header.destination_addr().into(),
        captured: headers_len..headers_len + ip.payload().payload.len(),
        wire_len: total_len.checked_sub(headers_len).ok_or(Verdict::Malformed)?,
    })
}

fn ipv6(packet: &[u8], packet_len: usize) -> Result<IpPayload, Verdict> {
    let (ip, broken_extension) =
        LaxIpv6Slice::from_slice(packet).map_err(|_| Verdict::Malformed)?;
    is_whole_tcp(ip.payload(), broken_extension.is_some())?;
    let header = ip.header();
    let headers_len = header.slice().len() + ip.extensions().slice().len();
    let total_len = match usize::from(header.payload_length()) {
        0 => packet_len,
        payload_len => header.slice().len() + payload_len,
    };
    Ok(IpPayload {
        src: header.source_addr().into(),
        dst: header.destination_addr().into(),
        captured: headers_len..headers_len + ip.payload().payload.len(),
        wire_len: total_len.checked_sub(headers_len).ok_or(Verdict::Malformed)?,
    })
}
