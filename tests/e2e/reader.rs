//! An independent reader: of real servers and clients, the agent tells what tshark decodes, field
//! by field; where the two differ, a table says why the agent is right.

mod ours;
mod theirs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::fetch::{fetch, fetch_all};
use crate::support::lab::{Family, Lab};
use crate::support::live::{AGENT, Agent, objects};
use crate::support::nginx::Nginx;
use crate::support::process::{Process, run};
use crate::support::wait;
use ours::hex;

/// Debian's own, which has the modules that its packages bring.
const PYTHON: &str = "/usr/bin/python3";
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/reader");

const WANTED: &str = "--show-secrets --bodies=1MiB --events exchange,flow,websocket";

/// Where the two differ, by tshark 4.0: which message, in which fields, and why the agent is right.
const DISAGREEMENTS: [(&str, &str, &str); 28] = [
    ("GET /coded/zstd -> 200", "body", "tshark leaves zstd as it is"),
    ("GET /coded/twice -> 200", "body", "tshark undoes one coding, never two"),
    ("GET /chunked/page.html?1.0 -> 200", "us", UNTIL_FIN),
    ("GET /until-close -> 200", "us", UNTIL_FIN),
    ("GET /coded/gzip?0 -> 200", "answers", PIPELINED),
    ("GET /coded/gzip?1 -> 200", "answers us", PIPELINED),
    ("GET /coded/gzip?2 -> 200", "us", PIPELINED),
    ("GET /hints -> 103", "us", INTERIM),
    ("GET /hints -> 200", "us", INTERIM),
    ("PUT /upload/asked -> 100", "answers", NOT_WHOLE_YET),
    ("POST /upload/asked -> 100", "answers", NOT_WHOLE_YET),
    ("POST /refuse", "all", NEVER_WHOLE),
    ("POST /refuse -> 417", "answers", NEVER_WHOLE),
    ("POST /too-large", "all", NEVER_WHOLE),
    ("POST /too-large -> 413", "answers", NEVER_WHOLE),
    ("GET /new -> ?", "answers us version", "tshark takes an answer without a head for stray data"),
    ("GET /old", "all", OLD),
    ("GET /old -> ?", "all", OLD),
    ("/deflate message 6", "payload", FRAGMENTS),
    ("/deflate message 8", "payload", WINDOW),
    ("/deflate message 9", "payload", FRAGMENTS),
    ("/deflate message 13", "payload", WINDOW),
    ("/deflate message 14", "payload", NOTHING),
    ("/deflate message 15", "payload", NOTHING),
    ("/deflate message 16", "payload", FRAGMENTS),
    ("/deflate message 17", "payload", WINDOW),
    ("/plain message 9", "payload", LAST_IS_EMPTY),
    ("/plain message 16", "payload", LAST_IS_EMPTY),
];
const UNTIL_FIN: &str = "such a response is over with its last byte; FIN may come much later";
const PIPELINED: &str = "responses come in the order of the requests (RFC 9112 section 9.3.2); tshark \
     takes each for an answer to the last request in the segment";
const INTERIM: &str =
    "what was waited for is the final response, though it came in the same segment";
const NOT_WHOLE_YET: &str = "100 answers a request whose body is still to come; tshark knows no \
     request before its end";
const NEVER_WHOLE: &str = "the body was refused and never sent, but its head was";
const OLD: &str = "HTTP/0.9 has no version on its request line; tshark passes it over";
const FRAGMENTS: &str = "a message is decompressed as one, whatever frames it came in (RFC 7692 \
     section 6.2); tshark leaves it as it is";
const WINDOW: &str = "it refers to what the fragmented message before it said, which tshark did not \
     decompress";
const NOTHING: &str = "the one byte is that of an empty message (RFC 7692 section 7.2.3.6)";
const LAST_IS_EMPTY: &str = "tshark tells no message whose last frame is empty";

/// What is not whole, or not as it should be; on this line nothing gets lost.
const ODDITIES: [&str; 4] = [
    "GET /coded/cut: malformed_content_coding",
    "POST /refuse: request cut",
    "POST /too-large: request cut",
    "GET /new: headless_response",
];

