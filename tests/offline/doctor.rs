//! What `doctor` says to people, as snapshots: `UPDATE_SCREENS=1` writes them anew, and whoever does
//! that looks at them.

use std::path::Path;
use std::{env, fs};

use capture_agent::doctor::report::{
    AttachedRecord, HookRecord, HostRecord, InterfaceRecord, VerdictRecord,
};
use capture_agent::doctor::{Finding, Report, Severity, text};
use capture_agent::output::Screen;
use capture_agent::output::terminal::width;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/screens");

#[test]
fn screens_are_those_that_were_looked_at() {
    let works = [hook("tc_ingress"), hook("tc_egress")];
    let attached = ["eth0", "grün0"].map(|iface| AttachedRecord {
        netns: None,
        iface: iface.to_owned(),
        hooks: works.to_vec(),
    });
    let works = VerdictRecord { works: true, attached: attached.into(), reasons: Vec::new() };
    let fails = VerdictRecord {
        reasons: vec![
            "the interface 'eth0' is down; bring it up with `ip link set eth0 up`".into(),
        ],
        ..VerdictRecord::default()
    };
    for (name, screen) in [
        ("80", Screen::fixed(80, false, true)),
        ("80-colour", Screen::fixed(80, true, true)),
        ("200", Screen::fixed(200, false, true)),
        ("20-ascii", Screen::fixed(20, false, false)),
    ] {
        assert_screen(&format!("doctor-{name}"), &report(works.clone()), screen);
    }
    assert_screen("doctor-fails-80", &report(fails), Screen::fixed(80, false, true));
}

#[test]
fn no_line_is_wider_than_the_screen() {
    for columns in (20..=120).step_by(5) {
        let screen = Screen::fixed(columns, false, true);
        let shown = shown(&report(VerdictRecord::default()), screen);
        for line in shown.lines() {
            assert!(width(line) <= columns, "{columns}: {line}");
        }
    }
}

#[test]
fn what_others_have_named_steers_no_terminal() {
    let shown = shown(&report(VerdictRecord::default()), Screen::FILE);
    assert!(shown.contains(r"evil\x1b[2J"), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown:?}");
    // Where there is no terminal, nothing is broken.
    assert_eq!(shown.lines().filter(|line| line.contains("rps_cpus")).count(), 1, "{shown}");
}

fn hook(hook: &'static str) -> HookRecord {
    HookRecord { hook, way: "tcx", why: "TC costs least: segments are merged before it".into() }
}

fn finding(
    severity: Severity,
    check: &'static str,
    iface: Option<&str>,
    [found, means, advice]: [&str; 3],
) -> Finding {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Finding {
        severity,
        check,
        netns: None,
        iface: iface.map(str::to_owned),
        found: found.to_owned(),
        means: some(means),
        advice: some(advice),
    }
}

/// A finding of each severity, with and without what there is to do, and names that are odd.
fn report(verdict: VerdictRecord) -> Report {
    let host = HostRecord {
        agent: "0.1.0",
        kernel: "6.18.44".to_owned(),
        machine: "x86_64".to_owned(),
        cpus: 8,
        ..HostRecord::default()
    };
    let eth0 = InterfaceRecord {
        iface: "eth0".to_owned(),
        chosen: true,
        frames: "ethernet",
        driver: Some("virtio_net".to_owned()),
        up: true,
        mtu: Some(1500),
        rx_queues: Some(1),
        tx_queues: Some(1),
        master: Some("bond0".to_owned()),
        ..InterfaceRecord::default()
    };
    let evil = InterfaceRecord { iface: "evil\x1b[2J".to_owned(), frames: "other", ..eth0.clone() };
    let odd = InterfaceRecord { iface: "grün0".to_owned(), ..eth0.clone() };
    let findings = vec![
        finding(Severity::Ok, "kernel", None, ["Linux 6.18.44: ring buffers, TCX, XDP", "", ""]),
        finding(
            Severity::Unseen,
            "jit",
            None,
            [
                "net.core.bpf_jit_enable can't be read",
                "only the host's own network namespace shows it",
                "",
            ],
        ),
        finding(
            Severity::Fault,
            "state",
            Some("eth0"),
            ["the interface is down", "nothing crosses it", "`ip link set eth0 up`"],
        ),
        finding(
            Severity::Note,
            "queues",
            Some("eth0"),
            [
                "one queue for arriving packets, and 8 CPUs",
                "one CPU takes in all packets, and runs the kernel half on them",
                "more queues where the card has them (`ethtool -l eth0`), or spread packets: write a mask of \
             CPUs to /sys/class/net/eth0/queues/rx-0/rps_cpus",
            ],
        ),
        finding(
            Severity::Warning,
            "stack",
            Some("grün0"),
            [
                "'grün0' is a port of the bond 'bond0'",
                "traffic goes over its other ports too, now or after a failure, and is not seen",
                "capture on it: --iface bond0",
            ],
        ),
    ];
    Report { host, interfaces: vec![eth0, odd, evil], findings, verdict }
}

fn shown(report: &Report, screen: Screen) -> String {
    let mut shown = Vec::new();
    text::write(report, screen, &mut shown).unwrap();
    String::from_utf8(shown).unwrap()
}

#[track_caller]
fn assert_screen(name: &str, report: &Report, screen: Screen) {
    let file = Path::new(FOLDER).join(format!("{name}.txt"));
    let shown = shown(report, screen);
    if env::var_os("UPDATE_SCREENS").is_some() {
        fs::create_dir_all(FOLDER).unwrap();
        fs::write(&file, &shown).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        shown == kept,
        "{name} is not as it was; UPDATE_SCREENS=1 cargo test --test offline doctor keeps:\n{shown}"
    );
}
