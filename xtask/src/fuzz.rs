//! `cargo xtask fuzz`: a fuzz target under cargo-fuzz, with the address sanitizer.
//!
//! What it finds that is new stays in the target folder: the corpus in the repository is small and
//! chosen, since every test run replays it.

use std::fs;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::tool::{Tool as _, cargo, find, workspace};

#[derive(Args)]
pub(crate) struct Options {
    /// What to fuzz
    target: Target,
    /// For how long
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    /// Bytes as operations on an engine
    Segments,
    /// Bytes as a capture file
    Frames,
    /// Bytes as what two HTTP peers say, cut into segments in two ways
    Dialogue,
    /// Bytes as a head, or as what is heard of a connection
    Head,
    /// Bytes as a body under content codings, or as what one side of a WebSocket says
    Body,
}

pub(crate) fn fuzz(options: &Options) -> Result<()> {
    if find("cargo-fuzz").is_none() {
        bail!("cargo-fuzz is missing: cargo install --locked cargo-fuzz");
    }
    let name = options.target.to_possible_value().context("a target has a name")?;
    let name = name.get_name();
    let folder = workspace().join("fuzz");
    let found = folder.join("target/corpus").join(name);
    fs::create_dir_all(&found).with_context(|| format!("can't make {}", found.display()))?;
    cargo()
        .current_dir(&folder)
        // libFuzzer's hooks and the sanitizer are for nightly alone, unless told otherwise.
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["fuzz", "run", name])
        .args([found, folder.join("corpus").join(name)])
        .arg("--")
        .arg(format!("-max_total_time={}", options.seconds))
        .arg("-max_len=8192")
        .arg(format!("-dict={}", folder.join("http.dict").display()))
        .become_it()
}
