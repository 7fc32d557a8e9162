//! What a user can get wrong, and what a host can lack: one clear line with what to do, the right
//! exit status, no panic, and what was captured until then is written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::fetch::{assert_captured, fetch};
use crate::support::lab::{Family, Lab, Namespace};
use crate::support::live::{self, AGENT, Agent, objects};
use crate::support::nginx::Nginx;
use crate::support::process::{Process, run};
use crate::support::seccomp;
use crate::support::wait;

/// Called wrongly.
const USAGE: i32 = 2;
/// Failed while running.
const FAILURE: i32 = 1;

/// Runs `command` to its end, which must be with `code` and one line that has all of `words`.
#[track_caller]
fn assert_complains(command: &mut Command, code: i32, words: &[&str]) {
    let ended = Process::start(command).wait();
    let complaint = ended.complaint(code);
    for word in words {
        assert!(complaint.contains(word), "no '{word}' in: {complaint}");
    }
    assert!(ended.stdout.is_empty(), "{}", String::from_utf8_lossy(&ended.stdout));
}

#[test]
fn an_interface_that_is_not_there() {
    let host = Namespace::alone();
    assert_writes_nothing(&host, "nosuch0", &["'nosuch0'", "lo"]);
}

/// A capture that can't begin writes over nothing, and leaves nothing.
#[track_caller]
fn assert_writes_nothing(host: &Namespace, iface: &str, complaint: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name);
    fs::write(path("old.jsonl"), "old").unwrap();
    fs::write(path("old.pcapng"), "old").unwrap();
    for record in ["old.pcapng", "new.pcapng"] {
        let mut command = live::command(host, &format!("run --iface {iface}"));
        for (option, name) in
            [("--output", "old.jsonl"), ("--output", "new.har"), ("--record", record)]
        {
            command.arg(option).arg(path(name));
        }
        assert_complains(&mut command, FAILURE, complaint);
        let left = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let left: Vec<_> = left.map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(left, [b"old", b"old"]);
    }
}

#[test]
fn an_interface_that_is_down() {
    let lab = Lab::new();
    lab.server.ip("link set eth0 down");
    assert_writes_nothing(&lab.server, "eth0", &["'eth0' is down", "ip link set eth0 up"]);
}

#[test]
fn an_interface_without_ethernet_frames() {
    let host = Namespace::alone();
    host.ip("tuntap add mode tun name tun0");
    host.ip("link set tun0 up");
    let command = &mut live::command(&host, "run --iface tun0");
    assert_complains(command, FAILURE, &["'tun0'", "Ethernet"]);
}

#[test]
fn one_bad_interface_among_good_ones() {
    let lab = Lab::new();
    let command = &mut live::command(&lab.server, "run --iface eth0 --iface nosuch0");
    assert_complains(command, FAILURE, &["'nosuch0'", "eth0"]);
}

#[test]
fn no_default_route() {
    let host = Namespace::alone();
    let command = &mut live::command(&host, "run");
    assert_complains(command, FAILURE, &["default route", "--iface"]);
}

#[test]
fn no_privileges() {
    let words = &["CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN", "sudo"];
    without_privileges_but("", |command| assert_complains(command, FAILURE, words));
}

#[test]
fn no_privilege_to_load() {
    let words = &["needs CAP_BPF and CAP_PERFMON,", "sudo"];
    without_privileges_but(",+net_admin", |command| assert_complains(command, FAILURE, words));
}

#[test]
fn no_privilege_to_attach() {
    let words = &["needs CAP_NET_ADMIN,", "sudo"];
    without_privileges_but(",+bpf,+perfmon", |command| assert_complains(command, FAILURE, words));
}

#[test]
fn the_privileges_that_it_asks_for_are_enough() {
    without_privileges_but(",+bpf,+perfmon,+net_admin", |command| {
        Agent::started(Process::start(command)).stop();
    });
}

/// Has `check` run the agent as nobody, on a wire of its own, with `capabilities` alone.
fn without_privileges_but(capabilities: &str, check: impl FnOnce(&mut Command)) {
    let lab = Lab::new();
    let (_folder, agent) = agent_for_everyone();
    let mut command = lab.server.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args(
        ["inh-caps", "ambient-caps", "bounding-set"]
            .map(|set| format!("--{set}=-all{capabilities}")),
    );
    check(command.arg(agent).args(["run", "--iface", "eth0"]));
}

/// A copy of the agent where anyone can run it.
pub(crate) fn agent_for_everyone() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("capture-agent");
    // Not by this process: what it has open for writing, a child that another test starts at this
    // moment has open too, and then the kernel does not run it.
    run(Command::new("cp").arg(AGENT).arg(&copy));
    (folder, copy)
}

