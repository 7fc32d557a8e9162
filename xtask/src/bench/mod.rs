//! `cargo xtask bench NAME`: figures that the project promises, each beside its bar.
//!
//! What it prints is Markdown, for `docs/bench/NAME.md`, under a line that says by which machine.

mod flows;

use std::fs;
use std::process::Command;

use anyhow::Result;
use clap::Subcommand;

use crate::tool::Tool as _;

#[derive(Subcommand)]
pub(crate) enum Benchmark {
    /// The engine with very many flows: room, stalls, time and allocations
    Flows(flows::Options),
}

pub(crate) fn bench(benchmark: &Benchmark) -> Result<()> {
    match benchmark {
        Benchmark::Flows(options) => flows::bench(options),
    }
}

/// Says when, by which machine and of which state of the code the figures are.
fn conditions() -> Result<()> {
    let read = |program: &str, arguments: &[&str]| Command::new(program).args(arguments).read();
    let facts = [
        ("date", read("date", &["-u", "+%F"])?),
        ("kernel", read("uname", &["-rm"])?),
        ("processor", processor()?),
        ("rustc", read("rustc", &["-V"])?),
        // Not every copy of the sources is a clone.
        ("commit", read("git", &["describe", "--always", "--dirty"]).unwrap_or_default()),
    ];
    for (name, fact) in facts {
        println!("- {name}: {}", fact.trim());
    }
    Ok(())
}

fn processor() -> Result<String> {
    let known = fs::read_to_string("/proc/cpuinfo")?;
    let model = known.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism()?;
    Ok(format!("{}, {cores} cores", model.map_or("unknown", |(_, name)| name)))
}
