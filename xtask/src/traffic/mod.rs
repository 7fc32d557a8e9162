//! `cargo xtask traffic`: a capture file of a given size and mix, and beside it what must come out.
//!
//! The same seed makes the same bytes. Connections are simulated by their ends' own rules, so that
//! what the capture shows could have been; it is written as it goes, in little memory.

mod check;
mod content;
mod end;
mod exchange;
mod flow;
mod frame;
mod message;
mod mix;
mod tap;
#[cfg(test)]
mod tests;
mod truth;
mod world;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use fastrand::Rng;

pub(crate) use check::check;
pub(crate) use world::Summary;

use content::Arena;
use exchange::Planner;
use frame::Capture;
use mix::Mix;
use truth::Truths;
use world::{Goal, Shared};

/// What the issue of speed is measured with.
const DEFAULT_BYTES: u64 = 1_200_000_000;

#[derive(Args)]
pub(crate) struct Options {
    /// Capture file to write; the truth goes beside it, as .truth.jsonl
    #[arg(required_unless_present = "check")]
    file: Option<PathBuf>,
    /// Hold the agent's JSON Lines to the truth, and name every difference
    #[arg(long, num_args = 2, value_names = ["OUTPUT", "TRUTH"], conflicts_with = "file")]
    check: Option<Vec<PathBuf>>,
    #[command(flatten)]
    making: Making,
}

/// What is made.
#[derive(Args, Clone, Debug)]
pub(crate) struct Making {
    /// About how large the capture file is to be [default: 1.2GB]
    #[arg(long, value_name = "SIZE", value_parser = mix::bytes)]
    bytes: Option<u64>,
    /// How many exchanges there are to be, instead of a size
    #[arg(long, value_name = "N", conflicts_with = "bytes")]
    exchanges: Option<u64>,
    /// The same seed makes the same bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten, next_help_heading = "Mix")]
    mix: Mix,
}

pub(crate) fn traffic(options: &Options) -> Result<()> {
    if let Some([output, truth]) = options.check.as_deref() {
        return hold(output, truth);
    }
    let Some(file) = &options.file else { bail!("no file to write was named") };
    let begin = Instant::now();
    let made = make(file, &truth_of(file), &options.making)?;
    let Summary { bytes, frames, exchanges, touched, flows, span_ns } = made;
    println!(
        "{}: {bytes} bytes, {frames} packets, {exchanges} exchanges on {flows} flows in {} s of \
         packet time; {touched} exchanges are not whole; made in {:.1} s",
        file.display(),
        span_ns / 1_000_000_000,
        begin.elapsed().as_secs_f64(),
    );
    Ok(())
}

fn hold(output: &Path, truth: &Path) -> Result<()> {
    let report = check(output, truth)?;
    println!("{report}");
    if !report.holds() {
        bail!("{} is not what it should be", output.display());
    }
    Ok(())
}

/// Where the truth lies that belongs to a capture file.
pub(crate) fn truth_of(file: &Path) -> PathBuf {
    file.with_extension("truth.jsonl")
}

/// Makes a capture file and the truth.
pub(crate) fn make(file: &Path, truth: &Path, making: &Making) -> Result<Summary> {
    let mut rng = Rng::with_seed(making.seed);
    let goal = match making.exchanges {
        Some(exchanges) => Goal::Exchanges(exchanges),
        None => Goal::Bytes(making.bytes.unwrap_or(DEFAULT_BYTES)),
    };
    let planner = Planner::new(making.mix.clone(), Arena::new(&mut rng)?);
    let shared = Shared::new(planner, goal, Capture::create(file)?, Truths::create(truth)?);
    world::run(shared, &mut rng)
}

/// How many exchanges a truth has.
pub(crate) fn count(truth: &Path) -> Result<usize> {
    Ok(truth::read(truth)?.count())
}
