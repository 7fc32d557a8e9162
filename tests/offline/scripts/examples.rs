//! The scripts under `examples/`, on a capture.

use std::fs;
use std::path::Path;

use super::Scene;
use crate::support::agent::Output;
use crate::support::pcap::Conversation;

/// The script of this name.
fn run(scene: &Scene, name: &str, arguments: &str) -> Output {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let dir = scene.path("dir");
    let output = scene.agent_with(&file, arguments).args([Path::new("--script-dir"), &dir]).run();
    assert_eq!(output.status, Some(0), "{output:?}");
    output
}

fn ask(flow: Conversation, request: &str, response: &str, body: &str) -> Conversation {
    let request = format!("{request} HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let response = format!("HTTP/1.1 {response}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    flow.client_sends(request.as_bytes()).server_sends(response.as_bytes())
}

fn flow() -> Conversation {
    Conversation::new("10.0.0.5:51234", "10.0.0.1:80").open()
}

#[test]
fn save_audio_saves_the_first_and_ends() {
    let mut flow = ask(flow(), "GET /page", "200 OK\r\nContent-Type: text/html", "<audio>");
    flow = ask(flow, "GET /gone.mp3", "404 Not Found\r\nContent-Type: audio/mpeg", "gone");
    flow = ask(flow, "GET /one.mp3", "200 OK\r\nContent-Type: audio/mpeg; x=y", "first song");
    let scene = Scene::of(ask(flow, "GET /2.ogg", "200 OK\r\nContent-Type: audio/ogg", "second"));
    let output = run(&scene, "save_audio.lua", "--bodies=1MiB");
    let mut files = fs::read_dir(scene.path("dir")).unwrap().map(|file| file.unwrap());
    let (file, None) = (files.next().unwrap(), files.next()) else { panic!("not one file") };
    assert_eq!(fs::read(file.path()).unwrap(), b"first song");
    let name = file.file_name().into_string().unwrap();
    assert!(name.starts_with("audio-") && name.ends_with("-2.mp3"), "{name}");
    assert_eq!(output.stdout, format!("{name}: audio/mpeg from http://example.com/one.mp3\n"));
}

#[test]
fn slowest_endpoints_are_told_at_the_end() {
    let mut flow = flow();
    for n in 0..3 {
        flow = ask(flow, &format!("GET /a?n={n}"), "200 OK", "x");
    }
    let scene = Scene::of(ask(flow, "POST /b", "200 OK", "x"));
    let printed = run(&scene, "slowest_endpoints.lua", "").stdout;
    let lines: Vec<Vec<_>> =
        printed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["longest", "mean", "times", "endpoint"], "{printed}");
    assert_eq!(lines.len(), 3, "{printed}");
    let mut counted: Vec<_> = lines[1..].iter().map(|line| line[4..].join(" ")).collect();
    counted.sort();
    assert_eq!(counted, ["1 POST example.com/b", "3 GET example.com/a"], "{printed}");
}

#[test]
fn no_user_agent_is_a_line_a_request() {
    let mut flow = ask(flow(), "GET /none", "204 No Content", "");
    flow = ask(flow, "GET /some HTTP/1.1\r\nUser-Agent: x\r\nX:", "200 OK", "");
    flow = ask(flow, "GET /empty HTTP/1.1\r\nUSER-AGENT:  \r\nX:", "200 OK", "");
    let scene = Scene::of(flow);
    let printed = run(&scene, "no_user_agent.lua", "").stdout;
    let lines: Vec<Vec<_>> = printed.lines().map(|line| line.split('\t').collect()).collect();
    let told: Vec<_> = lines.iter().map(|line| line[1..].join(" ")).collect();
    let expected =
        ["10.0.0.5 GET http://example.com/none 204", "10.0.0.5 GET http://example.com/empty 200"];
    assert_eq!(told, expected, "{printed}");
}

#[test]
fn the_scripts_of_the_docs_run() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scripting.md");
    let docs = fs::read_to_string(docs).unwrap();
    let scripts: Vec<_> = docs.split("```lua\n").skip(1).collect();
    assert!(scripts.len() >= 2, "{}", scripts.len());
    for script in scripts {
        let script = script.split("```").next().unwrap();
        let scene = Scene::of(ask(flow(), "GET /x", "500 No\r\nContent-Type: text/html", "x"));
        let output = scene.run_in_dir(script, "");
        assert_eq!(output.status, Some(0), "{script}: {output:?}");
        if script.contains("print") {
            assert!(output.stdout.ends_with("\thttp://example.com/x\t500\n"), "{output:?}");
        }
    }
}
