//! `cargo xtask bench live`: what a server at full load keeps of its throughput beside each of us.
//!
//! Each run of something beside the server stands between two runs of the server alone; its ratio
//! is to the mean of those, so that what else the machine does is in both. The median of the
//! ratios is told. Beside ours every exchange that wrk counted must be in the output, and the
//! ledger must balance.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Args;

use super::beside::{Beside, Ended};
use super::folder::Folder;
use super::lab::{Lab, WIRE};
use super::ledger::Ledger;
use super::load::{CONNECTIONS, Counted, Nginx, wrk};
use super::measure::median;
use super::report::{Bar, Report, digits};
use super::{facts, versions};
use crate::privileges::Privileges;
use crate::{run, setup};

const MIB: f64 = 1_048_576.0;
const BARE: &str = "nothing";
const OURS: &str = "capture-agent";
const XDP: &str = "capture-agent, --hook xdp";
const BODIES: &str = "capture-agent, --bodies";
const TCPDUMP: &str = "tcpdump";
const HTTPRY: &str = "httpry";

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

/// What runs beside the server.
struct Contestant {
    name: &'static str,
    /// `OUT` stands for a file to write.
    words: Vec<&'static str>,
    ready: &'static str,
    runs: Vec<Run>,
}

/// One run, and the bare ones around it.
struct Run {
    bare: [Counted; 2],
    counted: Counted,
    /// Of what runs beside; nothing has none.
    ended: Option<Ended>,
    /// Why it does not count, of one of ours.
    fault: Option<String>,
}

impl Run {
    fn kept(&self) -> f64 {
        let bare: f64 = self.bare.iter().map(Counted::per_second).sum();
        2.0 * self.counted.per_second() / bare
    }

    fn cpu_us(&self) -> Option<f64> {
        let cpu = self.ended.as_ref()?.cpu;
        Some(cpu.as_secs_f64() * 1e6 / self.counted.requests as f64)
    }
}

impl Contestant {
    fn all() -> Vec<Self> {
        let ours = |name, more: &[&'static str]| {
            let common =
                [OURS, "run", "--iface", WIRE, "--events=exchange,stats", "--output", "OUT"];
            let words = common.into_iter().chain(more.iter().copied()).collect();
            Self { name, words, ready: "capturing on ", runs: Vec::new() }
        };
        let peer = |name, ready, words: &[&'static str]| Self {
            name,
            words: words.to_vec(),
            ready,
            runs: Vec::new(),
        };
        vec![
            peer(BARE, "", &[]),
            ours(OURS, &[]),
            ours(XDP, &["--hook", "xdp"]),
            ours(BODIES, &["--bodies"]),
            peer(TCPDUMP, "tcpdump: listening on ", &["tcpdump", "-i", WIRE, "-w", "/dev/null"]),
            peer(HTTPRY, "Starting capture on ", &["httpry", "-i", WIRE, "-o", "OUT"]),
        ]
    }

    fn is_ours(&self) -> bool {
        self.words.first() == Some(&OURS)
    }

    fn kept(&self) -> f64 {
        median(self.runs.iter().map(Run::kept))
    }

    fn cpu_us(&self) -> f64 {
        median(self.runs.iter().filter_map(Run::cpu_us))
    }

    fn line(&self) -> String {
        if self.words.is_empty() { String::new() } else { format!("`{}`", self.words.join(" ")) }
    }

    fn row(&self) -> Vec<String> {
        let ratios = || self.runs.iter().map(Run::kept);
        let (least, most) = (ratios().fold(f64::NAN, f64::min), ratios().fold(f64::NAN, f64::max));
        let ended = || self.runs.iter().filter_map(|run| run.ended.as_ref());
        let resident = ended().map(|it| it.resident_bytes as f64 / MIB).fold(f64::NAN, f64::max);
        let known = |figure: f64| if figure.is_nan() { String::new() } else { digits(figure) };
        let per_second = median(self.runs.iter().map(|run| run.counted.per_second()));
        let remark = match self.name {
            TCPDUMP | HTTPRY => {
                format!("lost {:.0} % of packets", 100.0 * median(ended().map(lost_share)))
            }
            _ if self.is_ours() => {
                let whole = self.runs.iter().filter(|run| run.fault.is_none()).count();
                format!("all exchanges in {whole} of {} runs", self.runs.len())
            }
            _ => String::new(),
        };
        vec![
            self.name.to_owned(),
            format!("{per_second:.0}"),
            format!("**{:.1} %**", 100.0 * self.kept()),
            format!("{:.0} to {:.0}", 100.0 * least, 100.0 * most),
            known(self.cpu_us()),
            known(resident),
            remark,
            self.line(),
        ]
    }
}

