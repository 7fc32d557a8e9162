//! `cargo xtask lint`: what a reviewer should not have to say.

use anyhow::Result;

use crate::setup::Toolchain;
use crate::tool::{Tool as _, cargo, find};
use crate::{kernel, setup};

pub(crate) fn lint() -> Result<()> {
    style(&setup::toolchain(setup::Report::Changes)?)?;
    if find("cargo-deny").is_some() {
        cargo().args(["deny", "--all-features", "check"]).run()
    } else {
        eprintln!(
            "lint: left out: cargo-deny is not installed (cargo install cargo-deny --locked)"
        );
        Ok(())
    }
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
