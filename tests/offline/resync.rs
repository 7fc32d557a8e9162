//! Segments that lie where their flow is not: losses, the next connection between the same ends
//! with its handshake unseen, forgeries, and duplicates from long ago.

use capture_agent::engine::Settings;
use capture_agent::flow::CloseReason;
use capture_agent::segment::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::pcap::{ACK, FIN};
use crate::support::peers::{MS, Peers, START, Seen, Watch, settings, watch, watch_with};

const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const NEXT_REQUEST: &str = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
const NEXT_RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nyo";
const MIB: u32 = 1 << 20;

fn exchange() -> Peers {
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.server(RESPONSE);
    peers
}

/// The same ends five seconds later, elsewhere in the sequence space; nobody has seen how they
/// opened.
fn next(client: u32, server: u32) -> Peers {
    let mut peers = Peers::new();
    peers.wait(5_000 * MS);
    peers.client(NEXT_REQUEST);
    peers.server(NEXT_RESPONSE);
    shift(&mut peers.seen, client, server);
    peers
}

fn shift(seen: &mut [Seen], client: u32, server: u32) {
    for Seen { tcp, .. } in seen {
        let [of_seq, of_ack] =
            if tcp.dst.port() == 80 { [client, server] } else { [server, client] };
        tcp.seq = tcp.seq.wrapping_add(of_seq);
        tcp.ack = tcp.ack.wrapping_add(of_ack);
    }
}

fn watch_both(one: &[Seen], other: &[Seen]) -> Watch {
    let mut watch = Watch::new(settings());
    watch.see(one.iter().chain(other));
    watch.finish();
    watch.counters();
    watch
}

fn closes(watch: &Watch) -> Vec<CloseReason> {
    watch.flows.iter().map(|flow| flow.close).collect()
}

#[test]
fn a_reused_tuple_is_a_flow_of_its_own_though_its_handshake_was_not_seen() {
    let places = [
        (100 * MIB, 100 * MIB),
        (1_500 * MIB, 2_047 * MIB),
        (2_048 * MIB, 3_000 * MIB),
        (4_000 * MIB, 4_000 * MIB),
        // One of the two is where the old one was, by chance.
        (1_500 * MIB, 0),
        (0, 2_048 * MIB),
    ];
    for (client, server) in places {
        let second = next(client, server);
        let watch = watch_both(&exchange().seen, &second.seen);
        assert_eq!(watch.lines(), ["GET /a -> 200 hi", "GET /b -> 200 yo"], "{client} {server}");
        assert_eq!(closes(&watch), [CloseReason::Reused, CloseReason::End]);
        let [old, new] = &watch.flows[..] else { panic!("{:?}", watch.flows) };
        assert_eq!((old.to_server.bytes, old.to_server.retransmitted_bytes), (28, 0));
        assert_eq!((new.to_server.bytes, new.to_client.bytes), (28, 40));
        // The request that waited for its answer was seen when it was seen.
        assert_eq!(new.start, Timestamp(START + 5_001 * MS));
        assert_eq!(new.last_activity, Timestamp(START + 5_002 * MS));
        assert_eq!(watch.exchanges[1].http.index, 0);
        assert_eq!(watch.counters().gap_bytes, 0);
        assert_eq!(watch.counters().segments_in_flows, 7);
    }
}

#[test]
fn what_follows_the_end_of_a_flow_nearby_is_the_next_one() {
    let mut first = exchange();
    first.close();
    let mut second = next(65_537, 65_537);
    for seen in &mut second.seen {
        // Before the linger is over; the old one has said all this, and FIN.
        seen.time -= 4_000 * MS;
    }
    let watch = watch_both(&first.seen, &second.seen);
    assert_eq!(watch.lines(), ["GET /a -> 200 hi", "GET /b -> 200 yo"]);
    assert_eq!(closes(&watch), [CloseReason::Fin, CloseReason::End]);
}

