//! `--sensor`: a mirror port, where both directions of others' traffic arrive.

use serde_json::Value;

use crate::support::fetch::{Fetch, assert_captured, fetch};
use crate::support::hooks::Interface;
use crate::support::lab::{Lab, Namespace};
use crate::support::live::{self, Agent};
use crate::support::nginx::Nginx;
use crate::support::process::Process;
use crate::support::wait;

const SENSOR: &str = "--hook xdp --sensor --iface mon0";
const CALLED_WRONGLY: i32 = 2;

/// A laboratory whose server's wire is mirrored, both ways, to `mon0` of a host of its own.
struct Mirrored {
    lab: Lab,
    sensor: Namespace,
    _nginx: Nginx,
}

impl Mirrored {
    fn new() -> Self {
        let (lab, sensor) = (Lab::unmerged(), Namespace::alone());
        let nginx = Nginx::start(&lab.server);
        nginx.serve("page.html", &[7; 100_000]);
        lab.server.ip(&format!("link add mirror type veth peer name mon0 netns {sensor}"));
        lab.server.ip("link set mirror up");
        sensor.ip("link set mon0 up");
        lab.server.tc("qdisc add dev eth0 clsact");
        for way in ["ingress", "egress"] {
            let mirror = "u32 match u32 0 0 action mirred egress mirror dev mirror";
            lab.server.tc(&format!("filter add dev eth0 {way} protocol all {mirror}"));
        }
        Self { lab, sensor, _nginx: nginx }
    }

    fn fetch(&self, path: &str) -> Fetch {
        fetch(&self.lab.client, &format!("http://10.77.0.1/{path}"), "")
    }

    /// Packets that the sensor's host was given after XDP.
    fn passed(&self) -> u64 {
        let shown = self.sensor.tc("-statistics filter show dev mon0 ingress");
        let words = shown.split_whitespace().take_while(|word| *word != "pkt");
        words.last().and_then(|word| word.parse().ok()).expect("packets are counted")
    }

    fn count_what_passes(&self) {
        self.sensor.tc("qdisc add dev mon0 clsact");
        self.sensor.ip("link add count type veth peer name nobody");
        self.sensor.ip("link set count up");
        let count = "u32 match u32 0 0 action mirred egress mirror dev count";
        self.sensor.tc(&format!("filter add dev mon0 ingress protocol all {count}"));
    }

    fn promiscuity(&self) -> String {
        let shown = self.sensor.ip("-details link show dev mon0");
        let mut words = shown.split_whitespace().skip_while(|word| *word != "promiscuity");
        words.nth(1).expect("promiscuity is shown").to_owned()
    }
}

fn ledger(stats: &[Value]) -> &Value {
    let hooks = stats[0]["packets"].as_array().expect("hooks are listed");
    let [hook] = &hooks[..] else { panic!("not one hook: {hooks:?}") };
    assert_eq!(hook["source"], "xdp_ingress");
    hook
}

#[test]
fn both_directions_of_mirrored_traffic_are_paired_and_pass() {
    let mirrored = Mirrored::new();
    mirrored.count_what_passes();
    let agent = Agent::run(&mirrored.sensor, &format!("{} --events exchange,stats", SENSOR));
    assert_eq!(mirrored.promiscuity(), "1");
    assert!(agent.stderr().contains(" on ingress, promiscuous, port 80"), "{}", agent.stderr());

    let made = vec![mirrored.fetch("page.html"), mirrored.fetch("missing")];

    let ended = agent.stop();
    assert_captured(&ended.objects("exchange"), made);
    let hook = &ledger(&ended.objects("stats")).clone();
    assert_eq!(hook["consumed"], 0);
    let seen = hook["seen"].as_u64().expect("packets are counted");
    assert!(seen >= 70 && mirrored.passed() >= seen, "{} of {seen}", mirrored.passed());
    wait::until("the interface is as before", || mirrored.promiscuity() == "0");
}

