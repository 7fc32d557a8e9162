//! What a WebSocket carries, out of what simulated peers say: RFC 6455, and RFC 7692 for
//! compression. The frames themselves are tested where they are read.

use std::fs;
use std::path::{Path, PathBuf};

use capture_agent::engine::{Engine, Settings};
use capture_agent::event::{Event, Exchange, WebSocketMessage};
use capture_agent::flow::{CloseReason, Direction};
use capture_agent::http::State;
use capture_agent::listener::{Data, FlowView, Listener};
use capture_agent::output::Outputs;
use capture_agent::output::queue::{self, MAX_QUEUED_BYTES};
use serde_json::{Value, json};

use crate::support::agent::{Agent, json_lines};
use crate::support::fuzz::warden::Warden;
use crate::support::pcap::ACK;
use crate::support::peers::{Peers, Watch, capture_of, settings, watch};

const ASK: &str =
    "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const TAKE: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A frame of the server's.
fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
    [&[flags, payload.len() as u8][..], payload].concat()
}

/// A frame of the client's: masked.
fn masked(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let bytes = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [flags, 0x80 | payload.len() as u8].into_iter().chain(mask).chain(bytes).collect()
}

/// Peers that have changed to a WebSocket.
fn upgraded() -> Peers {
    let mut peers = Peers::open();
    peers.client(ASK);
    peers.server(TAKE);
    peers
}

/// `> text hello [state]`, with `<` for what the server sends; a complete one says no state.
fn line(message: &WebSocketMessage) -> String {
    let http = &message.http;
    let arrow = match http.direction {
        Direction::ToServer => '>',
        Direction::ToClient => '<',
    };
    let content = String::from_utf8_lossy(&http.message.content);
    let state = match http.message.state {
        State::Complete => String::new(),
        State::Gap => format!(" [gap {}]", http.message.lost_bytes),
        other => format!(" [{other:?}]").to_lowercase(),
    };
    let opcode = format!("{:?}", http.message.opcode).to_lowercase();
    format!("{arrow} {opcode} {content}{state}")
}

/// What comes of what the peers say, after a look that the engine keeps its promises.
fn heard(peers: &Peers) -> Watch {
    let mut warden = Warden::new(settings());
    peers.seen.iter().for_each(|seen| warden.segment(&seen.segment()));
    warden.finish();
    watch(peers)
}

#[track_caller]
fn assert_messages(peers: &Peers, expected: &[&str]) -> Watch {
    let watch = heard(peers);
    assert_eq!(watch.messages.iter().map(line).collect::<Vec<_>>(), expected);
    watch
}

/// The directions of which messages may be missing.
fn unread(watch: &Watch) -> (bool, bool) {
    let tunnel = watch.flows[0].tunnel.as_ref().unwrap();
    (tunnel.to_server_unread, tunnel.to_client_unread)
}