#[test]
fn the_agent_tells_what_tshark_decodes() {
    let recording = Recording::make();
    let (read, live) = (told(&recording.read), told(&recording.live));
    for place in read.keys().chain(live.keys()) {
        let [read, live] = [&read, &live].map(|told| told.get(place).map(String::as_str));
        let [read, live] = [read, live].map(|value| short(value.unwrap_or("-")));
        assert_eq!(read, live, "{place}; left: read, right: live");
    }
    let ours = ours::reading(&recording.read);
    let theirs = theirs::reading(&recording.path);
    assert_eq!(ours::oddities(&recording.read), ODDITIES);

    let found = ours.differences_from(&theirs);

    // Where tshark is no witness, somebody else is: who sent it.
    for coding in ["zstd", "twice"] {
        assert_eq!(
            ours.field(&format!("GET /coded/{coding} -> 200"), "body"),
            ours.field("GET /coded/gzip -> 200", "body")
        );
    }
    for path in ["/deflate", "/plain"] {
        for (number, payload) in messages().iter().enumerate() {
            let label = format!("{path} message {number}");
            assert_eq!(ours.field(&label, "payload"), hex(payload), "{label}");
        }
    }
    let report = found.iter().fold(String::new(), |mut report, difference| {
        let Difference { label, field, ours, theirs } = difference;
        let [ours, theirs] = [ours, theirs].map(|value| short(value.as_deref().unwrap_or("-")));
        let _ = writeln!(report, "{label} · {field}\n    ours   {ours}\n    tshark {theirs}");
        report
    });
    let found: BTreeSet<_> = found.iter().map(|it| (&it.label[..], &it.field[..])).collect();
    let listed: BTreeSet<_> = DISAGREEMENTS
        .iter()
        .flat_map(|(label, fields, _)| fields.split(' ').map(move |field| (*label, field)))
        .collect();
    let (more, less): (Vec<_>, Vec<_>) =
        (found.difference(&listed).collect(), listed.difference(&found).collect());
    assert!(
        more.is_empty() && less.is_empty(),
        "not listed: {more:#?}\nnot found: {less:#?}\n{report}"
    );
}

/// What is said on each WebSocket, from both sides: the server is an echo.
fn messages() -> Vec<Vec<u8>> {
    let (long, binary) = ("é".repeat(300), (0..=255).collect::<Vec<u8>>().repeat(300));
    let said: [&[u8]; 22] = [
        b"hello",
        b"hello",
        long.as_bytes(),
        long.as_bytes(),
        &binary,
        &binary,
        b"in two frames",
        b"in two frames",
        b"in pieces",
        b"a message in three pieces",
        b"ping",
        b"are you there?",
        b"are you there?",
        b"pong came",
        b"",
        b"",
        b"sent in pieces",
        b"sent in pieces",
        b"\x00\xff",
        b"\x00\xff",
        b"enough",
        b"enough",
    ];
    said.map(<[u8]>::to_vec).to_vec()
}

/// All that is told, but for what depends on when and where it was captured: each member of each
/// object by its place.
fn told(lines: &[u8]) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    for kind in ["exchange", "websocket", "flow"] {
        for object in objects(lines, kind) {
            let number = ["index", "number"].map(|name| object[name].as_u64().unwrap_or_default());
            let place = format!("{kind} {number:?} of {}", object["client"]["port"]);
            for (name, value) in object.as_object().expect("lines are objects") {
                if !CIRCUMSTANCES.contains(&&name[..]) {
                    told.insert(format!("{place}: {name}"), value.to_string());
                }
            }
        }
    }
    told
}

/// What the time and the place of a capture make of an event. The end of the last flow may come
/// when the one capture has ended and the other has not; segments are merged or not.
const CIRCUMSTANCES: &[&str] = &[
    "time",
    "flow",
    "iface",
    "ifindex",
    "local",
    "cgroup",
    "container",
    "process",
    "timing",
    "retransmitted",
    "out_of_order",
    "start",
    "end",
    "last_activity",
    "close",
    "to_server",
    "to_client",
];

/// A long value by its beginning and its length.
fn short(value: &str) -> String {
    let start: String = value.chars().take(120).collect();
    if start.len() == value.len() { start } else { format!("{start}… {} bytes", value.len()) }
}

