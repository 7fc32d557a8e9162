//! The system's packages, by apt: as root they are installed, for others the commands are said.
//!
//! A package of a server starts it, and this machine may have other plans for port 80. So while
//! packages are installed, services are held back by a policy (invoke-rc.d(8)), and afterwards
//! those that came are kept from starting with the machine.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::privileges::Privileges;
use crate::tool::{Tool as _, find};

/// Asked by every package before it starts a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Tells a policy of ours that was left behind.
const MARK: &str = "# Written by capture-agent's `cargo xtask`, for the time that it runs.";
/// Packages whose service has the same name.
const SERVERS: [&str; 2] = ["nginx", "prometheus"];

/// The version that would be installed, as far as the package lists know.
pub(super) fn candidate(package: &str) -> Option<String> {
    parse_candidate(&Command::new("apt-cache").args(["policy", package]).read().ok()?)
}

fn parse_candidate(policy: &str) -> Option<String> {
    let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (candidate != "(none)").then(|| candidate.to_owned())
}

/// Fetches the package lists.
pub(super) fn update() -> Result<()> {
    eprintln!("setup: apt-get update");
    apt(&["update"]).run()
}

/// Installs packages as root; otherwise fails with the commands that would.
pub(super) fn install(packages: &[&str], purpose: &str, privileges: &Privileges) -> Result<()> {
    let names = packages.join(" ");
    if find("apt-get").is_none() {
        bail!("{purpose} need packages that only apt is known to bring here: {names}");
    }
    if !privileges.root() {
        bail!(
            "not root, so nothing was installed. For {purpose}:\n  \
             sudo apt-get update\n  sudo apt-get install --no-install-recommends {names}"
        );
    }
    if packages.iter().any(|package| candidate(package).is_none()) {
        update()?;
    }
    eprintln!("setup: apt-get install {names} ({purpose})");
    let _held_back = HeldBack::new()?;
    let mut arguments = vec!["install", "--yes", "--no-remove", "--no-install-recommends"];
    arguments.extend(packages);
    if let Err(error) = apt(&arguments).run() {
        // Lists of last month, or an installation that was interrupted.
        eprintln!("setup: {error:#}; once more with new lists");
        let _ = Command::new("dpkg").args(["--configure", "-a"]).run();
        update()?;
        apt(&arguments).run()?;
    }
    for server in SERVERS.iter().filter(|server| packages.contains(server)) {
        Command::new("update-rc.d").args([server, "disable"]).run()?;
        eprintln!("setup: {server}'s service is not started, neither now nor with the machine");
    }
    Ok(())
}

fn apt(arguments: &[&str]) -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0"])
        .args(arguments)
        // Three lines a package; what goes wrong is said on standard error.
        .stdout(Stdio::null());
    apt
}

/// While this lives, no package starts a service. A policy that the machine has already stands.
struct HeldBack;

impl HeldBack {
    fn new() -> Result<Option<Self>> {
        if fs::read_to_string(POLICY).is_ok_and(|policy| !policy.contains(MARK)) {
            eprintln!("setup: services start or not by this machine's {POLICY}");
            return Ok(None);
        }
        let own = std::env::current_exe().context("can't tell where this program lies")?;
        let policy = policy(std::process::id(), &own);
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o755)
            .open(POLICY)
            .and_then(|mut file| file.write_all(policy.as_bytes()))
            .with_context(|| format!("can't write {POLICY}"))?;
        Ok(Some(Self))
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(POLICY) {
            eprintln!("setup: can't remove {POLICY}: {error}");
        }
    }
}

/// Holds services back (101: forbidden) only while process `pid` runs `program`: if that is
/// killed and leaves the policy behind, it does no harm.
fn policy(pid: u32, program: &Path) -> String {
    let program = program.display();
    format!("#!/bin/sh\n{MARK}\n[ /proc/{pid}/exe -ef '{program}' ] && exit 101\nexit 0\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_what_would_be_installed() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  \
            Version table:\n     1.96.0+dfsg1-1~deb12u2 500\n";
        assert_eq!(parse_candidate(policy).unwrap(), "1.96.0+dfsg1-1~deb12u2");
        // A package that others name, but that no list has.
        assert_eq!(parse_candidate("x:\n  Installed: (none)\n  Candidate: (none)\n"), None);
        // Nothing is known of it.
        assert_eq!(parse_candidate(""), None);
    }

    #[test]
    fn the_policy_forbids_while_its_program_runs_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let status = |pid: u32, program: &Path| {
            let file = folder.path().join("policy-rc.d");
            fs::write(&file, policy(pid, program)).unwrap();
            Command::new("sh").arg(&file).status().unwrap().code()
        };
        let own = std::env::current_exe().unwrap();
        assert_eq!(status(std::process::id(), &own), Some(101));
        assert_eq!(status(u32::MAX, &own), Some(0));
        // The number went to another program since.
        assert_eq!(status(std::process::id(), Path::new("/bin/sh")), Some(0));
    }
}
