//! A laboratory: a server and a client, each in a network namespace of its own, joined by a wire.
//!
//! Nothing here touches the host's own interfaces: both ends of the wire are made inside the
//! namespaces. The names carry the test's process id, so that what a killed run left behind is
//! known by its dead process and swept by the next one.

use std::fmt;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::process::run;

const PREFIX: &str = "capture-e2e";
const NETNS_DIR: &str = "/run/netns";

/// The interface at both ends of the wire.
pub(crate) const WIRE: &str = "eth0";

/// Which addresses a test talks over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// A server and a client, joined by a wire: `eth0` at either end.
pub(crate) struct Lab {
    pub(crate) server: Namespace,
    pub(crate) client: Namespace,
}

impl Lab {
    /// Both ends up and addressed, packets merged as the kernel does by itself.
    pub(crate) fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "end-to-end tests make network namespaces, which takes root: run them by `sudo`, or \
             run `cargo test --test offline` without them"
        );
        let (server, client) = Namespace::pair();
        let (client_name, wire) = (client.name.as_str(), WIRE);
        server.ip(&format!("link add {wire} type veth peer name {wire} netns {client_name}"));
        for (end, host) in [(&server, 1), (&client, 2)] {
            end.ip(&format!("address add 10.77.0.{host}/24 dev {wire}"));
            end.ip(&format!("address add fd77::{host}/64 dev {wire} nodad"));
            end.ip(&format!("link set {wire} up"));
        }
        Self { server, client }
    }

    /// As [`Lab::new`], with each segment in a packet of its own, as on a wire.
    pub(crate) fn unmerged() -> Self {
        let lab = Self::new();
        for end in [&lab.server, &lab.client] {
            // The first is for what TCP hands down, the second for what goes out and comes in.
            end.ip(&format!("link set {WIRE} gso_max_segs 1"));
            let mut offloads = end.command("ethtool");
            run(offloads.args(["-K", WIRE, "tso", "off", "gso", "off", "gro", "off"]));
        }
        lab
    }

    /// As [`Lab::new`], with segments merged beyond the 64 KiB that an IP header can tell, as
    /// Linux does for IPv6 where it is allowed to.
    pub(crate) fn jumbo() -> Self {
        let lab = Self::new();
        for end in [&lab.server, &lab.client] {
            end.ip(&format!("link set {WIRE} gso_max_size 500000 gro_max_size 500000"));
        }
        lab
    }

    /// The server's address.
    pub(crate) fn address(family: Family) -> IpAddr {
        match family {
            Family::V4 => [10, 77, 0, 1].into(),
            Family::V6 => [0xfd77, 0, 0, 0, 0, 0, 0, 1].into(),
        }
    }

    /// The server's URL for `path`.
    pub(crate) fn url(family: Family, path: &str) -> String {
        match Self::address(family) {
            IpAddr::V4(address) => format!("http://{address}{path}"),
            IpAddr::V6(address) => format!("http://[{address}]{path}"),
        }
    }
}

/// A network namespace with `lo` up. Removed when dropped.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// A single host, with `lo` alone.
    pub(crate) fn alone() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{count}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]));
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace.enter(be_patient);
        namespace
    }

    fn pair() -> (Self, Self) {
        (Self::alone(), Self::alone())
    }

    /// `program`, to be run inside.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// `ip` with `arguments`, separated by spaces, inside.
    #[track_caller]
    pub(crate) fn ip(&self, arguments: &str) -> String {
        run(Command::new("ip").args(["-netns", &self.name]).args(arguments.split(' ')))
    }

    /// `tc` with `arguments`, separated by spaces, inside.
    #[track_caller]
    pub(crate) fn tc(&self, arguments: &str) -> String {
        run(Command::new("tc").args(["-netns", &self.name]).args(arguments.split(' ')))
    }

    /// Runs `body` on a thread of its own inside.
    pub(crate) fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let handle = File::open(Path::new(NETNS_DIR).join(&self.name)).expect("namespace is there");
        let inside = move || {
            move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&handle),
                Some(LinkNameSpaceType::Network),
            )
            .expect("namespace can be entered");
            body()
        };
        let ended = thread::scope(|scope| scope.spawn(inside).join());
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Has TCP wait for acknowledgements, which are late on a busy machine, before it sends again what
/// was not lost: then a segment that is seen twice was seen twice by the agent's fault.
fn be_patient() {
    for (setting, value) in [("tcp_early_retrans", "0"), ("tcp_rto_min_us", "5000000")] {
        // The second one is of Linux 6.11; without it a machine must be very busy to matter.
        let _ = fs::write(Path::new("/proc/sys/net/ipv4").join(setting), value);
    }
}

/// Removes namespaces of runs that are no more.
fn sweep() {
    let Ok(entries) = fs::read_dir(NETNS_DIR) else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let rest = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-'));
        let maker = rest.and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|maker| !Path::new("/proc").join(maker).exists()) {
            remove(&name);
        }
    }
}

/// Removes a namespace with what still runs inside. What is gone already is as well: two runs may
/// sweep at once.
fn remove(name: &str) {
    let inside = Command::new("ip").args(["netns", "pids", name]).output();
    let inside = inside.map(|output| output.stdout).unwrap_or_default();
    for pid in String::from_utf8_lossy(&inside).lines() {
        if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let _ = Command::new("ip").args(["netns", "delete", name]).output();
}
