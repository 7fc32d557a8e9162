//! Writes capture files for tests: TCP conversations as IP packets, frames around them, and the
//! pcap and pcapng formats in all their variants.
#![allow(dead_code, reason = "each test target uses a part")]

use std::net::SocketAddr;

use etherparse::{PacketBuilder, TcpHeader};

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

pub(crate) const ETHERNET: u16 = 1;
pub(crate) const RAW_IP: u16 = 101;

/// Payload of a full segment on Ethernet, with the time stamps that Linux sends.
pub(crate) const MSS: usize = 1448;

/// A TCP segment to be.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// Raw, a multiple of 4 bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Tcp {
    /// A segment with payload from `src` to `dst`.
    pub(crate) fn new(src: &str, dst: &str, seq: u32, payload: &[u8]) -> Self {
        Self {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            seq,
            ack: 1,
            flags: PSH | ACK,
            window: 64_240,
            options: Vec::new(),
            payload: payload.to_vec(),
        }
    }

    /// The IP packet, checksums right.
    pub(crate) fn ip(&self) -> Vec<u8> {
        let ip = match (self.src, self.dst) {
            (SocketAddr::V4(src), SocketAddr::V4(dst)) => {
                PacketBuilder::ipv4(src.ip().octets(), dst.ip().octets(), 64)
            }
            (SocketAddr::V6(src), SocketAddr::V6(dst)) => {
                PacketBuilder::ipv6(src.ip().octets(), dst.ip().octets(), 64)
            }
            _ => panic!("both ends are of one family"),
        };
        let has = |flag| self.flags & flag != 0;
        let mut tcp = TcpHeader::new(self.src.port(), self.dst.port(), self.seq, self.window);
        tcp.acknowledgment_number = self.ack;
        (tcp.fin, tcp.syn, tcp.rst) = (has(FIN), has(SYN), has(RST));
        (tcp.psh, tcp.ack) = (has(PSH), has(ACK));
        tcp.set_options_raw(&self.options).unwrap();
        let mut packet = Vec::new();
        ip.tcp_header(tcp).write(&mut packet, &self.payload).unwrap();
        packet
    }

    /// The Ethernet frame.
    pub(crate) fn ethernet(&self) -> Vec<u8> {
        ethernet(&[], &self.ip())
    }
}

/// The EtherType of an IP packet.
pub(crate) fn ether_type(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd }
}

/// An Ethernet frame around an IP packet, with VLAN tags given as (type, id), outermost first.
pub(crate) fn ethernet(tags: &[(u16, u16)], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];
    for (kind, id) in tags {
        frame.extend(kind.to_be_bytes());
        frame.extend(id.to_be_bytes());
    }
    frame.extend(ether_type(packet).to_be_bytes());
    frame.extend(packet);
    frame
}

/// Both directions of a TCP connection, segment by segment, in the order of the wire.
#[derive(Clone)]
pub(crate) struct Conversation {
    client: SocketAddr,
    server: SocketAddr,
    client_seq: u32,
    server_seq: u32,
    segments: Vec<Tcp>,
}

impl Conversation {
    pub(crate) fn new(client: &str, server: &str) -> Self {
        Self {
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
            client_seq: 1_000,
            server_seq: 5_000,
            segments: Vec::new(),
        }
    }

    /// The three-way handshake.
    pub(crate) fn open(mut self) -> Self {
        self.client_says(SYN, &[]);
        self.server_says(SYN | ACK, &[]);
        self.client_says(ACK, &[]);
        self
    }

    /// Data in full segments, each acknowledged.
    pub(crate) fn client_sends(mut self, data: &[u8]) -> Self {
        for part in data.chunks(MSS) {
            self.client_says(PSH | ACK, part);
            self.server_says(ACK, &[]);
        }
        self
    }

    /// Data in full segments, each acknowledged.
    pub(crate) fn server_sends(mut self, data: &[u8]) -> Self {
        for part in data.chunks(MSS) {
            self.server_says(PSH | ACK, part);
            self.client_says(ACK, &[]);
        }
        self
    }

    /// FIN from either side, the client's first.
    pub(crate) fn close(mut self) -> Self {
        self.client_says(FIN | ACK, &[]);
        self.server_says(FIN | ACK, &[]);
        self.client_says(ACK, &[]);
        self
    }

    pub(crate) fn segments(self) -> Vec<Tcp> {
        self.segments
    }

    fn client_says(&mut self, flags: u8, payload: &[u8]) {
        let (seq, ack) = (self.client_seq, self.server_seq);
        self.client_seq = self.say(self.client, self.server, seq, ack, flags, payload);
    }

    fn server_says(&mut self, flags: u8, payload: &[u8]) {
        let (seq, ack) = (self.server_seq, self.client_seq);
        self.server_seq = self.say(self.server, self.client, seq, ack, flags, payload);
    }

    fn say(
        &mut self,
        src: SocketAddr,
        dst: SocketAddr,
        seq: u32,
        ack: u32,
        flags: u8,
        payload: &[u8],
    ) -> u32 {
        let segment = Tcp {
            src,
            dst,
            seq,
            ack: if flags & ACK == 0 { 0 } else { ack },
            flags,
            window: 64_240,
            options: Vec::new(),
            payload: payload.to_vec(),
        };
        self.segments.push(segment);
        let len = u32::try_from(payload.len()).unwrap();
        seq.wrapping_add(len + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0))
    }
}

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(crate) fn i64(self, value: i64) -> [u8; 8] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

