//! `follow`: one conversation out of a capture.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::agent::Agent;
use crate::support::pcap::ACK;
use crate::support::peers::{MS, Peers, Seen, capture_of};

const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// A capture file in a folder that goes with it.
struct Capture {
    file: PathBuf,
    _folder: TempDir,
}

impl Capture {
    fn of(seen: &[Seen]) -> Self {
        Self::new(&capture_of(seen))
    }

    fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("capture.pcap");
        fs::write(&file, bytes).unwrap();
        Self { file, _folder: folder }
    }

    fn follow(&self, args: &[&str]) -> Agent {
        Agent::new().args(["follow".as_ref(), self.file.as_os_str()]).args(args)
    }

    /// What `--stream 0 --raw` writes.
    fn raw(&self, args: &[&str]) -> Vec<u8> {
        self.follow(&["--stream", "0", "--raw"]).args(args).run_bytes().0
    }
}

/// Bytes of every value, different at every place.
fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n ^ n >> 8) as u8).collect()
}

/// Three parts of 100 bytes that the server says, at 3, 4 and 5 of what is seen.
fn three_parts() -> Peers {
    let mut peers = Peers::open();
    for part in bytes(300).chunks(100) {
        peers.server_says(ACK, part);
    }
    peers
}

#[test]
fn raw_is_what_was_said_in_the_order_it_was_said() {
    // The server's sequence numbers wrap within this.
    let answer = bytes(3_000);
    let mut peers = Peers::open();
    peers.client(REQUEST);
    for part in answer.chunks(500) {
        peers.server_says(ACK, part);
    }
    peers.client("more");
    peers.server("end");
    peers.close();
    let capture = Capture::of(&peers.seen);
    let both = [REQUEST.as_bytes(), &answer, b"moreend"].concat();
    assert_eq!(capture.raw(&[]), both);
    assert_eq!(capture.raw(&["--side", "both"]), both);
    assert_eq!(capture.raw(&["--side", "client"]), [REQUEST.as_bytes(), b"more"].concat());
    assert_eq!(capture.raw(&["--side", "server"]), [&answer[..], b"end"].concat());
}

#[test]
fn raw_is_in_order_and_each_byte_once_whatever_the_network_did() {
    let (whole, mut seen) = (bytes(300), three_parts().seen);
    seen.swap(3, 4);
    let mut overlapping = seen[3].clone();
    overlapping.tcp.seq = overlapping.tcp.seq.wrapping_sub(50);
    overlapping.tcp.payload = whole[50..250].to_vec();
    seen.insert(4, overlapping);
    let again = seen[5].clone();
    seen.push(again);
    assert_eq!(Capture::of(&seen).raw(&[]), whole);
    let mut seen = three_parts().seen;
    seen[3..].reverse();
    assert_eq!(Capture::of(&seen).raw(&[]), whole);
}

#[test]
fn bytes_that_were_not_seen_are_named_and_nothing_stands_for_them() {
    let mut peers = three_parts();
    let whole = bytes(300);
    peers.seen.remove(4);
    peers.client("thanks");
    let capture = Capture::of(&peers.seen);
    let seen = [&whole[..100], &whole[200..], b"thanks"].concat();
    assert_eq!(capture.raw(&[]), seen);
    let args = ["--stream", "0", "--raw", "--side", "server"];
    let told = capture.follow(&args).run_bytes().1;
    assert_eq!(told, "not seen: 100 B of the server, from its byte 100 on\n");
    let output = capture.follow(&["--stream", "0", "--raw", "--side", "client"]).run();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("thanks", ""));

    let text = capture.follow(&["--stream", "0"]).run().stdout;
    assert!(text.contains("\n[server: 100 bytes not seen]\n< "), "{text}");
    let hex = capture.follow(&["--stream", "0", "--hex"]).run().stdout;
    assert!(hex.contains("\n    [server: 100 bytes not seen]\n    000000c8  "), "{hex}");
}