/// What a reader makes of a message, by the name of the field.
type Fields = BTreeMap<&'static str, String>;

/// What a reader makes of a capture: by where each message stands (stream, kind, place among those
/// of its kind), what people call it and its fields.
#[derive(Default)]
struct Reading(BTreeMap<(u64, &'static str, usize), (String, Fields)>);

/// A field that two readers do not agree on.
struct Difference {
    label: String,
    field: String,
    ours: Option<String>,
    theirs: Option<String>,
}

impl Reading {
    /// Adds the next message of its kind in its stream.
    fn add(&mut self, stream: u64, kind: &'static str, label: String, fields: Fields) {
        let of_kind = self.0.range((stream, kind, 0)..=(stream, kind, usize::MAX)).count();
        self.0.insert((stream, kind, of_kind), (label, fields));
    }

    /// A field of the message of this label; nothing where it says nothing.
    #[track_caller]
    fn field(&self, label: &str, name: &str) -> &str {
        let message = self.0.values().find(|(other, _)| other == label);
        let (_, fields) = message.unwrap_or_else(|| panic!("no {label}"));
        fields.get(name).map_or("", |value| value)
    }

    fn differences_from(&self, other: &Self) -> Vec<Difference> {
        let places: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let mut differences = Vec::new();
        for place in places {
            let (ours, theirs) = (self.0.get(place), other.0.get(place));
            let Some(label) = ours.or(theirs).map(|(label, _)| label.clone()) else { continue };
            let (Some((_, ours)), Some((_, theirs))) = (ours, theirs) else {
                let [ours, theirs] = [ours, theirs].map(|it| it.map(|(label, _)| label.clone()));
                differences.push(Difference { label, field: "all".to_owned(), ours, theirs });
                continue;
            };
            let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
            for name in names {
                let [ours, theirs] = [ours, theirs].map(|fields| fields.get(name).cloned());
                if !agree(name, ours.as_deref(), theirs.as_deref()) {
                    let (label, field) = (label.clone(), (*name).to_owned());
                    differences.push(Difference { label, field, ours, theirs });
                }
            }
        }
        differences
    }
}

/// Each of the agent's two spans is cut to whole microseconds.
fn agree(name: &str, ours: Option<&str>, theirs: Option<&str>) -> bool {
    match (name, ours.map(str::parse), theirs.map(str::parse)) {
        ("us", Some(Ok(ours)), Some(Ok(theirs))) => u64::abs_diff(ours, theirs) <= 2,
        _ => ours == theirs,
    }
}

/// The same traffic in a capture file, as the agent captured it live, and as it read the file.
struct Recording {
    path: PathBuf,
    live: Vec<u8>,
    read: Vec<u8>,
    _folder: TempDir,
}

impl Recording {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wire.pcap");
        let lab = Lab::new();
        let nginx = Nginx::start(&lab.server);
        let _servers = start_servers(&lab);
        let mut tcpdump = lab.server.command("tcpdump");
        tcpdump.args("-i eth0 --packet-buffered --immediate-mode -B 65536 -s 0 -Z root".split(' '));
        tcpdump.args(["--time-stamp-precision=nano", "-w"]).arg(&path);
        let tcpdump = Process::start(&mut tcpdump);
        wait::until("tcpdump listens", || tcpdump.stderr().contains("listening on"));
        let ports = "--port 80,3128,8000,8009,8765";
        let agent = Agent::run(&lab.server, &format!("--iface eth0 --workers 1 {ports} {WANTED}"));

        ask_nginx(&lab, &nginx);
        ask_servers(&lab, &nginx);
        run(lab.client.command(PYTHON).arg(format!("{FIXTURES}/client.py")).arg(server()));
        fetch(&lab.client, &Lab::url(Family::V4, "/the-last-one"), "");

        wait::until("tcpdump has written it all", || {
            let content = fs::read(&path).unwrap();
            content.windows(14).any(|window| window == b"/the-last-one ")
                && content.windows(12).filter(|window| window == b"404 Not Foun").count() >= 2
        });
        tcpdump.signal(Signal::INT);
        tcpdump.wait();
        let live = agent.stop().stdout;
        let read = read(&path);
        Self { path, live, read, _folder: folder }
    }
}

fn server() -> String {
    Lab::address(Family::V4).to_string()
}

fn start_servers(lab: &Lab) -> Process {
    let mut python = lab.server.command(PYTHON);
    let mut servers = Process::start(python.arg(format!("{FIXTURES}/server.py")));
    wait::until("the servers listen", || {
        assert!(!servers.has_ended(), "{}", servers.stderr());
        servers.stdout() == b"ready\n"
    });
    servers
}

fn ask_nginx(lab: &Lab, nginx: &Nginx) {
    nginx.serve("page.html", &b"<p>page</p>\n".repeat(8_000));
    nginx.serve("small.bin", &[7; 212]);
    let upload = nginx.path("upload.txt");
    fs::write(&upload, "to be sent ".repeat(200)).unwrap();
    let upload = upload.display();
    for (path, options) in [
        ("/page.html", String::new()),
        ("/page.html?1.0", "--http1.0".to_owned()),
        ("/chunked/page.html", String::new()),
        ("/chunked/page.html?1.0", "--http1.0".to_owned()),
        ("/gzip/page.html", "--compressed".to_owned()),
        ("/page.html?head", "--head".to_owned()),
        ("/page.html?range", "--range 100-299".to_owned()),
        ("/page.html?ranges", "--range 0-9,40-59,-5".to_owned()),
        ("/page.html?beyond", "--range 1000000-".to_owned()),
        ("/page.html?unchanged", "--header If-None-Match:*".to_owned()),
        ("/missing", String::new()),
        ("/moved", "--location".to_owned()),
        ("/small.bin?secret", "--user me:secret --cookie a=b;c=d".to_owned()),
        ("/small.bin?delete", "--request DELETE".to_owned()),
        ("/upload/put", format!("--header Expect: --upload-file {upload}")),
        ("/upload/post", format!("--data-binary @{upload}")),
        (
            "/upload/chunked",
            format!("--header Expect: --header Transfer-Encoding:chunked --upload-file {upload}"),
        ),
        ("/upload/asked", format!("--header Expect:100-continue --upload-file {upload}")),
    ] {
        fetch_all(&lab.client, &[Lab::url(Family::V4, path)], &options);
    }
    let on_one_connection = ["/small.bin?1", "/missing?2", "/page.html?3", "/gzip/page.html?4"];
    let urls = on_one_connection.map(|path| Lab::url(Family::V6, path));
    fetch_all(&lab.client, &urls, "--compressed");
    let urls = ["/small.bin?5", "/chunked/page.html?6"].map(|path| Lab::url(Family::V6, path));
    fetch_all(&lab.client, &urls, "--head");
}

fn ask_servers(lab: &Lab, nginx: &Nginx) {
    let upload = nginx.path("upload.txt").display().to_string();
    let form = format!("--form field=value --form file=@{upload};type=text/plain");
    let proxy = format!("--noproxy none --proxytunnel --proxy http://{}:3128", server());
    for (path, options) in [
        (":8000/coded/gzip", "--compressed"),
        (":8000/coded/deflate", "--compressed"),
        (":8000/coded/raw", "--compressed"),
        (":8000/coded/br", "--compressed"),
        (":8000/coded/zstd", "--compressed"),
        (":8000/coded/twice", "--compressed"),
        (":8000/coded/cut", ""),
        (":8000/coded/br/chunks", "--compressed"),
        (":8000/refuse", "--header Expect:100-continue --data abc"),
        (":8000/too-large", "--header Expect:100-continue --data abc"),
        (":8000/upload/asked", "--header Expect:100-continue --data abc"),
        (":8000/upload/form", &form),
        (":8009/new", "--http0.9"),
        (":8000/tunnelled", &proxy),
    ] {
        fetch(&lab.client, &format!("http://{}{path}", server()), options);
    }
}

fn read(path: &Path) -> Vec<u8> {
    let mut agent = Command::new(AGENT);
    let agent =
        agent.arg("read").args(WANTED.split(' ')).args(["--format", "jsonl", "--quiet"]).arg(path);
    let ended = Process::start(agent).wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    ended.stdout
}
