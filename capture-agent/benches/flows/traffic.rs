//! Who speaks, and what is said: simulated peers, and the engine that hears them.

use capture_agent::engine::Engine;
use capture_agent::listener::Listener;
use capture_agent::segment::{Endpoint, IfaceId, Missing, Segment, SeqNum, TcpFlags, Timestamp};

pub(crate) const REQUEST: &[u8] = b"GET /api/items/17?fields=name,price HTTP/1.1\r\n\
    Host: shop.example.com\r\nUser-Agent: curl/8.5.0\r\nAccept: application/json\r\n\
    Accept-Encoding: gzip\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n";

pub(crate) const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\
    Date: Tue, 01 Jul 2025 10:00:00 GMT\r\nContent-Type: application/json\r\n\
    Content-Length: 62\r\nConnection: keep-alive\r\nETag: \"5f3c-17\"\r\n\r\n\
    {\"id\":17,\"name\":\"kettle\",\"price\":1999,\"stock\":4,\"tags\":[\"a\"]}\n";

/// The head of a response whose body does not end.
pub(crate) const ENDLESS: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\
    Content-Type: application/octet-stream\r\nContent-Length: 1000000000000000\r\n\r\n";

/// What a full segment holds on Ethernet.
pub(crate) static FULL: [u8; 1448] = [b'x'; 1448];

const SYN: TcpFlags = TcpFlags::SYN;
const ACK: TcpFlags = TcpFlags::ACK;

/// A client and a server. Their sequence numbers start anywhere.
#[derive(Clone, Copy)]
pub(crate) struct Peers {
    client: Endpoint,
    server: Endpoint,
    /// Sequence numbers of the first byte that each says.
    client_first: SeqNum,
    server_first: SeqNum,
}

impl Peers {
    /// The `n`th pair.
    pub(crate) const fn new(n: u32) -> Self {
        let [_, a, b, c] = (n / 50_000).to_be_bytes();
        Self {
            client: Endpoint::v4([10, a, b, c], 10_000 + (n % 50_000) as u16),
            server: Endpoint::v4([192, 0, 2, 1], 80),
            client_first: SeqNum(n.wrapping_mul(0x9e37_79b1)),
            server_first: SeqNum(n.wrapping_mul(0x85eb_ca77)),
        }
    }

    /// Whether this end is a client's, and not one of the flood's.
    pub(crate) const fn is_client(end: Endpoint) -> bool {
        end.port >= 10_000
    }

    /// The client says something after it has said and heard so many bytes.
    pub(crate) fn ask<'a>(&self, said: u32, heard: u32, text: &'a [u8]) -> Segment<'a> {
        let (seq, ack) = (self.client_first.plus(said), self.server_first.plus(heard));
        segment(self.client, self.server, seq, ack, ACK, text)
    }

    /// The server says something after it has said and heard so many bytes.
    pub(crate) fn answer<'a>(&self, said: u32, heard: u32, text: &'a [u8]) -> Segment<'a> {
        let (seq, ack) = (self.server_first.plus(said), self.client_first.plus(heard));
        segment(self.server, self.client, seq, ack, ACK, text)
    }

    /// The three segments that open the connection.
    pub(crate) fn handshake(&self) -> [Segment<'static>; 3] {
        let syn = Segment { flags: SYN, ack: SeqNum(0), ..self.ask(u32::MAX, 0, &[]) };
        let syn_ack = Segment { flags: SYN.with(ACK), ..self.answer(u32::MAX, 0, &[]) };
        [syn, syn_ack, self.ask(0, 0, &[])]
    }

    /// The two segments of the `n`th exchange, counted from 0.
    pub(crate) fn exchange(&self, n: u32) -> [Segment<'static>; 2] {
        let (asked, answered) = (REQUEST.len() as u32, RESPONSE.len() as u32);
        let (said, heard) = (n.wrapping_mul(asked), n.wrapping_mul(answered));
        let ask = self.ask(said, heard, REQUEST);
        [ask, self.answer(heard, said.wrapping_add(asked), RESPONSE)]
    }

    /// The request and the head of a response whose body does not end.
    pub(crate) fn endless(&self) -> [Segment<'static>; 2] {
        let asked = REQUEST.len() as u32;
        [self.ask(0, 0, REQUEST), self.answer(0, asked, ENDLESS)]
    }

    /// The `n`th full segment of that body, counted from 0.
    pub(crate) fn body(&self, n: u32) -> Segment<'static> {
        let said = n.wrapping_mul(FULL.len() as u32).wrapping_add(ENDLESS.len() as u32);
        self.answer(said, REQUEST.len() as u32, &FULL)
    }
}

/// The `n`th SYN of a flood: no two have the same ends, and none has those of a pair of peers.
pub(crate) const fn flood(n: u32) -> Segment<'static> {
    // Odd, so that this is one to one.
    let address = n.wrapping_mul(0x9e37_79b1).to_be_bytes();
    let client = Endpoint::v4(address, 1_024 + (n % 8_000) as u16);
    let server = Endpoint::v4([192, 0, 2, 1], 80);
    segment(client, server, SeqNum(n), SeqNum(0), SYN, &[])
}

const fn segment<'a>(
    src: Endpoint,
    dst: Endpoint,
    seq: SeqNum,
    ack: SeqNum,
    flags: TcpFlags,
    payload: &'a [u8],
) -> Segment<'a> {
    let (wire_len, missing) = (payload.len() as u32, Missing::Unseen);
    let (time, iface, window) = (Timestamp(0), IfaceId(0), 64_240);
    Segment {
        time,
        iface,
        src,
        dst,
        seq,
        ack,
        flags,
        window,
        payload,
        wire_len,
        missing,
        cgroup: 0,
    }
}

/// An engine, who listens to it, and the time by its packets.
pub(crate) struct Drive<L> {
    pub(crate) engine: Engine,
    pub(crate) listener: L,
    pub(crate) now_ns: u64,
    /// Time from one segment to the next.
    pub(crate) step_ns: u64,
}

impl<L: Listener> Drive<L> {
    pub(crate) const fn new(engine: Engine, listener: L, step_ns: u64) -> Self {
        Self { engine, listener, now_ns: 1_000_000_000, step_ns }
    }

    pub(crate) fn give(&mut self, segment: Segment<'_>) {
        self.now_ns += self.step_ns;
        let segment = Segment { time: Timestamp(self.now_ns), ..segment };
        self.engine.segment(&segment, &mut self.listener);
    }

    pub(crate) fn advance(&mut self) -> bool {
        self.engine.advance(Timestamp(self.now_ns), &mut self.listener)
    }
}

/// Wants to know nothing.
pub(crate) struct Nobody;

impl Listener for Nobody {}
