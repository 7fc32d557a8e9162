//! Runs something beside a server under load, between two runs of the server alone.
//!
//! A ratio is to the mean of those two, so that what else the machine does is in both; the median
//! of the ratios is told. All take turns.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::beside::{Beside, Ended};
use super::interrupt;
use super::lab::{Lab, WIRE};
use super::load::Counted;
use super::measure::median;

const MIB: f64 = 1_048_576.0;
/// Stands for the program that was built.
const OURS: &str = "capture-agent";

/// What runs beside the server.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    /// `OUT` stands for a file to write.
    words: Vec<&'static str>,
    /// What it says when it is ready.
    ready: &'static str,
    pub(super) runs: Vec<Run>,
}

/// One run, and the bare ones around it.
pub(super) struct Run {
    bare: [Counted; 2],
    pub(super) outcome: Outcome,
}

/// What came of a run.
pub(super) struct Outcome {
    pub(super) counted: Counted,
    /// Of what runs beside; nothing has none.
    pub(super) ended: Option<Ended>,
    /// Why it does not count, of one of ours.
    pub(super) fault: Option<String>,
}

impl Outcome {
    /// Processor time of what runs beside, for each request.
    pub(super) fn cpu_us(&self) -> Option<f64> {
        let cpu = self.ended.as_ref()?.cpu;
        Some(cpu.as_secs_f64() * 1e6 / self.counted.requests as f64)
    }

    /// The same in percent of a core for each gigabit a second.
    pub(super) fn cpu_per_gigabit(&self) -> Option<f64> {
        let cpu = self.ended.as_ref()?.cpu;
        Some(cpu.as_secs_f64() * 100.0 / (self.counted.bytes as f64 * 8e-9))
    }
}

impl Contestant {
    /// The server alone, once more: what its ratio is away from 1 is noise.
    pub(super) fn nothing() -> Self {
        Self { name: "nothing", words: Vec::new(), ready: "", runs: Vec::new() }
    }

    pub(super) fn ours(name: &'static str, more: &[&'static str]) -> Self {
        let common = [OURS, "run", "--iface", WIRE, "--events=exchange,stats", "--output", "OUT"];
        let words = common.into_iter().chain(more.iter().copied()).collect();
        Self { name, words, ready: "capturing on ", runs: Vec::new() }
    }

    pub(super) fn tcpdump() -> Self {
        let words = vec!["tcpdump", "-i", WIRE, "-w", "/dev/null"];
        Self { name: "tcpdump", words, ready: "tcpdump: listening on ", runs: Vec::new() }
    }

    pub(super) fn httpry() -> Self {
        let words = vec!["httpry", "-i", WIRE, "-o", "OUT"];
        Self { name: "httpry", words, ready: "Starting capture on ", runs: Vec::new() }
    }

    pub(super) fn is_ours(&self) -> bool {
        self.words.first() == Some(&OURS)
    }

    /// What the server keeps of its throughput.
    pub(super) fn kept(&self) -> f64 {
        median(self.ratios())
    }

    fn ratios(&self) -> impl Iterator<Item = f64> {
        self.runs.iter().map(|run| {
            let bare: f64 = run.bare.iter().map(Counted::per_second).sum();
            2.0 * run.outcome.counted.per_second() / bare
        })
    }

    pub(super) fn range(&self) -> String {
        let least = self.ratios().fold(f64::NAN, f64::min);
        let most = self.ratios().fold(f64::NAN, f64::max);
        format!("{:.1} to {:.1}", 100.0 * least, 100.0 * most)
    }

    pub(super) fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.runs.iter().map(|run| &run.outcome)
    }

    pub(super) fn resident_mib(&self) -> f64 {
        let ended = self.outcomes().filter_map(|outcome| outcome.ended.as_ref());
        ended.map(|ended| ended.resident_bytes as f64 / MIB).fold(f64::NAN, f64::max)
    }

    pub(super) fn faults(&self) -> usize {
        self.outcomes().filter(|outcome| outcome.fault.is_some()).count()
    }

    /// How much of it all it saw.
    pub(super) fn remark(&self) -> String {
        if self.is_ours() {
            let runs = self.runs.len();
            return format!("all exchanges in {} of {runs} runs", runs - self.faults());
        }
        let lost = self.outcomes().filter_map(|outcome| outcome.ended.as_ref()).map(lost_share);
        let lost = median(lost);
        if lost.is_nan() { String::new() } else { format!("lost {:.0} % of packets", 100.0 * lost) }
    }

    pub(super) fn line(&self) -> String {
        if self.words.is_empty() { String::new() } else { format!("`{}`", self.words.join(" ")) }
    }
}

