//! `--record`: what the engine was given is in the file, and is read from it as it was.

use std::collections::BTreeMap;
use std::fs;
use std::io::PipeReader;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use capture_agent::output::Rules;
use capture_agent::output::recording::{Recorder, Recording, Taken, Writer, spawn};
use capture_agent::segment::{
    Endpoint, IfaceId, Interface, Missing, Segment, SeqNum, TcpFlags, Timestamp,
};
use capture_agent::selection::Selection;
use capture_agent::source::Item;
use capture_agent::source::file::FileSource;
use serde_json::Value;
use tempfile::TempDir;

use super::cases::files;
use super::threads::captures;
use crate::support::agent::Agent;
use crate::support::script::{cases_in, play};

fn segment<'a>(payload: &'a [u8]) -> Segment<'a> {
    Segment {
        time: Timestamp(1_700_000_000_123_456_789),
        iface: IfaceId(7),
        src: Endpoint::v4([10, 0, 0, 5], 51_234),
        dst: Endpoint::v4([10, 0, 0, 1], 80),
        seq: SeqNum(0xffff_ff00),
        ack: SeqNum(77),
        flags: TcpFlags::PSH.with(TcpFlags::ACK),
        window: 512,
        payload,
        wire_len: payload.len() as u32,
        missing: Missing::Unseen,
        cgroup: 0,
    }
}

fn named(name: &str, ifindex: u32, netns: Option<&str>) -> Option<Arc<Interface>> {
    let netns = netns.map(Arc::from);
    Some(Arc::new(Interface { name: name.into(), ifindex: Some(ifindex), netns }))
}

fn record<'a>(path: &Path, items: impl IntoIterator<Item = Item<'a>>) {
    let recording = Recording::open(path, &Rules::default()).unwrap();
    let mut recorder = Recorder::new(recording, |error| panic!("{error}"));
    items.into_iter().for_each(|item| recorder.item(&item));
    let ended = recorder.end().unwrap();
    ended.result.unwrap();
}

fn everything() -> Selection {
    let (ports, sample) = ("any".parse().unwrap(), "1/1".parse().unwrap());
    Selection { ports, hosts: Vec::new(), sample }
}

/// Everything that a file has, spelt out.
fn read(path: &Path) -> Vec<String> {
    let mut source = FileSource::open(path, everything()).unwrap().verify_checksums(true);
    let mut items = Vec::new();
    while let Some(item) = source.next_item().unwrap() {
        items.push(format!("{item:?}"));
    }
    items
}

#[track_caller]
fn assert_kept(items: &[Item<'_>]) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.pcapng");
    record(&path, items.iter().map(copy));
    let expected: Vec<_> = items.iter().map(|item| format!("{item:?}")).collect();
    assert_eq!(read(&path), expected);
}

fn copy<'a>(item: &Item<'a>) -> Item<'a> {
    match item {
        Item::Interface(id, interface) => Item::Interface(*id, interface.clone()),
        Item::Segment(segment) => Item::Segment(*segment),
    }
}

#[test]
fn every_segment_of_every_case_is_kept_as_it_was() {
    let mut segments = 0;
    for file in files() {
        for case in cases_in(&fs::read_to_string(file).unwrap()).1 {
            let seen = play(&case.dialogue);
            segments += seen.len();
            let mut items = vec![Item::Interface(IfaceId(0), None)];
            items.extend(seen.iter().map(|seen| Item::Segment(seen.segment())));
            assert_kept(&items);
        }
    }
    assert!(segments > 1_000, "{segments}");
}

