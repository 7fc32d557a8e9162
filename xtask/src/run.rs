//! `cargo xtask run`: from a fresh checkout to a running capture.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::privileges::Privileges;
use crate::tool::{Tool as _, cargo, find, target};
use crate::{kernel, setup};

#[derive(Args)]
pub(crate) struct Options {
    /// Interface to capture on; may be given several times
    #[arg(long, value_name = "IF")]
    iface: Vec<String>,
    /// Arguments of `capture-agent run`
    #[arg(last = true, value_name = "AGENT ARGUMENTS")]
    arguments: Vec<String>,
}

/// Builds both halves in release; yields the agent.
pub(crate) fn build() -> Result<PathBuf> {
    kernel::build(&setup::toolchain(setup::Report::Changes)?)?;
    cargo().args(["build", "--release", "--package", "capture-agent"]).run()?;
    Ok(target()?.join("release/capture-agent"))
}

/// Becomes the agent, so that signals and its exit status pass through.
pub(crate) fn run(options: &Options) -> Result<()> {
    let agent = build()?;
    let mut command = if Privileges::own()?.root() {
        Command::new(agent)
    } else if find("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.arg("--").arg(agent);
        sudo
    } else {
        bail!("capturing takes root, and there is no sudo here; as root: {} run", agent.display());
    };
    command.arg("run");
    for iface in &options.iface {
        command.args(["--iface", iface]);
    }
    command.args(&options.arguments).become_it()
}
