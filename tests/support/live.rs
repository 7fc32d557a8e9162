//! The agent as its users run it: the binary, its arguments, its signals, what it writes.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use super::lab::Namespace;
use super::process::{Ended, Process};
use super::wait;

/// The binary under test.
pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_capture-agent");

/// `capture-agent` with `arguments`, separated by spaces, to be run in `namespace`.
pub(crate) fn command(namespace: &Namespace, arguments: &str) -> Command {
    let mut command = namespace.command(AGENT);
    command.args(arguments.split_whitespace());
    command
}

/// A capture that has begun.
pub(crate) struct Agent(Process);

impl Agent {
    /// `capture-agent run` with `arguments` and its output as JSON Lines; it captures when this
    /// returns.
    #[track_caller]
    pub(crate) fn run(namespace: &Namespace, arguments: &str) -> Self {
        let arguments = format!("run --format jsonl {arguments}");
        Self::started(Process::start(&mut command(namespace, &arguments)))
    }

    /// Waits until `process`, an agent, captures.
    #[track_caller]
    pub(crate) fn started(mut process: Process) -> Self {
        wait::until("the agent captures", || {
            let stderr = process.stderr();
            let begins =
                |line: &str| line.starts_with("capturing on ") || line.starts_with("no interface");
            let began = stderr.lines().any(begins);
            assert!(began || !process.has_ended(), "the agent ended: {stderr}");
            began
        });
        Self(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Standard output until now.
    pub(crate) fn stdout(&self) -> Vec<u8> {
        self.0.stdout()
    }

    /// Standard error until now.
    pub(crate) fn stderr(&self) -> String {
        self.0.stderr()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.0.signal(signal);
    }

    pub(crate) fn signal_group(&self, signal: Signal) {
        self.0.signal_group(signal);
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.has_ended()
    }

    /// Ends the capture as Ctrl-C does; what it wrote. Panics unless it ends well.
    #[track_caller]
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::INT);
        let ended = self.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("does not balance"), "{}", ended.stderr);
        ended
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub(crate) fn wait(self) -> Ended {
        self.0.wait()
    }
}

impl Ended {
    /// The objects of standard output of this type, in the order of their time: those of different
    /// flows may come from different workers.
    #[track_caller]
    pub(crate) fn objects(&self, kind: &str) -> Vec<Value> {
        let mut objects = objects(&self.stdout, kind);
        let time = |object: &Value| {
            let time = object.get("time").or(object.get("start"));
            time.and_then(Value::as_str).map(str::to_owned)
        };
        objects.sort_by_key(time);
        objects
    }

    /// The one line of standard error that says what went wrong, of a run that ended with `code`.
    #[track_caller]
    pub(crate) fn complaint(&self, code: i32) -> &str {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        let complains =
            |line: &&str| ["capture-agent: ", "error: "].iter().any(|it| line.starts_with(it));
        let complaints: Vec<_> = self.stderr.lines().filter(complains).collect();
        let [complaint] = complaints[..] else { panic!("not one complaint: {}", self.stderr) };
        complaint
    }
}

/// The objects of this type in JSON Lines, in their order.
#[track_caller]
pub(crate) fn objects(lines: &[u8], kind: &str) -> Vec<Value> {
    let lines = std::str::from_utf8(lines).expect("JSON Lines are UTF-8").lines();
    let objects = lines.map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    objects.filter(|object| object["type"] == kind).collect()
}
