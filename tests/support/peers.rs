//! Two simulated peers of a TCP connection on a virtual clock, and the engine that watches them.
#![allow(dead_code, reason = "each test target uses a part")]

use std::net::SocketAddr;

use capture_agent::engine::{Engine, Settings};
use capture_agent::event::{EngineCounters, Event, Exchange, FlowSummary, WebSocketMessage};
use capture_agent::http::{Message, State};
use capture_agent::segment::{Endpoint, IfaceId, Missing, Segment, SeqNum, TcpFlags, Timestamp};

use super::pcap::{ACK, ETHERNET, FIN, Order, Pcap, RST, SYN, Tcp, Variant};

/// A millisecond of the virtual clock, which starts at a second.
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const START: u64 = 1_000 * MS;

/// A segment and when it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) time: u64,
    pub(crate) iface: u32,
    pub(crate) tcp: Tcp,
    /// Bytes after the payload that the kernel half left out.
    pub(crate) left_out: u32,
    /// Why it did.
    pub(crate) missing: Missing,
}

impl Seen {
    /// A segment that is seen whole.
    pub(crate) const fn whole(time: u64, tcp: Tcp) -> Self {
        Self { time, iface: 0, tcp, left_out: 0, missing: Missing::Unseen }
    }

    /// The kernel half leaves out all but the first bytes of the payload.
    pub(crate) fn leave_out(&mut self, but: usize, why: Missing) {
        self.left_out += self.tcp.payload.len().saturating_sub(but) as u32;
        self.tcp.payload.truncate(but);
        self.missing = why;
    }

    pub(crate) fn segment(&self) -> Segment<'_> {
        let end = |addr: SocketAddr| Endpoint::new(addr.ip(), addr.port());
        Segment {
            time: Timestamp(self.time),
            iface: IfaceId(self.iface),
            src: end(self.tcp.src),
            dst: end(self.tcp.dst),
            seq: SeqNum(self.tcp.seq),
            ack: SeqNum(self.tcp.ack),
            flags: TcpFlags(self.tcp.flags),
            window: self.tcp.window,
            payload: &self.tcp.payload,
            wire_len: self.tcp.payload.len() as u32 + self.left_out,
            missing: self.missing,
            cgroup: 0,
        }
    }
}

/// A capture file of what was seen, at the times at which it was seen.
pub(crate) fn capture_of<'a>(seen: impl IntoIterator<Item = &'a Seen>) -> Vec<u8> {
    let file = Pcap::new(Order::Little, Variant::Nanos, ETHERNET);
    let packet = |file: Pcap, seen: &Seen| file.packet(seen.time, &seen.tcp.ethernet());
    seen.into_iter().fold(file, packet).bytes()
}

/// A client and a server. Whatever one says is a segment, a millisecond after the one before, and
/// acknowledges all that the other has said.
pub(crate) struct Peers {
    client: SocketAddr,
    server: SocketAddr,
    /// Sequence numbers of what comes next.
    client_seq: u32,
    server_seq: u32,
    /// What each tells the other that it has.
    client_has: u32,
    server_has: u32,
    pub(crate) clock: u64,
    pub(crate) seen: Vec<Seen>,
}

impl Peers {
    /// Sequence numbers of the first bytes.
    pub(crate) const CLIENT_FIRST: u32 = 1_001;
    pub(crate) const SERVER_FIRST: u32 = 0xffff_ff01;

    pub(crate) fn new() -> Self {
        Self::between("10.0.0.5:51234", "10.0.0.1:80")
    }

    pub(crate) fn between(client: &str, server: &str) -> Self {
        Self {
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
            client_seq: Self::CLIENT_FIRST - 1,
            server_seq: Self::SERVER_FIRST - 1,
            client_has: Self::SERVER_FIRST - 1,
            server_has: Self::CLIENT_FIRST - 1,
            clock: START,
            seen: Vec::new(),
        }
    }

    /// Peers whose handshake is over.
    pub(crate) fn open() -> Self {
        let mut peers = Self::new();
        peers.handshake();
        peers
    }

