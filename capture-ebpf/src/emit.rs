//! Ring records: reserved at one of a few sizes, the payload loaded straight into them.
//!
//! The verifier wants the size of a record to be a constant, so there is a ladder of size classes;
//! a segment goes into the smallest that holds it, and what is longer than the largest is cut into
//! several.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::macros::map;
use aya_ebpf::maps::RingBuf;
use aya_log_ebpf::debug;
use capture_ebpf::tcp_flag::{FIN, RST, SYN};
use capture_ebpf::{RECORD_HEADER_LEN, RecordHeader, Verdict, WAKEUP_BACKLOG_BYTES};

use crate::packet::Packet;
use crate::parse::Segment;

/// Its size is set before it is loaded.
#[map]
static SEGMENTS: RingBuf = RingBuf::with_byte_size(4096, 0);

/// Payload room of the largest size class.
const LARGEST: u32 = 64 * 1024;
/// Full records of one segment at most: the kernel merges up to 512 KiB (`GSO_MAX_SIZE`).
const MAX_FULL_RECORDS: u32 = 8;

/// A record of a size class.
#[repr(C)]
struct Record<const ROOM: usize> {
    header: RecordHeader,
    payload: [u8; ROOM],
}

/// Puts the segment into the ring. What was put there stays if the rest finds no room.
#[inline(always)]
pub(crate) fn emit(packet: &impl Packet, segment: &Segment) -> Result<(), Verdict> {
    let mut header = segment.header;
    // Few arguments: each takes some of the 512 bytes of stack.
    let [src, dst] = [header.src_port, header.dst_port];
    debug!(packet.ctx(), "port {} to {}, payload {}", src, dst, header.payload_len);
    let mut offset = segment.payload_offset;
    let mut left = header.payload_len;
    for _ in 0..MAX_FULL_RECORDS {
        if left <= LARGEST {
            break;
        }
        header.payload_len = LARGEST;
        header.wire_len = LARGEST;
        header.tcp_flags &= !(FIN | RST);
        record::<{ LARGEST as usize }>(packet, &header, offset)?;
        let syn = u32::from(header.tcp_flags & SYN != 0);
        header.seq = header.seq.wrapping_add(LARGEST + syn);
        header.tcp_flags = segment.header.tcp_flags & !SYN;
        offset += LARGEST;
        left -= LARGEST;
    }
    header.payload_len = left;
    header.wire_len = left;
    match left {
        0 => record::<0>(packet, &header, offset),
        1..=256 => record::<256>(packet, &header, offset),
        257..=1536 => record::<1536>(packet, &header, offset),
        1537..=4096 => record::<4096>(packet, &header, offset),
        4097..=8192 => record::<8192>(packet, &header, offset),
        8193..=16_384 => record::<16_384>(packet, &header, offset),
        16_385..=32_768 => record::<32_768>(packet, &header, offset),
        32_769..=LARGEST => record::<{ LARGEST as usize }>(packet, &header, offset),
        _ => Err(Verdict::LoadFailed),
    }
}

/// Puts one record with the `header.payload_len` bytes from `offset` into the ring.
#[inline(always)]
fn record<const ROOM: usize>(
    packet: &impl Packet,
    header: &RecordHeader,
    offset: u32,
) -> Result<(), Verdict> {
    let Some(mut entry) = SEGMENTS.reserve::<Record<ROOM>>(0) else {
        return Err(Verdict::RingFull);
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the entry is a whole `Record<ROOM>`, and at most `ROOM` payload bytes are loaded.
    let loaded = unsafe {
        (&raw mut (*record).header).write(*header);
        ROOM == 0 || {
            // Hides the length's range from LLVM, which would drop the test that follows. The
            // verifier needs to see that test on the very value that the helper gets.
            let len = core::hint::black_box(u64::from(header.payload_len));
            len != 0
                && len <= ROOM as u64
                && packet.load_to(offset, (&raw mut (*record).payload).cast(), len as u32)
        }
    };
    if !loaded {
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
        return Err(Verdict::LoadFailed);
    }
    entry.submit(wakeup((RECORD_HEADER_LEN + ROOM) as u64));
    Ok(())
}

/// Whether to wake the reader, which looks by itself every few milliseconds: only where a record
/// of `len` bytes takes the backlog over another multiple of [`WAKEUP_BACKLOG_BYTES`].
#[inline(always)]
fn wakeup(len: u64) -> u64 {
    let backlog = SEGMENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    let before = backlog.saturating_sub(len);
    if backlog / WAKEUP_BACKLOG_BYTES == before / WAKEUP_BACKLOG_BYTES {
        u64::from(BPF_RB_NO_WAKEUP)
    } else {
        u64::from(BPF_RB_FORCE_WAKEUP)
    }
}
