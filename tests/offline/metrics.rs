//! What is counted of exchanges in sum: by class, by method, and how long they took; and that it can be
//! asked for while a file is read.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::pcap::{Conversation, Tcp, pcap_of};
use crate::support::{scrape, wait};

/// One exchange of each kind that is told apart.
const KINDS: [(&str, &str); 8] = [
    ("GET", "200"),
    ("GET", "304"),
    ("POST", "404"),
    ("PATCH", "503"),
    ("PURGE", "799"),
    ("get", "200"),
    ("GET", ""),
    ("", "204"),
];

fn exchange(port: usize, method: &str, status: &str) -> Vec<Tcp> {
    let mut conversation = Conversation::new(&format!("10.0.0.5:{port}"), "10.0.0.1:80").open();
    if !method.is_empty() {
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        let request = format!("{method} /a HTTP/1.1\r\nHost: h\r\n{length}\r\n");
        conversation = conversation.client_sends(request.as_bytes());
    }
    if !status.is_empty() {
        let response = format!("HTTP/1.1 {status} R\r\nContent-Length: 0\r\n\r\n");
        conversation = conversation.server_sends(response.as_bytes());
    }
    conversation.close().segments()
}

/// A capture with all of them.
fn capture() -> Vec<u8> {
    let kinds = (50_001..).zip(KINDS);
    let segments: Vec<_> =
        kinds.flat_map(|(port, (method, status))| exchange(port, method, status)).collect();
    pcap_of(&segments)
}

/// The last ledger of what is read with `arguments`.
fn ledger(arguments: &[&str]) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), capture()).unwrap();
    let output = Agent::read(file.path()).args(["--format", "jsonl"]).args(arguments).run();
    assert_eq!(output.status, Some(0), "{output:?}");
    // That it balances, these exchanges included, was seen to.
    output.json_lines().pop().unwrap()
}

/// The counters of an object that are not 0.
fn counted(counters: &Value) -> Value {
    let counters = counters.as_object().unwrap().clone().into_iter();
    Value::Object(counters.filter(|(_, count)| *count != 0).collect())
}

#[test]
fn exchanges_are_counted_by_class_and_method() {
    let ledger = ledger(&["--events", "exchange,stats"]);
    let classes = json!({"2xx": 3, "3xx": 1, "4xx": 1, "5xx": 1, "other": 1, "none": 1});
    assert_eq!(counted(&ledger["http"]["status"]), classes);
    let methods = json!({"GET": 3, "POST": 1, "PATCH": 1, "other": 2, "none": 1});
    assert_eq!(counted(&ledger["http"]["method"]), methods);
    // Of two of them one end is not known.
    for span in ["total", "wait"] {
        let histogram = &ledger["http"][span];
        assert_eq!(histogram["count"], 6, "{histogram}");
        let buckets = histogram["buckets"].as_array().unwrap();
        let sum: u64 = buckets.iter().map(|bucket| bucket["count"].as_u64().unwrap()).sum();
        assert_eq!(sum, 6, "{histogram}");
        assert_eq!(buckets.last().unwrap()["le_us"], Value::Null);
    }
}

#[test]
fn what_is_not_asked_for_is_not_counted_and_what_is_not_shown_is() {
    let filtered = ledger(&["--events", "exchange,stats", "--where", "response.status >= 400"]);
    let classes = json!({"4xx": 1, "5xx": 1, "other": 1});
    assert_eq!(counted(&filtered["http"]["status"]), classes);
    let first = ledger(&["--events", "exchange,stats", "--count", "2"]);
    assert_eq!(counted(&first["http"]["method"]), json!({"GET": 2}));
    let unseen = ledger(&["--events", "stats"]);
    assert_eq!(unseen["exchanges"]["unwanted"], KINDS.len());
    assert_eq!(unseen["exchanges"]["beyond_count"], 0);
    assert_eq!(counted(&unseen["http"]["status"])["2xx"], 3);
}

#[test]
fn where_it_cannot_listen_it_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (address, says) in
        [(taken.as_str(), "give another one"), ("192.0.2.1:80", "an address that this host has")]
    {
        let output = Agent::read(Path::new("none")).args(["--metrics", address]).run();
        output.assert_fails(1, says);
        assert!(!output.stderr.contains("take root"), "{}", output.stderr);
    }
}

#[test]
fn they_can_be_asked_for_while_a_pipe_is_silent() {
    for threads in ["1", "2", "4"] {
        let mut agent = Command::new(env!("CARGO_BIN_EXE_capture-agent"))
            .args(["read", "-", "--format", "jsonl", "--metrics", "0", "--threads", threads])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = agent.stdin.take().unwrap();
        stdin.write_all(&capture()).unwrap();
        stdin.flush().unwrap();
        let mut said = Vec::new();
        let mut stderr = agent.stderr.take().unwrap();
        while !said.ends_with(b"\n") {
            let mut byte = [0];
            assert_eq!(stderr.read(&mut byte).unwrap(), 1);
            said.push(byte[0]);
        }
        let address = scrape::address(str::from_utf8(&said).unwrap()).unwrap();
        // What no end of its flow has shown to be over is not counted yet.
        let counted = "capture_http_exchanges_total{method=\"PATCH\",status=\"5xx\"} 1";
        let written = "event=\"exchange\",result=\"written\"} 8";
        wait::until("what was read is served", || {
            let answer = scrape::get(address, "/metrics", scrape::TEXT);
            answer.body.contains(counted) && answer.body.contains(written)
        });
        assert_eq!(scrape::get(address, "/healthz", "*/*").status, 200);
        drop(stdin);
        assert!(agent.wait().unwrap().success());
    }
}
