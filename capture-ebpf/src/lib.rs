//! The contract between the halves: ring record, map keys and values, settings.
//!
//! Both halves compile these files, the kernel half for BPF and the user half for the host, so
//! every type that crosses is `#[repr(C)]`, holds plain integers, and has no hidden padding.
//! Integers are in host byte order; addresses are 16 bytes in network order, IPv4 as
//! IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2).
#![no_std]

pub mod governor;
mod hash;
mod record;
mod verdict;

pub use governor::Governor;
pub use hash::{FlowHash, flow_hash};
pub use record::{RECORD_HEADER_LEN, RecordHeader, missing, tcp_flag};
pub use verdict::{Hook, HookCounters, Verdict};

/// Names of the maps in the BPF object.
pub mod map {
    /// Ring buffers of [`RecordHeader`](super::RecordHeader)s, each followed by its payload: one for
    /// each worker, as many as there can be.
    pub const RINGS: [&str; super::MAX_WORKERS as usize] = [
        "RING_0", "RING_1", "RING_2", "RING_3", "RING_4", "RING_5", "RING_6", "RING_7", "RING_8",
        "RING_9", "RING_10", "RING_11", "RING_12", "RING_13", "RING_14", "RING_15",
    ];
    /// Array of [`Governor`](super::Governor)s, one for each worker.
    pub const GOVERNORS: &str = "GOVERNORS";
    /// Array of [`PORT_WORDS`](super::PORT_WORDS) words, a bit for each selected port.
    pub const PORTS: &str = "PORTS";
    /// LPM trie of selected hosts: 128-bit prefixes, the value is unused.
    pub const HOSTS: &str = "HOSTS";
    /// The kernel half's own: what it knows of flows.
    pub const FLOWS: &str = "FLOWS";
    /// Per-CPU array of [`HookCounters`](super::HookCounters), one for each hook.
    pub const COUNTERS: &str = "COUNTERS";
}

/// Names of the programs in the BPF object.
pub mod program {
    /// TC (`classifier`) on ingress.
    pub const TC_INGRESS: &str = "tc_ingress";
    /// TC (`classifier`) on egress.
    pub const TC_EGRESS: &str = "tc_egress";
    /// XDP on ingress.
    pub const XDP_INGRESS: &str = "xdp_ingress";
}

/// Names of the read-only globals that user space sets before it loads the object.
pub mod setting {
    /// `u8`: not 0 where every port is selected and [`PORTS`](super::map::PORTS) is not asked.
    pub const ANY_PORT: &str = "ANY_PORT";
    /// `u8`: not 0 where the kernel can tell the control group of a packet's socket
    /// (`CONFIG_SOCK_CGROUP_DATA`); else the programs do without, so that they load.
    pub const KNOWS_CGROUPS: &str = "KNOWS_CGROUPS";
    /// `u8`: not 0 where only the hosts in [`HOSTS`](super::map::HOSTS) are selected.
    pub const SOME_HOSTS: &str = "SOME_HOSTS";
    /// `u32`: how many [`RINGS`](super::map::RINGS) are in use, 1 at least.
    pub const WORKERS: &str = "WORKERS";
    /// `u32`: bytes of each ring.
    pub const RING_BYTES: &str = "RING_BYTES";
    /// `u32`: payload bytes of a direction that are handed over after the other side last spoke;
    /// `u32::MAX` for all.
    pub const BUDGET: &str = "BUDGET";
    /// `u32`: one flow in so many is selected, by its hash; 1 for all.
    pub const SAMPLE: &str = "SAMPLE";
    /// `u8`: not 0 where frames end in XDP once they were recorded, of whatever kind they are: on a
    /// mirror port, whose frames are not for the host.
    pub const CONSUME: &str = "CONSUME";
    /// `u64`: what nobody else knows, so that nobody can choose flows of one hash.
    pub const HASH_SEED: &str = "HASH_SEED";
}

/// 64-bit words in [`map::PORTS`]: port `p` is bit `p % 64` of word `p / 64`.
pub const PORT_WORDS: u32 = 65_536 / 64;

/// Most workers, each with a ring of its own.
pub const MAX_WORKERS: u32 = 16;
