//! `cargo xtask bench live`: what a server at full load keeps of its throughput beside each of us.
//!
//! Beside ours every exchange that wrk counted must be in the output, and the ledger must balance.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use super::folder::Folder;
use super::lab::Lab;
use super::ledger::Ledger;
use super::load::{CONNECTIONS, Counted, Nginx, wrk};
use super::measure::median;
use super::paired::{Contestant, Outcome, Track};
use super::report::{Bar, Report, digits};
use super::{Facts, facts, versions};
use crate::privileges::Privileges;
use crate::setup;

#[derive(Args)]
pub(crate) struct Options {
    /// Rounds, each with all that take part
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each run lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 3,
          value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How long the one run at the end lasts that shows that nothing gets lost; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    long: u64,
    /// Where outputs go: 3 GB for the long run
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
    let facts = facts()?;
    let lab = Lab::new()?;
    let nginx = Nginx::start(&lab, folder.path())?;
    let load = |seconds| wrk(&lab, &nginx, seconds);
    let track = Track {
        agent,
        lab: &lab,
        folder: folder.path(),
        load: &|| load(options.seconds),
        hold: &hold,
    };
    // In the order of the bars below.
    let mut contestants = [
        Contestant::nothing(),
        Contestant::ours("capture-agent", &[]),
        Contestant::tcpdump(),
        Contestant::ours("capture-agent, XDP", &["--hook", "xdp"]),
        Contestant::ours("capture-agent, bodies", &["--bodies"]),
        Contestant::httpry(),
    ];
    track.rounds(options.rounds, &mut contestants)?;
    let [_, ours, ..] = &contestants;
    let long = (options.long > 0).then(|| track.run(ours, &|| load(options.long))).transpose()?;
    report(options, facts, &contestants, long.as_ref())
}

/// Whether every exchange that was counted is there, and none that was not asked for.
fn hold(output: &Path, counted: &Counted) -> Result<()> {
    let (mut whole, mut all) = (0, 0);
    let mut lines = BufReader::with_capacity(1 << 20, File::open(output)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        // To parse them would take longer than the agent took to write them. Quotes in what was
        // captured are escaped.
        let text = std::str::from_utf8(&line).context("a line is no text")?;
        if text.starts_with("{\"type\":\"exchange\"") {
            all += 1;
            whole += u64::from(text.matches("\"state\":\"complete\"").count() == 2);
        }
        line.clear();
    }
    let least = counted.requests;
    ensure!(whole >= least, "{whole} whole exchanges of {all}, and wrk counted {least}");
    // wrk leaves off without waiting for what it has asked last.
    let most = least + CONNECTIONS;
    ensure!(all <= most, "{all} exchanges, and wrk can have asked for {most} at most");
    Ledger::of(output)?.balances()
}

fn report(
    options: &Options,
    mut facts: Facts,
    contestants: &[Contestant; 6],
    long: Option<&Outcome>,
) -> Result<()> {
    facts.push(versions(&["nginx", "wrk", "tcpdump", "httpry"]));
    let Options { rounds, seconds, .. } = options;
    let runs = format!("{rounds} rounds of runs of {seconds} s, {CONNECTIONS} connections");
    facts.push(("runs".to_owned(), runs));
    let mut report = Report::new("live", "Beside a server at full load", &facts);
    report.paragraph(
        "`cargo xtask bench live`. nginx and wrk over a veth pair, files from 200 B to 256 KB. What \
         the server keeps of its throughput is to the runs of it alone before and after; medians.",
    );
    let head = [
        "beside it",
        "requests/s",
        "kept",
        "range, %",
        "CPU µs/exchange",
        "most resident, MiB",
        "",
        "command",
    ];
    let rows: Vec<_> = contestants.iter().map(row).collect();
    report.table(&head, &rows);
    let [bare, ours, tcpdump, ..] = contestants;
    // Where tcpdump costs nothing the machine was too noisy for this one.
    let peer_loss = Some(1.0 - tcpdump.kept()).filter(|loss| *loss > 0.0).unwrap_or(f64::NAN);
    let loss = (1.0 - ours.kept()).max(0.0) / peer_loss;
    let mut bars = vec![
        Bar::at_least("throughput that the server keeps", 100.0 * ours.kept(), 95.0, " %"),
        Bar::at_most("what it loses, to what tcpdump costs it", loss, 0.5, ""),
        Bar::at_most("processor time for an exchange", cpu_us(ours), 6.0, " µs"),
    ];
    let faults: usize = contestants.iter().map(Contestant::faults).sum();
    let what = "runs in which an exchange is missing, or the balance";
    bars.push(Bar::at_most(what, faults as f64, 0.0, ""));
    if let Some(long) = long {
        let cpu = long.cpu_us().unwrap_or(f64::NAN);
        bars.push(Bar::at_most("processor time for an exchange, long run", cpu, 6.0, " µs"));
        let faults = f64::from(u8::from(long.fault.is_some()));
        let (requests, seconds) = (long.counted.requests, options.long);
        let what = format!("the same of one run of {seconds} s with {requests} exchanges");
        bars.push(Bar::at_most(what, faults, 0.0, ""));
    }
    report.bars(&bars);
    let noise = digits(100.0 * (bare.kept() - 1.0).abs());
    report.paragraph(format_args!("Noise, by the server alone in place of a run: {noise} %."));
    report.end(!options.dry)
}

fn cpu_us(contestant: &Contestant) -> f64 {
    median(contestant.outcomes().filter_map(Outcome::cpu_us))
}

fn row(contestant: &Contestant) -> Vec<String> {
    let known = |figure: f64| if figure.is_nan() { String::new() } else { digits(figure) };
    let per_second = contestant.outcomes().map(|outcome| outcome.counted.per_second());
    vec![
        contestant.name.to_owned(),
        format!("{:.0}", median(per_second)),
        format!("**{:.1} %**", 100.0 * contestant.kept()),
        contestant.range(),
        known(cpu_us(contestant)),
        known(contestant.resident_mib()),
        contestant.remark(),
        contestant.line(),
    ]
}
