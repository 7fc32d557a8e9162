//! HAR: a real browser gets a whole page out of the file alone, and the file says what curl says.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::har::Schema;
use crate::support::lab::{Family, Lab, Namespace};
use crate::support::live::{AGENT, Agent};
use crate::support::nginx::Nginx;
use crate::support::process::Process;

const PAGE: &str = r#"<!doctype html>
<html><head><title>A page</title><link rel="stylesheet" href="style.css"></head>
<body><h1>Said by the server</h1><p id="script"></p><p id="data"></p><p id="moved"></p>
<p id="missing"></p><img src="logo.png"><script src="app.js"></script></body></html>
"#;

const STYLE: &str = "h1 { color: rgb(1, 2, 3); }\n";

const SCRIPT: &str = r#"
const set = (id, text) => { document.getElementById(id).textContent = text; };
async function main() {
  set("script", "Said by the script");
  const data = await fetch("data.json");
  set("data", (await data.json()).words.join(" "));
  const moved = await fetch("/moved");
  set("moved", `${moved.status} ${await moved.text()}`);
  set("missing", (await fetch("/no/such/thing?q=1")).status);
  await document.images[0].decode();
  document.body.dataset.done = "yes";
}
main();
"#;

const DATA: &str = r#"{"words":["Said","by","fetch","äöü"]}"#;

/// Three pixels by two.
const LOGO: &str = "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAEElEQVR4nGM4IScHQQxwFgBBAAYZPEVBlgAA\
                    AABJRU5ErkJggg==";

/// A server of the page, and where it is found after a redirect.
fn site(lab: &Lab) -> (Nginx, String) {
    let nginx = Nginx::start(&lab.server);
    nginx.serve("index.html", PAGE.as_bytes());
    nginx.serve("style.css", STYLE.as_bytes());
    nginx.serve("app.js", SCRIPT.as_bytes());
    nginx.serve("data.json", DATA.as_bytes());
    nginx.serve("small.bin", b"Said by another");
    nginx.serve("logo.png", &STANDARD.decode(LOGO).expect("the picture is base64"));
    (nginx, Lab::url(Family::V4, "/start"))
}

/// What Chromium makes of a page, from its server or out of a file.
#[track_caller]
fn browse(namespace: &Namespace, url: &str, har: Option<&Path>) -> Value {
    let modules = Path::new(AGENT).ancestors().nth(2).map(|it| it.join("browser/node_modules"));
    let modules = modules.filter(|modules| modules.join("playwright-core").exists());
    let modules = modules.expect("`cargo xtask test` brings what drives the browser");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/browser/page.js");
    // Its profile, and whatever else it wants to keep.
    let home = TempDir::new().expect("folder can be made");
    let mut node = namespace.command("node");
    node.env("NODE_PATH", modules).env("HOME", home.path()).env("TMPDIR", home.path());
    node.arg(script).arg(url).arg(home.path().join("profile")).args(har);
    let ended = Process::start(&mut node).wait();
    assert!(ended.status.success(), "{}", ended.stderr);
    serde_json::from_slice(&ended.stdout).expect("the script writes JSON")
}

/// An agent that writes to a HAR file until it is stopped.
fn capture(namespace: &Namespace, folder: &TempDir, options: &str) -> (Agent, PathBuf) {
    let har = folder.path().join("page.har");
    let options =
        format!("--iface eth0 --workers 1 --bodies=8MiB {options} --output {}", har.display());
    (Agent::run(namespace, &options), har)
}

#[test]
fn a_browser_gets_the_page_out_of_the_file_alone() {
    let lab = Lab::new();
    let folder = TempDir::new().expect("folder can be made");
    let (nginx, url) = site(&lab);
    let (agent, har) = capture(&lab.server, &folder, "");
    let from_server = browse(&lab.client, &url, None);
    agent.stop();
    drop(nginx);

    let expected = json!({
        "url": Lab::url(Family::V4, "/site/index.html"),
        "title": "A page",
        "text": "Said by the server\n\nSaid by the script\n\nSaid by fetch äöü\n\n\
                 200 Said by another\n\n404",
        "color": "rgb(1, 2, 3)",
        "image": [3, 2],
        "failed": [],
    });
    assert_eq!(from_server, expected);
    // A network with nobody in it.
    let nowhere = Namespace::alone();
    assert_eq!(browse(&nowhere, &url, Some(&har)), expected);

    let log = Schema::new().parse(&fs::read(&har).expect("file can be read"));
    let entries = log["log"]["entries"].as_array().expect("entries are a list");
    let entry = |path: &str| {
        let url = Lab::url(Family::V4, path);
        let found = entries.iter().find(|entry| entry["request"]["url"] == url.as_str());
        found.unwrap_or_else(|| panic!("no {url} in {log:#}"))
    };
    assert_eq!(entry("/start")["response"]["status"], 302);
    assert_eq!(entry("/no/such/thing?q=1")["response"]["status"], 404);
    let style = &entry("/site/style.css")["response"];
    assert_eq!(style["content"]["text"], STYLE);
    assert_eq!(style["content"]["size"], STYLE.len());
    let encoding = json!({"name": "Content-Encoding", "value": "gzip"});
    assert!(style["headers"].as_array().is_some_and(|it| it.contains(&encoding)), "{style:#}");
    assert_eq!(entry("/site/logo.png")["response"]["content"]["text"], LOGO);
}