#[test]
fn what_a_frame_cannot_say_is_kept_too() {
    let v6 = |last| Endpoint::new(format!("2001:db8::{last}").parse().unwrap(), 8_080);
    let payload = vec![b'x'; 65_495];
    let mut items = vec![
        Item::Interface(IfaceId(7), named("eth0", 3, None)),
        Item::Interface(IfaceId(u32::MAX), named("eth0", 3, Some("/run/netns/a b"))),
        Item::Interface(IfaceId(8), None),
    ];
    let whole = [&b""[..], b"odd", &payload].map(segment);
    let (missing, lens) = ([Missing::Unseen, Missing::Elided, Missing::Dropped], [0, 9, 3 << 30]);
    for (missing, more) in missing.into_iter().flat_map(|it| lens.map(|more| (it, more))) {
        // Nothing is missing for a reason where nothing is.
        let missing = if more == 0 { Missing::Unseen } else { missing };
        for (of, cgroup, iface) in whole.iter().flat_map(|of| [(of, 0, 7), (of, u64::MAX, 8)]) {
            let wire_len = of.wire_len + more;
            let segment = Segment { missing, wire_len, cgroup, iface: IfaceId(iface), ..*of };
            items.push(Item::Segment(segment));
            let (src, dst, iface) = (v6(1), v6(2), IfaceId(u32::MAX));
            items.push(Item::Segment(Segment { src, dst, iface, ..segment }));
        }
    }
    // An interface is told of when it is first seen.
    items.swap(1, 2);
    items.swap(2, 3);
    let first_on_max = items.iter().position(
        |item| matches!(item, Item::Segment(segment) if segment.iface == IfaceId(u32::MAX)),
    );
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.pcapng");
    record(&path, items.iter().map(copy));
    let is_segment = |item: &&String| item.starts_with("Segment");
    let told: Vec<_> = items.iter().map(|item| format!("{item:?}")).collect();
    let kept = read(&path);
    assert!(first_on_max.is_some());
    let of = |items: &[String]| items.iter().filter(is_segment).cloned().collect::<Vec<_>>();
    for (kept, told) in of(&kept).iter().zip(&of(&told)) {
        let end = |item: &str| item.len().saturating_sub(200);
        assert!(kept == told, "{} {}", &kept[end(kept)..], &told[end(told)..]);
    }
    assert_eq!(of(&kept).len(), of(&told).len());
    for interface in told.iter().filter(|item| item.starts_with("Interface")) {
        assert_eq!(kept.iter().filter(|item| *item == interface).count(), 1, "{interface}");
    }
}

#[test]
fn an_interface_keeps_its_number_when_its_name_changes() {
    let (eth0, lan0) = (named("eth0", 7, None), named("lan0", 7, None));
    let name = |name: &Option<Arc<Interface>>| Item::Interface(IfaceId(7), name.clone());
    let seen = |payload| Item::Segment(segment(payload));
    assert_kept(&[name(&eth0), seen(b"1"), name(&lan0), seen(b"2"), name(&eth0), seen(b"3")]);
    assert_kept(&[name(&eth0), seen(b"1"), name(&None), seen(b"2"), name(&eth0), seen(b"3")]);
}

#[test]
fn there_may_be_more_interfaces_than_a_section_has_numbers_for() {
    let ids = (0..70_000).map(IfaceId);
    let items: Vec<_> = ids
        .flat_map(|iface| {
            let interface = named(&format!("veth{}", iface.0), iface.0, None);
            let seen = Item::Segment(Segment { iface, ..segment(b"x") });
            [Item::Interface(iface, interface), seen]
        })
        .collect();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.pcapng");
    record(&path, items.iter().map(copy));
    // A reader remembers no more of them than a section may have, and says so.
    let mut source = FileSource::open(&path, everything()).unwrap();
    let mut read = 0;
    let error = loop {
        match source.next_item() {
            Ok(Some(Item::Segment(_))) => read += 1,
            Ok(item) => assert!(item.is_some(), "{read}"),
            Err(error) => break error,
        }
    };
    assert_eq!(read, 65_536, "{error}");
}

