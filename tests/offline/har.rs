//! HAR: what of an exchange is where, what is said of what HAR has no place for, and that it is valid
//! by the published schema whatever comes in.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use capture_agent::engine::{Engine, Settings};
use capture_agent::event::Event;
use capture_agent::http::form::ListRules;
use capture_agent::http::redact::Redaction;
use capture_agent::output::{Format, Output, Target, Verbosity};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::cases::files;
use crate::support::agent::Agent;
use crate::support::har::Schema;
use crate::support::pcap::ACK;
use crate::support::peers::{Peers, Seen, capture_of, settings};
use crate::support::script::{cases_in, play};

/// The file that comes of a capture.
fn har_of<'a>(seen: impl IntoIterator<Item = &'a Seen>, settings: Settings) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.har");
    let target = Target::File(path.clone());
    let mut output = Output::open(Format::Har, target, Verbosity::Line).unwrap();
    let mut engine = Engine::new(settings);
    let mut write = |event: Event| output.write(&event).unwrap();
    for seen in seen {
        engine.segment(&seen.segment(), &mut write);
    }
    engine.finish(&mut write);
    output.finish().unwrap();
    fs::read(path).unwrap()
}

/// The entries of the file that comes of a capture in which bodies are kept.
#[track_caller]
fn entries(seen: &[Seen]) -> Vec<Value> {
    entries_with(seen, settings())
}

#[track_caller]
fn entries_with(seen: &[Seen], settings: Settings) -> Vec<Value> {
    let har = Schema::new().parse(&har_of(seen, settings));
    har["log"]["entries"].as_array().unwrap().clone()
}

/// The entry of a request and its response.
#[track_caller]
fn entry(request: &str, response: &str) -> Value {
    entry_with(request, response, settings())
}

#[track_caller]
fn entry_with(request: &str, response: &str, settings: Settings) -> Value {
    let mut peers = Peers::open();
    peers.client(request);
    peers.server(response);
    peers.close();
    let mut entries = entries_with(&peers.seen, settings);
    assert_eq!(entries.len(), 1, "{entries:#?}");
    entries.remove(0)
}

/// The settings of `--show-secrets --forms`.
fn open_settings() -> Settings {
    let mut settings = settings();
    settings.http.head.redaction = Redaction::none();
    settings.http.list_forms = Some(ListRules::default());
    settings
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn an_exchange_is_an_entry() {
    let mut peers = Peers::open();
    peers.client("GET /a?x=1&y=a+b%21 HTTP/1.1\r\nHost: example.com\r\n\r\n");
    peers.server("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n");
    peers.server("hi");
    peers.close();
    let har = Schema::new().parse(&har_of(&peers.seen, settings()));
    let log = &har["log"];
    assert_eq!(log["version"], "1.2");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(log["creator"], json!({"name": "capture-agent", "version": version}));
    let mut entry = log["entries"][0].clone();
    let flow = entry["_flow"].take();
    assert_eq!(flow.as_str().map(str::len), Some(16));
    // Segments are a millisecond apart: three of the handshake, then these.
    let expected = json!({
        "startedDateTime": "1970-01-01T00:00:01.002Z",
        "time": 4,
        "request": {
            "method": "GET",
            "url": "http://example.com/a?x=1&y=a+b%21",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": [{"name": "Host", "value": "example.com"}],
            "queryString": [{"name": "x", "value": "1"}, {"name": "y", "value": "a b!"}],
            "headersSize": 51,
            "bodySize": 0,
            "_state": "complete",
        },
        "response": {
            "status": 200,
            "statusText": "OK",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": [
                {"name": "Content-Type", "value": "text/plain"},
                {"name": "Content-Length", "value": "2"},
            ],
            "content": {"size": 2, "mimeType": "text/plain", "text": "hi"},
            "redirectURL": "",
            "headersSize": 64,
            "bodySize": 2,
            "_state": "complete",
        },
        "cache": {},
        "timings": {
            "blocked": -1, "dns": -1, "connect": 2, "send": 0, "wait": 1, "receive": 1, "ssl": -1,
        },
        "serverIPAddress": "10.0.0.1",
        "connection": "51234",
        "_time": "1970-01-01T00:00:01.004000000Z",
        "_flow": null,
        "_index": 0,
        "_client": {"ip": "10.0.0.5", "port": 51234},
        "_server": {"ip": "10.0.0.1", "port": 80},
        "_timing_us": {
            "connect_us": 2000, "request_us": 0, "wait_us": 1000, "response_us": 1000,
            "total_us": 2000,
        },
    });
    assert_eq!(entry, expected, "{entry:#}");
}

