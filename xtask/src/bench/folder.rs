//! Where things lie while a benchmark runs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::interrupt;
use crate::run;

const PREFIX: &str = "capture-bench";

/// Removed when dropped, with all that is in it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(within: &Path) -> Result<Self> {
        interrupt::watch()?;
        let path = within.join(format!("{PREFIX}-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("can't make {}", path.display()))?;
        Ok(Self(path))
    }

    /// The agent as it is now, whatever is built while it is measured.
    pub(super) fn agent(&self) -> Result<PathBuf> {
        let (built, copy) = (run::build()?, self.0.join("capture-agent"));
        fs::copy(&built, &copy).with_context(|| format!("can't copy {}", built.display()))?;
        Ok(copy)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("bench: can't remove {}: {error}", self.0.display());
        }
    }
}
