//! How the files of outputs grow: rotated, compressed, whole at any time, and what is said where
//! they can't.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::agent::{Agent, json_lines};
use crate::support::pcap::{Conversation, ETHERNET, Order, Pcap, Tcp, Variant};
use crate::support::wait;

/// A capture of `count` exchanges, ten milliseconds from one to the next.
fn capture(folder: &Path, count: usize) -> PathBuf {
    capture_in_order(folder, count, |_| {})
}

/// The same, its packets put in an order first.
fn capture_in_order(folder: &Path, count: usize, order: fn(&mut [(u64, Tcp)])) -> PathBuf {
    let mut conversation = Conversation::new("10.0.0.5:51234", "10.0.0.1:80").open();
    for n in 0..count {
        let request = format!("GET /{n} HTTP/1.1\r\nHost: example.com\r\n\r\n");
        conversation = conversation
            .client_sends(request.as_bytes())
            .server_sends(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    }
    let file = Pcap::new(Order::Little, Variant::Nanos, ETHERNET);
    let times = (1_700_000_000_000_000_000..).step_by(5_000_000);
    let mut packets: Vec<_> = times.zip(conversation.close().segments()).collect();
    order(&mut packets);
    let file = packets.iter().fold(file, |file, (time, tcp)| file.packet(*time, &tcp.ethernet()));
    let path = folder.join("capture.pcap");
    fs::write(&path, file.bytes()).unwrap();
    path
}

/// The files of a folder by their names.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    named.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

/// What a file holds once it is not compressed any more; `None` where it is not whole.
fn unpacked(name: &str, bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    if name.ends_with(".gz") {
        MultiGzDecoder::new(bytes).read_to_string(&mut text).ok()?;
    } else if name.ends_with(".zst") {
        zstd::stream::read::Decoder::new(bytes).ok()?.read_to_string(&mut text).ok()?;
    } else {
        text = String::from_utf8(bytes.to_vec()).ok()?;
    }
    Some(text)
}

/// The targets of the requests in a file, which is whole.
fn targets(name: &str, bytes: &[u8]) -> Option<Vec<String>> {
    let text = unpacked(name, bytes)?;
    if name.contains(".har") {
        let har: Value = serde_json::from_str(&text).ok()?;
        let entries = har["log"]["entries"].as_array()?.iter();
        let urls = entries.map(|entry| entry["request"]["url"].as_str().unwrap().to_owned());
        return Some(urls.map(|url| url.replace("http://example.com", "")).collect());
    }
    (text.is_empty() || text.ends_with('\n')).then_some(())?;
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).ok());
    lines.map(|line| Some(line?["request"]["target"].as_str()?.to_owned())).collect()
}

fn all(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("/{n}")).collect()
}

#[test]
fn rotated_files_hold_every_record_once_and_are_the_same_for_any_threads() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), 300);
    let names = ["x.jsonl", "x.har", "x.jsonl.gz", "x.jsonl.zst", "x.har.gz"];
    for (rotate, least) in [("20KB", 2), ("1s", 3)] {
        let made = ["1", "2", "4"].map(|threads| {
            let folder = TempDir::new().unwrap();
            let mut agent = Agent::read(&file).args(["--threads", threads, "--rotate", rotate]);
            for name in names {
                agent = agent.args(["--output".as_ref(), folder.path().join(name).as_os_str()]);
            }
            let output = agent.run();
            assert_eq!(output.status, Some(0), "{output:?}");
            files(folder.path())
        });
        assert!(made[0] == made[1] && made[0] == made[2], "{rotate}");
        for name in names {
            let extension = name.strip_prefix('x').unwrap();
            let of_it: Vec<_> =
                made[0].iter().filter(|(name, _)| name[24..] == *extension).collect();
            let is_small = rotate == "20KB" && name != "x.jsonl" && name != "x.har";
            assert!(of_it.len() >= if is_small { 1 } else { least }, "{name}: {}", of_it.len());
            let held = of_it.iter().flat_map(|(name, bytes)| targets(name, bytes).unwrap());
            assert_eq!(held.collect::<Vec<_>>(), all(300), "{name}");
            assert!(of_it[0].0.starts_with("x_00001_20231114T221320Z."), "{}", of_it[0].0);
            let record = 2_000;
            let is_bounded = |bytes: &[u8]| rotate == "1s" || bytes.len() < 20_000 + record;
            assert!(of_it.iter().all(|(_, bytes)| is_bounded(bytes)), "{name}");
        }
    }
}

