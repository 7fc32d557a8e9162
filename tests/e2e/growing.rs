//! Files of a live capture: the agent is killed, the disk fills, a reader stands still.

use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use flate2::read::MultiGzDecoder;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::fetch::fetch;
use crate::support::hooks::{held_by, still_there};
use crate::support::lab::Lab;
use crate::support::live::{self, AGENT, Agent, objects};
use crate::support::nginx::Nginx;
use crate::support::process::{Process, run};
use crate::support::wait;

fn lab_with_nginx() -> (Lab, Nginx) {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page.html", &[b'x'; 2_000]);
    (lab, nginx)
}

/// Has curl make so many requests over one connection.
fn fetch_many(lab: &Lab, count: usize) {
    let url = format!("http://10.77.0.1/page.html?request=[1-{count}]");
    let mut curl = lab.client.command("curl");
    run(curl.args(["--silent", "--show-error", "--noproxy", "*", "--output", "/dev/null", &url]));
}

/// The records of a file, where it is whole.
fn records(path: &Path) -> Option<Vec<Value>> {
    let bytes = fs::read(path).ok()?;
    let mut text = String::new();
    match path.extension()?.to_str()? {
        "gz" => MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).ok()?,
        "zst" => {
            zstd::stream::read::Decoder::new(&bytes[..]).ok()?.read_to_string(&mut text).ok()?
        }
        _ => (&bytes[..]).read_to_string(&mut text).ok()?,
    };
    if path.to_str()?.contains(".har") {
        let har: Value = serde_json::from_str(&text).ok()?;
        return har["log"]["entries"].as_array().cloned();
    }
    (text.is_empty() || text.ends_with('\n')).then_some(())?;
    text.lines().map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn files_are_whole_after_a_kill_under_load_and_nothing_stays() {
    let (lab, _nginx) = lab_with_nginx();
    let names = ["x.jsonl", "x.har", "x.jsonl.gz", "x.har.zst"];
    for _ in 0..5 {
        let folder = TempDir::new().unwrap();
        let outputs = names.map(|name| format!("--output {}", folder.path().join(name).display()));
        let arguments = format!("run --iface eth0 --bodies {}", outputs.join(" "));
        let agent = Agent::started(Process::start(&mut live::command(&lab.server, &arguments)));
        let mut url = lab.client.command("curl");
        url.args(["--silent", "--noproxy", "*", "--output", "/dev/null"]);
        let curl = Process::start(url.arg("http://10.77.0.1/page.html?request=[1-100000]"));
        let written = || fs::metadata(folder.path().join(names[0])).map_or(0, |there| there.len());
        wait::until("exchanges are written", || written() > 500_000);

        let kernel_half = held_by(agent.pid());
        agent.signal(Signal::KILL);
        let ended = agent.wait();
        assert_eq!(ended.status.code(), None, "{}", ended.stderr);
        drop(curl);
        for name in names {
            let path = folder.path().join(name);
            let records = wait::poll(|| records(&path));
            assert!(records.is_some_and(|records| !records.is_empty()), "{name}");
        }
        assert!(!kernel_half.is_empty());
        wait::until("the kernel half is gone", || still_there(&kernel_half).is_empty());
    }
}

#[test]
fn a_har_file_is_valid_while_it_grows() {
    let (lab, _nginx) = lab_with_nginx();
    let folder = TempDir::new().unwrap();
    let paths = ["x.har", "x.har.gz"].map(|name| folder.path().join(name));
    let outputs = paths.each_ref().map(|path| format!("--output {}", path.display())).join(" ");
    let command = &mut live::command(&lab.server, &format!("run --iface eth0 {outputs}"));
    let agent = Agent::started(Process::start(command));
    assert!(paths.iter().all(|path| records(path) == Some(Vec::new())));
    for count in 1..=3 {
        fetch(&lab.client, "http://10.77.0.1/page.html", "");
        for path in &paths {
            wait::until("what was fetched can be read", || {
                records(path).is_some_and(|records| records.len() == count)
            });
        }
    }
    agent.stop();
    assert!(paths.iter().all(|path| records(path).unwrap().len() == 3));
}

