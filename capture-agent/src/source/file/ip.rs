//! IP packets: who sends what to whom, and which part of it where it is a fragment.
//!
//! Follows RFC 791, RFC 8200 section 4 and RFC 4302.
//!
//! Invariants: lengths are those of the IP header, never that of the frame, whose end may be
//! padding; the frame's length counts only where the IP header leaves its own at 0, as it is
//! before segmentation offload.

use std::net::{Ipv4Addr, Ipv6Addr};

use capture_ebpf::Verdict;
use etherparse::checksum::Sum16BitWords;
use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice};

/// What lies in a buffer from some offset on: as far as it was captured, and as long as it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) at: usize,
    /// No more than `end`.
    pub(super) captured_end: usize,
    pub(super) end: usize,
}

impl Span {
    /// What was captured of it.
    #[inline]
    pub(super) fn bytes(self, buffer: &[u8]) -> Result<&[u8], Verdict> {
        buffer.get(self.at..self.captured_end).ok_or(Verdict::Malformed)
    }

    /// Its length on the wire.
    #[inline]
    pub(super) const fn len(self) -> usize {
        self.end.saturating_sub(self.at)
    }

    #[inline]
    pub(super) const fn is_whole(self) -> bool {
        self.captured_end == self.end
    }

    /// All but its first `len` bytes, which must have been captured.
    #[inline]
    pub(super) fn after(self, len: usize) -> Result<Self, Verdict> {
        let at = self.at + len;
        if at > self.captured_end { Err(Verdict::Malformed) } else { Ok(Self { at, ..self }) }
    }

    /// Its first `len` bytes, of which more may be claimed than there are.
    #[inline]
    fn first(self, len: usize) -> Self {
        let end = self.at + len;
        Self { end, captured_end: self.captured_end.min(end), ..self }
    }
}

/// An IP packet: what its headers say, as far as they were passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ip {
    pub(super) version: Version,
    /// IPv4 as IPv4-mapped.
    pub(super) src: Ipv6Addr,
    /// IPv4 as IPv4-mapped.
    pub(super) dst: Ipv6Addr,
    /// What the payload is.
    pub(super) protocol: IpNumber,
    pub(super) payload: Span,
    /// Where the payload is only a part.
    pub(super) part: Option<Part>,
    /// A routing header names the last receiver, and `dst` is one on the way.
    pub(super) is_routed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Version {
    V4,
    V6,
}

/// Which part of a datagram's payload a fragment has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) id: u32,
    /// In bytes.
    pub(super) offset: usize,
    /// Whether it is not the last.
    pub(super) more: bool,
}

impl Ip {
    /// The packet in `span` of `buffer`.
    #[inline(always)]
    pub(super) fn parse(buffer: &[u8], span: Span, verify_checksum: bool) -> Result<Self, Verdict> {
        let packet = span.bytes(buffer)?;
        match packet.first().ok_or(Verdict::Malformed)? >> 4 {
            4 => ipv4(packet, span, verify_checksum),
            6 => ipv6(packet, span),
            _ => Err(Verdict::Malformed),
        }
    }

    /// Passes over extension headers, to what they are before, or to where the packet was cut in
    /// fragments.
    pub(super) fn pass_extensions(&mut self, buffer: &[u8]) -> Result<(), Verdict> {
        while self.part.is_none() && self.is_at_extension() {
            let header = self.payload.bytes(buffer)?;
            let fixed: &[u8; 8] = header.first_chunk().ok_or(Verdict::Malformed)?;
            let [next, len, field_high, field_low, id @ ..] = *fixed;
            let len = match self.protocol {
                IpNumber::IPV6_FRAGMENTATION_HEADER => {
                    let field = u16::from_be_bytes([field_high, field_low]);
                    let (offset, more) = (usize::from(field & !7), field & 1 != 0);
                    // An atomic fragment is a whole packet (RFC 6946).
                    if offset > 0 || more {
                        self.part = Some(Part { id: u32::from_be_bytes(id), offset, more });
                    }
                    8
                }
                IpNumber::AUTHENTICATION_HEADER => (usize::from(len) + 2) * 4,
                IpNumber::IPV6_ROUTE_HEADER => {
                    let segments_left = field_low;
                    self.is_routed |= segments_left > 0;
                    (usize::from(len) + 1) * 8
                }
                _ => (usize::from(len) + 1) * 8,
            };
            self.protocol = IpNumber(next);
            self.payload = self.payload.after(len)?;
        }
        Ok(())
    }