#[test]
fn messages_come_after_the_exchange_that_upgraded_and_are_counted() {
    let mut peers = Peers::open();
    peers.client("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    peers.client(ASK);
    peers.server(TAKE);
    peers.client_says(ACK, &masked(0x81, b"hello"));
    peers.server_says(ACK, &[frame(0x01, b"wor"), frame(0x89, b"?"), frame(0x80, b"ld")].concat());
    peers.client_says(ACK, &masked(0x8a, b"?"));
    peers.close();
    let expected = ["> text hello", "< ping ?", "< text world", "> pong ?"];
    let watch = assert_messages(&peers, &expected);
    assert_eq!(watch.lines(), ["GET /a -> 200", "GET /chat -> 101"]);
    let places = watch.messages.iter().map(|message| (message.http.index, message.http.number));
    assert_eq!(places.collect::<Vec<_>>(), [0, 1, 2, 3].map(|number| (Some(1), number)));
    let tunnel = watch.flows[0].tunnel.as_ref().unwrap();
    assert_eq!((tunnel.to_server_bytes, tunnel.to_client_bytes), (11 + 7, 5 + 3 + 4));
    assert_eq!((tunnel.messages, unread(&watch)), (4, (false, false)));
}

#[test]
fn segments_may_cut_anywhere_and_frames_may_follow_the_head_at_once() {
    let up = [masked(0x81, b"hello"), masked(0x88, b"\x03\xe8bye")].concat();
    let down = [TAKE.as_bytes(), &frame(0x82, b"\x00\x01"), &frame(0x01, b"a"), &frame(0x80, b"b")]
        .concat();
    for size in 1..=down.len() {
        let mut peers = Peers::open();
        peers.client(ASK);
        down.chunks(size).for_each(|part| peers.server_says(ACK, part));
        up.chunks(size).for_each(|part| peers.client_says(ACK, part));
        let expected = ["< binary \0\u{1}", "< text ab", "> text hello", "> close bye"];
        let watch = assert_messages(&peers, &expected);
        assert_eq!(watch.messages[3].http.message.close_code, Some(1000));
        assert_eq!(unread(&watch), (false, false));
    }
}

#[test]
fn the_protocol_is_told_by_its_name_in_any_case_and_others_are_only_counted() {
    let speak = |ask: &str, take: &str| {
        let mut peers = Peers::open();
        peers.client(ask);
        peers.server(take);
        peers.server_says(ACK, &frame(0x81, b"hi"));
        peers.client_says(ACK, &masked(0x81, b"ho"));
        heard(&peers)
    };
    let in_case = speak(ASK, &TAKE.replace("websocket", "WebSocket"));
    assert_eq!(in_case.messages.len(), 2);
    let other = speak(&ASK.replace("websocket", "h2c"), &TAKE.replace("websocket", "h2c"));
    let connect = speak(&ASK.replace("GET /chat", "CONNECT h:80"), "HTTP/1.1 200 OK\r\n\r\n");
    for watch in [other, connect] {
        let tunnel = watch.flows[0].tunnel.as_ref().unwrap();
        assert_eq!((watch.messages.len(), tunnel.messages), (0, 0));
        assert_eq!((tunnel.to_server_bytes, tunnel.to_client_bytes), (8, 4));
        assert_eq!(unread(&watch), (false, false));
    }
}

#[test]
fn compression_is_undone_where_the_response_agrees_to_it() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00"; // RFC 7692 section 7.2.3.1
    let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let with = |text: &str| text.replacen("\r\n\r\n", &format!("\r\n{extension}"), 1);
    let mut peers = Peers::open();
    peers.client(&with(ASK));
    peers.server(&with(TAKE));
    peers.server_says(ACK, &frame(0xc1, hello));
    let watch = assert_messages(&peers, &["< text Hello"]);
    assert!(watch.messages[0].http.message.compressed);
    let mut peers = Peers::open();
    peers.client(&with(ASK));
    peers.server(TAKE);
    peers.server_says(ACK, &frame(0xc1, hello));
    assert!(!heard(&peers).messages[0].http.message.compressed, "it was asked for, not agreed to");
}

#[test]
fn a_loss_inside_a_payload_costs_its_message_alone() {
    let mut peers = upgraded();
    peers.server_says(ACK, b"\x81\x0cHell");
    peers.server_says(ACK, b"o, w");
    peers.unseen();
    peers.server_says(ACK, &[b"orld", &frame(0x81, b"next")[..]].concat());
    peers.client_says(ACK, &masked(0x81, b"here"));
    let watch = assert_messages(&peers, &["< text Hell [gap 4]", "< text next", "> text here"]);
    assert_eq!(unread(&watch), (false, false));
}

#[test]
fn a_loss_between_frames_costs_its_direction_and_the_flow_says_so() {
    let mut peers = upgraded();
    peers.server_says(ACK, &frame(0x81, b"one"));
    peers.server_says(ACK, &frame(0x81, b"two"));
    peers.unseen();
    peers.server_says(ACK, &frame(0x81, b"three"));
    peers.client_says(ACK, &masked(0x81, b"four"));
    let watch = assert_messages(&peers, &["< text one", "> text four"]);
    assert_eq!(unread(&watch), (false, true));
    let tunnel = watch.flows[0].tunnel.as_ref().unwrap();
    assert_eq!(tunnel.to_client_bytes, 5 + 7, "what was seen is counted all the same");
}

