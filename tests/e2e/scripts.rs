//! `--script` on real traffic: the examples, bytes as they are sent, and how a script ends a capture.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::fetch::fetch;
use crate::support::lab::{Family, Lab};
use crate::support::live::{self, Agent};
use crate::support::nginx::Nginx;
use crate::support::process::{Ended, Process};
use crate::support::wait;

/// A server, a client, and a folder for scripts and what they make.
struct Scene {
    lab: Lab,
    nginx: Nginx,
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new();
        let nginx = Nginx::start(&lab.server);
        Self { lab, nginx, folder: tempfile::tempdir().unwrap() }
    }

    /// The agent with this script, which captures when this returns.
    fn run(&self, script: &Path, arguments: &str) -> Agent {
        let dir = self.folder.path().display();
        let script = script.display();
        let arguments =
            format!("run --iface eth0 --script {script} --script-dir {dir} {arguments}");
        Agent::started(Process::start(&mut live::command(&self.lab.server, &arguments)))
    }

    fn write(&self, script: &str) -> PathBuf {
        let path = self.folder.path().join("x.lua");
        fs::write(&path, script).unwrap();
        path
    }

    fn get(&self, path: &str, options: &str) {
        fetch(&self.lab.client, &Lab::url(Family::V4, path), options);
    }
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

fn text(ended: &Ended) -> String {
    String::from_utf8(ended.stdout.clone()).unwrap()
}

#[test]
fn save_audio_saves_the_first_song_byte_for_byte_and_ends() {
    let scene = Scene::new();
    let song: Vec<u8> =
        (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    scene.nginx.serve("page.html", b"<audio>");
    scene.nginx.serve("song.mp3", &song);
    let agent = scene.run(&example("save_audio.lua"), "--bodies=10MiB");
    scene.get("/page.html", "");
    scene.get("/audio/song.mp3", "");
    // By itself.
    let ended = agent.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("does not balance"), "{}", ended.stderr);
    let printed = text(&ended);
    let (name, rest) = printed.split_once(": ").unwrap();
    assert_eq!(rest, "audio/mpeg from http://10.77.0.1/audio/song.mp3\n");
    assert!(fs::read(scene.folder.path().join(name)).unwrap() == song, "{name} is not the song");
}

#[test]
fn slowest_endpoints_are_told_when_the_capture_ends() {
    let scene = Scene::new();
    scene.nginx.serve("a.html", b"a");
    let agent = scene.run(&example("slowest_endpoints.lua"), "");
    (0..3).for_each(|n| scene.get(&format!("/a.html?n={n}"), ""));
    scene.get("/none", "--request POST --data x");
    let printed = text(&agent.stop());
    let lines: Vec<Vec<_>> =
        printed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["longest", "mean", "times", "endpoint"], "{printed}");
    let mut told: Vec<_> = lines[1..].iter().map(|line| line[4..].join(" ")).collect();
    told.sort();
    assert_eq!(told, ["1 POST 10.77.0.1/none", "3 GET 10.77.0.1/a.html"], "{printed}");
}

#[test]
fn no_user_agent_is_told_while_the_capture_goes_on() {
    let scene = Scene::new();
    scene.nginx.serve("a.html", b"a");
    let agent = scene.run(&example("no_user_agent.lua"), "");
    scene.get("/a.html", "");
    scene.get("/a.html?silent", "--header User-Agent:");
    wait::until("the request is told of", || !agent.stdout().is_empty());
    let printed = text(&agent.stop());
    let fields: Vec<_> = printed.trim_end().split('\t').collect();
    assert_eq!(fields[1..], ["10.77.0.2", "GET", "http://10.77.0.1/a.html?silent", "200"]);
}

#[test]
fn a_script_is_given_each_byte_and_each_flow_and_the_ledger_says_so() {
    let scene = Scene::new();
    // More than the budget of a turn.
    let large: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    scene.nginx.serve("large.bin", &large);
    let script = scene.write(
        r#"local file
        function flow_opened(f) print("opened", f.client.ip, f.server.port) end
        function received(f, bytes)
          file = file or io.open("received", "w")
          file:write(bytes)
        end
        function sent(f, bytes) print("sent", (bytes:match("^%u+ %S+"))) end
        function flow_closed(f) print("closed", f.close, f.to_client.bytes) end"#,
    );
    let ledger = scene.folder.path().join("ledger.jsonl");
    let arguments = format!("--show-secrets --events stats --output {}", ledger.display());
    let agent = scene.run(&script, &arguments);
    scene.get("/large.bin", "");
    wait::until("the flow is over", || agent.stdout().windows(6).any(|it| it == b"closed"));
    let printed = text(&agent.stop());
    let received = fs::read(scene.folder.path().join("received")).unwrap();
    assert!(received.ends_with(&large), "{} bytes", received.len());
    let expected =
        format!("opened\t10.77.0.2\t80\nsent\tGET /large.bin\nclosed\tfin\t{}\n", received.len());
    assert_eq!(printed, expected);
    let ledger: Value = serde_json::from_slice(&fs::read(ledger).unwrap()).unwrap();
    let script = &ledger["exchanges"]["outputs"][1];
    assert_eq!(ledger["raw"]["data_bytes"]["made"], ledger["bytes"]);
    assert_eq!(ledger["raw"]["data_bytes"]["dropped"], 0);
    assert_eq!((&script["data_bytes"], &script["opened"]), (&ledger["bytes"], &1.into()));
    assert_eq!(ledger["elided_bytes"], 0);
}

#[test]
fn an_error_ends_the_capture_with_status_1_and_what_came_before_is_there() {
    let scene = Scene::new();
    scene.nginx.serve("a.html", b"a");
    let script =
        scene.write("function exchange(e)\n  error('enough of ' .. e.request.target)\nend");
    let output = scene.folder.path().join("x.jsonl");
    let agent = scene.run(&script, &format!("--output {}", output.display()));
    scene.get("/a.html", "");
    let ended = agent.wait();
    let complaint = ended.complaint(1);
    let says = "x.lua:2: enough of /a.html";
    assert!(complaint.contains("in exchange(): ") && complaint.ends_with(says), "{complaint}");
    assert!(!ended.stderr.contains("does not balance"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(output).unwrap().lines().count(), 1);
}

#[test]
fn a_script_that_loops_for_ever_is_ended() {
    let scene = Scene::new();
    let script = scene.write("function exchange(e)\n  while true do pcall(error) end\nend");
    let agent = scene.run(&script, "--script-steps 5000000");
    scene.get("/", "");
    let ended = agent.wait();
    let complaint = ended.complaint(1);
    assert!(complaint.contains("x.lua:2: more than 5000000 steps in one call"), "{complaint}");
}

#[test]
fn what_can_not_be_interrupted_does_not_hold_up_who_asks_twice() {
    let scene = Scene::new();
    // A pattern that takes longer than anyone lives, in one call of Lua's library.
    let script = scene.write(
        "function exchange(e)
           io.open('begun', 'w'):close()
           return ('a'):rep(300):find(('a*'):rep(30) .. 'b')
         end",
    );
    let agent = scene.run(&script, "");
    scene.get("/", "");
    let begun = scene.folder.path().join("begun");
    wait::until("the script is at it", || begun.exists());
    // Who watches the wire is not held up.
    scene.get("/", "");
    agent.signal(Signal::INT);
    agent.signal(Signal::TERM);
    let ended = agent.wait();
    assert!(matches!(ended.status.code(), Some(130 | 143)), "{ended:?}");
}
