//! The contract between the halves: ring record, map keys and values, settings.
//!
//! Both halves compile this file, the kernel half for BPF and the user half for the host, so
//! every type that crosses is `#[repr(C)]`, holds plain integers, and has no hidden padding.
//! Integers are in host byte order; addresses are 16 bytes in network order, IPv4 as
//! IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2).
#![no_std]

/// Names of the maps in the BPF object.
pub mod map {
    /// Ring buffer of [`RecordHeader`](super::RecordHeader)s, each followed by its payload.
    pub const SEGMENTS: &str = "SEGMENTS";
    /// Array of [`PORT_WORDS`](super::PORT_WORDS) words, a bit for each selected port.
    pub const PORTS: &str = "PORTS";
    /// LPM trie of selected hosts: 128-bit prefixes, the value is unused.
    pub const HOSTS: &str = "HOSTS";
    /// Array of [`HANDSHAKE_SLOTS`](super::HANDSHAKE_SLOTS) words, the kernel half's own: the
    /// handshakes that wait for the ACK that completes them.
    pub const HANDSHAKES: &str = "HANDSHAKES";
    /// Per-CPU array of [`Verdict::COUNT`](super::Verdict::COUNT) packet counters for each hook.
    pub const VERDICTS: &str = "VERDICTS";
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
    /// `u8`: not 0 where only the hosts in [`HOSTS`](super::map::HOSTS) are selected.
    pub const SOME_HOSTS: &str = "SOME_HOSTS";
}

/// 64-bit words in [`map::PORTS`]: port `p` is bit `p % 64` of word `p / 64`.
pub const PORT_WORDS: u32 = 65_536 / 64;

/// Slots for handshakes under way; a power of two.
pub const HANDSHAKE_SLOTS: u32 = 65_536;

/// The reader is woken when the bytes in the ring pass another multiple of this. Before that it
/// finds them by itself, within [`READER_PERIOD_MS`].
pub const WAKEUP_BACKLOG_BYTES: u64 = 1 << 20;

/// The reader looks at the ring at least this often, in milliseconds: what batches the wake-ups,
/// and the longest that a record waits.
pub const READER_PERIOD_MS: u32 = 5;

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

/// What happened to a packet, by the first reason that applies. Each packet that a hook sees gets exactly one verdict, so the
/// counters of a hook add up to what it saw.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Handed over: the segment, whole, is in the ring.
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
}

impl Verdict {
    /// How many verdicts there are.
    pub const COUNT: u32 = 12;

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
    ];

    /// The slot in [`map::VERDICTS`] that counts this verdict on `hook`.
    #[must_use]
    pub const fn slot(self, hook: Hook) -> u32 {
        hook as u32 * Self::COUNT + self as u32
    }
}

/// TCP flag bits as they stand in the header (RFC 9293 section 3.1).
pub mod tcp_flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push function.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement field is significant.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is significant.
    pub const URG: u8 = 0x20;
}

/// Why a record has fewer bytes than the wire had: the values of [`RecordHeader::missing`].
pub mod missing {
    /// It has them all.
    pub const NOTHING: u8 = 0;
    /// They were left in the kernel on purpose: the flow's budget was used up.
    pub const ELIDED: u8 = 1;
    /// They were lost by the agent itself: the ring had no room, or the governor left the flow out.
    pub const DROPPED: u8 = 2;
}

/// Head of a ring record. `payload_len` bytes of TCP payload follow; what the record has beyond
/// them is room that its size class left over.
///
/// A segment longer than the largest size class comes as several records in order, with SYN on
/// the first, and FIN and RST on the last alone. Records of other CPUs may lie between them.
///
/// A record without payload whose `wire_len` is not 0 is a notice: so many bytes from `seq` on were
/// seen by the hook and left out. It comes before the next record of its flow, in either direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// `CLOCK_MONOTONIC` when the hook saw the packet, in nanoseconds.
    pub time_ns: u64,
    /// Control group (version 2) of the socket that sent the packet, or that will receive it; 0
    /// where that is not known.
    pub cgroup: u64,
    /// The interface whose hook saw it.
    pub ifindex: u32,
    /// Payload bytes in this record.
    pub payload_len: u32,
    /// Payload bytes that the wire had from `seq` on: no fewer than `payload_len`.
    pub wire_len: u32,
    /// Sequence number of the first payload byte, or of SYN.
    pub seq: u32,
    /// Acknowledgement number; without meaning unless [`tcp_flag::ACK`] is set.
    pub ack: u32,
    /// Source address.
    pub src_addr: [u8; 16],
    /// Destination address.
    pub dst_addr: [u8; 16],
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Window as it stands in the header, not scaled.
    pub window: u16,
    /// The bits of [`tcp_flag`].
    pub tcp_flags: u8,
    /// The [`Hook`] by its number.
    pub hook: u8,
    /// Why `payload_len` is less than `wire_len`, by [`missing`].
    pub missing: u8,
    /// Nothing: keeps the size a multiple of 8.
    pub reserved: [u8; 3],
}

/// Bytes of a [`RecordHeader`].
pub const RECORD_HEADER_LEN: usize = size_of::<RecordHeader>();

const _: () = assert!(RECORD_HEADER_LEN == 80);

impl RecordHeader {
    /// Header and payload of a record; `None` where it is shorter than it says.
    #[must_use]
    pub fn split(record: &[u8]) -> Option<(Self, &[u8])> {
        let (header, rest) = record.split_first_chunk::<RECORD_HEADER_LEN>()?;
        // SAFETY: the array is as long as a header, every pattern of bits is one, and the read
        // asks for no alignment.
        let header = unsafe { header.as_ptr().cast::<Self>().read_unaligned() };
        let payload = rest.get(..usize::try_from(header.payload_len).ok()?)?;
        Some((header, payload))
    }
}
