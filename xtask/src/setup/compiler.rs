//! A rustc that compiles for BPF.
//!
//! Any rustc can, once three things hold: the standard library's source lies beside it, because
//! `core` comes compiled for no BPF target; it is no older than the workspace's `rust-version`;
//! and its LLVM is a shared library of a version that bpf-linker knows, so that the linker can be
//! built on that very LLVM (see [`super::linker`]). A toolchain's name proves none of these, so
//! they are looked for.
//!
//! Where no rustc will do, rustup adds the source to the toolchain in use, a matter of seconds and
//! of no privileges. Where rustup can't download, the distribution's packages do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{linker, packages};
use crate::privileges::Privileges;
use crate::tool::{Tool as _, find};

/// `(1, 95)`.
type Version = (u32, u32);

/// A toolchain that a user links by this name goes before all others.
const CHOSEN: &str = "capture-bpf";

/// Known to go with the bpf-linker in use; for those whose own toolchain doesn't.
const KNOWN_GOOD: &str = "1.95.0";

/// Where the source of `core` lies under a sysroot.
const SOURCE: &str = "lib/rustlib/src/rust/library/core/Cargo.toml";

/// Packages of distributions with a rustc that is kept current, and its source.
const PACKAGES: [[&str; 2]; 2] = [["rustc-web", "rust-web-src"], ["rustc", "rust-src"]];

/// A rustc for BPF.
pub(crate) struct Compiler {
    name: String,
    pub(crate) sysroot: PathBuf,
    release: String,
    /// Major version of its LLVM.
    pub(crate) llvm: u32,
    pub(crate) llvm_library: Library,
}

/// A shared library as the loader found it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Library {
    pub(crate) soname: String,
    pub(crate) path: PathBuf,
}

/// Why a rustc won't do.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    Broken(String),
    Old(String),
    Llvm(u32),
    StaticLlvm,
    /// All is well but the source.
    NoSource,
}

/// A toolchain that may do.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    name: String,
    sysroot: PathBuf,
}

/// Candidates, none of which will do.
pub(crate) struct NoneFit(Vec<(Candidate, Unfit)>);

impl Compiler {
    /// The best of what is there.
    pub(crate) fn find() -> Result<Self, NoneFit> {
        let mut unfit = Vec::new();
        for candidate in candidates() {
            match candidate.inspect() {
                Ok(compiler) => return Ok(compiler),
                Err(reason) => unfit.push((candidate, reason)),
            }
        }
        Err(NoneFit(unfit))
    }

    pub(crate) fn rustc(&self) -> PathBuf {
        self.sysroot.join("bin/rustc")
    }

    /// A program of the same toolchain; distributions may leave it out.
    pub(crate) fn companion(&self, program: &str) -> Option<PathBuf> {
        Some(self.sysroot.join("bin").join(program)).filter(|path| path.exists())
    }
}

impl Candidate {
    fn inspect(&self) -> Result<Compiler, Unfit> {
        let rustc = self.sysroot.join("bin/rustc");
        let broken = |error: anyhow::Error| Unfit::Broken(format!("{error:#}"));
        let about = Command::new(&rustc).arg("-vV").read().map_err(broken)?;
        let release = field(&about, "release: ")
            .ok_or_else(|| Unfit::Broken("rustc tells no release".into()))?;
        if version(release) < version(env!("CARGO_PKG_RUST_VERSION")) {
            return Err(Unfit::Old(release.into()));
        }
        let llvm = field(&about, "LLVM version: ")
            .and_then(|text| text.split('.').next()?.parse().ok())
            .ok_or_else(|| Unfit::Broken("rustc tells no LLVM version".into()))?;
        if !linker::LLVM.contains(&llvm) {
            return Err(Unfit::Llvm(llvm));
        }
        let loaded = Command::new("ldd").arg(&rustc).read().map_err(broken)?;
        let llvm_library = llvm_library(&loaded).ok_or(Unfit::StaticLlvm)?;
        if !self.sysroot.join(SOURCE).exists() {
            return Err(Unfit::NoSource);
        }
        Ok(Compiler {
            name: self.name.clone(),
            sysroot: self.sysroot.clone(),
            release: release.into(),
            llvm,
            llvm_library,
        })
    }

    /// Smaller is better: what the user chose, what is in use, then the more likely to fit.
    fn rank(&self, in_use: Option<&str>) -> u8 {
        match self.name.as_str() {
            CHOSEN => 0,
            name if Some(name) == in_use => 1,
            name if name.starts_with("nightly") => 2,
            _ => 3,
        }
    }
}

