//! No output holds a secret, by whatever way it was sent; where it is asked for, it is there.

use std::fs;
use std::io::{Read, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::support::agent::{Agent, json_lines};
use crate::support::pcap::{Conversation, MSS, Tcp, pcap_of};

/// What no output may hold a part of. No other word of the captures has any four letters of it.
const SECRET: &str = "Zq7Xk9Vw3Jp5";

/// An output, and whether all that a request or response says is in it where secrets are shown.
struct Output {
    /// `OUT` is a folder of its own.
    args: &'static [&'static str],
    has_all: bool,
}

const fn all_of(args: &'static [&'static str]) -> Output {
    Output { args, has_all: true }
}

const fn a_part_of(args: &'static [&'static str]) -> Output {
    Output { args, has_all: false }
}

/// Every output there is, each with all that it can show.
const OUTPUTS: [Output; 7] = [
    all_of(&["-vv", "--events", "exchange,flow,stats"]),
    all_of(&["-vv", "--bodies", "--forms"]),
    all_of(&["--format", "jsonl", "--bodies", "--forms", "--events", "exchange,flow,stats"]),
    all_of(&["--bodies", "--output", "OUT/a.jsonl.zst", "--output", "OUT/a.txt.gz", "-vv"]),
    all_of(&["--format", "har", "--bodies", "--forms"]),
    // Bodies alone.
    a_part_of(&["--save-bodies", "OUT"]),
    a_part_of(&["--bodies", "--script", "OUT/says_all.lua", "--script-dir", "OUT"]),
];

/// Says everything that it is told, and saves what can be saved.
const SAYS_ALL: &str = r#"
local function say(value)
  if type(value) ~= 'table' then return print(value) end
  for name, inner in pairs(value) do print(name) say(inner) end
end
function exchange(e)
  say(e)
  for _, side in ipairs { e.request or {}, e.response or {} } do
    if side.body then print(side.body:content()) end
  end
  pcall(e.save, e, 'saved')
end
function flow_opened(f) say(f) end
function flow_closed(f) say(f) end
"#;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// What was sent on a few flows, and how that is called.
struct Case {
    name: String,
    segments: Vec<Tcp>,
    /// Options that make the secret one.
    redact: Vec<&'static str>,
    /// Whether the secret is shown where it is asked for, not cut to pieces by what was lost.
    is_shown: bool,
}

impl Case {
    fn new(name: &str, segments: Vec<Tcp>) -> Self {
        Self { name: name.to_owned(), segments, redact: Vec::new(), is_shown: true }
    }

    /// A request, in one piece, and its answer.
    fn request(request: &str) -> Self {
        Self::new(request, flow(&[request.as_bytes()], OK.as_bytes()))
    }

    /// An answer to a request.
    fn response(response: &str) -> Self {
        let request = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
        Self::new(response, flow(&[request], response.as_bytes()))
    }

    /// The secret is one because of this.
    fn redacted(mut self, what: &'static str) -> Self {
        self.redact = vec!["--redact", what];
        self
    }

    /// The first segment that ends like this was not seen.
    fn without(mut self, end: &str) -> Self {
        let lost = self.segments.iter().position(|tcp| tcp.payload.ends_with(end.as_bytes()));
        self.segments.remove(lost.unwrap());
        self.name.push_str(" [gap]");
        self
    }

    const fn not_shown(mut self) -> Self {
        self.is_shown = false;
        self
    }

    /// What is wrong with what the agent says of it.
    fn failures(&self, folder: &Path) -> Vec<String> {
        let file = folder.join("case.pcap");
        fs::write(&file, pcap_of(&self.segments)).unwrap();
        let out = folder.join("out");
        let run = |args: &[&str], more: &[&str]| {
            fs::create_dir(&out).unwrap();
            fs::write(out.join("says_all.lua"), SAYS_ALL).unwrap();
            let args = args.iter().map(|arg| arg.replace("OUT", out.to_str().unwrap()));
            let output = Agent::read(&file).args(args).args(more).run();
            assert_eq!(output.status, Some(0), "{}: {output:?}", self.name);
            let said = everything_said(&output.stdout) + &everything_in(&out);
            fs::remove_dir_all(&out).unwrap();
            (said, output.stderr)
        };
        let mut failures = Vec::new();
        for Output { args, has_all } in OUTPUTS {
            let (said, noted) = run(args, &self.redact);
            if has_trace(&said) || has_trace(&noted) {
                failures.push(format!("{}: {args:?} holds it: {said}", self.name));
            }
            // What is named by `--redact` is no secret without it.
            let show: &[&str] = if self.redact.is_empty() { &["--show-secrets"] } else { &[] };
            let (shown, _) = run(args, show);
            if has_all && self.is_shown && !shown.contains(SECRET) {
                failures.push(format!("{}: {args:?} does not show it: {shown}", self.name));
            }
        }
        failures.extend(self.failures_of_frames(&file, folder));
        failures
    }

