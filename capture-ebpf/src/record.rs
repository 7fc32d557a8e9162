//! Ring records: a header, then payload.

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
    /// Control group (version 2) of the socket that sent the packet; 0 where that is not known,
    /// as of what other hosts sent.
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
