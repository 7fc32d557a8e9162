//! The kernel half: one TC program for each direction and one XDP program, over one shared path.
//!
//! A packet is parsed ([`parse`]), selected ([`select`]), weighed against its flow's budget
//! ([`turn`]) and handed over ([`emit`]); it gets exactly one [`Verdict`], which is
//! counted. Packets always pass, to other programs on the same hook too, but on a mirror port where
//! they are to be consumed.
#![no_std]
#![no_main]

mod emit;
mod flow;
mod owner;
mod packet;
mod parse;
mod ring;
mod select;
mod turn;

use aya_ebpf::Global;
use aya_ebpf::bindings::{
    TC_ACT_UNSPEC,
    xdp_action::{XDP_DROP, XDP_PASS},
};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_log_ebpf::{trace, warn};
use capture_ebpf::{Hook, HookCounters, RecordHeader, Verdict};

use packet::{Bytes, Frame, Packet, Skb, Whole};

#[map]
static COUNTERS: PerCpuArray<HookCounters> = PerCpuArray::with_max_entries(Hook::COUNT, 0);

/// The header that is being made on a hook: too much for the 512 bytes of stack.
#[map]
static HEADERS: PerCpuArray<RecordHeader> = PerCpuArray::with_max_entries(Hook::COUNT, 0);

#[unsafe(no_mangle)]
static CONSUME: Global<u8> = Global::new(0);

/// What the host hears. `TC_ACT_UNSPEC` is `TCX_NEXT` where the program is attached by TCX.
#[classifier]
fn tc_ingress(ctx: TcContext) -> i32 {
    handle(&Skb::new(&ctx, Hook::TcIngress));
    TC_ACT_UNSPEC
}

/// What the host says.
#[classifier]
fn tc_egress(ctx: TcContext) -> i32 {
    handle(&Skb::new(&ctx, Hook::TcEgress));
    TC_ACT_UNSPEC
}

/// What the host hears, before the kernel has made an skb of it.
#[xdp(frags)]
fn xdp_ingress(ctx: XdpContext) -> u32 {
    handle(&Frame::new(&ctx));
    if CONSUME.load() == 0 { XDP_PASS } else { XDP_DROP }
}

/// Takes one packet from the hook to its verdict.
#[inline(always)]
fn handle(packet: &impl Packet) {
    let Some(counters) = COUNTERS.get_ptr_mut(packet.hook() as u32) else { return };
    // SAFETY: the lookup returned this CPU's entry, which lives as long as the map. A hook does not
    // interrupt itself, so nothing else writes to it meanwhile.
    let counters = unsafe { &mut *counters };
    counters.seen += 1;
    let verdict = match capture(packet, counters) {
        Ok(()) => Verdict::HandedOver,
        Err(verdict) => verdict,
    };
    if let Some(count) = counters.verdicts.get_mut(verdict as usize) {
        *count += 1;
    }
    match verdict {
        Verdict::RingFull => warn!(packet.ctx(), "ring full, segment lost"),
        Verdict::LoadFailed => warn!(packet.ctx(), "payload not readable, segment lost"),
        _ => trace!(packet.ctx(), "hook {} verdict {}", packet.hook() as u8, verdict as u32),
    }
}

#[inline(always)]
fn capture(packet: &impl Packet, counters: &mut HookCounters) -> Result<(), Verdict> {
    let header = HEADERS.get_ptr_mut(packet.hook() as u32).ok_or(Verdict::LoadFailed)?;
    // SAFETY: as above.
    let header = unsafe { &mut *header };
    let payload_offset = match read(packet, &packet.linear(), header) {
        // What seems cut short may only lie further out.
        Err(Verdict::Malformed) => read(packet, &Whole(packet), header)?,
        found => found?,
    };
    select::select_flow(header)?;
    turn::take(packet, header, payload_offset, counters)
}

/// Writes the segment in a packet down, if its ports are wanted: returns where the payload is.
#[inline(always)]
fn read(
    packet: &impl Packet,
    bytes: &impl Bytes,
    header: &mut RecordHeader,
) -> Result<u32, Verdict> {
    let transport = parse::find(bytes, packet.len())?;
    select::select_ports(parse::ports(bytes, &transport)?)?;
    parse::write(packet, bytes, &transport, header)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that can get here: no panic is reachable.
    loop {}
}

/// The helpers that read packets and the ring are for GPL-compatible programs alone.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
