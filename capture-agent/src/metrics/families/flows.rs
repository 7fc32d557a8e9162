//! What the engine did with segments, and what became of flows.

use std::fmt;

use prometheus_client::registry::Unit;

use super::Families;
use crate::event::Stats;

pub(super) fn write(stats: &Stats, families: &mut Families<'_>) -> fmt::Result {
    let engine = &stats.engine;
    let help = "Segments and notices that the engine was given.";
    families.counter("segments_received", help, engine.segments)?;
    let segments = [
        ("in_flow", engine.segments_in_flows),
        ("duplicate", engine.segments_shown_again),
        ("after_close", engine.segments_after_close),
        ("without_flow", engine.segments_without_flow),
    ];
    let segments = segments.map(|(what, count)| ([("place", what)], count));
    families.counters("segments", "The same by where they belong.", None, segments)?;
    let help = "Resets out of the window, of segments in flows.";
    families.counter("resets_ignored", help, engine.resets_ignored)?;
    families.bytes("stream", "Payload that was observed, each byte once.", engine.bytes)?;
    let lost = [
        ("unseen", engine.gap_bytes.saturating_sub(engine.dropped_bytes)),
        ("dropped", engine.dropped_bytes),
        ("elided", engine.elided_bytes),
    ];
    let lost = lost.map(|(why, count)| ([("reason", why)], count));
    let help = "Payload that was sent and is missing: not seen, dropped by the agent because it could not \
                keep up, or left in the kernel on purpose.";
    families.counters("stream_missing", help, Some(Unit::Bytes), lost)?;
    families.counter("flows_opened", "Flows that were opened.", engine.flows_opened)?;
    families.gauge("flows_active", "Flows that are in the table.", engine.flows_active)?;
    let reasons = ["fin", "rst", "idle", "pressure", "reused", "end"];
    let closed = reasons.into_iter().zip(engine.flows_closed);
    let closed = closed.map(|(reason, count)| ([("reason", reason)], count));
    families.counters("flows_closed", "Flows that are gone.", None, closed)?;
    let owners = stats.owners.iter().flat_map(|owners| {
        [([("result", "asked")], owners.looked_up), ([("result", "skipped")], owners.skipped)]
    });
    let help =
        "Flows whose owners the kernel was asked for, and those that were too many at a time.";
    families.counters("owner_lookups", help, None, owners)
}