/// What tcpdump and httpry say that the kernel has dropped, of what they should have seen.
fn lost_share(ended: &Ended) -> f64 {
    let words: Vec<_> = ended.stderr.split_whitespace().collect();
    let number = |what: &str| {
        let found = words.windows(3).find(
            |window| matches!(window, [_, "packets", is] if is.trim_end_matches(',') == what),
        );
        found.and_then(|window| window.first()?.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    number("dropped") / number("received")
}

/// Where it all happens.
pub(super) struct Track<'a> {
    pub(super) agent: PathBuf,
    pub(super) lab: &'a Lab,
    pub(super) folder: &'a Path,
    pub(super) load: &'a dyn Fn() -> Result<Counted>,
    /// Fails where the agent's output is not all that it must be.
    pub(super) hold: &'a dyn Fn(&Path, &Counted) -> Result<()>,
}

impl Track<'_> {
    pub(super) fn rounds(&self, rounds: u32, contestants: &mut [Contestant]) -> Result<()> {
        let mut before = (self.load)()?;
        for round in 0..rounds {
            for contestant in &mut *contestants {
                eprintln!("bench: round {} of {rounds}: {}", round + 1, contestant.name);
                let outcome = self.run(contestant, self.load)?;
                let after = (self.load)()?;
                contestant.runs.push(Run { bare: [before, after], outcome });
                before = after;
            }
        }
        Ok(())
    }

    /// One run, under this load.
    pub(super) fn run(
        &self,
        contestant: &Contestant,
        load: &dyn Fn() -> Result<Counted>,
    ) -> Result<Outcome> {
        interrupt::check()?;
        let out = self.folder.join("out.jsonl");
        let mut words = contestant.words.iter();
        let Some(program) = words.next() else {
            return Ok(Outcome { counted: load()?, ended: None, fault: None });
        };
        let mut command = match contestant.is_ours() {
            true => self.lab.server.command(&self.agent),
            false => self.lab.server.command(program),
        };
        for word in words {
            match *word {
                "OUT" => command.arg(&out),
                word => command.arg(word),
            };
        }
        let beside = Beside::start(&mut command, contestant.ready)?;
        let counted = load()?;
        let ended = beside.stop()?;
        let fault = match contestant.is_ours() {
            false => None,
            true if !ended.success => Some(ended.stderr.clone()),
            true => (self.hold)(&out, &counted).err().map(|error| format!("{error:#}")),
        };
        if let Some(fault) = &fault {
            eprintln!("bench: {}: {fault}\n{}", contestant.name, ended.stderr);
        }
        let _ = fs::remove_file(&out);
        Ok(Outcome { counted, ended: Some(ended), fault })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_others_say_of_their_losses() {
        let share = |stderr: &str| {
            let (cpu, resident_bytes, success) = (Duration::ZERO, 0, true);
            lost_share(&Ended { success, cpu, resident_bytes, stderr: stderr.to_owned() })
        };
        let tcpdump = "90 packets captured\n100 packets received by filter\n\
            10 packets dropped by kernel\n";
        let httpry = "400 packets received, 100 packets dropped, 200 http packets parsed\n";
        assert_eq!((share(tcpdump), share(httpry)), (0.1, 0.25));
        assert!(share("").is_nan());
    }
}