    pub(crate) fn handshake(&mut self) {
        self.client_says(SYN, b"");
        self.server_says(SYN | ACK, b"");
        self.client_says(ACK, b"");
    }

    pub(crate) fn client(&mut self, text: &str) {
        self.client_says(ACK, text.as_bytes());
    }

    pub(crate) fn server(&mut self, text: &str) {
        self.server_says(ACK, text.as_bytes());
    }

    /// A handshake between the same ends as before, with sequence numbers of its own.
    pub(crate) fn reopen(&mut self) {
        self.client_seq = self.client_seq.wrapping_add(1 << 30);
        self.server_seq = self.server_seq.wrapping_add(1 << 30);
        self.handshake();
    }

    /// FIN from the server, then from the client.
    pub(crate) fn close(&mut self) {
        self.server_says(FIN | ACK, b"");
        self.client_says(FIN | ACK, b"");
        self.server_says(ACK, b"");
    }

    pub(crate) fn client_resets(&mut self) {
        self.client_says(RST | ACK, b"");
    }

    pub(crate) fn server_resets(&mut self) {
        self.server_says(RST | ACK, b"");
    }

    pub(crate) fn wait(&mut self, nanos: u64) {
        self.clock += nanos;
    }

    /// Takes away the last segment: it was sent and received, but not seen.
    pub(crate) fn unseen(&mut self) {
        self.seen.pop();
    }

    /// The kernel half leaves out the last segment.
    pub(crate) fn left_out(&mut self, why: Missing) {
        if let Some(last) = self.seen.last_mut() {
            last.leave_out(0, why);
        }
    }

    /// The server says so many bytes, which the kernel half leaves out.
    pub(crate) fn server_leaves_out(&mut self, len: u32, why: Missing) {
        self.server_says(ACK, b"");
        self.server_seq = self.server_seq.wrapping_add(len);
        if let Some(last) = self.seen.last_mut() {
            (last.left_out, last.missing) = (len, why);
        }
    }

    /// The client says something before what the server said last has reached it.
    pub(crate) fn client_pipelines(&mut self, text: &str) {
        self.client_hurries(ACK, text.as_bytes());
    }

    pub(crate) fn client_says(&mut self, flags: u8, payload: &[u8]) {
        self.client_has = self.server_seq;
        self.client_hurries(flags, payload);
    }

    /// The client says something, and acknowledges no more than it did before.
    pub(crate) fn client_hurries(&mut self, flags: u8, payload: &[u8]) {
        let (seq, ack) = (self.client_seq, self.client_has);
        self.say(self.client, self.server, seq, ack, flags, payload);
        self.client_seq = seq.wrapping_add(taken(flags, payload));
    }

    pub(crate) fn server_says(&mut self, flags: u8, payload: &[u8]) {
        self.server_has = self.client_seq;
        self.server_hurries(flags, payload);
    }

    /// The server says something, and acknowledges no more than it did before.
    pub(crate) fn server_hurries(&mut self, flags: u8, payload: &[u8]) {
        let (seq, ack) = (self.server_seq, self.server_has);
        self.say(self.server, self.client, seq, ack, flags, payload);
        self.server_seq = seq.wrapping_add(taken(flags, payload));
    }

    fn say(
        &mut self,
        src: SocketAddr,
        dst: SocketAddr,
        seq: u32,
        ack: u32,
        flags: u8,
        payload: &[u8],
    ) {
        self.clock += MS;
        let ack = if flags & ACK == 0 { 0 } else { ack };
        let (options, payload) = (Vec::new(), payload.to_vec());
        let tcp = Tcp { src, dst, seq, ack, flags, window: 64_240, options, payload };
        self.seen.push(Seen::whole(self.clock, tcp));
    }
}

fn taken(flags: u8, payload: &[u8]) -> u32 {
    payload.len() as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0)
}

