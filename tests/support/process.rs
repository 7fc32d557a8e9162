//! Child processes whose output is read as it comes and that never outlive their test.
#![allow(dead_code, reason = "each test target uses a part")]

use std::io::Read;
use std::mem;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::wait;

/// Runs `command` to its end; its standard output. Panics where it fails.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("command starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {stderr}", output.status);
    String::from_utf8(output.stdout).expect("output is text")
}

/// A running child. Killed and reaped when dropped.
pub(crate) struct Process {
    child: Child,
    stdout: Option<Tap>,
    stderr: Tap,
}

/// What a child left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Process {
    /// Starts `command` with its standard output kept.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_into(command, Stdio::piped())
    }

    /// Starts `command` with its standard output going to `stdout`.
    pub(crate) fn start_into(command: &mut Command, stdout: Stdio) -> Self {
        Self::spawn(command.stdin(Stdio::null()), stdout)
    }

    /// Starts `command` with its standard output kept, and its standard input to be written.
    pub(crate) fn start_fed(command: &mut Command) -> (Self, ChildStdin) {
        let mut process = Self::spawn(command.stdin(Stdio::piped()), Stdio::piped());
        let stdin = process.child.stdin.take().expect("standard input is piped");
        (process, stdin)
    }

    fn spawn(command: &mut Command, stdout: Stdio) -> Self {
        command.stdout(stdout).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().map(Tap::new);
        let stderr = Tap::new(child.stderr.take().expect("standard error is piped"));
        Self { child, stdout, stderr }
    }

    /// The process itself: `ip netns exec` and `setpriv` become what they start.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Standard output until now, where it is kept.
    pub(crate) fn stdout(&self) -> Vec<u8> {
        self.stdout.as_ref().map(Tap::until_now).unwrap_or_default()
    }

    /// Standard error until now.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.until_now()).into_owned()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("child can be waited for").is_some()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("child takes signals");
    }

    /// Signals the child's process group, which it must lead.
    pub(crate) fn signal_group(&self, signal: Signal) {
        let group = Pid::from_child(&self.child);
        kill_process_group(group, signal).expect("group takes signals");
    }

    /// Waits for the child to end by itself.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Ended {
        let status = wait::poll(|| self.child.try_wait().expect("child can be waited for"));
        let Some(status) = status else {
            panic!("still running after {:?}; it said:\n{}", wait::DEADLINE, self.stderr());
        };
        let stdout = self.stdout.as_mut().map(Tap::whole).unwrap_or_default();
        let stderr = String::from_utf8_lossy(&self.stderr.whole()).into_owned();
        Ended { status, stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail where it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a pipe to its end on a thread of its own, so that the writer never blocks.
struct Tap {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Tap {
    fn new(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut chunk = vec![0; 1 << 16];
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                sink.lock().expect("no reader panics").extend_from_slice(&chunk[..count]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn until_now(&self) -> Vec<u8> {
        self.bytes.lock().expect("no reader panics").clone()
    }

    fn whole(&mut self) -> Vec<u8> {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no reader panics");
        }
        mem::take(&mut self.bytes.lock().expect("no reader panics"))
    }
}