#[test]
fn text_has_a_line_a_line_and_the_sides_apart() {
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.server("HTTP/1.1 200 OK\r\nX: \x1b[31m\r\n\r\n");
    peers.server("half a line, ");
    peers.server("and its end");
    peers.client_resets();
    let capture = Capture::of(&peers.seen);
    let text = capture.follow(&["--stream", "0"]).run().stdout;
    let expected = "\
stream 0  10.0.0.5:51234 → 10.0.0.1:80
> GET /a HTTP/1.1
> Host: h
> \n\
< HTTP/1.1 200 OK
< X: \\x1b[31m
< \n\
< half a line, and its end
[reset]
";
    assert_eq!(text, expected);
    let text = capture.follow(&["--stream", "0", "--side", "client"]).run().stdout;
    let lines: Vec<_> = text.lines().skip(1).collect();
    assert_eq!(lines, ["> GET /a HTTP/1.1", "> Host: h", "> ", "[reset]"]);
}

#[test]
fn hex_has_offsets_of_each_side_and_a_line_for_each_segment() {
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.server("no\r\n");
    peers.server("0123456789abcdef\x7f");
    peers.client("x");
    let text = Capture::of(&peers.seen).follow(&["--stream", "0", "--hex"]).run().stdout;
    let expected = "\
stream 0  10.0.0.5:51234 → 10.0.0.1:80
00000000  47 45 54 20 2f 61 20 48  54 54 50 2f 31 2e 31 0d  GET /a HTTP/1.1.
00000010  0a 48 6f 73 74 3a 20 68  0d 0a 0d 0a              .Host: h....
    00000000  6e 6f 0d 0a                                       no..
    00000004  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  0123456789abcdef
    00000014  7f                                                .
0000001c  78                                                x
[still open]
";
    assert_eq!(text, expected);
}

#[test]
fn a_flow_is_named_by_its_ends_in_either_order() {
    let mut v4 = Peers::open();
    v4.client("four");
    let mut v6 = Peers::between("[2001:db8::5]:51234", "[2001:db8::1]:80");
    v6.handshake();
    v6.client("six");
    let capture = Capture::of(&[v4.seen, v6.seen].concat());
    for (flow, said) in [
        ("10.0.0.5:51234-10.0.0.1:80", "four"),
        ("10.0.0.1:80-10.0.0.5:51234", "four"),
        ("[2001:db8::5]:51234-[2001:db8::1]:80", "six"),
        ("[2001:db8::1]:80-[2001:db8::5]:51234", "six"),
    ] {
        let output = capture.follow(&["--flow", flow, "--raw"]).run();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (said, ""), "{flow}");
    }
}

#[test]
fn a_tuple_that_is_used_again_is_a_stream_of_its_own() {
    let mut peers = Peers::open();
    for said in ["first", "second", "third"] {
        peers.client(said);
        peers.reopen();
    }
    let capture = Capture::of(&peers.seen);
    for (stream, said) in [("0", "first"), ("1", "second"), ("2", "third"), ("3", "")] {
        let output = capture.follow(&["--stream", stream, "--raw"]).run();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (said, ""));
    }
    let output = capture.follow(&["--flow", "10.0.0.1:80-10.0.0.5:51234", "--raw"]).run();
    assert_eq!(output.stdout, "first");
    assert_eq!(
        output.stderr,
        "stream 0 is the first of 4 flows between 10.0.0.1:80 and 10.0.0.5:51234; the next is 1\n"
    );
}

#[test]
fn a_flow_that_is_not_there_is_status_1() {
    let capture = Capture::of(&three_parts().seen);
    let output = capture.follow(&["--stream", "1"]).run();
    output.assert_fails(1, "there is no stream 1: 1 flow was seen, number 0");
    assert_eq!(output.stdout, "");
    let missing = "there is no flow between 10.0.0.5:51234 and 10.0.0.1:81: 1 flow was seen";
    capture.follow(&["--flow", "10.0.0.5:51234-10.0.0.1:81"]).run().assert_fails(1, missing);
    let args = ["--stream", "0", "--port", "8080"];
    capture.follow(&args).run().assert_fails(1, "there is no stream 0: no flow was seen");
    let args = ["follow", "missing.pcap", "--stream", "0"];
    Agent::new().args(args).run().assert_fails(1, "missing.pcap");
}

#[test]
fn called_wrongly_is_status_2_and_says_what_is_wrong() {
    let cases: [(&[&str], &str); 9] = [
        (&[], "<--stream <N>|--flow <A:P-B:P>>"),
        (&["--stream", "0", "--flow", "10.0.0.5:1-10.0.0.1:80"], "cannot be used with"),
        (&["--stream", "first"], "--stream"),
        (&["--flow", "10.0.0.5-10.0.0.1"], "not two ends like"),
        (&["--stream", "0", "--raw", "--hex"], "cannot be used with"),
        (&["--stream", "0", "--side", "left"], "--side"),
        (&["--stream", "0", "--overlap", "best"], "--overlap"),
        (&["--stream", "0", "--memory-limit", "0"], "'0' is not a size"),
        (&["--stream", "0", "--hole-time", "soon"], "'soon' is not a time"),
    ];
    for (args, says) in cases {
        Agent::new().args(["follow", "x.pcap"]).args(args).run().assert_fails(2, says);
    }
}

