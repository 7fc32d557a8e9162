//! What can keep a live capture from starting or going on.

use std::io;
use std::path::PathBuf;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

/// Why a live capture can't start or go on. Each is one line, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The agent was built without its kernel half.
    #[error("this agent was built without its kernel half; build it with `cargo xtask run`")]
    NoKernelHalf,
    /// No interface of this name.
    #[error("there is no interface '{name}'; there are: {there}")]
    NoSuchInterface {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        there: String,
    },
    /// The interface is down.
    #[error("the interface '{0}' is down; bring it up with `ip link set {0} up`")]
    InterfaceDown(String),
    /// The interface has no Ethernet headers to parse.
    #[error("the interface '{0}' carries no Ethernet frames; choose one that does, or 'lo'")]
    NotEthernet(String),
    /// The interfaces could not be watched.
    #[error("can't watch interfaces come and go: {0}")]
    Watch(#[source] io::Error),
    /// No network namespace of this name, process or path.
    #[error(
        "there is no network namespace '{name}': no name that `ip netns` has ({}), no process, no \
         path",
        if there.is_empty() { "there are none".to_owned() } else { there.join(", ") }
    )]
    NoSuchNamespace {
        /// As the user named it.
        name: String,
        /// The names that there are.
        there: Vec<String>,
    },
    /// The process may not enter a network namespace.
    #[error(
        "entering the network namespace '{0}' takes CAP_SYS_ADMIN, and CAP_SYS_PTRACE for another \
         user's process; run it with `sudo`"
    )]
    NamespaceRefused(String),
    /// What the user named is there, and no network namespace.
    #[error("'{0}' is no network namespace, or is none any more")]
    NotANamespace(String),
    /// A network namespace could not be entered for another reason.
    #[error("can't enter the network namespace '{name}': {reason}")]
    Namespace {
        /// As the user named it.
        name: String,
        /// Why.
        reason: String,
    },
    /// It went wrong in a network namespace that the user named.
    #[error("in the network namespace '{netns}': {source}")]
    Within {
        /// As the user named it.
        netns: String,
        /// What went wrong.
        source: Box<LiveError>,
    },
    /// The thread for a network namespace could not be started.
    #[error("can't start a thread: {0}")]
    Thread(#[source] io::Error),
    /// Neither an IPv4 nor an IPv6 default route.
    #[error("there is no default route to tell the interface by; name one with `--iface`")]
    NoDefaultRoute,
    /// The kernel did not list its interfaces.
    #[error("can't list the network interfaces: {0}")]
    Interfaces(#[source] io::Error),
    /// The process lacks capabilities.
    #[error(
        "a live capture needs {missing}, which this process does not have; run it with `sudo`, \
         or allow it once with `sudo setcap cap_bpf,cap_perfmon,cap_net_admin+ep {}`",
        agent.display()
    )]
    Capability {
        /// Names of those that are missing.
        missing: String,
        /// Path of the running program.
        agent: PathBuf,
    },
    /// The kernel refuses although the capabilities are there.
    #[error(
        "the kernel does not let this process use BPF although it has the capabilities; \
         run it outside of the container or user namespace, and see whether a lockdown or \
         seccomp policy is in force"
    )]
    Refused,
    /// The kernel has no ring buffers for BPF.
    #[error("this kernel has no BPF ring buffers; a live capture needs Linux 5.8 or newer")]
    NoRingBuffers,
    /// The kernel's XDP has no helper that reads all of a packet.
    #[error("XDP capture needs Linux 5.18 or newer; leave out `--hook xdp`")]
    XdpTooOld,
    /// Not enough memory for the ring.
    #[error("the kernel has no memory for a ring of {bytes} bytes; choose a smaller one: {source}")]
    RingMemory {
        /// Its size.
        bytes: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// The object did not load for another reason.
    #[error("the kernel half does not load: {0}")]
    Load(#[source] Box<EbpfError>),
    /// The verifier refused a program.
    #[error("the kernel does not accept the program {program}: {reason}")]
    Program {
        /// Its name.
        program: &'static str,
        /// The error, and the verifier's last word.
        reason: String,
    },
    /// A sensor sees both directions arrive, so it has no use for TC.
    #[error("a mirror port is captured on by XDP; add `--hook xdp` to `--sensor`")]
    SensorByTc,
    /// The host talks over what is to be a mirror port.
    #[error(
        "'{iface}' {has}, so it is no mirror port: {then}; name the interface that traffic is \
         mirrored to, leave out `--sensor`, or add `--force` if that is what you want"
    )]
    NoMirrorPort {
        /// The interface's name.
        iface: String,
        /// What it has that a mirror port has not.
        has: String,
        /// What would happen.
        then: &'static str,
    },
    /// The interface could not be made promiscuous.
    #[error("can't have '{iface}' take frames for others, which needs CAP_NET_RAW: {reason}")]
    Promiscuous {
        /// The interface's name.
        iface: String,
        /// Why.
        reason: String,
    },
    /// Another XDP program has the interface.
    #[error(
        "another XDP program is on '{0}', and there can be only one; leave out `--hook xdp`, \
         or detach it (`bpftool net` shows it)"
    )]
    XdpTaken(String),
    /// Attaching failed for another reason.
    #[error("can't attach {program} to '{iface}': {reason}")]
    Attach {
        /// The program's name.
        program: &'static str,
        /// The interface's name.
        iface: String,
        /// Why.
        reason: String,
    },
    /// The process that cleans up after this one did not start.
    #[error("can't start the process that detaches the TC filters if this one is killed: {0}")]
    Guardian(#[source] io::Error),
    /// A map could not be read or written.
    #[error("can't use the map {map} of the kernel half: {reason}")]
    Map {
        /// Its name.
        map: &'static str,
        /// Why.
        reason: String,
    },
    /// The ring could not be waited on.
    #[error("can't wait for segments: {0}")]
    Wait(#[source] io::Error),
    /// A ring record that this agent can't read.
    #[error("the kernel half wrote a record of {len} bytes that does not hold what it says")]
    Record {
        /// Bytes of the record.
        len: usize,
    },
}

impl LiveError {
    /// Whether what was asked for can't be meant, however the host is.
    #[must_use]
    pub fn is_misuse(&self) -> bool {
        match self {
            Self::SensorByTc | Self::NoMirrorPort { .. } => true,
            Self::Within { source, .. } => source.is_misuse(),
            _ => false,
        }
    }

    /// The same, with where it happened.
    pub(super) fn within(self, netns: &str) -> Self {
        match self {
            Self::NoSuchNamespace { .. }
            | Self::NamespaceRefused(_)
            | Self::NotANamespace(_)
            | Self::Namespace { .. } => self,
            source => Self::Within { netns: netns.to_owned(), source: Box::new(source) },
        }
    }

    /// What a failure to load the object means.
    pub(super) fn load(error: EbpfError, ring_bytes: u32) -> Self {
        let os_error = |error: &io::Error| error.raw_os_error().unwrap_or(0);
        match error {
            EbpfError::MapError(MapError::CreateError { io_error, .. }) => {
                match os_error(&io_error) {
                    libc::EPERM | libc::EACCES => Self::Refused,
                    libc::ENOMEM => Self::RingMemory { bytes: ring_bytes, source: io_error },
                    _ => Self::Load(Box::new(EbpfError::MapError(MapError::IoError(io_error)))),
                }
            }
            error => Self::Load(Box::new(error)),
        }
    }

    /// What a program's refusal means.
    pub(super) fn program(program: &'static str, error: ProgramError) -> Self {
        match error {
            ProgramError::LoadError { io_error, verifier_log } => {
                let log = verifier_log.to_string();
                if log.trim().is_empty() && io_error.raw_os_error() == Some(libc::EPERM) {
                    return Self::Refused;
                }
                Self::Program { program, reason: format!("{io_error}: {}", verdict(&log)) }
            }
            error => Self::Program { program, reason: error.to_string() },
        }
    }
}

/// The verifier's verdict: its log is long, and ends with it and then some statistics.
fn verdict(log: &str) -> &str {
    let is_statistic = |line: &&str| {
        ["processed ", "verification time ", "stack depth "].iter().any(|s| line.starts_with(s))
    };
    log.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty() && !is_statistic(line))
        .unwrap_or("it gave no reason")
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifiers_verdict_is_found_in_its_log() {
        let log = "func#0 @0\n0: R1=ctx() R10=fp0\n0: (61) r2 = *(u32 *)(r1 +76)\n\
                   combined stack size of 2 calls is 576. Too large\n\
                   verification time 1210 usec\nstack depth 300+80\n\
                   processed 3 insns (limit 1000000) max_states_per_insn 0\n\n";
        assert_eq!(verdict(log), "combined stack size of 2 calls is 576. Too large");
        assert_eq!(verdict("\n"), "it gave no reason");
    }

    #[test]
    fn an_error_with_its_causes_is_one_line() {
        let error = MapError::CreateError {
            name: "SEGMENTS".to_owned(),
            io_error: io::Error::from_raw_os_error(libc::ENOMEM),
        };
        let told = chain(&error);
        assert!(told.starts_with("failed to create map `SEGMENTS`: Cannot allocate"), "{told}");
        let told = LiveError::load(EbpfError::MapError(error), 1 << 26).to_string();
        assert!(
            told.starts_with("the kernel has no memory for a ring of 67108864 bytes"),
            "{told}"
        );
    }
}
