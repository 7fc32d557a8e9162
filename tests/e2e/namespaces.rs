//! `--netns`: the agent captures where it is not.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::fetch::{assert_captured, fetch};
use crate::support::lab::{Lab, Namespace};
use crate::support::live::{self, Agent};
use crate::support::nginx::Nginx;
use crate::support::process::{Process, run};
use crate::support::wait;

const PAGE: &str = "http://10.77.0.1/";

/// Interface, index and namespace of each exchange or flow, in the order in which they began: what
/// several workers have is written in any.
fn places(objects: &[Value]) -> Vec<Value> {
    let mut objects: Vec<_> = objects.iter().collect();
    objects.sort_by_key(|it| it["time"].as_str().or(it["start"].as_str()));
    objects.iter().map(|it| json!([it["iface"], it["ifindex"], it["netns"]])).collect()
}

#[track_caller]
fn wait_until_said(agent: &Agent, line: &str) {
    wait::until(line, || agent.stderr().lines().any(|said| said.starts_with(line)));
}

#[test]
fn a_namespace_by_its_name() {
    captured_from_elsewhere(|lab, _| lab.server.to_string());
}

#[test]
fn a_namespace_by_a_process_in_it() {
    captured_from_elsewhere(|_, nginx| nginx.pid().to_string());
}

#[test]
fn a_namespace_by_a_path() {
    captured_from_elsewhere(|_, nginx| format!("/proc/{}/ns/net", nginx.pid()));
}

fn captured_from_elsewhere(name: impl FnOnce(&Lab, &Nginx) -> String) {
    let (lab, elsewhere) = (Lab::new(), Namespace::alone());
    let nginx = Nginx::start(&lab.server);
    let netns = name(&lab, &nginx);
    // One worker, so that flows come in their order.
    let options =
        format!("--workers 1 --netns {netns} --iface eth0 --iface lo --events exchange,flow");
    let agent = Agent::run(&elsewhere, &options);

    let made = vec![fetch(&lab.client, PAGE, ""), fetch(&lab.server, "http://127.0.0.1/lo", "")];

    assert!(agent.stderr().contains(&format!("eth0 in namespace {netns}: ")), "{}", agent.stderr());
    let ended = agent.stop();
    assert_captured(&ended.objects("exchange"), made);
    let expected = [json!(["eth0", 2, netns]), json!(["lo", 1, netns])];
    assert_eq!(places(&ended.objects("exchange")), expected);
    assert_eq!(places(&ended.objects("flow")), expected);
}

#[test]
fn the_namespace_that_the_agent_is_in_has_no_name() {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let agent = Agent::run(&lab.server, "--iface eth0");
    let made = vec![fetch(&lab.client, PAGE, "")];
    let exchanges = agent.stop().objects("exchange");
    assert_captured(&exchanges, made);
    assert_eq!(places(&exchanges), [json!(["eth0", 2, null])]);
}

#[test]
fn two_namespaces_of_the_same_addresses_and_indices_are_told_apart() {
    let (labs, elsewhere) = ([Lab::new(), Lab::new()], Namespace::alone());
    let _servers = labs.each_ref().map(|lab| Nginx::start(&lab.server));
    let [first, second] = labs.each_ref().map(|lab| lab.server.to_string());
    let options =
        format!("--netns {first} --netns {second} --iface eth0 --events exchange,flow,stats");
    let agent = Agent::run(&elsewhere, &options);
    wait_until_said(&agent, &format!("capturing on eth0 in namespace {second}"));

    // From one port to one port, so that nothing but the namespace tells the flows apart.
    let ask = |lab: &Lab, port| {
        fetch(&lab.client, &format!("{PAGE}{port}"), &format!("--local-port {port}"))
    };
    let made = [ask(&labs[0], 40404), ask(&labs[1], 40404), ask(&labs[1], 40405)];

    let ended = agent.stop();
    let exchanges = ended.objects("exchange");
    assert_captured(&exchanges, made.to_vec());
    let [first, second] = [&first, &second].map(|name| json!(["eth0", 2, name]));
    assert_eq!(places(&exchanges), [first, second.clone(), second]);
    assert_eq!(ended.objects("flow").len(), 3);
    // The ledger is of both: in each direction at least three packets an exchange, and its flow's.
    let ledger = &ended.objects("stats")[0];
    let hooks = ledger["packets"].as_array().expect("hooks are listed");
    let seen: Vec<_> = hooks.iter().map(|hook| hook["seen"].as_u64().unwrap_or(0)).collect();
    assert!(seen.len() == 2 && seen.iter().all(|seen| *seen >= 9), "{ledger}");
}

#[test]
fn one_namespace_under_two_names_is_captured_once() {
    let (lab, elsewhere) = (Lab::new(), Namespace::alone());
    let nginx = Nginx::start(&lab.server);
    let (name, pid) = (lab.server.to_string(), nginx.pid());
    let agent = Agent::run(&elsewhere, &format!("--netns {name} --netns {pid} --iface eth0"));
    let made = vec![fetch(&lab.client, PAGE, "")];
    let exchanges = agent.stop().objects("exchange");
    assert_captured(&exchanges, made);
    assert_eq!(places(&exchanges), [json!(["eth0", 2, name])]);
}

#[test]
fn the_default_route_is_that_of_each_namespace() {
    let (lab, elsewhere) = (Lab::new(), Namespace::alone());
    let _nginx = Nginx::start(&lab.server);
    lab.server.ip("link add eth1 type veth peer name eth2");
    lab.server.ip("route add default via 10.77.0.2");
    let agent = Agent::run(&elsewhere, &format!("--netns {}", lab.server));
    let made = vec![fetch(&lab.client, PAGE, "")];
    let said = format!("no --iface given: taking eth0 in namespace {}, which has", lab.server);
    assert!(agent.stderr().contains(&said), "{}", agent.stderr());
    assert_captured(&agent.stop().objects("exchange"), made);
}

