//! The ledger in a few words, for people.

use std::fmt::Write as _;

use capture_ebpf::Verdict;

use crate::event::{Dropped, Recorded, Stats};

/// The ledger in one line: what was captured, and what was lost and why.
#[must_use]
pub fn line(stats: &Stats) -> String {
    let engine = &stats.engine;
    let packets: u64 = stats.packets.iter().map(|packets| packets.packets.seen).sum();
    let mut line = format!(
        "{} on {}, {} seen",
        counted(engine.exchanges, "exchange"),
        counted(engine.flows_opened, "flow"),
        counted(packets, "packet"),
    );
    if engine.messages > 0 {
        let _ = write!(line, ", {}", counted(engine.messages, "WebSocket message"));
    }
    let Dropped { filtered, undecided, .. } = stats.dropped;
    if filtered > 0 {
        let _ = write!(line, ", {} filtered out", counted(filtered, "exchange"));
    }
    if undecided > 0 {
        let _ = write!(line, " ({undecided} without what --where asks for)");
    }
    let files = || stats.written.iter().filter_map(|written| written.files);
    let saved: u64 = files().map(|files| files.whole).sum();
    let partial: u64 = files().map(|files| files.partial).sum();
    if saved + partial > 0 {
        let _ = write!(line, ", {} saved", counted(saved, "payload file"));
    }
    if partial > 0 {
        let _ = write!(line, " and {partial} in part");
    }
    for (count, what) in losses(stats) {
        let _ = write!(line, ", {count} {what}");
    }
    line
}

/// What was lost, how much of it, and why; empty if nothing was.
fn losses(stats: &Stats) -> Vec<(u64, &'static str)> {
    let verdict =
        |verdict| stats.packets.iter().map(|packets| packets.packets.verdicts.count(verdict)).sum();
    let recorded = |count: fn(&Recorded) -> u64| stats.recorded.as_ref().map_or(0, count);
    let engine = &stats.engine;
    let [.., pressure, _, _] = engine.flows_closed;
    let files = stats.written.iter().filter_map(|written| written.files);
    let failed_bytes = files.map(|files| files.failed_bytes).sum();
    [
        (verdict(Verdict::RingFull), "packets lost because the ring was full"),
        (verdict(Verdict::Shed), "packets of flows left out because the ring was nearly full"),
        (verdict(Verdict::LoadFailed), "packets lost because they could not be read"),
        (verdict(Verdict::Fragment), "IP fragments left out"),
        (verdict(Verdict::Malformed), "malformed packets left out"),
        (verdict(Verdict::BadChecksum), "packets with wrong checksums left out"),
        (engine.gap_bytes - engine.dropped_bytes, "bytes sent but not seen"),
        (engine.dropped_bytes, "bytes seen but lost by the agent itself"),
        (pressure, "flows pushed out of the table"),
        (stats.dropped.exchanges, "exchanges left out because the output was too slow"),
        (stats.dropped.messages, "WebSocket messages left out because the output was too slow"),
        (stats.dropped.content_bytes, "bytes of bodies not saved because the disk was too slow"),
        (failed_bytes, "bytes of bodies that could not be saved"),
        (stats.dropped.flows, "flow summaries left out because the output was too slow"),
        (recorded(|it| it.dropped), "segments left out of the recording because it was too slow"),
        (recorded(|it| it.failed), "segments after the recording had failed"),
        (stats.dropped.raw.opened, "opened flows left out because the script was too slow"),
        (stats.dropped.raw.data_bytes, "bytes of flows left out because the script was too slow"),
        (stats.written.iter().filter_map(|written| written.errors).sum(), "errors of the script"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .collect()
}

/// So many of something.
pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
