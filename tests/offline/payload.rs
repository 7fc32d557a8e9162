//! Payload files: what was carried, byte for byte, in files whose names and places nobody else
//! chooses.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use capture_agent::engine::{Engine, Settings};
use capture_agent::event::Exchange;
use capture_agent::flow::Direction;
use capture_agent::http::{BodyPart, StreamRules};
use capture_agent::listener::{FlowView, Listener};
use capture_agent::segment::Missing;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::agent::{Agent, Output};
use crate::support::dialogues::{in_turns, pipelined};
use crate::support::pcap::{ACK, Conversation, ETHERNET, Order, Pcap, Tcp, Variant, pcap_of};
use crate::support::peers::{Peers, capture_of};

/// A capture file, and a folder for what is saved of it.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new(capture: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.pcap"), capture).unwrap();
        Self { folder }
    }

    fn of(segments: &[Tcp]) -> Self {
        Self::new(&pcap_of(segments))
    }

    fn capture(&self) -> PathBuf {
        self.folder.path().join("x.pcap")
    }

    fn saved(&self) -> PathBuf {
        self.folder.path().join("saved")
    }

    #[track_caller]
    fn save(&self, options: &[&str]) -> Output {
        let saved = self.saved();
        let output = Agent::read(&self.capture()).args(["--save-bodies"]).args([&saved]);
        let output = output.args(options).run();
        assert_eq!(output.status, Some(0), "{output:?}");
        output
    }

    /// What is in the folder, but for its index.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let files = fs::read_dir(self.saved()).unwrap().map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, fs::read(file.path()).unwrap_or_default())
        });
        files.filter(|(name, _)| name != "index.jsonl").collect()
    }

    fn index(&self) -> Vec<Value> {
        let index = fs::read_to_string(self.saved().join("index.jsonl")).unwrap();
        index.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The files without the times that their names begin with, and their states.
    fn saved_as(&self) -> BTreeMap<String, (Vec<u8>, String)> {
        let index = self.index();
        let state = |name: &str| {
            let of_file = index.iter().filter(|line| line["file"] == name);
            let states: Vec<_> = of_file.map(|line| line["state"].as_str().unwrap()).collect();
            states.join()
        };
        let files = self.files().into_iter();
        files.map(|(name, bytes)| (name[20..].to_owned(), (bytes, state(&name)))).collect()
    }
}

trait Join {
    fn join(&self) -> String;
}

impl Join for Vec<&str> {
    fn join(&self) -> String {
        self.concat()
    }
}

fn conversation(port: u16) -> Conversation {
    Conversation::new(&format!("10.0.0.5:{port}"), "10.0.0.1:80").open()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n").into_bytes()
}

fn answer(fields: &str, body: &[u8]) -> Vec<u8> {
    let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
    let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Bytes without a pattern.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let bytes = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    });
    bytes.take(len).collect()
}