/// An engine and what came out of it.
pub(crate) struct Watch {
    pub(crate) engine: Engine,
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) messages: Vec<WebSocketMessage>,
    pub(crate) flows: Vec<FlowSummary>,
}

impl Watch {
    pub(crate) fn new(settings: Settings) -> Self {
        let engine = Engine::new(settings);
        Self { engine, exchanges: Vec::new(), messages: Vec::new(), flows: Vec::new() }
    }

    pub(crate) fn see<'a>(&mut self, seen: impl IntoIterator<Item = &'a Seen>) {
        for seen in seen {
            self.with_engine(|engine, mut keep| engine.segment(&seen.segment(), &mut keep));
        }
    }

    pub(crate) fn advance(&mut self, now: u64) {
        self.with_engine(|engine, mut keep| {
            engine.advance(Timestamp(now), &mut keep);
        });
    }

    pub(crate) fn finish(&mut self) {
        self.with_engine(|engine, mut keep| engine.finish(&mut keep));
    }

    fn with_engine(&mut self, act: impl FnOnce(&mut Engine, &mut dyn FnMut(Event))) {
        let Self { engine, exchanges, messages, flows } = self;
        act(engine, &mut |event| match event {
            Event::Exchange(exchange) => exchanges.push(*exchange),
            Event::WebSocket(message) => messages.push(*message),
            Event::Flow(summary) => flows.push(*summary),
            Event::Stats(_) | Event::Content(_) | Event::Opened(_) | Event::Data(_) => {}
        });
    }

    /// The ledger, after a look that it balances.
    pub(crate) fn counters(&self) -> EngineCounters {
        let counters = self.engine.counters();
        let EngineCounters { segments_in_flows, segments_shown_again, .. } = counters;
        let EngineCounters { segments_after_close, segments_without_flow, .. } = counters;
        let known = segments_in_flows + segments_shown_again + segments_after_close;
        assert_eq!(counters.segments, known + segments_without_flow);
        let closed: u64 = counters.flows_closed.iter().sum();
        assert_eq!(counters.flows_opened, counters.flows_active + closed);
        assert_eq!(counters.exchanges, self.exchanges.len() as u64);
        assert_eq!(counters.messages, self.messages.len() as u64);
        counters
    }

    /// The exchanges in a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.exchanges.iter().map(line).collect()
    }
}

/// Everything from the first segment to the end of the capture.
pub(crate) fn watch(peers: &Peers) -> Watch {
    watch_with(peers, settings())
}

pub(crate) fn watch_with(peers: &Peers, settings: Settings) -> Watch {
    let mut watch = Watch::new(settings);
    watch.see(&peers.seen);
    watch.finish();
    watch.counters();
    watch
}

/// Settings that keep bodies.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.http.keep_body_bytes = 1 << 20;
    settings
}

/// `METHOD TARGET BODY [state] -> STATUS BODY [state]`; a state is left out where it is complete,
/// a side where it was not seen.
pub(crate) fn line(exchange: &Exchange) -> String {
    let http = &exchange.http;
    let request = http.request.as_ref().map(|request| {
        let text = String::from_utf8_lossy(request.head.method()).into_owned();
        format!("{text} {}{}", String::from_utf8_lossy(request.head.target()), rest(request))
    });
    let response = http.response.as_ref().map(|response| {
        format!("{}{}", response.head.status().unwrap_or_default(), rest(response))
    });
    let none = || "?".to_owned();
    format!("{} -> {}", request.unwrap_or_else(none), response.unwrap_or_else(none))
}

fn rest<H>(message: &Message<H>) -> String {
    let body = String::from_utf8_lossy(&message.body.content);
    let space = if body.is_empty() { "" } else { " " };
    let state = match message.state {
        State::Complete => String::new(),
        State::Gap => format!(" [gap {}]", message.lost_bytes),
        State::Elided => format!(" [elided {}]", message.elided_bytes),
        State::Cut => " [cut]".to_owned(),
        State::Midstream => " [midstream]".to_owned(),
        State::Open => " [open]".to_owned(),
    };
    format!("{space}{body}{state}")
}
