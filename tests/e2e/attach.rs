//! The agent leaves an interface as it found it, however it ends, and gets along with other
//! programs on the same hooks.

use std::io::pipe;
use std::os::unix::process::CommandExt;

use rustix::process::Signal;

use crate::support::fetch::{assert_captured, fetch};
use crate::support::hooks::{Interface, held_by, still_there};
use crate::support::lab::{Lab, Namespace, WIRE};
use crate::support::live::{self, Agent};
use crate::support::nginx::Nginx;
use crate::support::process::Process;
use crate::support::wait;

/// How a capture comes to its end.
#[derive(Clone, Copy, Debug)]
enum Ending {
    By(Signal),
    /// As at a terminal, where Ctrl-C goes to all that runs there.
    GroupBy(Signal),
    Count,
    ClosedPipe,
}

const ENDINGS: [Ending; 8] = [
    Ending::By(Signal::INT),
    Ending::By(Signal::TERM),
    Ending::By(Signal::KILL),
    Ending::By(Signal::ABORT), // what a panic can come to
    Ending::GroupBy(Signal::INT),
    Ending::GroupBy(Signal::KILL),
    Ending::Count,
    Ending::ClosedPipe,
];

#[test]
fn nothing_stays_of_tcx_links() {
    let lab = Lab::new();
    nothing_stays(&lab.server, WIRE, "", &|| request(&lab));
}

#[test]
fn nothing_stays_of_tc_filters() {
    let lab = Lab::new();
    nothing_stays(&lab.server, WIRE, "--tc-attach clsact", &|| request(&lab));
}

#[test]
fn nothing_stays_of_tc_filters_where_there_were_others() {
    let lab = Lab::new();
    lab.server.tc("qdisc add dev eth0 clsact");
    let _counters = count_packets(&lab);
    nothing_stays(&lab.server, WIRE, "--tc-attach clsact", &|| request(&lab));
}

#[test]
fn nothing_stays_of_xdp() {
    let lab = Lab::new();
    nothing_stays(&lab.server, WIRE, "--hook xdp", &|| request(&lab));
}

#[test]
fn nothing_stays_of_generic_xdp() {
    let host = Namespace::alone();
    nothing_stays(&host, "lo", "--hook xdp", &|| drop(fetch(&host, "http://127.0.0.1/", "")));
}

fn request(lab: &Lab) {
    fetch(&lab.client, "http://10.77.0.1/", "");
}

#[test]
fn nothing_stays_of_tcx_links_in_another_namespace() {
    nothing_stays_elsewhere("");
}

#[test]
fn nothing_stays_of_tc_filters_in_another_namespace() {
    nothing_stays_elsewhere("--tc-attach clsact");
}

#[test]
fn nothing_stays_of_xdp_in_another_namespace() {
    nothing_stays_elsewhere("--hook xdp");
}

fn nothing_stays_elsewhere(how: &str) {
    let (lab, elsewhere) = (Lab::new(), Namespace::alone());
    let how = format!("{how} --netns {}", lab.server);
    nothing_stays_after(&elsewhere, &lab.server, WIRE, &how, &|| request(&lab));
}

fn nothing_stays(host: &Namespace, iface: &str, how: &str, request: &dyn Fn()) {
    nothing_stays_after(host, host, iface, how, request);
}

/// Runs the agent in `runs_in`, with a server in `host`, whose interface must be as before in the end.
fn nothing_stays_after(
    runs_in: &Namespace,
    host: &Namespace,
    iface: &str,
    how: &str,
    request: &dyn Fn(),
) {
    let _nginx = Nginx::start(host);
    let now = || Interface::now(host, iface);
    let before = now();
    for ending in ENDINGS {
        let count = if matches!(ending, Ending::Count) { "--count 1" } else { "" };
        let mut command = live::command(runs_in, &format!("run --iface {iface} {how} {count}"));
        let (output, stdout) = pipe().expect("a pipe can be made");
        let process = Process::start_into(command.process_group(0), stdout.into());
        let agent = Agent::started(process);
        let held = held_by(agent.pid());
        assert!(!held.is_empty() && now() != before, "{ending:?}: nothing was attached");

        match ending {
            Ending::By(signal) => agent.signal(signal),
            Ending::GroupBy(signal) => agent.signal_group(signal),
            Ending::Count => request(),
            Ending::ClosedPipe => {
                drop(output);
                request();
            }
        }
        agent.wait();

        // Whoever cleans up after a killed agent may take a moment.
        wait::poll(|| (now() == before).then_some(()));
        assert_eq!(now(), before, "{ending:?}; left: after, right: before");
        wait::until("the kernel forgets programs and maps", || still_there(&held).is_empty());
    }
}

