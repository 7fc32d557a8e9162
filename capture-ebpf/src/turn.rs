//! From a selected segment to what is handed over of it.
//!
//! What a flow's budget or the governor leaves out is told by notices, before anything else of the
//! flow is handed over, so that whoever reads knows each byte that is not there, and why.

use aya_ebpf::Global;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use capture_ebpf::tcp_flag::{ACK, FIN, RST, SYN};
use capture_ebpf::{HookCounters, RecordHeader, Verdict, flow_hash, governor, missing};

use crate::emit;
use crate::flow::{Flow, Whose};
use crate::packet::Packet;
use crate::ring::Ring;
use crate::select::{ends, ports};

#[unsafe(no_mangle)]
static BUDGET: Global<u32> = Global::new(u32::MAX);

#[unsafe(no_mangle)]
static HASH_SEED: Global<u64> = Global::new(0);

/// Hands over what is to be handed over of a segment, whose payload is at `payload_offset`.
#[inline(always)]
pub(crate) fn take(
    packet: &impl Packet,
    header: &mut RecordHeader,
    payload_offset: u32,
    counters: &mut HookCounters,
) -> Result<(), Verdict> {
    // For those that are selected alone: a clock costs as much as all that is done with others.
    // SAFETY: the helper takes nothing and reads a clock.
    header.time_ns = unsafe { bpf_ktime_get_ns() };
    let hash = flow_hash(ends(header), ports(header), HASH_SEED.load());
    let ring = Ring::of(hash);
    let flow = Flow::of(header, hash);
    if header.payload_len == 0 && header.tcp_flags & (SYN | FIN | RST) == 0 {
        return acknowledge(ring, flow, header, counters);
    }
    let level = ring.level();
    if governor::sheds(level, hash) {
        return shed(ring, flow, header, counters);
    }
    if let Some(flow) = flow {
        if header.tcp_flags & SYN != 0 {
            if header.tcp_flags & ACK == 0 {
                flow.open();
            } else {
                flow.expect_handshake_ack(header);
            }
        }
        if header.payload_len > 0 {
            let budget = governor::budget(level, BUDGET.load());
            if elide(flow, header, budget, counters) {
                if flow.is_due(header.time_ns) {
                    let _ = tell(ring, flow, header, Whose::Mine, counters);
                }
                return Err(Verdict::Elided);
            }
        }
        if tell_both(ring, flow, header, counters).is_err() {
            drop_rest(Some(flow), header, counters);
            return Err(Verdict::RingFull);
        }
    }
    header.cgroup = packet.cgroup();
    emit::emit(packet, header, payload_offset, ring, counters)
        .inspect_err(|_| drop_rest(flow, header, counters))
}

/// Cuts the payload to what the budget allows; returns whether nothing of the segment is left.
#[inline(always)]
fn elide(flow: Flow, header: &mut RecordHeader, budget: u32, counters: &mut HookCounters) -> bool {
    let allowed = flow.spend(header, budget);
    if allowed >= header.payload_len {
        return false;
    }
    counters.elided_bytes += u64::from(header.payload_len - allowed);
    header.payload_len = allowed;
    header.missing = missing::ELIDED;
    let stays = allowed == 0 && header.tcp_flags & (SYN | FIN | RST) == 0;
    if stays {
        flow.leave_out(header, missing::ELIDED);
    }
    stays
}

/// A segment that only acknowledges stays, unless it completes a handshake.
#[inline(always)]
fn acknowledge(
    ring: Ring,
    flow: Option<Flow>,
    header: &RecordHeader,
    counters: &mut HookCounters,
) -> Result<(), Verdict> {
    let Some(flow) = flow else { return Err(Verdict::PureAck) };
    if flow.completes_handshake(header) {
        return emit::bare(ring, header, counters);
    }
    if flow.catches_up(header) {
        // Where there is no room now, there is another time.
        let _ = tell(ring, flow, header, Whose::Theirs, counters);
    }
    Err(Verdict::PureAck)
}

/// Leaves a segment out because its flow is. The end of a flow that was known is not.
#[inline(always)]
fn shed(
    ring: Ring,
    flow: Option<Flow>,
    header: &RecordHeader,
    counters: &mut HookCounters,
) -> Result<(), Verdict> {
    if header.payload_len == 0 && header.tcp_flags & (FIN | RST) != 0 {
        if let Some(flow) = flow {
            let told = tell_both(ring, flow, header, counters)
                .and_then(|()| emit::bare(ring, header, counters));
            if told.is_ok() {
                return Ok(());
            }
        }
    }
    drop_rest(flow, header, counters);
    Err(Verdict::Shed)
}

/// What is left of a segment, from its header's sequence number on, is lost.
#[inline(always)]
fn drop_rest(flow: Option<Flow>, header: &RecordHeader, counters: &mut HookCounters) {
    counters.dropped_bytes += u64::from(header.payload_len);
    if let Some(flow) = flow {
        if header.wire_len > 0 || header.tcp_flags & (FIN | RST) != 0 {
            flow.leave_out(header, missing::DROPPED);
        }
    }
}

/// Tells what was left out of both directions, in the order in which it happened: the other side was
/// silent since.
#[inline(always)]
fn tell_both(
    ring: Ring,
    flow: Flow,
    segment: &RecordHeader,
    counters: &mut HookCounters,
) -> Result<(), Verdict> {
    tell(ring, flow, segment, Whose::Theirs, counters)?;
    tell(ring, flow, segment, Whose::Mine, counters)
}

/// Tells what was left out of one direction and not told yet.
#[inline(always)]
fn tell(
    ring: Ring,
    flow: Flow,
    segment: &RecordHeader,
    whose: Whose,
    counters: &mut HookCounters,
) -> Result<(), Verdict> {
    let Some(left_out) = flow.left_out(whose, segment.time_ns) else { return Ok(()) };
    emit::notice(ring, segment, &left_out, whose, counters)?;
    flow.told(whose, &left_out, segment.time_ns);
    Ok(())
}
