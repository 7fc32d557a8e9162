//! What the agent writes, where, and when it stops.

use std::fs;
use std::io::{BufRead, BufReader, pipe};
use std::time::SystemTime;

use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::client::Connection;
use crate::support::fetch::{assert_captured, fetch, fetch_all};
use crate::support::lab::{Family, Lab, Namespace};
use crate::support::ledger::{number, sum_but};
use crate::support::live::{self, Agent, objects};
use crate::support::nginx::Nginx;
use crate::support::process::Process;
use crate::support::wait;

#[test]
fn a_line_of_text_for_each_exchange() {
    let (lab, nginx) = lab_with_nginx();
    nginx.serve("page.html", &[b'x'; 212]);
    // One worker, so that flows come in their order.
    let command = &mut live::command(&lab.server, "run --iface eth0 --workers 1");
    let agent = Agent::started(Process::start(command));

    fetch(&lab.client, "http://10.77.0.1/page.html?a=b", "");
    fetch(&lab.client, &Lab::url(Family::V6, "/missing"), "--request POST --data x");

    let stdout = String::from_utf8(agent.stop().stdout).expect("text is UTF-8");
    let lines: Vec<Vec<_>> = stdout.lines().map(|line| line.split("  ").collect()).collect();
    let [first, second] = &lines[..] else { panic!("not two lines: {stdout}") };
    let &[time, ends, request, status, kind, size, took] = &first[..] else { panic!("{stdout}") };
    assert_eq!(shape(time), "00:00:00.000");
    assert!(ends.starts_with("10.77.0.2:") && ends.ends_with(" → 10.77.0.1:80"), "{ends}");
    let expected = ["GET 10.77.0.1/page.html?a=b", "200", "text/html", "212 B"];
    assert_eq!([request, status, kind, size], expected);
    assert!(took.ends_with(" ms") || took.ends_with(" µs"), "{took}");
    assert!(second[1].starts_with("[fd77::2]:") && second[1].ends_with(" → [fd77::1]:80"));
    assert_eq!(second[2..4], ["POST [fd77::1]/missing", "404"]);
}

/// `text` with each digit as `0`.
fn shape(text: &str) -> String {
    text.replace(|character: char| character.is_ascii_digit(), "0")
}

#[test]
fn times_are_the_wall_clock_s_and_add_up() {
    let (lab, _nginx) = lab_with_nginx();
    let agent = Agent::run(&lab.server, "--iface eth0");
    let before = now();

    fetch(&lab.client, "http://10.77.0.1/", "");

    let after = now();
    let exchanges = agent.stop().objects("exchange");
    let exchange = &exchanges[0];
    let time: Timestamp = exchange["time"].as_str().unwrap().parse().expect("RFC 3339");
    assert!(before <= time && time <= after, "{before} <= {time} <= {after}");
    let timing = |name: &str| {
        let value = exchange["timing"][name].as_u64();
        value.unwrap_or_else(|| panic!("{name} in {exchange}"))
    };
    let parts = timing("request_us") + timing("wait_us") + timing("response_us");
    // Each is rounded for itself.
    assert!(timing("total_us").abs_diff(parts) <= 3, "{exchange}");
    let whole = u64::try_from(after.duration_since(before).as_micros()).expect("time went on");
    assert!(timing("connect_us") + timing("total_us") <= whole, "{exchange}");
}

fn now() -> Timestamp {
    SystemTime::now().try_into().expect("the clock is set")
}

#[test]
fn output_goes_to_the_files_that_are_named() {
    let (lab, _nginx) = lab_with_nginx();
    let folder = tempfile::tempdir().unwrap();
    let [jsonl, text] = ["out.jsonl", "out.txt"].map(|name| folder.path().join(name));
    let outputs = format!("--output {} --output {}", jsonl.display(), text.display());
    let command = &mut live::command(&lab.server, &format!("run --iface eth0 {outputs}"));
    let agent = Agent::started(Process::start(command));

    let made = fetch(&lab.client, "http://10.77.0.1/named", "");

    let ended = agent.stop();
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "", "standard output");
    assert_captured(&objects(&fs::read(jsonl).unwrap(), "exchange"), vec![made]);
    let text = fs::read_to_string(text).unwrap();
    assert!(text.lines().count() == 1 && text.contains("  GET 10.77.0.1/named  404  "), "{text}");
}