#[test]
fn a_connection_is_made_once() {
    let mut peers = Peers::open();
    for _ in 0..2 {
        peers.client("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        peers.server(OK);
    }
    peers.close();
    let entries = entries(&peers.seen);
    assert_eq!(entries[0]["timings"]["connect"], 2);
    assert_eq!(entries[1]["timings"]["connect"], -1);
    assert_eq!(entries[1]["time"], 1);
    assert_eq!(entries[1]["startedDateTime"], "1970-01-01T00:00:01.006Z");
    assert_eq!((&entries[1]["_index"], &entries[1]["_flow"]), (&json!(1), &entries[0]["_flow"]));
}

#[test]
fn a_side_that_was_not_seen_is_said_to_be_so() {
    let mut unanswered = Peers::open();
    unanswered.client("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    unanswered.close();
    let entry = &entries(&unanswered.seen)[0];
    assert_eq!(entry["request"]["_state"], "complete");
    let response = json!({
        "status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [],
        "content": {"size": -1, "mimeType": "x-unknown"}, "redirectURL": "",
        "headersSize": -1, "bodySize": -1, "comment": "not observed", "_state": null,
    });
    assert_eq!(entry["response"], response);
    assert_eq!((&entry["timings"]["wait"], &entry["timings"]["receive"]), (&json!(-1), &json!(-1)));
    assert_eq!(entry["_timing_us"]["wait_us"], Value::Null);

    let mut unasked = Peers::between("[2001:db8::5]:51234", "[2001:db8::1]:8080");
    unasked.server(OK);
    let entry = &entries(&unasked.seen)[0];
    let request = json!({
        "method": "", "url": "http://[2001:db8::1]:8080/", "httpVersion": "", "cookies": [],
        "headers": [], "queryString": [], "headersSize": -1, "bodySize": -1,
        "comment": "not observed", "_state": null,
    });
    assert_eq!(entry["request"], request);
    assert_eq!(entry["response"]["status"], 200);
    assert_eq!(entry["serverIPAddress"], "2001:db8::1");
    assert_eq!(entry["timings"]["send"], -1);
}

#[test]
fn what_was_lost_or_cut_is_said() {
    let mut lossy = Peers::open();
    lossy.client("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    lossy.server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    lossy.server("def");
    lossy.unseen();
    lossy.server("ghi");
    lossy.close();
    let response = &entries(&lossy.seen)[0]["response"];
    assert_eq!(response["_state"], "gap");
    assert_eq!(response["_lost_bytes"], 3);
    assert_eq!(response["_gaps"], json!([{"in": "body", "offset": 3, "bytes": 3}]));

    let entry = entry(
        "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
    );
    assert_eq!(entry["response"]["_state"], "cut");
    assert_eq!(entry["response"]["bodySize"], 3);
    assert_eq!(entry["response"]["content"]["text"], "abc");
}

#[test]
fn urls_are_absolute_and_what_was_sent_is_beside_them() {
    // The request line, the rest of the head, the URL, the target and the host beside it.
    let cases = [
        ("GET /a?b=[c]|{d}", "Host: h\r\n", "http://h/a?b=[c]|{d}", None, true),
        ("GET /a", "Host: h:8080\r\n", "http://h:8080/a", None, true),
        ("GET /a", "", "http://10.0.0.1:80/a", None, false),
        ("GET /a", "Host:\r\n", "http://10.0.0.1:80/a", None, false),
        ("OPTIONS *", "Host: h\r\n", "http://h", Some("*"), true),
        ("GET http://o/a", "Host: h\r\n", "http://o/a", Some("http://o/a"), true),
        ("CONNECT o:443", "Host: o:443\r\n", "http://o:443", Some("o:443"), true),
        ("GET a", "Host: h\r\n", "http://h/a", Some("a"), true),
        ("GET /\"<é>#", "Host: h\r\n", "http://h/%22%3C%C3%A9%3E%23", Some("/\"<é>#"), true),
        (
            "GET /?pw=1&token=abc",
            "Host: h\r\n",
            "http://h/?pw=[redacted]&token=[redacted]",
            None,
            true,
        ),
    ];
    for (line, fields, url, target, has_host) in cases {
        let request = format!("{line} HTTP/1.1\r\n{fields}\r\n");
        let request = &entry(&request, OK)["request"];
        assert_eq!(request["url"], url, "{line}");
        assert_eq!(request.get("_target").and_then(Value::as_str), target, "{line}");
        assert_eq!(request.get("_host"), (!has_host).then_some(&Value::Null), "{line}");
    }
}

#[test]
fn bodies_are_text_or_base64_and_say_what_is_not_whole() {
    let content = |head: &str, body: &str, settings| {
        let len = body.len();
        let response = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {len}\r\n\r\n{body}");
        entry_with("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", &response, settings)["response"]["content"]
            .clone()
    };
    let text = content("Content-Type: text/html; charset=utf-8\r\n", "é<p>\u{7}", settings());
    let expected = json!({"size": 6, "mimeType": "text/html; charset=utf-8", "text": "é<p>\u{7}"});
    assert_eq!(text, expected);
    let mut short = settings();
    short.http.keep_body_bytes = 3;
    let expected = json!({"size": 4, "mimeType": "x-unknown", "text": "abc", "_truncated": true});
    assert_eq!(content("", "abcd", short), expected);
    let mut none = settings();
    none.http.keep_body_bytes = 0;
    assert_eq!(content("", "abcd", none), json!({"size": 4, "mimeType": "x-unknown"}));
    let unknown = content("Content-Encoding: zap\r\n", "abcd", settings());
    let expected = json!({"size": 4, "mimeType": "x-unknown", "text": "abcd", "_encoding": "zap"});
    assert_eq!(unknown, expected);
}

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn coded_bodies_are_decoded_or_said_to_be_coded() {
    let (text, coded) = ("hello".repeat(20), gzip(&"hello".repeat(20)));
    let head = format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", coded.len());
    let of = |settings| {
        let mut peers = Peers::open();
        peers.client("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        peers.server_says(ACK, &[format!("HTTP/1.1 200 OK\r\n{head}").as_bytes(), &coded].concat());
        peers.close();
        entries_with(&peers.seen, settings)[0]["response"].clone()
    };
    let decoded = of(settings());
    assert_eq!(decoded["bodySize"], coded.len());
    let expected = json!({
        "size": 100, "compression": 100 - coded.len(), "mimeType": "x-unknown", "text": text,
    });
    assert_eq!(decoded["content"], expected);
    let mut as_sent = settings();
    as_sent.http.decode = false;
    let as_sent = of(as_sent);
    let expected = json!({
        "size": coded.len(), "mimeType": "x-unknown", "text": BASE64_STANDARD.encode(&coded),
        "encoding": "base64", "_encoding": "gzip",
    });
    assert_eq!(as_sent["content"], expected);
}

#[test]
fn forms_and_other_bodies_of_requests_are_post_data() {
    let post = |kind: &str, body: &str, settings| {
        let head = format!("Content-Type: {kind}\r\nContent-Length: {}", body.len());
        let request = format!("POST /a HTTP/1.1\r\nHost: h\r\n{head}\r\n\r\n{body}");
        entry_with(&request, OK, settings)["request"].clone()
    };
    let json = post("application/json", "{}", settings());
    assert_eq!(json["postData"], json!({"mimeType": "application/json", "text": "{}"}));
    assert_eq!(json["bodySize"], 2);
    let mut hidden = settings();
    hidden.http.list_forms = Some(ListRules::default());
    let form = post("application/x-www-form-urlencoded", "a=b+c&password=abc", hidden);
    let expected = json!({
        "mimeType": "application/x-www-form-urlencoded",
        "text": "a=b+c&password=[redacted]",
        "params": [{"name": "a", "value": "b c"}, {"name": "password", "value": "[redacted]"}],
    });
    assert_eq!(form["postData"], expected);
    let part = "Content-Disposition: form-data; name=f; filename=x.txt\r\nContent-Type: text/css";
    let body = format!("--b\r\n{part}\r\n\r\nhi\r\n--b--\r\n");
    let multipart = post("multipart/form-data; boundary=b", &body, open_settings());
    let expected = json!([
        {"name": "f", "value": "hi", "fileName": "x.txt", "contentType": "text/css"}
    ]);
    assert_eq!(multipart["postData"]["params"], expected);
    assert_eq!(multipart["postData"]["text"], body);
    assert_eq!(entry("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", OK)["request"].get("postData"), None);
    // HAR knows no request body that is no text.
    let mut peers = Peers::open();
    peers.client_says(ACK, b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n\x00\xff\xfe");
    peers.server(OK);
    peers.close();
    let request = &entries(&peers.seen)[0]["request"];
    assert_eq!((request.get("postData"), &request["_base64"]), (None, &json!("AP/+")));
}

#[test]
fn cookies_are_taken_apart_where_they_are_shown() {
    let request = "GET /a HTTP/1.1\r\nHost: h\r\nCookie: a=1; b=\"2=3\"; c\r\n\r\n";
    let response = "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/p; Secure; HttpOnly; Domain=h; \
        Expires=Wed, 21-Oct-2015 07:28:00 GMT; SameSite=Lax\r\nSet-Cookie: b=2\r\n\
        Set-Cookie: c=3; expires=soon\r\nContent-Length: 0\r\n\r\n";
    let shown = entry_with(request, response, open_settings());
    let sent = json!([
        {"name": "a", "value": "1"}, {"name": "b", "value": "\"2=3\""}, {"name": "c", "value": ""},
    ]);
    assert_eq!(shown["request"]["cookies"], sent);
    let set = json!([
        {"name": "a", "value": "1", "path": "/p", "domain": "h", "expires": "2015-10-21T07:28:00Z",
         "httpOnly": true, "secure": true},
        {"name": "b", "value": "2"},
        {"name": "c", "value": "3", "httpOnly": false, "secure": false},
    ]);
    assert_eq!(shown["response"]["cookies"], set);
    assert_eq!(shown["response"].get("_cookies"), None);
    let hidden = entry(request, response);
    for side in ["request", "response"] {
        assert_eq!(hidden[side]["cookies"], json!([]));
        assert_eq!(hidden[side]["_cookies"], "[redacted]");
    }
}

#[test]
fn redirects_and_interim_responses_are_there() {
    let response = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
        HTTP/1.0 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n";
    let entry = entry("GET /a HTTP/1.0\r\nHost: h\r\n\r\n", response);
    assert_eq!(entry["response"]["redirectURL"], "/b");
    assert_eq!(entry["response"]["httpVersion"], "HTTP/1.0");
    assert_eq!(entry["_informational"][0]["status"], 103);
    assert_eq!(entry["_anomalies"], Value::Null);
}

#[test]
fn every_case_is_valid_by_the_published_schema() {
    let schema = Schema::new();
    let mut entries = 0;
    for file in files() {
        for case in cases_in(&fs::read_to_string(file).unwrap()).1 {
            eprintln!("{}", case.title);
            let seen = play(&case.dialogue);
            for settings in [settings(), open_settings()] {
                let har = schema.parse(&har_of(&seen, settings));
                entries += har["log"]["entries"].as_array().unwrap().len();
            }
        }
    }
    assert!(entries > 400, "{entries}");
    let mut broken = schema.parse(&har_of(&play("> GET / HTTP/1.1\n> \n"), settings()));
    broken["log"]["entries"][0]["request"]["url"] = Value::from("no url");
    assert!(!schema.is_valid(&broken));
}

#[test]
fn other_events_are_no_entries_and_the_ledger_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, har) = (folder.path().join("x.pcap"), folder.path().join("x.har"));
    let mut peers = Peers::open();
    peers.client("GET /c HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n");
    peers.server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
    peers.server_says(ACK, b"\x81\x02hi");
    peers.close();
    fs::write(&capture, capture_of(&peers.seen)).unwrap();
    let events = ["--events", "exchange,websocket,flow,stats", "--output", "jsonl:-", "--output"];
    let output = Agent::read(&capture).args(events).args([&har]).run();
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    let stats = output.json_lines().pop().unwrap();
    let written = &stats["exchanges"]["outputs"];
    let expected = json!({
        "output": har, "exchanges": 1, "flows": 0, "messages": 0, "bytes": written[1]["bytes"],
        "left_out": {"exchanges": 0, "flows": 1, "messages": 1, "opened": 0, "data_bytes": 0},
    });
    assert_eq!(written[1], expected);
    let har = Schema::new().parse(&fs::read(&har).unwrap());
    assert_eq!(har["log"]["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn nothing_is_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("x.pcap");
    fs::write(&capture, capture_of([])).unwrap();
    let output = Agent::read(&capture).args(["--format", "har"]).run();
    let har = Schema::new().parse(output.stdout.as_bytes());
    assert_eq!(har["log"]["entries"], json!([]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_said_comes_out_valid(
        target in prop::collection::vec(any::<u8>(), 0..40),
        field in prop::collection::vec(any::<u8>(), 0..40),
        reason in prop::collection::vec(any::<u8>(), 0..20),
        body in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let schema = Schema::new();
        let len = format!("\r\nContent-Length: {}\r\n\r\n", body.len());
        for (name, kind) in [("Host", "a/b"), ("Cookie", "application/x-www-form-urlencoded")] {
            let mut peers = Peers::open();
            let kind = format!("\r\nContent-Type: {kind}");
            let request = [
                b"POST /", &target[..], b" HTTP/1.1\r\n", name.as_bytes(), b": ", &field,
                kind.as_bytes(), len.as_bytes(), &body,
            ];
            peers.client_says(ACK, &request.concat());
            let response = [
                b"HTTP/1.1 200 ", &reason[..], b"\r\nSet-Cookie: ", &field, b"\r\nLocation: ",
                &target, kind.as_bytes(), len.as_bytes(), &body,
            ];
            peers.server_says(ACK, &response.concat());
            peers.close();
            for settings in [settings(), open_settings()] {
                schema.parse(&har_of(&peers.seen, settings));
            }
        }
    }
}