#[test]
fn what_is_longer_than_a_packet_can_be_is_cut_in_several() {
    let payload: Vec<u8> = (0..500_000_u32).map(|n| n as u8).collect();
    let flags = TcpFlags::FIN.with(TcpFlags::PSH).with(TcpFlags::ACK);
    let long = Segment { flags, wire_len: 3 << 20, missing: Missing::Dropped, ..segment(&payload) };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.pcapng");
    record(&path, [Item::Segment(long)]);
    let mut source = FileSource::open(&path, everything()).unwrap();
    let (mut next, mut read) = (long.seq, Vec::new());
    while let Some(item) = source.next_item().unwrap() {
        let Item::Segment(piece) = item else { continue };
        assert_eq!((piece.seq, piece.time), (next, long.time));
        next = next.plus(piece.seq_len());
        read.extend_from_slice(piece.payload);
        let is_last = read.len() == payload.len();
        assert_eq!(piece.missing == Missing::Dropped, is_last);
        assert_eq!(piece.flags.fin(), is_last);
    }
    assert!(read == payload);
    assert_eq!(next, long.seq.plus(long.seq_len()));
}

/// A recording into a pipe, which takes nothing until someone reads it.
fn piped(pushes_back: bool) -> (PipeReader, Recorder, Writer) {
    let (reader, writer) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let recording = Recording::open(Path::new(&path), &Rules::default()).unwrap();
    let (recorder, thread) = spawn(recording, pushes_back, |_| {}).unwrap();
    (reader, recorder, thread)
}

/// The sequence numbers of what each port sent.
fn read_pipe(reader: PipeReader) -> BTreeMap<u16, Vec<u32>> {
    let mut source = FileSource::from_reader(Box::new(reader), "pipe", everything()).unwrap();
    let mut numbers = BTreeMap::<_, Vec<_>>::new();
    while let Some(item) = source.next_item().unwrap() {
        if let Item::Segment(segment) = item {
            numbers.entry(segment.src.port).or_default().push(segment.seq.0);
        }
    }
    numbers
}

/// Half as much again as the queue has room for.
const MANY: u32 = 3_300;

fn record_many(recorders: &mut [Recorder]) {
    let payload = vec![b'x'; 60_000];
    for number in 0..MANY {
        for (port, recorder) in (1..).zip(&mut *recorders) {
            let src = Endpoint::v4([10, 0, 0, 5], port);
            recorder.item(&Item::Segment(Segment {
                src,
                seq: SeqNum(number),
                ..segment(&payload)
            }));
        }
    }
    recorders.iter_mut().for_each(Recorder::flush);
}

#[test]
fn live_it_never_pushes_back_and_what_finds_no_room_is_counted() {
    let (reader, recorder, thread) = piped(false);
    let mut recorders = vec![recorder.another().unwrap(), recorder];
    record_many(&mut recorders);
    // Nothing was read until now, and it did not wait.
    let reading = std::thread::spawn(|| read_pipe(reader));
    for recorder in &mut recorders {
        recorder.wait_for_room();
        recorder.item(&Item::Segment(Segment { seq: SeqNum(MANY), ..segment(b"the last") }));
        recorder.flush();
    }
    let mut taken = Taken::default();
    recorders.into_iter().for_each(|recorder| taken.merge(&recorder.taken()));
    let ended = thread.join();
    ended.result.unwrap();
    assert_eq!((taken.segments, taken.failed), (2 * u64::from(MANY) + 2, 0));
    assert!(taken.dropped > u64::from(MANY) / 2, "{taken:?}");
    assert_eq!(ended.written + taken.dropped, taken.segments);
    let read = reading.join().unwrap();
    assert_eq!(read.values().map(Vec::len).sum::<usize>() as u64, ended.written);
    assert!(read.values().all(|numbers| numbers.is_sorted()), "segments change places");
    assert_eq!(read[&51_234], [MANY, MANY], "at the end there is time");
}

#[test]
fn from_a_file_it_pushes_back() {
    let (reader, recorder, thread) = piped(true);
    let reading = std::thread::spawn(|| read_pipe(reader));
    let mut recorders = [recorder];
    record_many(&mut recorders);
    let [recorder] = recorders;
    assert_eq!(recorder.taken(), Taken { segments: MANY.into(), ..Taken::default() });
    drop(recorder);
    assert_eq!(thread.join().written, u64::from(MANY));
    assert!(reading.join().unwrap()[&1].iter().copied().eq(0..MANY));
}