    /// The same of the frames that exchanges are written as: of their bytes, and of what is read
    /// again of them by who wants to see secrets.
    fn failures_of_frames(&self, file: &Path, folder: &Path) -> Option<String> {
        let frames = folder.join("case.pcapng");
        let write = |more: &[&str]| {
            let output = Agent::read(file).args(["--bodies", "--output"]).args([&frames]);
            assert_eq!(output.args(more).run().status, Some(0), "{}", self.name);
            let bytes = fs::read(&frames).unwrap();
            let again = ["--bodies", "--forms", "--show-secrets", "--format", "jsonl"];
            let read = Agent::read(&frames).args(again).run();
            assert_eq!(read.status, Some(0), "{}: {read:?}", self.name);
            (String::from_utf8_lossy(&bytes).into_owned(), everything_said(&read.stdout))
        };
        let (bytes, read) = write(&self.redact);
        if has_trace(&bytes) || has_trace(&read) {
            return Some(format!("{}: the frames hold it: {read}", self.name));
        }
        let show: &[&str] = if self.redact.is_empty() { &["--show-secrets"] } else { &[] };
        let (_, read) = write(show);
        let is_missed = self.is_shown && !read.contains(SECRET);
        is_missed.then(|| format!("{}: the frames do not show it: {read}", self.name))
    }
}

#[track_caller]
fn assert_private(cases: impl IntoIterator<Item = Case>) {
    let folder = tempfile::tempdir().unwrap();
    let failures: Vec<_> =
        cases.into_iter().flat_map(|case| case.failures(folder.path())).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// Requests in these pieces, each in a segment of its own, and what is answered.
fn flow(requests: &[&[u8]], response: &[u8]) -> Vec<Tcp> {
    flow_of(50_000, requests, response)
}

fn flow_of(port: u16, requests: &[&[u8]], response: &[u8]) -> Vec<Tcp> {
    let client = format!("10.0.0.5:{port}");
    let open = Conversation::new(&client, "10.0.0.1:80").open();
    let asked = requests.iter().fold(open, |flow, request| flow.client_sends(request));
    asked.server_sends(response).close().segments()
}

/// All files of a folder, and what their names are.
fn everything_in(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.push_str(&everything_in(&path));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let bytes = match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => read_all(flate2::read::MultiGzDecoder::new(&bytes[..])),
            Some("zst") => read_all(zstd::Decoder::new(&bytes[..]).unwrap()),
            _ => bytes,
        };
        all.push_str(path.to_str().unwrap());
        all.push_str(&everything_said(&String::from_utf8_lossy(&bytes)));
    }
    all
}

