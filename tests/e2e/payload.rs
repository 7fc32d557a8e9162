//! Payload files of real traffic: what nginx served and curl sent, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::fetch::{fetch, fetch_all};
use crate::support::lab::{Family, Lab};
use crate::support::live::Agent;
use crate::support::nginx::Nginx;
use crate::support::wait;

const MIB: usize = 1 << 20;

/// Bytes without a pattern, the same for the same seed (xorshift64).
fn random(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("sha256sum runs");
    let text = String::from_utf8(output.stdout).expect("its output is text");
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// The index of a folder; panics unless each line tells of a file what `sha256sum` does.
#[track_caller]
fn index(folder: &Path) -> Vec<Value> {
    let index = fs::read_to_string(folder.join("index.jsonl")).expect("there is an index");
    let lines = index.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let lines: Vec<_> = lines.collect();
    for line in &lines {
        let file = folder.join(line["file"].as_str().expect("a file"));
        assert_eq!(line["sha256"], sha256(&file), "{line}");
    }
    lines
}

/// SHA-256 of what was saved, by URL path and side. Panics unless all of it is complete.
#[track_caller]
fn saved(folder: &Path) -> BTreeMap<String, String> {
    let of_line = |line: Value| {
        assert_eq!(line["state"], "complete", "{line}");
        let text = |name: &str| line[name].as_str().expect("text").to_owned();
        let url = text("url");
        let path = url.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
        (format!("{} {path}", text("side")), text("sha256"))
    };
    index(folder).into_iter().map(of_line).collect()
}

#[test]
fn what_was_served_and_sent_is_saved_byte_for_byte() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    let text = b"It is a truth universally acknowledged. ".repeat(40_000);
    for (name, content) in [
        ("small.json", b"{\"a\":1}".to_vec()),
        ("text.txt", text),
        ("large.bin", random(48 * MIB, 1)),
    ] {
        nginx.serve(name, &content);
    }
    let upload = nginx.path("upload.bin");
    fs::write(&upload, random(6 * MIB, 2)).expect("file can be written");
    let folder = nginx.path("saved");
    // Less than half of the ring, so that nothing has to be left out, however fast it comes.
    let arguments = format!(
        "--iface eth0 --workers 1 --ring-size 256MiB --events exchange,stats --save-bodies {}",
        folder.display()
    );
    let agent = Agent::run(&lab.server, &arguments);

    let paths = ["/small.json", "/chunked/text.txt", "/gzip/text.txt", "/large.bin"];
    let urls = paths.map(|path| Lab::url(Family::V4, path));
    fetch_all(&lab.client, &urls, "--compressed");
    // Else curl calls it a form, and what looks like a secret in it is hidden.
    let kind = "-H Content-Type:application/octet-stream";
    let options = format!("{kind} --data-binary @{}", upload.display());
    fetch(&lab.client, &Lab::url(Family::V6, "/upload/file"), &options);

    let ended = agent.stop();
    let of = |name: &str| sha256(&nginx.path("files").join(name));
    let expected = [
        ("response small.json", of("small.json")),
        ("response chunked/text.txt", of("text.txt")),
        ("response gzip/text.txt", of("text.txt")),
        ("response large.bin", of("large.bin")),
        ("request upload/file", sha256(&upload)),
    ];
    let mut found = saved(&folder);
    for (what, digest) in expected {
        assert_eq!(found.remove(what), Some(digest), "{what}");
    }
    let content = &ended.objects("stats")[0]["content"];
    assert!(content["made"].as_u64() > Some(54 * MIB as u64), "{content}");
    assert_eq!((&content["dropped"], &content["unwanted"]), (&0.into(), &0.into()));
}

#[test]
fn the_first_song_is_saved_and_the_capture_ends() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    let mut wav = b"RIFF\xff\xff\xff\x00WAVEfmt ".to_vec();
    wav.extend(random(200_000, 3));
    nginx.serve("song.wav", &wav);
    nginx.serve("page.html", b"<html>");
    let folder = nginx.path("saved");
    let options = format!("--count 1 --content-type audio/* --save-bodies {}", folder.display());
    let agent = Agent::run(&lab.server, &format!("--iface eth0 {options}"));
    let urls = ["/page.html", "/song.wav", "/song.wav"].map(|path| Lab::url(Family::V4, path));
    fetch_all(&lab.client, &urls, "");
    let ended = agent.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("does not balance"), "{}", ended.stderr);
    let lines = index(&folder);
    let [line] = &lines[..] else { panic!("not one: {lines:?}") };
    assert_eq!(line["sha256"], sha256(&nginx.path("files").join("song.wav")));
    let files = fs::read_dir(&folder).expect("folder").count();
    assert_eq!(files, 2, "the song and the index");
}

#[test]
fn a_disk_that_fills_costs_files_and_not_the_capture() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("large.bin", &random(4 * MIB, 4));
    nginx.serve("small.txt", b"small");
    let disk = nginx.path("disk");
    fs::create_dir(&disk).expect("folder can be made");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "none"])
        .arg(&disk)
        .status()
        .expect("mount runs");
    assert!(mounted.success());
    let unmount = Unmount(&disk);
    let folder = disk.join("saved");
    let arguments = format!("--iface eth0 --save-bodies {}", folder.display());
    let agent = Agent::run(&lab.server, &arguments);
    fetch(&lab.client, &Lab::url(Family::V4, "/large.bin"), "");
    wait::until("it says what went wrong", || agent.stderr().contains("No space left on device"));
    // There is room again.
    for file in fs::read_dir(&folder).expect("folder").flatten() {
        if file.file_name().to_string_lossy().ends_with(".part") {
            fs::remove_file(file.path()).expect("file can be removed");
        }
    }
    fetch(&lab.client, &Lab::url(Family::V4, "/small.txt"), "");
    agent.signal(Signal::INT);
    let ended = agent.wait();
    assert_eq!(ended.status.code(), Some(1), "something is missing: {}", ended.stderr);
    assert_eq!(ended.objects("exchange").len(), 2);
    assert_eq!(ended.stderr.matches("cannot write to").count(), 1, "{}", ended.stderr);
    let index = fs::read_to_string(folder.join("index.jsonl")).expect("there is an index");
    let states: Vec<_> = index
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["state"].clone())
        .collect();
    assert_eq!(states, ["failed", "complete"], "{index}");
    drop(unmount);
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy"]).arg(self.0).status();
    }
}
