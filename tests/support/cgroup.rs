//! Control groups (version 2) that a test makes, and processes in them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::lab::Namespace;
use super::wait;

/// A control group with what is below it. Removed when dropped, once nothing runs in it.
pub(crate) struct Cgroup {
    folder: PathBuf,
    /// As the agent is to tell it.
    pub(crate) path: String,
}

impl Cgroup {
    /// A new one; `below` is the path of it below one of the test's own.
    #[track_caller]
    pub(crate) fn new(below: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts can be read");
        let mount = mounts
            .lines()
            .find_map(|line| line.contains(" - cgroup2 ").then(|| line.split(' ').nth(4))?);
        let mount = mount.unwrap_or_else(|| {
            panic!("this test takes control groups of version 2: `mount -t cgroup2 none DIR`")
        });
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = format!("/capture-e2e-{}-{count}{below}", std::process::id());
        let folder = PathBuf::from(format!("{mount}{path}"));
        fs::create_dir_all(&folder).unwrap_or_else(|error| {
            panic!("this test makes {}: {error}; it takes a writable cgroup2", folder.display())
        });
        Self { folder, path }
    }

    /// `program`, to be run in this group and in `namespace`, with the host's file systems in sight.
    pub(crate) fn command(&self, namespace: &Namespace, program: &str) -> Command {
        let procs = self.folder.join("cgroup.procs").display().to_string();
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec nsenter --net=/run/netns/\"$@\"", &procs]);
        command.args([namespace.to_string().as_str(), program]);
        command
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let mut folder = self.folder.clone();
        // A group can be removed once its processes are reaped, by whoever that is.
        while folder.to_str().is_some_and(|path| path.contains("/capture-e2e-")) {
            let gone = || fs::remove_dir(&folder).is_ok().then_some(());
            let _ = wait::poll(gone);
            folder.pop();
        }
    }
}