fn read_all(mut reader: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// An output with what is in it as base64 as well.
fn everything_said(text: &str) -> String {
    let mut said = text.to_owned();
    if text.starts_with(r#"{"log""#) {
        add_base64(&serde_json::from_str(text).unwrap(), &mut said);
    } else if text.starts_with('{') {
        json_lines(text).iter().for_each(|line| add_base64(line, &mut said));
    }
    said
}

fn add_base64(value: &Value, said: &mut String) {
    match value {
        Value::Object(members) => {
            let is_text = members.get("encoding") == Some(&Value::from("base64"));
            let names = ["base64", "_base64", if is_text { "text" } else { "" }];
            for encoded in names.iter().filter_map(|name| members.get(*name)?.as_str()) {
                let decoded = BASE64_STANDARD.decode(encoded).unwrap();
                said.push_str(&String::from_utf8_lossy(&decoded));
            }
            members.values().for_each(|value| add_base64(value, said));
        }
        Value::Array(values) => values.iter().for_each(|value| add_base64(value, said)),
        _ => {}
    }
}

/// Whether a part of the secret is there that tells something of it.
fn has_trace(said: &str) -> bool {
    (0..=SECRET.len() - 4).any(|at| said.contains(&SECRET[at..at + 4]))
}

/// A request with these header fields and this body, in segments between `|`, the head in one.
fn post(fields: &str, body: &str) -> Case {
    let len = body.replace('|', "").len();
    // The head comes in three pieces, cut before its secret and behind it.
    let head = format!("POST /a HTTP/1.1\r\nHost: h\r\n{fields}\r\nContent-Length: {len}\r\n\r\n");
    let pieces: Vec<_> = std::iter::once(head.as_str()).chain(body.split('|')).collect();
    let pieces: Vec<_> = pieces.iter().map(|piece| piece.as_bytes()).collect();
    Case::new(&format!("{head}{body}"), flow(&pieces, OK.as_bytes()))
}

/// A form of this type.
fn form(content_type: &str, body: &str) -> Case {
    post(&format!("Content-Type: {content_type}"), body)
}

const URLENCODED: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=b";

fn urlencoded_body() -> String {
    format!("a=1&pass%77ord={SECRET}&b=2")
}

fn multipart_body() -> String {
    let disposition = "Content-Disposition: form-data";
    format!(
        "--b\r\n{disposition}; name=\"f\"; filename=\"a.txt\"\r\n\r\nopen\r\n\
         --b\r\n{disposition}; name=\"user[pin]\"\r\n\r\n{SECRET}\r\n--b--\r\n"
    )
}

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn secrets_in_header_fields_are_in_no_output() {
    let requests = [
        "Authorization: Basic {}",
        "Proxy-Authorization: Basic {}",
        "Cookie: id={}",
        "cOOKIE:id={}",
        "Cookie : id={}",
        "Cookie\t: id={}",
        "Cookie: a=1;\r\n id={}",
        "Cookie:\r\n\tid={}",
        "Cookie: a=1\r\nCookie: id={}",
        "Authorization Basic {}",
        "Authorization Basic {}:x",
        "Cookie id={}; a=http://h/",
        "X-Api-Key: {}",
        "X-Auth-Token: {}",
        "X-Csrf-Token: {}",
        "Referer: http://h/a?x=1&token={}&y=2",
        "Referer: http://u:{}@h/",
        "Destination: /a?password={}",
        "X-Long: a\r\n b?password={}",
        "X-Forwarded-Host: u:{}@h",
        ": /?token={}",
    ];
    let responses = [
        "Set-Cookie: id={}; Path=/",
        "Location: /cb?code={}&state=1",
        "Content-Location: http://h/?token={}",
        "Link: </a?token={}>; rel=next",
        "Refresh: 0; url=/a?token={}",
    ];
    let requests = requests.iter().flat_map(|header| {
        let header = header.replace("{}", SECRET);
        let text = format!("GET /a HTTP/1.1\r\nHost: h\r\n{header}\r\nZ: 1\r\n\r\n");
        let bare = text.replace("\r\n", "\n");
        [Case::request(&text), Case::request(&bare)]
    });
    let host = format!("GET /a HTTP/1.1\r\nHost: u:{SECRET}@h\r\n\r\n");
    let requests =
        requests.chain([Case::request(&host), Case::request(&host.replace("@h", "@h:8"))]);
    let responses = responses.iter().map(|header| {
        let header = header.replace("{}", SECRET);
        Case::response(&format!("HTTP/1.1 302 Found\r\n{header}\r\nContent-Length: 0\r\n\r\n"))
    });
    assert_private(requests.chain(responses));
}

#[test]
fn secrets_in_targets_are_in_no_output() {
    let targets = [
        "GET /a?password={}&b=1",
        "GET /a?x=1;token={}",
        "GET /a?pass%77ord={}",
        "GET /a?user%5Bpin%5D={}",
        "GET /a;jsessionid={}?b=1",
        "GET /a?next=%2Fcb%3Fcode%3D{}%26x",
        "GET /a?password=b {}",
        "GET /a?password=b;#,{}&c",
        "GET http://h/a?token={}",
        "GET http://u:{}@h/a",
        "CONNECT u:{}@h:443",
        "OPTIONS *?token={}",
    ];
    assert_private(targets.iter().map(|target| {
        let target = target.replace("{}", SECRET);
        Case::request(&format!("{target} HTTP/1.1\r\nHost: h\r\n\r\n"))
    }));
}

#[test]
fn secrets_in_trailers_and_interim_responses_are_in_no_output() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n";
    let trailers = ["Set-Cookie: id={}", "X-Next: /?token={}", "Authorization Basic {}"];
    let trailers =
        trailers.iter().map(|trailer| format!("{chunked}{trailer}\r\n\r\n").replace("{}", SECRET));
    let interim = ["Set-Cookie: id={}", "Link: </a?token={}>; rel=preload"];
    let interim = interim.iter().map(|header| {
        format!("HTTP/1.1 103 Early Hints\r\n{header}\r\n\r\n{OK}").replace("{}", SECRET)
    });
    assert_private(trailers.chain(interim).map(|response| Case::response(&response)));
}

