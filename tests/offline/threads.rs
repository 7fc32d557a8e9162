//! `read --threads`: however many there are, what is written is the same to the byte.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::support::agent::Agent;
use crate::support::network::Dice;
use crate::support::packets::{Family, UDP, fragments, ip, udp};
use crate::support::pcap::{
    Conversation, ETHERNET, IF_NAME, Order, Pcap, Pcapng, RAW_IP, Tcp, Variant, ethernet,
};

const THREADS: [&str; 5] = ["1", "2", "3", "4", "8"];
/// So many that neither what is read ahead nor what is written together takes them all at once.
const FLOWS: u16 = 40;
const EXCHANGES: usize = 40;

/// What is asked and answered on one of the flows.
fn conversation(flow: u16, dice: &mut Dice) -> Vec<Tcp> {
    let client = format!("10.0.{}.{}:{}", flow / 250, flow % 250 + 1, 20_000 + flow);
    let mut conversation = Conversation::new(&client, "10.1.0.1:80").open();
    for n in 0..EXCHANGES {
        let request = format!("GET /{flow}/{n} HTTP/1.1\r\nHost: example.com\r\n\r\n");
        let body = "0123456789".repeat(usize::try_from(dice.roll(300)).unwrap());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        conversation =
            conversation.client_sends(request.as_bytes()).server_sends((head + &body).as_bytes());
    }
    if flow.is_multiple_of(3) { conversation } else { conversation.close() }.segments()
}

/// Frames of many flows in turn, with some lost, some in fragments, and others between them.
fn frames() -> Vec<Vec<u8>> {
    let mut dice = Dice(7);
    let mut flows: Vec<_> =
        (0..FLOWS).map(|flow| conversation(flow, &mut dice).into_iter().peekable()).collect();
    let mut frames = Vec::new();
    while flows.iter_mut().any(|flow| flow.peek().is_some()) {
        let flow = usize::try_from(dice.roll(u64::from(FLOWS))).unwrap();
        let Some(segment) = flows[flow].next() else { continue };
        match dice.roll(100) {
            0 => {} // lost
            1..=4 => {
                let id = u16::try_from(frames.len() % 60_000).unwrap();
                let parts = fragments(&segment.ip(), id, 512);
                frames.extend(parts.iter().map(|part| ethernet(&[], part)));
            }
            5..=19 => {
                frames.push(ethernet(&[], &ip(Family::V4, UDP, &udp(53, b"a question"))));
                frames.push(segment.ethernet());
            }
            _ => frames.push(segment.ethernet()),
        }
    }
    frames
}

/// Capture files, by what is special about them.
pub(super) fn captures(folder: &Path) -> Vec<(&'static str, Vec<PathBuf>)> {
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let times = (1_700_000_000_000_000_000..).step_by(100_000);
    let timed: Vec<_> = times.zip(frames()).collect();
    let pcap = |frames: &[(u64, Vec<u8>)]| {
        let file = Pcap::new(Order::Little, Variant::Nanos, ETHERNET);
        frames.iter().fold(file, |file, (time, frame)| file.packet(*time, frame)).bytes()
    };
    let whole = pcap(&timed);
    let (one, other) = timed.split_at(timed.len() / 2);

    let mut damaged = whole.clone();
    damaged.truncate(whole.len() / 2);
    damaged.extend([0xff; 64]);

    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&whole).unwrap();

    // USB beside Ethernet: its packets are left out, and that is said at the end.
    let interfaces: [(u16, &[u8]); 3] = [(ETHERNET, b"eth0"), (189, b"usb0"), (RAW_IP, b"tun0")];
    let pcapng = interfaces.iter().fold(Pcapng::new(Order::Little), |file, (link, name)| {
        file.interface(*link, 0, &[(IF_NAME, name)])
    });
    let pcapng = timed.iter().enumerate().fold(pcapng, |file, (n, (time, frame))| {
        let (iface, frame) = match n % 10 {
            3 if n > 2_000 => (1, &frame[..]),
            5 => (2, &frame[14..]),
            _ => (0, &frame[..]),
        };
        file.packet(iface, time / 1_000, frame, frame.len())
    });

    vec![
        ("whole", vec![file("whole.pcap", &whole)]),
        ("in two files", vec![file("1.pcap", &pcap(one)), file("2.pcap", &pcap(other))]),
        ("damaged", vec![file("damaged.pcap", &damaged), folder.join("whole.pcap")]),
        ("one is missing", vec![folder.join("1.pcap"), folder.join("no.pcap")]),
        ("packed", vec![file("whole.pcap.gz", &gzip.finish().unwrap())]),
        ("some left out", vec![file("links.pcapng", &pcapng.bytes())]),
    ]
}

