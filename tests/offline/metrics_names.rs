//! What `--metrics` serves: the names, by the page and the dashboard that go with them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use capture_agent::event::{
    FilesWritten, OwnerCounters, RawCounts, Recorded, SourcePackets, Stats, Written,
};
use capture_agent::metrics::{Exposition, Live, Snapshot, encode};
use capture_agent::output::QueueDepth;
use capture_agent::source::live::RingFill;
use capture_agent::source::{Packets, Verdicts};
use capture_ebpf::{Governor, Hook};
use regex::Regex;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Something of everything.
fn snapshot() -> Snapshot {
    let written = Written {
        output: "a \"quoted\"\npath\\.jsonl".to_owned(),
        raw: Some(RawCounts::default()),
        errors: Some(1),
        files: Some(FilesWritten::default()),
        ..Written::default()
    };
    let hook = SourcePackets::of_hook(Hook::TcIngress, vec![Packets::default()], true);
    let recorded = Recorded { output: "x.pcapng".to_owned(), ..Recorded::default() };
    let stats = Stats {
        packets: vec![hook, SourcePackets::of_files(Verdicts::default())],
        governors: vec![Governor::default(); 16],
        owners: Some(OwnerCounters::default()),
        written: vec![written],
        recorded: Some(recorded),
        ..Stats::default()
    };
    let queue = QueueDepth {
        name: "outputs",
        events: Some(1),
        max_events: Some(2),
        bytes: 3,
        max_bytes: 4,
    };
    let fill = RingFill { used_bytes: 1, size_bytes: 2 };
    let live = Live { rings: vec![fill; 16], interfaces: 1 };
    Snapshot {
        drawn_up: Instant::now(),
        stats,
        queues: vec![queue],
        live: Some(live),
        troubles: Vec::new(),
    }
}

fn text() -> String {
    encode(snapshot(), Exposition::Text).unwrap()
}

/// The names of all families.
fn families() -> BTreeSet<String> {
    let text = text();
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

/// All names of metrics in a file, those of a histogram's series as its own.
fn named_in(path: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
    let name = Regex::new(r"\b(capture|process)_[a-z0-9_]+").unwrap();
    let suffix = Regex::new("_seconds_(bucket|sum|count)$").unwrap();
    let names = name.find_iter(&text).map(|name| suffix.replace(name.as_str(), "_seconds"));
    names.map(std::borrow::Cow::into_owned).collect()
}

#[test]
fn the_page_tells_of_all_and_of_no_others() {
    assert_eq!(named_in("docs/metrics.md"), families());
}

#[test]
fn dashboard_and_alerts_ask_for_what_is_served() {
    for path in ["dist/grafana/capture-agent.json", "dist/prometheus/alerts.yml"] {
        let (asked, families) = (named_in(path), families());
        assert!(asked.len() > 4, "{asked:?}");
        let unknown: Vec<_> = asked.difference(&families).collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?}");
    }
}

#[test]
fn labels_of_the_dashboard_are_those_of_the_metrics() {
    let text = text();
    let dashboard =
        fs::read_to_string(Path::new(ROOT).join("dist/grafana/capture-agent.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let selector = Regex::new(r"(capture_[a-z0-9_]+)\{([^}]*)\}").unwrap();
    let matcher = Regex::new(r#"([a-z_]+)(=~?)"([^"]*)""#).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let mut seen = 0;
    for expr in targets.map(|target| target["expr"].as_str().unwrap()) {
        for found in selector.captures_iter(expr) {
            for label in matcher.captures_iter(&found[2]) {
                let (name, values) = (&label[1], &label[3]);
                if ["job", "instance"].contains(&name) {
                    continue;
                }
                for value in values.split('|') {
                    seen += 1;
                    let series = text.lines().filter(|line| line.starts_with(&found[1]));
                    let has = |line: &str| line.contains(&format!("{name}=\"{value}\""));
                    assert!(series.into_iter().any(has), "{name}={value} in {expr}");
                }
            }
        }
    }
    assert!(seen > 5);
}

#[test]
fn what_a_user_has_named_is_escaped() {
    let text = text();
    assert!(text.contains(r#"output="a \"quoted\"\npath\\.jsonl""#), "{text}");
}

#[test]
fn traffic_adds_no_time_series() {
    let series = text().lines().filter(|line| !line.starts_with('#')).count();
    let mut busy = snapshot();
    busy.stats.engine.exchanges = u64::MAX;
    busy.stats.engine.flows_closed = [u64::MAX / 6; 6];
    busy.stats.time = capture_agent::segment::Timestamp(u64::MAX);
    let text = encode(busy, Exposition::OpenMetrics).unwrap();
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), series);
    assert!(text.ends_with("# EOF\n"));
}
