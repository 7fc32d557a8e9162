//! Captures that come as they are written: what is there is shown while more is waited for, and all
//! that was taken out of a pipe is in the ledger when a signal ends the agent.

use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command};

use capture_agent::segment::Segment;
use capture_agent::selection::{PortSet, Sample, Selection};
use capture_agent::source::Item;
use capture_agent::source::file::{FileSource, Opening};
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{Mode, mkfifoat};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::agent::json_lines;
use crate::support::pcap::{Conversation, ETHERNET, Order, Pcap, Pcapng, Variant};
use crate::support::process::Process;
use crate::support::wait;

const THREADS: [&str; 4] = ["1", "2", "3", "4"];
const TIME: u64 = 1_700_000_000_000_000_000;

/// The bytes of a capture, in parts that end with an exchange each; and how many packets it has.
struct Parts {
    header: Vec<u8>,
    exchanges: Vec<Vec<u8>>,
    packets: u64,
}

fn parts(exchanges: usize) -> Parts {
    let mut conversation = Conversation::new("10.0.0.5:51234", "10.0.0.1:80").open();
    let opening = conversation.clone().segments().len();
    for n in 0..exchanges {
        let request = format!("GET /{n} HTTP/1.1\r\nHost: example.com\r\n\r\n");
        conversation = conversation
            .client_sends(request.as_bytes())
            .server_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    }
    let empty = || Pcap::new(Order::Little, Variant::Nanos, ETHERNET);
    let header = empty().bytes();
    let frames: Vec<_> = conversation.segments().iter().map(|tcp| tcp.ethernet()).collect();
    let each = (frames.len() - opening) / exchanges;
    let part = |number| {
        let start = if number == 0 { 0 } else { opening + number * each };
        let part = (TIME + start as u64..).zip(&frames[start..opening + (number + 1) * each]);
        part.fold(empty(), |file, (time, frame)| file.packet(time, frame)).bytes().split_off(24)
    };
    let exchanges = (0..exchanges).map(part).collect();
    Parts { header, exchanges, packets: frames.len() as u64 }
}

fn agent(arguments: &str) -> (Process, ChildStdin) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_capture-agent"));
    Process::start_fed(command.args(arguments.split_whitespace()))
}

fn lines(agent: &Process) -> usize {
    agent.stdout().iter().filter(|byte| **byte == b'\n').count()
}

#[track_caller]
fn until_lines(agent: &Process, count: usize, what: &str) {
    wait::until(&format!("{count} lines, {what}"), || lines(agent) == count);
}

/// A line of what the kernel says of the agent's main thread, which takes signals.
fn status<T>(agent: &Process, name: &str, parse: fn(&str) -> Option<T>) -> T {
    let pid = agent.pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| parse(line.trim())).unwrap()
}

fn signals(set: &str) -> Option<u64> {
    u64::from_str_radix(set, 16).ok()
}

/// Waits until the agent does not simply die of a signal.
#[track_caller]
fn until_signals_are_caught(agent: &Process) {
    wait::until("signals are caught", || {
        let caught = status(agent, "SigCgt", signals);
        [Signal::INT, Signal::TERM].iter().all(|it| caught & 1 << (it.as_raw() - 1) != 0)
    });
}

/// Sends a signal, and waits until the agent has taken notice of it.
#[track_caller]
fn signal(agent: &Process, signal: Signal) {
    let sleeps = || status(agent, "voluntary_ctxt_switches", |count| count.parse::<u64>().ok());
    let before = sleeps();
    agent.signal(signal);
    // It sleeps again once it has.
    wait::until("the signal is taken", || {
        status(agent, "ShdPnd", signals) == 0 && sleeps() > before
    });
}

#[test]
fn what_has_come_is_shown_while_the_pipe_is_silent() {
    for threads in THREADS {
        for format in ["text", "jsonl"] {
            let Parts { header, exchanges, .. } = parts(3);
            let (agent, mut stdin) =
                agent(&format!("read - --threads {threads} --format {format}"));
            stdin.write_all(&header).unwrap();
            stdin.write_all(&exchanges[0]).unwrap();
            // The next record is not whole.
            let (some, rest) = exchanges[1].split_at(30);
            stdin.write_all(some).unwrap();
            until_lines(&agent, 1, threads);
            stdin.write_all(rest).unwrap();
            until_lines(&agent, 2, threads);
            stdin.write_all(&exchanges[2]).unwrap();
            drop(stdin);
            let ended = agent.wait();
            assert!(ended.status.success(), "{ended:?}");
            assert_eq!(ended.stdout.iter().filter(|byte| **byte == b'\n').count(), 3);
        }
    }
}

