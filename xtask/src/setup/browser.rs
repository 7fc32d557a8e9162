//! What drives the browser of the end-to-end tests: playwright-core, in the version that
//! `tests/browser/package-lock.json` names, in `browser/` of the target folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::tool::{Tool as _, target, workspace};

const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// Installs it, unless what lies there is of the same lock file.
pub(super) fn install() -> Result<()> {
    let (from, to) = (workspace().join("tests/browser"), target()?.join("browser"));
    if is_there(&from, &to) {
        return Ok(());
    }
    eprintln!("setup: npm ci, in {}", to.display());
    // What is left of another version shall not pass for this one where this is interrupted.
    let _ = fs::remove_dir_all(&to);
    fs::create_dir_all(&to).with_context(|| format!("can't make {}", to.display()))?;
    for name in FILES {
        fs::copy(from.join(name), to.join(name))
            .with_context(|| format!("can't copy {name} to {}", to.display()))?;
    }
    let mut npm = Command::new("npm");
    // No script of a package is run; the browser itself is the system's.
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(&to);
    npm.run()
}

/// npm writes its own list last, when all that is on it is there.
fn is_there(from: &Path, to: &Path) -> bool {
    let read = |folder: &Path| fs::read(folder.join("package-lock.json")).ok();
    let is_done = to.join("node_modules/.package-lock.json").exists();
    is_done && read(from).is_some_and(|wanted| read(to) == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_names_versions_and_no_place_they_come_from() {
        let lock = fs::read_to_string(workspace().join("tests/browser/package-lock.json")).unwrap();
        assert!(lock.contains("\"integrity\": \"sha512-"));
        assert!(!lock.contains("\"resolved\"") && !lock.contains("http"), "{lock}");
    }
}
