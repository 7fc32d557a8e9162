//! A frame to the TCP segment in it, through tunnels where it has to.
//!
//! Follows RFC 9293 section 3.1.
//!
//! Invariants: a search looks past a bounded number of IP headers and reassembled datagrams,
//! whatever they nest; a cut frame keeps its true length in `wire_len`.

use std::ops::Range;

use capture_ebpf::Verdict;
use etherparse::IpNumber;

use super::ip::{Ip, Part, Span};
use super::link::LinkType;
use super::tunnel;
use crate::segment::{Endpoint, SeqNum, TcpFlags};

/// Networks nest two or three; a packet of nothing but headers must not cost more than others.
const MAX_LAYERS: u8 = 8;

/// A TCP segment, its payload as a range of the buffer that it was found in.
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

/// What a search comes to.
pub(super) enum Found {
    Tcp(TcpFrame),
    /// A fragment, to go on from with the datagram when that is whole.
    Fragment(Ip, Part),
}

/// The search for the segment in one frame.
pub(super) struct Search {
    verify_checksums: bool,
    layers_left: u8,
}

impl Search {
    pub(super) const fn new(verify_checksums: bool) -> Self {
        Self { verify_checksums, layers_left: MAX_LAYERS }
    }

    /// Looks into `frame`, which was `frame_len` bytes on the wire.
    pub(super) fn frame(
        &mut self,
        link: LinkType,
        frame: &[u8],
        frame_len: usize,
    ) -> Result<Found, Verdict> {
        let at = link.ip_offset(frame)?;
        let span = Span { at, captured_end: frame.len(), end: frame_len.max(frame.len()) };
        let ip = Ip::parse(frame, span, self.verify_checksums)?;
        self.packet(frame, ip)
    }

    /// Looks into the datagram `ip`, whose payload was put together in `buffer`.
    pub(super) fn reassembled(&mut self, buffer: &[u8], ip: Ip) -> Result<Found, Verdict> {
        self.go_deeper()?;
        self.packet(buffer, ip.past_extensions(buffer)?)
    }

    fn packet(&mut self, buffer: &[u8], mut ip: Ip) -> Result<Found, Verdict> {
        loop {
            if let Some(part) = ip.part {
                return Ok(Found::Fragment(ip, part));
            }
            if ip.protocol == IpNumber::TCP {
                return self.tcp(buffer, &ip).map(Found::Tcp);
            }
            let at = tunnel::inner_ip(ip.protocol, ip.payload.bytes(buffer)?)?;
            self.go_deeper()?;
            ip = Ip::parse(buffer, ip.payload.after(at)?, self.verify_checksums)?;
        }
    }

    fn go_deeper(&mut self) -> Result<(), Verdict> {
        self.layers_left = self.layers_left.checked_sub(1).ok_or(Verdict::NotTcp)?;
        Ok(())
    }

    fn tcp(&self, buffer: &[u8], ip: &Ip) -> Result<TcpFrame, Verdict> {
        let captured = ip.payload.bytes(buffer)?;
        let header: &[u8; 20] = captured.first_chunk().ok_or(Verdict::Malformed)?;
        let header_len = usize::from(header[12] >> 4) * 4;
        if header_len < header.len() || header_len > ip.payload.len() {
            return Err(Verdict::Malformed);
        }
        if self.verify_checksums && ip.checks_out(buffer) == Some(false) {
            return Err(Verdict::BadChecksum);
        }
        let end = ip.payload.captured_end;
        let wire_len = ip.payload.len() - header_len;
        Ok(TcpFrame {
            src: Endpoint::new(ip.src, u16::from_be_bytes([header[0], header[1]])),
            dst: Endpoint::new(ip.dst, u16::from_be_bytes([header[2], header[3]])),
            seq: SeqNum(u32::from_be_bytes([header[4], header[5], header[6], header[7]])),
            ack: SeqNum(u32::from_be_bytes([header[8], header[9], header[10], header[11]])),
            flags: TcpFlags(header[13]),
            window: u16::from_be_bytes([header[14], header[15]]),
            // Options may be cut off; the segment still says how long it was.
            payload: (ip.payload.at + header_len).min(end)..end,
            wire_len: u32::try_from(wire_len).map_err(|_| Verdict::Malformed)?,
        })
    }
}
