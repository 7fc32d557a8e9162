//! What was found, as it is written in JSON Lines. The JSON Schema is generated from these types.
//!
//! Invariants: names once given stay; `null` is what is not known or could not be looked at.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use crate::output::json_line;

/// What was found on a host.
#[derive(Debug)]
pub struct Report {
    /// The host.
    pub host: HostRecord,
    /// Its interfaces that were looked at.
    pub interfaces: Vec<InterfaceRecord>,
    /// What there is to say of them.
    pub findings: Vec<Finding>,
    /// What `run` would do.
    pub verdict: VerdictRecord,
}

/// A line of output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line<'a> {
    /// The host; comes first.
    Host(&'a HostRecord),
    /// An interface.
    Interface(&'a InterfaceRecord),
    /// What there is to say of the host or of an interface.
    Finding(&'a Finding),
    /// What `run` would do; comes last.
    Verdict(&'a VerdictRecord),
}

impl Report {
    /// Its lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let interfaces = self.interfaces.iter().map(Line::Interface);
        let findings = self.findings.iter().map(Line::Finding);
        std::iter::once(Line::Host(&self.host))
            .chain(interfaces)
            .chain(findings)
            .chain([Line::Verdict(&self.verdict)])
    }

    /// Writes them as JSON Lines.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_lines(&self, to: &mut impl Write) -> io::Result<()> {
        self.lines().try_for_each(|line| to.write_all(&json_line(&line)?))
    }
}

/// The JSON Schema of a line.
#[must_use]
pub fn schema() -> schemars::Schema {
    let settings = schemars::generate::SchemaSettings::default().for_serialize();
    settings.into_generator().into_root_schema_for::<Line<'_>>()
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// It could not be looked at.
    Unseen,
    /// A capture works, and does not show or cost what one would think.
    Warning,
    /// Keeps a capture from working.
    Fault,
}

/// Something that there is to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What was looked at: `kernel`, `capabilities`, `xdp` and so on.
    pub check: &'static str,
    /// Network namespace as `--netns` named it; `null` for the agent's own, and for the host.
    pub netns: Option<String>,
    /// The interface that it is about; `null` for the host.
    pub iface: Option<String>,
    /// What was found.
    pub found: String,
    /// What follows from it for a capture.
    pub means: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    /// Of the host; [`Self::of`] gives it an interface.
    pub(super) fn new(severity: Severity, check: &'static str, found: impl Into<String>) -> Self {
        let found = found.into();
        Self { severity, check, netns: None, iface: None, found, means: None, advice: None }
    }

    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(Severity::Ok, check, found)
    }

    pub(super) fn note(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(Severity::Note, check, found)
    }

    pub(super) fn unseen(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(Severity::Unseen, check, found)
    }

    pub(super) fn warning(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(Severity::Warning, check, found)
    }

    pub(super) fn fault(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(Severity::Fault, check, found)
    }

    pub(super) fn means(mut self, means: impl Into<String>) -> Self {
        self.means = Some(means.into());
        self
    }

    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    pub(super) fn of(mut self, netns: Option<&str>, iface: &str) -> Self {
        (self.netns, self.iface) = (netns.map(str::to_owned), Some(iface.to_owned()));
        self
    }
}

/// The host, as far as it matters to a capture.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct HostRecord {
    /// Version of the agent.
    pub agent: &'static str,
    /// Whether the agent was built with its kernel half.
    pub kernel_half: bool,
    /// Release of the kernel, as `uname -r` has it.
    pub kernel: String,
    /// Architecture, as `uname -m` has it.
    pub machine: String,
    /// CPUs that the agent may run on.
    pub cpus: u32,
    /// Whether the kernel tells its types (BTF); the agent does without.
    pub btf: bool,
    /// Those that the process has, of the capabilities that can matter to it.
    pub capabilities: Option<Vec<&'static str>>,
    /// Whether the process is in another user namespace than the host's.
    pub user_namespace: Option<bool>,
    /// Whether system calls of the process are filtered.
    pub seccomp: Option<bool>,
    /// `none`, `integrity` or `confidentiality`.
    pub lockdown: Option<String>,
    /// Limit of locked memory in bytes, where there is one; kernels before 5.11 count maps by it.
    pub memlock_bytes: Option<u64>,
    /// Limit of memory of the control groups that the process is in, where there is one; newer
    /// kernels count maps by it.
    pub memory_limit_bytes: Option<u64>,
    /// `net.core.bpf_jit_enable`: 0 off, 1 on, 2 on and noisy.
    pub jit: Option<u32>,
    /// `net.core.bpf_jit_harden`: 0 off, 1 for the unprivileged, 2 for all.
    pub jit_harden: Option<u32>,
    /// `kernel.unprivileged_bpf_disabled`: 0 no, 1 for good, 2 yes.
    pub unprivileged_bpf_disabled: Option<u32>,
    /// `kernel.bpf_stats_enabled`: whether the kernel measures each run of a program.
    pub bpf_stats: Option<bool>,
    /// Where control groups (version 2) are mounted.
    pub cgroup2: Option<String>,
}

