//! Exchanges out of what simulated peers say: RFC 9110 and RFC 9112.

use capture_agent::http::Anomaly;

use crate::support::pcap::{ACK, FIN, SYN};
use crate::support::peers::{MS, Peers, Watch, settings, watch, watch_with};

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[track_caller]
fn assert_lines(peers: &Peers, expected: &[&str]) {
    assert_eq!(watch(peers).lines(), expected);
}

#[test]
fn keep_alive_gives_one_exchange_after_the_other() {
    let mut peers = Peers::open();
    for n in 0..3 {
        peers.client(&get(&format!("/{n}")));
        peers.server(&ok(&n.to_string()));
    }
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["GET /0 -> 200 0", "GET /1 -> 200 1", "GET /2 -> 200 2"]);
    let indices: Vec<_> = watch.exchanges.iter().map(|exchange| exchange.http.index).collect();
    assert_eq!(indices, [0, 1, 2]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut peers = Peers::open();
    peers.client(&[get("/a"), get("/b"), get("/c")].concat());
    peers.server(&[ok("a"), ok("b")].concat());
    peers.server(&ok("c"));
    assert_lines(&peers, &["GET /a -> 200 a", "GET /b -> 200 b", "GET /c -> 200 c"]);
}

#[test]
fn segments_may_cut_messages_anywhere() {
    let requests = [
        get("/a"),
        "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            .to_owned(),
        get("/c"),
    ]
    .concat();
    let responses = [
        ok("aa"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbb\r\n0\r\nT: x\r\n\r\n"
            .to_owned(),
        ok("cc"),
    ]
    .concat();
    for size in 1..60 {
        let mut peers = Peers::open();
        let mut parts = requests.as_bytes().chunks(size);
        parts.by_ref().for_each(|part| peers.client_says(ACK, part));
        responses.as_bytes().chunks(size).for_each(|part| peers.server_says(ACK, part));
        assert_lines(&peers, &["GET /a -> 200 aa", "POST /b abc -> 200 bb", "GET /c -> 200 cc"]);
    }
}

#[test]
fn reordering_and_retransmission_change_nothing() {
    let mut peers = Peers::open();
    get("/a").as_bytes().chunks(5).for_each(|part| peers.client_says(ACK, part));
    let requests = 3..peers.seen.len();
    ok("hello").as_bytes().chunks(5).for_each(|part| peers.server_says(ACK, part));
    let responses = requests.end..peers.seen.len();
    for segments in [requests, responses] {
        peers.seen[segments].reverse();
    }
    let again = peers.seen[3..].to_vec();
    peers.seen.extend(again);
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["GET /a -> 200 hello"]);
    assert_eq!(watch.flows[0].to_client.bytes, ok("hello").len() as u64);
    assert_eq!(watch.flows[0].to_client.gap_bytes, 0);
    assert_eq!(watch.flows[0].to_client.retransmitted_bytes, ok("hello").len() as u64);
}

#[test]
fn a_body_may_last_until_the_server_closes() {
    let mut peers = Peers::open();
    peers.client(&get("/a"));
    peers.server("HTTP/1.0 200 OK\r\n\r\nhello ");
    peers.server_says(FIN | ACK, b"world");
    assert_lines(&peers, &["GET /a -> 200 hello world"]);
}

#[test]
fn a_close_delimited_body_that_is_reset_is_cut() {
    let mut peers = Peers::open();
    peers.client(&get("/a"));
    peers.server("HTTP/1.0 200 OK\r\n\r\nhello ");
    peers.server_resets();
    assert_lines(&peers, &["GET /a -> 200 hello  [cut]"]);
}

#[test]
fn what_is_unfinished_when_the_capture_ends_is_open() {
    let mut peers = Peers::open();
    peers.client(&get("/a"));
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
    assert_lines(&peers, &["GET /a -> 200 hello [open]"]);
    let mut peers = Peers::open();
    peers.client("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhello");
    assert_lines(&peers, &["POST /a hello [open] -> ?"]);
}

