//! Running other programs: a failure always names the command that failed.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf, absolute};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

/// What this crate does with a [`Command`].
pub(crate) trait Tool {
    /// Runs it in the open; a status other than 0 is an error.
    fn run(&mut self) -> Result<()>;
    /// Its standard output; what it said on standard error is part of the error.
    fn read(&mut self) -> Result<String>;
    /// Becomes it, so that signals and its exit status pass through. Returns only to fail.
    fn become_it(&mut self) -> Result<()>;
    /// As a user would type it.
    fn line(&self) -> String;
}

impl Tool for Command {
    fn run(&mut self) -> Result<()> {
        let status = self.status().with_context(|| format!("can't run `{}`", self.line()))?;
        if !status.success() {
            bail!("`{}` failed: {status}", self.line());
        }
        Ok(())
    }

    fn read(&mut self) -> Result<String> {
        let output = self
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("can't run `{}`", self.line()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{}` failed: {}: {}", self.line(), output.status, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn become_it(&mut self) -> Result<()> {
        let error = self.exec();
        Err(error).with_context(|| format!("can't run `{}`", self.line()))
    }

    fn line(&self) -> String {
        let words: Vec<_> = std::iter::once(self.get_program())
            .chain(self.get_args())
            .map(|word| word.to_string_lossy())
            .collect();
        words.join(" ")
    }
}

/// The cargo that runs this, at the workspace's root.
pub(crate) fn cargo() -> Command {
    cargo_at(&env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// A given cargo, or a program that calls one, at the workspace's root.
///
/// What the outer cargo has told this crate about itself would otherwise reach build scripts
/// of the inner one, and make it build again what is fresh.
pub(crate) fn cargo_at(program: &OsStr) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace());
    if let Some(target) = env::var_os("CARGO_TARGET_DIR") {
        // The user's, which is relative to where the user is.
        command.env("CARGO_TARGET_DIR", absolute(&target).unwrap_or(target.into()));
    }
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if own.iter().any(|prefix| text.starts_with(prefix))
            || matches!(text, "RUSTC" | "RUSTC_WORKSPACE_WRAPPER")
        {
            command.env_remove(&name);
        }
    }
    command
}

/// The workspace's root.
pub(crate) fn workspace() -> PathBuf {
    let own =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&own).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// The target folder: this program lies in its `debug`, wherever the user has put it.
pub(crate) fn target() -> Result<PathBuf> {
    let own = env::current_exe().context("can't tell where this program lies")?;
    let folder = own.ancestors().nth(2).context("this program lies outside of a target folder")?;
    Ok(folder.to_path_buf())
}

/// Where a program is, looking also where the system's own lie: a user's `PATH` may leave
/// those out. A whole path is looked at where it is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|file| fs::metadata(file).is_ok_and(|found| found.is_file()))
}
