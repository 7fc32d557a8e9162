//! What sources saw of packets.

use capture_ebpf::{Hook, Verdict};

use crate::source::{HandedOver, Packets, Verdicts};

/// Packets that a source saw, and what it did with them.
#[derive(Clone, Debug)]
pub struct SourcePackets {
    /// The hook, or `file`.
    pub source: &'static str,
    /// All of them.
    pub packets: Packets,
    /// Of a hook, those on each CPU.
    pub cpus: Vec<Packets>,
    /// Whether all of them ended at the hook: on a mirror port where they are to.
    pub consumed: bool,
}

impl SourcePackets {
    /// The packets of capture files, which are handed over as one segment each.
    #[must_use]
    pub fn of_files(verdicts: Verdicts) -> Self {
        let records = verdicts.count(Verdict::HandedOver);
        let handed_over = HandedOver { records, ..HandedOver::default() };
        let packets = Packets { seen: verdicts.sum(), verdicts, handed_over };
        Self { source: "file", packets, cpus: Vec::new(), consumed: false }
    }

    /// The packets of a hook, those on each CPU, and whether they end there.
    #[must_use]
    pub fn of_hook(hook: Hook, cpus: Vec<Packets>, consumed: bool) -> Self {
        let source = match hook {
            Hook::TcIngress => "tc_ingress",
            Hook::TcEgress => "tc_egress",
            Hook::XdpIngress => "xdp_ingress",
        };
        let mut packets = Packets::default();
        cpus.iter().for_each(|cpu| packets.merge(cpu));
        Self { source, packets, cpus, consumed }
    }
}
