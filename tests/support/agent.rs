//! The agent's command, run to its end.
#![allow(dead_code, reason = "each test target uses a part")]

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A call of the agent.
pub(crate) struct Agent(Command);

impl Agent {
    pub(crate) fn new() -> Self {
        Self::of(Command::new(env!("CARGO_BIN_EXE_capture-agent")))
    }

    /// The agent under a limit, as the shell has it.
    pub(crate) fn limited(limit: &str) -> Self {
        let mut shell = Command::new("sh");
        let exec = format!("{limit} && exec \"$0\" \"$@\"");
        shell.args(["-c", &exec, env!("CARGO_BIN_EXE_capture-agent")]);
        Self::of(shell)
    }

    fn of(mut command: Command) -> Self {
        command.env("TZ", "UTC").stdin(Stdio::null());
        Self(command)
    }

    /// `capture-agent read FILE`.
    pub(crate) fn read(file: &Path) -> Self {
        Self::new().args(["read"]).args([file])
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.0.args(args);
        self
    }

    /// With these variables in its environment.
    pub(crate) fn variables<'a>(
        mut self,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        self.0.envs(variables);
        self
    }

    pub(crate) fn current_dir(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    pub(crate) fn stdin(mut self, file: &Path) -> Self {
        self.0.stdin(File::open(file).unwrap());
        self
    }

    /// The call, for those who run it themselves.
    pub(crate) fn into_command(self) -> Command {
        self.0
    }

    /// Standard output goes there.
    pub(crate) fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.0.stdout(to);
        self
    }

    /// Standard output, which need not be text, and standard error of a call that succeeds.
    #[track_caller]
    pub(crate) fn run_bytes(mut self) -> (Vec<u8>, String) {
        let output = self.0.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        (output.stdout, stderr)
    }

    pub(crate) fn run(mut self) -> Output {
        let output = self.0.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("does not balance"), "{stderr}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        Output { status: output.status.code(), stdout, stderr }
    }
}

/// What a call left behind. `status` is `None` after a signal.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Standard output as JSON Lines.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        json_lines(&self.stdout)
    }

    /// The line of the summary at the end with which it begins.
    #[track_caller]
    pub(crate) fn ledger(&self) -> &str {
        self.stderr
            .lines()
            .find(|line| line.ends_with(" seen") || line.contains(" seen, "))
            .unwrap()
    }

    /// It failed with this status and one line that says this.
    #[track_caller]
    pub(crate) fn assert_fails(&self, status: i32, says: &str) {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert!(self.stderr.contains(says), "{says:?} is not in {:?}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
