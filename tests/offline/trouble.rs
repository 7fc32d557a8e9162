//! What fuzzing and simulated networks have found, each as the shortest story that shows it. Those
//! that are about what a listener is told are played before a warden, who knows what it may be.

use capture_agent::engine::Settings;
use capture_agent::flow::CloseReason;
use capture_agent::http::head::ResponseHead;
use capture_agent::segment::Timestamp;

use crate::support::fuzz::warden::Warden;
use crate::support::pcap::{ACK, FIN, RST};
use crate::support::peers::{MS, Peers, Watch, settings, watch};

const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// Everything from the first segment to the end of the capture, before a warden.
fn guarded(peers: &Peers, settings: Settings) {
    let mut warden = Warden::new(settings);
    for seen in &peers.seen {
        warden.segment(&seen.segment());
    }
    warden.finish();
}

#[test]
fn the_last_exchange_comes_before_the_end_of_its_flow() {
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.server("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    peers.close();
    guarded(&peers, settings());
    peers.seen.truncate(4);
    guarded(&peers, settings());
}

#[test]
fn ends_that_waited_behind_a_hole_close_their_flow_when_it_is_given_up() {
    for last in ["seen", ""] {
        let mut peers = Peers::open();
        peers.client("lost");
        peers.unseen();
        peers.client_says(FIN | ACK, last.as_bytes());
        peers.server_says(FIN | ACK, b"");
        // Nobody has seen what acknowledges the bytes that are missing.
        peers.seen.last_mut().unwrap().tcp.ack -= 5 + last.len() as u32;
        let mut watch = Watch::new(settings());
        watch.see(&peers.seen);
        watch.advance(peers.clock + 10_000 * MS);
        watch.advance(peers.clock + 12_000 * MS);
        assert_eq!(watch.flows[0].close, CloseReason::Fin, "{last:?}");
        assert_eq!(watch.flows[0].to_server.gap_bytes, 4, "{last:?}");
    }
}

#[test]
fn nothing_is_told_of_strays_that_leave_a_hole() {
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.client_resets();
    // The server has not heard of it yet, and the first of what it still says gets lost.
    peers.server("HTTP/1.1 200 OK\r\n");
    peers.unseen();
    peers.server("Content-Length: 0\r\n\r\n");
    let mut warden = Warden::new(Settings { linger_ns: 60_000 * MS, ..settings() });
    for seen in &peers.seen {
        warden.segment(&seen.segment());
    }
    warden.advance(Timestamp(peers.clock + 20_000 * MS));
    warden.finish();
}

#[test]
fn a_hole_is_given_up_in_its_time_whatever_other_flows_wait_for() {
    let mut peers = Peers::open();
    let start = peers.clock;
    peers.client("ab");
    peers.client("cd");
    peers.client("ef");
    // The last comes first; the first comes five seconds later, and the second never.
    let early = peers.seen.pop().unwrap();
    peers.unseen();
    peers.seen.insert(3, early);
    peers.seen[4].time = start + 5_000 * MS;
    peers.seen[3].time = start;
    let mut others = Peers::between("10.0.0.6:50000", "10.0.0.1:80");
    others.handshake();
    others.client("gh");
    others.unseen();
    others.client("ij");
    others.seen.iter_mut().for_each(|seen| seen.time = start + 9_000 * MS);
    let mut watch = Watch::new(settings());
    watch.see(&peers.seen);
    watch.see(&others.seen);
    watch.advance(start + 10_000 * MS);
    watch.advance(start + 14_999 * MS);
    assert_eq!(watch.counters().gap_bytes, 0);
    watch.advance(start + 15_000 * MS);
    assert_eq!(watch.counters().gap_bytes, 2);
    watch.advance(start + 19_000 * MS);
    assert_eq!(watch.counters().gap_bytes, 4);
}

#[test]
fn what_a_hole_lets_go_stays_under_the_memory_limit() {
    let mut peers = Peers::open();
    peers.client("lost");
    peers.unseen();
    // Waiting for their answers, requests take more room than their text.
    peers.client(&"GET / HTTP/1.1\r\n\r\n".repeat(500));
    let mut warden = Warden::new(Settings { memory_limit: 100_000, ..settings() });
    for seen in &peers.seen {
        warden.segment(&seen.segment());
    }
    assert_eq!(warden.counters().flows_active, 1);
    warden.advance(Timestamp(peers.clock + 10_000 * MS));
    assert_eq!(warden.counters().flows_active, 0);
    warden.finish();
}

#[test]
fn a_syn_that_is_seen_after_what_followed_it_opens_no_other_flow() {
    for (one, other) in [(1, 2), (0, 2), (1, 3)] {
        let mut peers = Peers::open();
        peers.client(REQUEST);
        peers.server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        peers.seen.swap(one, other);
        let watch = watch(&peers);
        assert_eq!(watch.flows.len(), 1, "{one} and {other}");
        assert_eq!(watch.lines(), ["GET /a -> 200 hi"], "{one} and {other}");
    }
}

#[test]
fn a_fin_that_was_missed_and_is_sent_again_ends_its_flow() {
    let mut peers = Peers::open();
    peers.client_says(FIN | ACK, b"");
    let fin = peers.seen.pop().unwrap();
    peers.server_says(FIN | ACK, b"");
    peers.seen.push(fin);
    assert_eq!(watch(&peers).flows[0].close, CloseReason::Fin);
}

#[test]
fn a_response_that_may_be_to_a_lost_request_stays_alone() {
    let response = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{body}");
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.server(&response("a"));
    peers.unseen();
    peers.client("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    peers.unseen();
    peers.server(&response("b"));
    assert_eq!(watch(&peers).lines(), ["GET /a -> ?", "? -> 200 b"]);
}

#[test]
fn interim_responses_count_as_memory() {
    let mut peers = Peers::open();
    peers.client(REQUEST);
    for _ in 0..50 {
        peers.server("HTTP/1.1 100 C\r\n\r\n");
    }
    let mut watch = Watch::new(settings());
    watch.see(&peers.seen);
    // No less than what tells one from another.
    assert!(watch.engine.memory() >= 50 * size_of::<ResponseHead>());
}

#[test]
fn what_a_reset_carries_is_not_said_on_the_flow() {
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.server("HTTP/1.0 200 OK\r\n\r\nhello");
    peers.server_says(RST | ACK, b"Connection refused by policy");
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["GET /a -> 200 hello [cut]"]);
    assert_eq!(watch.flows[0].to_client.bytes, 24);
}

#[test]
fn what_begins_no_head_is_none_however_it_is_cut() {
    let long_method = format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", "A".repeat(33));
    for text in ["PRI * HTTP/2.0\r\n\r\n", &long_method] {
        let [mut whole, mut cut] = [Peers::open(), Peers::open()];
        whole.client(text);
        text.split_inclusive(' ').for_each(|part| cut.client(part));
        for peers in [whole, cut] {
            assert_eq!(watch(&peers).lines(), [""; 0], "{text:?}");
        }
    }
}

#[test]
fn a_request_of_whose_head_too_little_was_seen_is_one_that_was_lost() {
    let response = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{body}");
    let mut peers = Peers::open();
    peers.client("GE");
    peers.client("T /a HTTP/1.1\r\n");
    peers.unseen();
    peers.client("Host: h\r\n\r\n");
    peers.client("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    peers.server(&response("a"));
    peers.server(&response("b"));
    assert_eq!(watch(&peers).lines(), ["GET /b -> ?", "? -> 200 a", "? -> 200 b"]);
}

#[test]
fn the_rest_of_a_method_is_no_method() {
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    peers.client("G");
    peers.unseen();
    peers.client("ET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
    assert_eq!(watch(&peers).lines(), ["GET /a -> 200 a", "? -> 200 b"]);
}
