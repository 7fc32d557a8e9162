//! What was lost, why, and what to do about it.

use capture_ebpf::Verdict;

use crate::event::{Recorded, Stats};

/// What to do where a ring fills.
const RING: &str = "The agent could not keep up with the kernel. Give it a larger --ring-size or more \
     --workers, or less to do: --sample 1/N, a smaller --budget, --port, --host.";
/// What to do where an output is too slow.
const OUTPUT: &str = "What is written takes longer than what comes in. Write less of it (--where, \
     --sample, no --bodies) or elsewhere: to a faster disk, with fewer outputs, not to a terminal.";
/// What to do where a script is too slow.
const SCRIPT: &str = "The script takes longer than what comes in. Have it ask for less, or capture \
     less: --where, --sample, --port.";

/// Something that was lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) count: u64,
    /// What it is, and why it is not here.
    pub(super) what: &'static str,
    /// What to do about it, where that can be said.
    pub(super) advice: &'static str,
}

/// All that was lost; empty if nothing was.
pub(super) fn losses(stats: &Stats) -> Vec<Loss> {
    let losses = packets(stats).into_iter().chain(streams(stats)).chain(outputs(stats));
    let losses = losses.map(|(count, what, advice)| Loss { count, what, advice });
    losses.filter(|loss| loss.count > 0).collect()
}

type Line = (u64, &'static str, &'static str);

/// Whether the packets were those of capture files.
pub(super) fn is_of_files(stats: &Stats) -> bool {
    stats.packets.iter().any(|packets| packets.source == "file")
}

/// Packets of a verdict, of all sources.
pub(super) fn verdict(stats: &Stats, verdict: Verdict) -> u64 {
    stats.packets.iter().map(|packets| packets.packets.verdicts.count(verdict)).sum()
}

/// Packets that never came to the engine.
fn packets(stats: &Stats) -> [Line; 6] {
    let of = |kind| verdict(stats, kind);
    let fragments = if is_of_files(stats) {
        "The file does not have all fragments of them."
    } else {
        "Live, fragments are not put together. To see what they carry, record with \
         tcpdump and read the file."
    };
    [
        (of(Verdict::RingFull), "packets lost because the ring was full", RING),
        (of(Verdict::Shed), "packets of flows left out because the ring was nearly full", RING),
        (of(Verdict::LoadFailed), "packets lost because they could not be read", ""),
        (of(Verdict::Fragment), "IP fragments left out", fragments),
        (
            of(Verdict::Malformed),
            "malformed packets left out",
            "Their headers contradict themselves or are cut off. A capture taken with a short \
             snap length has only parts of packets: take it with `tcpdump -s 0`.",
        ),
        (
            of(Verdict::BadChecksum),
            "packets with wrong checksums left out",
            "On the host that sends, the network card fills checksums in after the capture. For a \
             file from there, leave out --verify-checksums.",
        ),
    ]
}

/// What streams and flows lack.
fn streams(stats: &Stats) -> [Line; 3] {
    let engine = &stats.engine;
    let [.., pressure, _, _] = engine.flows_closed;
    let unseen = if is_of_files(stats) {
        "The receiver acknowledged them, but the file does not have them. Capture with a larger \
         buffer (`tcpdump -B 65536`), whole packets (`-s 0`) and every interface they may take."
    } else {
        "The receiver acknowledged them, but they did not pass here. Where there is more than one \
         way, as with a bond or asymmetric routes, give --iface for each."
    };
    [
        (engine.gap_bytes.saturating_sub(engine.dropped_bytes), "bytes sent but not seen", unseen),
        (engine.dropped_bytes, "bytes seen but lost by the agent itself", RING),
        (
            pressure,
            "flows pushed out of the table",
            "There were more at a time than may be held: raise --max-flows or --memory-limit, or \
             lower --flow-timeout.",
        ),
    ]
}

/// What was made and not written.
fn outputs(stats: &Stats) -> [Line; 12] {
    let recorded = |count: fn(&Recorded) -> u64| stats.recorded.as_ref().map_or(0, count);
    let files = stats.written.iter().filter_map(|written| written.files);
    let failed_bytes = files.map(|files| files.failed_bytes).sum();
    let not_written = stats.written.iter().map(|written| written.lost.exchanges).sum();
    let errors = stats.written.iter().filter_map(|written| written.errors).sum();
    let dropped = &stats.dropped;
    let owners = stats.owners.map_or(0, |owners| owners.skipped);
    [
        (dropped.exchanges, "exchanges left out because the output was too slow", OUTPUT),
        (dropped.messages, "WebSocket messages left out because the output was too slow", OUTPUT),
        (dropped.content_bytes, "bytes of bodies not saved because the disk was too slow", OUTPUT),
        (failed_bytes, "bytes of bodies that could not be saved", "See above for why."),
        (dropped.flows, "flow summaries left out because the output was too slow", OUTPUT),
        (
            not_written,
            "exchanges lost because an output could not be written",
            "See above for which one and why; the other outputs have them.",
        ),
        (
            recorded(|it| it.dropped),
            "segments left out of the recording because it was too slow",
            "Record to a faster disk, or less: --port, --host, --sample.",
        ),
        (
            recorded(|it| it.failed),
            "segments after the recording had failed",
            "See above for why it did.",
        ),
        (dropped.raw.opened, "opened flows left out because the script was too slow", SCRIPT),
        (dropped.raw.data_bytes, "bytes of flows left out because the script was too slow", SCRIPT),
        (errors, "errors of the script", "See above for what went wrong first."),
        (owners, "flows whose owners were not looked up because they came too fast", ""),
    ]
}
