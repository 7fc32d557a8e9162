//! When the ledger is drawn up, and from what.

use capture_agent::engine::Engine;
use capture_agent::event::{SourcePackets, Stats};
use capture_agent::segment::Timestamp;

use super::sink::{Sink, Way};
use crate::cli::{CommonArgs, EventArg};

/// Draws up the ledger at the end and, if asked for, every so often.
#[derive(Debug)]
pub(super) struct Ledger {
    wanted: bool,
    interval_ns: Option<u64>,
    due: Option<Timestamp>,
}

impl Ledger {
    pub(super) fn new(args: &CommonArgs) -> Self {
        let wanted = args.events.contains(&EventArg::Stats);
        let nanos =
            |interval: std::time::Duration| u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        let interval_ns = args.stats_interval.filter(|_| wanted).map(nanos);
        Self { wanted, interval_ns, due: None }
    }

    /// Whether the ledger is among the events that are written.
    pub(super) const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Whether an interval is over; the first one begins with the first packet.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let Some(interval) = self.interval_ns else { return false };
        let next = Some(Timestamp(now.as_nanos().saturating_add(interval)));
        match self.due {
            Some(due) if now < due => false,
            Some(_) => {
                self.due = next;
                true
            }
            None => {
                self.due = next.filter(|_| now != Timestamp::default());
                false
            }
        }
    }

    /// The ledger as of now.
    pub(super) fn draw_up<W: Way>(
        &self,
        engine: &Engine,
        packets: Vec<SourcePackets>,
        sink: &Sink<W>,
    ) -> Stats {
        Stats {
            time: engine.now(),
            packets,
            governors: Vec::new(),
            engine: engine.counters(),
            dropped: sink.dropped(),
            written: Vec::new(),
        }
    }
}
