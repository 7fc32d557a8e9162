//! `cargo xtask bench NAME`: figures that the project promises, each beside its bar.
//!
//! What it prints is Markdown, for `docs/bench/NAME.md`, under a line that says by which machine.

mod beside;
mod bulk;
mod flows;
mod folder;
mod idle;
mod interrupt;
mod lab;
mod ledger;
mod live;
mod load;
mod measure;
mod outputs;
mod paired;
mod read;
mod reader;
mod report;

use std::fs;
use std::process::Command;

use anyhow::Result;
use clap::Subcommand;

use crate::tool::Tool as _;

#[derive(Subcommand)]
pub(crate) enum Benchmark {
    /// The engine with very many flows: room, stalls, time and allocations
    Flows(flows::Options),
    /// A large capture file, beside tcpdump, httpry, ngrep, tcpflow and tshark
    Read(read::Options),
    /// A server at full load, beside tcpdump and httpry (root)
    Live(live::Options),
    /// Large downloads, with the budget of flows and without (root)
    Bulk(bulk::Options),
    /// What each output costs: bodies, HAR, pcapng, payload files, filters, scripts
    Outputs(outputs::Options),
    /// A silent line, and a packet in the hooks (root)
    Idle(idle::Options),
}

pub(crate) fn bench(benchmark: &Benchmark) -> Result<()> {
    match benchmark {
        Benchmark::Flows(options) => flows::bench(options),
        Benchmark::Read(options) => read::bench(options),
        Benchmark::Live(options) => live::bench(options),
        Benchmark::Bulk(options) => bulk::bench(options),
        Benchmark::Outputs(options) => outputs::bench(options),
        Benchmark::Idle(options) => idle::bench(options),
    }
}

/// Says when, by which machine and of which state of the code the figures are.
fn conditions() -> Result<()> {
    for (name, fact) in facts()? {
        println!("- {name}: {fact}");
    }
    Ok(())
}

/// Names and what there is to say.
type Facts = Vec<(String, String)>;

fn facts() -> Result<Facts> {
    let read = |program: &str, arguments: &[&str]| Command::new(program).args(arguments).read();
    let facts = [
        ("date", read("date", &["-u", "+%F"])?),
        ("kernel", read("uname", &["-rm"])?),
        ("processor", processor()?),
        ("rustc", read("rustc", &["-V"])?),
        // Not every copy of the sources is a clone.
        ("commit", read("git", &["describe", "--always", "--dirty"]).unwrap_or_default()),
    ];
    Ok(facts.into_iter().map(|(name, fact)| (name.to_owned(), fact.trim().to_owned())).collect())
}

/// How busy the machine is.
fn load() -> Result<String> {
    let known = fs::read_to_string("/proc/loadavg")?;
    let load = known.split(' ').next().unwrap_or_default();
    Ok(format!("{load} on average over the last minute"))
}

/// Versions of packages, as the system's package manager knows them.
fn versions(packages: &[&str]) -> (String, String) {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${Package} ${Version}, "]).args(packages);
    let known = query.read().unwrap_or_else(|_| "unknown".to_owned());
    ("beside".to_owned(), known.trim_end_matches(", ").to_owned())
}

fn processor() -> Result<String> {
    let known = fs::read_to_string("/proc/cpuinfo")?;
    let model = known.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism()?;
    Ok(format!("{}, {cores} cores", model.map_or("unknown", |(_, name)| name)))
}
