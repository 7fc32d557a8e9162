//! Ring records: reserved at one of a few sizes, the payload loaded straight into them.
//!
//! The verifier wants the size of a record to be a constant, so there is a ladder of size classes;
//! a segment goes into the smallest that holds it, and what is longer than the largest is cut into
//! several.
//!
//! The reader is woken by a record alone that it would otherwise wait for: one that comes when it
//! has read everything. How often that can be is up to the reader, who sleeps in between.

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use aya_log_ebpf::debug;
use capture_ebpf::tcp_flag::{FIN, RST, SYN};
use capture_ebpf::{HookCounters, RecordHeader, Verdict};

use crate::flow::{LeftOut, Whose};
use crate::packet::Packet;
use crate::ring::Ring;

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

/// Puts the segment into the ring. What was put there stays if the rest finds no room; the header
/// then stands for the rest.
#[inline(always)]
pub(crate) fn emit(
    packet: &impl Packet,
    header: &mut RecordHeader,
    mut offset: u32,
    ring: Ring,
    counters: &mut HookCounters,
) -> Result<(), Verdict> {
    // Few arguments: each takes some of the 512 bytes of stack.
    let [src, dst] = [header.src_port, header.dst_port];
    debug!(packet.ctx(), "port {} to {}, payload {}", src, dst, header.payload_len);
    let (flags, missing) = (header.tcp_flags, header.missing);
    let (mut left, mut wire_left) = (header.payload_len, header.wire_len);
    for _ in 0..MAX_FULL_RECORDS {
        if left <= LARGEST {
            break;
        }
        header.payload_len = LARGEST;
        header.wire_len = LARGEST;
        header.tcp_flags &= !(FIN | RST);
        header.missing = 0;
        let put = record::<{ LARGEST as usize }>(packet, header, offset, ring, counters);
        if put.is_ok() {
            let syn = u32::from(header.tcp_flags & SYN != 0);
            header.seq = header.seq.wrapping_add(LARGEST + syn);
            header.tcp_flags = flags & !SYN;
            offset += LARGEST;
            left -= LARGEST;
            wire_left -= LARGEST;
        }
        header.payload_len = left;
        header.wire_len = wire_left;
        put?;
    }
    header.tcp_flags = header.tcp_flags | flags & (FIN | RST);
    header.missing = missing;
    match left {
        0 => bare(ring, header, counters),
        1..=256 => record::<256>(packet, header, offset, ring, counters),
        257..=1536 => record::<1536>(packet, header, offset, ring, counters),
        1537..=4096 => record::<4096>(packet, header, offset, ring, counters),
        4097..=8192 => record::<8192>(packet, header, offset, ring, counters),
        8193..=16_384 => record::<16_384>(packet, header, offset, ring, counters),
        16_385..=32_768 => record::<32_768>(packet, header, offset, ring, counters),
        32_769..=LARGEST => record::<{ LARGEST as usize }>(packet, header, offset, ring, counters),
        _ => Err(Verdict::LoadFailed),
    }
}

/// Puts one record with the `header.payload_len` bytes from `offset` into the ring.
#[inline(always)]
fn record<const ROOM: usize>(
    packet: &impl Packet,
    header: &RecordHeader,
    offset: u32,
    ring: Ring,
    counters: &mut HookCounters,
) -> Result<(), Verdict> {
    let Some(mut entry) = ring.buffer().reserve::<Record<ROOM>>(0) else {
        return Err(Verdict::RingFull);
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the entry is a whole `Record<ROOM>`, and at most `ROOM` payload bytes are loaded.
    let loaded = unsafe {
        (&raw mut (*record).header).write(*header);
        // Hides the length's range from LLVM, which would drop the test that follows. The verifier
        // needs to see that test on the very value that the helper gets.
        let len = core::hint::black_box(u64::from(header.payload_len));
        len != 0
            && len <= ROOM as u64
            && packet.load_to(offset, (&raw mut (*record).payload).cast(), len as u32)
    };
    if !loaded {
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
        return Err(Verdict::LoadFailed);
    }
    entry.submit(0);
    counters.records += 1;
    counters.handed_over_bytes += u64::from(header.payload_len);
    Ok(())
}

/// Puts a segment without payload into the ring.
#[inline(always)]
pub(crate) fn bare(
    ring: Ring,
    header: &RecordHeader,
    counters: &mut HookCounters,
) -> Result<(), Verdict> {
    let Some(mut entry) = ring.buffer().reserve::<RecordHeader>(0) else {
        return Err(Verdict::RingFull);
    };
    entry.write(*header);
    entry.submit(0);
    counters.records += 1;
    Ok(())
}

/// Puts a notice into the ring of what was left out, by the addresses of a segment of the same flow.
#[inline(always)]
pub(crate) fn notice(
    ring: Ring,
    segment: &RecordHeader,
    left_out: &LeftOut,
    whose: Whose,
    counters: &mut HookCounters,
) -> Result<(), Verdict> {
    let Some(mut entry) = ring.buffer().reserve::<RecordHeader>(0) else {
        return Err(Verdict::RingFull);
    };
    // In the ring itself, as the stack has no room for another header.
    let notice = entry.as_mut_ptr();
    // SAFETY: the entry is a whole header, and each of its fields is written.
    unsafe {
        notice.write(*segment);
        if whose == Whose::Theirs {
            (*notice).src_addr = segment.dst_addr;
            (*notice).dst_addr = segment.src_addr;
            (*notice).src_port = segment.dst_port;
            (*notice).dst_port = segment.src_port;
        }
        (*notice).time_ns = left_out.time_ns;
        (*notice).cgroup = 0;
        (*notice).payload_len = 0;
        (*notice).wire_len = left_out.len;
        (*notice).seq = left_out.seq;
        (*notice).ack = 0;
        (*notice).window = 0;
        (*notice).tcp_flags = left_out.tcp_flags;
        (*notice).missing = left_out.missing;
    }
    entry.submit(0);
    counters.records += 1;
    counters.notices += 1;
    Ok(())
}
