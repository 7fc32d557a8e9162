//! `--port`, `--host` and `--iface` select what they say, and nothing twice.

use serde_json::Value;

use crate::support::fetch::{Fetch, assert_captured, fetch};
use crate::support::lab::{Family, Lab, Namespace};
use crate::support::live::Agent;
use crate::support::nginx::{Nginx, PORTS};
use crate::support::process::Ended;

macro_rules! ports {
    ($($name:ident: $arguments:literal, $expected:expr;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(captured_ports($arguments), $expected);
        })*
    };
}

ports! {
    port_80_by_default: "", [80];
    one_port: "--port 8081", [8081];
    a_list_of_ports: "--port 80,9000", [80, 9000];
    a_range_of_ports: "--port 8080-8081", [8080, 8081];
    a_list_with_a_range: "--port 80,8080-8999", [80, 8080, 8081];
    any_port: "--port any", PORTS.map(u64::from);
    any_port_by_xdp: "--port any --hook xdp", PORTS.map(u64::from);
    a_range_of_ports_by_xdp: "--port 8080-8081 --hook xdp", [8080, 8081];
}

/// Asks on every port of the server; those whose exchange was captured.
fn captured_ports(arguments: &str) -> Vec<u64> {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let agent = Agent::run(&lab.server, &format!("--iface eth0 {arguments}"));
    for port in PORTS {
        fetch(&lab.client, &format!("http://10.77.0.1:{port}/"), "");
    }
    numbers(&agent.stop().objects("exchange"), "/server/port")
}

macro_rules! hosts {
    ($($name:ident: $arguments:literal, $expected:expr;)*) => {
        $(#[test]
        fn $name() {
            let expected: &[&str] = &$expected;
            assert_eq!(captured_clients($arguments), expected);
        })*
    };
}

hosts! {
    every_host_by_default: "", CLIENTS;
    one_ipv4_host: "--host 10.77.0.3", ["10.77.0.3"];
    an_ipv4_network: "--host 10.77.0.2/31", ["10.77.0.2", "10.77.0.3"];
    one_ipv6_host: "--host fd77::3", ["fd77::3"];
    an_ipv6_network: "--host fd77::/64", ["fd77::2", "fd77::3"];
    hosts_of_both_families: "--host 10.77.0.2 --host fd77::3", ["10.77.0.2", "fd77::3"];
    the_server_is_a_host_too: "--host 10.77.0.1", ["10.77.0.2", "10.77.0.3"];
    a_host_that_is_not_there: "--host 192.0.2.0/24", [];
    an_ipv4_network_by_xdp: "--host 10.77.0.3/32 --hook xdp", ["10.77.0.3"];
    an_ipv6_network_by_xdp: "--host fd77::3/128 --hook xdp", ["fd77::3"];
}

const CLIENTS: [&str; 4] = ["10.77.0.2", "10.77.0.3", "fd77::2", "fd77::3"];

/// Asks from every address of a client that has several; those whose exchange was captured.
fn captured_clients(arguments: &str) -> Vec<String> {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    lab.client.ip("address add 10.77.0.3/24 dev eth0");
    lab.client.ip("address add fd77::3/64 dev eth0 nodad");
    let agent = Agent::run(&lab.server, &format!("--iface eth0 {arguments}"));
    for client in CLIENTS {
        let family = if client.contains(':') { Family::V6 } else { Family::V4 };
        fetch(&lab.client, &Lab::url(family, "/"), &format!("--interface {client}"));
    }
    let exchanges = agent.stop().objects("exchange");
    let clients = exchanges.iter().map(|exchange| exchange["client"]["ip"].as_str());
    clients.map(|ip| ip.expect("an exchange names its client").to_owned()).collect()
}

#[test]
fn several_interfaces_each_by_its_name() {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let client = &lab.client;
    lab.server.ip(&format!("link add eth1 type veth peer name eth1 netns {client}"));
    for (end, host) in [(&lab.server, 1), (client, 2)] {
        end.ip(&format!("address add 10.78.0.{host}/24 dev eth1"));
        end.ip("link set eth1 up");
    }
    let agent = Agent::run(&lab.server, "--iface eth0 --iface eth1 --iface lo");

    let made = [
        fetch(client, "http://10.77.0.1/zero", ""),
        fetch(client, "http://10.78.0.1/one", ""),
        fetch(&lab.server, "http://127.0.0.1/loopback", ""),
    ];

    let exchanges = agent.stop().objects("exchange");
    assert_captured(&exchanges, made.to_vec());
    let mut interfaces: Vec<_> =
        exchanges.iter().map(|exchange| exchange["iface"].as_str().unwrap_or("none")).collect();
    interfaces.sort_unstable();
    assert_eq!(interfaces, ["eth0", "eth1", "lo"]);
}

#[test]
fn loopback_without_duplicates_by_tc() {
    loopback_without_duplicates("--iface lo --budget off");
}

#[test]
fn loopback_without_duplicates_by_xdp() {
    loopback_without_duplicates("--iface lo --hook xdp --budget off");
}

fn loopback_without_duplicates(hook: &str) {
    let host = Namespace::alone();
    let nginx = Nginx::start(&host);
    nginx.serve("page.html", &[7; 300_000]);
    let agent = Agent::run(&host, &format!("{hook} --events exchange,flow"));

    let paths = ["127.0.0.1/page.html", "[::1]/page.html", "127.0.0.1/missing"];
    let made = paths.map(|path| fetch(&host, &format!("http://{path}"), ""));

    assert_once(&agent.stop(), &made);
}

#[test]
fn a_bridge_and_its_port_without_duplicates() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page.html", &[7; 300_000]);
    lab.server.ip("link add br0 type bridge");
    lab.server.ip("link set br0 up");
    lab.server.ip("address flush dev eth0");
    lab.server.ip("link set eth0 master br0");
    lab.server.ip("address add 10.77.0.1/24 dev br0");
    let agent =
        Agent::run(&lab.server, "--iface eth0 --iface br0 --budget off --events exchange,flow");

    let made = [1, 2].map(|n| fetch(&lab.client, &format!("http://10.77.0.1/page.html?{n}"), ""));

    assert_once(&agent.stop(), &made);
}

/// Panics unless the agent captured what was made, each on a flow of its own, and saw no packet
/// twice: that would look like a retransmission.
#[track_caller]
fn assert_once(ended: &Ended, made: &[Fetch]) {
    assert_captured(&ended.objects("exchange"), made.to_vec());
    let flows = ended.objects("flow");
    assert_eq!(flows.len(), made.len(), "{flows:?}");
    for way in ["to_server", "to_client"] {
        let repeated = numbers(&flows, &format!("/{way}/retransmitted_bytes"));
        assert!(repeated.iter().all(|bytes| *bytes == 0), "{way}: {flows:?}");
    }
}

#[track_caller]
fn numbers(objects: &[Value], pointer: &str) -> Vec<u64> {
    let number = |object: &Value| object.pointer(pointer).and_then(Value::as_u64);
    let numbers: Option<Vec<_>> = objects.iter().map(number).collect();
    numbers.unwrap_or_else(|| panic!("{pointer} is no number in {objects:?}"))
}
