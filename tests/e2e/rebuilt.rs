//! Exchanges as frames, `--output x.pcapng`: of real servers and clients, tshark and the agent's
//! own `read` find in them what was captured.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::fetch::{Fetch, assert_captured, fetch, fetch_all};
use crate::support::lab::{Family, Lab};
use crate::support::live::{AGENT, Agent, objects};
use crate::support::nginx::Nginx;
use crate::support::process::Process;
use crate::support::tshark;

/// Traffic of every kind, as curl saw it, and as the agent captured it with these arguments.
fn capture(arguments: &str) -> (Vec<Fetch>, Vec<Value>) {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page.html", &b"<p>page</p>\n".repeat(5_000));
    nginx.serve("small.bin", b"small");
    nginx.serve("large.bin", &vec![b'x'; 3 << 20]);
    nginx.serve("empty.txt", b"");
    let upload = nginx.path("upload.bin");
    std::fs::write(&upload, vec![b'u'; 300_000]).unwrap();
    let agent = Agent::run(&lab.server, arguments);
    let url = |path: &str| Lab::url(Family::V4, path);
    let kept: Vec<_> =
        ["/page.html", "/missing", "/large.bin", "/chunked/page.html", "/empty.txt", "/moved"]
            .map(url)
            .to_vec();
    let mut made = fetch_all(&lab.client, &kept, "");
    let v6 = Lab::url(Family::V6, "/gzip/page.html");
    made.push(fetch(&lab.client, &v6, "--header Accept-Encoding:gzip"));
    made.push(fetch(&lab.client, &url("/page.html"), "--head"));
    // Without a length, and until the end.
    made.push(fetch(&lab.client, &url("/chunked/small.bin"), "--http1.0"));
    let body = format!("--data-binary @{}", upload.display());
    made.push(fetch(&lab.client, &url("/upload/a"), &body));
    made.push(fetch(
        &lab.client,
        &url("/upload/b"),
        &format!("{body} --header Expect:100-continue"),
    ));
    made.push(fetch(
        &lab.client,
        &url("/upload/c"),
        &format!("{body} --header Transfer-Encoding:chunked"),
    ));
    // curl counts chunks with what frames them.
    made.last_mut().unwrap().sent = 300_000;
    (made, agent.stop().objects("exchange"))
}

fn read(path: &Path, arguments: &str) -> Vec<Value> {
    let mut command = Command::new(AGENT);
    command.args(["read", "--format", "jsonl"]).args(arguments.split_whitespace()).arg(path);
    let ended = Process::start(&mut command).wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    objects(&ended.stdout, "exchange")
}

