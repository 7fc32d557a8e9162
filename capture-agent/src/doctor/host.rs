//! The host: kernel, privileges, and settings that matter to a capture.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use aya::util::KernelVersion;
use rustix::process::{Resource, getrlimit};
use rustix::system::uname;
use rustix::thread::{CapabilitySet, capabilities};

use super::report::{Finding, HostRecord};
use crate::owner;
use crate::source::live::{HAS_KERNEL_HALF, HookChoice, LiveConfig, NEEDED_CAPABILITIES};

/// Capabilities that can matter.
const CAPABILITIES: [(CapabilitySet, &str); 9] = [
    (CapabilitySet::BPF, "CAP_BPF"),
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    (CapabilitySet::PERFMON, "CAP_PERFMON"),
    (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN"),
    (CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE"),
    (CapabilitySet::DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"),
    (CapabilitySet::DAC_OVERRIDE, "CAP_DAC_OVERRIDE"),
    (CapabilitySet::NET_RAW, "CAP_NET_RAW"),
    (CapabilitySet::SYS_RESOURCE, "CAP_SYS_RESOURCE"),
];
/// The map of user ids of the host's own user namespace: all of them, onto themselves.
const ALL_IDS: [&str; 3] = ["0", "0", "4294967295"];
/// Less memory than this is little: rings, flows and bodies are to fit.
const LITTLE_MEMORY: u64 = 256 << 20;

/// Looks at the host.
pub(super) fn look() -> HostRecord {
    let name = uname();
    let cpus = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cgroup2 = owner::cgroup_mount();
    HostRecord {
        agent: env!("CARGO_PKG_VERSION"),
        kernel_half: HAS_KERNEL_HALF,
        kernel: name.release().to_string_lossy().into_owned(),
        machine: name.machine().to_string_lossy().into_owned(),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        capabilities: effective(),
        user_namespace: read("/proc/self/uid_map").map(|map| map.split_whitespace().ne(ALL_IDS)),
        seccomp: status("Seccomp:").map(|mode| mode != "0"),
        lockdown: read("/sys/kernel/security/lockdown").and_then(|text| in_force(&text)),
        memlock_bytes: getrlimit(Resource::Memlock).current,
        memory_limit_bytes: cgroup2.as_deref().and_then(memory_limit),
        jit: sysctl("net/core/bpf_jit_enable"),
        jit_harden: sysctl("net/core/bpf_jit_harden"),
        unprivileged_bpf_disabled: sysctl("kernel/unprivileged_bpf_disabled"),
        bpf_stats: sysctl("kernel/bpf_stats_enabled").map(|enabled| enabled != 0),
        cgroup2: cgroup2.as_deref().and_then(mount_point),
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn sysctl(name: &str) -> Option<u32> {
    read(&format!("/proc/sys/{name}"))?.trim().parse().ok()
}

fn status(field: &str) -> Option<String> {
    let status = read("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().to_owned())
}

fn effective() -> Option<Vec<&'static str>> {
    let has = capabilities(None).ok()?.effective;
    let all = CAPABILITIES.iter().filter(|(capability, _)| has.contains(*capability));
    Some(all.map(|(_, name)| *name).collect())
}

/// The one in brackets: `none [integrity] confidentiality`.
fn in_force(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(mode, _)| mode.to_owned())
}

/// Where it is mounted, as the process sees it that has it: `/proc/PID/root` comes before.
fn mount_point(seen: &Path) -> Option<String> {
    let below: PathBuf = seen.components().skip("/proc/PID/root".split('/').count()).collect();
    Some(format!("/{}", below.to_str()?))
}

/// The lowest limit of the process's control group and of those above it.
fn memory_limit(mount: &Path) -> Option<u64> {
    let groups = read("/proc/self/cgroup")?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let limit = |path: &Path| {
        fs::read_to_string(mount.join(path).join("memory.max")).ok()?.trim().parse().ok()
    };
    Path::new(group).ancestors().filter_map(limit).min()
}

/// What there is to say of it.
pub(super) fn findings(host: &HostRecord, config: &LiveConfig) -> Vec<Finding> {
    let mut found = vec![kernel_half(host), kernel(host, config), btf(host), capability(host)];
    found.extend(more_capabilities(host, config));
    found.extend([user_namespace(host), seccomp(host), lockdown(host), memory(host)]);
    found.extend(jit(host));
    found.extend(bpf_settings(host));
    found.push(cgroup2(host));
    found
}

fn kernel_half(host: &HostRecord) -> Finding {
    if host.kernel_half {
        return Finding::ok("kernel_half", "the agent has its kernel half inside");
    }
    Finding::fault("kernel_half", "the agent was built without its kernel half")
        .means("nothing can be captured live; capture files can be read")
        .advice("build it with `cargo xtask run`")
}

fn kernel(host: &HostRecord, config: &LiveConfig) -> Finding {
    let release = format!("Linux {} on {}", host.kernel, host.machine);
    let Ok(version) = KernelVersion::current() else {
        return Finding::unseen("kernel", format!("{release}: no version to compare"));
    };
    let is_since = |major, minor| version >= KernelVersion::new(major, minor, 0);
    if !is_since(5, 8) {
        return Finding::warning("kernel", format!("{release} is older than 5.8"))
            .means("it has no BPF ring buffers, unless its distributor has brought them")
            .advice("use Linux 5.8 or newer");
    }
    if !is_since(5, 18) && config.hook == HookChoice::Xdp {
        return Finding::fault("kernel", format!("{release} is older than 5.18"))
            .means("its XDP can't read all of a packet")
            .advice("leave out --hook xdp");
    }
    if !is_since(6, 6) {
        return Finding::note("kernel", format!("{release} is older than 6.6, which brought TCX"))
            .means("TC programs are attached as filters of a clsact queueing discipline");
    }
    Finding::ok("kernel", format!("{release}: ring buffers, TCX, XDP"))
}

fn btf(host: &HostRecord) -> Finding {
    if host.btf {
        return Finding::ok("btf", "the kernel tells its types (/sys/kernel/btf/vmlinux)");
    }
    Finding::note("btf", "the kernel does not tell its types (no /sys/kernel/btf/vmlinux)")
        .means("nothing for a capture: the agent does without")
}

fn capability(host: &HostRecord) -> Finding {
    let Some(has) = &host.capabilities else {
        return Finding::unseen("capabilities", "the kernel does not tell them");
    };
    let stands_for = |name: &str| name != "CAP_NET_ADMIN" && has.contains(&"CAP_SYS_ADMIN");
    let needed = NEEDED_CAPABILITIES.iter().map(|(_, name)| *name);
    let missing: Vec<_> = needed.filter(|name| !has.contains(name) && !stands_for(name)).collect();
    if missing.is_empty() {
        return Finding::ok("capabilities", has.join(", "));
    }
    let agent = std::env::current_exe().unwrap_or_else(|_| "capture-agent".into());
    Finding::fault("capabilities", format!("the process lacks {}", missing.join(" and ")))
        .means("it may not load BPF programs or attach them")
        .advice(format!(
            "run it with `sudo`, or allow it once with `sudo setcap cap_bpf,cap_perfmon,cap_net_admin+ep {}`",
            agent.display()
        ))
}

/// Those that only some captures take.
fn more_capabilities(host: &HostRecord, config: &LiveConfig) -> Vec<Finding> {
    let Some(has) = &host.capabilities else { return Vec::new() };
    // To list what a process has open, and then to look at each of it.
    let may_list = has.contains(&"CAP_DAC_READ_SEARCH") || has.contains(&"CAP_DAC_OVERRIDE");
    let may_look = has.contains(&"CAP_SYS_PTRACE");
    let for_owners = [(may_look, "CAP_SYS_PTRACE"), (may_list, "CAP_DAC_READ_SEARCH")];
    let for_owners = for_owners.iter().filter(|(has, _)| !has).map(|(_, name)| *name);
    let for_owners = for_owners.collect::<Vec<_>>().join(" and ");

    let mut found = Vec::new();
    let mut lacks = |name: &str, is_needed, means: &str, advice: &str| {
        if is_needed && !has.contains(&name) {
            let finding = Finding::warning("capabilities", format!("the process lacks {name}"));
            found.push(finding.means(means).advice(advice));
        }
    };
    lacks(
        &for_owners,
        !for_owners.is_empty(),
        "whose sockets the ends of flows are is known for processes of its own user alone",
        "run it with `sudo`, or leave that out with --no-owner",
    );
    lacks(
        "CAP_SYS_ADMIN",
        !config.netns.is_empty(),
        "it may not enter another network namespace",
        "run it with `sudo`, or within the namespace: `ip netns exec NAME capture-agent ...`",
    );
    lacks(
        "CAP_NET_RAW",
        config.sensor.is_some(),
        "it may not make an interface promiscuous",
        "run it with `sudo`, or add cap_net_raw to what `setcap` allows it",
    );
    found
}

fn user_namespace(host: &HostRecord) -> Finding {
    match host.user_namespace {
        Some(false) => Finding::ok("user_namespace", "the host's own"),
        Some(true) => Finding::warning("user_namespace", "the process is in a user namespace")
            .means("its capabilities count there, and the kernel asks for the host's")
            .advice("run it outside of the container, or have the container be privileged"),
        None => Finding::unseen("user_namespace", "/proc does not tell"),
    }
}

fn seccomp(host: &HostRecord) -> Finding {
    match host.seccomp {
        Some(false) => Finding::ok("seccomp", "no system call is filtered"),
        Some(true) => Finding::note("seccomp", "system calls of the process are filtered")
            .means("the filter may refuse bpf(2), as that of containers does by default")
            .advice("if `run` is refused, allow bpf(2), or run it outside of the container"),
        None => Finding::unseen("seccomp", "/proc does not tell"),
    }
}

fn lockdown(host: &HostRecord) -> Finding {
    match host.lockdown.as_deref() {
        Some("none") => Finding::ok("lockdown", "none"),
        Some(mode) => Finding::note("lockdown", format!("the kernel is locked down: {mode}"))
            .means("programs may not read the kernel's memory, which the agent's do not do")
            .advice("if `run` is refused all the same, see the kernel's log (`dmesg`)"),
        None => Finding::ok("lockdown", "the kernel has no lockdown, or does not show it"),
    }
}

fn memory(host: &HostRecord) -> Finding {
    let is_counted_by_group =
        KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(5, 11, 0));
    let may_lift = host.has("CAP_SYS_RESOURCE");
    let mib = |bytes: u64| bytes >> 20;
    match (host.memlock_bytes, host.memory_limit_bytes) {
        (Some(limit), _) if !is_counted_by_group && !may_lift => {
            let found = format!("locked memory is limited to {} KiB", limit >> 10);
            Finding::warning("memory", found)
                .means("this kernel counts rings and maps as locked memory")
                .advice("run it with `sudo`, or lift the limit: `ulimit -l unlimited`")
        }
        (_, Some(limit)) if limit < LITTLE_MEMORY => {
            let found = format!("the control group's memory is limited to {} MiB", mib(limit));
            Finding::warning("memory", found)
                .means("rings and flows must fit into that")
                .advice("raise the limit, or choose smaller ones: --ring-size, --memory-limit")
        }
        (_, Some(limit)) => {
            let found = format!("control group's limit: {} MiB", mib(limit));
            Finding::ok("memory", found)
        }
        (_, None) if is_counted_by_group => {
            Finding::ok("memory", "no limit; the kernel does not count maps as locked memory")
        }
        (_, None) => Finding::ok("memory", "no limit, or one that the agent lifts"),
    }
}

fn jit(host: &HostRecord) -> Vec<Finding> {
    let jit = match host.jit {
        Some(0) => Finding::warning("jit", "the kernel interprets BPF programs")
            .means("each packet costs several times as much")
            .advice("`sysctl -w net.core.bpf_jit_enable=1`"),
        Some(1) => Finding::ok("jit", "BPF programs are compiled"),
        Some(_) => Finding::note("jit", "BPF programs are compiled, and written to the log")
            .advice("`sysctl -w net.core.bpf_jit_enable=1`"),
        None => Finding::unseen("jit", "net.core.bpf_jit_enable can't be read")
            .means("only the host's own network namespace shows it"),
    };
    let harden = match host.jit_harden {
        Some(2) => Some(
            Finding::note("jit_harden", "BPF programs are hardened, those of root too")
                .means("each packet costs a little more")
                .advice("if that matters: `sysctl -w net.core.bpf_jit_harden=1`"),
        ),
        _ => None,
    };
    std::iter::once(jit).chain(harden).collect()
}

fn bpf_settings(host: &HostRecord) -> Vec<Finding> {
    let unprivileged = match host.unprivileged_bpf_disabled {
        Some(0) => Finding::note("unprivileged_bpf", "unprivileged users may load BPF programs")
            .means("nothing for a capture: the agent does not need that")
            .advice("to forbid it: `sysctl -w kernel.unprivileged_bpf_disabled=2`"),
        Some(_) => Finding::ok("unprivileged_bpf", "only who has CAP_BPF may load BPF programs"),
        None => Finding::ok("unprivileged_bpf", "the kernel has no such thing"),
    };
    let stats = host.bpf_stats.filter(|enabled| *enabled).map(|_| {
        Finding::note("bpf_stats", "the kernel measures each run of each BPF program")
            .means("each packet costs some tens of nanoseconds more")
            .advice("`sysctl -w kernel.bpf_stats_enabled=0`")
    });
    std::iter::once(unprivileged).chain(stats).collect()
}

fn cgroup2(host: &HostRecord) -> Finding {
    match &host.cgroup2 {
        Some(path) => Finding::ok("cgroup2", format!("mounted at {path}")),
        // It may be mounted where only others see it, as after `ip netns exec`.
        None if !host.has("CAP_SYS_PTRACE") => {
            Finding::unseen("cgroup2", "no control groups of version 2 can be seen from here")
                .means("`cgroup` and `container` of exchanges stay null")
                .advice("run it with `sudo`")
        }
        None => Finding::note("cgroup2", "no control groups of version 2 are mounted")
            .means("`cgroup` and `container` of exchanges stay null; `process` is found all the same")
            .advice("`mount -t cgroup2 none /sys/fs/cgroup/unified`, or start with systemd's unified hierarchy"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;
    use crate::doctor::tests::config;

    #[test]
    fn the_lockdown_in_force_is_the_one_in_brackets() {
        assert_eq!(in_force("none [integrity] confidentiality\n").as_deref(), Some("integrity"));
        assert_eq!(in_force("[none] integrity confidentiality\n").as_deref(), Some("none"));
        assert_eq!(in_force(""), None);
    }

    /// A host with nothing wrong.
    fn well() -> HostRecord {
        HostRecord {
            kernel_half: true,
            btf: true,
            capabilities: Some(CAPABILITIES.iter().map(|(_, name)| *name).collect()),
            user_namespace: Some(false),
            seccomp: Some(false),
            lockdown: Some("none".to_owned()),
            jit: Some(1),
            jit_harden: Some(0),
            unprivileged_bpf_disabled: Some(2),
            bpf_stats: Some(false),
            cgroup2: Some("/sys/fs/cgroup".to_owned()),
            ..HostRecord::default()
        }
    }

    /// What is said by each check that has more to say than that all is well; of the kernel that runs
    /// the test, nothing.
    fn said(host: &HostRecord) -> Vec<(&'static str, Severity)> {
        let found = findings(host, &config(HookChoice::Tc)).into_iter();
        let odd = found.filter(|it| it.severity != Severity::Ok && it.check != "kernel");
        odd.inspect(|it| assert!(it.severity < Severity::Warning || it.advice.is_some(), "{it:?}"))
            .map(|finding| (finding.check, finding.severity))
            .collect()
    }

    #[test]
    fn each_fault_of_a_host_is_named() {
        use Severity::{Fault, Note, Unseen, Warning};
        assert_eq!(said(&well()), []);
        let no_half = HostRecord { kernel_half: false, ..well() };
        assert_eq!(said(&no_half), [("kernel_half", Fault)]);
        assert_eq!(said(&HostRecord { btf: false, ..well() }), [("btf", Note)]);
        let nobody = HostRecord { capabilities: Some(Vec::new()), ..well() };
        assert_eq!(said(&nobody), [("capabilities", Fault), ("capabilities", Warning)]);
        let without = |lacking: &[&str]| {
            let all = CAPABILITIES.iter().map(|(_, name)| *name);
            let has = Some(all.filter(|name| !lacking.contains(name)).collect());
            said(&HostRecord { capabilities: has, ..well() })
        };
        assert_eq!(without(&["CAP_SYS_PTRACE"]), [("capabilities", Warning)]);
        let lists = ["CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE"];
        assert_eq!(without(&lists), [("capabilities", Warning)]);
        assert_eq!(without(&lists[..1]), []);
        let contained = HostRecord { user_namespace: Some(true), seccomp: Some(true), ..well() };
        assert_eq!(said(&contained), [("user_namespace", Warning), ("seccomp", Note)]);
        let locked = HostRecord { lockdown: Some("confidentiality".to_owned()), ..well() };
        assert_eq!(said(&locked), [("lockdown", Note)]);
        let small = HostRecord { memory_limit_bytes: Some(64 << 20), ..well() };
        assert_eq!(said(&small), [("memory", Warning)]);
        assert_eq!(said(&HostRecord { jit: Some(0), ..well() }), [("jit", Warning)]);
        assert_eq!(said(&HostRecord { jit: None, ..well() }), [("jit", Unseen)]);
        assert_eq!(said(&HostRecord { jit_harden: Some(2), ..well() }), [("jit_harden", Note)]);
        let open = HostRecord { unprivileged_bpf_disabled: Some(0), ..well() };
        assert_eq!(said(&open), [("unprivileged_bpf", Note)]);
        assert_eq!(said(&HostRecord { bpf_stats: Some(true), ..well() }), [("bpf_stats", Note)]);
        assert_eq!(said(&HostRecord { cgroup2: None, ..well() }), [("cgroup2", Note)]);
    }

    #[test]
    fn this_host_is_looked_at() {
        let host = look();
        assert!(!host.kernel.is_empty() && !host.machine.is_empty() && host.cpus > 0, "{host:?}");
        assert!(host.seccomp.is_some() && host.user_namespace.is_some(), "{host:?}");
    }
}
