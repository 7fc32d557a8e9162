//! The command on capture files: what it writes, and how it ends.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::support::agent::Agent;
use crate::support::pcap::{Conversation, pcap_of};

/// A capture of `count` exchanges on one flow.
fn capture(folder: &Path, count: usize) -> PathBuf {
    let mut conversation = Conversation::new("10.0.0.5:51234", "10.0.0.1:80").open();
    for n in 0..count {
        let request = format!(
            "GET /{n}?q=\x1b[31m HTTP/1.1\r\nHost: example.com\r\nCookie: id=c2VjcmV0\r\n\r\n"
        );
        conversation = conversation
            .client_sends(request.replace('\x1b', "%1b").as_bytes())
            .server_sends(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello");
    }
    let file = folder.join("capture.pcap");
    fs::write(&file, pcap_of(&conversation.close().segments())).unwrap();
    file
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn text_is_a_line_an_exchange() {
    let folder = folder();
    let output = Agent::read(&capture(folder.path(), 2)).run();
    assert_eq!(output.status, Some(0), "{output:?}");
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 2);
    let (time, rest) = lines[0].split_once("  ").unwrap();
    assert_eq!(time.len(), "04:28:13.123".len());
    assert!(
        rest.starts_with(
            "10.0.0.5:51234 → 10.0.0.1:80  GET example.com/0?q=%1b[31m  200  text/plain  5 B  "
        ) && rest.ends_with(" ms"),
        "{rest}"
    );
    assert_eq!(output.ledger(), "2 exchanges on 1 flow, 14 packets seen");
}

#[test]
fn json_lines_have_the_fields_of_the_contract() {
    let folder = folder();
    let output = Agent::read(&capture(folder.path(), 1))
        .args(["--format", "jsonl", "--events", "exchange,flow,stats", "--bodies", "--quiet"])
        .run();
    assert_eq!((output.status, output.stderr.as_str()), (Some(0), ""));
    assert!(output.stdout.starts_with("{\"type\":\"exchange\",\"time\":\""));
    let [exchange, flow, stats] = &output.json_lines()[..] else { panic!("{}", output.stdout) };
    assert_eq!(exchange["client"]["ip"], "10.0.0.5");
    assert_eq!(exchange["client"]["port"], 51234);
    assert_eq!(exchange["request"]["method"], "GET");
    assert_eq!(exchange["request"]["target"], "/0?q=%1b[31m");
    assert_eq!(exchange["request"]["url"], "http://example.com/0?q=%1b[31m");
    assert_eq!(exchange["request"]["headers"][1]["name"], "Cookie");
    assert_eq!(exchange["request"]["headers"][1]["value"], "[redacted]");
    assert_eq!(exchange["response"]["status"], 200);
    assert_eq!(exchange["response"]["body"]["wire_bytes"], 5);
    assert_eq!(exchange["response"]["body"]["bytes"], 5);
    assert_eq!(exchange["response"]["body"]["text"], "hello");
    assert_eq!(exchange["response"]["state"], "complete");
    assert!(exchange["iface"].is_null());
    assert_eq!(flow["flow"], exchange["flow"]);
    assert_eq!(flow["close"], "fin");
    assert_eq!(flow["exchanges"], 1);
    assert_eq!(stats["packets"][0]["seen"], 10);
    assert_eq!(stats["exchanges"]["made"], 1);
    assert_eq!(stats["exchanges"]["outputs"][0]["exchanges"], 1);
}

#[test]
fn bodies_are_there_only_if_asked_for() {
    let folder = folder();
    let file = capture(folder.path(), 1);
    let output = Agent::read(&file).args(["--format", "jsonl"]).run();
    let body = &output.json_lines()[0]["response"]["body"];
    assert!(body["text"].is_null() && body["base64"].is_null(), "{body}");
    let output = Agent::read(&file).args(["--format", "jsonl", "--bodies=2B"]).run();
    let body = &output.json_lines()[0]["response"]["body"];
    assert_eq!((&body["text"], &body["truncated"]), (&"he".into(), &true.into()));
}

#[test]
fn secrets_are_shown_only_if_asked_for() {
    let folder = folder();
    let file = capture(folder.path(), 1);
    for format in ["text", "jsonl"] {
        let args = ["--format", format, "-vv", "--events", "exchange,flow,stats"];
        let hidden = Agent::read(&file).args(args).run();
        assert!(!hidden.stdout.contains("c2VjcmV0"), "{}", hidden.stdout);
        let shown = Agent::read(&file).args(args).args(["--show-secrets"]).run();
        assert!(shown.stdout.contains("c2VjcmV0"), "{}", shown.stdout);
    }
}

#[test]
fn verbose_text_has_heads_then_bodies() {
    let folder = folder();
    let file = capture(folder.path(), 1);
    let heads = Agent::read(&file).args(["-v"]).run().stdout;
    assert!(heads.contains("> GET /0?q=%1b[31m HTTP/1.1\n> Host: example.com\n"), "{heads}");
    assert!(heads.contains("< Content-Length: 5\n") && !heads.contains("hello"), "{heads}");
    let bodies = Agent::read(&file).args(["-vv"]).run().stdout;
    assert!(bodies.contains("< Content-Length: 5\n< \n< hello\n"), "{bodies}");
}

#[test]
fn verbose_text_says_how_much_of_a_body_it_leaves_out() {
    let folder = folder();
    let shown = |fields: &str, body: &[u8], args: &[&str]| {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
        let conversation = Conversation::new("10.0.0.5:51234", "10.0.0.1:80")
            .open()
            .client_sends(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            .server_sends(&[head.as_bytes(), body].concat())
            .close();
        let file = folder.path().join("body.pcap");
        fs::write(&file, pcap_of(&conversation.segments())).unwrap();
        Agent::read(&file).args(["-vv"]).args(args).run().stdout
    };
    let gzip = |body: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    };
    let coded = "Content-Encoding: gzip\r\n";
    // Shorter than what was sent, and all of it is there.
    let hello = shown(coded, &gzip(b"hello"), &[]);
    assert!(hello.contains("< hello\n\n") && !hello.contains("more"), "{hello}");
    // Longer than what was sent.
    let long = shown(coded, &gzip(&[b'x'; 1_000]), &["--bodies=100"]);
    assert!(long.contains(&format!("< {}\n< (900 bytes more)\n", "x".repeat(100))), "{long}");
    let binary = shown(coded, &gzip(&[0; 1_000]), &[]);
    assert!(binary.contains("< (488 bytes more)\n"), "{binary}");
    let plain = shown("", b"hello, world", &["--bodies=5"]);
    assert!(plain.contains("< hello\n< (7 bytes more)\n"), "{plain}");
    // A secret that is hidden is none that is left out.
    let form = shown(
        "Content-Type: application/x-www-form-urlencoded\r\n",
        b"password=correct-horse-battery-staple",
        &[],
    );
    assert!(!form.contains("staple") && !form.contains("more"), "{form}");
}

#[test]
fn count_ends_after_exactly_as_many() {
    let folder = folder();
    let output = Agent::read(&capture(folder.path(), 10))
        .args(["--count", "3", "--format", "jsonl", "--events", "exchange,stats"])
        .run();
    assert_eq!(output.status, Some(0));
    let lines = output.json_lines();
    assert_eq!(lines.len(), 4);
    let exchanges = &lines[3]["exchanges"];
    assert_eq!(exchanges["outputs"][0]["exchanges"], 3);
    let sum = exchanges["dropped"].as_u64().unwrap() + exchanges["unwanted"].as_u64().unwrap() + 3;
    assert_eq!(exchanges["made"], sum);
}

#[test]
fn outputs_are_files_in_the_format_of_their_names() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let output = Agent::read(&capture(folder.path(), 2))
        .args(["--output", &path("x.jsonl"), "--output", &path("x.txt"), "--output", "-"])
        .run();
    assert_eq!(output.status, Some(0), "{output:?}");
    let text = fs::read_to_string(path("x.txt")).unwrap();
    assert_eq!(text, output.stdout);
    assert_eq!(fs::read_to_string(path("x.jsonl")).unwrap().lines().count(), 2);
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(path("x.jsonl")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn stats_come_at_intervals_of_packet_time() {
    let folder = folder();
    let output = Agent::read(&capture(folder.path(), 50))
        .args(["--events", "stats", "--format", "jsonl", "--stats-interval", "1ms"])
        .run();
    let lines = output.json_lines();
    assert!(lines.len() > 1, "{}", output.stdout);
    let made: Vec<_> = lines.iter().map(|line| line["exchanges"]["made"].as_u64()).collect();
    assert!(made.is_sorted(), "{made:?}");
    assert_eq!(made.last(), Some(&Some(50)));
}

#[test]
fn called_wrongly_is_status_2_and_says_what_is_wrong() {
    let cases: [(&[&str], &str); 10] = [
        (&["read", "x", "--port", "http"], "'http' is not a port"),
        (&["run", "--port", "90-80"], "ends before it begins"),
        (&["read", "x", "--host", "example.com"], "not an IP address or a network"),
        (&["read", "x", "--host", "10.0.0.0/40"], "longer than the address"),
        (&["read", "x", "--output", "x.doc"], "cannot tell the format of 'x.doc'"),
        (&["read", "x", "--bodies=lots"], "--bodies"),
        (&["read", "x", "--flow-timeout", "soon"], "'soon' is not a time"),
        (&["read", "x", "--count", "0"], "--count"),
        (&["read"], "FILE"),
        (&["listen"], "unrecognized subcommand"),
    ];
    for (args, says) in cases {
        Agent::new().args(args).run().assert_fails(2, says);
    }
}

#[test]
fn a_damaged_file_is_status_1_after_what_came_before() {
    let folder = folder();
    let file = capture(folder.path(), 3);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 200]).unwrap();
    let output = Agent::read(&file).run();
    output.assert_fails(1, "ends in the middle of");
    assert_eq!(output.stdout.lines().count(), 3, "{}", output.stdout);

    fs::write(&file, "this is not a capture, whatever its name says").unwrap();
    Agent::read(&file).run().assert_fails(1, "capture.pcap");
    Agent::read(&folder.path().join("missing")).run().assert_fails(1, "missing");
    Agent::read(folder.path()).run().assert_fails(1, "directory");
}

