//! `cargo xtask setup`: a compiler for the kernel half, and a linker that reads what it writes.
//!
//! Nothing is installed twice, and nothing is believed: each part is looked at where it lies, so
//! an interrupted set-up is simply done again. With everything there that takes some 100 ms.

mod browser;
mod compiler;
mod linker;
mod obtain;
mod packages;

use std::path::PathBuf;

use anyhow::Result;

use crate::privileges::Privileges;
use crate::tool::{find, target};

pub(crate) use compiler::Compiler;

/// What builds the kernel half.
pub(crate) struct Toolchain {
    pub(crate) compiler: Compiler,
    /// bpf-linker, with the LLVM of `compiler`.
    pub(crate) linker: PathBuf,
}

/// How much to tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// What was found as well.
    Everything,
    /// What is being installed.
    Changes,
}

impl Report {
    fn found(self, what: std::fmt::Arguments<'_>) {
        if self == Self::Everything {
            eprintln!("setup: {what}");
        }
    }
}

/// Finds the toolchain of the kernel half, and installs what is missing of it.
pub(crate) fn toolchain(report: Report) -> Result<Toolchain> {
    let compiler = match Compiler::find() {
        Ok(found) => {
            report.found(format_args!("BPF compiler: {found}"));
            found
        }
        Err(unfit) => {
            let installed = obtain::compiler(&unfit)?;
            eprintln!("setup: BPF compiler: {installed}");
            installed
        }
    };
    let folder = target()?.join("bpf");
    let linker = match linker::find(&folder, &compiler) {
        Some(found) => {
            report.found(format_args!("BPF linker: {found}"));
            found
        }
        None => {
            let installed = linker::install(&folder, &compiler)?;
            eprintln!("setup: BPF linker: {installed}");
            installed
        }
    };
    Ok(Toolchain { compiler, linker: linker.path })
}

/// Programs of the end-to-end tests and modules of the system's Python, which other Pythons do not
/// see, with the packages that bring them.
const SERVERS_AND_CLIENTS: [(&str, &str); 21] = [
    ("nginx", "nginx"),
    ("curl", "curl"),
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("tcpdump", "tcpdump"),
    ("jq", "jq"),
    ("tshark", "tshark"),
    ("chromium", "chromium"),
    ("man", "man-db"),
    ("mandoc", "mandoc"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("systemd-analyze", "systemd"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("/usr/bin/python3", "python3"),
    ("/usr/lib/python3/dist-packages/brotli.py", "python3-brotli"),
    ("/usr/lib/python3/dist-packages/websockets/__init__.py", "python3-websockets"),
    ("/usr/lib/python3/dist-packages/zstandard/__init__.py", "python3-zstandard"),
    ("prometheus", "prometheus"),
    ("/usr/lib/python3/dist-packages/prometheus_client/__init__.py", "python3-prometheus-client"),
];

/// What benchmarks measure the agent beside, and what makes the load.
const PEERS: [(&str, &str); 9] = [
    ("tcpdump", "tcpdump"),
    ("httpry", "httpry"),
    ("ngrep", "ngrep"),
    ("tcpflow", "tcpflow"),
    ("tshark", "tshark"),
    ("nginx", "nginx"),
    ("wrk", "wrk"),
    ("curl", "curl"),
    ("ip", "iproute2"),
];

/// Installs what the end-to-end tests need and this machine lacks.
pub(crate) fn servers_and_clients(privileges: &Privileges) -> Result<()> {
    programs(&SERVERS_AND_CLIENTS, "the end-to-end tests", privileges)?;
    browser::install()
}

/// Installs what benchmarks need and this machine lacks.
pub(crate) fn peers(privileges: &Privileges) -> Result<()> {
    programs(&PEERS, "benchmarks", privileges)
}

fn programs(needed: &[(&str, &str)], purpose: &str, privileges: &Privileges) -> Result<()> {
    let missing: Vec<_> = needed
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    packages::install(&missing, purpose, privileges)
}
