//! What a listener is told, and in which order.

use std::collections::BTreeMap;
use std::fs;

use capture_agent::engine::{Engine, Settings};
use capture_agent::event::{Event, Exchange, FlowSummary};
use capture_agent::flow::{CloseReason, Direction};
use capture_agent::listener::{Data, FlowView, Listener};
use proptest::prelude::*;

use crate::support::pcap::ACK;
use crate::support::peers::{MS, Peers, Seen, capture_of};

/// Compiled in, so that it runs without cargo.
#[allow(dead_code, reason = "its main is not called")]
#[path = "../../capture-agent/examples/listener.rs"]
mod example;

/// Writes down what it is told of each flow, and looks that nothing comes out of order.
#[derive(Default)]
struct Log {
    flows: BTreeMap<u64, Flow>,
}

#[derive(Default)]
struct Flow {
    told: Vec<&'static str>,
    /// Stream offset up to which each direction was told of.
    offsets: [u64; 2],
    /// What was told of each direction: places and bytes.
    data: [Vec<(u64, Vec<u8>)>; 2],
}

impl Log {
    fn of(settings: Settings, seen: &[Seen]) -> Self {
        let mut engine = Engine::new(settings);
        let mut log = Self::default();
        for seen in seen {
            engine.segment(&seen.segment(), &mut log);
        }
        engine.finish(&mut log);
        for flow in log.flows.values() {
            assert_eq!(flow.told.last(), Some(&"gone"), "{:?}", flow.told);
        }
        log
    }

    /// Something was told of a flow that is open.
    fn told(&mut self, number: u64, what: &'static str) -> &mut Flow {
        let flow = self.flows.get_mut(&number).expect("a flow is opened first");
        assert!(!flow.told.contains(&"closed"), "{what} after {:?}", flow.told);
        flow.told.push(what);
        flow
    }

    fn data(&mut self, flow: &FlowView<'_>, direction: Direction, data: Data<'_>) {
        let what = if direction == Direction::ToServer { "sent" } else { "received" };
        let flow = self.told(flow.number, what);
        let offset = &mut flow.offsets[direction as usize];
        assert_eq!(data.offset, *offset, "each byte comes once, in order");
        *offset += data.bytes.len() as u64;
        assert!(!data.bytes.is_empty());
        flow.data[direction as usize].push((data.offset, data.bytes.to_vec()));
    }
}

impl Listener for Log {
    fn opened(&mut self, flow: &FlowView<'_>) {
        assert_eq!(flow.number, self.flows.len() as u64, "numbers are in the order of opening");
        let log = Flow { told: vec!["opened"], ..Flow::default() };
        assert!(self.flows.insert(flow.number, log).is_none());
    }

    fn sent(&mut self, flow: &FlowView<'_>, data: Data<'_>) {
        self.data(flow, Direction::ToServer, data);
    }

    fn received(&mut self, flow: &FlowView<'_>, data: Data<'_>) {
        self.data(flow, Direction::ToClient, data);
    }

    fn gap(&mut self, flow: &FlowView<'_>, direction: Direction, offset: u64, len: u64) {
        let at = &mut self.told(flow.number, "gap").offsets[direction as usize];
        assert_eq!(offset, *at);
        *at += len;
        assert!(len > 0);
    }

    fn exchange(&mut self, exchange: Exchange) {
        self.told(exchange.flow.number, "exchange");
    }

    fn closed(&mut self, flow: &FlowView<'_>, _: CloseReason) {
        self.told(flow.number, "closed");
    }

    fn gone(&mut self, summary: FlowSummary) {
        let flow = self.flows.get_mut(&summary.flow.number).expect("a flow is opened first");
        assert_eq!(flow.told.last(), Some(&"closed"));
        flow.told.push("gone");
        let told = |direction| flow.data[direction as usize].iter().map(|(_, data)| data.len());
        let told = |direction| told(direction).sum::<usize>() as u64;
        assert_eq!(summary.to_server.bytes, told(Direction::ToServer));
        assert_eq!(summary.to_client.bytes, told(Direction::ToClient));
    }
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Seen,
    Lost,
    Twice,
    /// Seen before the one before it, where both go the same way.
    Early,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Seen),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        2 => Just(Fate::Early),
    ]
}

/// Who speaks, how many bytes, and what becomes of them.
type Turn = (bool, usize, Fate);

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    prop::collection::vec((any::<bool>(), 1..200_usize, fate()), 0..30)
}

/// A body's length, whether it is chunked and whose it is; how it is cut, and what becomes of that.
type Upload = (usize, bool, bool, Vec<(usize, Fate)>);

fn uploads() -> impl Strategy<Value = Vec<Upload>> {
    let cuts = prop::collection::vec((1..300_usize, fate()), 1..12);
    prop::collection::vec((0..2_000_usize, any::<bool>(), any::<bool>(), cuts), 1..5)
}

