//! What happens to packets, and how it is counted.
//!
//! Invariant: each packet that a hook sees gets exactly one verdict, so that the counters of a hook
//! add up to what it saw.

/// The hooks that programs sit on.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// TC ingress.
    TcIngress = 0,
    /// TC egress.
    TcEgress = 1,
    /// XDP ingress.
    XdpIngress = 2,
}

impl Hook {
    /// How many hooks there are.
    pub const COUNT: u32 = 3;

    /// Every hook, in the order of its number.
    pub const ALL: [Self; Self::COUNT as usize] =
        [Self::TcIngress, Self::TcEgress, Self::XdpIngress];
}

/// What happened to a packet, by the first reason that applies.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Handed over: the segment is in the ring, whole, or as far as its flow's budget goes.
    HandedOver = 0,
    /// Neither IPv4 nor IPv6.
    NotIp = 1,
    /// IP, but not TCP. Tunnels are looked into in capture files alone; in the kernel half what
    /// they carry counts here.
    NotTcp = 2,
    /// An IP fragment, which has no TCP header or not the whole segment. In capture files only
    /// one whose datagram is not whole, or not yet.
    Fragment = 3,
    /// A header that is cut short or contradicts itself.
    Malformed = 4,
    /// TCP of other ports.
    OtherPort = 5,
    /// TCP of other hosts.
    OtherHost = 6,
    /// A segment without payload, SYN, FIN or RST, that only acknowledges, and does not complete
    /// a handshake whose SYN-ACK was seen: that one ACK is handed over, for the connect time.
    PureAck = 7,
    /// Selected, but the ring had no room: lost, or lost from some point on where the segment
    /// takes several records and the first ones found room.
    RingFull = 8,
    /// Selected, but its payload could not be read from the packet: lost.
    LoadFailed = 9,
    /// An IP fragment of a segment that was handed over with the last of them; capture files
    /// alone.
    Reassembled = 10,
    /// A wrong IPv4 header or TCP checksum; capture files alone, where it is asked for.
    BadChecksum = 11,
    /// Of a flow that the sample leaves out.
    NotSampled = 12,
    /// Selected, and left in the kernel: its flow's budget is used up.
    Elided = 13,
    /// Selected, but its flow is left out while the ring is nearly full: lost.
    Shed = 14,
}

impl Verdict {
    /// How many verdicts there are.
    pub const COUNT: u32 = 15;

    /// Every verdict, in the order of its number.
    pub const ALL: [Self; Self::COUNT as usize] = [
        Self::HandedOver,
        Self::NotIp,
        Self::NotTcp,
        Self::Fragment,
        Self::Malformed,
        Self::OtherPort,
        Self::OtherHost,
        Self::PureAck,
        Self::RingFull,
        Self::LoadFailed,
        Self::Reassembled,
        Self::BadChecksum,
        Self::NotSampled,
        Self::Elided,
        Self::Shed,
    ];
}

/// What one hook did on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookCounters {
    /// Packets that it saw.
    pub seen: u64,
    /// Packets that it let go, by the number of their [`Verdict`].
    pub verdicts: [u64; Verdict::COUNT as usize],
    /// Records that it put into rings, notices included.
    pub records: u64,
    /// Notices among those.
    pub notices: u64,
    /// Payload bytes in those records.
    pub handed_over_bytes: u64,
    /// Payload bytes that were left in the kernel because a budget was used up.
    pub elided_bytes: u64,
    /// Payload bytes that were selected and lost.
    pub dropped_bytes: u64,
}
