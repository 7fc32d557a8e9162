//! A rustc that compiles for BPF.
//!
//! Any rustc can, once three things hold: the standard library's source lies beside it, because
//! `core` comes compiled for no BPF target; it is no older than the workspace's `rust-version`;
//! and its LLVM is a shared library of a version that bpf-linker knows, so that the linker can be
//! built on that very LLVM (see [`super::linker`]). A toolchain's name proves none of these, so
//! they are looked for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::linker;
use crate::tool::{Tool as _, find};

/// `(1, 95)`.
pub(super) type Version = (u32, u32);

/// A toolchain that a user links by this name goes before all others.
const CHOSEN: &str = "capture-bpf";

/// Where the source of `core` lies under a sysroot.
const SOURCE: &str = "lib/rustlib/src/rust/library/core/Cargo.toml";

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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Installed by rustup, and not just linked.
    by_rustup: bool,
}

/// Candidates, none of which will do.
pub(crate) struct NoneFit(Vec<(Candidate, Unfit)>);

impl NoneFit {
    /// The first toolchain of rustup's that lacks nothing but the source.
    pub(super) fn lacking_source(&self) -> Option<&str> {
        let lacks = |(who, why): &&(Candidate, Unfit)| who.by_rustup && *why == Unfit::NoSource;
        self.0.iter().find(lacks).map(|(candidate, _)| candidate.name.as_str())
    }

    pub(super) fn say(&self) {
        for (candidate, reason) in &self.0 {
            eprintln!("setup: no BPF compiler: {}: {reason}", candidate.name);
        }
    }
}

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
        let about = Command::new(&rustc).arg("-vV").read();
        let about = about.map_err(|error| Unfit::Broken(format!("{error:#}")))?;
        // ldd fails where there is nothing to load.
        let loaded = Command::new("ldd").arg(&rustc).read().unwrap_or_default();
        let mut compiler = self.judge(&about, &loaded)?;
        // One library, one name: the loader's way to it varies with the environment.
        if let Ok(path) = compiler.llvm_library.path.canonicalize() {
            compiler.llvm_library.path = path;
        }
        Ok(compiler)
    }

    /// By what rustc says of itself, and what ldd says of rustc.
    fn judge(&self, about: &str, loaded: &str) -> Result<Compiler, Unfit> {
        let silent = || Unfit::Broken("rustc tells neither release nor LLVM version".into());
        let release = field(about, "release: ").ok_or_else(silent)?;
        if version(release) < version(env!("CARGO_PKG_RUST_VERSION")) {
            return Err(Unfit::Old(release.into()));
        }
        let llvm = field(about, "LLVM version: ")
            .and_then(|text| text.split('.').next()?.parse().ok())
            .ok_or_else(silent)?;
        if !linker::LLVM.contains(&llvm) {
            return Err(Unfit::Llvm(llvm));
        }
        let llvm_library = llvm_library(loaded).ok_or(Unfit::StaticLlvm)?;
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
            let name = rustc.display().to_string();
            found.push(Candidate { name, sysroot, by_rustup: false });
        }
    }
    found
}

/// A line of `rustup toolchain list -v`: a name, perhaps notes in parentheses, and a path.
fn listed(line: &str) -> Option<Candidate> {
    let name = line.split_whitespace().next()?;
    let sysroot = Path::new(line.get(line.find('/')?..)?.trim_end());
    // Those that rustup installed lie in a folder of their name.
    let by_rustup = sysroot.ends_with(name) && !sysroot.is_symlink();
    Some(Candidate { name: name.into(), sysroot: sysroot.into(), by_rustup })
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The first two numbers of `1.96.0+dfsg1-1~deb12u2` and its like.
pub(super) fn version(text: &str) -> Option<Version> {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const DEBIAN: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
        binary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
    const LOADED: &str = "\tlinux-vdso.so.1 (0x00007f7b15321000)\n\
        \tlibLLVM.so.22.1 => /lib/x86_64-linux-gnu/libLLVM.so.22.1 (0x00007f7634e00000)\n\
        \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f7b0be1e000)\n";

    /// What becomes of a toolchain in a sysroot with or without the standard library's source.
    fn judge(about: &str, loaded: &str, source: bool) -> Result<Compiler, Unfit> {
        let sysroot = tempfile::tempdir().unwrap();
        let library = sysroot.path().join("lib/rustlib/src/rust/library");
        // rustup leaves the folders behind.
        fs::create_dir_all(library.join("core")).unwrap();
        if source {
            fs::write(library.join("core/Cargo.toml"), "").unwrap();
        }
        let sysroot = sysroot.path().into();
        Candidate { name: "some".into(), sysroot, by_rustup: true }.judge(about, loaded)
    }

    #[test]
    fn a_compiler_is_taken_for_what_it_has() {
        let found = judge(DEBIAN, LOADED, true).ok().unwrap();
        assert_eq!(found.to_string(), "rustc 1.96.0 (LLVM 22) by some");
        assert_eq!(found.llvm_library.soname, "libLLVM.so.22.1");
        assert_eq!(found.llvm_library.path, Path::new("/lib/x86_64-linux-gnu/libLLVM.so.22.1"));
    }

    #[test]
    fn a_compiler_is_refused_for_what_it_lacks() {
        let reason = |about: &str, loaded, source| judge(about, loaded, source).err().unwrap();
        assert_eq!(reason(DEBIAN, LOADED, false), Unfit::NoSource);
        let old = DEBIAN.replace("1.96.0", "1.85.1");
        assert_eq!(reason(&old, LOADED, true), Unfit::Old("1.85.1".into()));
        let late = DEBIAN.replace("22.1.8", "31.0.0");
        assert_eq!(reason(&late, LOADED, true), Unfit::Llvm(31));
        let missing = "\tlibLLVM.so.22.1 => not found\n";
        assert_eq!(reason(DEBIAN, missing, true), Unfit::StaticLlvm);
        assert!(matches!(reason("rustc 1.96.0", LOADED, true), Unfit::Broken(_)));
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(version("1.96.0+dfsg1-1~deb12u2"), Some((1, 96)));
        assert_eq!(version("1.97.0-nightly"), Some((1, 97)));
        assert!(version("1.100.0") > version("1.95"));
        assert_eq!(version("nightly"), None);
    }

    #[test]
    fn what_the_user_chose_goes_first_and_what_is_in_use_second() {
        let list = "stable-x86_64-unknown-linux-gnu (active, default) /home/a b/.rustup/stable\n\
            nightly-x86_64-unknown-linux-gnu /home/a b/.rustup/nightly\n\
            1.95.0-x86_64-unknown-linux-gnu /home/a b/.rustup/1.95.0\n\
            capture-bpf /usr\n";
        let mut found: Vec<_> = list.lines().filter_map(listed).collect();
        assert_eq!(found[0].sysroot, Path::new("/home/a b/.rustup/stable"));
        found.sort_by_key(|each| each.rank(Some("1.95.0-x86_64-unknown-linux-gnu")));
        let sysroots: Vec<_> = found.iter().map(|each| each.sysroot.to_str().unwrap()).collect();
        let rustup = |name| format!("/home/a b/.rustup/{name}");
        assert_eq!(sysroots, ["/usr", &rustup("1.95.0"), &rustup("nightly"), &rustup("stable")]);
        assert_eq!(listed("no installed toolchains"), None);
    }
}
