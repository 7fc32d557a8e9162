//! What the engine costs with very many flows: room, stalls, time and allocations.
//!
//! Run by `cargo xtask bench flows`; `docs/bench/flows.md` keeps the figures and says what they
//! mean. Invariants: the engine is driven as a source drives it, by whole segments alone; each
//! part runs in a process of its own, so that nothing else counts as its memory; costs are
//! processor time of the thread, so that what else the machine does is in them only by way of
//! the caches.

mod allocations;
mod curve;
mod flood;
mod gauge;
mod population;
mod traffic;

use std::env;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A part: its name, what it shows, and what runs it.
type Part = (&'static str, &'static str, fn() -> Result<()>);

/// The parts, in the order in which they run.
const PARTS: [Part; 5] = [
    ("memory", "A million flows, an exchange behind each", population::memory),
    ("evictions", "A million flows evicted at once", population::evictions),
    ("flood", "Ten million SYNs, ten thousand live flows among them", flood::run),
    ("curve", "Cost per in-order segment", curve::run),
    ("allocations", "Allocations", allocations::run),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // `cargo test --all-targets` comes here too, and has no time for this.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let words: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    match words[..] {
        ["--here", name] => part(name)?.2(),
        [] => PARTS.iter().try_for_each(|(name, title, _)| apart(name, title)),
        _ => words.iter().try_for_each(|name| apart(name, part(name)?.1)),
    }
}

fn part(name: &str) -> Result<Part> {
    let known = PARTS.into_iter().find(|(part, ..)| *part == name);
    let names = PARTS.map(|(name, ..)| name).join(", ");
    known.with_context(|| format!("no part is called '{name}'; there are {names}"))
}

/// Runs a part in a process of its own.
fn apart(name: &str, title: &str) -> Result<()> {
    println!("\n### {title}\n");
    let own = env::current_exe()?;
    let status = Command::new(own).args(["--bench", "--here", name]).status()?;
    if !status.success() {
        bail!("'{name}' failed: {status}");
    }
    Ok(())
}
