//! Arguments for scripts.

use std::path::PathBuf;

use bytesize::ByteSize;
use capture_agent::script::ScriptSettings;
use clap::{Args, ValueEnum};

/// A script, and what it may do.
#[derive(Clone, Debug, Args)]
pub(crate) struct ScriptArgs {
    /// Call the functions of a Lua script with what is captured; only what it prints goes to
    /// standard output then, unless --output - or --format asks for more
    ///
    /// It defines any of exchange(e), flow_opened(f), flow_closed(f), sent(f, bytes),
    /// received(f, bytes) and finished(): docs/scripting.md, with examples. Bodies are there as far as
    /// --bodies keeps them.
    #[arg(long, value_name = "FILE.lua")]
    script: Option<PathBuf>,
    /// Folder whose files the script may read and write; without it, it may use none
    #[arg(long, value_name = "DIR", requires = "script")]
    script_dir: Option<PathBuf>,
    /// What an error of the script does
    #[arg(long, value_name = "WHAT", default_value = "end", requires = "script")]
    script_errors: ScriptErrorsArg,
    /// Most steps (instructions of Lua) that a call of the script may take
    #[arg(long, value_name = "N", default_value_t = 100_000_000, requires = "script",
          value_parser = clap::value_parser!(u64).range(1..))]
    script_steps: u64,
    /// Most memory that the script may take, with the exchanges that it holds
    #[arg(long, value_name = "SIZE", default_value = "256MiB", requires = "script",
          value_parser = parse_memory)]
    script_memory: ByteSize,
}

/// What an error of a script does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ScriptErrorsArg {
    /// It ends the capture, with status 1
    End,
    /// It is counted, and the first ones are said
    Count,
}

impl ScriptArgs {
    /// Whether there is one.
    pub(crate) const fn is_given(&self) -> bool {
        self.script.is_some()
    }

    /// What is asked for, if a script is.
    pub(crate) fn settings(&self, shows_secrets: bool) -> Option<ScriptSettings> {
        Some(ScriptSettings {
            file: self.script.clone()?,
            dir: self.script_dir.clone(),
            max_steps: self.script_steps,
            max_memory_bytes: usize::try_from(self.script_memory.as_u64()).unwrap_or(usize::MAX),
            counts_errors: self.script_errors == ScriptErrorsArg::Count,
            shows_secrets,
        })
    }
}

/// Sizes in which Lua has room for its own library.
fn parse_memory(text: &str) -> Result<ByteSize, String> {
    text.parse()
        .ok()
        .filter(|size| *size >= ByteSize::mib(1))
        .ok_or_else(|| format!("'{text}' is not a size from 1MiB on"))
}
