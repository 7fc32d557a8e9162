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
#[cfg_attr(test, derive(Debug, PartialEq))]
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

impl TcpFrame {
    /// The segment that is all of the payload of `ip`.
    #[inline(always)]
    fn parse(buffer: &[u8], ip: &Ip, verify_checksum: bool) -> Result<Self, Verdict> {
        let captured = ip.payload.bytes(buffer)?;
        let header: &[u8; 20] = captured.first_chunk().ok_or(Verdict::Malformed)?;
        let header_len = usize::from(header[12] >> 4) * 4;
        if header_len < header.len() || header_len > ip.payload.len() {
            return Err(Verdict::Malformed);
        }
        if verify_checksum && ip.checks_out(buffer) == Some(false) {
            return Err(Verdict::BadChecksum);
        }
        let end = ip.payload.captured_end;
        let wire_len = ip.payload.len() - header_len;
        Ok(Self {
            src: Endpoint { addr: ip.src, port: u16::from_be_bytes([header[0], header[1]]) },
            dst: Endpoint { addr: ip.dst, port: u16::from_be_bytes([header[2], header[3]]) },
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

/// What a frame holds.
pub(super) enum Frame {
    Tcp(TcpFrame),
    /// An IP packet that is to be searched.
    Ip(Ip),
}

impl Frame {
    /// What is in `frame`, which was `frame_len` bytes on the wire. In line with the caller, for
    /// most frames end here.
    #[inline(always)]
    pub(super) fn parse(
        link: LinkType,
        frame: &[u8],
        frame_len: usize,
        verify_checksums: bool,
    ) -> Result<Self, Verdict> {
        let at = link.ip_offset(frame)?;
        let span = Span { at, captured_end: frame.len(), end: frame_len.max(frame.len()) };
        let ip = Ip::parse(frame, span, verify_checksums)?;
        if ip.protocol == IpNumber::TCP && ip.part.is_none() {
            TcpFrame::parse(frame, &ip, verify_checksums).map(Self::Tcp)
        } else {
            Ok(Self::Ip(ip))
        }
    }
}

/// The search for the segment behind extension headers, in tunnels and in fragments.
pub(super) struct Search {
    verify_checksums: bool,
    layers_left: u8,
    /// The packet that it has come to.
    ip: Ip,
}

impl Search {
    pub(super) const fn new(ip: Ip, verify_checksums: bool) -> Self {
        Self { verify_checksums, layers_left: MAX_LAYERS, ip }
    }

    /// Goes on at the datagram `ip`, whose payload was put together.
    pub(super) fn enter(&mut self, ip: Ip) -> Result<(), Verdict> {
        self.go_deeper()?;
        self.ip = ip;
        Ok(())
    }

    /// The segment in `buffer`, `None` where it comes to a fragment first.
    pub(super) fn tcp(&mut self, buffer: &[u8]) -> Result<Option<TcpFrame>, Verdict> {
        loop {
            self.ip.pass_extensions(buffer)?;
            if self.ip.part.is_some() {
                return Ok(None);
            }
            if self.ip.protocol == IpNumber::TCP {
                return TcpFrame::parse(buffer, &self.ip, self.verify_checksums).map(Some);
            }
            let Ip { protocol, payload, .. } = self.ip;
            let at = tunnel::inner_ip(protocol, payload.bytes(buffer)?)?;
            self.go_deeper()?;
            self.ip = Ip::parse(buffer, payload.after(at)?, self.verify_checksums)?;
        }
    }

    /// The fragment that it has come to.
    pub(super) fn fragment(&self) -> Option<(Ip, Part)> {
        self.ip.part.map(|part| (self.ip, part))
    }

    fn go_deeper(&mut self) -> Result<(), Verdict> {
        self.layers_left = self.layers_left.checked_sub(1).ok_or(Verdict::NotTcp)?;
        Ok(())
    }
}