#[test]
fn what_a_format_has_no_record_of_begins_no_file() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), 300);
    let out = TempDir::new().unwrap();
    for name in ["x.har", "x.pcapng"] {
        let events = ["--events", "flow,stats", "--stats-interval", "500ms", "--rotate", "1s"];
        let agent = Agent::read(&file).args(events).args(["--output"]);
        let output = agent.args([out.path().join(name)]).run();
        assert_eq!(output.status, Some(0), "{output:?}");
        assert_eq!(files(out.path()).len(), 0, "{name}");
    }
}

#[test]
fn packets_out_of_order_begin_no_files() {
    let folder = TempDir::new().unwrap();
    let swapped = |packets: &mut [(u64, Tcp)]| packets.chunks_exact_mut(2).for_each(<[_]>::reverse);
    let file = capture_in_order(folder.path(), 300, swapped);
    let out = TempDir::new().unwrap();
    let agent = Agent::read(&file).args(["--rotate", "1s", "--output"]);
    let agent = agent.args([out.path().join("x.jsonl")]).args(["--record"]);
    assert_eq!(agent.args([out.path().join("x.pcapng")]).run().status, Some(0));
    // Six seconds of exchanges, and a little more of packets.
    assert_eq!(files(out.path()).len(), 6 + 7, "{:?}", files(out.path()).keys());
}

#[test]
fn rotated_files_are_their_owner_s_and_the_oldest_go() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), 100);
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let read = || {
        let path = out.join("x.jsonl");
        let agent = Agent::read(&file).args(["--output".as_ref(), path.as_os_str()]);
        let output = agent.args(["--rotate", "5KB", "--rotate", "1h", "--keep", "3"]).run();
        assert_eq!(output.status, Some(0), "{output:?}");
        files(&out)
    };
    let first = read();
    let second = read();
    assert_eq!((first.len(), second.len()), (3, 3));
    assert!(first.keys().next_back() < second.keys().next(), "{second:?}");
    let last = second.iter().next_back().map(|(name, bytes)| targets(name, bytes).unwrap());
    assert_eq!(last.unwrap().last().unwrap(), "/99");
    for name in second.keys() {
        let mode = fs::metadata(out.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn without_records_a_file_that_was_named_is_whole_and_rotation_makes_none() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), 1);
    for name in ["x.jsonl", "x.har", "x.jsonl.gz", "x.har.zst"] {
        let path = folder.path().join(name);
        let read = || {
            let agent = Agent::read(&file).args(["--port", "9"]);
            agent.args(["--output".as_ref(), path.as_os_str()])
        };
        assert_eq!(read().args(["--rotate", "1h"]).run().status, Some(0));
        assert_eq!(files(folder.path()).len(), 1, "{name}");
        assert_eq!(read().run().status, Some(0));
        assert_eq!(targets(name, &fs::read(&path).unwrap()), Some(Vec::new()), "{name}");
        fs::remove_file(path).unwrap();
    }
}

/// A killed agent's files, each read as soon as it is whole.
fn left_behind(folder: &Path, name: &str) -> Vec<String> {
    let path = folder.join(name);
    wait::poll(|| targets(name, &fs::read(&path).unwrap()))
        .unwrap_or_else(|| panic!("{name} is not whole: {:?}", fs::metadata(&path)))
}

const KILLED: [&str; 4] = ["x.jsonl", "x.har", "x.jsonl.gz", "x.har.zst"];

