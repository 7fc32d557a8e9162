//! What is said at the end, and on a terminal while capture files are read.

use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use crate::support::agent::{Agent, Output};
use crate::support::pcap::{Conversation, pcap_of};
use crate::support::process::Process;
use crate::support::wait;

/// A capture of these requests and statuses on one flow.
fn capture(folder: &Path, exchanges: impl IntoIterator<Item = (String, u16)>) -> PathBuf {
    let mut conversation = Conversation::new("10.0.0.5:51234", "10.0.0.1:80").open();
    for (target, status) in exchanges {
        let request = format!("GET {target} HTTP/1.1\r\nHost: Shop.example\r\n\r\n");
        let response = format!("HTTP/1.1 {status} Yes\r\nContent-Length: 5\r\n\r\nhello");
        conversation =
            conversation.client_sends(request.as_bytes()).server_sends(response.as_bytes());
    }
    let file = folder.join("capture.pcap");
    fs::write(&file, pcap_of(&conversation.close().segments())).unwrap();
    file
}

fn read(exchanges: &[(&str, u16)], arguments: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    let exchanges = exchanges.iter().map(|(target, status)| ((*target).to_owned(), *status));
    Agent::read(&capture(folder.path(), exchanges)).args(arguments).run()
}

/// The figures of the line of an endpoint.
#[track_caller]
fn figures<'a>(output: &'a Output, name: &str) -> Vec<&'a str> {
    let line = output.stderr.lines().find_map(|line| line.trim_start().strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name}: {}", output.stderr)).split_ascii_whitespace().collect()
}

#[test]
fn the_summary_tells_classes_and_endpoints() {
    let shop = [
        ("/items/1?from=mail", 200),
        ("/items/2", 200),
        ("/items/3", 404),
        ("/cart;jsessionid=0A1B2C3D", 503),
    ];
    let output = read(&shop, &[]);
    let lines: Vec<_> = output.stderr.lines().collect();
    assert_eq!(lines[0], "4 exchanges on 1 flow, 22 packets seen");
    assert_eq!(lines[1], "  2xx: 2 (50%), 4xx: 1 (25%), 5xx: 1 (25%)");
    let headings: Vec<_> = lines[2].split_ascii_whitespace().collect();
    assert_eq!(headings, ["endpoints", "count", "4xx", "5xx", "median", "95%", "longest"]);
    assert_eq!(figures(&output, "GET shop.example/items/{id}")[..3], ["3", "1", "-"]);
    assert_eq!(figures(&output, "GET shop.example/cart")[..3], ["1", "-", "1"]);
    assert_eq!(figures(&output, "all")[..3], ["4", "1", "1"]);
    assert_eq!(lines.len(), 6, "{}", output.stderr);
}

#[test]
fn only_what_passes_is_in_the_summary() {
    let output =
        read(&[("/a", 200), ("/b", 500), ("/b", 502)], &["--where", "response.status >= 500"]);
    assert_eq!(output.ledger(), "3 exchanges on 1 flow, 18 packets seen, 1 exchange filtered out");
    assert!(output.stderr.contains("5xx: 2 (100%)"), "{}", output.stderr);
    assert!(!output.stderr.contains("/a"), "{}", output.stderr);
    let counted = read(&[("/a", 200), ("/b", 500), ("/b", 502)], &["--count", "2"]);
    assert_eq!(figures(&counted, "GET shop.example/b")[..1], ["1"]);
    let quiet = read(&[("/a", 200)], &["--quiet"]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn that_nobody_hears_the_summary_is_no_failure() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), [("/a".to_owned(), 200)]);
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    for stderr in [Stdio::from(full()), closed.into()] {
        let mut agent = Agent::read(&file).args(["--metrics", "0"]).into_command();
        let output = agent.stderr(stderr).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(0), false));
    }
    let mut agent = Agent::read(&folder.path().join("none")).into_command();
    assert_eq!(agent.stderr(full()).status().unwrap().code(), Some(1));
}

