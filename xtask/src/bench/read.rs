//! `cargo xtask bench read`: a capture of 1.2 GB in the page cache, beside what a user would pick
//! instead.
//!
//! All take turns, so that a slow minute of the machine is everybody's. A ratio is of one round;
//! the median of those is told. The agent's output is held to the truth, and its ledger to its
//! sums, each time; without that there is no figure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use super::folder::Folder;
use super::ledger::Ledger;
use super::measure::{Stdout, cost};
use super::reader::{CPU, OURS, Reader, WALL, clear};
use super::report::{Bar, Report, digits};
use super::{Facts, facts, interrupt, load, versions};
use crate::privileges::Privileges;
use crate::setup;
use crate::tool::Tool as _;
use crate::traffic::{self, Making};

/// What is slow is run less often.
const SLOW_ROUNDS: u32 = 3;
const FLOOR: &str = "reading alone";
const TCPDUMP: &str = "tcpdump";
const ONE: &str = "capture-agent, one thread";
const AGAIN: &str = "the same again";
const ALL: &str = "capture-agent";
const HTTPRY: &str = "httpry";
const TCPFLOW: &str = "tcpflow";
const TSHARK: &str = "tshark";

#[derive(Args)]
pub(crate) struct Options {
    /// Rounds; tcpflow and tshark take part in three of them
    #[arg(long, value_name = "N", default_value_t = 7,
          value_parser = clap::value_parser!(u32).range(i64::from(SLOW_ROUNDS)..))]
    rounds: u32,
    /// A capture that `cargo xtask traffic` has made, instead of one that is made now
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bytes", "exchanges", "seed"])]
    capture: Option<PathBuf>,
    /// Where captures and outputs go: twice the size of the capture, and as much again for tcpflow
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    /// Without the slow ones
    #[arg(long)]
    quick: bool,
    /// Print the figures, and don't keep them under docs/bench
    #[arg(long)]
    dry: bool,
    #[command(flatten)]
    making: Making,
}

const EVENTS: [&str; 6] =
    [OURS, "read", "FILE", "--quiet", "--events=exchange,stats", "--output=OUT.jsonl"];

/// All that take part, and where they stand in the list.
fn readers(rounds: u32, quick: bool, threads: bool) -> Vec<Reader> {
    let ours = |name, more: &[&'static str]| {
        let words = EVENTS.into_iter().chain(more.iter().copied()).collect();
        Reader { name, words, speaks: false, rounds, costs: Vec::new() }
    };
    let peer = |name, speaks, words: &[&'static str]| Reader {
        name,
        words: words.to_vec(),
        speaks,
        rounds,
        costs: Vec::new(),
    };
    let one: &[&str] = if threads { &["--threads=1"] } else { &[] };
    let mut readers = vec![
        peer(FLOOR, false, &["cat", "FILE"]),
        peer(TCPDUMP, false, &["tcpdump", "-r", "FILE", "-w", "/dev/null"]),
        ours(ONE, one),
        ours(AGAIN, one),
        peer(HTTPRY, false, &["httpry", "-q", "-r", "FILE", "-o", "OUT"]),
        peer(
            "ngrep",
            true,
            &["ngrep", "-q", "-W", "byline", "-I", "FILE", "^(GET|POST|HEAD|HTTP)", "tcp port 80"],
        ),
    ];
    if threads {
        readers.insert(4, ours(ALL, &[]));
    }
    if !quick {
        let slow = |reader| Reader { rounds: rounds.min(SLOW_ROUNDS), ..reader };
        let tcpflow = ["tcpflow", "-q", "-r", "FILE", "-e", "http", "-a", "-o", "DIR"];
        let tshark = [
            "tshark",
            "-n",
            "-r",
            "FILE",
            "-Y",
            "http",
            "-T",
            "fields",
            "-e",
            "frame.time_epoch",
            "-e",
            "ip.src",
            "-e",
            "ip.dst",
            "-e",
            "tcp.stream",
            "-e",
            "http.request.line",
            "-e",
            "http.response.line",
        ];
        readers.push(slow(peer(TCPFLOW, false, &tcpflow)));
        readers.push(slow(peer(TSHARK, true, &tshark)));
    }
    readers
}

