//! Finds the built kernel half, so that the agent carries it inside.
//!
//! `cargo xtask` builds it into `bpf/` of the target folder. Without it, or when its sources
//! are newer, the agent is built without a kernel half: it reads files, and `run` says what to do.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs, io};

/// Where `cargo xtask` puts the kernel half, below the target folder.
const OBJECT: &str = "bpf/bpfel-unknown-none/release/capture-ebpf";
const SOURCES: &str = "../capture-ebpf";

fn main() -> io::Result<()> {
    println!("cargo:rustc-check-cfg=cfg(kernel_half)");
    println!("cargo:rerun-if-changed={SOURCES}");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    // OUT_DIR is TARGET[/TRIPLE]/PROFILE/build/PACKAGE-HASH/out.
    for target in out_dir.ancestors().skip(4).take(2) {
        let object = target.join(OBJECT);
        println!("cargo:rerun-if-changed={}", object.display());
        if !object.exists() {
            continue;
        }
        if fs::metadata(&object)?.modified()? < newest(Path::new(SOURCES))? {
            println!("cargo:warning=the kernel half is older than its sources; left out");
        } else {
            println!("cargo:rustc-cfg=kernel_half");
            println!("cargo:rustc-env=CAPTURE_KERNEL_HALF={}", object.display());
        }
        break;
    }
    Ok(())
}

/// When the youngest file below `path` was changed.
fn newest(path: &Path) -> io::Result<SystemTime> {
    let mut newest = fs::metadata(path)?.modified()?;
    if path.is_dir() {
        newest = SystemTime::UNIX_EPOCH;
        for entry in fs::read_dir(path)? {
            newest = newest.max(self::newest(&entry?.path())?);
        }
    }
    Ok(newest)
}
