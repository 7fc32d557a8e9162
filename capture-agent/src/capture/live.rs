//! `run`: the kernel half, a worker for each of its rings, and a queue to the outputs that never
//! pushes back.

use std::io;
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use capture_agent::engine::{Engine, Settings};
use capture_agent::event::{Endpoints, Event, SourcePackets, Stats};
use capture_agent::metrics::Live;
use capture_agent::output::queue::{self, Sender};
use capture_agent::output::recording::Recorder;
use capture_agent::output::{Clock, Outputs, Takes, aside, relay};
use capture_agent::owner::Owners;
use capture_agent::selection::PortSet;
use capture_agent::source::live::{
    KernelLog, LiveConfig, LiveError, LiveSource, Namespace, Notice, RingReader,
};
use tokio::task::JoinSet;

use super::control::{Control, Stop};
use super::governor::GovernorLog;
use super::ledger::{Ledger, Tally};
use super::metrics::{Metrics, Teller};
use super::record::{self, Record};
use super::sink::{Asked, Sink, Wanted};
use super::worker::{PATIENCE, Worker};
use super::{conclude, open_outputs, selection, settings};
use crate::cli::{Budget, CommonArgs, EventArg, RunArgs};

/// Runs `run`.
pub(crate) fn live(args: &RunArgs) -> anyhow::Result<()> {
    let control = Control::new()?;
    let metrics = Metrics::bind(&args.common)?;
    // Before a script runs.
    LiveSource::check(&args.place.netns, &args.place.iface)?;
    let mut outputs = open_outputs(&args.common, Clock::Wall, control.stop())?;
    let config = config(args, outputs.takes());
    let recording = record::open(&args.common, Clock::Wall, control.stop())?;
    if !args.no_owner {
        let owners = Owners::start(Namespace::find(&args.place.netns)?);
        outputs = outputs.with_owners(owners.context("cannot look up sockets")?);
    }
    let mut outputs = metrics.watch(outputs);
    let (mut source, readers) = LiveSource::open(&config)?;
    // Only now: a capture that can't begin writes over nothing.
    outputs.begin()?;
    let recording = recording.map(record::Open::begin).transpose()?;
    metrics.say(&args.common);
    if !args.common.quiet {
        source.notices().for_each(|notice| say(notice, &args.port));
    }
    let logs = match args.kernel_log {
        Some(_) => source.kernel_logs(|line| aside::say(line))?,
        None => Vec::new(),
    };
    let (serve, teller) = metrics.serve(&outputs);
    let forward = async {
        let mut running: JoinSet<_> = logs.into_iter().map(KernelLog::run).collect();
        while let Some(ended) = running.join_next().await {
            ended.map_err(io::Error::other)??;
        }
        Ok(())
    };
    let beside = async { tokio::try_join!(forward, serve).map(drop) };
    let (quiet, port) = (args.common.quiet, args.port.clone());
    source.follow(move |notice| {
        if !quiet {
            say(&notice, &port);
        }
    });
    let common = args.common.clone();
    let engine = settings(&args.common, &args.port);
    control.run(beside, move |stop| {
        let capture = Capture::start(source, readers, &engine, outputs, recording, &common)?;
        capture.run(&common, &stop, &teller)
    })
}

/// Says something about interfaces to who follows.
fn say(notice: &Notice, port: &PortSet) {
    match notice {
        Notice::Attached(_) => aside::say(format_args!("{notice}, port {port}")),
        _ => aside::say(notice),
    }
}

fn config(args: &RunArgs, takes: Takes) -> LiveConfig {
    LiveConfig {
        netns: args.place.netns.clone(),
        ifaces: args.place.iface.clone(),
        hook: args.place.hook,
        tc: args.place.tc_attach,
        sensor: args.place.sensor(),
        selection: selection(&args.common, &args.port),
        kernel_log: args.kernel_log,
        workers: args.kernel.workers,
        ring_bytes: args
            .kernel
            .ring_size
            .map(|size| u32::try_from(size.as_u64()).unwrap_or(u32::MAX)),
        latency: args.kernel.latency,
        budget: budget(args, takes),
    }
}

/// The budget of a flow's turn: what was asked for, and no less than what the outputs ask for.
fn budget(args: &RunArgs, takes: Takes) -> Option<u32> {
    let http = &args.common.http;
    let Budget::Bytes(asked) = args.kernel.budget else { return None };
    // A WebSocket's server may speak for hours before its client says a word; and a script that asks
    // for what is said gets all of it.
    if takes.data || args.common.events.contains(&EventArg::WebSocket) {
        return None;
    }
    if args.common.payload.save_bodies.is_some() {
        return None;
    }
    let kept = settings(&args.common, &args.port).http.keep_body_bytes as u64;
    // Chunks have frames of their own, and a head comes first.
    let needed = kept.saturating_add(kept / 4) + http.max_head_bytes.as_u64();
    u32::try_from(asked.as_u64().max(needed)).ok().filter(|bytes| *bytes < u32::MAX)
}