#[test]
fn a_new_connection_may_be_heard_first_from_its_server_or_by_an_acknowledgement() {
    let second = next(100 * MIB, 200 * MIB);
    let watch_rest = |rest: &[Seen]| {
        let watch = watch_both(&exchange().seen, rest);
        assert_eq!(closes(&watch), [CloseReason::Reused, CloseReason::End], "{rest:?}");
        watch.lines()
    };
    let mut acknowledged = second.seen[0].clone();
    acknowledged.tcp.payload.clear();
    let [request, response] = [second.seen[0].clone(), second.seen[1].clone()];
    let both = ["GET /a -> 200 hi", "GET /b -> 200 yo"];
    assert_eq!(watch_rest(&[acknowledged, request.clone(), response.clone()]), both);
    // The request was lost too; its next one tells where the client is.
    let mut third = Peers::new();
    third.wait(6_000 * MS);
    third.client("");
    third.seen[0].tcp.seq += NEXT_REQUEST.len() as u32;
    third.seen[0].tcp.ack = third.seen[0].tcp.ack.wrapping_add(NEXT_RESPONSE.len() as u32);
    shift(&mut third.seen, 100 * MIB, 200 * MIB);
    assert_eq!(watch_rest(&[response, third.seen[0].clone()]), ["GET /a -> 200 hi", "? -> 200 yo"]);
}