#[test]
fn a_reader_that_goes_ends_the_recording_and_nobody_waits() {
    for pushes_back in [false, true] {
        let (reader, mut recorder, thread) = piped(pushes_back);
        drop(reader);
        record_many(std::slice::from_mut(&mut recorder));
        recorder.wait_for_room();
        record_many(std::slice::from_mut(&mut recorder));
        let taken = recorder.taken();
        drop(recorder);
        let ended = thread.join();
        assert!(ended.result.is_err());
        assert_eq!(ended.written + ended.failed + taken.dropped + taken.failed, taken.segments);
        assert_eq!((taken.segments, ended.written), (2 * u64::from(MANY), 0));
    }
}

const EVENTS: [&str; 5] = ["--format", "jsonl", "--bodies", "--events", "exchange,flow,websocket"];

#[test]
fn read_of_a_recording_gives_the_same_events_and_threads_make_no_difference() {
    let folder = TempDir::new().unwrap();
    for (capture, files) in captures(folder.path()) {
        let mut recordings = Vec::new();
        for threads in ["1", "2", "3", "6"] {
            let path = folder.path().join(format!("{threads}.pcapng"));
            let read = ["read", "--threads", threads, "--record"];
            let agent = Agent::new().args(read).args([&path]).args(EVENTS);
            let output = agent.args(&files).run();
            assert!(output.stderr.contains("secrets included"), "{}", output.stderr);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let again = Agent::read(&path).args(EVENTS).run();
            assert_eq!(again.status, Some(0), "{capture}: {}", again.stderr);
            assert!(again.stdout == output.stdout, "{capture} with {threads} threads");
            recordings.push(fs::read(&path).unwrap());
        }
        assert!(recordings.iter().all(|bytes| *bytes == recordings[0]), "{capture}");
        assert!(recordings[0].len() > 100_000, "{capture}");
    }
}

fn capture(folder: &TempDir) -> PathBuf {
    captures(folder.path()).swap_remove(0).1.swap_remove(0)
}

#[test]
fn what_is_shown_makes_no_difference_to_what_is_recorded() {
    let folder = TempDir::new().unwrap();
    let capture = capture(&folder);
    let recorded = |arguments: &str| {
        let path = folder.path().join("x.pcapng");
        let agent = Agent::read(&capture).args(["--record"]).args([&path]);
        let output = agent.args(arguments.split_whitespace()).run();
        assert_eq!(output.status, Some(0), "{}", output.stderr);
        fs::read(path).unwrap()
    };
    let all = recorded("");
    assert!(recorded("--quiet --events flow") == all);
    let first = recorded("--count 1");
    assert!(first.len() < all.len() / 2 && all.starts_with(&first));
    // What was not selected was not the engine's to see.
    assert!(recorded("--port 20001-20009").len() < all.len() / 2);
}

/// The files of a recording, in their order.
fn series(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.collect();
    files.sort();
    files
}

#[test]
fn a_recording_goes_on_from_file_to_file_and_is_one_all_the_same() {
    let folder = TempDir::new().unwrap();
    let (_, inputs) = captures(folder.path()).pop().unwrap();
    let whole = Agent::new().args(["read"]).args(&inputs).args(EVENTS).run();
    for (rotate, end) in [("300KB", "pcapng"), ("10ms", "pcapng"), ("60KB", "pcapng.zst")] {
        let mut recordings = Vec::new();
        for threads in ["1", "3"] {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join(format!("x.{end}"));
            let agent = Agent::new().args(["read", "--threads", threads, "--rotate", rotate]);
            let output = agent.args(["--record"]).args([&path]).args(&inputs).args(EVENTS).run();
            assert_eq!(output.status, Some(0), "{}", output.stderr);
            assert!(output.stdout == whole.stdout);
            let files = series(folder.path());
            assert!(files.len() > 2, "{rotate}: {files:?}");
            for file in &files {
                let alone = Agent::read(file).args(["--events", "stats"]).run();
                assert_eq!(alone.status, Some(0), "{}", alone.stderr);
            }
            let again = Agent::new().args(["read"]).args(&files).args(EVENTS).run();
            assert!(again.stdout == whole.stdout, "{rotate} {threads} {}", again.stderr);
            let bytes =
                |file: &PathBuf| (file.file_name().unwrap().to_owned(), fs::read(file).unwrap());
            recordings.push(files.iter().map(bytes).collect::<Vec<_>>());
        }
        assert!(recordings[0] == recordings[1], "{rotate}");
    }
}