struct Capture {
    source: LiveSource,
    workers: Vec<Worker>,
    /// This thread's own end of the queue.
    sender: Sender,
    /// Whether more is wanted.
    wanted: Wanted,
    ledger: Ledger,
    governor_log: GovernorLog,
    record: Option<Record>,
    writer: JoinHandle<relay::Written>,
}

impl Capture {
    /// Starts the writer, and a worker for each reader, with its share of what there may be of
    /// flows and memory.
    fn start(
        source: LiveSource,
        readers: Vec<RingReader>,
        settings: &Settings,
        outputs: Outputs,
        recording: Option<record::Open>,
        args: &CommonArgs,
    ) -> anyhow::Result<Self> {
        let asked = Asked::by(&outputs);
        let (sender, writer) = queue::spawn(outputs)?;
        let (recorder, record) = recording.map(record::Open::live).transpose()?.unzip();
        let settings = settings.share_of(readers.len());
        let sinks = Sink::several(args, readers.iter().map(|_| sender.another()).collect());
        let sinks: Vec<_> = sinks.into_iter().map(|sink| sink.for_outputs(&asked)).collect();
        let wanted = sinks.first().map(Sink::wanted).unwrap_or_default();
        let workers = readers.into_iter().zip(sinks).map(|(reader, sink)| {
            let recorder = recorder.as_ref().and_then(Recorder::another);
            let engine = Engine::new(settings.clone());
            Worker::start(reader, engine, sink, recorder, thread::current())
        });
        let workers = workers.collect::<Result<_, _>>()?;
        Ok(Self {
            source,
            workers,
            sender,
            wanted,
            ledger: Ledger::new(args),
            governor_log: GovernorLog::new(args.quiet),
            record,
            writer,
        })
    }

    fn run(mut self, args: &CommonArgs, stop: &Stop, teller: &Teller) -> anyhow::Result<()> {
        let watched = self.watch(stop, teller);
        self.source.detach();
        self.workers.iter().for_each(Worker::finish);
        let mut tally = Tally::default();
        let mut endpoints: Option<Endpoints> = None;
        let mut worked = Ok(());
        for worker in self.workers {
            let (done, counted, result) = worker.join();
            tally.merge(&done);
            if let Some(counted) = counted {
                endpoints.get_or_insert_default().merge(&counted);
            }
            worked = worked.and(result);
        }
        // The recorders are gone with the workers.
        let recorded = self.record.take().map(|record| record.end(tally.recorded, None));
        let (recorded, is_recorded) = recorded.unzip();
        let packets = packets(&self.source).unwrap_or_default();
        let mut stats = tally.stats(packets, self.source.governors().unwrap_or_default());
        stats.recorded = recorded;
        if self.ledger.is_wanted() {
            self.sender.send_last(Event::Stats(Box::new(stats.clone())));
        } else {
            drop(self.sender);
        }
        let joined = self.writer.join();
        let (mut outputs, written) =
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        stats.written = outputs.written();
        let failure = outputs.failure();
        conclude(args, &stats, endpoints.as_ref(), written)?;
        failure?;
        is_recorded.unwrap_or(Ok(()))?;
        watched.and(worked).map_err(Into::into)
    }

    /// Lets the workers capture until they are to stop, have what is wanted, or have failed, and
    /// until nothing can be seen or written any more.
    fn watch(&mut self, stop: &Stop, teller: &Teller) -> Result<(), LiveError> {
        teller.conduct();
        loop {
            let has_ended = self.writer.is_finished() || self.workers.iter().any(Worker::has_ended);
            if has_ended || stop.is_set() || self.wanted.is_full() || self.source.is_over() {
                return Ok(());
            }
            thread::park_timeout(PATIENCE.min(self.ledger.patience()));
            if self.governor_log.is_due() {
                let lines = self.governor_log.lines(&self.source.governors()?);
                lines.iter().for_each(aside::say);
            }
            let tally = self.tally();
            if self.ledger.is_due(tally.now) {
                let stats = self.draw_up(tally)?;
                self.sender.send(Event::Stats(Box::new(stats)));
                self.sender.flush();
            }
            if teller.is_asked() {
                let (rings, interfaces) = (self.source.rings(), self.source.interfaces());
                let live = Some(Live { rings, interfaces });
                let recording = self.record.as_ref().and_then(Record::depth);
                let queues = [self.sender.depth()].into_iter().chain(recording).collect();
                teller.tell(self.draw_up(tally)?, queues, live);
            }
        }
    }

    /// The ledger as of now, but for what the outputs add.
    fn draw_up(&self, tally: Tally) -> Result<Stats, LiveError> {
        // The kernel half's counters come last: nothing was taken before it was counted.
        let mut stats = tally.stats(packets(&self.source)?, self.source.governors()?);
        stats.recorded = self.record.as_ref().map(|record| record.so_far(tally.recorded));
        Ok(stats)
    }

    fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.workers.iter().for_each(|worker| sum.merge(&worker.tally()));
        sum
    }
}

fn packets(source: &LiveSource) -> Result<Vec<SourcePackets>, LiveError> {
    let (hooks, consumed) = (source.packets()?.into_iter(), source.consumes());
    Ok(hooks.map(|(hook, cpus)| SourcePackets::of_hook(hook, cpus, consumed)).collect())
}