#[test]
fn secrets_in_forms_are_in_no_output() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {URLENCODED}\r\nConnection: close\r\n\r\naccess_token={SECRET}"
    );
    let many = "A: b\r\n".repeat(300);
    let body = urlencoded_body();
    assert_private([
        form(URLENCODED, &body),
        form("Application/X-WWW-form-URLENCODED;charset=utf-8", &body),
        post(&format!("Content-Type: text/plain\r\nContent-Type: {URLENCODED}"), &body),
        post(&format!("Content-Type:\r\n {URLENCODED}"), &body),
        post(&format!("{many}Content-Type: {URLENCODED}"), &body),
        form(MULTIPART, &multipart_body()),
        form("multipart/form-data; boundary=\"b\"", &multipart_body()),
        form("multipart/form-data; boundary=c", &multipart_body()),
        form("multipart/form-data", &multipart_body()),
        form(MULTIPART, &multipart_body().replace("user[pin]", "pass\\\"word")),
        form(MULTIPART, &multipart_body().replace("\"user[pin]\"", "pass\r\n word")),
        Case::response(&answer),
    ]);
}

#[test]
fn secrets_in_forms_in_a_content_coding_are_in_no_output() {
    let cases = [(URLENCODED, urlencoded_body()), (MULTIPART, multipart_body())];
    let mut cases: Vec<_> = cases
        .iter()
        .flat_map(|(content_type, body)| {
            let body = gzip(body);
            // Whole, and all but its last byte.
            [body.len(), body.len() - 1].map(|len| {
                let head = format!(
                    "POST /a HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\n\
                     Content-Encoding: gzip\r\nContent-Length: {len}\r\n\r\n"
                );
                let request = [head.as_bytes(), &body[..len]];
                Case::new(&format!("gzip, {len} bytes: {head}"), flow(&request, OK.as_bytes()))
            })
        })
        .collect();
    let unknown = format!("{URLENCODED}\r\nContent-Encoding: unheard-of");
    cases.push(form(&unknown, &urlencoded_body()));
    assert_private(cases);
}

#[test]
fn secrets_in_a_form_are_in_no_output_however_it_is_cut() {
    for (content_type, body) in [(URLENCODED, urlencoded_body()), (MULTIPART, multipart_body())] {
        let (first, second) = body.split_at(body.len() / 2);
        let request = format!(
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\n\
             Transfer-Encoding: chunked\r\n\r\n\
             {:x}\r\n{first}\r\n{:x};x=y\r\n{second}\r\n0\r\n\r\n",
            first.len(),
            second.len(),
        );
        let bytes = request.as_bytes();
        let cuts = (1..bytes.len())
            .zip(50_000..)
            .flat_map(|(cut, port)| flow_of(port, &[&bytes[..cut], &bytes[cut..]], OK.as_bytes()));
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_private([
            Case::new("cut once", cuts.collect()),
            Case::new("a byte a segment", flow(&single, OK.as_bytes())),
        ]);
    }
}