/// What tshark says of these fields of the packets that a filter lets through.
fn fields(path: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let mut tshark = Command::new("tshark");
    tshark.env("HOME", home.path()).env_remove("XDG_CONFIG_HOME");
    tshark.args(["-n", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]);
    tshark.args(["-T", "fields", "-Y", filter, "-r"]).arg(path);
    let output = tshark.args(fields.iter().flat_map(|field| ["-e", field])).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// An exchange without what is not in a file: who had the socket, the index of the interface, what
/// the network did to segments.
fn as_read(exchange: &Value) -> Value {
    let mut exchange = exchange.clone();
    let gone = [
        "ifindex",
        "netns",
        "local",
        "process",
        "container",
        "cgroup",
        "retransmitted",
        "out_of_order",
    ];
    exchange.as_object_mut().unwrap().retain(|name, _| !gone.contains(&name.as_str()));
    exchange
}

/// The fields that are not the same.
fn differing(path: &str, one: &Value, other: &Value, report: &mut String) {
    match (one, other) {
        (Value::Object(ones), Value::Object(others)) => {
            let names: BTreeSet<_> = ones.keys().chain(others.keys()).collect();
            for name in names {
                differing(&format!("{path}/{name}"), &one[name], &other[name], report);
            }
        }
        _ if one == other => {}
        _ => {
            let shorten = |value: &Value| value.to_string().chars().take(200).collect::<String>();
            *report += &format!("\n  {path}: {} or {}", shorten(one), shorten(other));
        }
    }
}

#[test]
fn what_is_read_of_frames_is_what_was_captured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames.pcapng");
    let output = format!(
        "--iface eth0 --workers 1 --ring-size 256MiB --bodies=4MiB --output - --output {}",
        path.display()
    );
    let (made, captured) = capture(&output);
    assert_captured(&captured, made.clone());

    let again = read(&path, "--bodies=4MiB");
    let mut differences = String::new();
    for (again, captured) in again.iter().zip(&captured) {
        differing("", &as_read(again), &as_read(captured), &mut differences);
    }
    assert!(differences.is_empty(), "read again or captured: {differences}");
    assert_captured(&again, made.clone());

    let decoded = tshark::decode(&path);
    let urls: Vec<_> =
        decoded.iter().filter_map(|message| message.show("http.request.full_uri")).collect();
    let expected: Vec<_> =
        captured.iter().map(|exchange| exchange["request"]["url"].as_str().unwrap()).collect();
    assert_eq!(urls, expected);
    let responses: Vec<_> = decoded
        .iter()
        .filter_map(|message| {
            let status = message.show("http.response.code")?;
            let body = message.bytes("http.file_data").map_or(0, <[u8]>::len);
            (status != "100").then(|| (status.to_owned(), body as u64))
        })
        .collect();
    let expected: Vec<_> = captured
        .iter()
        .map(|exchange| &exchange["response"])
        .map(|response| {
            (response["status"].to_string(), response["body"]["bytes"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(responses, expected, "left: tshark's statuses and sizes, right: ours");

    let odd = "_ws.malformed || tcp.analysis.flags || tcp.checksum.status == 0 || \
               ip.checksum.status == 0";
    assert_eq!(fields(&path, odd, &["frame.number", "_ws.col.Info"]), Vec::<String>::new());
    let ids: BTreeSet<_> = captured
        .iter()
        .map(|exchange| format!("{}/{}", exchange["flow"].as_str().unwrap(), exchange["index"]))
        .collect();
    let comments: BTreeSet<_> = fields(&path, "frame", &["frame.comment"]).into_iter().collect();
    assert_eq!(comments, ids, "left: comments of packets, right: exchanges");
    let interfaces =
        fields(&path, "frame", &["frame.interface_name", "frame.interface_description"]);
    let interfaces: BTreeSet<_> = interfaces.iter().map(String::as_str).collect();
    assert_eq!(
        interfaces.into_iter().collect::<Vec<_>>(),
        ["eth0\trebuilt by capture-agent from the exchanges that it saw here"]
    );
}

#[test]
fn bodies_that_were_not_kept_are_missing_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames.pcapng");
    let output = format!("--iface eth0 --output - --output {}", path.display());
    let (made, captured) = capture(&output);
    assert_eq!(captured.len(), made.len());

    let again = read(&path, "--bodies=4MiB");
    assert_eq!(again.len(), captured.len());
    for (again, captured) in again.iter().zip(&captured) {
        for part in ["/flow", "/index", "/time", "/client", "/server", "/informational"] {
            assert_eq!(again.pointer(part), captured.pointer(part), "{part}");
        }
        for side in ["request", "response"] {
            let (again, captured) = (&again[side], &captured[side]);
            for part in ["method", "url", "status", "headers", "head_bytes"] {
                assert_eq!(again[part], captured[part], "{part}");
            }
            // Of chunks that were left in the kernel nobody knows how much was content.
            let Some(sent) = captured["body"]["wire_bytes"].as_u64() else { continue };
            assert_eq!(again["lost_bytes"].as_u64().unwrap_or(0), sent, "{again}");
            assert_eq!(again["state"], if sent > 0 { "gap" } else { "complete" });
            assert_eq!(again["body"]["wire_bytes"], 0);
        }
    }
    let urls = fields(&path, "http.request", &["http.request.full_uri"]);
    let statuses = fields(&path, "http.response", &["http.response.code"]);
    assert_eq!(urls.len(), captured.len());
    let interim = statuses.iter().filter(|status| *status == "100").count();
    assert_eq!(statuses.len() - interim, captured.len());
}