#[test]
fn count_ends_the_capture_with_exactly_as_many() {
    let (lab, _nginx) = lab_with_nginx();
    let agent = Agent::run(&lab.server, "--iface eth0 --count 3");

    let urls = ["/1", "/2", "/3", "/4", "/5"].map(|path| Lab::url(Family::V4, path));
    let made = fetch_all(&lab.client, &urls, "");

    let ended = agent.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_captured(&ended.objects("exchange"), made[..3].to_vec());
}

#[test]
fn a_closed_pipe_ends_the_capture_quietly() {
    let (lab, _nginx) = lab_with_nginx();
    let (reader, writer) = pipe().unwrap();
    let command = &mut live::command(&lab.server, "run --iface eth0 --format jsonl");
    let agent = Agent::started(Process::start_into(command, writer.into()));

    let first = fetch(&lab.client, "http://10.77.0.1/first", "");
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    fetch(&lab.client, "http://10.77.0.1/second", "");

    let ended = agent.wait();
    assert_captured(&objects(line.as_bytes(), "exchange"), vec![first]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let said: Vec<_> = ended.stderr.lines().collect();
    assert!(matches!(said[..], [began] if began.starts_with("capturing on ")), "{said:?}");
}

#[test]
fn each_exchange_is_written_when_it_is_complete() {
    let (lab, _nginx) = lab_with_nginx();
    let agent = Agent::run(&lab.server, "--iface eth0");
    let mut made = Vec::new();
    for path in ["/1", "/2", "/3"] {
        made.push(fetch(&lab.client, &Lab::url(Family::V4, path), ""));
        let lines = || agent.stdout().iter().filter(|byte| **byte == b'\n').count();
        wait::until("the exchange is written", || lines() == made.len());
    }
    assert_captured(&agent.stop().objects("exchange"), made);
}

#[test]
fn a_flow_for_each_connection() {
    let (lab, nginx) = lab_with_nginx();
    nginx.serve("page.html", &[7; 100_000]);
    // One worker, so that flows come in their order.
    let agent = Agent::run(&lab.server, "--iface eth0 --workers 1 --events flow,exchange");

    let urls = ["/page.html?1", "/page.html?2"].map(|path| Lab::url(Family::V4, path));
    fetch_all(&lab.client, &urls, "");
    fetch(&lab.client, &Lab::url(Family::V6, "/page.html"), "");

    let ended = agent.stop();
    let (exchanges, flows) = (ended.objects("exchange"), ended.objects("flow"));
    let [first, second] = &flows[..] else { panic!("not two: {flows:?}") };
    assert_eq!((&first["exchanges"], &second["exchanges"]), (&2.into(), &1.into()));
    for flow in [first, second] {
        assert_eq!(flow["close"], "fin", "{flow}");
        let of_flow = exchanges.iter().filter(|exchange| exchange["flow"] == flow["flow"]);
        assert_eq!(of_flow.clone().count() as u64, flow["exchanges"], "{flow}");
        for (way, side) in [("to_server", "request"), ("to_client", "response")] {
            let bytes: u64 = of_flow.clone().map(|exchange| wire_bytes(&exchange[side])).sum();
            assert_eq!(flow[way]["bytes"], bytes, "{way} of {flow}");
            for nothing in ["retransmitted_bytes", "gap_bytes"] {
                assert_eq!(flow[way][nothing], 0, "{way} of {flow}");
            }
        }
    }
}

#[test]
fn a_silent_flow_goes_while_the_capture_goes_on() {
    let (lab, nginx) = lab_with_nginx();
    nginx.serve("page", b"a page");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    let arguments = "--iface eth0 --events flow --flow-timeout 300ms";
    let agent = Agent::run(&lab.server, &format!("{arguments} --output {}", path.display()));

    let mut connection = Connection::open(&lab, Family::V4);
    connection.get("/page", b"a page");

    let written = || objects(&fs::read(&path).unwrap(), "flow");
    wait::until("the flow is written", || !written().is_empty());
    let flow = &written()[0];
    assert_eq!(flow["close"], "idle", "{flow}");
    let [activity, end] = ["last_activity", "end"].map(|name| -> Timestamp {
        flow[name].as_str().and_then(|time| time.parse().ok()).expect("RFC 3339")
    });
    assert!(end.duration_since(activity).as_millis() >= 300, "{flow}");
    agent.stop();
}

#[test]
fn the_ledger_balances_and_agrees_with_what_was_made() {
    // Single segments, for a merged one can become several records.
    let lab = Lab::unmerged();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page.html", &[7; 100_000]);
    let agent = Agent::run(&lab.server, "--iface eth0 --events exchange,flow,stats");

    let urls = [1, 2, 3].map(|n| Lab::url(Family::V4, &format!("/page.html?{n}")));
    fetch_all(&lab.client, &urls, "");
    fetch(&lab.client, "http://10.77.0.1:8080/page.html", "");

    let ended = agent.stop();
    let [.., stats] = &ended.objects("stats")[..] else { panic!("no ledger at the end") };
    let number = |pointer: &str| number(stats, pointer);
    let packets = stats["packets"].as_array().expect("packets of each hook");
    let hooks: Vec<_> = packets.iter().map(|hook| &hook["source"]).collect();
    assert_eq!(hooks, ["tc_ingress", "tc_egress"]);
    for hook in packets {
        assert_eq!(hook["seen"], sum_but(hook, &["source", "seen"]), "{hook}");
        for what in ["handed_over", "pure_ack", "other_port", "not_ip"] {
            assert!(hook[what].as_u64() > Some(0), "{what} in {hook}");
        }
    }
    let handed_over: u64 = packets.iter().filter_map(|hook| hook["handed_over"].as_u64()).sum();
    assert_eq!(number("/segments/received"), handed_over);
    assert_eq!(sum_but(&stats["segments"], &["received", "resets_ignored"]), handed_over);
    let heads: u64 = ended.objects("exchange").iter().map(heads_of).sum();
    assert_eq!(number("/bytes"), heads + 3 * 100_000);
    assert_eq!(number("/gap_bytes"), 0);
    assert_eq!((number("/flows/opened"), number("/flows/closed/fin")), (1, 1));
    assert_eq!((number("/exchanges/made"), number("/exchanges/dropped")), (3, 0));
    assert_eq!(
        (number("/exchanges/outputs/0/exchanges"), number("/exchanges/outputs/0/flows")),
        (3, 1)
    );
    assert_eq!(stats["exchanges"]["outputs"][0]["output"], "-");
}

fn heads_of(exchange: &Value) -> u64 {
    let heads = ["request", "response"].map(|side| exchange[side]["head_bytes"].as_u64());
    heads.into_iter().flatten().sum()
}

/// Bytes of a message whose body has its length in the head: all of it that crossed the wire.
fn wire_bytes(message: &Value) -> u64 {
    let body = message["body"]["wire_bytes"].as_u64().expect("a body is counted");
    message["head_bytes"].as_u64().expect("a head is counted") + body
}

#[test]
fn an_interrupt_ends_the_capture_well_from_the_first_moment_on() {
    let host = Namespace::alone();
    for signal in [Signal::INT, Signal::TERM].into_iter().cycle().take(20) {
        let agent = Agent::run(&host, "--iface lo");
        agent.signal(signal);
        let ended = agent.wait();
        assert_eq!(ended.status.code(), Some(0), "{signal:?}: {ended:?}");
        let has_summary = ended.stderr.lines().any(|line| line.starts_with("0 exchanges "));
        assert!(has_summary, "{signal:?}: {ended:?}");
    }
}

#[test]
fn the_kernel_half_has_a_log_of_its_own() {
    let (lab, _nginx) = lab_with_nginx();
    for (level, hook) in [("debug", "tc"), ("trace", "tc"), ("debug", "xdp"), ("trace", "xdp")] {
        let log = format!("--kernel-log {level} --hook {hook}");
        let agent = Agent::run(&lab.server, &format!("--iface eth0 {log}"));
        let line = format!("kernel {level}: ");
        fetch(&lab.client, "http://10.77.0.1/", "");
        wait::until(&log, || agent.stderr().lines().any(|said| said.starts_with(&line)));
        agent.stop();
    }
}

#[test]
fn quiet_says_nothing() {
    let (lab, _nginx) = lab_with_nginx();
    let command = &mut live::command(&lab.server, "run --iface eth0 --quiet --count 1");
    let mut process = Process::start(command);
    wait::until("the agent has what it wants", || {
        fetch(&lab.client, "http://10.77.0.1/", "");
        process.has_ended()
    });
    let ended = process.wait();
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(ended.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
}

fn lab_with_nginx() -> (Lab, Nginx) {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    (lab, nginx)
}
