//! `read`: capture files, one after the other, through one engine.
//!
//! Invariant: however many threads there are, the engine gets the same segments and the outputs
//! the same events, in the same order; so what is written is the same.

use capture_agent::engine::Engine;
use capture_agent::event::{Event, SourcePackets, Stats};
use capture_agent::output::recording::Recorder;
use capture_agent::output::relay::Relay;
use capture_agent::output::{Clock, Outputs, aside};
use capture_agent::source::file::{FileError, FileSource};
use capture_agent::source::{Item, Verdicts};

use super::ahead::Ahead;
use super::control::Control;
use super::feed::{Feed, Files};
use super::ledger::{Ledger, Tally};
use super::metrics::{Metrics, Teller};
use super::progress::Progress;
use super::record::{self, Record};
use super::sink::{Asked, Direct, Sink, Way as _, Writing};
use super::threads::Division;
use super::{conclude, open_outputs, selection, settings};
use crate::cli::{CommonArgs, ReadArgs};

/// Runs `read`.
pub(crate) fn files(args: &ReadArgs) -> anyhow::Result<()> {
    let control = Control::new()?;
    let metrics = Metrics::bind(&args.common)?;
    // Before a script runs.
    args.files.first().map_or(Ok(()), |first| FileSource::check(first))?;
    let outputs = open_outputs(&args.common, Clock::Packets, control.stop())?;
    let recording = record::open(&args.common, Clock::Packets, control.stop())?;
    let mut outputs = metrics.watch(outputs);
    metrics.say(&args.common);
    let (serve, teller) = metrics.serve(&outputs);
    let selection = selection(&args.common, &args.taken.port);
    let (paths, stop) = (args.files.clone(), control.stop());
    let mut files = Files::new(paths, selection, args.taken.verify_checksums, stop);
    let engine = Engine::new(settings(&args.common, &args.taken.port));
    let division = Division::of(args.threads);
    let progress = Progress::start(args, files.position())?;
    let common = args.common.clone();
    control.run(serve, move |_| {
        if !files.begin()? {
            if !common.quiet {
                aside::say("ended before there was anything to read");
            }
            return Ok(());
        }
        // Only now: what can't be read writes over nothing.
        outputs.begin()?;
        let has_thread = division.writers > 0;
        let recording = recording.map(record::Open::begin).transpose()?;
        let recording = recording.map(|open| open.of_files(has_thread)).transpose()?;
        let (recorder, record) = recording.unzip();
        let reading = Reading {
            feed: feed(files, division)?,
            engine,
            recorder,
            record,
            ledger: Ledger::new(&common),
            teller,
            sink: {
                let asked = Asked::by(&outputs);
                Sink::new(&common, writing(outputs, division)?).for_outputs(&asked)
            },
        };
        reading.run(&common, progress)
    })
}

fn feed(files: Files, division: Division) -> std::io::Result<Feed> {
    Ok(if division.reads_ahead {
        Feed::Ahead(Box::new(Ahead::start(files)?))
    } else {
        Feed::Here(Box::new(files))
    })
}

fn writing(outputs: Outputs, division: Division) -> std::io::Result<Writing> {
    Ok(match division.writers {
        0 => Writing::Here(Box::new(Direct::new(outputs))),
        threads => Writing::Relay(Relay::start(outputs, threads)?),
    })
}

struct Reading {
    feed: Feed,
    engine: Engine,
    recorder: Option<Recorder>,
    record: Option<Record>,
    ledger: Ledger,
    teller: Teller,
    sink: Sink<Writing>,
}

impl Reading {
    fn run(mut self, args: &CommonArgs, progress: Option<Progress>) -> anyhow::Result<()> {
        // What a damaged file gave before the damage is still worth having.
        let read = self.read_all();
        drop(progress);
        for note in self.feed.notes() {
            aside::say(note);
        }
        self.engine.finish(&mut self.sink);
        let mut stats = self.draw_up();
        let recorded = self.end_recording(&mut stats);
        if self.ledger.is_wanted() {
            self.sink.way.take(Event::Stats(Box::new(stats.clone())));
        }
        let endpoints = self.sink.take_endpoints();
        let (mut outputs, written) = self.sink.way.end();
        stats.written = outputs.written();
        conclude(args, &stats, endpoints.as_ref(), written)?;
        outputs.failure()?;
        recorded?;
        read.map_err(Into::into)
    }

    /// Reads to the end of the files, or until nothing more is wanted. That the agent is to end, the
    /// feed knows.
    fn read_all(&mut self) -> Result<(), FileError> {
        // Until there is something to read from a pipe, this is how it stands.
        self.tell();
        while !self.sink.is_full() && !self.sink.way.has_failed() {
            let Some(item) = self.feed.next_item()? else {
                if self.feed.is_waiting() {
                    self.hand_over();
                    // Who reads ahead may wait for the pipe, and hears no question.
                    self.tell();
                    self.feed.wait();
                } else if !self.feed.open_next()? {
                    break;
                }
                continue;
            };
            self.recorder.iter_mut().for_each(|recorder| recorder.item(&item));
            match item {
                Item::Interface(iface, name) => self.engine.name_interface(iface, name),
                Item::Segment(segment) => self.engine.segment(&segment, &mut self.sink),
            }
            if self.ledger.is_due(self.engine.now()) {
                let stats = self.draw_up();
                self.sink.way.take(Event::Stats(Box::new(stats)));
            }
            if self.teller.is_asked() {
                self.tell();
            }
        }
        Ok(())
    }

    /// Has outputs and recording write what they have: a pipe may be silent for long.
    fn hand_over(&mut self) {
        self.sink.way.flush();
        self.recorder.iter_mut().for_each(Recorder::hand_over);
    }

    /// Tells those who watch, if there are any, how it stands.
    fn tell(&self) {
        if self.teller.is_heard() {
            self.sink.way.tell();
            let recording = self.record.as_ref().and_then(Record::depth);
            self.teller.tell(self.draw_up(), recording.into_iter().collect(), None);
        }
    }

    fn draw_up(&self) -> Stats {
        let tally = Tally::of(&self.engine, &self.sink, self.recorder.as_ref());
        let recorded = self.record.as_ref().map(|record| record.so_far(tally.recorded));
        Stats { recorded, ..tally.stats(packets(self.feed.verdicts()), Vec::new()) }
    }

    /// Ends the recording, if there is one, and books what became of it.
    fn end_recording(&mut self, stats: &mut Stats) -> anyhow::Result<()> {
        let Some((mut recorder, record)) = self.recorder.take().zip(self.record.take()) else {
            return Ok(());
        };
        recorder.flush();
        let (recorded, result) = record.end(recorder.taken(), recorder.end());
        stats.recorded = Some(recorded);
        result
    }
}

fn packets(verdicts: Verdicts) -> Vec<SourcePackets> {
    vec![SourcePackets::of_files(verdicts)]
}