#[test]
fn a_kernel_without_ring_buffers() {
    let lab = Lab::new();
    let mut command = live::command(&lab.server, "run --iface eth0");
    seccomp::refuse_bpf_maps(&mut command);
    assert_complains(&mut command, FAILURE, &["ring buffers", "Linux 5.8"]);
}

#[test]
fn a_kernel_without_btf() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page.html", b"page");
    let hidden = r#"mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@""#;
    let mut command = lab.server.command("sh");
    command.args(["-c", hidden, AGENT, "run", "--iface", "eth0", "--format", "jsonl"]);
    let agent = Agent::started(Process::start(&mut command));

    let made = fetch(&lab.client, &Lab::url(Family::V4, "/page.html"), "");

    assert_captured(&agent.stop().objects("exchange"), vec![made]);
}

#[test]
fn a_selection_that_is_none() {
    for (arguments, words) in [
        ("--port 80-", ["'80-'", "range of ports"]),
        ("--port http", ["'http'", "range of ports"]),
        ("--port 90-80", ["'90-80'", "ends before it begins"]),
        ("--host example.com", ["'example.com'", "network"]),
        ("--host 10.0.0.0/33", ["'10.0.0.0/33'", "prefix length"]),
    ] {
        let arguments = format!("run --iface lo {arguments}");
        let command = &mut Command::new(AGENT);
        assert_complains(command.args(arguments.split(' ')), USAGE, &words);
    }
}

#[test]
fn a_file_that_is_no_capture() {
    let (_folder, path) =
        file("notes.txt", b"These are notes, long enough for any header of a file.");
    assert_complains(read(&path).as_mut(), FAILURE, &["notes.txt", "capture"]);
    let (_folder, path) = file("empty.pcap", b"");
    assert_complains(read(&path).as_mut(), FAILURE, &["empty.pcap"]);
    assert_complains(
        read(Path::new("/nonexistent.pcap")).as_mut(),
        FAILURE,
        &["/nonexistent.pcap"],
    );
}

#[test]
fn an_output_that_can_not_be_written() {
    let host = Namespace::alone();
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken.jsonl");
    fs::create_dir(&taken).unwrap();
    for path in [taken, folder.path().join("missing/out.jsonl")] {
        let path = path.to_str().unwrap();
        let command = &mut live::command(&host, &format!("run --iface lo --output {path}"));
        assert_complains(command, FAILURE, &[path]);
    }
    let command = &mut live::command(&host, "run --iface lo --output out.doc");
    assert_complains(command, USAGE, &["'out.doc'", ".jsonl"]);
}

#[test]
fn a_disk_that_is_full() {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("full.jsonl");
    symlink("/dev/full", &full).unwrap();
    let agent = Agent::run(&lab.server, &format!("--iface eth0 --output {}", full.display()));

    fetch(&lab.client, &Lab::url(Family::V4, "/"), "");

    let ended = agent.wait();
    let complaint = ended.complaint(FAILURE);
    assert!(complaint.contains("full.jsonl") && complaint.contains("No space left"), "{complaint}");
}

#[test]
fn a_disk_that_fills_up() {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let folder = tempfile::tempdir().unwrap();
    // The disk is seen by the shell and what it runs alone, and goes with them.
    let on_a_small_disk = r#"mount -t tmpfs -o size=64k none "$1" || exit 99
        "$0" run --iface eth0 --count 150 --output "$1/out.jsonl"
        status=$?; cat "$1/out.jsonl"; exit $status"#;
    let mut command = lab.server.command("sh");
    command.args(["-c", on_a_small_disk, AGENT]).arg(folder.path());
    let mut agent = Agent::started(Process::start(&mut command));

    let mut made = Vec::new();
    // It goes on where there is no room, up to its end.
    wait::until("the agent ends", || {
        made.push(fetch(&lab.client, &Lab::url(Family::V4, &format!("/{}", made.len())), ""));
        agent.has_ended()
    });

    let ended = agent.wait();
    let complaint = ended.complaint(FAILURE);
    assert!(complaint.contains("out.jsonl") && complaint.contains("No space left"), "{complaint}");
    let written = objects(&ended.stdout, "exchange");
    assert!(ended.stdout.ends_with(b"\n"), "the last line is cut");
    assert!(ended.stdout.len() > 50_000, "{} bytes of 64 KiB", ended.stdout.len());
    made.truncate(written.len());
    assert_captured(&written, made);
}

fn file(name: &str, content: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

fn read(path: &Path) -> Box<Command> {
    let mut command = Command::new(AGENT);
    command.arg("read").arg(path);
    Box::new(command)
}