#[test]
fn a_namespace_that_goes_leaves_the_others() {
    let (stays, elsewhere) = (Lab::new(), Namespace::alone());
    let goes = Lab::new();
    let _nginx = Nginx::start(&stays.server);
    let name = goes.server.to_string();
    let options = format!("--netns {name} --netns {} --iface eth0", stays.server);
    let agent = Agent::run(&elsewhere, &options);
    wait_until_said(&agent, &format!("capturing on eth0 in namespace {}", stays.server));

    let Lab { server, client } = goes;
    drop(server);
    wait_until_said(&agent, &format!("the network namespace {name} is gone"));
    // It really ends, and takes the other end of its wire with it: the agent does not hold it.
    wait::until("the namespace ends", || !client.ip("-oneline link show").contains("eth0"));

    let made = vec![fetch(&stays.client, PAGE, "")];
    assert_captured(&agent.stop().objects("exchange"), made);
}

#[test]
fn the_capture_is_over_with_the_last_namespace() {
    let (lab, elsewhere) = (Lab::new(), Namespace::alone());
    let nginx = Nginx::start(&lab.server);
    let options = format!("--netns {} --iface eth0", nginx.pid());
    let agent = Agent::run(&elsewhere, &options);
    let made = vec![fetch(&lab.client, PAGE, "")];
    drop(nginx);
    let ended = agent.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("is gone, and the capture in it is over"), "{}", ended.stderr);
    assert_captured(&ended.objects("exchange"), made);
}

#[test]
fn interfaces_are_followed_in_another_namespace() {
    let (lab, elsewhere) = (Lab::new(), Namespace::alone());
    let _nginx = Nginx::start(&lab.server);
    let agent = Agent::run(&elsewhere, &format!("--netns {} --iface veth*", lab.server));
    // One of this name where the agent is, is not meant.
    elsewhere.ip("link add veth1 type veth peer name veth2");
    lab.server.ip(&format!("link add veth3 type veth peer name veth3 netns {}", lab.client));
    for (end, host) in [(&lab.server, 1), (&lab.client, 2)] {
        end.ip(&format!("address add 10.78.0.{host}/24 dev veth3"));
        end.ip("link set veth3 up");
    }
    wait_until_said(&agent, "capturing on veth3 in namespace ");
    let made = vec![fetch(&lab.client, "http://10.78.0.1/", "")];
    let ended = agent.stop();
    assert!(!ended.stderr.contains("veth1"), "{}", ended.stderr);
    assert_captured(&ended.objects("exchange"), made);
}

#[test]
fn what_is_no_namespace_is_told_with_what_there_is() {
    let (lab, elsewhere) = (Lab::new(), Namespace::alone());
    let server = lab.server.to_string();
    let complaint = |options: &str| {
        let ended =
            Process::start(&mut live::command(&elsewhere, &format!("run {options}"))).wait();
        ended.complaint(1).to_owned()
    };
    let assert_says = |options: &str, words: &[&str]| {
        let complaint = complaint(options);
        assert!(words.iter().all(|word| complaint.contains(word)), "{words:?}: {complaint}");
    };
    assert_says("--netns nosuch", &["no network namespace 'nosuch'", &server]);
    assert_says("--netns 4194305", &["no network namespace '4194305'"]);
    assert_says("--netns /etc/hostname", &["'/etc/hostname' is no network namespace"]);
    assert_says(
        &format!("--netns {server} --iface eth7"),
        &[&format!("in the network namespace '{server}'"), "'eth7'", "lo, eth0"],
    );
    assert_says(&format!("--netns {server}"), &[&server, "no default route"]);
}

#[test]
fn a_namespace_that_may_not_be_entered() {
    let (lab, elsewhere) = (Lab::new(), Namespace::alone());
    let kept = "-all,+bpf,+perfmon,+net_admin";
    let mut command: Command = elsewhere.command("setpriv");
    command.args(["inh-caps", "bounding-set"].map(|set| format!("--{set}={kept}")));
    command.args([live::AGENT, "run", "--netns", &lab.server.to_string(), "--iface", "eth0"]);
    let ended = Process::start(&mut command).wait();
    let complaint = ended.complaint(1);
    let name = format!("'{}'", lab.server);
    assert!(complaint.contains(&name) && complaint.contains("CAP_SYS_ADMIN"), "{complaint}");
}

#[test]
fn threads_that_capture_elsewhere_leave_the_others_where_they_are() {
    let (lab, elsewhere) = (Lab::new(), Namespace::alone());
    let agent = Agent::run(&elsewhere, &format!("--netns {} --iface eth0", lab.server));
    let threads = Path::new("/proc").join(agent.pid().to_string()).join("task");
    let mut spaces: Vec<_> = std::fs::read_dir(threads)
        .expect("the agent runs")
        .flatten()
        .filter_map(|thread| std::fs::read_link(thread.path().join("ns/net")).ok())
        .collect();
    spaces.sort();
    let own = |namespace: &Namespace| run(namespace.command("readlink").arg("/proc/self/ns/net"));
    let own = [own(&elsewhere), own(&lab.server)].map(|link| link.trim().to_owned());
    let count = |own: &str| spaces.iter().filter(|space| space.to_str() == Some(own)).count();
    assert_eq!(count(&own[1]), 1, "{spaces:?}");
    assert_eq!(count(&own[0]), spaces.len() - 1, "{spaces:?}");
    agent.stop();
}
