//! The ledger: where every packet, segment, exchange and message went.
//!
//! Invariant: what one stage hands on, the next one has taken, or it is counted with a reason.

mod engine;
mod events;
mod outputs;
mod source;
#[cfg(test)]
mod tests;

use capture_ebpf::Governor;

pub use engine::EngineCounters;
pub use events::{Counts, Dropped, RawCounts};
pub use outputs::{FilesWritten, Recorded, Written};
pub use source::SourcePackets;

use super::HttpCounters;
use crate::segment::Timestamp;

/// Flows whose owners were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerCounters {
    /// Flows that the kernel was asked about.
    pub looked_up: u64,
    /// Flows that it was not, because there were too many at a time.
    pub skipped: u64,
}
/// The ledger: where every packet, segment, exchange and message went.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// When the ledger was drawn up, by packet time.
    pub time: Timestamp,
    /// What the sources saw.
    pub packets: Vec<SourcePackets>,
    /// How full the rings were, one for each worker; none for capture files.
    pub governors: Vec<Governor>,
    /// What the engine made of it.
    pub engine: EngineCounters,
    /// The exchanges of it that were asked for, in sum.
    pub http: HttpCounters,
    /// What was left out on the way to the outputs.
    pub dropped: Dropped,
    /// What was made for consumers alone.
    pub raw: RawCounts,
    /// Flows whose owners were looked up, where they are.
    pub owners: Option<OwnerCounters>,
    /// What the outputs wrote.
    pub written: Vec<Written>,
    /// What the recording has, where there is one.
    pub recorded: Option<Recorded>,
}

impl Stats {
    /// What does not add up, in words. There is nothing at the end of a capture whose outputs did
    /// not fail; before it, what is on its way from source to outputs is still missing.
    #[must_use]
    pub fn imbalances(&self) -> Vec<String> {
        let Self { packets, engine, http, dropped, raw: made, written, recorded, .. } = self;
        let mut sums = vec![
            (
                "segments".to_owned(),
                engine.segments,
                engine.segments_in_flows
                    + engine.segments_shown_again
                    + engine.segments_after_close
                    + engine.segments_without_flow,
            ),
            (
                "flows".to_owned(),
                engine.flows_opened,
                engine.flows_active + engine.flows_closed.iter().sum::<u64>(),
            ),
        ];
        let counted = http.sum() + dropped.filtered + dropped.beyond_count;
        sums.push(("exchanges in sum".to_owned(), engine.exchanges, counted));
        let records = packets.iter().map(|source| source.packets.handed_over.records).sum();
        sums.push(("segments handed over".to_owned(), records, engine.segments));
        sums.extend(packets.iter().map(|SourcePackets { source, packets, .. }| {
            (format!("packets of {source}"), packets.seen, packets.verdicts.sum())
        }));
        if let Some(Recorded { output, segments, dropped, failed }) = recorded {
            let booked = segments + dropped + failed;
            sums.push((format!("segments for {output}"), engine.segments, booked));
        }
        for written in written {
            let Written { output, exchanges, flows, messages, raw, files, .. } = written;
            let mut left_out = written.left_out;
            left_out.merge(&written.lost);
            let not_written =
                dropped.exchanges + dropped.unwanted + dropped.filtered + left_out.exchanges;
            let name = |what| format!("{what} for {output}");
            sums.push((name("exchanges"), engine.exchanges, exchanges + not_written));
            let not_written = dropped.messages + dropped.unwanted_messages + left_out.messages;
            sums.push((name("messages"), engine.messages, messages + not_written));
            let gone = engine.flows_closed.iter().sum();
            let not_written = dropped.flows + dropped.unwanted_flows + left_out.flows;
            sums.push((name("flow summaries"), gone, flows + not_written));
            if let Some(files) = files {
                let taken = files.content_bytes + files.failed_bytes + left_out.content_bytes;
                let not_written = dropped.content_bytes + dropped.unwanted_content_bytes;
                let name = name("bytes of bodies");
                sums.push((name, engine.content_bytes, taken + not_written));
            }
            let Some(raw) = raw else { continue };
            let booked = raw.opened + dropped.raw.opened + left_out.raw.opened;
            sums.push((name("opened flows"), made.opened, booked));
            let booked = raw.data_bytes + dropped.raw.data_bytes + left_out.raw.data_bytes;
            sums.push((name("bytes of flows"), made.data_bytes, booked));
        }
        let differing = sums.into_iter().filter(|(_, made, booked)| made != booked);
        differing.map(|(what, made, booked)| format!("{made} {what}, {booked} booked")).collect()
    }
}