/// What tcpdump and httpry say that the kernel has dropped, of what they should have seen.
fn lost_share(ended: &Ended) -> f64 {
    let words: Vec<_> = ended.stderr.split_whitespace().collect();
    let number = |what: &str| {
        let found = words.windows(3).find(|window| {
            matches!(window, [_, packets, is] if packets.starts_with("packet") && is.starts_with(what))
        });
        found.and_then(|window| window.first()?.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    number("dropped") / number("received")
}

struct Bench<'a> {
    agent: PathBuf,
    lab: &'a Lab,
    nginx: &'a Nginx,
    folder: &'a Path,
}

pub(crate) fn bench(options: &Options) -> Result<()> {
    setup::peers(&Privileges::own()?)?;
    let agent = run::build()?;
    let folder = Folder::new(&options.folder)?;
    let lab = Lab::new()?;
    let nginx = Nginx::start(&lab, folder.path())?;
    let bench = Bench { agent, lab: &lab, nginx: &nginx, folder: folder.path() };
    let mut contestants = Contestant::all();
    let mut before = wrk(&lab, &nginx, options.seconds)?;
    for round in 0..options.rounds {
        for contestant in &mut contestants {
            eprintln!("bench: round {} of {}: {}", round + 1, options.rounds, contestant.name);
            let (counted, ended, fault) = bench.run(contestant, options.seconds)?;
            let after = wrk(&lab, &nginx, options.seconds)?;
            contestant.runs.push(Run { bare: [before, after], counted, ended, fault });
            before = after;
        }
    }
    let long = match contestants.iter().find(|it| it.name == OURS) {
        Some(ours) if options.long > 0 => Some(bench.run(ours, options.long)?),
        _ => None,
    };
    report(options, &contestants, long)
}

type Outcome = (Counted, Option<Ended>, Option<String>);

impl Bench<'_> {
    fn run(&self, contestant: &Contestant, seconds: u64) -> Result<Outcome> {
        let out = self.folder.join("out.jsonl");
        let mut words = contestant.words.iter();
        let Some(program) = words.next() else {
            return Ok((wrk(self.lab, self.nginx, seconds)?, None, None));
        };
        let mut command: Command = match contestant.is_ours() {
            true => self.lab.server.command(&self.agent),
            false => self.lab.server.command(program),
        };
        for word in words {
            match *word {
                "OUT" => command.arg(&out),
                word => command.arg(word),
            };
        }
        let mut beside = Beside::start(&mut command, contestant.ready)?;
        beside.mark()?;
        let counted = wrk(self.lab, self.nginx, seconds)?;
        let ended = beside.stop()?;
        let fault = match contestant.is_ours() {
            true if !ended.success => Some(ended.stderr.clone()),
            true => hold(&out, &counted).err().map(|error| format!("{error:#}")),
            false => None,
        };
        if let Some(fault) = &fault {
            eprintln!("bench: {}: {fault}", contestant.name);
        }
        let _ = fs::remove_file(&out);
        Ok((counted, Some(ended), fault))
    }
}

/// Whether every exchange that was counted is there, and none that was not asked for.
fn hold(output: &Path, counted: &Counted) -> Result<()> {
    let (mut whole, mut all) = (0, 0);
    let mut lines = BufReader::with_capacity(1 << 20, File::open(output)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        // Parsing them takes longer than the agent took to write them.
        let text = std::str::from_utf8(&line)?;
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

fn report(options: &Options, contestants: &[Contestant], long: Option<Outcome>) -> Result<()> {
    let mut facts = facts()?;
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
        "range",
        "CPU µs/exchange",
        "most resident, MiB",
        "",
        "command",
    ];
    let rows: Vec<_> = contestants.iter().map(Contestant::row).collect();
    report.table(&head, &rows);
    let named = |name| contestants.iter().find(|it| it.name == name);
    let (Some(ours), Some(tcpdump)) = (named(OURS), named(TCPDUMP)) else {
        bail!("nobody to compare with");
    };
    let loss = (1.0 - ours.kept()) / (1.0 - tcpdump.kept());
    let mut bars = vec![
        Bar::at_least("throughput that the server keeps", 100.0 * ours.kept(), 95.0, " %"),
        Bar::at_most("what it loses, to what tcpdump costs it", loss, 0.5, ""),
        Bar::at_most("processor time for an exchange", ours.cpu_us(), 6.0, " µs"),
    ];
    let runs = contestants.iter().flat_map(|it| &it.runs);
    let faults = runs.filter(|run| run.fault.is_some()).count();
    bars.push(Bar::at_most(
        "runs where an exchange or the balance is missing",
        faults as f64,
        0.0,
        "",
    ));
    let mut fault = None;
    if let Some((counted, ended, why)) = long {
        let what = format!(
            "{} exchanges counted in one run of {} s, and not all in the output",
            counted.requests, options.long
        );
        bars.push(Bar::at_most(what, f64::from(u8::from(why.is_some())), 0.0, ""));
        let cpu = ended.map_or(Duration::ZERO, |ended| ended.cpu).as_secs_f64() * 1e6;
        let cpu = cpu / counted.requests as f64;
        bars.push(Bar::at_most("processor time for an exchange in it", cpu, 6.0, " µs"));
        fault = why;
    }
    report.bars(&bars);
    if let Some(bare) = named(BARE) {
        let noise = digits(100.0 * (bare.kept() - 1.0).abs());
        report.paragraph(format_args!("Noise, by the server alone in place of a run: {noise} %."));
    }
    report.end(!options.dry)?;
    match fault {
        Some(fault) => bail!("{fault}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_of_their_losses() {
        let share = |stderr: &str| {
            let (cpu, resident_bytes, success) = (Duration::ZERO, 0, true);
            lost_share(&Ended { success, cpu, resident_bytes, stderr: stderr.to_owned() })
        };
        let tcpdump =
            "90 packets captured\n100 packets received by filter\n10 packets dropped by kernel\n";
        let httpry = "400 packets received, 100 packets dropped, 200 http packets parsed\n";
        assert_eq!((share(tcpdump), share(httpry)), (0.1, 0.25));
        assert!(share("").is_nan());
    }
}
