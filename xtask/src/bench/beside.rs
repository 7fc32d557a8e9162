//! What runs beside the server: started, known to be ready, ended as Ctrl-C does, and accounted for.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use wait4::Wait4 as _;

use crate::tool::Tool as _;

/// A program that is not ready by then will not be.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// A running program. Killed when dropped.
pub(super) struct Beside {
    child: Option<Child>,
    pid: Pid,
    line: String,
    stderr: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    cpu_before: Duration,
}

/// What it took and said.
pub(super) struct Ended {
    pub(super) success: bool,
    /// Processor time since it was ready.
    pub(super) cpu: Duration,
    pub(super) resident_bytes: u64,
    pub(super) stderr: String,
}

impl Beside {
    /// Starts it; returns when its standard error has a line that begins with `ready`, if anything.
    pub(super) fn start(command: &mut Command, ready: &str) -> Result<Self> {
        let line = command.line();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("can't run `{line}`"))?;
        let mut pipe = child.stderr.take().context("standard error is piped")?;
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&stderr);
        let reader = Some(thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                if let (Ok(mut sink), Some(bytes)) = (sink.lock(), chunk.get(..count)) {
                    sink.extend_from_slice(bytes);
                }
            }
        }));
        let pid = Pid::from_child(&child);
        let cpu_before = Duration::ZERO;
        let mut beside = Self { child: Some(child), pid, line, stderr, reader, cpu_before };
        beside.wait_for(ready)?;
        beside.mark()?;
        Ok(beside)
    }

    fn wait_for(&mut self, ready: &str) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        let is_ready =
            |said: &str| ready.is_empty() || said.lines().any(|it| it.starts_with(ready));
        while !is_ready(&self.said()) {
            let child = self.child.as_mut().context("it was started")?;
            if child.try_wait()?.is_some() || Instant::now() > end {
                bail!("`{}` is not ready; it said: {}", self.line, self.said());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn said(&self) -> String {
        let said = self.stderr.lock().map(|said| said.clone()).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Its processor time counts from now on.
    fn mark(&mut self) -> Result<()> {
        self.cpu_before = self.cpu()?;
        Ok(())
    }

    /// Processor time of all its threads until now; of threads that have ended, none.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.pid.as_raw_nonzero()));
        let mut nanos = 0;
        for task in fs::read_dir(tasks)? {
            let stat = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanos += stat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Ends it as Ctrl-C does.
    pub(super) fn stop(mut self) -> Result<Ended> {
        kill_process(self.pid, Signal::INT)?;
        let used = self.child.take().context("it was started")?.wait4()?;
        let said = self.reader.take().map(JoinHandle::join);
        ensure!(said.is_some_and(|said| said.is_ok()), "nobody read what `{}` said", self.line);
        let stderr = self.said();
        // Some have a status of their own for what stopped them.
        ensure!(used.status.code().is_some(), "`{}`: {}: {stderr}", self.line, used.status);
        let cpu = (used.rusage.utime + used.rusage.stime).saturating_sub(self.cpu_before);
        Ok(Ended {
            success: used.status.success(),
            cpu,
            resident_bytes: used.rusage.maxrss,
            stderr,
        })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