#[test]
fn a_kill_amid_writing_leaves_whole_files() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), 4_000);
    for round in 1..=6 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_capture-agent"));
        command.args(["read", "--bodies", "--quiet"]).arg(&file).stdin(Stdio::null());
        for name in KILLED {
            command.arg("--output").arg(folder.path().join(name));
            let _ = fs::remove_file(folder.path().join(name));
        }
        let frames = folder.path().join("x.pcapng");
        let mut agent = command.arg("--output").arg(&frames).spawn().unwrap();
        let path = folder.path().join("x.jsonl");
        let len = || fs::metadata(&path).map_or(0, |there| there.len());
        wait::until("something is written", || {
            len() > round * 300_000 || agent.try_wait().unwrap().is_some()
        });
        agent.kill().unwrap();
        agent.wait().unwrap();
        for name in KILLED {
            let held = left_behind(folder.path(), name);
            assert_eq!(held, all(held.len()), "{name}");
        }
        let read = wait::poll(|| {
            let read = Agent::read(&frames).args(["--format", "jsonl"]).run();
            (read.status == Some(0)).then_some(read)
        });
        let read = read.expect("the last block is whole").json_lines();
        let held: Vec<_> = read.iter().map(|it| it["request"]["target"].as_str()).collect();
        let expected = all(held.len());
        assert_eq!(held, expected.iter().map(|it| Some(it.as_str())).collect::<Vec<_>>());
    }
}

#[test]
fn a_file_that_may_not_grow_any_more_is_left_whole() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), 2_000);
    for name in ["x.jsonl", "x.har"] {
        let path = folder.path().join(name);
        // In blocks of 512 or 1024 bytes: the write that goes beyond is cut there.
        let agent = Agent::limited("ulimit -f 333").args(["read", "--quiet"]).args([&file]);
        let output = agent.args(["--output".as_ref(), path.as_os_str()]).run();
        output.assert_fails(1, "File too large");
        let held = left_behind(folder.path(), name);
        assert!(held.len() > 50 && held == all(held.len()), "{name}: {}", held.len());
    }
}

#[test]
fn of_several_outputs_one_that_fails_is_said_and_counted_and_the_others_go_on() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), 500);
    let path = folder.path().join("x.jsonl");
    for threads in ["1", "3"] {
        let agent = Agent::read(&file).args(["--threads", threads, "--events", "exchange,stats"]);
        let agent = agent.args(["--output", "jsonl:/dev/full", "--output"]).args([&path]);
        let output = agent.run();
        output.assert_fails(1, "500 exchanges are missing in /dev/full: No space left on device");
        let says = "cannot write to /dev/full: No space left on device";
        assert_eq!(output.stderr.matches(says).count(), 1, "{}", output.stderr);
        let lines = json_lines(&fs::read_to_string(&path).unwrap());
        let (stats, exchanges) = lines.split_last().unwrap();
        assert_eq!(exchanges.len(), 500);
        let outputs = &stats["exchanges"]["outputs"];
        assert_eq!(outputs[0]["exchanges"].as_u64().unwrap(), 0);
        assert_eq!(outputs[0]["lost"]["exchanges"], 500, "{outputs}");
        assert_eq!(outputs[1]["lost"], Value::Null);
    }
}

#[test]
fn a_fifo_without_a_reader_is_an_error_and_one_with_a_reader_gets_everything() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), 400);
    let fifo = folder.path().join("x.jsonl.gz");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let read = || Agent::read(&file).args(["--output".as_ref(), fifo.as_os_str()]);
    read().run().assert_fails(1, "nobody reads this FIFO; start what reads it first");

    let reader = {
        // Open from the beginning, or the agent would be first.
        let fifo = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fifo));
        let mut reader = File::open(path).unwrap();
        thread::spawn(move || {
            let mut bytes = vec![0; 10];
            reader.read_exact(&mut bytes).unwrap();
            // From now on the agent alone writes.
            drop(fifo);
            reader.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    assert_eq!(read().args(["--rotate", "1KB"]).run().status, Some(0));
    assert_eq!(targets("x.jsonl.gz", &reader.join().unwrap()).unwrap(), all(400));
}

#[test]
fn standard_streams_by_their_paths_are_not_opened_anew() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), 3);
    let path = folder.path().join("both");
    let mut both = File::create(&path).unwrap();
    both.write_all(b"before\n").unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_capture-agent"))
        .arg("read")
        .arg(&file)
        .args(["--output", "jsonl:/dev/stderr", "--output", "text:/dev/stdout"])
        .stdout(both.try_clone().unwrap())
        .stderr(both)
        .status()
        .unwrap();
    assert!(status.success());
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "before", "{text}");
    assert_eq!(lines.iter().filter(|line| line.starts_with('{')).count(), 3, "{text}");
    assert!(lines[7].starts_with("3 exchanges on 1 flow"), "{text}");
}