/// What curl says of a fetch, times in microseconds from its start.
#[derive(Debug)]
struct Report {
    url: String,
    status: u64,
    sizes: [u64; 4],
    /// 0 where it has used a connection again.
    connected: i64,
    total: i64,
}

/// Has curl fetch these, one after the other.
fn curl(client: &Namespace, urls: &[String]) -> Vec<Report> {
    const REPORT: &str = "%{stderr}%{url_effective} %{http_code} %{size_request} %{size_header} \
        %{size_upload} %{size_download} %{time_connect} %{time_total}\n";
    let mut curl = client.command("curl");
    curl.args(["--silent", "--show-error", "--globoff", "--noproxy", "*", "--max-time", "60"]);
    curl.args(["--write-out", REPORT]);
    for url in urls {
        curl.args([url, "--output", "/dev/null"]);
    }
    let output = curl.output().expect("curl starts");
    let report = String::from_utf8(output.stderr).expect("curl writes text");
    assert!(output.status.success(), "{curl:?}: {report}");
    let parse = |line: &str| {
        let fields: Vec<_> = line.split(' ').collect();
        let number = |at: usize| fields[at].parse().expect("curl writes numbers");
        let micros = |at: usize| {
            (fields[at].parse::<f64>().expect("curl writes numbers") * 1e6).round() as i64
        };
        Report {
            url: fields[0].to_owned(),
            status: number(1),
            sizes: [2, 3, 4, 5].map(number),
            connected: micros(6),
            total: micros(7),
        }
    };
    report.lines().map(parse).collect()
}

#[test]
fn urls_statuses_sizes_and_times_are_those_of_curl() {
    let lab = Lab::new();
    let folder = TempDir::new().expect("folder can be made");
    let (nginx, start) = site(&lab);
    nginx.serve("long.bin", &vec![b'x'; 72 << 10]);
    // On curl's side, where nothing lies between the two clocks.
    let (agent, har) = capture(&lab.client, &folder, "");
    let paths = ["/site/logo.png", "/site/index.html?a=b", "/no/such/thing", "/slow/long.bin"];
    let mut urls: Vec<_> = paths.iter().map(|path| Lab::url(Family::V4, path)).collect();
    urls.push(start);
    urls.push(Lab::url(Family::V6, "/chunked/data.json"));
    let reports = curl(&lab.client, &urls);
    // As services are stopped.
    agent.signal(Signal::TERM);
    assert!(agent.wait().status.success());

    let log = Schema::new().parse(&fs::read(&har).expect("file can be read"));
    let entries = log["log"]["entries"].as_array().expect("entries are a list");
    assert_eq!((entries.len(), reports.len()), (urls.len(), urls.len()));
    for (entry, curl) in entries.iter().zip(&reports) {
        let (request, response) = (&entry["request"], &entry["response"]);
        assert_eq!(request["url"], curl.url, "{curl:?}");
        assert_eq!(response["status"], curl.status, "{curl:?}");
        let sizes = [
            &request["headersSize"],
            &response["headersSize"],
            &request["bodySize"],
            &response["bodySize"],
        ];
        assert_eq!(sizes.map(Value::as_u64), curl.sizes.map(Some), "{curl:?}");
        let micros = |value: &Value| (value.as_f64().expect("a number") * 1e3).round() as i64;
        let [connect, send, wait, receive] =
            ["connect", "send", "wait", "receive"].map(|name| micros(&entry["timings"][name]));
        // The wire saw it begin after curl did, and end before.
        match curl.connected {
            0 => assert_eq!(entry["timings"]["connect"], -1, "{curl:?}"),
            connected => assert!((0..=connected).contains(&connect), "{curl:?}, {entry:#}"),
        }
        let rest = curl.total - curl.connected;
        assert!(send >= 0 && wait > 0 && receive >= 0, "{curl:?}, {entry:#}");
        assert!(send + wait + receive <= rest, "{curl:?}, {entry:#}");
        if curl.url.contains("/slow/") {
            // 20 KiB in each of the first seconds, of which the first may be a short one.
            assert!(receive > 2_000_000, "{curl:?}, {entry:#}");
        }
    }
}