#[test]
fn where_endpoints_are_too_many_to_tell_any_apart_it_says_so() {
    let folder = TempDir::new().unwrap();
    // Requests alone, as where one direction was captured: no time by which one stays in the table.
    let letters = |number: u16| number.to_string().bytes().map(|it| char::from(it + 49)).collect();
    let flows = (0..1_025).flat_map(|number| {
        let target: String = letters(number);
        let request = format!("GET /{target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let client = format!("10.0.0.5:{}", 20_000 + number);
        let conversation = Conversation::new(&client, "10.0.0.1:80").open();
        conversation.client_sends(request.as_bytes()).close().segments()
    });
    let file = folder.path().join("capture.pcap");
    fs::write(&file, pcap_of(&flows.collect::<Vec<_>>())).unwrap();
    let output = Agent::read(&file).run();
    assert_eq!(figures(&output, "all"), ["1025"]);
    let says = "too many endpoints to tell any apart: none has more than 1 exchange.";
    assert!(output.stderr.contains(says), "{}", output.stderr);
}

#[test]
fn what_was_lost_comes_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let mut segments = Conversation::new("10.0.0.5:51234", "10.0.0.1:80")
        .open()
        .client_sends(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
        .server_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        .server_sends(b"hello")
        .server_sends(b"world")
        .close()
        .segments();
    segments.retain(|segment| segment.payload != b"hello");
    let file = folder.path().join("capture.pcap");
    fs::write(&file, pcap_of(&segments)).unwrap();
    let output = Agent::read(&file).run();
    let lines: Vec<_> = output.stderr.lines().collect();
    let lost = lines.iter().position(|line| *line == "5 bytes sent but not seen");
    let advice = lost.and_then(|at| lines.get(at + 1)).unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(advice.starts_with("  ") && advice.contains("tcpdump"), "{advice}");
}

#[test]
fn where_nothing_came_out_it_says_why() {
    for (arguments, why) in [
        (&["--port", "81"][..], "of other ports: --port takes them"),
        (&["--host", "192.0.2.1"], "of other hosts than --host"),
    ] {
        let output = read(&[("/a", 200)], arguments);
        assert_eq!(output.ledger(), "0 exchanges on 0 flows, 10 packets seen");
        assert!(output.stderr.contains(why), "{}", output.stderr);
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("capture.pcap");
    let tls = Conversation::new("10.0.0.5:51234", "10.0.0.1:443").open();
    let tls = tls.client_sends(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").close();
    fs::write(&file, pcap_of(&tls.segments())).unwrap();
    let output = Agent::read(&file).run();
    assert!(output.stderr.contains("no HTTP/1 in it"), "{}", output.stderr);
}

#[test]
fn while_files_are_read_a_line_on_the_terminal_tells_how_far() {
    let folder = TempDir::new().unwrap();
    let many = (0..3_000).map(|n| (format!("/items/{n}"), 200));
    let file = capture(folder.path(), many);
    let fifo = folder.path().join("fifo");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
    let reading = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).unwrap();
    // The agent on a terminal; what it writes goes elsewhere, and waits for who reads.
    let agent = env!("CARGO_BIN_EXE_capture-agent");
    let (file, fifo) = (file.display(), fifo.display());
    let call = format!("stty cols 80 rows 24; exec {agent} read {file} --output jsonl:{fifo}");
    let mut command = Command::new("script");
    command.args(["-qec", &call, "/dev/null"]).env("TERM", "xterm").env("LANG", "C.UTF-8");
    let terminal = Process::start(&mut command);
    let shown = || String::from_utf8_lossy(&terminal.stdout()).into_owned();
    wait::until("how far it is", || shown().contains("%, ") && shown().contains(" left"));
    // Of what was read before it was first shown, there is a rate.
    assert!(!shown().contains(" 0 B/s"), "{}", shown());
    let drained = std::thread::spawn(move || drain(reading));
    let ended = terminal.wait();
    let lines = drained.join().unwrap();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(lines, 3_000);
    // Nothing of it stays.
    let shown = String::from_utf8(ended.stdout).unwrap();
    let stays: Vec<_> =
        shown.split("\r\n").map(|line| line.rsplit("\x1b[2K").next().unwrap()).collect();
    assert_eq!(stays[0], "3000 exchanges on 1 flow, 12006 packets seen", "{stays:#?}");
}

/// Reads to the end of what was opened to return at once; how many lines there were.
fn drain(mut reading: fs::File) -> usize {
    let mut chunk = vec![0; 1 << 16];
    let mut lines = 0;
    loop {
        match reading.read(&mut chunk) {
            Ok(0) => return lines,
            Ok(count) => lines += chunk[..count].iter().filter(|byte| **byte == b'\n').count(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
}