#[test]
fn nothing_is_written_over_what_is_read_or_written_by_another() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let capture = capture(folder.path(), 3);
    fs::rename(&capture, path("a.pcapng")).unwrap();
    fs::hard_link(path("a.pcapng"), path("b.pcapng")).unwrap();
    let before = fs::read(path("a.pcapng")).unwrap();
    let (a, b, other) = (path("a.pcapng"), path("b.pcapng"), path("x.pcapng"));
    let odd = format!("jsonl:{}/./x.pcapng", folder.path().display());
    let saved = folder.path().join("saved/index.jsonl").display().to_string();
    fs::create_dir(path("saved")).unwrap();
    let refused: [&[&str]; 6] = [
        &[&a, "--output", &a],
        &[&a, "--output", &b],
        &[&a, "--record", &b],
        &[&a, "--output", &other, "--record", &other],
        &[&a, "--output", &other, "--output", &odd],
        &[&a, "--save-bodies", &path("saved"), "--output", &saved],
    ];
    for arguments in refused {
        let output = Agent::new().args(["read"]).args(arguments).run();
        assert_eq!(output.status, Some(2), "{arguments:?}: {output:?}");
        assert!(output.stderr.contains("written"), "{output:?}");
    }
    let output = Agent::new().args(["read", "-", "--output", &a]).stdin(Path::new(&a)).run();
    assert_eq!(output.status, Some(2), "{output:?}");
    assert_eq!(fs::read(&a).unwrap(), before);
    // Links to one file that is not there yet, one of them by way of another folder.
    let folder_link = folder.path().join("again");
    std::os::unix::fs::symlink(folder.path(), &folder_link).unwrap();
    std::os::unix::fs::symlink("missing.jsonl", path("one.jsonl")).unwrap();
    std::os::unix::fs::symlink(folder_link.join("missing.jsonl"), path("other.jsonl")).unwrap();
    std::os::unix::fs::symlink("one.jsonl", path("link.jsonl")).unwrap();
    let read = |outputs: [&str; 2], more: &[&str]| {
        let [one, other] = outputs.map(path);
        let agent = Agent::new().args(["read", &a, "--output", &one, "--output", &other]);
        agent.args(more).run()
    };
    for outputs in [
        ["one.jsonl", "other.jsonl"],
        ["link.jsonl", "one.jsonl"],
        ["other.jsonl", "missing.jsonl"],
    ] {
        let output = read(outputs, &[]);
        assert_eq!(output.status, Some(2), "{outputs:?}: {output:?}");
    }
    // Of files that follow one another, it is the name that says which they are.
    let rotated = ["--rotate", "1h"];
    let output = read(["x.jsonl", "again/x.jsonl"], &rotated);
    assert_eq!(output.status, Some(2), "{output:?}");
    fs::write(path("x.jsonl"), "").unwrap();
    fs::remove_file(path("one.jsonl")).unwrap();
    fs::hard_link(path("x.jsonl"), path("one.jsonl")).unwrap();
    assert_eq!(read(["x.jsonl", "again/x.jsonl"], &rotated).status, Some(2));
    assert_eq!(read(["x.jsonl", "one.jsonl"], &rotated).status, Some(0));
    // Devices may be several outputs, and an input too.
    let null = ["read", "/dev/null", "--output", "jsonl:/dev/null", "--output", "text:/dev/null"];
    assert_ne!(Agent::new().args(null).run().status, Some(2));
}