#[test]
fn a_disk_that_fills_is_said_once_and_the_capture_and_other_outputs_go_on() {
    let (lab, _nginx) = lab_with_nginx();
    let folder = TempDir::new().unwrap();
    let small = folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let other = folder.path().join("other.jsonl");
    let mount = "mount -t tmpfs -o size=256k tmpfs \"$0\" && exec \"$@\"";
    let mut command = lab.server.command("unshare");
    command
        .args(["--mount", "sh", "-c", mount])
        .arg(&small)
        .args([AGENT, "run", "--iface", "eth0"]);
    command.args(["--events", "exchange,stats", "--output"]).arg(small.join("x.har"));
    let agent = Agent::started(Process::start(command.arg("--output").arg(&other)));
    let inside = format!("/proc/{}/root{}", agent.pid(), small.display());
    let har = Path::new(&inside).join("x.har");

    let says = |what: &str| agent.stderr().matches(what).count();
    wait::until("the disk is full", || {
        fetch_many(&lab, 50);
        says("No space left on device") > 0
    });
    fetch_many(&lab, 50);
    let before = records(&har).expect("the file is whole on a full disk").len();
    assert!(before > 50, "{before}");

    // Someone makes room.
    run(Command::new("nsenter").args([
        "--target",
        &agent.pid().to_string(),
        "--mount",
        "mount",
        "-o",
        "remount,size=64m",
        small.to_str().unwrap(),
    ]));
    wait::until("the output goes on", || {
        fetch_many(&lab, 1);
        says("is written again") > 0
    });
    let after = || records(&har).map_or(0, |records| records.len());
    wait::until("there is more in the file", || after() > before);
    assert_eq!(says("No space left on device"), 1, "{}", agent.stderr());

    // The file goes with the last process that sees it.
    let har = OpenOptions::new().read(true).open(&har).unwrap();
    agent.signal(Signal::INT);
    let ended = agent.wait();
    assert!(ended.complaint(1).contains("are missing in"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("does not balance"), "{}", ended.stderr);
    let har: Value = serde_json::from_reader(har).unwrap();
    let held = har["log"]["entries"].as_array().unwrap().len() as u64;
    let lines = fs::read(&other).unwrap();
    let made = objects(&lines, "exchange").len() as u64;
    let ledger = objects(&lines, "stats").remove(0);
    let outputs = &ledger["exchanges"]["outputs"];
    assert_eq!(outputs[0]["exchanges"], held, "{outputs}");
    assert_eq!(outputs[0]["lost"]["exchanges"], made - held, "{outputs}");
    assert_eq!(outputs[1]["exchanges"], made, "{outputs}");
}

#[test]
fn a_reader_that_stands_still_holds_up_neither_the_capture_nor_its_end() {
    let (lab, _nginx) = lab_with_nginx();
    let folder = TempDir::new().unwrap();
    let fifo = folder.path().join("x.jsonl");
    run(Command::new("mkfifo").arg(&fifo));
    let _stands_still = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let arguments = format!("run --iface eth0 --bodies --output {}", fifo.display());
    let agent = Agent::started(Process::start(&mut live::command(&lab.server, &arguments)));
    // More than a pipe holds.
    fetch_many(&lab, 200);
    agent.signal(Signal::INT);
    let ended = agent.wait();
    assert!(ended.complaint(1).contains("its reader has stopped reading"), "{}", ended.stderr);
    assert!(ended.stderr.contains("200 exchanges"), "{}", ended.stderr);
}

#[test]
fn rotated_files_follow_one_another() {
    let (lab, _nginx) = lab_with_nginx();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.jsonl.zst");
    let arguments = format!("run --iface eth0 --output {} --rotate 4KB", path.display());
    let agent = Agent::started(Process::start(&mut live::command(&lab.server, &arguments)));
    let paths = || {
        let mut paths: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let mut made = 0;
    wait::until("there are three files", || {
        fetch_many(&lab, 40);
        made += 40;
        paths().len() > 2
    });
    agent.stop();
    let held: Vec<_> = paths().iter().flat_map(|path| records(path).unwrap()).collect();
    assert_eq!(held.len(), made);
}
