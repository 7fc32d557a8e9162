//! `cargo xtask bench flows`: `capture-agent/benches/flows`, in release.

use anyhow::Result;
use clap::Args;

use super::conditions;
use crate::tool::{Tool as _, cargo};

#[derive(Args)]
pub(crate) struct Options {
    /// Run these parts alone: memory, evictions, flood, curve, allocations
    #[arg(value_name = "PART")]
    parts: Vec<String>,
}

pub(crate) fn bench(options: &Options) -> Result<()> {
    let benchmark = ["bench", "--package", "capture-agent", "--bench", "flows"];
    cargo().args(benchmark).arg("--no-run").run()?;
    conditions()?;
    cargo().args(benchmark).args(["--quiet", "--"]).args(&options.parts).run()
}