#[test]
fn a_file_that_was_there_becomes_its_owner_s_and_stays_where_nothing_is_read() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), 1);
    let path = folder.path().join("x.jsonl");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let read = |file: &Path| Agent::read(file).args(["--output"]).args([&path]).run();
    read(Path::new("/no/such.pcap")).assert_fails(1, "/no/such.pcap");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(read(&file).status, Some(0));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_cannot_be_read_writes_over_nothing_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let good = capture(folder.path(), 1);
    let bad = folder.path().join("bad.pcap");
    fs::write(&bad, "no capture").unwrap();
    let names = ["x.jsonl", "x.har", "x.jsonl.gz", "recording.pcapng"];
    for threads in ["1", "2", "3"] {
        for is_there in [true, false] {
            let folder = TempDir::new().unwrap();
            let path = |name: &str| folder.path().join(name);
            for name in names.iter().filter(|_| is_there) {
                fs::write(path(name), "old").unwrap();
                fs::set_permissions(path(name), fs::Permissions::from_mode(0o644)).unwrap();
            }
            let before = files(folder.path());
            let read = |captures: &[&Path]| {
                let mut agent = Agent::new().args(["read", "--threads", threads]).args(captures);
                for name in &names[..3] {
                    agent = agent.args(["--output".as_ref(), path(name).as_os_str()]);
                }
                agent.args(["--record".as_ref(), path(names[3]).as_os_str()]).run()
            };
            read(&[&bad, &good]).assert_fails(1, "is not a pcap or pcapng capture");
            assert_eq!(files(folder.path()), before, "{threads} threads");
            let mode = |name| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
            assert!(!is_there || names.iter().all(|name| mode(name) == 0o644));
            // What was begun has its results, and is not taken back.
            read(&[&good, &bad]).assert_fails(1, "is not a pcap or pcapng capture");
            let after = files(folder.path());
            assert_eq!(targets("x.har", &after["x.har"]), Some(all(1)));
            assert!(names.iter().all(|name| after[*name] != b"old" && mode(name) == 0o600));
        }
    }
}

#[test]
fn a_descriptor_that_the_shell_opened_is_not_opened_anew() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), 3);
    for fd in ["/dev/fd/3", "/proc/self/fd/3"] {
        let path = folder.path().join("kept");
        fs::write(&path, "before\n").unwrap();
        let status = Command::new("sh")
            .args(["-c", "exec \"$1\" read \"$2\" --quiet --output \"jsonl:$4\" 3>>\"$3\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_capture-agent"))
            .args([&file, &path])
            .arg(fd)
            .status()
            .unwrap();
        assert!(status.success(), "{fd}");
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (4, "before"), "{fd}: {text}");
    }
}

#[test]
fn what_does_not_fit_together_is_said_at_once() {
    let folder = TempDir::new().unwrap();
    let file = capture(folder.path(), 1);
    let twice = folder.path().join("x.txt").display().to_string();
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--output", &twice, "--output", &twice], 2, "is written already by another output"),
        (&["--output", "x.jsonl", "--rotate", "100"], 2, "neither a size like 100MB nor a time"),
        (&["--rotate", "1h"], 2, "--output"),
        (&["--output", "x.jsonl", "--keep", "3"], 2, "--rotate"),
        (&["--output", "x.jsonl", "--rotate", "1h", "--keep", "0"], 2, "0 is not in 1.."),
        (
            &["--output", "/no/such/x.jsonl", "--rotate", "1h"],
            1,
            "cannot write to /no/such/x.jsonl",
        ),
        (&["--output", "/proc/x.jsonl"], 1, "cannot write to /proc/x.jsonl"),
    ];
    for (arguments, status, says) in cases {
        Agent::read(&file).args(arguments).run().assert_fails(status, says);
    }
}