#[test]
fn a_damaged_file_gives_what_comes_before_and_status_1() {
    let bytes = capture_of(&three_parts().seen);
    let capture = Capture::new(&bytes[..bytes.len() - 10]);
    let output = capture.follow(&["--stream", "0"]).run();
    output.assert_fails(1, "ends in the middle of");
    assert_eq!(output.stdout.lines().last(), Some("[still open]"));
    let output = capture.follow(&["--stream", "7"]).run();
    output.assert_fails(1, "there is no stream 7: 1 flow was seen, number 0: ");
    output.assert_fails(1, "ends in the middle of");
}

#[test]
fn a_file_is_read_no_further_than_the_end_of_the_stream() {
    let mut peers = Peers::open();
    peers.client("all");
    peers.close();
    let mut other = Peers::between("10.0.0.6:1", "10.0.0.1:80");
    other.wait(10_000 * MS);
    other.handshake();
    let mut bytes = capture_of(&[peers.seen, other.seen].concat());
    bytes.extend(b"damage");
    let capture = Capture::new(&bytes);
    let output = capture.follow(&["--stream", "0", "--raw"]).run();
    assert_eq!((output.status, output.stdout.as_str()), (Some(0), "all"));
    // Whether others follow between the same ends is known at the end alone.
    let output = capture.follow(&["--flow", "10.0.0.5:51234-10.0.0.1:80", "--raw"]).run();
    assert_eq!((output.status, output.stdout.as_str()), (Some(1), "all"));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let mut peers = Peers::open();
    for _ in 0..2_000 {
        peers.server("one line of many that the server says\n");
    }
    let capture = Capture::of(&peers.seen);
    for form in ["--side=both", "--hex", "--raw"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_capture-agent"))
            .args(["follow".as_ref(), capture.file.as_os_str()])
            .args(["--stream", "0", form])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(!line.is_empty());
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{form}");
    }
}

#[test]
fn standard_input_is_a_capture_too() {
    let mut peers = Peers::open();
    peers.client("hi");
    let capture = Capture::of(&peers.seen);
    let output = Agent::new().args(["follow", "-", "--stream", "0", "--raw"]).stdin(&capture.file);
    assert_eq!(output.run().stdout, "hi");
}

#[test]
fn the_copy_that_stands_is_a_setting() {
    let mut peers = three_parts();
    let mut other = peers.seen[4].clone();
    other.tcp.payload.fill(b'x');
    // Both copies of the second part come before the first part.
    let first = peers.seen.remove(3);
    peers.seen.insert(4, other);
    peers.seen.push(first);
    let (capture, whole) = (Capture::of(&peers.seen), bytes(300));
    let last = [&whole[..100], &[b'x'; 100], &whole[200..]].concat();
    assert_eq!(capture.raw(&["--overlap", "first"]), whole);
    assert_eq!(capture.raw(&[]), whole);
    assert_eq!(capture.raw(&["--overlap", "last"]), last);
}

#[test]
fn bytes_wait_for_their_acknowledgement_if_asked_to() {
    let mut peers = Peers::open();
    peers.server("of the server");
    peers.client_pipelines("of the client, ");
    peers.server_says(ACK, b"");
    peers.client_says(ACK, b"");
    let capture = Capture::of(&peers.seen);
    assert_eq!(capture.raw(&[]), b"of the serverof the client, ");
    assert_eq!(capture.raw(&["--deliver", "acked"]), b"of the client, of the server");
}

#[test]
fn how_long_and_how_much_waits_behind_a_hole_are_settings() {
    let mut peers = three_parts();
    let late = peers.seen.remove(3);
    let mut beside = Peers::between("10.0.0.6:1", "10.0.0.1:80");
    beside.wait(5_000 * MS);
    beside.client_says(ACK, b"time goes on");
    peers.seen.extend(beside.seen);
    peers.seen.push(Seen { time: late.time + 6_000 * MS, ..late });
    let (capture, whole) = (Capture::of(&peers.seen), bytes(300));
    assert_eq!(capture.raw(&[]), whole);
    assert_eq!(capture.raw(&["--hole-time", "6s"]), whole);
    assert_eq!(capture.raw(&["--hole-time", "4s"]), whole[100..]);
    assert_eq!(capture.raw(&["--hole-bytes", "0"]), whole[100..]);
}