#[test]
fn where_frames_begin_is_never_guessed() {
    // It goes on before it is answered: where its WebSocket begins only the server knows.
    let mut early = Peers::open();
    early.client(&[ASK, "GET /b HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
    let mut in_part = Peers::open();
    in_part.client(&[ASK, "GET /b HT"].concat());
    // Its request was not seen, or a part of what it said after it.
    let mut without_request = Peers::open();
    without_request.client(ASK);
    without_request.unseen();
    let mut after_loss = Peers::open();
    after_loss.client(ASK);
    after_loss.client_says(ACK, &masked(0x81, b"lost"));
    after_loss.unseen();
    // It was in the middle of its request.
    let mut unfinished = Peers::open();
    unfinished.client(&ASK.replacen("\r\n\r\n", "\r\nContent-Length: 9\r\n\r\nabc", 1));
    for mut peers in [early, in_part, without_request, after_loss, unfinished] {
        peers.server(TAKE);
        peers.client_says(ACK, &masked(0x81, b"hello"));
        peers.server_says(ACK, &frame(0x81, b"hi"));
        let watch = assert_messages(&peers, &["< text hi"]);
        assert_eq!(unread(&watch), (true, false));
    }
    // A part of the response's head was not: neither where it ends, nor what it agrees to.
    let mut peers = Peers::open();
    peers.client(ASK);
    peers.server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n");
    peers.server("X: y\r\n\r\n");
    peers.unseen();
    peers.server_says(ACK, &frame(0x81, b"hi"));
    peers.client_says(ACK, &masked(0x81, b"hello"));
    let watch = assert_messages(&peers, &[]);
    assert_eq!(unread(&watch), (true, true));
    assert_eq!(watch.flows[0].tunnel.as_ref().unwrap().to_server_bytes, 11);
}

#[test]
fn what_is_unfinished_comes_out_when_its_flow_ends() {
    let begun = || {
        let mut peers = upgraded();
        peers.server_says(ACK, b"\x81\x05Hel");
        peers.client_says(ACK, &masked(0x01, b"part"));
        peers
    };
    assert_messages(&begun(), &["> text part [open]", "< text Hel [open]"]);
    let mut reset = begun();
    reset.client_resets();
    assert_messages(&reset, &["> text part [cut]", "< text Hel [cut]"]);
    let mut closed = begun();
    closed.close();
    assert_messages(&closed, &["< text Hel [cut]", "> text part [cut]"]);
}

#[test]
fn messages_are_told_with_the_bytes_that_end_them() {
    #[derive(Default)]
    struct Told(Vec<&'static str>);
    impl Listener for Told {
        fn received(&mut self, _: &FlowView<'_>, _: Data<'_>) {
            self.0.push("bytes");
        }
        fn exchange(&mut self, _: Exchange) {
            self.0.push("exchange");
        }
        fn websocket(&mut self, _: WebSocketMessage) {
            self.0.push("message");
        }
    }
    let mut peers = upgraded();
    for text in [b"a", b"b", b"c"] {
        peers.server_says(ACK, &frame(0x81, text));
    }
    let held_first = peers.seen.len() - 3;
    peers.seen[held_first..].rotate_left(1);
    let mut told = Told::default();
    let mut engine = Engine::new(settings());
    peers.seen.iter().for_each(|seen| engine.segment(&seen.segment(), &mut told));
    let expected =
        ["bytes", "exchange", "bytes", "message", "bytes", "message", "bytes", "message"];
    assert_eq!(told.0, expected);
}

#[test]
fn what_a_message_holds_counts_as_memory() {
    let mut peers = upgraded();
    peers.server_says(
        ACK,
        &[b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", &[b'x'; 60_000][..]].concat(),
    );
    let mut watch = Watch::new(settings());
    watch.see(&peers.seen);
    assert!(watch.engine.memory() > 60_000, "{}", watch.engine.memory());
    let mut watch = Watch::new(Settings { memory_limit: 50_000, ..settings() });
    watch.see(&peers.seen);
    assert_eq!(watch.flows[0].close, CloseReason::Pressure);
    assert_eq!(watch.messages.len(), 1);
}

#[test]
fn a_queue_that_is_full_counts_what_it_leaves_out() {
    let mut peers = upgraded();
    peers.server_says(ACK, &frame(0x81, b"hi"));
    let message = heard(&peers).messages.remove(0);
    let mut large = message.clone();
    large.http.message.content = vec![0; MAX_QUEUED_BYTES];
    let (mut sender, writer) = queue::spawn(Outputs::default()).unwrap();
    sender.send(Event::WebSocket(Box::new(large)));
    sender.send(Event::WebSocket(Box::new(message)));
    assert_eq!((sender.dropped().messages, sender.dropped().exchanges), (1, 0));
    drop(sender);
    writer.join().unwrap().1.unwrap();
}

/// A capture of an upgrade, a message each way and a close.
fn capture(folder: &Path) -> PathBuf {
    let mut peers = Peers::open();
    peers.client(ASK);
    peers.server_says(ACK, &[TAKE.as_bytes(), &frame(0x82, b"\xff\x00\x01")].concat());
    peers.client_says(ACK, &masked(0x81, b"caf\xc3\xa9 \x1b[31m"));
    peers.server_says(ACK, &frame(0x88, b"\x03\xe9later"));
    peers.server_says(ACK, b"\x81\x05caf\xc3");
    peers.client_resets();
    let file = folder.join("capture.pcap");
    fs::write(&file, capture_of(&peers.seen)).unwrap();
    file
}

#[test]
fn they_are_written_as_the_contract_says_if_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = capture(folder.path());
    let events = "exchange,websocket,flow,stats";
    let output =
        Agent::read(&file).args(["--format", "jsonl", "--bodies", "--events", events]).run();
    let lines = output.json_lines();
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    let messages = ["websocket"; 4];
    assert_eq!(kinds, [&["exchange"], &messages[..], &["flow", "stats"]].concat());
    let mut said = lines[2].clone();
    let place = ["time", "flow", "client", "server", "iface"].map(|name| said[name].take());
    assert_eq!(place[0], "1970-01-01T00:00:01.006000000Z");
    assert_eq!([&place[1], &place[2]], [&lines[0]["flow"], &lines[0]["client"]]);
    let expected: Value = json!({
        "type": "websocket", "time": null, "flow": null, "index": 0, "number": 1, "iface": null, "ifindex": null,
        "netns": null,
        "client": null, "server": null, "direction": "to_server", "opcode": "text", "frames": 1,
        "wire_bytes": 11, "bytes": 11, "masked": true, "compressed": false, "close_code": null,
        "text": "café \u{1b}[31m", "base64": null, "truncated": false, "state": "complete",
        "anomalies": [],
    });
    assert_eq!(said, expected);
    let shown = |n: usize, names: [&str; 4]| json!(names.map(|name| &lines[n][name]));
    assert_eq!(
        shown(1, ["direction", "opcode", "base64", "text"]),
        json!(["to_client", "binary", "/wAB", null])
    );
    assert_eq!(
        shown(3, ["opcode", "close_code", "text", "bytes"]),
        json!(["close", 1001, "later", 7])
    );
    assert_eq!(shown(4, ["state", "bytes", "wire_bytes", "text"]), json!(["cut", null, 4, "caf"]));
    assert_eq!(lines[5]["tunnel"]["messages"], 4);
    assert_eq!(lines[5]["tunnel"]["unread"], json!([]));
    assert_eq!(output.ledger(), "1 exchange on 1 flow, 9 packets seen, 4 WebSocket messages");
    let plain = Agent::read(&file).args(["--format", "jsonl", "--events", "websocket"]).run();
    let plain = plain.json_lines();
    assert_eq!(plain.len(), 4, "they may come alone");
    assert!(plain.iter().all(|line| line["text"].is_null() && line["base64"].is_null()));
}

#[test]
fn as_text_each_is_a_line_from_who_sends_to_who_receives() {
    let folder = tempfile::tempdir().unwrap();
    let file = capture(folder.path());
    let lines = |args: &[&str]| {
        let output = Agent::read(&file).args(["--events", "websocket"]).args(args).run();
        output.stdout
    };
    let expected = "\
00:00:01.005  10.0.0.1:80 → 10.0.0.5:51234  websocket binary  3 B
00:00:01.006  10.0.0.5:51234 → 10.0.0.1:80  websocket text  11 B
00:00:01.007  10.0.0.1:80 → 10.0.0.5:51234  websocket close  1001  7 B
00:00:01.008  10.0.0.1:80 → 10.0.0.5:51234  websocket text  4 B  [message cut off]
";
    assert_eq!(lines(&["-v"]), expected);
    let expected = "\
00:00:01.005  10.0.0.1:80 → 10.0.0.5:51234  websocket binary  3 B  (3 bytes that are not text)
00:00:01.006  10.0.0.5:51234 → 10.0.0.1:80  websocket text  11 B  \"café \\x1b[31m\"
00:00:01.007  10.0.0.1:80 → 10.0.0.5:51234  websocket close  1001  7 B  \"later\"
00:00:01.008  10.0.0.1:80 → 10.0.0.5:51234  websocket text  4 B  \"caf\\xc3\"  [message cut off]
";
    assert_eq!(lines(&["-vv"]), expected);
}

#[test]
fn the_ledger_balances_whether_they_are_written_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = capture(folder.path());
    let other = folder.path().join("other.jsonl");
    for (args, written, unwanted) in [
        (&["--events", "exchange,flow,stats"][..], 0, 4),
        (&["--events", "websocket,flow,stats"], 4, 0),
        (&["--events", "exchange,websocket,flow,stats", "--count", "1"], 0, 1),
    ] {
        let outputs = ["--format", "jsonl", "--output", "-", "--output", other.to_str().unwrap()];
        let output = Agent::read(&file).args(outputs).args(args).run();
        for lines in [output.json_lines(), json_lines(&fs::read_to_string(&other).unwrap())] {
            let of_kind = |kind| lines.iter().filter(move |line| line["type"] == kind);
            assert_eq!(of_kind("websocket").count(), written);
            let ledger = of_kind("stats").next().unwrap();
            let messages = &ledger["messages"];
            assert_eq!(
                (&messages["unwanted"], &messages["dropped"]),
                (&unwanted.into(), &0.into())
            );
            for output in ledger["exchanges"]["outputs"].as_array().unwrap() {
                let sum = unwanted + output["messages"].as_u64().unwrap();
                assert_eq!(messages["made"], sum, "{ledger}");
            }
            let tunnel = &of_kind("flow").next().unwrap()["tunnel"];
            assert_eq!(tunnel["protocol"], "websocket");
        }
    }
}