/// What was seen of exchanges with these bodies.
fn exchanges(port: u16, uploads: &[Upload], ends: bool) -> Vec<Seen> {
    let mut peers = Peers::between(&format!("10.0.0.5:{port}"), "10.0.0.1:80");
    peers.handshake();
    for (len, is_chunked, by_client, cuts) in uploads {
        let body = "x".repeat(*len);
        let whole = match is_chunked {
            true => format!("Transfer-Encoding: chunked\r\n\r\n{len:x}\r\n{body}\r\n0\r\n\r\n"),
            false => format!("Content-Length: {len}\r\n\r\n{body}"),
        };
        let (asked, answered) = match by_client {
            true => (whole, "Content-Length: 0\r\n\r\n".to_owned()),
            false => ("\r\n".to_owned(), whole),
        };
        let asked = format!("POST /{len} HTTP/1.1\r\nHost: h\r\n{asked}");
        let answered = format!("HTTP/1.1 200 OK\r\n{answered}");
        for (said, is_client) in [(asked, true), (answered, false)] {
            let mut rest = said.as_bytes();
            for (len, fate) in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*len).min(rest.len()));
                if piece.is_empty() {
                    break;
                }
                rest = after;
                if is_client {
                    peers.client_says(ACK, piece)
                } else {
                    peers.server_says(ACK, piece)
                }
                let last = peers.seen.len() - 1;
                match fate {
                    Fate::Seen | Fate::Early => {}
                    Fate::Lost if *len % 8 == 0 => peers.unseen(),
                    Fate::Lost => {}
                    Fate::Twice => peers.seen.push(peers.seen[last].clone()),
                }
            }
        }
    }
    if ends {
        peers.close();
    }
    peers.seen
}

/// All that comes of what was seen, and what is counted.
fn outcome(settings: &Settings, seen: &[Seen]) -> String {
    let mut engine = Engine::new(settings.clone());
    let mut told = String::new();
    let mut listener = |event: Event| told.push_str(&format!("{event:?}\n"));
    for seen in seen {
        engine.segment(&seen.segment(), &mut listener);
    }
    engine.finish(&mut listener);
    format!("{told}{:?}", engine.counters())
}

/// The byte at an offset of a direction: neither a request nor a response.
fn byte(direction: Direction, offset: u64) -> u8 {
    128 | (offset.wrapping_mul(37) ^ offset >> 7 ^ direction as u64) as u8
}

/// What was seen of a conversation, and how often each byte of each direction is in it.
fn conversation(port: u16, turns: &[Turn], ends: bool) -> (Vec<Seen>, [Vec<u8>; 2]) {
    let mut peers = Peers::between(&format!("10.0.0.5:{port}"), "10.0.0.1:80");
    peers.wait(u64::from(port % 10) * MS);
    peers.handshake();
    let mut counts = [Vec::new(), Vec::new()];
    for (by_client, len, fate) in turns {
        let direction = if *by_client { Direction::ToServer } else { Direction::ToClient };
        let count = &mut counts[direction as usize];
        let start = count.len() as u64;
        let said: Vec<_> = (start..).map(|at| byte(direction, at)).take(*len).collect();
        count.resize(count.len() + len, u8::from(!matches!(fate, Fate::Lost)));
        match direction {
            Direction::ToServer => peers.client_says(ACK, &said),
            Direction::ToClient => peers.server_says(ACK, &said),
        }
        let last = peers.seen.len() - 1;
        match fate {
            Fate::Seen => {}
            Fate::Lost => peers.unseen(),
            Fate::Twice => peers.seen.push(peers.seen[last].clone()),
            Fate::Early if peers.seen[last - 1].tcp.src == peers.seen[last].tcp.src => {
                let before = peers.seen[last - 1].time;
                peers.seen.swap(last - 1, last);
                peers.seen[last].time = peers.seen[last - 1].time;
                peers.seen[last - 1].time = before;
            }
            Fate::Early => {}
        }
    }
    if ends {
        peers.close();
    }
    (peers.seen, counts)
}