/// Every toolchain of this machine, the best first.
fn candidates() -> Vec<Candidate> {
    let list = Command::new("rustup").args(["toolchain", "list", "-v"]).read().unwrap_or_default();
    let mut found: Vec<_> = list.lines().filter_map(listed).collect();
    let in_use = std::env::var("RUSTUP_TOOLCHAIN").ok();
    found.sort_by_key(|candidate| candidate.rank(in_use.as_deref()));
    // Without rustup, or beside it.
    for rustc in find("rustc").into_iter().chain(["/usr/bin/rustc".into()]) {
        let Ok(sysroot) = Command::new(&rustc).args(["--print", "sysroot"]).read() else {
            continue;
        };
        let sysroot = PathBuf::from(sysroot.trim());
        if !found.iter().any(|known| known.sysroot == sysroot) {
            found.push(Candidate { name: rustc.display().to_string(), sysroot });
        }
    }
    found
}

/// A line of `rustup toolchain list -v`: a name, perhaps notes in parentheses, and a path.
fn listed(line: &str) -> Option<Candidate> {
    let name = line.split_whitespace().next()?;
    let sysroot = Path::new(line.get(line.find('/')?..)?.trim_end());
    Some(Candidate { name: name.into(), sysroot: sysroot.into() })
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The first two numbers of `1.96.0+dfsg1-1~deb12u2` and its like.
fn version(text: &str) -> Option<Version> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// LLVM, from what `ldd` says of a rustc.
fn llvm_library(loaded: &str) -> Option<Library> {
    loaded.lines().find_map(|line| {
        let (soname, rest) = line.trim().split_once(" => ")?;
        let path = rest.rsplit_once(" (0x").map_or(rest, |(path, _)| path);
        (soname.starts_with("libLLVM") && path.starts_with('/'))
            .then(|| Library { soname: soname.into(), path: path.into() })
    })
}

/// Brings a compiler to this machine: by rustup, else by the system's packages.
pub(super) fn install(none_fit: &NoneFit) -> Result<Compiler> {
    for (candidate, reason) in &none_fit.0 {
        eprintln!("setup: no BPF compiler: {}: {reason}", candidate.name);
    }
    let mut failures = Vec::new();
    let ways: [fn(&NoneFit) -> Result<()>; 2] = [by_rustup, by_packages];
    for way in ways {
        match way(none_fit) {
            Ok(()) => match Compiler::find() {
                Ok(compiler) => return Ok(compiler),
                Err(NoneFit(unfit)) => failures.extend(
                    unfit.iter().map(|(who, why)| format!("after it, {}: {why}", who.name)),
                ),
            },
            Err(error) => {
                eprintln!("setup: {error:#}");
                failures.push(format!("{error:#}"));
            }
        }
    }
    bail!("no compiler for the kernel half:\n  {}", failures.join("\n  "))
}

/// The source alone where nothing else is missing, or else a toolchain that is known to do.
fn by_rustup(none_fit: &NoneFit) -> Result<()> {
    find("rustup").context("rustup is not installed")?;
    let mut rustup = Command::new("rustup");
    match none_fit.0.iter().find(|(who, why)| *why == Unfit::NoSource && who.name != CHOSEN) {
        Some((lacking, _)) if !lacking.name.starts_with('/') => {
            rustup.args(["component", "add", "rust-src", "--toolchain", &lacking.name])
        }
        _ => rustup.args(["toolchain", "install", KNOWN_GOOD, "--no-self-update"]).args([
            "--profile",
            "minimal",
            "--component",
            "rust-src",
        ]),
    };
    eprintln!("setup: {}", rustup.line());
    rustup.run()
}

fn by_packages(_: &NoneFit) -> Result<()> {
    find("apt-get").with_context(|| {
        format!(
            "no apt-get here either: install rustc {wanted} with its source",
            wanted = env!("CARGO_PKG_RUST_VERSION")
        )
    })?;
    let privileges = Privileges::own()?;
    let wanted = version(env!("CARGO_PKG_RUST_VERSION"));
    let suits = || {
        PACKAGES.iter().find(|[rustc, source]| {
            let offered = packages::candidate(rustc);
            offered.is_some_and(|offered| version(&offered) >= wanted)
                && packages::candidate(source).is_some()
        })
    };
    let suiting = match suits() {
        None if privileges.root() => {
            packages::update()?;
            suits()
        }
        found => found,
    };
    let packages = suiting.with_context(|| {
        format!("no package of this system has rustc {}", env!("CARGO_PKG_RUST_VERSION"))
    })?;
    packages::install(packages, "a compiler for the kernel half", &privileges)
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustc {} (LLVM {}) by {}", self.release, self.llvm, self.name)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => f.write_str(error),
            Self::Old(release) => {
                write!(f, "rustc {release} is older than {}", env!("CARGO_PKG_RUST_VERSION"))
            }
            Self::Llvm(major) => {
                let known = linker::LLVM;
                write!(f, "LLVM {major}, and bpf-linker knows {known:?}")
            }
            Self::StaticLlvm => f.write_str("its LLVM is not a shared library"),
            Self::NoSource => f.write_str("without rust-src"),
        }
    }
}
