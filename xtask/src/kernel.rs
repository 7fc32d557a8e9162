//! Builds the kernel half into `bpf/` of the target folder, where the agent's `build.rs` looks.
//!
//! It is compiled apart from the workspace's other crates: by another compiler perhaps, with
//! `core` from source, for a target of its own. What is fresh is left alone without a word.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::setup::Toolchain;
use crate::tool::{Tool as _, cargo, cargo_at, target, workspace};

const TARGET: &str = "bpfel-unknown-none";
const PACKAGE: &str = "capture-ebpf";

/// Builds it where it is older than its sources.
pub(crate) fn build(toolchain: &Toolchain) -> Result<()> {
    let object = target()?.join("bpf").join(TARGET).join("release").join(PACKAGE);
    let began = SystemTime::now();
    if is_fresh(&object)? {
        return Ok(());
    }
    let cargo = match toolchain.compiler.companion("cargo") {
        Some(cargo) => cargo_at(cargo.as_os_str()),
        None => cargo(),
    };
    with_toolchain(cargo, "build", toolchain)?.args(["--bins", "--release"]).run()?;
    // cargo looks at more than times, so it may have left alone what `build.rs` takes for stale;
    // and what was edited meanwhile must be younger than the object.
    File::open(&object)
        .and_then(|file| file.set_modified(began))
        .with_context(|| format!("no kernel half at {}", object.display()))
}

/// Lints it, by the clippy of its own compiler. `false` where that has none.
pub(crate) fn clippy(toolchain: &Toolchain) -> Result<bool> {
    let compiler = &toolchain.compiler;
    let (Some(cargo), Some(clippy), Some(_)) = (
        compiler.companion("cargo"),
        compiler.companion("cargo-clippy"),
        compiler.companion("clippy-driver"),
    ) else {
        return Ok(false);
    };
    with_toolchain(cargo_at(clippy.as_os_str()), "clippy", toolchain)?
        .env("CARGO", cargo)
        .args(["--bins", "--release", "--", "-D", "warnings"])
        .run()?;
    Ok(true)
}

/// The flags are those of aya-build: debug information becomes BTF, and some of aya's types
/// depend on the architecture of the kernel that the program is for, which is this one's.
fn with_toolchain(mut cargo: Command, verb: &str, toolchain: &Toolchain) -> Result<Command> {
    let architecture = format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH);
    let rustflags = [&architecture, "-Cdebuginfo=2", "-Clink-arg=--btf"].join("\x1f");
    cargo
        .args([verb, "--package", PACKAGE, "-Z", "build-std=core", "--target", TARGET])
        .arg("--target-dir")
        .arg(target()?.join("bpf"))
        .env("RUSTC", toolchain.compiler.rustc())
        // Lets a stable rustc take `-Z`, and the features that BPF needs.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &toolchain.linker)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags);
    Ok(cargo)
}

/// Whether the object is no older than anything it is made from.
fn is_fresh(object: &Path) -> Result<bool> {
    let Ok(built) = fs::metadata(object).and_then(|found| found.modified()) else {
        return Ok(false);
    };
    let sources = [PACKAGE, "Cargo.toml", "Cargo.lock"].map(|name| workspace().join(name));
    Ok(built >= newest(sources)?)
}

/// When the youngest of these files, and of those below these folders, was changed.
fn newest(paths: impl IntoIterator<Item = PathBuf>) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut paths: Vec<_> = paths.into_iter().collect();
    while let Some(path) = paths.pop() {
        let found = fs::metadata(&path).with_context(|| format!("no {}", path.display()))?;
        if found.is_dir() {
            for entry in fs::read_dir(&path)? {
                paths.push(entry?.path());
            }
        } else {
            newest = newest.max(found.modified()?);
        }
    }
    Ok(newest)
}
