//! Which segments leave the kernel.
//!
//! Selected by port and by host, on either end. Of the segments without payload, those leave that
//! open, close or reset a flow, and the one ACK that completes a handshake; all other pure ACKs
//! stay, for the acknowledgement number rides on the segments that leave too.

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use capture_ebpf::tcp_flag::{ACK, FIN, RST, SYN};
use capture_ebpf::{HANDSHAKE_SLOTS, PORT_WORDS, RecordHeader, Verdict};

#[unsafe(no_mangle)]
static ANY_PORT: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static SOME_HOSTS: Global<u8> = Global::new(0);

#[map]
static PORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

#[map]
static HOSTS: LpmTrie<[u8; 16], u8> = LpmTrie::with_max_entries(1, 0);

/// What the ACK that completes a flow's handshake will carry: its sequence number in the upper
/// half, its acknowledgement number in the lower.
///
/// A flow has its slot by a hash, so there is no state to exhaust: where two flows meet in a slot,
/// the earlier one loses its connect time and nothing else.
#[map]
static HANDSHAKES: Array<u64> = Array::with_max_entries(HANDSHAKE_SLOTS, 0);

/// Whether the segment is handed over; why not where it isn't.
#[inline(always)]
pub(crate) fn select(header: &RecordHeader) -> Result<(), Verdict> {
    if ANY_PORT.load() == 0 && !port(header.src_port) && !port(header.dst_port) {
        return Err(Verdict::OtherPort);
    }
    if SOME_HOSTS.load() != 0 && !host(header.src_addr) && !host(header.dst_addr) {
        return Err(Verdict::OtherHost);
    }
    let opens_or_ends = header.tcp_flags & (SYN | FIN | RST) != 0;
    if header.tcp_flags & (SYN | ACK) == SYN | ACK {
        expect_handshake_ack(header);
    }
    if header.payload_len == 0 && !opens_or_ends && !completes_handshake(header) {
        return Err(Verdict::PureAck);
    }
    Ok(())
}

#[inline(always)]
fn port(port: u16) -> bool {
    let word = PORTS.get(u32::from(port / 64));
    word.is_some_and(|word| *word >> (port % 64) & 1 != 0)
}

#[inline(always)]
fn host(addr: [u8; 16]) -> bool {
    HOSTS.get(Key::new(128, addr)).is_some()
}

#[inline(always)]
fn expect_handshake_ack(syn_ack: &RecordHeader) {
    if let Some(slot) = HANDSHAKES.get_ptr_mut(handshake_slot(syn_ack)) {
        let expected = u64::from(syn_ack.ack) << 32 | u64::from(syn_ack.seq.wrapping_add(1));
        // SAFETY: the slot lives as long as the map. Another CPU may write to it at the same time;
        // it is one aligned word, and either value will do.
        unsafe { slot.write_volatile(expected) };
    }
}

#[inline(always)]
fn completes_handshake(ack: &RecordHeader) -> bool {
    let Some(slot) = HANDSHAKES.get_ptr_mut(handshake_slot(ack)) else { return false };
    let carried = u64::from(ack.seq) << 32 | u64::from(ack.ack);
    // SAFETY: as above.
    unsafe {
        let expected = slot.read_volatile() == carried;
        if expected {
            slot.write_volatile(0);
        }
        expected
    }
}

/// The flow's slot, the same in both directions.
#[inline(always)]
fn handshake_slot(header: &RecordHeader) -> u32 {
    // The odd part of 2^64 over the golden ratio, which spreads near keys well (Fibonacci hashing).
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |addr: [u8; 16]| {
        let addr = u128::from_ne_bytes(addr);
        (addr as u64 ^ (addr >> 64) as u64).wrapping_mul(MULTIPLIER)
    };
    let (src, dst) = (header.src_port, header.dst_port);
    let ports = (u64::from(src) * u64::from(dst)) ^ (u64::from(src ^ dst) << 32);
    let hash = (fold(header.src_addr) ^ fold(header.dst_addr) ^ ports).wrapping_mul(MULTIPLIER);
    (hash >> (64 - HANDSHAKE_SLOTS.ilog2())) as u32
}