#[test]
fn the_last_files_are_kept() {
    let folder = TempDir::new().unwrap();
    let capture = capture(&folder);
    let recorded = TempDir::new().unwrap();
    let path = recorded.path().join("x.pcapng.gz");
    let agent = Agent::read(&capture).args(["--rotate", "60KB", "--keep", "2", "--record"]);
    let output = agent.args([&path]).run();
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    let files = series(recorded.path());
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(Agent::new().args(["read"]).args(&files).run().status, Some(0));
}

#[test]
fn what_rotates_is_a_file() {
    let output = Agent::new().args(["read", "x.pcap", "--rotate", "1MB"]).run();
    output.assert_fails(2, "--rotate is for the files of --output and --record");
}

#[test]
fn a_disk_that_fills_ends_the_recording_and_not_the_reading() {
    let folder = TempDir::new().unwrap();
    let capture = capture(&folder);
    let path = folder.path().join("x.pcapng");
    let events = ["--events", "exchange,stats", "--format", "jsonl"];
    let whole = Agent::read(&capture).args(events).run();
    for threads in ["1", "3"] {
        let agent = Agent::limited("ulimit -f 2000").args(["read"]);
        let agent = agent.args([&capture]).args(["--threads", threads, "--record"]).args([&path]);
        let output = agent.args(events).run();
        output.assert_fails(1, "capture-agent: the recording is not whole: cannot write to");
        assert!(output.stderr.contains("the recording ends, and the capture goes on"));
        let exchanges = |output: &str| output.lines().count();
        assert_eq!(exchanges(&output.stdout), exchanges(&whole.stdout));
        let stats = &output.json_lines().pop().unwrap();
        let number = |pointer| stats.pointer(pointer).and_then(Value::as_u64).unwrap();
        let (segments, failed) = (number("/record/segments"), number("/record/failed"));
        assert!(segments > 0 && failed > 0, "{stats}");
        assert_eq!(segments + failed, number("/segments/received"), "{stats}");
        // What was written is there, whole packets all of it.
        let read = Agent::read(&path).args(["--quiet"]).run();
        assert_eq!(read.status, Some(0), "{}", read.stderr);
    }
}

#[test]
fn a_disk_that_is_full_is_told_of_at_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("full.pcapng");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let output = Agent::read(&capture(&folder)).args(["--record"]).args([&path]).run();
    output.assert_fails(1, "cannot write to");
    assert_eq!(output.stdout, "");
}

#[test]
fn a_recording_is_refused_where_it_would_be_wrong() {
    let folder = TempDir::new().unwrap();
    let capture = capture(&folder);
    let own = folder.path().join("own.pcapng");
    let record = |path: &Path| Agent::read(&capture).args(["--record"]).args([path]).run();
    record(&own);
    let before = fs::read(&own).unwrap();
    let link = folder.path().join("link.pcapng");
    std::os::unix::fs::symlink(&own, &link).unwrap();
    let onto_itself = Agent::read(&own).args(["--record"]).args([&link]).run();
    onto_itself.assert_fails(2, "is to be read, and would be written over");
    assert!(fs::read(&own).unwrap() == before);
    record(&folder.path().join("x.pcap")).assert_fails(2, "end its name in .pcapng");
    record(&folder.path().join("no/x.pcapng")).assert_fails(1, "cannot write to");
}
