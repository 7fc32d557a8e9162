//! What the kernel half left out, as stories: when exchanges come out, what their times are, what is
//! counted, and what keeps a flow alive.

use std::fs;

use capture_agent::event::Event;
use capture_agent::flow::CloseReason;
use capture_agent::http::{Length, State};
use capture_agent::output::{Format, Output, Target, Verbosity};
use capture_agent::segment::{Missing, Timestamp};

use crate::support::pcap::{ACK, FIN};
use crate::support::peers::{MS, Peers, Watch, line, settings, watch};

const SECOND: u64 = 1_000 * MS;
const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n";
const MIB: u32 = 1 << 20;

fn response_of(length: u64) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn an_exchange_of_chunks_comes_out_with_the_next_request() {
    let mut peers = Peers::open();
    peers.client(GET);
    peers.server(CHUNKED);
    peers.server_leaves_out(40_000, Missing::Elided);
    let ended = peers.clock;
    peers.wait(SECOND);
    let mut watch = Watch::new(settings());
    watch.see(&peers.seen);
    assert!(watch.exchanges.is_empty());
    peers.client("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    watch.see(peers.seen.last());
    let [exchange] = &watch.exchanges[..] else { panic!("{:?}", watch.lines()) };
    let response = exchange.http.response.as_ref().unwrap();
    assert_eq!(response.last_byte, Timestamp(ended));
    assert_eq!(exchange.http.timing.response_ns, Some(MS));
    assert_eq!((response.state, response.elided_bytes), (State::Elided, 40_000));
    assert_eq!(response.body.length, Length::InStream(40_005));
    peers.server("HTTP/1.1 204 No Content\r\n\r\n");
    watch.see(peers.seen.last());
    assert_eq!(watch.lines(), ["GET /a -> 200 [elided 40000]", "GET /b -> 204"]);
}

/// A client that speaks before it has heard all shows nothing: the server's next bytes do.
#[test]
fn a_request_that_was_sent_earlier_ends_no_exchange() {
    let mut peers = Peers::open();
    peers.client(GET);
    peers.server(CHUNKED);
    peers.server_leaves_out(40_000, Missing::Elided);
    peers.client_pipelines("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut watch = Watch::new(settings());
    watch.see(&peers.seen);
    assert!(watch.exchanges.is_empty());
    peers.server("HTTP/1.1 204 No Content\r\n\r\n");
    watch.see(peers.seen.last());
    assert_eq!(watch.lines(), ["GET /a -> 200 [elided 40000]", "GET /b -> 204"]);
}

#[test]
fn an_exchange_of_chunks_comes_out_when_its_flow_is_silent_or_the_capture_ends() {
    let mut peers = Peers::open();
    peers.client(GET);
    peers.server(CHUNKED);
    peers.server_leaves_out(40_000, Missing::Elided);
    for is_idle in [true, false] {
        let mut watch = Watch::new(settings());
        watch.see(&peers.seen);
        if is_idle {
            watch.advance(peers.clock + 300 * SECOND);
        } else {
            watch.finish();
        }
        assert_eq!(watch.lines(), ["GET /a -> 200 [elided 40000]"]);
        assert_eq!(watch.exchanges[0].http.timing.response_ns, Some(MS));
    }
}

#[test]
fn notices_keep_a_long_download_alive_and_true_to_its_length() {
    let (notices, step) = (1_000_u64, 16 * MIB);
    let length = notices * u64::from(step);
    let mut peers = Peers::open();
    peers.client(GET);
    peers.server(&response_of(length));
    let begun = peers.clock;
    for _ in 0..notices {
        peers.wait(SECOND);
        peers.server_leaves_out(step, Missing::Elided);
    }
    let ended = peers.clock;
    peers.wait(SECOND);
    peers.client(GET);
    peers.server("HTTP/1.1 204 No Content\r\n\r\n");
    let watch = watch(&peers);
    assert_eq!(watch.lines(), [format!("GET /a -> 200 [elided {length}]"), "GET /a -> 204".into()]);
    let http = &watch.exchanges[0].http;
    let response = http.response.as_ref().unwrap();
    assert_eq!((response.body.wire_bytes, response.gaps.len()), (length, 1));
    assert_eq!(http.timing.response_ns, Some(ended - begun));
    assert_eq!(http.anomalies.iter().count(), 0);
    let [flow] = &watch.flows[..] else { panic!("{:?}", watch.flows) };
    assert_eq!((flow.to_client.elided_bytes, flow.to_client.gap_bytes), (length, 0));
    let counters = watch.counters();
    assert_eq!((counters.elided_bytes, counters.gap_bytes), (length, 0));
    assert_eq!(counters.bytes, flow.to_server.bytes + flow.to_client.bytes);
}

#[test]
fn what_was_dropped_is_counted_among_what_was_lost() {
    let mut peers = Peers::open();
    peers.client(GET);
    peers.server(&response_of(5_000));
    peers.server_leaves_out(1_000, Missing::Dropped);
    peers.server(&"x".repeat(2_000));
    peers.unseen();
    peers.server_leaves_out(2_000, Missing::Elided);
    peers.client(GET);
    let watch = watch(&peers);
    let counters = watch.counters();
    assert_eq!((counters.gap_bytes, counters.dropped_bytes), (3_000, 1_000));
    assert_eq!(counters.elided_bytes, 2_000);
    let response = watch.exchanges[0].http.response.as_ref().unwrap();
    assert_eq!(
        (response.state, response.lost_bytes, response.dropped_bytes),
        (State::Gap, 3_000, 1_000)
    );
    assert_eq!(response.body.wire_bytes, 2_000);
}

/// The kernel half tells of an end that it had no room for with the notice that is owed.
#[test]
fn an_end_that_was_dropped_is_an_end() {
    let mut peers = Peers::open();
    peers.client(GET);
    peers.server("HTTP/1.1 200 OK\r\n\r\nuntil the ");
    peers.server_says(FIN | ACK, b"end");
    peers.left_out(Missing::Dropped);
    peers.client_says(FIN | ACK, b"");
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["GET /a -> 200 until the  [gap 3]"]);
    assert_eq!(watch.flows[0].close, CloseReason::Fin);
}

/// What the network did before a gap is no less for it.
#[test]
fn a_body_that_ends_in_a_gap_counts_its_retransmissions() {
    for why in [Missing::Unseen, Missing::Elided] {
        let mut peers = Peers::open();
        peers.client(GET);
        peers.server(&response_of(8));
        peers.server("1234");
        peers.seen.extend(peers.seen.last().cloned());
        peers.server("5678");
        if why == Missing::Unseen {
            peers.unseen();
        } else {
            peers.left_out(why);
        }
        peers.client(GET);
        let watch = watch(&peers);
        assert_eq!(watch.exchanges[0].http.network.to_client.retransmitted, 1, "{why:?}");
    }
}

#[test]
fn a_line_of_text_says_how_much_was_left_out() {
    let mut lines = Vec::new();
    for (head, len, why) in [
        (response_of(40_000), 40_000, Missing::Elided),
        (CHUNKED.to_owned(), 40_000, Missing::Elided),
        (response_of(40_000), 40_000, Missing::Dropped),
    ] {
        let mut peers = Peers::open();
        peers.client(GET);
        peers.server(&head);
        peers.server_leaves_out(len, why);
        peers.close();
        let mut watch = watch(&peers);
        let events = [
            Event::Exchange(Box::new(watch.exchanges.remove(0))),
            Event::Flow(Box::new(watch.flows.remove(0))),
        ];
        let file = tempfile::NamedTempFile::new().unwrap();
        let target = Target::File(file.path().to_owned());
        let mut output = Output::open(Format::Text, target, Verbosity::Line).unwrap();
        events.iter().for_each(|event| output.write(event).unwrap());
        output.flush().unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        lines.extend(
            text.lines().map(|line| line.split("  ").skip(3).collect::<Vec<_>>().join("  ")),
        );
    }
    assert_eq!(
        lines,
        [
            "200  -  40000 B  2.00 ms  [response: 40000 B left in the kernel]",
            "1 exchanges  sent 28 B  received 40042 B (40000 B left in the kernel)  7.00 ms",
            "200  -  40005 B in the stream  2.00 ms  [response: 40000 B left in the kernel]",
            "1 exchanges  sent 28 B  received 40052 B (40000 B left in the kernel)  7.00 ms",
            "200  -  0 B  2.00 ms  [response: 40000 B dropped]",
            "1 exchanges  sent 28 B  received 42 B (40000 B dropped)  7.00 ms",
        ]
    );
}

#[test]
fn a_flow_that_begins_amid_what_was_left_out_finds_the_next_turn() {
    let mut peers = Peers::open();
    peers.client(GET);
    peers.server(&response_of(40_000));
    peers.server_leaves_out(20_000, Missing::Elided);
    peers.server_leaves_out(20_000, Missing::Elided);
    peers.client("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    peers.server("HTTP/1.1 204 No Content\r\n\r\n");
    let mut watch = Watch::new(settings());
    watch.see(&peers.seen[6..]);
    watch.finish();
    assert_eq!(watch.exchanges.iter().map(line).next_back().unwrap(), "GET /b -> 204");
}