    fn is_at_extension(&self) -> bool {
        match self.protocol {
            IpNumber::AUTHENTICATION_HEADER => true,
            IpNumber::IPV6_HEADER_HOP_BY_HOP
            | IpNumber::IPV6_ROUTE_HEADER
            | IpNumber::IPV6_FRAGMENTATION_HEADER
            | IpNumber::IPV6_DESTINATION_OPTIONS
            | IpNumber::MOBILITY_HEADER
            | IpNumber::HIP
            | IpNumber::SHIM6 => self.version == Version::V6,
            _ => false,
        }
    }

    /// Whether the payload's checksum is right with the pseudo header (RFC 9293 section 3.1,
    /// RFC 8200 section 8.1); `None` where it cannot be known.
    pub(super) fn checks_out(&self, buffer: &[u8]) -> Option<bool> {
        if !self.payload.is_whole() || self.is_routed {
            return None;
        }
        let payload = self.payload.bytes(buffer).ok()?;
        let len = u32::try_from(payload.len()).ok()?;
        // The prefix of a mapped address adds nothing to a sum of ones' complements.
        let sum = Sum16BitWords::new()
            .add_16bytes(self.src.octets())
            .add_16bytes(self.dst.octets())
            .add_4bytes(len.to_be_bytes())
            .add_2bytes([0, self.protocol.0]);
        Some(sum.add_slice(payload).ones_complement() == 0)
    }
}

#[inline(always)]
fn ipv4(packet: &[u8], span: Span, verify_checksum: bool) -> Result<Ip, Verdict> {
    let header = Ipv4HeaderSlice::from_slice(packet).map_err(|_| Verdict::Malformed)?;
    if verify_checksum && Sum16BitWords::new().add_slice(header.slice()).ones_complement() != 0 {
        return Err(Verdict::BadChecksum);
    }
    let total_len = match usize::from(header.total_len()) {
        0 => span.len(),
        total_len => total_len,
    };
    let offset = usize::from(header.fragments_offset().byte_offset());
    let more = header.more_fragments();
    Ok(Ip {
        version: Version::V4,
        src: mapped(header.source_addr()),
        dst: mapped(header.destination_addr()),
        protocol: header.protocol(),
        payload: span.first(total_len).after(header.slice().len())?,
        part: (more || offset > 0).then(|| Part {
            id: header.identification().into(),
            offset,
            more,
        }),
        is_routed: false,
    })
}

/// The IPv4-mapped address, made in one piece: read back right after it was put together from
/// parts, it costs a quarter of all that is done for a packet.
#[inline(always)]
const fn mapped(addr: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xffff_0000_0000 | addr.to_bits() as u128)
}

#[inline(always)]
fn ipv6(packet: &[u8], span: Span) -> Result<Ip, Verdict> {
    let header = Ipv6HeaderSlice::from_slice(packet).map_err(|_| Verdict::Malformed)?;
    let header_len = header.slice().len();
    let total_len = match usize::from(header.payload_length()) {
        0 => span.len(),
        payload_len => header_len + payload_len,
    };
    Ok(Ip {
        version: Version::V6,
        src: header.source_addr(),
        dst: header.destination_addr(),
        protocol: header.next_header(),
        payload: span.first(total_len).after(header_len)?,
        part: None,
        is_routed: false,
    })
}