#[test]
fn where_one_side_is_heard_three_segments_in_a_row_are_the_next_flow() {
    let mut second = Peers::new();
    second.wait(5_000 * MS);
    for target in ["/1", "/2", "/3", "/4"] {
        second.client(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        second.server(RESPONSE);
    }
    shift(&mut second.seen, 3_000 * MIB, 100 * MIB);
    let one_side = |peers: &Peers| -> Vec<Seen> {
        peers.seen.iter().filter(|seen| seen.tcp.dst.port() == 80).cloned().collect()
    };
    let watch = watch_both(&one_side(&exchange()), &one_side(&second));
    let all = ["/a", "/1", "/2", "/3", "/4"].map(|target| format!("GET {target} -> ?"));
    assert_eq!(watch.lines(), all);
    assert_eq!(closes(&watch), [CloseReason::Reused, CloseReason::End]);
}

/// A flow of which somebody sees a forged segment, or two copies of it, before its next exchange.
fn with_forged(client: u32, server: u32, of: usize) -> Watch {
    let mut peers = exchange();
    let mut forged = vec![next(client, server).seen[of].clone(); 2];
    forged[1].iface = 1;
    for seen in &mut forged {
        seen.time = peers.clock;
    }
    peers.seen.extend(forged);
    peers.client(NEXT_REQUEST);
    peers.server(NEXT_RESPONSE);
    watch(&peers)
}

#[test]
fn a_forged_segment_ends_no_flow_and_skips_nothing() {
    for client in [0, 17 * MIB, 500 * MIB, 1_500 * MIB, 3_000 * MIB, 4_079 * MIB] {
        for server in [0, 17 * MIB, 500 * MIB, 1_500 * MIB, 3_000 * MIB, 4_079 * MIB] {
            for of in [0, 1] {
                // A forger who knows where both sides are says what he wants.
                let place = if of == 0 { client } else { server };
                if place == 0 {
                    continue;
                }
                let watch = with_forged(client, server, of);
                let case = format!("{client} {server} {of}");
                assert_eq!(watch.lines(), ["GET /a -> 200 hi", "GET /b -> 200 yo"], "{case}");
                assert_eq!(closes(&watch), [CloseReason::End], "{case}");
                assert_eq!(watch.counters().gap_bytes, 0, "{case}");
                assert_eq!(watch.flows[0].to_server.retransmitted_bytes, 0, "{case}");
            }
        }
    }
}

#[test]
fn a_forged_acknowledgement_skips_nothing() {
    for place in [17 * MIB, 500 * MIB, 1_500 * MIB] {
        let mut peers = exchange();
        peers.client("");
        let forged = peers.seen.last_mut().unwrap();
        forged.tcp.ack = forged.tcp.ack.wrapping_add(place);
        peers.client(NEXT_REQUEST);
        peers.server(NEXT_RESPONSE);
        let watch = watch(&peers);
        assert_eq!(watch.lines(), ["GET /a -> 200 hi", "GET /b -> 200 yo"], "{place}");
        assert_eq!(watch.counters().gap_bytes, 0, "{place}");
    }
}

#[test]
fn a_broken_acknowledgement_costs_no_data_and_skips_nothing() {
    let mut peers = exchange();
    peers.client(NEXT_REQUEST);
    let broken = peers.seen.last_mut().unwrap();
    broken.tcp.ack = broken.tcp.ack.wrapping_add(100 * MIB);
    let mut again = broken.clone();
    again.iface = 1;
    peers.seen.push(again);
    assert_eq!(watch(&peers).lines(), ["GET /a -> 200 hi", "GET /b -> ?"]);
    peers.server(NEXT_RESPONSE);
    let server = watch(&peers).flows[0].to_client;
    assert_eq!((server.bytes, server.gap_bytes), (80, 0));
}

#[test]
fn what_both_sides_have_passed_unseen_is_a_loss() {
    for (client, server) in [(0, 100 * MIB), (500, 1_000 * MIB), (100 * MIB, 0)] {
        let mut peers = exchange();
        peers.client(NEXT_REQUEST);
        peers.server(NEXT_RESPONSE);
        peers.client(REQUEST);
        peers.server(RESPONSE);
        shift(&mut peers.seen[5..], client, server);
        let watch = watch(&peers);
        assert_eq!(closes(&watch), [CloseReason::End], "{client} {server}");
        assert_eq!(watch.counters().gap_bytes, u64::from(client + server));
        let [flow] = &watch.flows[..] else { panic!("{:?}", watch.flows) };
        assert_eq!((flow.to_server.bytes, flow.to_client.bytes), (84, 120));
    }
}

/// A flow on which much was said in both directions, most of it unseen, at `step` bytes a time.
fn long(step: u32, steps: u32) -> Peers {
    let mut peers = exchange();
    for n in 1..=steps {
        peers.client_says(ACK, b"");
        peers.server_says(ACK, b"");
        let from = peers.seen.len() - 2;
        shift(&mut peers.seen[from..], n.wrapping_mul(step), n.wrapping_mul(step));
    }
    peers
}

#[test]
fn a_flow_of_many_gigabytes_stays_one() {
    let mut peers = long(15 * MIB, 700);
    peers.client(NEXT_REQUEST);
    peers.server(NEXT_RESPONSE);
    let from = peers.seen.len() - 2;
    let said = 15_u64 * 700 * u64::from(MIB);
    shift(&mut peers.seen[from..], said as u32, said as u32);
    let watch = watch(&peers);
    assert_eq!(watch.flows.len(), 1);
    assert_eq!((said >> 32, watch.counters().gap_bytes), (2, 2 * said));
    assert_eq!(watch.flows[0].to_client.bytes, 80);
}

#[test]
fn a_duplicate_from_long_ago_is_a_retransmission() {
    let mut peers = long(15 * MIB, 10);
    let old = [peers.seen[3].clone(), peers.seen[3].clone()];
    peers.seen.extend(old);
    let watch = watch(&peers);
    assert_eq!(closes(&watch), [CloseReason::End]);
    assert_eq!(watch.flows[0].to_server.retransmitted_bytes, REQUEST.len() as u64);
    assert_eq!(watch.flows[0].to_server.retransmitted_segments, 1);
}

#[test]
fn a_large_window_is_sent_again_on_the_same_flow() {
    let mut peers = exchange();
    peers.client("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 67108864\r\n\r\n");
    let block = vec![b'x'; MIB as usize];
    for _ in 0..64 {
        peers.client_says(ACK, &block);
    }
    // The first of them was lost behind the tap, and nobody has acknowledged the others.
    let again: Vec<Seen> = peers.seen[6..11].to_vec();
    peers.server(NEXT_RESPONSE);
    let response = peers.seen.pop().unwrap();
    let mut watch = Watch::new(Settings::default());
    watch.see(peers.seen.iter().chain(&again));
    // It is known for what it is, and need not wait to be confirmed.
    assert!(watch.engine.memory() < 10_000);
    watch.see([&response]);
    watch.finish();
    assert_eq!(closes(&watch), [CloseReason::End]);
    assert_eq!(watch.flows[0].to_server.retransmitted_segments, 5);
    assert_eq!(watch.exchanges.len(), 2);
}

#[test]
fn what_waits_behind_a_hole_is_where_its_stream_is() {
    let mut peers = exchange();
    peers.client("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 18874368\r\n\r\n");
    let block = vec![b'x'; MIB as usize];
    for _ in 0..18 {
        peers.client_says(ACK, &block);
    }
    let late = peers.seen.remove(6);
    peers.seen.push(late);
    let mut settings = Settings::default();
    settings.stream.held_bytes = 64 << 20;
    let watch = watch_with(&peers, settings);
    assert_eq!(watch.exchanges[1].http.request.as_ref().unwrap().body.wire_bytes, 18 << 20);
}

#[test]
fn a_proxy_that_uses_the_ends_of_its_client_is_not_the_next_flow() {
    let mut peers = exchange();
    let mut proxy = next(100 * MIB, 3_000 * MIB);
    proxy.seen.iter_mut().for_each(|seen| seen.iface = 1);
    peers.seen.extend(proxy.seen);
    peers.client(NEXT_REQUEST);
    peers.server(NEXT_RESPONSE);
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["GET /a -> 200 hi", "GET /b -> 200 yo"]);
    assert_eq!(closes(&watch), [CloseReason::End]);
}

