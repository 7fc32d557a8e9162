//! What the hooks, the rings and the readers of files did with packets.

use std::fmt;

use capture_ebpf::{Governor, Verdict};
use prometheus_client::registry::Unit;

use super::{Families, Labels, Snapshot};
use crate::event::SourcePackets;
use crate::source::HandedOver;

/// Numbers as values of labels: of rings, of which there are 16 at most, and of levels.
const NUMBERS: [&str; 16] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"];

pub(super) fn write(snapshot: &Snapshot, families: &mut Families<'_>) -> fmt::Result {
    let sources = &snapshot.stats.packets;
    sources_seen(sources, families)?;
    handed_over(sources, families)?;
    governors(&snapshot.stats.governors, families)?;
    let Some(live) = &snapshot.live else { return Ok(()) };
    let rings = || NUMBERS.into_iter().zip(&live.rings);
    let used = rings().map(|(ring, fill)| ([("ring", ring)], fill.used_bytes));
    families.gauges("ring_used", "What waits in a worker's ring.", Some(Unit::Bytes), used)?;
    let size = rings().map(|(ring, fill)| ([("ring", ring)], fill.size_bytes));
    families.gauges("ring_size", "What has room in it.", Some(Unit::Bytes), size)?;
    let interfaces = live.interfaces as u64;
    families.gauge("interfaces", "Interfaces that are captured on.", interfaces)
}

fn sources_seen(sources: &[SourcePackets], families: &mut Families<'_>) -> fmt::Result {
    let seen = sources.iter().map(|it| ([("source", it.source)], it.packets.seen));
    families.counters("packets_seen", "Packets that came to a hook or from files.", None, seen)?;
    let verdicts = sources.iter().flat_map(|it| {
        Verdict::ALL.into_iter().map(|verdict| {
            let labels: Labels<'_, 2> = [("source", it.source), ("verdict", name(verdict))];
            (labels, it.packets.verdicts.count(verdict))
        })
    });
    let help = "The same packets by what was done with them.";
    families.counters("packets", help, None, verdicts)?;
    let consumed = sources.iter().filter(|it| it.consumed);
    let consumed = consumed.map(|it| ([("source", it.source)], it.packets.seen));
    families.counters("packets_consumed", "Packets that ended at a hook.", None, consumed)
}

fn handed_over(sources: &[SourcePackets], families: &mut Families<'_>) -> fmt::Result {
    type Count = fn(&HandedOver) -> u64;
    let counts: [(&str, &str, Option<Unit>, Count); 5] = [
        ("records", "Segments and notices that were handed over.", None, |it| it.records),
        ("notices", "Those of them that only say what was left out.", None, |it| it.notices),
        ("record", "Payload that was handed over.", Some(Unit::Bytes), |it| it.bytes),
        (
            "hook_elided",
            "Payload that a hook left in the kernel: a flow's budget was used up.",
            Some(Unit::Bytes),
            |it| it.elided_bytes,
        ),
        (
            "hook_dropped",
            "Payload that a hook selected and lost: its ring was full.",
            Some(Unit::Bytes),
            |it| it.dropped_bytes,
        ),
    ];
    // Of a file each packet is a segment, and nothing else is known.
    let hooks = || sources.iter().filter(|it| !it.cpus.is_empty());
    for (name, help, unit, count) in counts {
        let series = hooks().map(|it| ([("source", it.source)], count(&it.packets.handed_over)));
        families.counters(name, help, unit, series)?;
    }
    Ok(())
}

fn governors(governors: &[Governor], families: &mut Families<'_>) -> fmt::Result {
    let rings = || NUMBERS.into_iter().zip(governors);
    let levels = rings().map(|(ring, governor)| ([("ring", ring)], governor.level));
    let help = "How much is left out as the ring fills: 0 nothing, 1 to 3 ever more of bodies, \
                4 half of the flows, 5 seven eighths of them.";
    families.gauges("ring_level", help, None, levels)?;
    let changes = rings().flat_map(|(ring, governor)| {
        let up = NUMBERS.into_iter().zip(governor.raised).skip(1);
        let up = up.map(move |(level, count)| {
            ([("ring", ring), ("level", level), ("from", "below")], count)
        });
        let down = NUMBERS.into_iter().zip(governor.lowered);
        let down = down.map(move |(level, count)| {
            ([("ring", ring), ("level", level), ("from", "above")], count)
        });
        up.chain(down)
    });
    families.counters("ring_level_changes", "How often a level was entered.", None, changes)
}

const fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::HandedOver => "handed_over",
        Verdict::NotIp => "not_ip",
        Verdict::NotTcp => "not_tcp",
        Verdict::Fragment => "fragment",
        Verdict::Malformed => "malformed",
        Verdict::OtherPort => "other_port",
        Verdict::OtherHost => "other_host",
        Verdict::NotSampled => "not_sampled",
        Verdict::PureAck => "pure_ack",
        Verdict::Elided => "elided",
        Verdict::Shed => "shed",
        Verdict::RingFull => "ring_full",
        Verdict::LoadFailed => "load_failed",
        Verdict::Reassembled => "reassembled",
        Verdict::BadChecksum => "bad_checksum",
    }
}
