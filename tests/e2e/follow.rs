//! Interfaces that come, go and change their names while the agent captures.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::fetch::{Fetch, assert_captured, fetch};
use crate::support::hooks::Interface;
use crate::support::lab::Lab;
use crate::support::ledger::assert_balances;
use crate::support::live::Agent;
use crate::support::nginx::Nginx;
use crate::support::process::Process;
use crate::support::wait;

/// A second wire beside `eth0`, up and addressed.
fn add_wire(lab: &Lab, name: &str) {
    let Lab { server, client } = lab;
    server.ip(&format!("link add {name} type veth peer name {name} netns {client}"));
    for (end, host) in [(server, 1), (client, 2)] {
        end.ip(&format!("address add 10.78.0.{host}/24 dev {name}"));
        end.ip(&format!("link set {name} up"));
    }
}

fn fetch_over_it(lab: &Lab, path: &str) -> Fetch {
    fetch(&lab.client, &format!("http://10.78.0.1/{path}"), "")
}

#[track_caller]
fn wait_until_said(agent: &Agent, times: usize, line: &str) {
    wait::until(line, || {
        agent.stderr().lines().filter(|said| said.starts_with(line)).count() == times
    });
}

/// Names and indices of the interfaces that exchanges were seen on, in the order in which they began:
/// what several workers have is written in any.
fn places(exchanges: &[Value]) -> Vec<(&str, u64)> {
    let mut exchanges: Vec<_> = exchanges.iter().collect();
    exchanges.sort_by_key(|exchange| exchange["time"].as_str());
    let places: Option<_> = exchanges
        .into_iter()
        .map(|exchange| Some((exchange["iface"].as_str()?, exchange["ifindex"].as_u64()?)))
        .collect();
    places.expect("an exchange has a name and an index for where it was seen")
}

fn ifindex(lab: &Lab, name: &str) -> u64 {
    let listed = lab.server.ip(&format!("-oneline link show dev {name}"));
    let index = listed.split(':').next().and_then(|number| number.parse().ok());
    index.expect("an interface is listed by its number")
}

#[test]
fn interfaces_that_match_are_followed_by_tcx() {
    interfaces_that_match_are_followed("");
}

#[test]
fn interfaces_that_match_are_followed_by_tc_filters() {
    interfaces_that_match_are_followed("--tc-attach clsact");
}

#[test]
fn interfaces_that_match_are_followed_by_xdp() {
    interfaces_that_match_are_followed("--hook xdp");
}

fn interfaces_that_match_are_followed(how: &str) {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let agent = Agent::run(&lab.server, &format!("--iface veth* {how} --events exchange,stats"));
    assert!(agent.stderr().contains("no interface matches 'veth*' yet"), "{}", agent.stderr());

    fetch(&lab.client, "http://10.77.0.1/not-asked-for", "");
    let mut made = Vec::new();
    let mut indices = Vec::new();
    for round in 1..=2 {
        add_wire(&lab, "veth7");
        indices.push(ifindex(&lab, "veth7"));
        wait_until_said(&agent, round, "capturing on veth7: ");
        made.push(fetch_over_it(&lab, &round.to_string()));
        lab.server.ip("link delete veth7");
        wait_until_said(&agent, round, "veth7 is gone");
    }

    let ended = agent.stop();
    let exchanges = ended.objects("exchange");
    assert_captured(&exchanges, made);
    assert_ne!(indices[0], indices[1]);
    assert_eq!(places(&exchanges), [("veth7", indices[0]), ("veth7", indices[1])]);
    // What was counted on interfaces that are gone is still in the ledger.
    let ledger = &ended.objects("stats")[0];
    let seen = ledger["packets"].as_array().expect("hooks are listed");
    let seen = seen.iter().map(|hook| hook["seen"].as_u64().expect("packets are counted"));
    // Two handshakes, requests, responses and ends: seven packets each, and what resolves addresses.
    assert!(seen.sum::<u64>() >= 14, "{ledger}");
}

#[test]
fn a_name_that_is_spelt_out_may_go_and_come_back() {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    add_wire(&lab, "wire1");
    let agent = Agent::run(&lab.server, "--iface eth0 --iface wire1");
    let mut made = vec![fetch_over_it(&lab, "before")];
    lab.server.ip("link delete wire1");
    wait_until_said(&agent, 1, "wire1 is gone");
    add_wire(&lab, "wire1");
    wait_until_said(&agent, 2, "capturing on wire1: ");
    made.push(fetch_over_it(&lab, "after"));
    made.push(fetch(&lab.client, "http://10.77.0.1/beside", ""));
    assert_captured(&agent.stop().objects("exchange"), made);
}

#[test]
fn an_interface_goes_amid_a_download_by_tcx() {
    an_interface_goes_amid_a_download("");
}

#[test]
fn an_interface_goes_amid_a_download_by_tc_filters() {
    an_interface_goes_amid_a_download("--tc-attach clsact");
}

#[test]
fn an_interface_goes_amid_a_download_by_xdp() {
    an_interface_goes_amid_a_download("--hook xdp");
}