#[test]
fn many_strays_take_little_room() {
    let mut watch = Watch::new(settings());
    watch.see(&exchange().seen);
    let quiet = watch.engine.memory();
    for n in 0..1_000_u32 {
        let mut stray = next((50 + 70 * (n % 50)) * MIB, (50 + 90 * (n % 40)) * MIB);
        stray.seen[0].tcp.payload = vec![b'x'; 60_000];
        watch.see(&stray.seen[..1]);
        assert!(watch.engine.memory() < quiet + 200_000);
    }
}

#[test]
fn a_fin_that_was_missed_and_acknowledged_is_no_lost_byte() {
    // The client's, and what the server says of it.
    let mut peers = exchange();
    peers.client_says(FIN | ACK, b"");
    peers.unseen();
    peers.server_says(FIN | ACK, b"");
    let watched = watch(&peers);
    assert_eq!(closes(&watched), [CloseReason::Fin]);
    assert_eq!(watched.counters().gap_bytes, 0);

    // The server's, which ends a body too; the client's comes with the acknowledgement, or before.
    for client_is_first in [false, true] {
        let mut peers = Peers::open();
        peers.client(REQUEST);
        peers.server("HTTP/1.0 200 OK\r\n\r\nuntil the end");
        if client_is_first {
            peers.client_says(FIN | ACK, b"");
        }
        peers.server_says(FIN | ACK, b"");
        peers.unseen();
        peers.client_says(if client_is_first { ACK } else { FIN | ACK }, b"");
        let watched = watch(&peers);
        assert_eq!(watched.lines(), ["GET /a -> 200 until the end"], "{client_is_first}");
        assert_eq!(closes(&watched), [CloseReason::Fin]);
        assert_eq!(watched.counters().gap_bytes, 0);
    }
}

