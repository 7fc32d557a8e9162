//! `run`: the kernel half, the engine, and a queue to the outputs that never pushes back.

use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::control::{Control, Stop};
use super::ledger::Ledger;
use super::sink::Sink;
use super::{conclude, open_outputs, selection, settings};
use crate::cli::{Budget, CommonArgs, EventArg, RunArgs};
use anyhow::Context as _;
use capture_agent::engine::Engine;
use capture_agent::event::{Event, SourcePackets};
use capture_agent::output::queue::{self, Sender};
use capture_agent::output::{OutputError, Outputs};
use capture_agent::segment::Timestamp;
use capture_agent::source::Item;
use capture_agent::source::live::{
    LiveConfig, LiveError, LiveSource, RingReader, default_route_iface,
};

/// How long the capture waits for segments before it looks at the clock and at whether to stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// Runs `run`.
pub(crate) fn live(args: &RunArgs) -> anyhow::Result<()> {
    let control = Control::new()?;
    let config = config(args)?;
    let outputs = open_outputs(&args.common)?;
    let (mut source, mut readers) = LiveSource::open(&config)?;
    let reader = readers.pop().context("the source has no reader")?;
    if !args.common.quiet {
        for attachment in source.attachments() {
            eprintln!("capturing on {attachment}, port {}", args.port);
        }
    }
    let log = match args.kernel_log {
        Some(_) => Some(source.kernel_log(|line| eprintln!("{line}"))?),
        None => None,
    };
    let beside = async {
        match log {
            Some(log) => log.run().await,
            None => Ok(()),
        }
    };
    let (sender, writer) = queue::spawn(outputs)?;
    let capture = Capture {
        source,
        reader,
        engine: Engine::new(settings(&args.common, &args.port)),
        sink: Sink::new(&args.common, sender),
        ledger: Ledger::new(&args.common),
        writer,
    };
    let common = args.common.clone();
    control.run(beside, move |stop| capture.run(&common, &stop))
}

fn config(args: &RunArgs) -> Result<LiveConfig, LiveError> {
    let ifaces = if args.iface.is_empty() {
        let iface = default_route_iface()?;
        if !args.common.quiet {
            eprintln!("no --iface given: taking {iface}, which has the default route");
        }
        vec![iface]
    } else {
        args.iface.clone()
    };
    Ok(LiveConfig {
        ifaces,
        hook: args.hook,
        tc: args.tc_attach,
        selection: selection(&args.common, &args.port),
        kernel_log: args.kernel_log,
        workers: Some(1),
        ring_bytes: args
            .kernel
            .ring_size
            .map(|size| u32::try_from(size.as_u64()).unwrap_or(u32::MAX)),
        latency: args.kernel.latency,
        budget: budget(args),
    })
}

/// The budget of a flow's turn: what was asked for, and no less than what the outputs ask for.
fn budget(args: &RunArgs) -> Option<u32> {
    let http = &args.common.http;
    let Budget::Bytes(asked) = args.kernel.budget else { return None };
    // A WebSocket's server may speak for hours before its client says a word.
    if args.common.events.contains(&EventArg::WebSocket) {
        return None;
    }
    let kept = settings(&args.common, &args.port).http.keep_body_bytes as u64;
    // Chunks have frames of their own, and a head comes first.
    let needed = kept.saturating_add(kept / 4) + http.max_head_bytes.as_u64();
    let bytes = asked.as_u64().max(if kept > 0 { needed } else { 0 });
    u32::try_from(bytes).ok().filter(|bytes| *bytes < u32::MAX)
}

struct Capture {
    source: LiveSource,
    reader: RingReader,
    engine: Engine,
    sink: Sink<Sender>,
    ledger: Ledger,
    writer: JoinHandle<Result<Outputs, OutputError>>,
}

impl Capture {
    fn run(mut self, args: &CommonArgs, stop: &Stop) -> anyhow::Result<()> {
        let captured = self.capture(stop);
        // A reader that has failed has nothing more to give.
        let captured = captured.and_then(|()| self.drain());
        self.engine.finish(&mut self.sink);
        let packets = packets(&self.source);
        let mut stats = self.ledger.draw_up(&self.engine, packets.unwrap_or_default(), &self.sink);
        stats.governors = self.source.governors().unwrap_or_default();
        if self.ledger.is_wanted() {
            self.sink.way.send_last(Event::Stats(Box::new(stats.clone())));
        } else {
            drop(self.sink);
        }
        let written = self.writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let written = written.map(|outputs| stats.written = outputs.written());
        conclude(args, &stats, written)?;
        captured.map_err(Into::into)
    }

    /// Captures until it is told to stop, has what it wants, or cannot write any more.
    fn capture(&mut self, stop: &Stop) -> Result<(), LiveError> {
        let mut patience = PATIENCE;
        while !stop.is_set() && !self.sink.is_full() && !self.writer.is_finished() {
            if self.read(patience)? == 0 {
                // The line is silent: time goes on all the same.
                let more_to_evict = self.engine.advance(now(), &mut self.sink);
                patience = if more_to_evict { Duration::ZERO } else { PATIENCE };
            }
            if self.ledger.is_due(self.engine.now()) {
                let packets = packets(&self.source)?;
                let mut stats = self.ledger.draw_up(&self.engine, packets, &self.sink);
                stats.governors = self.source.governors()?;
                self.sink.way.send(Event::Stats(Box::new(stats)));
            }
        }
        Ok(())
    }

    /// Takes what was seen before the programs went off their hooks.
    fn drain(&mut self) -> Result<(), LiveError> {
        self.source.detach();
        while !self.sink.is_full() && self.read(Duration::ZERO)? > 0 {}
        Ok(())
    }

    fn read(&mut self, timeout: Duration) -> Result<usize, LiveError> {
        let Self { reader, engine, sink, .. } = self;
        reader.read(timeout, |item| match item {
            Item::Interface(iface, name) => engine.name_interface(iface, name),
            Item::Segment(segment) => engine.segment(&segment, sink),
        })
    }
}

fn packets(source: &LiveSource) -> Result<Vec<SourcePackets>, LiveError> {
    let hooks = source.packets()?.into_iter();
    Ok(hooks.map(|(hook, cpus)| SourcePackets::of_hook(hook, cpus)).collect())
}

/// The time on the clock that the source dates segments by.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}
