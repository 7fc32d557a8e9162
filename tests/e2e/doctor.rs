//! `doctor`: each fault that a host can have is found and named, whether `run` would work is told as
//! it is, and nothing stays.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::bad_input::agent_for_everyone;
use crate::support::fetch::{assert_captured, fetch};
use crate::support::hooks::Interface;
use crate::support::lab::{Lab, Namespace, WIRE};
use crate::support::live::{self, AGENT, Agent};
use crate::support::nginx::Nginx;
use crate::support::process::{Process, run};
use crate::support::seccomp;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/doctor.schema.json");

/// What `doctor` said.
struct Report(Vec<Value>);

impl Report {
    /// Runs `doctor` with `arguments` in `namespace`, which must end with `code`.
    #[track_caller]
    fn of(namespace: &Namespace, arguments: &str, code: i32) -> Self {
        let arguments = format!("doctor --format jsonl {arguments}");
        Self::by(&mut live::command(namespace, &arguments), code)
    }

    #[track_caller]
    fn by(command: &mut Command, code: i32) -> Self {
        let ended = Process::start(command).wait();
        let stdout = String::from_utf8(ended.stdout).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{stdout}{}", ended.stderr);
        assert!(ended.stderr.is_empty(), "{}", ended.stderr);
        let lines = stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        let report = Self(lines.collect());
        report.assert_is_valid();
        let works = report.verdict()["works"] == true;
        assert_eq!(works, code == 0, "{}", report.verdict());
        // A fault keeps `run` from working, and nothing else does so without a reason.
        assert!(!works || report.all("fault").is_empty(), "{:?}", report.all("fault"));
        report
    }

    fn assert_is_valid(&self) {
        let schema = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for line in &self.0 {
            let errors: Vec<_> = validator.iter_errors(line).map(|it| it.to_string()).collect();
            assert!(errors.is_empty(), "{errors:#?} in {line}");
        }
        let kinds: Vec<_> = self.0.iter().map(|line| line["type"].as_str().unwrap()).collect();
        assert_eq!((kinds.first(), kinds.last()), (Some(&"host"), Some(&"verdict")), "{kinds:?}");
    }

    fn verdict(&self) -> &Value {
        self.0.last().unwrap()
    }

    fn all(&self, severity: &str) -> Vec<&Value> {
        self.0.iter().filter(|line| line["severity"] == severity).collect()
    }

    fn interface(&self, name: &str) -> &Value {
        let is_it = |line: &&Value| line["type"] == "interface" && line["iface"] == name;
        self.0.iter().find(is_it).unwrap_or_else(|| panic!("no {name} in {:#?}", self.0))
    }

