//! From the frame to the TCP segment in it: one bounded walk over the headers.
//!
//! Ethernet with up to two VLAN tags (IEEE 802.1Q, 802.1ad), IPv4 (RFC 791) with options, IPv6
//! (RFC 8200) with extension headers, TCP (RFC 9293 section 3.1) with options. A tag that the NIC
//! has put beside the packet is not in the frame, so the walk does not meet it.
//!
//! Invariants: payload is what the IP header says it is, so padding of the frame never counts;
//! `payload_offset + payload_len` is within the frame.

use capture_ebpf::{RecordHeader, Verdict, missing};

use crate::packet::{Bytes, Packet};

const ETHERTYPE_OFFSET: u32 = 12;
const ETHERNET_LEN: u32 = 14;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;
const MAX_VLAN_TAGS: u32 = 2;

const PROTOCOL_TCP: u8 = 6;
const IPV6_HOP_BY_HOP: u8 = 0;
const IPV6_ROUTING: u8 = 43;
const IPV6_FRAGMENT: u8 = 44;
const IPV6_AUTHENTICATION: u8 = 51;
const IPV6_DESTINATION: u8 = 60;
/// More than anyone sends; a longer chain would only cost time on each packet.
const MAX_IPV6_EXTENSIONS: u32 = 8;

/// Where the TCP part of an IP packet is.
pub(crate) struct Transport {
    /// First byte of the IP header.
    ip: u32,
    is_v4: bool,
    /// First byte of the TCP header.
    offset: u32,
    /// First byte that is no longer the IP packet's.
    end: u32,
}

/// Finds the TCP part of a frame of `len` bytes, or why there is none to be had.
#[inline(always)]
pub(crate) fn find(bytes: &impl Bytes, len: u32) -> Result<Transport, Verdict> {
    let mut offset = ETHERNET_LEN;
    let mut ethertype = load_u16(bytes, ETHERTYPE_OFFSET)?;
    for _ in 0..MAX_VLAN_TAGS {
        if ethertype != ETHERTYPE_VLAN && ethertype != ETHERTYPE_SERVICE_VLAN {
            break;
        }
        ethertype = load_u16(bytes, offset + 2)?;
        offset += 4;
    }
    let transport = match ethertype {
        ETHERTYPE_IPV4 => ipv4(bytes, offset, len)?,
        ETHERTYPE_IPV6 => ipv6(bytes, offset, len)?,
        _ => return Err(Verdict::NotIp),
    };
    if transport.end > len {
        return Err(Verdict::Malformed);
    }
    Ok(transport)
}

/// The ports that it is from and to.
#[inline(always)]
pub(crate) fn ports(bytes: &impl Bytes, transport: &Transport) -> Result<[u16; 2], Verdict> {
    let [a, b, c, d] = bytes.load(transport.offset).ok_or(Verdict::Malformed)?;
    Ok([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])])
}

#[inline(always)]
fn load_u16(bytes: &impl Bytes, offset: u32) -> Result<u16, Verdict> {
    bytes.load(offset).map(u16::from_be_bytes).ok_or(Verdict::Malformed)
}

#[inline(always)]
fn ipv4(bytes: &impl Bytes, ip: u32, len: u32) -> Result<Transport, Verdict> {
    let header: [u8; 20] = bytes.load(ip).ok_or(Verdict::Malformed)?;
    let header_len = u32::from(header[0] & 0x0f) * 4;
    let total_len = length(u16::from_be_bytes([header[2], header[3]]), len - ip);
    if header[0] >> 4 != 4 || header_len < 20 || total_len < header_len {
        return Err(Verdict::Malformed);
    }
    if header[9] != PROTOCOL_TCP {
        return Err(Verdict::NotTcp);
    }
    // More fragments to come, or not the first one.
    if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
        return Err(Verdict::Fragment);
    }
    Ok(Transport { ip, is_v4: true, offset: ip + header_len, end: ip + total_len })
}