/// A sound of so many samples, as a WAV file.
fn song(samples: usize) -> Vec<u8> {
    let data: Vec<u8> = noise(2 * samples);
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + data.len() as u32).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    wav.extend((data.len() as u32).to_le_bytes());
    wav.extend(data);
    wav
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn bodies_are_saved_as_they_were_meant() {
    let json = b"{\"a\":1}".repeat(5_000);
    let upload = noise(300_000);
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in upload.chunks(7_000) {
        chunked.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        chunked.extend(chunk);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let head = format!(
        "POST /up HTTP/1.1\r\nHost: example.com\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n",
        upload.len()
    );
    let fields = "Content-Type: application/json\r\nContent-Encoding: gzip";
    let segments = conversation(50_000)
        .client_sends(&get("/api/small.json?token=x"))
        .server_sends(&answer(fields, &gzip(&json)))
        .client_sends(&[head.as_bytes(), &upload].concat())
        .server_sends(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        .client_sends(&get("/chunked"))
        .server_sends(&chunked)
        .close()
        .segments();
    let expected: BTreeMap<_, _> = [
        ("_example.com_api_small.json", json),
        ("_example.com_up_request.png", upload.clone()),
        ("_example.com_chunked.bin", upload),
    ]
    .into_iter()
    .map(|(name, bytes)| (name.to_owned(), (bytes, "complete".to_owned())))
    .collect();
    for threads in ["1", "2", "4"] {
        let bench = Bench::of(&segments);
        let output =
            bench.save(&["--threads", threads, "--format", "jsonl", "--events", "exchange,stats"]);
        assert!(bench.saved_as() == expected, "{:?}", bench.index());
        for line in bench.index() {
            let file = bench.saved().join(line["file"].as_str().unwrap());
            let bytes = fs::read(&file).unwrap();
            assert_eq!(line["sha256"], sha256(&bytes));
            assert_eq!((&line["bytes"], &line["decoded"]), (&bytes.len().into(), &true.into()));
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            // It tells whose body it is.
            let of_it = |exchange: &&Value| {
                exchange["flow"] == line["flow"] && exchange["index"] == line["index"]
            };
            let lines = output.json_lines();
            let exchange = lines.iter().find(of_it).unwrap();
            let side = line["side"].as_str().unwrap();
            assert_eq!(exchange["request"]["url"], line["url"]);
            assert_eq!(exchange[side]["body"]["bytes"], line["bytes"]);
        }
        assert_eq!(fs::metadata(bench.saved()).unwrap().permissions().mode() & 0o777, 0o700);
        let lines = output.json_lines();
        let stats = lines.iter().find(|line| line["type"] == "stats").unwrap();
        let files = &stats["exchanges"]["outputs"][1]["files"];
        assert_eq!((&files["whole"], &files["partial"]), (&3.into(), &0.into()));
        assert_eq!(files["content_bytes"], stats["content"]["made"]);
        assert!(output.stderr.contains("3 payload files saved"), "{}", output.stderr);
    }
}

#[test]
fn a_body_that_is_not_whole_stays_a_part_and_says_why() {
    let body = noise(10_000);
    let mut peers = Peers::open();
    let ask = |peers: &mut Peers, path: &str| peers.client_says(ACK, &get(path));
    // A loss amid a body of known length: what follows is at its place.
    ask(&mut peers, "/gap");
    peers.server_says(ACK, &answer("Content-Type: image/gif", &body)[..4_000]);
    let sent = 4_000 - (answer("Content-Type: image/gif", &body).len() - body.len());
    peers.server_says(ACK, &body[sent..sent + 1_000]);
    peers.unseen();
    peers.server_says(ACK, &body[sent + 1_000..]);
    // The same where nothing can be placed any more.
    ask(&mut peers, "/coded");
    let coded = gzip(&body);
    let coded = answer("Content-Encoding: gzip", &coded);
    peers.server_says(ACK, &coded[..5_000]);
    peers.server_says(ACK, &coded[5_000..6_000]);
    peers.unseen();
    peers.server_says(ACK, &coded[6_000..]);
    ask(&mut peers, "/bad");
    let mut bad = gzip(&body);
    bad.truncate(6_000);
    peers.server_says(ACK, &answer("Content-Encoding: gzip", &bad));
    ask(&mut peers, "/unheard");
    peers.server_says(ACK, &answer("Content-Encoding: rot13", &body));
    ask(&mut peers, "/cut");
    peers.server_says(ACK, &answer("", &body)[..3_000]);
    peers.server_resets();

    let bench = Bench::new(&capture_of(&peers.seen));
    bench.save(&[]);
    let saved = bench.saved_as();
    let states: Vec<_> =
        saved.iter().map(|(name, (_, state))| (name.as_str(), state.as_str())).collect();
    assert_eq!(
        states,
        [
            ("_example.com_bad.bin.part", "undecoded"),
            ("_example.com_coded.bin.part", "gap"),
            ("_example.com_cut.bin.part", "cut"),
            ("_example.com_gap.gif.part", "gap"),
            ("_example.com_unheard.bin.coded", "complete"),
        ]
    );
    let mut with_hole = body.clone();
    with_hole[sent..sent + 1_000].fill(0);
    assert!(saved["_example.com_gap.gif.part"].0 == with_hole);
    for name in ["bad", "coded", "cut"] {
        let begun = &saved[&format!("_example.com_{name}.bin.part")].0;
        assert!(!begun.is_empty() && body.starts_with(begun), "{name}");
    }
    assert!(saved["_example.com_unheard.bin.coded"].0 == body);
    for line in bench.index() {
        let is_whole = line["state"] == "complete";
        assert_eq!(line["truncated"], !is_whole, "{line}");
        let has_hole = line["url"].as_str().unwrap().ends_with("/gap");
        assert_eq!(line["sha256"].is_null(), has_hole, "{line}");
        let holes = has_hole.then(|| serde_json::json!([{"offset": sent, "bytes": 1_000}]));
        assert_eq!(line.get("holes"), holes.as_ref(), "{line}");
    }
}

#[test]
fn the_first_song_is_saved_and_nothing_of_others() {
    let (first, second) = (answer("Content-Type: audio/wav", &song(20_000)), song(30_000));
    let second = answer("Content-Type: audio/wav", &second);
    let page = answer("Content-Type: text/html", b"<html>");
    // The second song begins before the first one ends, and goes on after it.
    let one = conversation(50_001).client_sends(&get("/1.wav")).server_sends(&first);
    let two = conversation(50_002).client_sends(&get("/2.wav")).server_sends(&second);
    let page = conversation(50_003).client_sends(&get("/")).server_sends(&page).close();
    let (one, two) = (one.close().segments(), two.close().segments());
    let mut segments = page.segments();
    let half = one.len() / 2;
    segments.extend_from_slice(&one[..half]);
    segments.extend_from_slice(&two[..half]);
    segments.extend_from_slice(&one[half..]);
    segments.extend_from_slice(&two[half..]);
    for threads in ["1", "3"] {
        let bench = Bench::of(&segments);
        let options = ["--count", "1", "--content-type", "audio/*", "--threads", threads];
        bench.save(&options);
        let files = bench.saved_as();
        let [(name, (bytes, state))] = &files.into_iter().collect::<Vec<_>>()[..] else {
            panic!("not one: {:?}", bench.index());
        };
        assert_eq!((name.as_str(), state.as_str()), ("_example.com_1.wav", "complete"));
        assert!(*bytes == song(20_000));
        assert_eq!(bench.index().len(), 1);
    }
}

#[test]
fn bodies_of_exchanges_that_are_not_shown_are_not_kept() {
    let mut flow = conversation(50_000);
    for number in 0..20 {
        flow = flow.client_sends(&get(&format!("/{number}")));
        flow = flow.server_sends(&answer("", format!("body {number}").as_bytes()));
    }
    let bench = Bench::of(&flow.close().segments());
    bench.save(&["--where", "request.target.endsWith('7')"]);
    let names: Vec<_> = bench.saved_as().into_keys().collect();
    assert_eq!(names, ["_example.com_17.txt", "_example.com_7.txt"]);
    assert_eq!(bench.index().len(), 2);
}

#[test]
fn what_hosts_and_paths_say_leads_nowhere() {
    let long = "a".repeat(3_000);
    let paths = [
        "/../../../../tmp/evil",
        "/%2e%2e/%2e%2e/evil",
        "/..",
        "/-rf",
        "/a\u{e4}\u{1F4A9}.html",
        "//////",
        "/index.jsonl",
        "/x.part",
        &long,
    ];
    let hosts = ["../../evil", "-rf", "..", ".", "/etc", "a\tb", &long];
    let mut flow = conversation(50_000);
    for host in hosts {
        for path in paths {
            let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            flow = flow.client_sends(request.as_bytes());
            flow = flow.server_sends(&answer("Content-Type: ../../x", b"evil"));
        }
    }
    let bench = Bench::of(&flow.close().segments());
    bench.save(&[]);
    let files = bench.files();
    assert_eq!(files.len(), hosts.len() * paths.len());
    for (name, bytes) in &files {
        assert_eq!(bytes, b"evil");
        assert!(name.starts_with(|first: char| first.is_ascii_digit()), "{name}");
        let is_safe = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
        assert!(name.chars().all(is_safe) && name.len() <= 255 && !name.contains(".."), "{name}");
    }
    let mut beside: Vec<_> =
        fs::read_dir(bench.folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    beside.sort();
    assert_eq!(beside, ["saved", "x.pcap"]);
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let segments = conversation(50_000)
        .client_sends(&get("/a.txt"))
        .server_sends(&answer("Content-Type: text/plain", b"first"))
        .close()
        .segments();
    let bench = Bench::of(&segments);
    bench.save(&[]);
    let name = bench.files().into_keys().next().unwrap();
    let stem = name.strip_suffix(".txt").unwrap();
    // What a name leads to, whatever it is, is none of its business.
    let outside = bench.folder.path().join("outside");
    symlink(&outside, bench.saved().join(format!("{stem}_2.txt"))).unwrap();
    symlink(&outside, bench.saved().join(format!("{name}.part"))).unwrap();
    fs::create_dir(bench.saved().join(format!("{stem}_3.txt"))).unwrap();
    fs::write(bench.saved().join(&name), "mine").unwrap();
    bench.save(&[]);
    assert_eq!(fs::read(bench.saved().join(&name)).unwrap(), b"mine");
    assert_eq!(fs::read(bench.saved().join(format!("{stem}_4.txt"))).unwrap(), b"first");
    assert!(!outside.exists());
    assert_eq!(bench.index().len(), 2);
}

#[test]
fn two_agents_may_save_in_one_folder() {
    let mut flow = conversation(50_000);
    for _ in 0..200 {
        flow = flow.client_sends(&get("/same"));
        flow = flow.server_sends(&answer("Content-Type: text/plain", b"same"));
    }
    let bench = Bench::of(&flow.close().segments());
    thread::scope(|scope| {
        (0..2).for_each(|_| {
            scope.spawn(|| bench.save(&[]));
        });
    });
    let files = bench.files();
    assert!(files.len() == 400 && files.values().all(|bytes| bytes == b"same"));
    let mut named: Vec<_> =
        bench.index().iter().map(|line| line["file"].as_str().unwrap().to_owned()).collect();
    named.sort();
    assert!(named.iter().eq(files.keys()), "each has its line");
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_at_the_start() {
    let bench = Bench::of(&conversation(50_000).close().segments());
    let folder = bench.folder.path();
    let refused = |path: &Path, says: &str| {
        let output = Agent::read(&bench.capture()).args(["--save-bodies"]).args([path]).run();
        output.assert_fails(1, says);
        assert!(output.stderr.contains(path.to_str().unwrap()), "{}", output.stderr);
    };
    refused(&folder.join("x.pcap"), "Not a directory");
    refused(&folder.join("x.pcap/deeper"), "Not a directory");
    refused(Path::new("/proc/nothing"), "cannot write to");
    for (name, kind) in [("link", "symbolic"), ("folder", "directory")] {
        let place = folder.join(name);
        fs::create_dir(&place).unwrap();
        let index = place.join("index.jsonl");
        match kind {
            "symbolic" => symlink(folder.join("elsewhere"), index).unwrap(),
            _ => fs::create_dir(index).unwrap(),
        }
        refused(&place, kind);
    }
    assert!(!folder.join("elsewhere").exists());
    // A FIFO without a reader holds nobody up.
    let fifo = folder.join("fifo");
    fs::create_dir(&fifo).unwrap();
    let made = Command::new("mkfifo").arg(fifo.join("index.jsonl")).status().unwrap();
    assert!(made.success());
    refused(&fifo, "no regular file");
    let args = ["--save-bodies", "x", "--events", "flow"];
    let output = Agent::read(&bench.capture()).args(args).run();
    output.assert_fails(2, "add 'exchange' to --events");
}

#[test]
fn a_line_that_was_cut_spoils_no_other() {
    let segments = conversation(50_000)
        .client_sends(&get("/a"))
        .server_sends(&answer("", b"a"))
        .close()
        .segments();
    let bench = Bench::of(&segments);
    fs::create_dir(bench.saved()).unwrap();
    fs::write(bench.saved().join("index.jsonl"), "{\"type\":\"pay").unwrap();
    bench.save(&[]);
    let index = fs::read_to_string(bench.saved().join("index.jsonl")).unwrap();
    let [cut, line] = index.lines().collect::<Vec<_>>()[..] else { panic!("{index}") };
    assert_eq!(cut, "{\"type\":\"pay");
    assert_eq!(serde_json::from_str::<Value>(line).unwrap()["bytes"], 1);
}

#[test]
fn a_file_that_cannot_grow_is_counted_and_the_next_one_is_saved() {
    let large = noise(100_000);
    let segments = conversation(50_000)
        .client_sends(&get("/large"))
        .server_sends(&answer("", &large))
        .client_sends(&get("/larger"))
        .server_sends(&answer("", &large))
        .client_sends(&get("/small"))
        .server_sends(&answer("", b"small"))
        .close()
        .segments();
    let bench = Bench::of(&segments);
    // In blocks of 512 bytes.
    let agent = Agent::limited("ulimit -f 64").args(["read"]);
    let agent = agent.args([bench.capture()]).args(["--save-bodies"]).args([bench.saved()]);
    let output = agent.run();
    assert_eq!(output.status, Some(1), "{output:?}");
    let said = output.stderr.matches("cannot write to").count();
    assert_eq!(said, 1, "{}", output.stderr);
    assert!(output.stderr.contains("bytes of bodies that could not be saved"), "{}", output.stderr);
    let saved = bench.saved_as();
    assert_eq!(saved["_example.com_small.txt"], (b"small".to_vec(), "complete".to_owned()));
    for name in ["large", "larger"] {
        let (bytes, state) = &saved[&format!("_example.com_{name}.bin.part")];
        assert_eq!(state, "failed");
        assert!(large.starts_with(bytes) && bytes.len() <= 32 << 10, "{}", bytes.len());
    }
    for line in bench.index().iter().filter(|line| line["state"] == "failed") {
        let file = bench.saved().join(line["file"].as_str().unwrap());
        assert_eq!(line["bytes"], fs::metadata(file).unwrap().len());
        assert!(line["sha256"].is_null());
    }
}

#[test]
fn very_many_bodies_may_be_under_way() {
    const FLOWS: u16 = 1_500;
    let body = noise(2_000);
    let whole = answer("Content-Type: image/gif", &body);
    let (first, second) = whole.split_at(1_000);
    let mut parts: [Vec<Tcp>; 2] = Default::default();
    for flow in 0..FLOWS {
        let begun = conversation(10_000 + flow).client_sends(&get("/x")).server_sends(first);
        let len = begun.segments().len();
        let begun = conversation(10_000 + flow).client_sends(&get("/x")).server_sends(first);
        let all = begun.server_sends(second).close().segments();
        parts[0].extend_from_slice(&all[..len]);
        parts[1].extend_from_slice(&all[len..]);
    }
    let bench = Bench::of(&parts.concat());
    let agent = Agent::limited("ulimit -n 300").args(["read", "--quiet"]);
    let agent = agent.args([bench.capture()]).args(["--save-bodies"]).args([bench.saved()]);
    let output = agent.run();
    assert_eq!((output.status, output.stderr.as_str()), (Some(0), ""));
    let files = bench.files();
    assert_eq!(files.len(), usize::from(FLOWS));
    for (name, bytes) in &files {
        assert!(name.ends_with(".gif") && *bytes == body, "{name}");
    }
}

/// Segments of a body without an end, a little at a time.
struct Endless {
    flow: Vec<Tcp>,
    seq: u32,
}

impl Endless {
    fn new(len: u64) -> Self {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {len}\r\n\r\n");
        let flow = conversation(50_000).client_sends(&get("/film")).server_sends(head.as_bytes());
        let flow = flow.segments();
        let seq = flow.last().unwrap().ack;
        Self { flow, seq }
    }

    fn head(&self) -> Vec<u8> {
        pcap_of(&self.flow)
    }

    /// The next bytes, as packets without the header of a file.
    fn next(&mut self, payload: &[u8], segments: usize) -> Vec<u8> {
        let empty = Pcap::new(Order::Little, Variant::Nanos, ETHERNET).bytes().len();
        let mut file = Pcap::new(Order::Little, Variant::Nanos, ETHERNET);
        for _ in 0..segments {
            let mut tcp = Tcp::new("10.0.0.1:80", "10.0.0.5:50000", self.seq, payload);
            tcp.ack = self.flow.last().unwrap().seq;
            self.seq = self.seq.wrapping_add(payload.len() as u32);
            file = file.packet(0, &tcp.ethernet());
        }
        file.bytes().split_off(empty)
    }
}

#[test]
fn an_agent_that_is_killed_leaves_no_file_that_seems_whole() {
    let bench = Bench::new(b"");
    let mut endless = Endless::new(1 << 40);
    let mut agent = Command::new(env!("CARGO_BIN_EXE_capture-agent"));
    agent.args(["read", "-", "--threads", "1", "--quiet", "--save-bodies"]).arg(bench.saved());
    let mut agent = agent.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = agent.stdin.take().unwrap();
    stdin.write_all(&endless.head()).unwrap();
    let payload = noise(1_400);
    let deadline = Instant::now() + Duration::from_secs(60);
    let has_grown = |bench: &Bench| {
        let files = fs::read_dir(bench.saved()).into_iter().flatten().flatten();
        let lengths: Vec<_> = files
            .filter(|file| file.file_name() != "index.jsonl")
            .map(|file| file.metadata().unwrap().len())
            .collect();
        lengths.iter().any(|len| *len > 1 << 20)
    };
    while !has_grown(&bench) {
        assert!(Instant::now() < deadline, "nothing grows: {:?}", bench.files().keys());
        stdin.write_all(&endless.next(&payload, 100)).unwrap();
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
    let files = bench.files();
    let [(name, bytes)] = &files.into_iter().collect::<Vec<_>>()[..] else { panic!("not one") };
    assert!(name.ends_with("_example.com_film.mp4.part"), "{name}");
    assert!(bytes.chunks(1_400).all(|chunk| payload.starts_with(chunk)));
    assert_eq!(fs::metadata(bench.saved().join("index.jsonl")).unwrap().size(), 0);
}

#[test]
fn memory_is_none_of_a_bodys_length() {
    const SEGMENTS: usize = 1_000;
    let rounds: u64 = 64;
    let payload = noise(4_000);
    let len = rounds * (SEGMENTS * payload.len()) as u64;
    let bench = Bench::new(b"");
    let mut endless = Endless::new(len);
    // A quarter of the body, for everything.
    let limit = "export MALLOC_ARENA_MAX=1 && ulimit -v 65536 && exec \"$0\" \"$@\"";
    let mut agent = Command::new("sh");
    agent.args(["-c", limit, env!("CARGO_BIN_EXE_capture-agent")]);
    agent.args(["read", "-", "--quiet", "--threads", "1", "--save-bodies"]).arg(bench.saved());
    let mut agent = agent.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = agent.stdin.take().unwrap();
    stdin.write_all(&endless.head()).unwrap();
    for _ in 0..rounds {
        stdin.write_all(&endless.next(&payload, SEGMENTS)).unwrap();
    }
    drop(stdin);
    assert!(agent.wait().unwrap().success());
    let index = bench.index();
    let [line] = &index[..] else { panic!("not one: {index:?}") };
    assert_eq!((&line["bytes"], &line["state"]), (&len.into(), &"complete".into()));
}

/// Bytes of a body and their places.
type Parts = Vec<(u64, Vec<u8>)>;

/// What a listener is handed of bodies, beside the exchanges.
#[derive(Default)]
struct Listening {
    parts: HashMap<(u64, Direction, u64), Parts>,
    bodies: Vec<(Vec<u8>, bool, Parts)>,
    bytes: u64,
}

impl Listener for Listening {
    fn content(&mut self, flow: &FlowView<'_>, part: BodyPart) {
        assert!(!part.bytes.is_empty());
        self.bytes += part.bytes.len() as u64;
        let parts = self.parts.entry((flow.number, part.direction, part.message)).or_default();
        parts.push((part.offset, part.bytes));
    }

    fn exchange(&mut self, exchange: Exchange) {
        let flow = exchange.flow.number;
        let request = exchange.http.request.map(|it| (Direction::ToServer, it.offset, it.body));
        let response = exchange.http.response.map(|it| (Direction::ToClient, it.offset, it.body));
        for (direction, offset, body) in [request, response].into_iter().flatten() {
            let parts = self.parts.remove(&(flow, direction, offset)).unwrap_or_default();
            let Some(streamed) = body.streamed else { continue };
            assert_eq!(streamed.bytes, parts.iter().map(|(_, it)| it.len() as u64).sum::<u64>());
            self.bodies.push((body.content, streamed.is_whole, parts));
        }
    }
}

#[test]
fn what_is_handed_on_is_what_would_be_kept() {
    let mut settings = Settings::default();
    settings.http.keep_body_bytes = 1 << 20;
    settings.http.stream = Some(StreamRules::new(|_| true));
    let mut whole = 0;
    for dialogue in in_turns().into_iter().chain(pipelined()) {
        for lost in [None, Some(3), Some(5)] {
            let mut engine = Engine::new(settings.clone());
            let mut listening = Listening::default();
            for (number, seen) in dialogue.seen.iter().enumerate() {
                let mut seen = seen.clone();
                if lost.is_some_and(|every| number % 7 == every) {
                    seen.leave_out(seen.tcp.payload.len() / 2, Missing::Elided);
                }
                engine.segment(&seen.segment(), &mut listening);
            }
            engine.finish(&mut listening);
            assert!(listening.parts.is_empty(), "a body without an exchange");
            assert_eq!(engine.counters().content_bytes, listening.bytes);
            for (content, is_whole, parts) in &listening.bodies {
                let mut end = 0;
                let is_in_order = parts.iter().all(|(at, bytes)| {
                    let follows = *at >= end;
                    end = at + bytes.len() as u64;
                    follows
                });
                assert!(is_in_order);
                if *is_whole {
                    let joined: Vec<u8> = parts.iter().flat_map(|(_, it)| it.clone()).collect();
                    assert!(joined == *content, "{} of {}", joined.len(), content.len());
                    whole += usize::from(!content.is_empty());
                }
            }
        }
    }
    assert!(whole > 50, "{whole} whole bodies");
}

#[test]
fn an_engine_holds_nothing_of_what_it_hands_on() {
    let mut settings = Settings::default();
    settings.http.stream = Some(StreamRules::new(|_| true));
    let mut engine = Engine::new(settings);
    let mut listening = Counting::default();
    let mut peers = Peers::open();
    peers.client_says(ACK, &get("/film"));
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 400000000\r\n\r\n");
    peers.seen.iter().for_each(|seen| engine.segment(&seen.segment(), &mut listening));
    let payload = vec![0; 50_000];
    let mut most = 0;
    for _ in 0..6_000 {
        peers.seen.clear();
        peers.server_says(ACK, &payload);
        engine.segment(&peers.seen[0].segment(), &mut listening);
        most = most.max(engine.memory());
    }
    assert_eq!(listening.0, 300_000_000);
    assert!(most < 16 << 10, "{most} bytes");
}

#[derive(Default)]
struct Counting(u64);

impl Listener for Counting {
    fn wants_data(&self) -> bool {
        false
    }

    fn content(&mut self, _flow: &FlowView<'_>, part: BodyPart) {
        self.0 += part.bytes.len() as u64;
    }
}
