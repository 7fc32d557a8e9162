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

/// What runs in a process of its own.
struct Part {
    name: &'static str,
    shows: &'static str,
    run: fn() -> Result<()>,
}

impl Part {
    const fn new(name: &'static str, shows: &'static str, run: fn() -> Result<()>) -> Self {
        Self { name, shows, run }
    }

    fn named(name: &str) -> Result<&'static Self> {
        PARTS.iter().find(|part| part.name == name).with_context(|| {
            let known = PARTS.each_ref().map(|part| part.name).join(", ");
            format!("no part is called '{name}'; there are {known}")
        })
    }

    /// Runs it in a process of its own.
    fn apart(&self) -> Result<()> {
        println!("\n### {}\n", self.shows);
        let own = env::current_exe()?;
        let status = Command::new(own).args(["--bench", "--here", self.name]).status()?;
        if !status.success() {
            bail!("'{}' failed: {status}", self.name);
        }
        Ok(())
    }
}

/// In the order in which they run.
static PARTS: [Part; 5] = [
    Part::new("memory", "A million flows, an exchange behind each", population::memory),
    Part::new("evictions", "A million flows evicted at once", population::evictions),
    Part::new("flood", "Ten million SYNs, ten thousand live flows among them", flood::run),
    Part::new("curve", "Cost per in-order segment", curve::run),
    Part::new("allocations", "Allocations", allocations::run),
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
        ["--here", name] => (Part::named(name)?.run)(),
        [] => PARTS.iter().try_for_each(Part::apart),
        _ => words.iter().try_for_each(|name| Part::named(name)?.apart()),
    }
}