/// What a call wrote: status, standard output, standard error, and its files.
type Written = (Option<i32>, String, String, Vec<Vec<u8>>);

fn read(files: &[PathBuf], arguments: &str, outputs: &[&str], threads: &str) -> Written {
    let folder = TempDir::new().unwrap();
    let paths: Vec<_> = outputs.iter().map(|name| folder.path().join(name)).collect();
    let mut agent = Agent::new().args(["read", "--threads", threads]).args(files);
    agent = agent.args(arguments.split_whitespace());
    for path in &paths {
        if path.ends_with("full.jsonl") {
            std::os::unix::fs::symlink("/dev/full", path).unwrap();
        }
        agent = agent.args(["--output".as_ref(), path.as_os_str()]);
    }
    let output = agent.run();
    let stderr = output.stderr.replace(folder.path().to_str().unwrap(), "");
    let stdout = output.stdout.replace(folder.path().to_str().unwrap(), "");
    let contents = paths.iter().filter(|path| !path.is_symlink()).map(|path| {
        let text = fs::read_to_string(path).unwrap();
        text.replace(folder.path().to_str().unwrap(), "").into_bytes()
    });
    (output.status, stdout, stderr, contents.collect())
}

#[track_caller]
fn assert_same(capture: &str, files: &[PathBuf], arguments: &str, outputs: &[&str]) {
    let alone = read(files, arguments, outputs, THREADS[0]);
    for threads in &THREADS[1..] {
        let together = read(files, arguments, outputs, threads);
        // Not by `assert_eq`: they are megabytes.
        assert_eq!(together.0, alone.0, "{capture}, {arguments}, {threads} threads: status");
        assert_eq!(together.2, alone.2, "{capture}, {arguments}, {threads} threads");
        assert!(together.1 == alone.1, "{capture}, {arguments}, {threads} threads: stdout");
        assert!(together.3 == alone.3, "{capture}, {arguments}, {threads} threads: files");
    }
}

#[test]
fn every_capture_gives_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    for (capture, files) in captures(folder.path()) {
        let events = "--format jsonl --events exchange,flow,stats --stats-interval 20ms";
        assert_same(capture, &files, events, &[]);
        assert_same(capture, &files, "", &[]);
    }
}

#[test]
fn every_option_gives_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let (capture, files) = captures(folder.path()).swap_remove(0);
    let ledger = "--events exchange,flow,stats --stats-interval 7ms --format jsonl";
    for arguments in [
        "-vv",
        "--bodies --format jsonl",
        "--bodies --format har --events exchange,flow",
        "--events stats --stats-interval 1ms",
        &format!("{ledger} --count 1"),
        &format!("{ledger} --count 777"),
        &format!("{ledger} --max-flows 10 --flow-timeout 50ms"),
        "--port 20001-20009 --events flow",
        "--quiet --port 9",
    ] {
        assert_same(capture, &files, arguments, &[]);
    }
    for outputs in
        [&["a.jsonl", "b.txt", "c.har"][..], &["a.txt"], &["a.jsonl", "full.jsonl", "b.txt"]]
    {
        assert_same(capture, &files, &format!("--quiet {ledger}"), outputs);
    }
}

#[test]
fn a_closed_pipe_ends_quietly_whoever_finds_it() {
    let folder = TempDir::new().unwrap();
    let (_, files) = captures(folder.path()).swap_remove(0);
    for threads in THREADS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Agent::read(&files[0])
            .args(["--threads", threads, "--format", "jsonl"])
            .stdout(writer)
            .run();
        assert_eq!((output.status, output.stderr.as_str()), (Some(0), ""), "{threads} threads");
    }
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let folder = TempDir::new().unwrap();
    let (_, files) = captures(folder.path()).swap_remove(0);
    // A capture of that many times the size. Frames are decoded faster than the engine takes them,
    // and events made faster than so many outputs do: what nothing held back would be in memory.
    let files = std::iter::repeat_n(&files[0], 40);
    let outputs = ["1.jsonl", "2.jsonl", "3.jsonl", "4.jsonl", "5.jsonl"].map(|name| {
        let path = folder.path().join(name);
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        path
    });
    for threads in THREADS {
        // Of address space; the allocator would reserve some for each thread.
        let mut agent = Agent::limited("export MALLOC_ARENA_MAX=1 && ulimit -v 98304")
            .args(["read", "--quiet", "--bodies", "--threads", threads])
            .args(files.clone());
        for output in &outputs {
            agent = agent.args(["--output".as_ref(), output.as_os_str()]);
        }
        let output = agent.run();
        assert_eq!(output.status, Some(0), "{threads} threads: {output:?}");
    }
}
