//! `flows`: what a capture has, a line per flow.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::agent::Agent;
use crate::support::pcap::ACK;
use crate::support::peers::{MS, Peers, Seen, capture_of};

fn write(folder: &TempDir, seen: &[Seen]) -> PathBuf {
    let file = folder.path().join("capture.pcap");
    fs::write(&file, capture_of(seen)).unwrap();
    file
}

fn flows(file: &Path) -> Agent {
    Agent::new().args(["flows".as_ref(), file.as_os_str()])
}

/// A flow that stays open and loses a segment, and one over IPv6 that comes later and ends earlier.
fn two_flows() -> Vec<Seen> {
    let mut long = Peers::open();
    long.client("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    long.server_says(ACK, &[b'x'; 1000]);
    long.unseen();
    long.client("and thanks");
    let mut short = Peers::between("[2001:db8::5]:7", "[2001:db8::1]:80");
    short.wait(100 * MS);
    short.handshake();
    for _ in 0..10 {
        short.client("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        short.server("HTTP/1.1 204 No Content\r\n\r\n");
    }
    short.close();
    let mut seen = [long.seen.clone(), short.seen].concat();
    let mut last = long.seen[4].clone();
    last.time += 10_000 * MS;
    seen.push(last);
    seen
}

#[test]
fn a_line_per_flow_in_aligned_columns_in_the_order_they_are_first_seen() {
    let folder = tempfile::tempdir().unwrap();
    let output = flows(&write(&folder, &two_flows())).run();
    let expected = "\
0  00:00:01.001  10.0.0.5:51234  → 10.0.0.1:80       still open  10005.00 ms  \
sent  38 B in  4 segments  received   0 B in  1 segment    1 exchange   [server: 1000 B not seen]
1  00:00:01.101  [2001:db8::5]:7 → [2001:db8::1]:80  closed         25.00 ms  \
sent 270 B in 12 segments  received 270 B in 12 segments  10 exchanges
";
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (expected, ""));
}

#[test]
fn json_lines_are_the_flows_of_the_contract_with_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder, &two_flows());
    let lines = flows(&file).args(["--format", "jsonl"]).run().json_lines();
    let [long, short] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&long["type"], &long["number"]), (&"flow".into(), &0.into()));
    assert_eq!((&long["close"], &short["close"]), (&"end".into(), &"fin".into()));
    assert_eq!((&short["number"], &short["exchanges"]), (&1.into(), &10.into()));
    assert_eq!(long["to_client"]["gap_bytes"], 1000);
    // The same objects as those of `read`.
    let read = Agent::read(&file).args(["--format", "jsonl", "--events", "flow"]).run();
    let mut of_read = read.json_lines();
    of_read.sort_by_key(|flow| flow["number"].as_u64());
    assert_eq!(lines, of_read);
}

#[test]
fn flows_are_numbered_as_follow_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut peers = Peers::open();
    let mut other = Peers::between("10.0.0.9:4", "10.0.0.1:8080");
    for n in 0..3 {
        peers.client(&format!("reused {n}"));
        peers.reopen();
        other.wait(20 * MS);
        other.client(&format!("other {n}"));
    }
    let mut seen = [peers.seen, other.seen].concat();
    seen.sort_by_key(|seen| seen.time);
    let file = write(&folder, &seen);
    for selection in [&["--port", "any"][..], &["--port", "80"], &["--host", "10.0.0.9"]] {
        let lines = flows(&file).args(["--format", "jsonl"]).args(selection).run().json_lines();
        assert!(!lines.is_empty());
        for (n, flow) in lines.iter().enumerate() {
            assert_eq!(flow["number"], n);
            let args = ["--stream", &n.to_string(), "--raw", "--side", "client"];
            let follow = Agent::new().args(["follow".as_ref(), file.as_os_str()]);
            let said = follow.args(args).args(selection).run();
            assert_eq!(said.status, Some(0), "{said:?}");
            assert_eq!(flow["to_server"]["bytes"], said.stdout.len(), "{said:?}");
        }
    }
}

#[test]
fn limits_hold_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let open = |port: u16| {
        let mut peers = Peers::between(&format!("10.0.0.5:{port}"), "10.0.0.1:80");
        peers.wait(u64::from(port) * MS);
        peers.client("said");
        peers.seen
    };
    let file = write(&folder, &(1..=100).flat_map(open).collect::<Vec<_>>());
    let closed = |args: &[&str]| {
        let flows = flows(&file).args(["--format", "jsonl"]).args(args).run().json_lines();
        assert_eq!(flows.len(), 100);
        flows.iter().filter(|flow| flow["close"] == "pressure").count()
    };
    assert_eq!(closed(&[]), 0);
    assert_eq!(closed(&["--max-flows", "60"]), 40);
    let pressed = closed(&["--memory-limit", "20KiB"]);
    assert!((1..100).contains(&pressed), "{pressed}");
}

#[test]
fn an_empty_capture_has_no_flows() {
    let folder = tempfile::tempdir().unwrap();
    let output = flows(&write(&folder, &[])).run();
    assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn a_damaged_file_gives_what_comes_before_and_status_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder, &two_flows());
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 10]).unwrap();
    let output = flows(&file).run();
    output.assert_fails(1, "ends in the middle of");
    assert_eq!(output.stdout.lines().count(), 2);
    flows(&folder.path().join("missing")).run().assert_fails(1, "missing");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let open = |port: u16| {
        let mut peers = Peers::between(&format!("10.0.0.5:{port}"), "10.0.0.1:80");
        peers.client("said");
        peers.seen
    };
    let file = write(&folder, &(1..=5_000).flat_map(open).collect::<Vec<_>>());
    for format in ["text", "jsonl"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_capture-agent"))
            .args(["flows".as_ref(), file.as_os_str()])
            .args(["--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(line.contains("10.0.0.5"), "{line}");
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{format}");
    }
}