    /// The one finding of this check on this interface, with all of `words`.
    #[track_caller]
    fn assert_found(&self, severity: &str, check: &str, iface: Option<&str>, words: &[&str]) {
        let is_it = |line: &&&Value| {
            let text = line.to_string();
            line["check"] == check
                && line["iface"].as_str() == iface
                && words.iter().all(|word| text.contains(word))
        };
        let all = self.all(severity);
        let found: Vec<_> = all.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{severity} {check} {iface:?} {words:?} in {:#?}", self.0);
        if severity == "fault" || severity == "warning" {
            let finding = found[0];
            assert!(finding["means"].is_string(), "{finding}");
            assert!(finding["advice"].is_string(), "{finding}");
        }
    }

    /// The hooks that `run` would take on an interface.
    #[track_caller]
    fn hooks(&self, iface: &str) -> Vec<(&str, &str)> {
        let attached = self.verdict()["attached"].as_array().unwrap();
        let attached = attached.iter().find(|attached| attached["iface"] == iface);
        let hooks = attached.unwrap_or_else(|| panic!("{}", self.verdict()))["hooks"].as_array();
        hooks
            .unwrap()
            .iter()
            .inspect(|hook| assert!(hook["why"].is_string(), "{hook}"))
            .map(|hook| (hook["hook"].as_str().unwrap(), hook["way"].as_str().unwrap()))
            .collect()
    }
}

#[test]
fn a_host_without_faults() {
    let lab = Lab::new();
    let before = Interface::now(&lab.server, WIRE);
    let report = Report::of(&lab.server, "--iface eth0", 0);

    assert_eq!(report.hooks("eth0"), [("tc_ingress", "tcx"), ("tc_egress", "tcx")]);
    assert!(report.all("warning").is_empty(), "{:#?}", report.0);
    report.assert_found("ok", "tc", Some("eth0"), &["nobody else"]);
    report.assert_found("ok", "state", Some("eth0"), &["up"]);
    report.assert_found("ok", "capabilities", None, &["CAP_BPF", "CAP_NET_ADMIN"]);
    for check in ["kernel_half", "kernel", "btf", "lockdown", "memory", "unprivileged_bpf"] {
        assert!(report.0.iter().any(|line| line["check"] == check), "{check}: {:#?}", report.0);
    }
    let eth0 = report.interface("eth0");
    assert_eq!((&eth0["kind"], &eth0["driver"]), (&"veth".into(), &"veth".into()));
    assert_eq!((&eth0["mtu"], &eth0["peer_elsewhere"]), (&1500.into(), &true.into()));
    assert_eq!(Interface::now(&lab.server, WIRE), before, "something stays");
}

#[test]
fn it_says_of_each_hook_what_run_does() {
    let lab = Lab::new();
    for (how, hooks) in [
        ("", [("tc_ingress", "tcx"), ("tc_egress", "tcx")]),
        ("--tc-attach clsact", [("tc_ingress", "clsact"), ("tc_egress", "clsact")]),
        ("--hook xdp", [("xdp_ingress", "native"), ("tc_egress", "tcx")]),
    ] {
        let before = Interface::now(&lab.server, WIRE);
        let report = Report::of(&lab.server, &format!("--iface eth0 {how}"), 0);
        assert_eq!(report.hooks("eth0"), hooks);
        assert_eq!(Interface::now(&lab.server, WIRE), before, "{how}: something stays");
        let agent = Agent::run(&lab.server, &format!("--iface eth0 {how}"));
        let begins = agent.stderr();
        for (hook, way) in hooks {
            let way = match way {
                "tcx" => "TC (TCX)",
                "clsact" => "TC (clsact)",
                _ => "XDP (native)",
            };
            let direction = if hook == "tc_egress" { "egress" } else { "ingress" };
            let said = format!("{way} on {direction}");
            assert!(begins.contains(&said), "no '{said}' in: {begins}");
        }
        agent.stop();
    }
    let report = Report::of(&lab.server, "--iface lo", 0);
    assert_eq!(report.hooks("lo"), [("tc_ingress", "tcx")]);
}

#[test]
fn another_xdp_program_on_the_hook() {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let agent = Agent::run(&lab.server, "--iface eth0 --hook xdp");
    let before = Interface::now(&lab.server, WIRE);

    let report = Report::of(&lab.server, "--iface eth0 --hook xdp", 1);
    let words =
        ["another XDP program", "'xdp_ingress'", "native", "--hook xdp", "ip link set eth0"];
    report.assert_found("fault", "xdp", Some("eth0"), &words);
    let reasons = report.verdict()["reasons"].to_string();
    assert!(reasons.contains("another XDP program is on 'eth0'"), "{reasons}");

    // By TC it works, with a word on what may be missing, and on the agent's program on egress.
    let report = Report::of(&lab.server, "--iface eth0", 0);
    report.assert_found("warning", "xdp", Some("eth0"), &["'xdp_ingress'", "not seen"]);
    report.assert_found("note", "tc", Some("eth0"), &["egress", "'tc_egress'", "tcx"]);
    let programs = report.interface("eth0")["programs"].as_array().unwrap().clone();
    let told: Vec<_> = programs.iter().map(|it| (it["hook"].clone(), it["way"].clone())).collect();
    let expected = [("xdp_ingress", "native"), ("tc_egress", "tcx")];
    assert_eq!(told, expected.map(|(hook, way)| (hook.into(), way.into())));
    assert!(programs.iter().all(|program| program["id"].is_u64()), "{programs:?}");

    // Nothing of that was in the way of the one that captures.
    assert_eq!(Interface::now(&lab.server, WIRE), before);
    let made = fetch(&lab.client, "http://10.77.0.1/", "");
    assert_captured(&agent.stop().objects("exchange"), vec![made]);
}

#[test]
fn filters_of_others_are_named_in_their_order() {
    let lab = Lab::new();
    lab.server.tc("qdisc add dev eth0 clsact");
    lab.server.tc("filter add dev eth0 ingress pref 7 protocol all u32 match u32 0 0 classid 1:1");
    let filters = Agent::run(&lab.server, "--iface eth0 --tc-attach clsact");
    let links = Agent::run(&lab.server, "--iface eth0");
    let report = Report::of(&lab.server, "--iface eth0", 0);
    let order = |hook: &str| {
        let programs = report.interface("eth0")["programs"].as_array().unwrap().iter();
        let on = programs.filter(|program| program["hook"] == hook);
        on.map(|it| {
            assert_eq!(it["id"].is_u64(), it["filter"] != "u32", "{it}");
            ["way", "filter", "name"]
                .map(|field| it[field].as_str().unwrap_or("-").to_owned())
                .join(" ")
        })
        .collect::<Vec<_>>()
    };
    let ours = ["tcx - tc_ingress", "clsact bpf tc_ingress", "clsact u32 -"];
    assert_eq!(order("tc_ingress"), ours);
    assert_eq!(order("tc_egress"), ["tcx - tc_egress", "clsact bpf tc_egress"]);
    report.assert_found("note", "tc", Some("eth0"), &["ingress", "'u32' (clsact)"]);
    links.stop();
    filters.stop();
}

#[test]
fn an_mtu_that_is_too_large_for_xdp() {
    let host = Namespace::alone();
    host.ip("tuntap add mode tap name tap0");
    host.ip("link set tap0 mtu 9000 up");
    let report = Report::of(&host, "--iface tap0 --hook xdp", 0);
    let words = ["MTU 9000", "driver tun", "ip link set tap0 mtu"];
    report.assert_found("warning", "xdp_mtu", Some("tap0"), &words);
    report.assert_found("warning", "state", Some("tap0"), &["its link is down"]);

    host.ip("link set tap0 mtu 1500");
    let report = Report::of(&host, "--iface tap0 --hook xdp", 0);
    assert!(report.0.iter().all(|line| line["check"] != "xdp_mtu"), "{:#?}", report.0);
}

#[test]
fn an_mtu_that_the_other_end_has_not() {
    let host = Namespace::alone();
    host.ip("link add v0 mtu 9000 type veth peer name v1 mtu 1500");
    host.ip("link set v0 up");
    host.ip("link set v1 up");
    let report = Report::of(&host, "--iface v0", 0);
    report.assert_found("warning", "mtu", Some("v0"), &["MTU 9000", "'v1'", "mtu 1500"]);
    let report = Report::of(&host, "--iface v1", 0);
    assert!(report.all("warning").is_empty(), "{:#?}", report.0);
}

#[test]
fn a_driver_that_refuses_xdp() {
    let host = Namespace::alone();
    // A veth takes XDP where it has a queue for each one that the other end sends by.
    host.ip("link add v0 numrxqueues 1 numtxqueues 1 type veth peer name v1 numrxqueues 4 numtxqueues 4");
    host.ip("link set v0 up");
    host.ip("link set v1 up");
    let report = Report::of(&host, "--iface v0 --hook xdp", 0);
    report.assert_found(
        "note",
        "xdp_refused",
        Some("v0"),
        &["did not take XDP: No space", "dmesg"],
    );
    assert_eq!(report.hooks("v0"), [("xdp_ingress", "generic"), ("tc_egress", "tcx")]);
    let report = Report::of(&host, "--iface lo --hook xdp", 0);
    report.assert_found("note", "xdp_driver", Some("lo"), &["no XDP"]);
    assert_eq!(report.hooks("lo"), [("xdp_ingress", "generic")]);
}

#[test]
fn no_capability() {
    for (has, lacks) in [
        ("", "lacks CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN"),
        (",+net_admin", "lacks CAP_BPF and CAP_PERFMON\""),
        (",+bpf,+perfmon", "lacks CAP_NET_ADMIN\""),
    ] {
        let report = report_with(has, 1);
        report.assert_found("fault", "capabilities", None, &[lacks, "sudo", "setcap"]);
        let reasons = report.verdict()["reasons"].to_string();
        assert!(reasons.contains("a live capture needs CAP_"), "{reasons}");
        // What everybody may see is there, and what not is said.
        assert_eq!(report.interface("eth0")["mtu"], 1500);
        if !has.contains("net_admin") {
            report.assert_found("unseen", "tc", Some("eth0"), &["CAP_NET_ADMIN"]);
        }
    }
    for (has, lacks) in [
        ("", "lacks CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH\""),
        (",+sys_ptrace", "lacks CAP_DAC_READ_SEARCH\""),
        (",+dac_read_search", "lacks CAP_SYS_PTRACE\""),
    ] {
        let report = report_with(&format!(",+bpf,+perfmon,+net_admin{has}"), 0);
        report.assert_found("warning", "capabilities", None, &[lacks, "--no-owner"]);
    }
}

/// What is said to nobody, on a wire of its own, with these capabilities alone.
#[track_caller]
fn report_with(capabilities: &str, code: i32) -> Report {
    let lab = Lab::new();
    let (_folder, agent) = agent_for_everyone();
    let mut command = lab.server.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args(
        ["inh-caps", "ambient-caps", "bounding-set"]
            .map(|set| format!("--{set}=-all{capabilities}")),
    );
    command.arg(agent).args(["doctor", "--iface", "eth0", "--format", "jsonl"]);
    Report::by(&mut command, code)
}

#[test]
fn a_user_namespace() {
    let inside = r#"ip link set lo up && exec "$0" doctor --iface lo --format jsonl"#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "sh", "-c", inside, AGENT]);
    let report = Report::by(&mut command, 1);
    report.assert_found("warning", "user_namespace", None, &["user namespace", "container"]);
    let reasons = report.verdict()["reasons"].to_string();
    assert!(reasons.contains("does not let this process use BPF"), "{reasons}");
}

#[test]
fn system_calls_that_are_filtered() {
    let host = Namespace::alone();
    let mut command = live::command(&host, "doctor --iface lo --format jsonl");
    seccomp::refuse_bpf_maps(&mut command);
    let report = Report::by(&mut command, 1);
    report.assert_found("note", "seccomp", None, &["filtered", "bpf(2)"]);
    assert!(report.verdict()["reasons"].to_string().contains("ring buffers"));
}

#[test]
fn a_kernel_without_btf() {
    let host = Namespace::alone();
    let hidden = r#"mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@""#;
    let mut command = host.command("sh");
    command.args(["-c", hidden, AGENT, "doctor", "--iface", "lo", "--format", "jsonl"]);
    Report::by(&mut command, 0).assert_found("note", "btf", None, &["does without"]);
}

#[test]
fn a_veth_pair_and_a_bridge_stacked() {
    let host = Namespace::alone();
    host.ip("link add br0 type bridge");
    host.ip("link add v0 type veth peer name v1");
    host.ip("link add w0 type veth peer name w1");
    for up in ["br0", "v0", "v1", "w0", "w1"] {
        host.ip(&format!("link set {up} up"));
    }
    host.ip("link set v0 master br0");
    host.ip("link set w0 master br0");

    let report = Report::of(&host, "--iface br0 --iface v0 --iface v1 --iface w0", 0);
    let twice = |on, words: &[&str]| {
        let words = [words, &["both are captured on", "seen twice"]].concat();
        report.assert_found("warning", "stack", Some(on), &words);
    };
    twice("v0", &["'v0' is a port of the bridge 'br0'", "capture on 'br0'"]);
    twice("w0", &["'w0' is a port of the bridge 'br0'"]);
    report.assert_found("warning", "stack", Some("v1"), &["two ends of a pair", "--iface v1"]);
    report.assert_found("warning", "stack", Some("v0"), &["'w0' are ports of one bridge"]);
    let v0 = report.interface("v0");
    assert_eq!((&v0["master"], &v0["peer"]), (&"br0".into(), &"v1".into()));

    // One alone shows nothing twice; what it does not show is said.
    let report = Report::of(&host, "--iface v0", 0);
    assert!(report.all("warning").is_empty(), "{:#?}", report.0);
    report.assert_found("note", "stack", Some("v0"), &["port of the bridge 'br0'", "not seen"]);
    let report = Report::of(&host, "--iface br0", 0);
    assert!(report.all("warning").is_empty(), "{:#?}", report.0);
    report.assert_found(
        "note",
        "stack",
        Some("br0"),
        &["its ports say to each other", "'v0', 'w0'"],
    );
}

#[test]
fn an_interface_upon_another_one() {
    let lab = Lab::new();
    lab.server.ip("link add link eth0 name mv0 type macvlan");
    lab.server.ip("link set mv0 up");
    let report = Report::of(&lab.server, "--iface eth0 --iface mv0", 0);
    let words = ["'mv0' is upon 'eth0'", "both are captured on", "capture on 'eth0' alone"];
    report.assert_found("warning", "stack", Some("eth0"), &words);
    assert_eq!(report.interface("mv0")["lower"], "eth0");
}

#[test]
fn interfaces_that_can_not_be_captured_on() {
    let lab = Lab::new();
    lab.server.ip("link set eth0 down");
    lab.server.ip("tuntap add mode tun name tun0");
    lab.server.ip("link set tun0 up");
    let report = Report::of(&lab.server, "--iface eth0 --iface tun0 --iface lo", 1);
    report.assert_found("fault", "state", Some("eth0"), &["is down", "ip link set eth0 up"]);
    report.assert_found("fault", "frames", Some("tun0"), &["no Ethernet frames"]);
    // `run` would name the first one; here is each.
    let reasons = report.verdict()["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 2, "{reasons:?}");

    let report = Report::of(&lab.server, "--iface nosuch0", 1);
    let reasons = report.verdict()["reasons"].to_string();
    assert!(reasons.contains("'nosuch0'") && reasons.contains("eth0"), "{reasons}");

    let report = Report::of(&lab.server, "--iface l* --iface tun* --iface nosuch*", 0);
    report.assert_found("warning", "left_out", Some("tun0"), &["no Ethernet frames"]);
    report.assert_found("note", "no_match", None, &["'nosuch*'"]);
    assert_eq!(report.hooks("lo"), [("tc_ingress", "tcx")]);
}

#[test]
fn no_default_route() {
    let lab = Lab::new();
    let report = Report::of(&lab.server, "", 1);
    report.assert_found("fault", "route", None, &["default route", "--iface eth0"]);
    lab.server.ip("route add default via 10.77.0.2");
    let report = Report::of(&lab.server, "", 0);
    assert_eq!(report.interface("eth0")["chosen"], true);
    assert_eq!(report.interface("lo")["chosen"], false);
}

#[test]
fn other_namespaces() {
    let (lab, elsewhere) = (Lab::new(), Namespace::alone());
    let (server, client) = (lab.server.to_string(), lab.client.to_string());
    let report = Report::of(&elsewhere, &format!("--netns {server} --iface eth0"), 0);
    assert_eq!(report.interface("eth0")["netns"], *server);
    assert_eq!(report.verdict()["attached"][0]["netns"], *server);

    // The wire's two ends: what is seen in two namespaces never meets.
    let both = format!("--netns {server} --netns {client} --iface eth0");
    let report = Report::of(&elsewhere, &both, 0);
    let words = ["'eth0' and 'eth0'", "two ends of a pair", "come twice", &*client];
    report.assert_found("warning", "stack", Some("eth0"), &words);
    let other = Lab::new();
    let apart = format!("--netns {server} --netns {} --iface eth0", other.server);
    let report = Report::of(&elsewhere, &apart, 0);
    assert!(report.all("warning").is_empty(), "{:#?}", report.0);

    lab.client.ip("link set eth0 down");
    let both = format!("--netns {server} --netns {client} --iface eth0");
    let report = Report::of(&elsewhere, &both, 1);
    let reasons = report.verdict()["reasons"].to_string();
    assert!(reasons.contains(&client) && !reasons.contains(&server), "{reasons}");

    let report = Report::of(&elsewhere, "--netns nosuch --iface eth0", 1);
    assert!(report.verdict()["reasons"].to_string().contains("'nosuch'"));
}

#[test]
fn a_mirror_port_with_an_address() {
    let lab = Lab::new();
    let report = Report::of(&lab.server, "--iface eth0 --hook xdp --sensor", 1);
    assert!(report.verdict()["reasons"].to_string().contains("has the host's address 10.77.0.1"));
}

#[test]
fn people_are_told_the_same() {
    let lab = Lab::new();
    lab.server.ip("link set eth0 down");
    let ended = Process::start(&mut live::command(&lab.server, "doctor --iface eth0")).wait();
    assert_eq!(ended.status.code(), Some(1));
    let text = String::from_utf8(ended.stdout).unwrap();
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("`run` would not work: the interface 'eth0' is down"), "{text}");
    assert!(text.contains("-> `ip link set eth0 up`"), "{text}");
    lab.server.ip("link set eth0 up");
    let text = run(&mut live::command(&lab.server, "doctor --iface eth0"));
    assert!(text.contains("`run` would work:\n  eth0\n    TC on ingress (tcx): "), "{text}");
}

#[test]
fn it_needs_no_terminal_and_no_reader() {
    let lab = Lab::new();
    let ends_early = r#""$0" doctor --iface eth0 | head -n 1"#;
    let text = run(lab.server.command("sh").args(["-c", ends_early, AGENT]));
    assert!(text.starts_with("capture-agent "), "{text}");
}
