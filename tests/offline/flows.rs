//! Flows from their first segment to their summary, by simulated peers.

use capture_agent::engine::Settings;
use capture_agent::flow::CloseReason;
use capture_agent::segment::Timestamp;

use crate::support::pcap::{ACK, FIN, RST, SYN};
use crate::support::peers::{MS, Peers, START, Watch, settings, watch, watch_with};

const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn exchange(peers: &mut Peers) {
    peers.client(REQUEST);
    peers.server(RESPONSE);
}

#[test]
fn a_flow_that_says_fin_both_ways_is_summed_up_after_its_linger() {
    let mut peers = Peers::open();
    exchange(&mut peers);
    peers.close();
    let mut watch = Watch::new(settings());
    watch.see(&peers.seen);
    assert_eq!(watch.lines(), ["GET /a -> 200 hi"]);
    assert_eq!(watch.flows.len(), 0);
    watch.advance(peers.clock + 2_000 * MS);
    let [flow] = &watch.flows[..] else { panic!("{:?}", watch.flows) };
    assert_eq!(flow.close, CloseReason::Fin);
    assert_eq!(flow.start, Timestamp(START + MS));
    // The client's FIN ends it, not the acknowledgement that follows.
    assert_eq!(flow.end, Timestamp(peers.clock - MS));
    assert_eq!(flow.last_activity, Timestamp(peers.clock));
    assert_eq!((flow.to_server.bytes, flow.to_client.bytes), (28, 40));
    assert_eq!((flow.to_server.segments, flow.to_client.segments), (3, 3));
    assert_eq!(flow.exchanges, 1);
    assert_eq!(watch.counters().flows_active, 0);
}

#[test]
fn strays_after_the_end_belong_to_the_old_flow() {
    let mut peers = Peers::open();
    exchange(&mut peers);
    peers.close();
    let mut watch = Watch::new(settings());
    watch.see(&peers.seen);
    // A retransmission of the response, as when the last acknowledgement was lost.
    let again = &peers.seen[4];
    watch.see([again]);
    watch.finish();
    assert_eq!(watch.flows.len(), 1);
    assert_eq!(watch.flows[0].to_client.retransmitted_bytes, RESPONSE.len() as u64);
    // The server's last acknowledgement came after the end too.
    assert_eq!(watch.counters().segments_after_close, 2);
    assert_eq!(watch.lines().len(), 1);
}

#[test]
fn half_close_leaves_the_other_half_open() {
    let mut peers = Peers::open();
    peers.client_says(FIN | ACK, REQUEST.as_bytes());
    peers.wait(100 * MS);
    peers.server(RESPONSE);
    peers.server_says(FIN | ACK, b"");
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["GET /a -> 200 hi"]);
    assert_eq!(watch.flows[0].close, CloseReason::Fin);
}

#[test]
fn a_reset_ends_a_flow_and_cuts_what_is_unfinished() {
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi");
    peers.client_resets();
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["GET /a -> 200 hi [cut]"]);
    assert_eq!(watch.flows[0].close, CloseReason::Rst);
}

#[test]
fn a_reset_out_of_the_window_is_not_believed() {
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.server_says(RST | ACK, b"");
    let forged = peers.seen.last_mut().unwrap();
    forged.tcp.seq = forged.tcp.seq.wrapping_add(1 << 30);
    peers.server(RESPONSE);
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["GET /a -> 200 hi"]);
    assert_eq!(watch.flows[0].close, CloseReason::End);
    assert_eq!(watch.counters().resets_ignored, 1);
}

#[test]
fn a_refused_connection_is_a_flow_without_exchanges() {
    let mut peers = Peers::new();
    peers.client_says(SYN, b"");
    peers.server_says(RST | ACK, b"");
    peers.seen.last_mut().unwrap().tcp.seq = 0;
    let watch = watch(&peers);
    assert_eq!(watch.flows[0].close, CloseReason::Rst);
    assert_eq!(watch.flows[0].exchanges, 0);
    assert_eq!(watch.flows[0].flow.client.port, 51234);
}

