//! `cargo xtask test`: every test there is, after format check and clippy.
//!
//! It becomes the test runner at last, so that the runner's own summary is the end of what is
//! printed and its exit status is the verb's.

use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::privileges::Privileges;
use crate::tool::{Tool as _, cargo, find};
use crate::{kernel, lint, setup};

#[derive(Args)]
pub(crate) struct Options {
    /// Leave out the end-to-end tests, which need root and real servers
    #[arg(long)]
    no_e2e: bool,
}

pub(crate) fn test(options: &Options) -> Result<()> {
    let privileges = Privileges::own()?;
    let obstacle =
        if options.no_e2e { Some("--no-e2e was given".to_owned()) } else { privileges.obstacle() };
    let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    match &obstacle {
        None => setup::servers_and_clients(&privileges)?,
        Some(why) if in_ci => bail!("the end-to-end tests can't run ({why}), and CI skips none"),
        Some(_) => {}
    }
    let toolchain = setup::toolchain(setup::Report::Changes)?;
    kernel::build(&toolchain)?;
    lint::style(&toolchain)?;
    cargo().args(["test", "--doc", "--workspace"]).run()?;
    if let Some(why) = &obstacle {
        eprintln!("!! SKIPPED: the end-to-end tests: {why}");
    }
    runner(obstacle.is_none()).become_it()
}

/// cargo-nextest where it is installed, or else cargo's own; with each, all tests are one run.
fn runner(e2e: bool) -> Command {
    let nextest = find("cargo-nextest").is_some();
    let mut runner = cargo();
    if nextest {
        runner.args(["nextest", "run"]);
    } else {
        runner.arg("test");
    }
    runner
        .args(["--workspace", "--no-fail-fast"])
        // By name: the kernel half's binary is for the kernel alone.
        .args(["--lib", "--bin", "capture-agent", "--bin", "xtask", "--test", "offline"]);
    if e2e {
        runner.args(["--test", "e2e"]);
        // Each makes namespaces and servers, and measures time: more at once than CI's machines
        // have cores, and they would wait for each other. nextest has this in its own file.
        if !nextest {
            runner.args(["--", "--test-threads=2"]);
        }
    }
    runner
}