pub(crate) fn bench(options: &Options) -> Result<()> {
    setup::peers(&Privileges::own()?)?;
    let folder = Folder::new(&options.folder)?;
    let agent = folder.agent()?;
    let facts = facts()?;
    let capture = match &options.capture {
        Some(capture) => capture.clone(),
        None => {
            let capture = folder.path().join("traffic.pcap");
            traffic::make(&capture, &traffic::truth_of(&capture), &options.making)?;
            capture
        }
    };
    let help = Command::new(&agent).args(["read", "--help"]).read()?;
    let mut readers = readers(options.rounds, options.quick, help.contains("--threads"));
    let outputs = folder.path().join("outputs");
    for round in 0..options.rounds {
        // Into the page cache, whatever was written in between.
        cost(Command::new("cat").arg(&capture), &Stdout::Nowhere)?;
        for reader in readers.iter_mut().filter(|reader| round < reader.rounds) {
            interrupt::check()?;
            eprintln!("bench: round {} of {}: {}", round + 1, options.rounds, reader.name);
            clear(&outputs)?;
            reader.costs.push(reader.run(&agent, &capture, &outputs)?);
            if reader.is_ours() {
                hold(&outputs.join("out.jsonl"), &traffic::truth_of(&capture))?;
            }
        }
    }
    report(options, facts, &capture, &readers)
}

/// In a process of its own: see [`measure`](super::measure).
fn hold(output: &Path, truth: &Path) -> Result<()> {
    Ledger::of(output)?.balances()?;
    let mut check = Command::new("/proc/self/exe");
    check.args(["traffic", "--check"]).args([output, truth]).read().map(drop)
}

fn report(options: &Options, mut facts: Facts, capture: &Path, readers: &[Reader]) -> Result<()> {
    facts.push(versions(&["tcpdump", "httpry", "ngrep", "tcpflow", "tshark"]));
    let size = fs::metadata(capture)?.len() as f64 / 1e9;
    let exchanges = traffic::count(&traffic::truth_of(capture))?;
    facts.push(("capture".to_owned(), format!("{size:.2} GB, {exchanges} exchanges, page cache")));
    facts.push(("load".to_owned(), load()?));
    let mut report = Report::new("read", "Reading a large capture file", &facts);
    report.paragraph(
        "`cargo xtask bench read`. Medians; ratios are to tcpdump, which only copies, in the same \
         round. Each of our outputs had every exchange to the byte, and its ledger balanced.",
    );
    let named = |name: &str| readers.iter().find(|reader| reader.name == name);
    let (Some(tcpdump), Some(ours)) = (named(TCPDUMP), named(ONE)) else {
        bail!("nobody to compare with");
    };
    let rows: Vec<_> = readers
        .iter()
        .map(|reader| {
            vec![
                reader.name.to_owned(),
                digits(reader.wall()),
                digits(reader.times(tcpdump, WALL)),
                digits(reader.cpu()),
                digits(reader.times(tcpdump, CPU)),
                digits(reader.resident_mib()),
                reader.costs.len().to_string(),
                reader.line(),
            ]
        })
        .collect();
    let head = ["", "s", "ratio", "CPU s", "ratio", "most resident, MiB", "rounds", "command"];
    report.table(&head, &rows);
    let mut bars = vec![
        Bar::at_most("one thread, to tcpdump's copy", ours.times(tcpdump, WALL), 1.0, ""),
        Bar::at_most("the same by processor time", ours.times(tcpdump, CPU), 1.0, ""),
        Bar::at_most("resident", ours.resident_mib(), 100.0, " MiB"),
    ];
    for (name, least) in [(HTTPRY, 2.0), (TCPFLOW, 25.0), (TSHARK, 50.0)] {
        if let Some(peer) = named(name) {
            bars.push(Bar::at_least(format!("{name} to us"), peer.times(ours, WALL), least, ""));
        }
    }
    report.bars(&bars);
    if let Some(again) = named(AGAIN) {
        let noise = |what| digits(100.0 * (again.times(ours, what) - 1.0).abs());
        report.paragraph(format_args!(
            "Noise, by the same agent twice in each round: {} % of the time, {} % of the processor \
             time.",
            noise(WALL),
            noise(CPU)
        ));
    }
    report.end(!options.dry)
}
