//! `run --record`: what was recorded is read to the same exchanges, by the agent and by others.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::fetch::fetch_all;
use crate::support::lab::{Family, Lab};
use crate::support::ledger::{assert_balances, number};
use crate::support::live::{AGENT, Agent, objects};
use crate::support::nginx::Nginx;
use crate::support::process::{Ended, run};
use crate::support::tshark;

const LARGE: usize = 3 << 20;

/// Has curl fetch over both families, small and large, from several connections at a time.
fn traffic(lab: &Lab) {
    for family in [Family::V4, Family::V6] {
        let urls = ["small", "large", "chunked/small", "nowhere"].map(|name| {
            let name = format!("/{name}");
            Lab::url(family, &name)
        });
        fetch_all(&lab.client, &urls, "");
        let mut curl = lab.client.command("curl");
        curl.args("--silent --noproxy * --globoff --output /dev/null --parallel".split(' '));
        curl.args(["--parallel-max", "8", "--parallel-immediate"]);
        curl.arg(format!("{}?n=[1-40]", Lab::url(family, "/small")).replace("%5B", "["));
        curl.arg("--no-globoff");
        run(&mut curl);
    }
}

fn lab() -> (Lab, Nginx) {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("small", &[7; 1_000]);
    nginx.serve("large", &vec![7; LARGE]);
    (lab, nginx)
}

/// What `read` makes of a recording.
fn read(recording: &Path, arguments: &str) -> Ended {
    let mut agent = Command::new(AGENT);
    agent.arg("read").arg(recording).args(arguments.split_whitespace());
    let output = agent.args(["--format", "jsonl"]).output().expect("the agent starts");
    let (stdout, stderr) = (output.stdout, String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stderr}");
    assert!(!stderr.contains("does not balance"), "{stderr}");
    Ended { status: output.status, stdout, stderr }
}

/// Objects without what a file can't tell: who holds a socket, and how many flows other workers had.
fn comparable(ended: &Ended, kind: &str) -> Vec<Value> {
    let mut objects = objects(&ended.stdout, kind);
    for object in &mut objects {
        let object = object.as_object_mut().unwrap();
        for of_this_host in ["number", "local", "cgroup", "container", "process"] {
            object.remove(of_this_host);
        }
    }
    objects.sort_by_key(|object| (object["flow"].to_string(), object["index"].as_u64()));
    objects
}

#[track_caller]
fn assert_read_again(live: &Ended, recording: &Path, arguments: &str) {
    let again = read(recording, arguments);
    for kind in ["exchange", "flow"] {
        let (live, again) = (comparable(live, kind), comparable(&again, kind));
        assert_eq!(live.len(), again.len(), "{kind}");
        for (live, again) in live.iter().zip(&again) {
            assert_eq!(live, again);
        }
    }
}

#[test]
fn what_was_recorded_is_read_to_the_same_exchanges() {
    let (lab, _nginx) = lab();
    let folder = tempfile::tempdir().unwrap();
    for (arguments, of_read) in [
        ("--workers 1", ""),
        ("--workers 3", ""),
        ("--workers 3 --budget off --bodies", "--bodies"),
    ] {
        let path = folder.path().join("x.pcapng");
        let ours = "--iface eth0 --events exchange,flow,stats";
        let arguments = format!("{ours} {arguments} --record {}", path.display());
        let agent = Agent::run(&lab.server, &arguments);
        traffic(&lab);
        let live = agent.stop();
        assert!(live.stderr.contains("secrets included"), "{}", live.stderr);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let stats = &live.objects("stats")[0];
        assert_balances(stats, true);
        let record = &stats["record"];
        assert_eq!(number(record, "/segments"), number(stats, "/segments/received"), "{record}");
        assert_read_again(&live, &path, &format!("--port 80 --events exchange,flow {of_read}"));
    }
}

/// Wireshark sees the same requests and answers, and nothing wrong with the packets.
#[test]
fn others_read_what_was_recorded() {
    let (lab, _nginx) = lab();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    let arguments = format!("--iface eth0 --workers 2 --budget off --record {}", path.display());
    let agent = Agent::run(&lab.server, &arguments);
    traffic(&lab);
    let live = agent.stop();
    let decoded = tshark::decode(&path);
    let statuses = decoded.iter().filter(|message| message.has("http.response.code"));
    let requests = decoded.iter().filter(|message| message.has("http.request.method"));
    let exchanges = live.objects("exchange").len();
    assert!(exchanges >= 80, "{exchanges}");
    assert_eq!((requests.count(), statuses.count()), (exchanges, exchanges));
    let mut tshark = Command::new("tshark");
    tshark.args(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-r"]).arg(&path);
    let wrong = "ip.checksum.status == 0 || tcp.checksum.status == 0 || _ws.malformed";
    assert_eq!(run(tshark.args(["-Y", wrong])), "");
    let about = run(Command::new("capinfos").arg(&path));
    assert!(about.contains("Capture application: capture-agent "), "{about}");
    assert!(about.contains("secrets included"), "{about}");
}

/// What a ring had no room for is missing in the recording for the same reason.
#[test]
fn what_a_full_ring_left_out_is_left_out_of_the_recording_too() {
    let (lab, _nginx) = lab();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    let arguments = "--iface eth0 --events exchange,flow,stats --workers 1 --budget off";
    let small = "--ring-size 1MiB";
    let record = format!("--record {}", path.display());
    let agent = Agent::run(&lab.server, &format!("{arguments} {small} {record}"));
    // Nobody reads the ring meanwhile, and it is smaller than what is sent.
    agent.signal(Signal::STOP);
    traffic(&lab);
    agent.signal(Signal::CONT);
    traffic(&lab);
    let live = agent.stop();
    let stats = &live.objects("stats")[0];
    let left_out = number(stats, "/dropped_bytes") + number(stats, "/elided_bytes");
    assert!(left_out > 0, "nothing was left out: {stats}");
    assert_read_again(&live, &path, "--port 80 --events exchange,flow");
}
