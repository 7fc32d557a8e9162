//! A server and a client, each in a network namespace of its own, joined by a wire.
//!
//! As `tests/support/lab.rs`, but for errors, and for what a benchmark needs. Both ends of the wire
//! are made inside the namespaces; the host's interfaces are not touched.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::privileges::Privileges;
use crate::tool::Tool as _;

const PREFIX: &str = "capture-bench";
/// The interface at both ends of the wire.
pub(super) const WIRE: &str = "eth0";
/// The server's address.
pub(super) const SERVER: &str = "10.78.0.1";

pub(super) struct Lab {
    pub(super) server: Namespace,
    pub(super) client: Namespace,
}

impl Lab {
    pub(super) fn new() -> Result<Self> {
        if !Privileges::own()?.root() {
            bail!(
                "this makes network namespaces and loads BPF programs, which takes root: \
                 sudo env \"PATH=$PATH\" \"HOME=$HOME\" cargo xtask bench"
            );
        }
        sweep()?;
        let (server, client) = (Namespace::new("server")?, Namespace::new("client")?);
        let peer = client.name.as_str();
        server.ip(&format!("link add {WIRE} type veth peer name {WIRE} netns {peer}"))?;
        for (end, host) in [(&server, 1), (&client, 2)] {
            end.ip("link set lo up")?;
            end.ip(&format!("address add 10.78.0.{host}/24 dev {WIRE}"))?;
            end.ip(&format!("link set {WIRE} up"))?;
        }
        Ok(Self { server, client })
    }
}

/// Removed when dropped, with what still runs inside.
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    fn new(role: &str) -> Result<Self> {
        let name = format!("{PREFIX}-{}-{role}", std::process::id());
        Command::new("ip").args(["netns", "add", &name]).read()?;
        Ok(Self { name })
    }

    /// `program`, to be run inside.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// `ip` with `arguments`, separated by spaces, inside.
    pub(super) fn ip(&self, arguments: &str) -> Result<()> {
        let mut ip = Command::new("ip");
        ip.args(["-netns", &self.name]).args(arguments.split(' ')).read().map(drop)
    }

    /// Runs `body` on a thread of its own inside.
    pub(super) fn enter<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let handle = File::open(Path::new("/run/netns").join(&self.name))
            .with_context(|| format!("no namespace {}", self.name))?;
        let inside = move || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(handle.as_fd(), network)?;
            body()
        };
        let ended = thread::scope(|scope| scope.spawn(inside).join());
        ended.unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.name) {
            eprintln!("bench: {error:#}");
        }
    }
}

/// Removes namespaces of runs that were killed.
fn sweep() -> Result<()> {
    for line in Command::new("ip").args(["netns", "list"]).read()?.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let rest = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-'));
        let maker = rest.and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|maker| !Path::new("/proc").join(maker).exists()) {
            remove(name)?;
        }
    }
    Ok(())
}

fn remove(name: &str) -> Result<()> {
    let inside = Command::new("ip").args(["netns", "pids", name]).read();
    for pid in inside.unwrap_or_default().lines() {
        if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    Command::new("ip").args(["netns", "delete", name]).read().map(drop)
}