#[test]
fn an_output_that_cannot_be_written_is_status_1() {
    let folder = folder();
    let file = capture(folder.path(), 3);
    let missing = folder.path().join("no/such/folder/x.jsonl");
    Agent::read(&file)
        .args(["--output".as_ref(), missing.as_os_str()])
        .run()
        .assert_fails(1, "cannot write to");
    let full = folder.path().join("full.jsonl");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    Agent::read(&file)
        .args(["--output".as_ref(), full.as_os_str()])
        .run()
        .assert_fails(1, "No space left on device");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let folder = folder();
    let file = capture(folder.path(), 5_000);
    let mut child = Command::new(env!("CARGO_BIN_EXE_capture-agent"))
        .args(["read", "--format", "jsonl", file.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert!(line.starts_with("{\"type\":\"exchange\""));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn standard_input_and_several_files_are_one_capture() {
    let folder = folder();
    let file = capture(folder.path(), 2);
    let output = Agent::new().args(["read", "-"]).stdin(&file).run();
    assert_eq!(output.stdout.lines().count(), 2, "{output:?}");
    // A connection that goes on from one file to the next is one flow.
    let segments = {
        let conversation = Conversation::new("10.0.0.5:51234", "10.0.0.1:80")
            .open()
            .client_sends(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
            .server_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        conversation.close().segments()
    };
    let halves = segments.split_at(5);
    let (one, two) = (folder.path().join("1.pcap"), folder.path().join("2.pcap"));
    fs::write(&one, pcap_of(halves.0)).unwrap();
    fs::write(&two, pcap_of(halves.1)).unwrap();
    let output = Agent::read(&one).args([&two]).run();
    assert_eq!(output.ledger(), "1 exchange on 1 flow, 10 packets seen");
}