/// What it has carried is shown and counted, and the others are captured on as before.
fn an_interface_goes_amid_a_download(how: &str) {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("large", &vec![b'x'; 1 << 20]);
    add_wire(&lab, "wire1");
    let asked = format!("--iface eth0 --iface wire1 {how} --events exchange,flow,stats");
    let agent = Agent::run(&lab.server, &asked);
    let mut curl = lab.client.command("curl");
    let download = Process::start(curl.args(["--silent", "http://10.78.0.1/slow/large"]));
    wait::until("the download is under way", || !download.stdout().is_empty());
    lab.server.ip("link delete wire1");
    wait_until_said(&agent, 1, "wire1 is gone");
    drop(download);
    let beside = fetch(&lab.client, "http://10.77.0.1/beside", "");
    let ended = agent.stop();

    assert!(!ended.stderr.contains("nothing is captured"), "{}", ended.stderr);
    let mut exchanges = ended.objects("exchange");
    let cut = exchanges.remove(0);
    assert_eq!(cut["request"]["target"], "/slow/large", "{cut}");
    assert_eq!(cut["response"]["state"], "open", "{cut}");
    assert!(cut["response"]["body"]["wire_bytes"].as_u64() > Some(0), "{cut}");
    assert_captured(&exchanges, vec![beside]);
    assert_eq!(ended.objects("flow").len(), 2);
    assert_balances(ended.objects("stats").last().unwrap(), true);
}

#[test]
fn where_the_only_interface_goes_that_is_said_and_the_end_is_a_good_one() {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    add_wire(&lab, "wire1");
    let agent = Agent::run(&lab.server, "--iface wire1 --events exchange,stats");
    let made = vec![fetch_over_it(&lab, "before")];
    lab.server.ip("link delete wire1");
    wait_until_said(&agent, 1, "wire1 is gone; nothing is captured until an interface");
    let ended = agent.stop();
    assert_captured(&ended.objects("exchange"), made);
    assert_balances(ended.objects("stats").last().unwrap(), true);
}

#[test]
fn names_change_under_tcx_links() {
    names_change("");
}

#[test]
fn names_change_under_tc_filters() {
    names_change("--tc-attach clsact");
}

fn names_change(how: &str) {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    add_wire(&lab, "other");
    let index = ifindex(&lab, "other");
    let untouched = |name| format!("{:?}", Interface::now(&lab.server, name)).replace(name, "NAME");
    let before = untouched("other");
    let rename = |from: &str, to: &str| lab.server.ip(&format!("link set {from} name {to}"));
    let agent = Agent::run(&lab.server, &format!("--iface web? {how}"));

    fetch_over_it(&lab, "not-asked-for");
    rename("other", "web1");
    wait_until_said(&agent, 1, "capturing on web1: ");
    let mut made = vec![fetch_over_it(&lab, "one")];
    rename("web1", "web2");
    wait_until_said(&agent, 1, "web1 is called web2 now");
    made.push(fetch_over_it(&lab, "two"));
    rename("web2", "other");
    wait_until_said(&agent, 1, "web2 is not captured on any more, as other now");
    fetch_over_it(&lab, "not-asked-for-any-more");
    // While the agent runs.
    assert_eq!(untouched("other"), before, "left: after, right: before");

    let exchanges = agent.stop().objects("exchange");
    assert_captured(&exchanges, made);
    assert_eq!(places(&exchanges), [("web1", index), ("web2", index)]);
}

#[test]
fn what_happened_while_nobody_could_listen_is_made_up_for() {
    const WIRES: usize = 150;
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let agent = Agent::run(&lab.server, "--iface eth0 --iface veth*");
    add_wire(&lab, "veth-gone");
    wait_until_said(&agent, 1, "capturing on veth-gone: ");

    agent.signal(Signal::STOP);
    lab.server.ip("link delete veth-gone");
    for wire in 0..WIRES {
        lab.server.ip(&format!("link add veth{wire} type veth peer name peer{wire}"));
    }
    add_wire(&lab, "veth-last");
    agent.signal(Signal::CONT);

    wait_until_said(&agent, 1, "veth-gone is gone");
    wait_until_said(&agent, WIRES + 2, "capturing on veth");
    wait_until_said(&agent, 1, "capturing on veth-last: ");
    let made = vec![fetch_over_it(&lab, "last")];
    assert_captured(&agent.stop().objects("exchange"), made);
}

#[test]
fn interfaces_that_are_gone_at_once_are_no_failure() {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let agent = Agent::run(&lab.server, "--iface veth*");
    for _ in 0..30 {
        lab.server.ip("link add veth-brief type veth peer name peer-brief");
        lab.server.ip("link delete veth-brief");
    }
    add_wire(&lab, "veth-last");
    wait_until_said(&agent, 1, "capturing on veth-last: ");
    let made = vec![fetch_over_it(&lab, "last")];
    let ended = agent.stop();
    assert!(!ended.stderr.contains("not capturing"), "{}", ended.stderr);
    assert_captured(&ended.objects("exchange"), made);
}

#[test]
fn what_matches_and_can_not_be_captured_on_is_left_out() {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    lab.server.ip("tuntap add mode tun name tun0");
    let agent = Agent::run(&lab.server, "--iface *");
    lab.server.ip("tuntap add mode tun name tun1");
    wait_until_said(&agent, 1, "not capturing on tun0: the interface 'tun0' carries no Ethernet");
    wait_until_said(&agent, 1, "not capturing on tun1: the interface 'tun1' carries no Ethernet");
    let made = vec![
        fetch(&lab.client, "http://10.77.0.1/wire", ""),
        fetch(&lab.server, "http://127.0.0.1/loopback", ""),
    ];
    let exchanges = agent.stop().objects("exchange");
    assert_captured(&exchanges, made);
    assert_eq!(places(&exchanges), [("eth0", 2), ("lo", 1)]);
}
