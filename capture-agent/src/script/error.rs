//! What can be wrong with a script.

use std::io;
use std::path::PathBuf;

use super::functions;

/// What is wrong with a script.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It can't be read.
    #[error("cannot read the script {}: {error}", path.display())]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Its folder can't be used.
    #[error("cannot use the script's folder {}: {error}", path.display())]
    Dir {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is no Lua, or fails before anything is captured.
    #[error("cannot use the script: {why}")]
    Load {
        /// File, line, and what is wrong there.
        why: String,
    },
    /// It defines no function that would be called.
    #[error("{path} defines none of the functions that are called: {}", functions::list())]
    NothingToCall {
        /// The script.
        path: String,
    },
    /// It wants bytes as they were on the wire, and secrets are not to be shown.
    #[error(
        "the script defines {name}(), which gets bytes as they were on the wire, with the secrets in \
         them: give it --show-secrets, or use exchange(e)"
    )]
    Secrets {
        /// The function.
        name: &'static str,
    },
    /// One of its functions has failed.
    #[error("the script has failed in {function}(): {why}")]
    Failed {
        /// Which.
        function: &'static str,
        /// File, line, and what is wrong there.
        why: String,
    },
}

impl ScriptError {
    /// Whether it was found before anything was captured: the agent was called wrongly.
    #[must_use]
    pub const fn is_misuse(&self) -> bool {
        !matches!(self, Self::Failed { .. })
    }
}
