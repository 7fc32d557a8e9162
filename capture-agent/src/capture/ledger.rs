//! When the ledger is drawn up, and from what.

use std::time::Duration;

use capture_agent::engine::Engine;
use capture_agent::event::{
    Dropped, EngineCounters, HttpCounters, RawCounts, SourcePackets, Stats,
};
use capture_agent::output::recording::{Recorder, Taken};
use capture_agent::segment::Timestamp;
use capture_ebpf::Governor;

use super::sink::{Sink, Way};
use crate::cli::{CommonArgs, EventArg};

/// What one engine has done so far, and what became of it on the way to the outputs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) now: Timestamp,
    engine: EngineCounters,
    http: HttpCounters,
    dropped: Dropped,
    raw: RawCounts,
    /// What the engine's recorder has taken; nothing where there is none.
    pub(super) recorded: Taken,
}

impl Tally {
    pub(super) fn of<W: Way>(engine: &Engine, sink: &Sink<W>, recorder: Option<&Recorder>) -> Self {
        Self {
            now: engine.now(),
            engine: engine.counters(),
            http: sink.http(),
            dropped: sink.dropped(),
            raw: sink.raw(),
            recorded: recorder.map(Recorder::taken).unwrap_or_default(),
        }
    }

    /// Adds what another engine has done.
    pub(super) fn merge(&mut self, other: &Self) {
        self.now = self.now.max(other.now);
        self.engine.merge(&other.engine);
        self.http.merge(&other.http);
        self.dropped.merge(&other.dropped);
        self.raw.merge(&other.raw);
        self.recorded.merge(&other.recorded);
    }

    /// The ledger as of now. What was written is added by the outputs when they come to it.
    pub(super) fn stats(self, packets: Vec<SourcePackets>, governors: Vec<Governor>) -> Stats {
        let Self { now: time, engine, http, dropped, raw, .. } = self;
        Stats { time, packets, governors, engine, http, dropped, raw, ..Stats::default() }
    }
}

/// Tells when the ledger is wanted: at the end and, if asked for, every so often.
#[derive(Debug)]
pub(super) struct Ledger {
    wanted: bool,
    interval_ns: Option<u64>,
    due: Option<Timestamp>,
}

impl Ledger {
    pub(super) fn new(args: &CommonArgs) -> Self {
        let wanted = args.events.contains(&EventArg::Stats);
        let nanos = |interval: Duration| u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        let interval_ns = args.stats_interval.filter(|_| wanted).map(nanos);
        Self { wanted, interval_ns, due: None }
    }

    /// Whether the ledger is among the events that are written.
    pub(super) const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// How long to wait at most before asking whether an interval is over; no less than what keeps
    /// the thread that asks from being busy with it.
    pub(super) fn patience(&self) -> Duration {
        const LEAST: Duration = Duration::from_millis(10);
        self.interval_ns.map_or(Duration::MAX, Duration::from_nanos).max(LEAST)
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
}