#[test]
fn secrets_next_to_a_loss_are_in_no_output() {
    let (secret, rest) = SECRET.split_at(SECRET.len() / 2);
    let multipart = multipart_body();
    let name_lost = multipart.replace("pin", "p|in|");
    let value_cut = multipart.replace(SECRET, &format!("{secret}|!|{rest}"));
    let delimiter_lost = multipart.replace("open\r\n--b\r\n", "open\r\n|--b\r\n|");
    assert_private([
        form(URLENCODED, &format!("a=1&|pass|word={SECRET}&b=2")).without("pass"),
        form(URLENCODED, &format!("a=1&password|=|{SECRET}&b=2")).without("="),
        form(URLENCODED, &format!("a=1&pin={secret}|!|{rest}&b=2")).without("!").not_shown(),
        form(URLENCODED, &format!("a=1&pin={SECRET}|&|b=2")).without("&"),
        form(MULTIPART, &name_lost).without("in"),
        form(MULTIPART, &value_cut).without("!").not_shown(),
        form(MULTIPART, &delimiter_lost).without("--b\r\n"),
        // The head is cut before, in, and behind its secret.
        Case::new(
            "a head without its end",
            flow(
                &[
                    format!("GET /a HTTP/1.1\r\nCookie: id={SECRET}\r\nA: b").as_bytes(),
                    b"!",
                    b"\r\n\r\n",
                ],
                OK.as_bytes(),
            ),
        )
        .without("!"),
        Case::new(
            "a head without its middle",
            flow(
                &[
                    format!("GET /a HTTP/1.1\r\nHost: h\r\nCookie: id={secret}").as_bytes(),
                    b"!",
                    format!("{rest}\r\nA: b\r\n\r\n").as_bytes(),
                ],
                OK.as_bytes(),
            ),
        )
        .without("!")
        .not_shown(),
        Case::new(
            "a head without its beginning",
            flow(
                &[b"GET /a HTTP/1.1\r\nCoo!", format!("kie: id={SECRET}\r\n\r\n").as_bytes()],
                OK.as_bytes(),
            ),
        )
        .without("!")
        .not_shown(),
        Case::new(
            "an answer without its beginning",
            flow(
                &[b"GET /a HTTP/1.1\r\n\r\n"],
                format!("HTTP/1.1 200 OK{}Set-Cookie: id={SECRET}\r\n\r\n", " ".repeat(MSS))
                    .as_bytes(),
            ),
        )
        .without("  ")
        .not_shown(),
        form(URLENCODED, &urlencoded_body()).without("\r\n\r\n").not_shown(),
        form(MULTIPART, &multipart_body()).without("\r\n\r\n").not_shown(),
    ]);
}

#[test]
fn secrets_behind_a_missed_start_are_in_no_output() {
    let body = multipart_body();
    // The head comes in three pieces, cut before its secret and behind it.
    let head = format!("POST /a HTTP/1.1\r\nCookie: id=|{SECRET}\r\nContent-Type: {MULTIPART}\r\n");
    let request = format!("{head}Content-Length: {}\r\n\r\n|{body}", body.len())
        .replace(SECRET, &format!("{SECRET}|"));
    let pieces: Vec<_> = request.split('|').map(str::as_bytes).collect();
    let segments = flow(&pieces, OK.as_bytes());
    assert_private((1..segments.len()).map(|start| {
        let case = Case::new(&format!("from segment {start} on"), segments[start..].to_vec());
        // The first three segments are those of the handshake.
        if start <= 3 { case } else { case.not_shown() }
    }));
}

#[test]
fn what_is_named_by_redact_is_in_no_output() {
    let get = |target: &str, header: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{header}\r\n\r\n");
        Case::request(&request.replace("{}", SECRET))
    };
    let multipart = multipart_body().replace("user[pin]", "iban");
    assert_private([
        get("/a", "X-Ssn: {}").redacted("header:x-ssn"),
        get("/a", "X-Ssn: {}").redacted("header:other,XSsn"),
        get("/a?q=%41{}&b=1", "A: b").redacted("query:q"),
        get("/a", "Referer: /?q={}").redacted("q"),
        form(URLENCODED, &format!("a=1&i%62an={SECRET}")).redacted("form:iban"),
        form(MULTIPART, &multipart).redacted("IBAN"),
        // It stays so where the usual secrets are shown.
        Case {
            redact: vec!["--show-secrets", "--redact", "form:iban"],
            ..form(URLENCODED, &format!("iban={SECRET}"))
        },
    ]);
}