proptest! {
    #[test]
    fn every_byte_that_was_seen_comes_once_and_as_it_was_said(
        scripts in prop::collection::vec((turns(), any::<bool>()), 1..5),
    ) {
        let conversations = (1_000..).zip(&scripts);
        let conversations: Vec<_> =
            conversations.map(|(port, (turns, ends))| conversation(port, turns, *ends)).collect();
        let mut seen: Vec<_> = conversations.iter().flat_map(|(seen, _)| seen.clone()).collect();
        seen.sort_by_key(|seen| seen.time);
        let log = Log::of(Settings::default(), &seen);
        prop_assert_eq!(log.flows.len(), scripts.len());
        for (flow, (_, counts)) in log.flows.values().zip(&conversations) {
            for direction in Direction::BOTH {
                let mut told = vec![0; counts[direction as usize].len()];
                for (start, data) in &flow.data[direction as usize] {
                    for (offset, said) in (*start..).zip(data) {
                        prop_assert_eq!(*said, byte(direction, offset));
                        told[offset as usize] += 1;
                    }
                }
                prop_assert_eq!(&told, &counts[direction as usize]);
            }
        }
    }

    #[test]
    fn segments_that_are_told_at_a_glance_come_to_the_same(
        scripts in prop::collection::vec((uploads(), any::<bool>()), 1..4),
        timeout_ms in 1..50_u64,
    ) {
        let conversations = (1_000..).zip(&scripts);
        let mut seen: Vec<_> = conversations
            .flat_map(|(port, (uploads, ends))| exchanges(port, uploads, *ends))
            .collect();
        seen.sort_by_key(|seen| seen.time);
        for flow_timeout_ns in [timeout_ms * MS, 300_000 * MS] {
            let settings = Settings { flow_timeout_ns, ..Settings::default() };
            // To look for what is not acknowledged, each segment is gone through.
            let unacknowledged_bytes = Some(u64::MAX);
            let thorough = Settings { unacknowledged_bytes, ..settings.clone() };
            prop_assert_eq!(outcome(&settings, &seen), outcome(&thorough, &seen));
        }
    }

    #[test]
    fn a_flow_is_opened_then_closed_then_gone_also_under_pressure(
        scripts in prop::collection::vec((turns(), any::<bool>()), 1..8),
        max_flows in 1..4_usize,
        timeout_ms in 1..50_u64,
    ) {
        let conversations = (1_000..).zip(&scripts);
        let mut seen: Vec<_> = conversations
            .flat_map(|(port, (turns, ends))| conversation(port, turns, *ends).0)
            .collect();
        seen.sort_by_key(|seen| seen.time);
        let flow_timeout_ns = timeout_ms * MS;
        Log::of(Settings { max_flows, flow_timeout_ns, ..Settings::default() }, &seen);
    }
}

#[test]
fn the_exchange_that_the_end_of_a_flow_ends_comes_before_the_end() {
    for reset in [false, true] {
        let mut peers = Peers::open();
        peers.client("GET /a HTTP/1.0\r\n\r\n");
        peers.server("HTTP/1.0 200 OK\r\n\r\nas long as the flow");
        if reset {
            peers.client_resets()
        } else {
            peers.close()
        }
        let log = Log::of(Settings::default(), &peers.seen);
        let told = &log.flows[&0].told;
        assert_eq!(told[..], ["opened", "sent", "received", "exchange", "closed", "gone"]);
    }
}

#[test]
fn the_example_tells_all_there_is_to_tell() {
    let mut peers = Peers::open();
    peers.client("GET /song HTTP/1.1\r\nHost: h\r\n\r\n");
    peers
        .server("HTTP/1.1 200 OK\r\nContent-Type: audio/ogg\r\nContent-Length: 4\r\n\r\n\u{1f3b5}");
    peers.server("unasked for");
    peers.unseen();
    peers.client("thanks");
    let mut socket = Peers::between("10.0.0.7:7", "10.0.0.1:80");
    socket.wait(40_000 * MS);
    socket.handshake();
    socket.client("GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n");
    socket.server("HTTP/1.1 101 Switching Protocols\r\n\r\n\u{1}\u{2}hi");
    socket.client_resets();
    let mut closing = Peers::between("10.0.0.6:7", "10.0.0.1:80");
    closing.wait(45_000 * MS);
    closing.handshake();
    closing.close();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcap");
    fs::write(&file, capture_of(&[peers.seen, socket.seen, closing.seen].concat())).unwrap();
    let mut out = Vec::new();
    example::listen(&file, &mut out).unwrap();
    let expected = "\
flow 0 at 0 ms: opened, 10.0.0.5:51234 → 10.0.0.1:80
flow 0 at 3 ms: client sent 31 bytes
flow 0 at 4 ms: client received 67 bytes
flow 0: exchange Some(\"/song\") Some(200) Some(\"audio/ogg\")
flow 0 at 6 ms: ToClient: 11 bytes at 67 were not seen
flow 0 at 6 ms: client sent 6 bytes
flow 1 at 0 ms: opened, 10.0.0.7:7 → 10.0.0.1:80
flow 1 at 3 ms: client sent 51 bytes
flow 1 at 4 ms: client received 40 bytes
flow 1: exchange Some(\"/chat\") Some(101) None
flow 1: WebSocket ToClient Text 2 bytes
flow 1 at 5 ms: closed: Rst
flow 1: gone; sent 51 bytes, received 40 bytes, 1 exchanges
flow 2 at 0 ms: opened, 10.0.0.6:7 → 10.0.0.1:80
flow 2 at 4 ms: closed: Fin
flow 2 at 5 ms: is Closed(Fin)
flow 0 at 6 ms: is Open
flow 0 at 6 ms: is stale: silent for 44 s
flow 2: gone; sent 0 bytes, received 0 bytes, 0 exchanges
flow 0 at 6 ms: closed: End
flow 0: gone; sent 37 bytes, received 67 bytes, 1 exchanges
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
