//! Capture files of real traffic, written by tcpdump: whole, and damaged.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::fetch::{Fetch, assert_captured, fetch};
use crate::support::lab::{Family, Lab};
use crate::support::live::{AGENT, Agent};
use crate::support::nginx::Nginx;
use crate::support::process::{Ended, Process};
use crate::support::wait;

#[test]
fn a_file_reads_as_the_same_traffic_was_captured_live() {
    let recording = Recording::make();
    let ended = read(&recording.path);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let read = ended.objects("exchange");
    assert_captured(&read, recording.made);
    let heads = |exchanges: &[Value]| -> Vec<_> {
        let parts = ["/index", "/request/headers", "/response/headers", "/response/body"];
        let part = |exchange: &Value, pointer| exchange.pointer(pointer).cloned();
        exchanges.iter().map(|exchange| parts.map(|pointer| part(exchange, pointer))).collect()
    };
    assert_eq!(heads(&read), heads(&recording.live), "left: read, right: live");
}

#[test]
fn a_file_that_is_cut_in_the_middle_of_a_record() {
    Recording::make().assert_read_until_the_damage(60, &[0; 20]);
}

#[test]
fn a_file_that_claims_a_record_of_4_gib() {
    Recording::make().assert_read_until_the_damage(u32::MAX, &[0; 1000]);
}

/// The same traffic three times: as curl made it, as the agent captured it live, and in a file.
struct Recording {
    made: Vec<Fetch>,
    live: Vec<Value>,
    path: PathBuf,
    _folder: TempDir,
}

impl Recording {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wire.pcap");
        let lab = Lab::new();
        let nginx = Nginx::start(&lab.server);
        nginx.serve("page.html", &b"page ".repeat(50_000));
        let mut tcpdump = lab.server.command("tcpdump");
        tcpdump.args("-i eth0 --packet-buffered --immediate-mode -s 0 -Z root -w".split(' '));
        let tcpdump = Process::start(tcpdump.arg(&path));
        wait::until("tcpdump listens", || tcpdump.stderr().contains("listening on"));
        let agent = Agent::run(&lab.server, "--iface eth0");

        let paths = ["/page.html", "/chunked/page.html", "/missing", "/end"];
        let made = paths.map(|path| fetch(&lab.client, &Lab::url(Family::V6, path), ""));

        // The answer to the last one is behind all that matters.
        wait::until("tcpdump has written it all", || {
            let content = fs::read(&path).unwrap();
            content.windows(8).filter(|window| window == b"HTTP/1.1").count() == 2 * paths.len()
        });
        tcpdump.signal(Signal::INT);
        tcpdump.wait();
        let live = agent.stop().objects("exchange");
        Self { made: made.to_vec(), live, path, _folder: folder }
    }

    /// Appends a record that claims `claimed` bytes and has `present`. Panics unless reading fails
    /// with one line, and every exchange is written all the same.
    fn assert_read_until_the_damage(self, claimed: u32, present: &[u8]) {
        let lengths = [claimed.to_ne_bytes(); 2].concat();
        let record = [&[0; 8], &lengths[..], present].concat();
        File::options().append(true).open(&self.path).unwrap().write_all(&record).unwrap();

        let ended = read(&self.path);

        let complaint = ended.complaint(1);
        assert!(complaint.contains("wire.pcap"), "{complaint}");
        assert_captured(&ended.objects("exchange"), self.made);
    }
}

fn read(path: &Path) -> Ended {
    let mut command = Command::new(AGENT);
    Process::start(command.args(["read", "--quiet", "--format", "jsonl"]).arg(path)).wait()
}
