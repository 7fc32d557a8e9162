//! `cargo xtask bench bulk`: downloads as fast as they go, with the budget of flows and without.
//!
//! With the budget each exchange must be there with its true length, and the ledger must balance.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use super::folder::Folder;
use super::lab::Lab;
use super::ledger::Ledger;
use super::load::{Counted, Nginx, download};
use super::measure::median;
use super::paired::{Contestant, Outcome, Track};
use super::report::{Bar, Report, digits};
use super::{facts, versions};
use crate::privileges::Privileges;
use crate::setup;
use crate::tool::Tool as _;

/// What is downloaded: its name, its bytes, and how often in one run.
const FILES: [(&str, u64, u32); 2] = [("4 MiB", 4 << 20, 768), ("1 GiB", 1 << 30, 3)];

#[derive(Args)]
pub(crate) struct Options {
    /// Rounds, each with all that take part, of each size
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Where outputs go
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    /// Print the figures, and don't keep them under docs/bench
    #[arg(long)]
    dry: bool,
}

pub(crate) fn bench(options: &Options) -> Result<()> {
    setup::peers(&Privileges::own()?)?;
    let folder = Folder::new(&options.folder)?;
    let agent = folder.agent()?;
    if !Command::new(&agent).args(["run", "--help"]).read()?.contains("--budget") {
        bail!("{} knows no --budget", agent.display());
    }
    let lab = Lab::new()?;
    let nginx = Nginx::start(&lab, folder.path())?;
    let mut facts = facts()?;
    facts.push(versions(&["nginx", "curl", "tcpdump"]));
    facts.push(("rounds".to_owned(), format!("{} of each size", options.rounds)));
    let mut report = Report::new("bulk", "Beside large downloads", &facts);
    report.paragraph(
        "`cargo xtask bench bulk`. nginx and curl over a veth pair, one connection. What the server \
         keeps of its throughput is to the runs of it alone before and after; medians.",
    );
    let mut bars = Vec::new();
    for (name, bytes, times) in FILES {
        let path = format!("{bytes}.bin");
        nginx.serve_zeros(&path, bytes)?;
        let hold = |output: &Path, counted: &Counted| hold(output, counted, bytes);
        let load = || download(&lab, &path, times);
        let agent = agent.clone();
        let track = Track { agent, lab: &lab, folder: folder.path(), load: &load, hold: &hold };
        let mut contestants = [
            Contestant::nothing(),
            Contestant::ours("capture-agent", &[]),
            Contestant::ours("capture-agent, no budget", &["--budget", "off"]),
            Contestant::tcpdump(),
        ];
        track.rounds(options.rounds, &mut contestants)?;
        section(&mut report, &format!("Of {name}, {times} in a run"), &contestants);
        let [_, ours, ..] = &contestants;
        let kept = 100.0 * ours.kept();
        bars.push(Bar::at_least(format!("{name}: kept with the budget"), kept, 98.0, " %"));
        let what = format!("{name}: % of a core per Gbit/s");
        bars.push(Bar::at_most(what, cpu_per_gigabit(ours), 1.0, ""));
        let what = format!("{name}: runs with a wrong length or no balance");
        bars.push(Bar::at_most(what, ours.faults() as f64, 0.0, ""));
    }
    report.bars(&bars);
    report.end(!options.dry)
}

/// Whether each is there, whole, with the length that it has.
fn hold(output: &Path, counted: &Counted, bytes: u64) -> Result<()> {
    let mut exchanges = 0;
    for line in BufReader::new(File::open(output)?).lines() {
        let line: Value = serde_json::from_str(&line?)?;
        if line.get("type").and_then(Value::as_str) != Some("exchange") {
            continue;
        }
        exchanges += 1;
        let text =
            |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        ensure!(text("/request/state") == "complete", "request: {}", text("/request/state"));
        let state = text("/response/state");
        ensure!(matches!(state, "complete" | "elided"), "response: {state}");
        let length = line.pointer("/response/body/wire_bytes").and_then(Value::as_u64);
        ensure!(length == Some(bytes), "a body of {length:?} bytes");
    }
    ensure!(exchanges == counted.requests, "{exchanges} exchanges of {}", counted.requests);
    Ledger::of(output)?.balances()
}

fn cpu_per_gigabit(contestant: &Contestant) -> f64 {
    median(contestant.outcomes().filter_map(Outcome::cpu_per_gigabit))
}

fn section(report: &mut Report, title: &str, contestants: &[Contestant]) {
    let known = |figure: f64| if figure.is_nan() { String::new() } else { digits(figure) };
    let row = |contestant: &Contestant| {
        let gigabits = contestant.outcomes().map(|outcome| outcome.counted.gigabits_per_second());
        vec![
            contestant.name.to_owned(),
            digits(median(gigabits)),
            format!("**{:.1} %**", 100.0 * contestant.kept()),
            contestant.range(),
            known(cpu_per_gigabit(contestant)),
            contestant.remark(),
            contestant.line(),
        ]
    };
    report.heading(title);
    let head = ["beside it", "Gbit/s", "kept", "range, %", "% of a core per Gbit/s", "", "command"];
    let rows: Vec<_> = contestants.iter().map(row).collect();
    report.table(&head, &rows);
}