#[test]
fn a_byte_that_was_missed_and_acknowledged_is_a_gap_once_more_is_said() {
    for (flags, text) in [(ACK, "ET /"), (FIN | ACK, "")] {
        let mut peers = exchange();
        peers.client("G");
        peers.unseen();
        peers.server_says(ACK, b"");
        assert_eq!(watch(&peers).counters().gap_bytes, 0);
        peers.client_says(flags, text.as_bytes());
        assert_eq!(watch(&peers).counters().gap_bytes, 1);
    }
}

/// A connection: how far from the last one it is in each direction, whether its handshake was
/// seen, how many exchanges there are on it, and whether it is closed.
fn connection() -> impl Strategy<Value = (u32, u32, bool, usize, bool)> {
    let far = || 17 * MIB..=u32::MAX - 17 * MIB;
    (far(), far(), any::<bool>(), 1..4_usize, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn connections_between_the_same_ends_are_told_apart(connections in vec(connection(), 1..8)) {
        let (mut client, mut server) = (0_u32, 0_u32);
        let (mut seen, mut said) = (Vec::new(), Vec::new());
        for (number, (from_client, from_server, is_opened, exchanges, is_closed)) in
            connections.iter().enumerate()
        {
            client = client.wrapping_add(*from_client);
            server = server.wrapping_add(*from_server);
            let mut peers = Peers::new();
            peers.wait(100 * MS * number as u64);
            if *is_opened {
                peers.handshake();
            }
            for exchange in 0..*exchanges {
                peers.client(&format!("GET /{number}/{exchange} HTTP/1.1\r\nHost: h\r\n\r\n"));
                peers.server(RESPONSE);
                said.push(format!("GET /{number}/{exchange} -> 200 hi"));
            }
            if *is_closed {
                peers.close();
            }
            shift(&mut peers.seen, client, server);
            seen.extend(peers.seen);
        }
        let watch = watch_both(&seen, &[]);
        prop_assert_eq!(watch.lines(), said);
        prop_assert_eq!(watch.flows.len(), connections.len());
        prop_assert_eq!(watch.counters().gap_bytes, 0);
    }
}

/// One byte more is acknowledged than was seen: a FIN, but not where a body lacks just that byte.
#[test]
fn the_last_byte_of_a_body_is_lost_and_no_fin() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    let said = |seen: &str, unseen: &str, ends: fn(&mut Peers)| {
        let mut peers = Peers::open();
        peers.client(REQUEST);
        peers.server(&format!("{head}{seen}"));
        if !unseen.is_empty() {
            peers.server(unseen);
            peers.unseen();
        }
        ends(&mut peers);
        let watch = watch(&peers);
        let lost: Vec<_> = watch.flows.iter().map(|flow| flow.to_client.gap_bytes).collect();
        (watch.lines().remove(0), lost)
    };
    let acknowledged = |peers: &mut Peers| peers.client_says(ACK, b"");
    let client_ends = |peers: &mut Peers| {
        peers.client_says(FIN | ACK, b"");
        peers.server_says(ACK, b"");
    };
    let fin_unseen = |peers: &mut Peers| {
        peers.server_says(FIN | ACK, b"");
        peers.unseen();
        peers.client_says(FIN | ACK, b"");
        peers.server_says(ACK, b"");
    };
    let line = |state: &str| format!("GET /a -> 200 {state}");
    assert_eq!(said("h", "i", acknowledged), (line("h [gap 1]"), vec![1]));
    assert_eq!(said("h", "i", client_ends), (line("h [gap 1]"), vec![1]));
    // Nothing tells the FIN from a byte here, but the exchange knows that it lacks just one.
    assert_eq!(said("h", "i", fin_unseen), (line("h [gap 1]"), vec![2]));
    assert_eq!(said("h", "", acknowledged), (line("h [open]"), vec![0]));
    assert_eq!(said("hi", "", fin_unseen), (line("hi"), vec![0]));
    assert_eq!(said("", "", fin_unseen), (line("[cut]"), vec![0]));
}