#[test]
fn a_silent_flow_goes_when_its_time_is_over() {
    let mut peers = Peers::open();
    exchange(&mut peers);
    peers.client("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    let timeout = 5_000 * MS;
    let mut watch = Watch::new(Settings { flow_timeout_ns: timeout, ..settings() });
    watch.see(&peers.seen);
    watch.advance(peers.clock + timeout - 1);
    assert_eq!(watch.flows.len(), 0);
    watch.advance(peers.clock + timeout);
    assert_eq!(watch.flows[0].close, CloseReason::Idle);
    assert_eq!(watch.flows[0].last_activity, Timestamp(peers.clock));
    assert_eq!(watch.flows[0].end, Timestamp(peers.clock + timeout));
    assert_eq!(watch.lines(), ["GET /a -> 200 hi", "GET /b -> ?"]);
}

#[test]
fn activity_in_either_direction_keeps_a_flow() {
    let timeout = 5_000 * MS;
    let mut watch = Watch::new(Settings { flow_timeout_ns: timeout, ..settings() });
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n");
    for _ in 0..10 {
        peers.wait(timeout - 2 * MS);
        peers.server("...");
    }
    watch.see(&peers.seen);
    assert_eq!(watch.flows.len(), 0);
    assert_eq!(watch.lines().len(), 1);
}

#[test]
fn a_full_table_lets_the_oldest_activity_go() {
    let mut watch = Watch::new(Settings { max_flows: 3, ..settings() });
    let all: Vec<Peers> = (0..4)
        .map(|n| {
            let mut peers = Peers::between(&format!("10.0.0.5:{}", 5_000 + n), "10.0.0.1:80");
            peers.wait(n * 1_000 * MS);
            peers.handshake();
            peers
        })
        .collect();
    for peers in &all[..3] {
        watch.see(&peers.seen);
    }
    // The first one speaks again, so the second one is now the oldest.
    let mut first = Peers::between("10.0.0.5:5000", "10.0.0.1:80");
    first.handshake();
    first.wait(2_500 * MS);
    first.client(REQUEST);
    watch.see(&first.seen[3..]);
    watch.see(&all[3].seen);
    let [gone] = &watch.flows[..] else { panic!("{:?}", watch.flows) };
    assert_eq!(gone.close, CloseReason::Pressure);
    assert_eq!(gone.flow.client.port, 5_001);
    assert_eq!(watch.counters().flows_active, 3);
}

#[test]
fn half_open_flows_go_before_open_ones() {
    let mut watch = Watch::new(Settings { max_flows: 10, ..settings() });
    let live = Peers::open();
    watch.see(&live.seen);
    for port in 1..1_000 {
        let mut flood = Peers::between(&format!("10.9.9.9:{port}"), "10.0.0.1:80");
        flood.wait(10 * MS);
        flood.client_says(SYN, b"");
        watch.see(&flood.seen);
    }
    assert!(watch.flows.iter().all(|flow| flow.flow.client.port != 51234));
    assert_eq!(watch.counters().flows_active, 10);
}

#[test]
fn a_reused_tuple_is_a_flow_of_its_own() {
    let mut first = Peers::open();
    exchange(&mut first);
    let mut second = Peers::open();
    exchange(&mut second);
    for seen in &mut second.seen {
        // Another pair of initial sequence numbers.
        seen.time += 10_000 * MS;
        seen.tcp.seq = seen.tcp.seq.wrapping_add(123_456);
        seen.tcp.ack = seen.tcp.ack.wrapping_add(123_456);
    }
    let mut watch = Watch::new(settings());
    watch.see(first.seen.iter().chain(&second.seen));
    watch.finish();
    assert_eq!(watch.lines(), ["GET /a -> 200 hi", "GET /a -> 200 hi"]);
    let closes: Vec<_> = watch.flows.iter().map(|flow| flow.close).collect();
    assert_eq!(closes, [CloseReason::Reused, CloseReason::End]);
    assert_ne!(watch.flows[0].flow.id, watch.flows[1].flow.id);
    assert_eq!(watch.exchanges[1].http.index, 0);
}

#[test]
fn a_syn_sent_again_opens_the_same_flow() {
    let mut peers = Peers::new();
    peers.client_says(SYN, b"");
    let mut again = peers.seen[0].clone();
    again.time += 1_000 * MS;
    peers.seen.push(again);
    peers.clock += 1_000 * MS;
    peers.server_says(SYN | ACK, b"");
    peers.client_says(ACK, b"");
    exchange(&mut peers);
    let watch = watch(&peers);
    assert_eq!(watch.flows.len(), 1);
    assert_eq!(watch.lines(), ["GET /a -> 200 hi"]);
    // The client waited from its first SYN on.
    assert_eq!(watch.exchanges[0].http.timing.connect_ns, Some(1_002 * MS));
}

#[test]
fn simultaneous_open_is_one_flow() {
    let mut peers = Peers::new();
    peers.client_says(SYN, b"");
    peers.server_says(SYN, b"");
    peers.client_says(ACK, b"");
    peers.server_says(ACK, b"");
    exchange(&mut peers);
    let watch = watch(&peers);
    assert_eq!(watch.flows.len(), 1);
    assert_eq!(watch.lines(), ["GET /a -> 200 hi"]);
}

#[test]
fn a_flow_picked_up_midway_is_oriented_by_what_is_said() {
    // Ports tell nothing here: the client has the lower one.
    let mut peers = Peers::between("10.0.0.5:1000", "10.0.0.1:2000");
    exchange(&mut peers);
    let watch = watch_with(&peers, settings());
    assert_eq!(watch.lines(), ["GET /a -> 200 hi"]);
    assert_eq!(watch.flows[0].flow.client.port, 1_000);

    let mut peers = Peers::between("10.0.0.5:1000", "10.0.0.1:2000");
    peers.server("rest of a body");
    peers.server("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let watch = watch_with(&peers, settings());
    assert_eq!(watch.lines(), ["? -> 404"]);
    assert_eq!(watch.flows[0].flow.client.port, 1_000);
}

#[test]
fn segments_that_open_nothing_are_counted() {
    let mut peers = Peers::new();
    peers.client_says(ACK, b"");
    peers.client_says(RST, b"");
    peers.server_says(FIN | ACK, b"");
    let watch = watch(&peers);
    assert_eq!(watch.flows.len(), 0);
    assert_eq!(watch.counters().segments_without_flow, 3);
}

#[test]
fn a_hole_is_given_up_when_its_time_is_over_also_on_a_silent_line() {
    let mut peers = Peers::open();
    peers.client("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n");
    peers.client("ab");
    peers.unseen();
    peers.client("cdef");
    let mut watch = Watch::new(settings());
    watch.see(&peers.seen);
    watch.advance(peers.clock + 9_999 * MS);
    assert_eq!(watch.counters().gap_bytes, 0);
    watch.advance(peers.clock + 10_000 * MS);
    assert_eq!(watch.counters().gap_bytes, 2);
    watch.finish();
    assert_eq!(watch.lines(), ["POST /a cdef [gap 2] -> ?"]);
}

#[test]
fn the_same_capture_gives_the_same_events() {
    let mut peers = Peers::open();
    exchange(&mut peers);
    peers.close();
    let (one, two) = (watch(&peers), watch(&peers));
    assert_eq!(
        format!("{:?}{:?}", one.exchanges, one.flows),
        format!("{:?}{:?}", two.exchanges, two.flows)
    );
}

#[test]
fn what_two_interfaces_show_is_counted_once() {
    let mut peers = Peers::open();
    exchange(&mut peers);
    peers.close();
    let both = peers.seen.iter().flat_map(|seen| {
        let mut on_bridge = seen.clone();
        on_bridge.iface = 1;
        [seen.clone(), on_bridge]
    });
    let both: Vec<_> = both.collect();
    let mut twice = Watch::new(settings());
    twice.see(&both);
    twice.finish();
    assert_eq!(twice.lines(), ["GET /a -> 200 hi"]);
    assert_eq!(format!("{:?}", twice.flows), format!("{:?}", watch(&peers).flows));
    assert_eq!(twice.counters().segments_shown_again, peers.seen.len() as u64);
}

#[test]
fn a_reset_that_only_the_other_interface_shows_ends_its_flow() {
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.client_resets();
    peers.seen.last_mut().unwrap().iface = 1;
    assert_eq!(watch(&peers).flows[0].close, CloseReason::Rst);
}

#[test]
fn the_two_directions_may_cross_different_interfaces() {
    let mut peers = Peers::open();
    exchange(&mut peers);
    for seen in &mut peers.seen {
        seen.iface = u32::from(seen.tcp.src.port());
    }
    assert_eq!(watch(&peers).lines(), ["GET /a -> 200 hi"]);
}