#[test]
fn other_filters_go_on_beside_tcx_links() {
    other_filters_go_on("");
}

#[test]
fn other_filters_go_on_beside_tc_filters() {
    other_filters_go_on("--tc-attach clsact");
}

#[test]
fn other_filters_go_on_beside_xdp() {
    other_filters_go_on("--hook xdp");
}

fn other_filters_go_on(how: &str) {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    lab.server.tc("qdisc add dev eth0 clsact");
    let counters = count_packets(&lab);
    let agent = Agent::run(&lab.server, &format!("--iface eth0 {how}"));
    let before = counters();

    let made = fetch(&lab.client, "http://10.77.0.1/", "");

    let after = counters();
    // A handshake, a request and a response, and the end: three packets each way at least.
    for (way, (before, after)) in before.into_iter().zip(after).enumerate() {
        assert!(after >= before + 3, "way {way}: {before} packets before, {after} after");
    }
    assert_captured(&agent.stop().objects("exchange"), vec![made]);
}

#[test]
fn filters_that_came_later_stay() {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let agent = Agent::run(&lab.server, "--iface eth0 --tc-attach clsact");
    let counters = count_packets(&lab);
    agent.stop();
    let before = counters();
    request(&lab);
    let after = counters();
    assert!(after[0] > before[0] && after[1] > before[1], "{before:?} before, {after:?} after");
}

/// Puts a filter on both ways of the server's wire that copies every packet to an interface
/// nobody listens on; the result tells how many packets each has met.
fn count_packets(lab: &Lab) -> impl Fn() -> [u64; 2] {
    const WAYS: [&str; 2] = ["ingress", "egress"];
    let server = &lab.server;
    for way in WAYS {
        server.ip(&format!("link add {way} type veth peer name {way}-end"));
        server.ip(&format!("link set {way} up"));
        let filter = format!("u32 match u32 0 0 action mirred egress mirror dev {way}");
        server.tc(&format!("filter add dev eth0 {way} protocol all {filter}"));
    }
    || {
        WAYS.map(|way| {
            let shown = server.tc(&format!("-statistics filter show dev eth0 {way}"));
            // Filters of this kind are shown on the other way too.
            let (_, shown) = shown.split_once(&format!("device {way})")).expect("filter is there");
            let words = shown.split_whitespace().take_while(|word| *word != "pkt");
            words.last().and_then(|word| word.parse().ok()).expect("packets are counted")
        })
    }
}

#[test]
fn agents_capture_side_by_side() {
    capture_side_by_side(["", "", "--hook xdp"]);
}

#[test]
fn agents_capture_side_by_side_by_tc_filters() {
    capture_side_by_side(["--tc-attach clsact", "--tc-attach clsact", ""]);
}

fn capture_side_by_side(ways: [&str; 3]) {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let run = |how| Agent::run(&lab.server, &format!("--iface eth0 {how}"));
    let [first, second, third] = ways.map(run);

    let shared = fetch(&lab.client, "http://10.77.0.1/shared", "");
    assert_captured(&first.stop().objects("exchange"), vec![shared.clone()]);
    let alone = fetch(&lab.client, "http://10.77.0.1/alone", "");

    for agent in [second, third] {
        let made = vec![shared.clone(), alone.clone()];
        assert_captured(&agent.stop().objects("exchange"), made);
    }
}

#[test]
fn an_xdp_program_that_is_there_stays_and_is_named() {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let first = Agent::run(&lab.server, "--iface eth0 --hook xdp");
    let before = Interface::now(&lab.server, WIRE);

    let second = Process::start(&mut live::command(&lab.server, "run --iface eth0 --hook xdp"));
    let ended = second.wait();
    let complaint = ended.complaint(1);
    assert!(complaint.contains("XDP") && complaint.contains("'eth0'"), "{complaint}");

    assert_eq!(Interface::now(&lab.server, WIRE), before);
    let made = fetch(&lab.client, "http://10.77.0.1/", "");
    assert_captured(&first.stop().objects("exchange"), vec![made]);
}