#[test]
fn head_and_not_modified_have_no_body() {
    let mut peers = Peers::open();
    peers.client("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    peers.client(&get("/b"));
    peers.server("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n");
    peers.client(&get("/c"));
    peers.server("HTTP/1.1 204 No Content\r\n\r\n");
    peers.client(&get("/d"));
    peers.server(&ok("d"));
    assert_lines(&peers, &["HEAD /a -> 200", "GET /b -> 304", "GET /c -> 204", "GET /d -> 200 d"]);
}

#[test]
fn interim_responses_are_listed_and_the_final_one_answers() {
    let mut peers = Peers::open();
    peers.client("PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    peers.server("HTTP/1.1 100 Continue\r\n\r\n");
    peers.client("hi");
    peers.server("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
    peers.server("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["PUT /a hi -> 201"]);
    let interim: Vec<_> =
        watch.exchanges[0].http.informational.iter().filter_map(|head| head.status()).collect();
    assert_eq!(interim, [100, 103]);
}

#[test]
fn an_early_answer_waits_for_its_request() {
    let mut peers = Peers::open();
    peers.client("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
    peers.server("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    peers.client("def");
    peers.client(&get("/b"));
    peers.server(&ok("b"));
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["POST /a abcdef -> 413", "GET /b -> 200 b"]);
    assert_eq!(watch.exchanges[0].http.timing.wait_ns, Some(0));
}

#[test]
fn after_an_upgrade_or_a_tunnel_nothing_is_http() {
    for (request, response) in [
        (
            "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ),
        ("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
    ] {
        let mut peers = Peers::open();
        peers.client(request);
        peers.server(response);
        peers.client(&get("/inside"));
        peers.server(&ok("inside"));
        let watch = watch(&peers);
        assert_eq!(watch.lines().len(), 1, "{:?}", watch.lines());
    }
}

#[test]
fn a_lost_piece_of_a_body_costs_that_body_alone() {
    let mut peers = Peers::open();
    peers.client(&get("/a"));
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    peers.server("def");
    peers.unseen();
    peers.server("ghi");
    peers.client(&get("/b"));
    peers.server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc");
    peers.server("def");
    peers.unseen();
    peers.server("ghi\r\n0\r\n\r\n");
    peers.client(&get("/c"));
    peers.server(&ok("c"));
    assert_lines(
        &peers,
        &["GET /a -> 200 abcghi [gap 3]", "GET /b -> 200 abcghi [gap 3]", "GET /c -> 200 c"],
    );
}

#[test]
fn chunks_go_on_after_a_lost_one_where_nothing_else_can_have_begun() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n";
    let mut peers = Peers::open();
    peers.client(&get("/events"));
    peers.server(chunked);
    peers.server("3\r\ntwo\r\n");
    peers.unseen();
    peers.server("5\r\nthree\r\n");
    peers.server("0\r\n\r\n");
    peers.client(&get("/b"));
    peers.server(&ok("b"));
    let expected = ["GET /events -> 200 onethree [gap 8]", "GET /b -> 200 b"];
    assert_lines(&peers, &expected);
    let gap = watch(&peers).exchanges[0].http.response.as_ref().unwrap().gaps[0];
    assert_eq!((gap.offset, gap.bytes), (3, 8));

    // The next request is there: what comes may be its answer.
    let mut peers = Peers::open();
    peers.client_pipelines(&get("/events"));
    peers.client_pipelines(&get("/more"));
    peers.server(chunked);
    peers.server("0\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    peers.unseen();
    peers.server("5\r\nthree\r\n0\r\n\r\n");
    assert_lines(&peers, &["GET /events -> 200 one [gap 52]", "GET /more -> ?"]);
}

#[test]
fn a_flow_takes_little_room_after_bytes_that_were_no_message() {
    let mut peers = Peers::open();
    peers.client(&get("/a"));
    peers.server(&format!("{}}}", ok("a")));
    let mut watch = Watch::new(settings());
    watch.see(&peers.seen);
    assert_eq!(watch.lines(), ["GET /a -> 200 a"]);
    assert!(watch.engine.memory() < 256, "{}", watch.engine.memory());
}

#[test]
fn a_lost_response_leaves_its_request_alone_and_the_next_pair_together() {
    let mut peers = Peers::open();
    peers.client(&get("/a"));
    peers.server(&ok("a"));
    peers.unseen();
    peers.client(&get("/b"));
    peers.server(&ok("b"));
    assert_lines(&peers, &["GET /a -> ?", "GET /b -> 200 b"]);
}

#[test]
fn a_lost_request_leaves_its_response_alone_and_the_next_pair_apart_or_right() {
    let mut peers = Peers::open();
    peers.client(&get("/a"));
    peers.unseen();
    peers.server(&ok("a"));
    peers.client(&get("/b"));
    peers.server(&ok("b"));
    peers.client(&get("/c"));
    peers.server(&ok("c"));
    let lines = watch(&peers).lines();
    assert_eq!(lines[0], "? -> 200 a");
    assert_eq!(lines.last().unwrap(), "GET /c -> 200 c");
    assert!(!lines.contains(&"GET /b -> 200 a".to_owned()), "{lines:?}");
}

#[test]
fn where_pipelining_and_loss_leave_doubt_nothing_is_paired() {
    let mut peers = Peers::open();
    peers.client_pipelines(&get("/a"));
    peers.client_pipelines(&get("/b"));
    peers.server(&ok("a"));
    peers.unseen();
    peers.server(&ok("b"));
    assert_lines(&peers, &["GET /a -> ?", "GET /b -> ?", "? -> 200 b"]);
    // Nor afterwards: it may have sent this one while it still waited for an answer.
    peers.client(&get("/c"));
    peers.server(&ok("c"));
    let apart = ["GET /a -> ?", "GET /b -> ?", "? -> 200 b", "GET /c -> ?", "? -> 200 c"];
    assert_lines(&peers, &apart);
}

#[test]
fn a_client_that_was_seen_to_wait_tells_what_was_lost_by_its_next_turn() {
    let mut peers = Peers::open();
    for (lost, targets) in [(false, ["/a", "/b"]), (true, ["/c", "/d"])] {
        targets.iter().for_each(|target| peers.client_pipelines(&get(target)));
        peers.server(&ok(targets[0]));
        if lost {
            peers.unseen();
        }
        peers.server(&ok(targets[1]));
        peers.client_says(ACK, b"");
    }
    // It has heard again and asks again: both had their answers, so the last is to the last.
    peers.client(&get("/e"));
    peers.server(&ok("e"));
    let lines = watch(&peers).lines();
    let last = ["GET /c -> ?", "GET /d -> 200 /d", "GET /e -> 200 e"];
    assert_eq!(lines, [&["GET /a -> 200 /a", "GET /b -> 200 /b"][..], &last].concat());
}

#[test]
fn a_head_cut_by_a_loss_gives_what_was_seen_of_it() {
    let mut peers = Peers::open();
    peers.client("GET /a HTTP/1.1\r\nHost: h\r\nX-Long: aaaa");
    peers.client("aaaa\r\n\r\n");
    peers.unseen();
    peers.server(&ok("a"));
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["GET /a [gap 8] -> 200 a"]);
    let request = watch.exchanges[0].http.request.as_ref().unwrap();
    assert_eq!(request.head.head().value("host"), Some(&b"h"[..]));
    assert_eq!(request.head.head().value("x-long"), None);
}

#[test]
fn a_request_line_that_was_not_seen_to_its_end_is_still_a_request() {
    let mut peers = Peers::open();
    peers.client("GET /a/very/long?token=c2VjcmV0");
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["GET /a/very/long?token=[redacted] [open] -> ?"]);
    let head = watch.exchanges[0].http.request.as_ref().unwrap().head.head();
    assert_eq!((head.version(), head.len()), (None, 31));
}

#[test]
fn only_one_direction_seen_gives_that_side_alone() {
    let mut peers = Peers::open();
    peers.client(&get("/a"));
    peers.server(&ok("a"));
    peers.client(&get("/b"));
    peers.server(&ok("b"));
    let all = std::mem::take(&mut peers.seen);
    peers.seen = all.iter().filter(|seen| seen.tcp.src.port() == 80).cloned().collect();
    assert_lines(&peers, &["? -> 200 a", "? -> 200 b"]);
    peers.seen = all.iter().filter(|seen| seen.tcp.dst.port() == 80).cloned().collect();
    assert_lines(&peers, &["GET /a -> ?", "GET /b -> ?"]);
}

#[test]
fn a_response_that_nobody_asked_for_is_paired_with_no_request() {
    let mut peers = Peers::open();
    peers.server("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    peers.client_pipelines(&get("/a"));
    peers.server_says(FIN | ACK, b"");
    assert_lines(&peers, &["? -> 408", "GET /a -> ?"]);
}

#[test]
fn what_is_not_http_gives_a_flow_and_no_exchange() {
    let mut peers = Peers::open();
    peers.server("220 mail.example.com ESMTP\r\n");
    peers.client("EHLO client\r\n");
    peers.server("250 OK\r\n");
    peers.close();
    let watch = watch(&peers);
    assert_eq!(watch.lines(), [""; 0]);
    assert_eq!(watch.flows[0].exchanges, 0);
}

#[test]
fn malformed_chunks_cost_their_message_alone() {
    let mut peers = Peers::open();
    peers.client(&get("/a"));
    peers.server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nxyz\r\n");
    peers.client(&get("/b"));
    peers.server(&ok("b"));
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["GET /a -> 200 ab [cut]", "GET /b -> 200 b"]);
    let anomalies: Vec<_> = watch.exchanges[0].http.anomalies.iter().collect();
    assert_eq!(anomalies, [Anomaly::MalformedChunk]);
}

#[test]
fn a_head_that_never_ends_is_let_go() {
    let mut peers = Peers::open();
    peers.client("GET /a HTTP/1.1\r\n");
    for n in 0..200 {
        peers.client(&format!("X-{n}: {}\r\n", "x".repeat(1_000)));
    }
    let watch = watch(&peers);
    assert_eq!(watch.lines(), ["GET /a [cut] -> ?"]);
    let anomalies: Vec<_> = watch.exchanges[0].http.anomalies.iter().collect();
    assert_eq!(anomalies, [Anomaly::HeadTooLong]);
}

#[test]
fn bodies_are_kept_up_to_their_limit() {
    let mut settings = settings();
    settings.http.keep_body_bytes = 4;
    let mut peers = Peers::open();
    peers.client(&get("/a"));
    peers.server(&ok("abcdef"));
    let watch = watch_with(&peers, settings);
    assert_eq!(watch.lines(), ["GET /a -> 200 abcd"]);
    let body = &watch.exchanges[0].http.response.as_ref().unwrap().body;
    assert_eq!((body.wire_bytes, body.truncated), (6, true));
}

#[test]
fn timing_tells_where_the_time_went() {
    let mut peers = Peers::new();
    peers.client_says(SYN, b"");
    peers.wait(9 * MS);
    peers.server_says(SYN | ACK, b"");
    peers.client_says(ACK, b"");
    peers.client("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n");
    peers.wait(19 * MS);
    peers.client("hi");
    peers.wait(29 * MS);
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    peers.wait(39 * MS);
    peers.server("hi");
    peers.client(&get("/b"));
    peers.server(&ok(""));
    let watch = watch(&peers);
    let timing = watch.exchanges[0].http.timing;
    assert_eq!(timing.connect_ns, Some(11 * MS));
    assert_eq!(timing.request_ns, Some(20 * MS));
    assert_eq!(timing.wait_ns, Some(30 * MS));
    assert_eq!(timing.response_ns, Some(40 * MS));
    assert_eq!(timing.total_ns, Some(90 * MS));
    assert_eq!(watch.exchanges[1].http.timing.connect_ns, None);
}

#[test]
fn urls_come_from_host_and_target() {
    let cases = [
        ("GET /p?q HTTP/1.1\r\nHost: h:8080\r\n\r\n", Some("http://h:8080/p?q")),
        ("GET http://other/p HTTP/1.1\r\nHost: h\r\n\r\n", Some("http://other/p")),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", Some("http://h")),
        ("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", Some("h:443")),
        ("GET /p HTTP/1.0\r\n\r\n", None),
    ];
    for (request, expected) in cases {
        let mut peers = Peers::open();
        peers.client(request);
        let url = watch(&peers).exchanges[0].http.url();
        let url = url.map(|url| String::from_utf8(url).unwrap());
        assert_eq!(url.as_deref(), expected, "{request:?}");
    }
}
