//! The generator and the agent's engine, each held to the other.

use std::fs;

use capture_agent::engine::{Engine, Settings};
use capture_agent::event::Event;
use capture_agent::output::{Format, Output, Target, Verbosity};
use capture_agent::selection::{PortSet, Sample, Selection};
use capture_agent::source::Item;
use capture_agent::source::file::FileSource;
use clap::Parser;
use tempfile::TempDir;

use super::check::Report;
use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    making: Making,
}

/// A capture with its truth, and what the agent makes of it.
struct Trial {
    folder: TempDir,
    made: Summary,
}

impl Trial {
    /// Few large bodies: the engine is not optimised here.
    fn new(arguments: &str) -> Self {
        let line = format!("traffic --largest 300KB --mean 4KB {arguments}");
        let making = Line::parse_from(line.split_whitespace()).making;
        let folder = tempfile::tempdir().unwrap();
        let capture = folder.path().join("t.pcap");
        let made = make(&capture, &truth_of(&capture), &making).unwrap();
        Self { folder, made }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has the engine read it; the path of the JSON Lines.
    fn read(&self) -> PathBuf {
        let everything =
            Selection { ports: PortSet::any(), hosts: Vec::new(), sample: Sample::ALL };
        let source = FileSource::open(&self.path("t.pcap"), everything).unwrap();
        // A frame whose checksum is wrong would be missing.
        let mut source = source.verify_checksums(true);
        let mut settings = Settings::default();
        settings.http.keep_body_bytes = 1 << 20;
        let mut engine = Engine::new(settings);
        let path = self.path("t.jsonl");
        let target = Target::File(path.clone());
        let mut output = Output::open(Format::Jsonl, target, Verbosity::Line).unwrap();
        let mut listener = |event: Event| {
            if let Event::Exchange(_) = event {
                output.write(&event).unwrap();
            }
        };
        while let Some(item) = source.next_item().unwrap() {
            match item {
                Item::Interface(iface, name) => engine.name_interface(iface, name),
                Item::Segment(segment) => engine.segment(&segment, &mut listener),
            }
        }
        engine.finish(&mut listener);
        output.flush().unwrap();
        path
    }

    fn check(&self) -> Report {
        check(&self.read(), &self.path("t.truth.jsonl")).unwrap()
    }
}

const MIXES: [&str; 4] = [
    "--seed 1",
    "--seed 2 --reordering 0.05 --retransmission 0.05 --pipelining 0.4 --keep-alive 0.8",
    "--seed 3 --reordering 0.1 --retransmission 0.1 --segment-bytes 65000 --chunked 0.7 --gzip 1",
    "--seed 4 --post 0.5 --head 0.1 --not-found 0.1 --not-modified 0.1 --flows 3",
];

#[test]
fn every_exchange_comes_out_to_the_byte() {
    for mix in MIXES {
        let trial = Trial::new(&format!("--exchanges 400 {mix}"));
        let report = trial.check();
        assert!(report.holds(), "{mix}: {report}");
        assert_eq!((report.exact, report.touched, report.nameless), (400, 0, 0), "{mix}: {report}");
        assert!(report.bodies > 200, "{mix}: {report}");
    }
}

#[test]
fn what_a_loss_touched_says_so_and_the_rest_is_exact() {
    for mix in MIXES {
        let trial = Trial::new(&format!("--exchanges 400 --loss 0.02 {mix}"));
        let report = trial.check();
        assert!(report.holds(), "{mix}: {report}");
        assert_eq!(report.touched, trial.made.touched, "{mix}");
        assert!(report.touched > 2, "{mix}: {report}");
        assert!(report.exact > report.apart, "{mix}: {report}");
    }
}

#[test]
fn the_same_seed_makes_the_same_bytes() {
    let both = |seed| {
        let trial = Trial::new(&format!("--exchanges 50 --seed {seed}"));
        ["t.pcap", "t.truth.jsonl"].map(|name| fs::read(trial.path(name)).unwrap())
    };
    assert!(both(7) == both(7));
    assert!(both(7) != both(8));
}

#[test]
fn a_capture_is_as_large_as_was_asked_for() {
    let trial = Trial::new("--bytes 5MB");
    let size = fs::metadata(trial.path("t.pcap")).unwrap().len();
    assert_eq!(trial.made.bytes, size);
    assert!((4_800_000..5_300_000).contains(&size), "{size}");
}

#[test]
fn each_difference_is_named() {
    let trial = Trial::new("--exchanges 20 --pipelining 0 --flows 1");
    let whole = fs::read_to_string(trial.read()).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let differences = |lines: &[String]| {
        fs::write(trial.path("changed.jsonl"), lines.join("\n")).unwrap();
        let report = check(&trial.path("changed.jsonl"), &trial.path("t.truth.jsonl")).unwrap();
        assert_eq!(report.differences as usize, report.shown.len());
        report.shown
    };
    let change = |from: &str, to: &str| {
        let mut changed: Vec<String> = lines.iter().map(ToString::to_string).collect();
        changed[5] = changed[5].replacen(from, to, 1);
        assert_ne!(changed[5], lines[5], "{from} is not in the line");
        differences(&changed)
    };
    assert!(differences(&lines.iter().map(ToString::to_string).collect::<Vec<_>>()).is_empty());
    let without: Vec<String> = lines.iter().skip(1).map(ToString::to_string).collect();
    assert_eq!(differences(&without), ["000000-000000: did not come out whole"]);
    let twice: Vec<String> = lines.iter().take(1).chain(&lines).map(ToString::to_string).collect();
    assert!(differences(&twice)[0].contains("request came twice"));
    let cases = [
        ("\"index\":5", "\"index\":6", "another index"),
        ("\"state\":\"complete\"", "\"state\":\"gap\"", "request: state gap"),
        ("\"head_bytes\":", "\"head_bytes\":1", "request: head of 1"),
        ("\"anomalies\":[", "\"anomalies\":[\"missing_host\"", "another anomalies"),
        ("\"value\":\"000000-000005\"", "\"value\":\"000000-000004\"", "000000-000004 answers"),
        ("000000-000005.", "0000ff-000005.", "000000-000005 answers 0000ff-000005"),
    ];
    for (from, to, difference) in cases {
        let found = change(from, to);
        assert!(found.iter().any(|it| it.contains(difference)), "{difference}: {found:?}");
    }
}
