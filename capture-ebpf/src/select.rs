//! Which segments leave the kernel, and how much of them.
//!
//! Selected by port and by host, on either end, and by sample. Of the segments without payload,
//! those leave that open, close or reset a flow, and the one ACK that completes a handshake; all
//! other pure ACKs stay, for the acknowledgement number rides on the segments that leave too. Of a
//! payload as much leaves as the flow's budget allows, and the governor.

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use capture_ebpf::{PORT_WORDS, RecordHeader, Verdict, flow_hash};

#[unsafe(no_mangle)]
static ANY_PORT: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static SOME_HOSTS: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
static SAMPLE: Global<u32> = Global::new(1);

#[map]
static PORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

#[map]
static HOSTS: LpmTrie<[u8; 16], u8> = LpmTrie::with_max_entries(1, 0);

/// Whether segments between these ports are wanted.
#[inline(always)]
pub(crate) fn select_ports([src, dst]: [u16; 2]) -> Result<(), Verdict> {
    if ANY_PORT.load() == 0 && !port(src) && !port(dst) {
        return Err(Verdict::OtherPort);
    }
    Ok(())
}

/// Whether the segment's flow is wanted, whose ports are; why not where it isn't.
#[inline(always)]
pub(crate) fn select_flow(header: &RecordHeader) -> Result<(), Verdict> {
    if SOME_HOSTS.load() != 0 && !host(header.src_addr) && !host(header.dst_addr) {
        return Err(Verdict::OtherHost);
    }
    let one_in = SAMPLE.load();
    // Without a seed: the same flows whenever and wherever they are captured.
    if one_in > 1 && !flow_hash(ends(header), ports(header), 0).is_sample(one_in) {
        return Err(Verdict::NotSampled);
    }
    Ok(())
}

#[inline(always)]
pub(crate) fn ends(header: &RecordHeader) -> [[u8; 16]; 2] {
    [header.src_addr, header.dst_addr]
}

#[inline(always)]
pub(crate) fn ports(header: &RecordHeader) -> [u16; 2] {
    [header.src_port, header.dst_port]
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
