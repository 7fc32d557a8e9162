//! A bpf-linker that reads the bitcode of the compiler.
//!
//! Bitcode is read safely by the LLVM that wrote it, so bpf-linker is built on the shared library
//! that the compiler itself loads: no LLVM package is needed, and the versions can't differ.
//! The folder that it finds that library in, by its run path, is the record of what it was built
//! for: when the compiler is another one, the link there no longer leads to its library.

use std::env;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::compiler::Compiler;
use crate::tool::{Tool as _, cargo, find as find_program};

const VERSION: &str = "0.13.0";
/// LLVM's major versions that [`VERSION`] knows.
pub(super) const LLVM: RangeInclusive<u32> = 21..=23;

/// A bpf-linker for the compiler.
pub(super) struct Linker {
    pub(super) path: PathBuf,
    version: String,
    llvm: u32,
}

/// The workspace's own, or the user's where it has the same LLVM.
pub(super) fn find(folder: &Path, compiler: &Compiler) -> Option<Linker> {
    own(folder, compiler).or_else(|| {
        let path = find_program("bpf-linker").filter(|path| has_llvm(path, compiler.llvm))?;
        Linker::at(path, compiler.llvm)
    })
}

fn own(folder: &Path, compiler: &Compiler) -> Option<Linker> {
    let built_on =
        fs::read_link(library_folder(folder).join(&compiler.llvm_library.soname)).ok()?;
    if built_on != compiler.llvm_library.path {
        return None;
    }
    Linker::at(binary(folder), compiler.llvm).filter(|found| found.version == VERSION)
}

/// Builds it into the target folder.
pub(super) fn install(folder: &Path, compiler: &Compiler) -> Result<Linker> {
    // In this order: a binary that is there was built on the library that the link leads to.
    remove(&binary(folder))?;
    let libraries = library_folder(folder);
    fs::create_dir_all(&libraries)
        .with_context(|| format!("can't make {}", libraries.display()))?;
    // `-lLLVM` looks for the first name, the loader for the second.
    for name in ["libLLVM.so", &compiler.llvm_library.soname] {
        let link = libraries.join(name);
        remove(&link)?;
        symlink(&compiler.llvm_library.path, &link)
            .with_context(|| format!("can't make the link {}", link.display()))?;
    }
    let scratch = folder.join("linker-build");
    eprintln!("setup: building bpf-linker {VERSION} for LLVM {} (about a minute)", compiler.llvm);
    // Or else cargo asks the user to add the folder to it.
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":");
    path.push(folder.join("bin"));
    cargo()
        .args(["install", "bpf-linker", "--version", VERSION, "--locked", "--force"])
        .args(["--no-default-features", "--features", &format!("llvm-{}", compiler.llvm)])
        .arg("--root")
        .arg(folder)
        .arg("--target-dir")
        .arg(&scratch)
        .env("PATH", path)
        .env("LLVM_PREFIX", folder.join("llvm"))
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .run()?;
    // 150 MB that nothing needs again.
    fs::remove_dir_all(&scratch).with_context(|| format!("can't remove {}", scratch.display()))?;
    own(folder, compiler).context("the bpf-linker just built does not run")
}

fn library_folder(folder: &Path) -> PathBuf {
    folder.join("llvm/lib")
}

fn binary(folder: &Path) -> PathBuf {
    folder.join("bin/bpf-linker")
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Whether a binary loads LLVM of this major version, or carries it inside.
fn has_llvm(path: &Path, major: u32) -> bool {
    Command::new("grep")
        .arg("-qaE")
        .arg(format!(r"libLLVM(\.so\.|-){major}|LLVM{major}\.[0-9]"))
        .arg(path)
        .stderr(Stdio::null())
        .run()
        .is_ok()
}

impl Linker {
    /// `None` where nothing is there, or what is there doesn't run.
    fn at(path: PathBuf, llvm: u32) -> Option<Self> {
        let said = Command::new(&path).arg("--version").read().ok()?;
        let version = said.trim().strip_prefix("bpf-linker ")?.to_owned();
        Some(Self { path, version, llvm })
    }
}

impl fmt::Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bpf-linker {} (LLVM {}) at {}", self.version, self.llvm, self.path.display())
    }
}
