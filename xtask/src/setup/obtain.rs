//! Brings a compiler for the kernel half to a machine that has none.
//!
//! rustup adds the standard library's source to the toolchain in use: a matter of seconds, which
//! takes no privileges. Where rustup is not there or can't download, the distribution's packages
//! may have a rustc that is recent enough.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::compiler::{Compiler, NoneFit, version};
use super::packages;
use crate::privileges::Privileges;
use crate::tool::{Tool as _, find};

/// Known to go with the bpf-linker in use; for those whose own toolchain doesn't.
const KNOWN_GOOD: &str = "1.95.0";

/// Packages with a rustc and its source, first those that a distribution keeps recent.
const PACKAGES: [[&str; 2]; 2] = [["rustc-web", "rust-web-src"], ["rustc", "rust-src"]];

const WANTED: &str = env!("CARGO_PKG_RUST_VERSION");

/// Tries each way until there is a compiler.
pub(super) fn compiler(none_fit: &NoneFit) -> Result<Compiler> {
    none_fit.say();
    let ways: [fn(&NoneFit) -> Result<()>; 2] = [by_rustup, by_packages];
    for way in ways {
        match way(none_fit).map(|()| Compiler::find()) {
            Ok(Ok(compiler)) => return Ok(compiler),
            Ok(Err(still_none)) => still_none.say(),
            Err(error) => eprintln!("setup: {error:#}"),
        }
    }
    bail!("no compiler for the kernel half, for the reasons above")
}

/// The source alone where nothing else is missing, or else a toolchain that is known to do.
fn by_rustup(none_fit: &NoneFit) -> Result<()> {
    find("rustup").context("rustup is not installed")?;
    let mut rustup = Command::new("rustup");
    if let Some(toolchain) = none_fit.lacking_source() {
        rustup.args(["component", "add", "rust-src", "--toolchain", toolchain]);
    } else {
        rustup.args(["toolchain", "install", KNOWN_GOOD, "--profile", "minimal"]);
        rustup.args(["--component", "rust-src", "--no-self-update"]);
    }
    eprintln!("setup: {}", rustup.line());
    rustup.run()
}

fn by_packages(_: &NoneFit) -> Result<()> {
    if find("apt-get").is_none() {
        bail!("no apt-get here: install rustc {WANTED} or later with its source (rust-src)");
    }
    let privileges = Privileges::own()?;
    let packages = match suiting_packages() {
        None if privileges.root() => {
            packages::update()?;
            suiting_packages().with_context(|| format!("no package has rustc {WANTED}"))?
        }
        None => bail!("no package is known to have rustc {WANTED}; sudo apt-get update may help"),
        Some(packages) => packages,
    };
    packages::install(&packages, "a compiler for the kernel half", &privileges)
}

fn suiting_packages() -> Option<[&'static str; 2]> {
    PACKAGES.into_iter().find(|[rustc, source]| {
        packages::candidate(rustc).is_some_and(|offered| version(&offered) >= version(WANTED))
            && packages::candidate(source).is_some()
    })
}
