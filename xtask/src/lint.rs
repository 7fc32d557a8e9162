//! `cargo xtask lint`: what a reviewer should not have to say.

use anyhow::Result;

use crate::setup::Toolchain;
use crate::tool::{Tool as _, cargo, find};
use crate::{kernel, setup};

pub(crate) fn lint() -> Result<()> {
    style(&setup::toolchain(setup::Report::Changes)?)?;
    dependencies()
}

/// cargo-deny by `deny.toml`, as far as this machine can.
fn dependencies() -> Result<()> {
    if find("cargo-deny").is_none() {
        eprintln!("lint: left out: cargo-deny (cargo install --locked cargo-deny)");
        return Ok(());
    }
    cargo().args(["deny", "check", "bans", "licenses", "sources"]).run()?;
    if cargo().args(["deny", "fetch", "db"]).read().is_err() {
        eprintln!("lint: left out: advisories, whose database can't be fetched from here");
        return Ok(());
    }
    cargo().args(["deny", "--offline", "check", "advisories"]).run()
}

/// Format and clippy, of both halves.
pub(crate) fn style(toolchain: &Toolchain) -> Result<()> {
    cargo().args(["fmt", "--all", "--check"]).run()?;
    cargo().args(["clippy", "--all-targets", "--", "-D", "warnings"]).run()?;
    if !kernel::clippy(toolchain)? {
        eprintln!("lint: left out: clippy of the kernel half, whose compiler comes without one");
    }
    Ok(())
}