#[test]
fn what_has_come_is_shown_of_packed_captures_too() {
    let Parts { header, exchanges, .. } = parts(2);
    let halves = || [[header.clone(), exchanges[0].clone()].concat(), exchanges[1].clone()];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let mut packed = [Vec::new(), Vec::new()];
    for half in halves() {
        gzip.write_all(&half).unwrap();
        zstd.write_all(&half).unwrap();
        // All of it can be read so far.
        gzip.flush().unwrap();
        zstd.flush().unwrap();
        packed[0].push(std::mem::take(gzip.get_mut()));
        packed[1].push(std::mem::take(zstd.get_mut()));
    }
    packed[0].push(gzip.finish().unwrap());
    packed[1].push(zstd.finish().unwrap());
    for (packed, threads) in packed.iter().zip(["1", "3"]) {
        let (agent, mut stdin) = agent(&format!("read - --threads {threads}"));
        for (part, count) in packed.iter().zip([1, 2, 2]) {
            stdin.write_all(part).unwrap();
            until_lines(&agent, count, threads);
        }
        drop(stdin);
        let ended = agent.wait();
        assert!(ended.status.success(), "{ended:?}");
    }
}

#[test]
fn a_flow_is_followed_as_it_is_said() {
    let Parts { header, exchanges, .. } = parts(2);
    let (agent, mut stdin) = agent("follow - --stream 0 --side server --raw");
    stdin.write_all(&header).unwrap();
    for (count, exchange) in (1..).zip(&exchanges) {
        stdin.write_all(exchange).unwrap();
        let said = || String::from_utf8(agent.stdout()).unwrap().matches("hello").count();
        wait::until("it is shown", || said() == count);
    }
    drop(stdin);
    assert!(agent.wait().status.success());
}

/// The ledger at the end, which balances.
#[track_caller]
fn ledger(stdout: &[u8], stderr: &str) -> Value {
    assert!(!stderr.contains("does not balance"), "{stderr}");
    let lines = json_lines(std::str::from_utf8(stdout).unwrap());
    lines.into_iter().rfind(|line| line["type"] == "stats").unwrap()
}

#[test]
fn a_signal_ends_what_waits_and_all_that_came_is_counted() {
    for threads in THREADS {
        for (signal, is_closed) in [(Signal::INT, false), (Signal::TERM, true)] {
            // More than a pipe holds, so that much of it is with one thread or another.
            let Parts { header, exchanges, packets } = parts(3_000);
            let (agent, mut stdin) = agent(&format!(
                "read - --threads {threads} --format jsonl --events exchange,stats"
            ));
            stdin.write_all(&header).unwrap();
            stdin.write_all(&exchanges[0]).unwrap();
            until_lines(&agent, 1, threads);
            stdin.write_all(&exchanges[1..].concat()).unwrap();
            agent.signal(signal);
            let open = if is_closed { None } else { Some(stdin) };
            let ended = agent.wait();
            drop(open);
            assert_eq!(ended.status.code(), Some(0), "{ended:?}");
            let stats = ledger(&ended.stdout, &ended.stderr);
            assert_eq!(stats["packets"][0]["seen"], packets, "{threads} threads: {stats}");
            assert_eq!(stats["exchanges"]["made"], 3_000, "{threads} threads: {stats}");
        }
    }
}