#[test]
fn what_is_consumed_is_recorded_and_reaches_nobody() {
    let mirrored = Mirrored::new();
    let options = format!("{} --consume --events exchange,stats", SENSOR);
    let agent = Agent::run(&mirrored.sensor, &options);
    assert!(agent.stderr().contains("all that arrives ends there"), "{}", agent.stderr());
    mirrored.count_what_passes();

    let made = vec![mirrored.fetch("page.html"), mirrored.fetch("missing")];
    // Not selected, and consumed all the same.
    fetch(&mirrored.lab.client, "http://10.77.0.1:8080/", "");

    assert_eq!(mirrored.passed(), 0);
    let ended = agent.stop();
    assert_captured(&ended.objects("exchange"), made);
    let hook = &ledger(&ended.objects("stats")).clone();
    let seen = hook["seen"].as_u64().expect("packets are counted");
    assert!(seen >= 72 && hook["consumed"] == seen, "{hook}");
    assert!(hook["other_port"].as_u64() > Some(6), "{hook}");
}

#[test]
fn a_killed_sensor_leaves_nothing() {
    let mirrored = Mirrored::new();
    let before = Interface::now(&mirrored.sensor, "mon0");
    let agent = Agent::run(&mirrored.sensor, &format!("{} --consume", SENSOR));
    assert_ne!(Interface::now(&mirrored.sensor, "mon0"), before);
    agent.signal(rustix::process::Signal::KILL);
    agent.wait();
    wait::poll(|| (Interface::now(&mirrored.sensor, "mon0") == before).then_some(()));
    assert_eq!(Interface::now(&mirrored.sensor, "mon0"), before, "left: after, right: before");
}

/// The complaint of a sensor that was called wrongly.
fn refusal(host: &Namespace, options: &str) -> String {
    let ended = Process::start(&mut live::command(host, &format!("run {SENSOR} {options}"))).wait();
    ended.complaint(CALLED_WRONGLY).to_owned()
}

#[test]
fn an_interface_that_the_host_talks_over_is_refused() {
    let host = Namespace::alone();
    host.ip("link add mon0 type veth peer name far");
    for end in ["mon0", "far"] {
        host.ip(&format!("link set {end} up"));
    }
    // The kernel gives both a link-local address, and neither end carries the other.
    Agent::run(&host, SENSOR).stop();

    host.ip("address add 192.0.2.1/24 dev mon0");
    let complaint = refusal(&host, "--consume");
    for word in ["'mon0' has the host's address 192.0.2.1", "cut the host off", "--force"] {
        assert!(complaint.contains(word), "no '{word}' in: {complaint}");
    }
    assert!(!refusal(&host, "").contains("cut the host off"));
    Agent::run(&host, &format!("{} --consume --force", SENSOR)).stop();

    host.ip("address flush dev mon0 scope global");
    host.ip("link add br0 type bridge");
    host.ip("link set mon0 master br0");
    assert!(refusal(&host, "").contains("'mon0' carries 'br0'"));
}

#[test]
fn one_that_only_matches_is_left_out() {
    let mirrored = Mirrored::new();
    mirrored.sensor.ip("link add mon1 type veth peer name far");
    mirrored.sensor.ip("address add 192.0.2.1/24 dev mon1");
    let agent = Agent::run(&mirrored.sensor, "--hook xdp --sensor --consume --iface mon*");
    let left_out = "not capturing on mon1: 'mon1' has the host's address 192.0.2.1";
    assert!(agent.stderr().contains(left_out), "{}", agent.stderr());
    let made = vec![mirrored.fetch("page.html")];
    assert_captured(&agent.stop().objects("exchange"), made);
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let host = Namespace::alone();
    for (options, word) in [
        ("run --sensor --iface lo", "--hook xdp"),
        ("run --hook xdp --consume --iface lo", "--sensor"),
        ("run --hook xdp --force --iface lo", "--sensor"),
    ] {
        let ended = Process::start(&mut live::command(&host, options)).wait();
        assert_eq!(ended.status.code(), Some(CALLED_WRONGLY), "{ended:?}");
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
}