#[inline(always)]
fn ipv6(bytes: &impl Bytes, ip: u32, len: u32) -> Result<Transport, Verdict> {
    let header: [u8; 8] = bytes.load(ip).ok_or(Verdict::Malformed)?;
    if header[0] >> 4 != 6 {
        return Err(Verdict::Malformed);
    }
    let start = ip + 40;
    let payload_len = length(u16::from_be_bytes([header[4], header[5]]), len - start);
    let offset = skip_ipv6_extensions(bytes, header[6], start)?;
    Ok(Transport { ip, is_v4: false, offset, end: start + payload_len })
}

/// The length that a 16-bit field tells for what has `rest` bytes at most. Merged segments of
/// more than 64 KiB (BIG TCP) don't fit the field, which is then 0.
#[inline(always)]
fn length(field: u16, rest: u32) -> u32 {
    if field == 0 && rest > u32::from(u16::MAX) { rest } else { u32::from(field) }
}

/// Where the TCP header is, after extension headers that begin at `offset` with the type `next`.
#[inline(always)]
fn skip_ipv6_extensions(bytes: &impl Bytes, mut next: u8, mut offset: u32) -> Result<u32, Verdict> {
    for _ in 0..MAX_IPV6_EXTENSIONS {
        if next == PROTOCOL_TCP {
            return Ok(offset);
        }
        let is_extension = matches!(
            next,
            IPV6_HOP_BY_HOP | IPV6_ROUTING | IPV6_FRAGMENT | IPV6_AUTHENTICATION | IPV6_DESTINATION
        );
        if !is_extension {
            return Err(Verdict::NotTcp);
        }
        let header: [u8; 4] = bytes.load(offset).ok_or(Verdict::Malformed)?;
        let len = match next {
            IPV6_FRAGMENT => 8,
            IPV6_AUTHENTICATION => (u32::from(header[1]) + 2) * 4,
            _ => (u32::from(header[1]) + 1) * 8,
        };
        // An atomic fragment (RFC 6946) is the whole packet: no offset, and no more to come.
        if next == IPV6_FRAGMENT && u16::from_be_bytes([header[2], header[3]]) & 0xfff9 != 0 {
            let is_tcp = header[0] == PROTOCOL_TCP;
            return Err(if is_tcp { Verdict::Fragment } else { Verdict::NotTcp });
        }
        next = header[0];
        offset += len;
    }
    Err(Verdict::Malformed)
}

/// Writes the segment down, with all of its payload as payload, but not its time: returns where the
/// payload is.
#[inline(always)]
pub(crate) fn write(
    packet: &impl Packet,
    bytes: &impl Bytes,
    transport: &Transport,
    found: &mut RecordHeader,
) -> Result<u32, Verdict> {
    let header: [u8; 20] = bytes.load(transport.offset).ok_or(Verdict::Malformed)?;
    let header_len = u32::from(header[12] >> 4) * 4;
    let payload_offset = transport.offset + header_len;
    if header_len < 20 || payload_offset > transport.end {
        return Err(Verdict::Malformed);
    }
    if transport.is_v4 {
        let addrs: [u8; 8] = bytes.load(transport.ip + 12).ok_or(Verdict::Malformed)?;
        let mapped = |a, b, c, d| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d];
        found.src_addr = mapped(addrs[0], addrs[1], addrs[2], addrs[3]);
        found.dst_addr = mapped(addrs[4], addrs[5], addrs[6], addrs[7]);
    } else {
        found.src_addr = bytes.load(transport.ip + 8).ok_or(Verdict::Malformed)?;
        found.dst_addr = bytes.load(transport.ip + 24).ok_or(Verdict::Malformed)?;
    }
    found.cgroup = 0;
    found.ifindex = packet.ifindex();
    found.payload_len = transport.end - payload_offset;
    found.wire_len = found.payload_len;
    found.seq = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    found.ack = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    found.src_port = u16::from_be_bytes([header[0], header[1]]);
    found.dst_port = u16::from_be_bytes([header[2], header[3]]);
    found.window = u16::from_be_bytes([header[14], header[15]]);
    found.tcp_flags = header[13] & 0x3f;
    found.hook = packet.hook() as u8;
    found.missing = missing::NOTHING;
    found.reserved = [0; 3];
    Ok(payload_offset)
}