impl HostRecord {
    /// Whether the process is known to have this capability.
    pub(super) fn has(&self, capability: &str) -> bool {
        self.capabilities.as_ref().is_some_and(|all| all.contains(&capability))
    }
}

/// An interface, as far as it matters to a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InterfaceRecord {
    /// Network namespace as `--netns` named it; `null` for the agent's own.
    pub netns: Option<String>,
    /// Its name.
    pub iface: String,
    /// Its index.
    pub ifindex: u32,
    /// Whether `run` would capture on it.
    pub chosen: bool,
    /// `ethernet`, `loopback` or `other`: what its frames look like.
    pub frames: &'static str,
    /// `veth`, `bridge`, `bond` and so on; `null` for network cards.
    pub kind: Option<String>,
    /// Its driver.
    pub driver: Option<String>,
    /// Whether it is up.
    pub up: bool,
    /// Whether its link is up.
    pub carrier: Option<bool>,
    /// Bytes of a packet at most.
    pub mtu: Option<u32>,
    /// Queues in use, receiving.
    pub rx_queues: Option<u32>,
    /// Queues in use, sending.
    pub tx_queues: Option<u32>,
    /// The bridge, bond or the like that it is a port of.
    pub master: Option<String>,
    /// The interface that it is upon.
    pub lower: Option<String>,
    /// The other end of a pair, where that is in the same network namespace.
    pub peer: Option<String>,
    /// Whether the other end of a pair is in another network namespace.
    pub peer_elsewhere: bool,
    /// What it or the kernel does with packets beside passing them.
    pub offloads: OffloadsRecord,
    /// What its driver can do with XDP.
    pub xdp: XdpRecord,
    /// The programs on its hooks, in the order in which they see a packet.
    pub programs: Vec<ProgramRecord>,
}

/// Offloads; `null` where that is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OffloadsRecord {
    /// Segments that arrive are merged by the kernel.
    pub gro: Option<bool>,
    /// Segments that arrive are merged by the network card.
    pub lro: Option<bool>,
    /// Segments are cut by the network card.
    pub tso: Option<bool>,
    /// Segments are cut by the kernel, last of all.
    pub gso: Option<bool>,
    /// Checksums are looked at by the network card.
    pub rx_checksum: Option<bool>,
    /// Checksums are filled in by the network card.
    pub tx_checksum: Option<bool>,
}

/// XDP in a driver; `null` where the kernel does not tell (before Linux 6.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct XdpRecord {
    /// Whether the driver runs programs.
    pub native: Option<bool>,
    /// Whether it does so with packets that lie in several pieces.
    pub frags: Option<bool>,
}

/// A program on a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProgramRecord {
    /// `xdp_ingress`, `tc_ingress` or `tc_egress`.
    pub hook: &'static str,
    /// `native`, `generic`, `offloaded`; `tcx`, `netkit`, `clsact`.
    pub way: &'static str,
    /// What kind of filter it is, with clsact: `bpf`, `flower` and so on.
    pub filter: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its id.
    pub id: Option<u32>,
}

/// What `run` would do.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct VerdictRecord {
    /// Whether `run` with the same arguments would capture.
    pub works: bool,
    /// Where it would capture, and how.
    pub attached: Vec<AttachedRecord>,
    /// Why it would not.
    pub reasons: Vec<String>,
}

/// An interface that was attached to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AttachedRecord {
    /// Network namespace as `--netns` named it; `null` for the agent's own.
    pub netns: Option<String>,
    /// The interface.
    pub iface: String,
    /// The hooks.
    pub hooks: Vec<HookRecord>,
}

/// A hook that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HookRecord {
    /// `xdp_ingress`, `tc_ingress` or `tc_egress`.
    pub hook: &'static str,
    /// `native`, `generic`; `tcx`, `clsact`.
    pub way: &'static str,
    /// Why this way.
    pub why: String,
}