#[test]
fn a_signal_ends_what_has_not_begun() {
    let folder = TempDir::new().unwrap();
    let fifo = folder.path().join("fifo");
    mkfifoat(rustix::fs::CWD, &fifo, Mode::RWXU).unwrap();
    for threads in THREADS {
        for from in [Path::new("-"), &fifo] {
            let output = folder.path().join("x.jsonl");
            std::fs::write(&output, "old").unwrap();
            let (from, to) = (from.display(), output.display());
            let (agent, stdin) = agent(&format!("read {from} --threads {threads} --output {to}"));
            until_signals_are_caught(&agent);
            agent.signal(Signal::INT);
            let ended = agent.wait();
            drop(stdin);
            assert_eq!(ended.status.code(), Some(0), "{ended:?}");
            assert!(ended.stderr.contains("before there was anything to read"), "{ended:?}");
            assert_eq!(std::fs::read(&output).unwrap(), b"old");
        }
    }
}

#[test]
fn a_capture_cut_by_the_signal_is_no_damage_and_one_cut_before_is() {
    let Parts { header, exchanges, .. } = parts(1);
    for is_signalled in [true, false] {
        let (agent, mut stdin) = agent("read -");
        stdin.write_all(&header).unwrap();
        stdin.write_all(&exchanges[0]).unwrap();
        stdin.write_all(&exchanges[0][..20]).unwrap();
        until_lines(&agent, 1, "before");
        if is_signalled {
            // An end that comes first is damage.
            signal(&agent, Signal::INT);
        }
        drop(stdin);
        let ended = agent.wait();
        assert_eq!(ended.status.code(), Some(i32::from(!is_signalled)), "{ended:?}");
        assert_eq!(ended.stderr.contains("the file was cut"), !is_signalled, "{ended:?}");
    }
}

/// A reader that has nothing for now before each byte.
struct Halting(Cursor<Vec<u8>>, bool);

impl Read for Halting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = buffer.len().min(1);
        self.0.read(&mut buffer[..len])
    }
}

/// What of a segment tells it from others.
type Seen = (u64, u16, u32, Vec<u8>);

fn seen(segment: &Segment<'_>) -> Seen {
    let Segment { time, src, seq, payload, .. } = segment;
    (time.as_nanos(), src.port, seq.0, payload.to_vec())
}

fn everything() -> Selection {
    Selection { ports: PortSet::any(), hosts: Vec::new(), sample: Sample::ALL }
}

fn read(mut source: FileSource, mut halts: impl FnMut(&FileSource) -> bool) -> Vec<Seen> {
    let mut all = Vec::new();
    loop {
        match source.next_item().unwrap() {
            Some(Item::Segment(segment)) => all.push(seen(&segment)),
            Some(Item::Interface(..)) => {}
            None => {
                if !halts(&source) {
                    return all;
                }
            }
        }
    }
}

#[test]
fn nothing_is_lost_wherever_a_capture_halts() {
    let frames = Conversation::new("10.0.0.5:51234", "10.0.0.1:80")
        .open()
        .client_sends(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        .server_sends(b"HTTP/1.1 204 No Content\r\n\r\n")
        .close()
        .segments();
    let frames: Vec<_> = frames.iter().map(|tcp| tcp.ethernet()).collect();
    let timed = || (TIME..).zip(&frames);
    let pcap = Pcap::new(Order::Little, Variant::Nanos, ETHERNET);
    let pcap = timed().fold(pcap, |file, (time, frame)| file.packet(time, frame)).bytes();
    let pcapng = Pcapng::new(Order::Little).interface(ETHERNET, 0, &[]);
    let pcapng = timed().fold(pcapng, |file, (time, frame)| {
        // A name resolution block, which is passed over.
        file.block(4, &[0; 40]).packet(0, time / 1_000, frame, frame.len())
    });
    let pcapng = pcapng.bytes();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&pcap).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&pcapng[..], 1).unwrap();
    for (what, bytes) in [("pcap", pcap), ("pcapng", pcapng), ("gzip", gzip), ("zstd", zstd)] {
        let whole =
            FileSource::from_reader(Box::new(Cursor::new(bytes.clone())), what, everything());
        let whole = read(whole.unwrap(), |_| false);
        assert_eq!(whole.len(), frames.len(), "{what}");
        let halting = Halting(Cursor::new(bytes), false);
        let mut opening = Opening::from_reader(Box::new(halting), what, everything());
        let source = loop {
            if let Some(source) = opening.source().unwrap() {
                break source;
            }
        };
        assert_eq!(read(source, |source| !source.is_over()), whole, "{what}");
    }
}