/// Variants of pcap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    Micros,
    Nanos,
    /// Microseconds and a longer record header.
    Kuznetzov,
}

/// A pcap file in the making.
pub(crate) struct Pcap {
    order: Order,
    variant: Variant,
    bytes: Vec<u8>,
}

impl Pcap {
    pub(crate) fn new(order: Order, variant: Variant, link: u16) -> Self {
        let magic = match variant {
            Variant::Micros => 0xa1b2_c3d4,
            Variant::Nanos => 0xa1b2_3c4d,
            Variant::Kuznetzov => 0xa1b2_cd34,
        };
        let mut bytes = order.u32(magic).to_vec();
        bytes.extend(order.u16(2));
        bytes.extend(order.u16(4));
        bytes.extend([0; 8]);
        bytes.extend(order.u32(262_144));
        bytes.extend(order.u32(link.into()));
        Self { order, variant, bytes }
    }

    /// A whole frame.
    pub(crate) fn packet(self, time_ns: u64, frame: &[u8]) -> Self {
        self.cut_packet(time_ns, frame, frame.len())
    }

    /// A frame that was `wire_len` bytes long.
    pub(crate) fn cut_packet(mut self, time_ns: u64, frame: &[u8], wire_len: usize) -> Self {
        let unit_ns = if self.variant == Variant::Nanos { 1 } else { 1_000 };
        let fraction = time_ns % 1_000_000_000 / unit_ns;
        for field in [
            u32::try_from(time_ns / 1_000_000_000).unwrap(),
            u32::try_from(fraction).unwrap(),
            u32::try_from(frame.len()).unwrap(),
            u32::try_from(wire_len).unwrap(),
        ] {
            self.bytes.extend(self.order.u32(field));
        }
        if self.variant == Variant::Kuznetzov {
            self.bytes.extend([0xee; 8]);
        }
        self.bytes.extend(frame);
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A pcap of Ethernet frames, a millisecond apart.
pub(crate) fn pcap_of(segments: &[Tcp]) -> Vec<u8> {
    let file = Pcap::new(Order::Little, Variant::Micros, ETHERNET);
    let timed = (1_700_000_000_000_u64..).map(|ms| ms * 1_000_000).zip(segments);
    timed.fold(file, |file, (time, segment)| file.packet(time, &segment.ethernet())).bytes()
}

/// A pcapng file in the making.
pub(crate) struct Pcapng {
    order: Order,
    bytes: Vec<u8>,
}

/// Options of an interface.
pub(crate) const IF_NAME: u16 = 2;
pub(crate) const IF_TSRESOL: u16 = 9;
pub(crate) const IF_TSOFFSET: u16 = 14;

impl Pcapng {
    /// A file that begins with a section in this order.
    pub(crate) fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new() }.section(order)
    }

    pub(crate) fn section(mut self, order: Order) -> Self {
        self.order = order;
        let mut body = order.u32(0x1a2b_3c4d).to_vec();
        body.extend(order.u16(1));
        body.extend(order.u16(0));
        body.extend(order.i64(-1));
        self.block(0x0a0d_0d0a, &body)
    }

    /// An interface with options given as (code, value).
    pub(crate) fn interface(self, link: u16, snap_len: u32, options: &[(u16, &[u8])]) -> Self {
        let order = self.order;
        let mut body = order.u16(link).to_vec();
        body.extend([0; 2]);
        body.extend(order.u32(snap_len));
        for (code, value) in options {
            body.extend(order.u16(*code));
            body.extend(order.u16(u16::try_from(value.len()).unwrap()));
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(1, &body)
    }

    /// An enhanced packet block; `stamp` is in the interface's units.
    pub(crate) fn packet(self, iface: u32, stamp: u64, frame: &[u8], wire_len: usize) -> Self {
        let body = self.packet_body(&self.order.u32(iface), stamp, frame, wire_len);
        self.block(6, &body)
    }

    /// A packet block as it was before the enhanced one.
    pub(crate) fn obsolete(self, iface: u16, stamp: u64, frame: &[u8], wire_len: usize) -> Self {
        let head = [self.order.u16(iface), self.order.u16(u16::MAX)].concat();
        let body = self.packet_body(&head, stamp, frame, wire_len);
        self.block(2, &body)
    }

    /// A simple packet block.
    pub(crate) fn simple(self, frame: &[u8], wire_len: usize) -> Self {
        let mut body = self.order.u32(u32::try_from(wire_len).unwrap()).to_vec();
        body.extend(frame);
        self.block(3, &body)
    }

    /// Any block; the body is padded.
    pub(crate) fn block(mut self, kind: u32, body: &[u8]) -> Self {
        let len = body.len().next_multiple_of(4) + 12;
        let len = self.order.u32(u32::try_from(len).unwrap());
        self.bytes.extend(self.order.u32(kind));
        self.bytes.extend(len);
        self.bytes.extend(body);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes.extend(len);
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn packet_body(&self, head: &[u8], stamp: u64, frame: &[u8], wire_len: usize) -> Vec<u8> {
        let mut body = head.to_vec();
        for field in [
            u32::try_from(stamp >> 32).unwrap(),
            u32::try_from(stamp & 0xffff_ffff).unwrap(),
            u32::try_from(frame.len()).unwrap(),
            u32::try_from(wire_len).unwrap(),
        ] {
            body.extend(self.order.u32(field));
        }
        body.extend(frame);
        body
    }
}
