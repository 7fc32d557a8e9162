//! Every command of README and of the pages in `docs`, run as it is written.
//!
//! A command ends well unless its page shows `error: ` under it (then its status is 2), or asks for
//! the status by `echo $?` after it. One that runs until Ctrl-C gets that once clients have asked for
//! everything; `curl` after it is run before, as in another terminal. What is shown under a
//! command must be printed, by its shape.

mod host;
mod known;
mod shape;

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use self::host::Host;
use self::known::NOT_RUN;
use crate::support::pages::{Line, Page};
use crate::support::process::Process;
use crate::support::wait;

macro_rules! pages {
    ($($name:ident: $page:literal)*) => {
        const PAGES: &[&str] = &[$($page),*];
        $(#[test] fn $name() { run_page($page); })*
    };
}

pages! {
    readme: "README.md"
    anomalies: "docs/anomalies.md"
    config: "docs/config.md"
    files: "docs/files.md"
    filters: "docs/filters.md"
    live: "docs/live.md"
    metrics: "docs/metrics.md"
    outputs: "docs/outputs.md"
    performance: "docs/performance.md"
    privacy: "docs/privacy.md"
    scripting: "docs/scripting.md"
    trouble: "docs/trouble.md"
}

#[test]
fn every_page_is_run() {
    for page in Page::all() {
        assert!(PAGES.contains(&page.name.as_str()), "{} is not among `pages!`", page.name);
    }
}

#[test]
fn what_is_not_run_is_there() {
    let commands: Vec<_> = Page::all().iter().flat_map(Page::commands).collect();
    for (start, _why) in NOT_RUN {
        let is_there = commands.iter().any(|line| line.command.starts_with(start));
        assert!(is_there, "no page has a command that begins with '{start}'");
    }
}

fn run_page(name: &str) {
    let Some(page) = Page::find(name) else { return };
    let mut commands = page.commands();
    let mut seen: Vec<String> = Vec::new();
    // What the text names again need not be run again.
    commands.retain(|line| {
        let is_new = !line.shown.is_empty() || !seen.contains(&line.command);
        seen.push(line.command.clone());
        is_new && !is_not_run(line)
    });
    if commands.is_empty() {
        return;
    }
    let mut session = Session { host: Host::new(), running: None, faults: Vec::new() };
    for (number, line) in commands.iter().enumerate() {
        let asks = |line: &Line| line.command == "echo $?";
        let next = commands.get(number + 1).filter(|next| asks(next));
        if !asks(line) {
            session.run(line, next);
        }
    }
    session.end_running();
    let faults = session.faults.join("\n\n");
    assert!(faults.is_empty(), "{name}:\n{faults}");
}

fn is_not_run(line: &Line) -> bool {
    NOT_RUN.iter().any(|(start, _why)| line.command.starts_with(start))
}

/// A terminal, and another one.
struct Session {
    // Dropped before its host.
    running: Option<Running>,
    host: Host,
    faults: Vec<String>,
}

impl Session {
    /// Begins a command, and sees its end where it ends by itself.
    fn run(&mut self, line: &Line, asks_status: Option<&Line>) {
        match &mut self.running {
            Some(running) if line.command.starts_with("curl ") => running.see_all(&self.host),
            _ => self.end_running(),
        }
        if let Some(unknown) = known::unknown(&line.command) {
            let why = format!("'{unknown}' is not known: see tests/e2e/docs/known.rs");
            return self.faults.push(format!("line {}: {}\n{why}", line.line, line.command));
        }
        let mut running = Running::start(&self.host, line, asks_status);
        let begun = wait::poll(|| (running.has_ended() || running.goes_on()).then_some(()));
        if begun.is_none() || running.has_ended() {
            return self.faults.extend(running.judge());
        }
        running.rounds = self.host.rounds();
        self.running = Some(running);
    }

    /// Presses Ctrl-C where something still runs, after it has seen all that there is.
    fn end_running(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        running.see_all(&self.host);
        if running.has_ended() || running.ends_itself() {
            return self.faults.extend(running.judge());
        }
        self.faults.extend(self.host.in_silence(|| {
            running.press_ctrl_c();
            running.judge()
        }));
    }
}

/// A command that has begun, in a group of processes of its own.
struct Running {
    process: Process,
    line: Line,
    /// With which it should end.
    status: i32,
    /// How often clients had asked for everything when it began to capture.
    rounds: usize,
}

impl Running {
    fn start(host: &Host, line: &Line, asks_status: Option<&Line>) -> Self {
        let is_refused = line.shown.iter().any(|line| line.starts_with("error: "));
        let status = match asks_status.and_then(|line| line.shown.first()) {
            Some(status) => status.parse().expect("a status is a number"),
            None => {
                if is_refused {
                    2
                } else {
                    0
                }
            }
        };
        let process = Process::start(&mut host.shell(&line.command));
        Self { process, line: line.clone(), status, rounds: 0 }
    }

    fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// Waits until it has seen all that clients ask for, or has ended.
    fn see_all(&mut self, host: &Host) {
        let goes_on = !self.ends_itself();
        wait::poll(|| {
            let has_seen = host.rounds() - self.rounds >= 2 && self.has_printed();
            (self.has_ended() || (goes_on && has_seen)).then_some(())
        });
    }

    fn ends_itself(&self) -> bool {
        self.line.command.contains("--count")
    }

    /// Whether it captures, which nothing but Ctrl-C may end.
    fn goes_on(&self) -> bool {
        let begins = ["capturing on ", "no interface", "tcpdump: listening on "];
        let says = |line: &str| begins.iter().any(|begin| line.starts_with(begin));
        self.process.stderr().lines().any(says) || self.has_programs_in_the_kernel()
    }

    /// With `--quiet` nothing is said.
    fn has_programs_in_the_kernel(&self) -> bool {
        self.group().iter().any(|(process, _)| {
            let files = fs::read_dir(format!("/proc/{}/fd", process.as_raw_pid()));
            let mut files = files.into_iter().flatten().flatten();
            let is_link = |to: PathBuf| to.to_string_lossy().ends_with("bpf_link");
            files.any(|file| fs::read_link(file.path()).is_ok_and(is_link))
        })
    }

    /// Whether all that is shown has been printed, but for what is printed at the end.
    fn has_printed(&self) -> bool {
        let at_end = self.line.shown.iter().position(|line| line == "^C");
        let shown = &self.line.shown[..at_end.unwrap_or(self.line.shown.len())];
        let (stdout, stderr) = (self.process.stdout(), self.process.stderr());
        shape::missing(shown, &format!("{}{stderr}", String::from_utf8_lossy(&stdout))).is_empty()
    }

    /// Signals who captures. A terminal would signal all of a pipeline; the others end by themselves,
    /// and have read all there was.
    fn press_ctrl_c(&self) {
        for (process, name) in self.group() {
            if ["capture-agent", "tcpdump"].contains(&name.as_str()) {
                let _ = kill_process(process, Signal::INT);
            }
        }
    }

    /// What went wrong, once it has ended.
    fn judge(mut self) -> Option<String> {
        let whole = wait::poll(|| self.has_ended().then_some(()));
        for (process, _) in self.group() {
            let _ = kill_process(process, Signal::KILL);
        }
        let ended = self.process.wait();
        let printed = String::from_utf8_lossy(&ended.stdout) + ended.stderr.as_str();
        let mut faults = Vec::new();
        if whole.is_none() {
            faults.push("it does not end".to_owned());
        } else if ended.status.code() != Some(self.status) {
            faults.push(format!("it ended with {}, and not {}", ended.status, self.status));
        }
        let bad = ["panicked at", "does not balance", "command not found"];
        faults.extend(bad.iter().filter(|bad| printed.contains(*bad)).map(|bad| (*bad).to_owned()));
        let missing = shape::missing(&self.line.shown, &printed);
        faults.extend(missing.iter().map(|line| format!("not printed: {line}")));
        let Line { line, command, .. } = &self.line;
        let faults = faults.join("\n");
        (!faults.is_empty())
            .then(|| format!("line {line}: {command}\n{faults}\nprinted:\n{printed}"))
    }

    /// The processes of its group, by name.
    fn group(&self) -> Vec<(Pid, String)> {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let of_group = pids.filter_map(|pid: i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
            let group: u32 = rest.split_whitespace().nth(2)?.parse().ok()?;
            (group == self.process.pid()).then_some((Pid::from_raw(pid)?, name.to_owned()))
        });
        of_group.collect()
    }
}
