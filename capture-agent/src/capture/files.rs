//! `read`: capture files, one after the other, through one engine.

use std::path::PathBuf;

use capture_agent::engine::Engine;
use capture_agent::event::{Event, SourcePackets};
use capture_agent::output::Outputs;
use capture_agent::selection::Selection;
use capture_agent::source::file::{FileError, FileSource};
use capture_agent::source::{Item, Verdicts};

use super::control::{Control, Stop};
use super::ledger::Ledger;
use super::sink::{Direct, Sink, Way as _};
use super::{conclude, open_outputs, selection, settings};
use crate::cli::{CommonArgs, ReadArgs};

/// Runs `read`.
pub(crate) fn files(args: &ReadArgs) -> anyhow::Result<()> {
    let control = Control::new()?;
    let outputs = open_outputs(&args.common)?;
    let engine = Engine::new(settings(&args.common, &args.taken.port));
    let reading = Reading {
        files: args.files.clone(),
        selection: selection(&args.common, &args.taken.port),
        verify_checksums: args.taken.verify_checksums,
        engine,
        verdicts: Verdicts::default(),
    };
    let common = args.common.clone();
    control.run(std::future::ready(Ok(())), move |stop| reading.run(&common, outputs, &stop))
}

struct Reading {
    files: Vec<PathBuf>,
    selection: Selection,
    verify_checksums: bool,
    engine: Engine,
    verdicts: Verdicts,
}

impl Reading {
    fn run(mut self, args: &CommonArgs, outputs: Outputs, stop: &Stop) -> anyhow::Result<()> {
        let mut sink = Sink::new(args, Direct::new(outputs));
        let mut ledger = Ledger::new(args);
        // What a damaged file gave before the damage is still worth having.
        let read = self.read_all(&mut ledger, &mut sink, stop);
        self.engine.finish(&mut sink);
        let mut stats = ledger.draw_up(&self.engine, packets(self.verdicts), &sink);
        if ledger.is_wanted() {
            sink.way.take(Event::Stats(Box::new(stats.clone())));
        }
        let (outputs, written) = sink.way.end();
        stats.written = outputs.written();
        conclude(args, &stats, written)?;
        read.map_err(Into::into)
    }

    fn read_all(
        &mut self,
        ledger: &mut Ledger,
        sink: &mut Sink<Direct>,
        stop: &Stop,
    ) -> Result<(), FileError> {
        for file in std::mem::take(&mut self.files) {
            let mut source = FileSource::open(&file, self.selection.clone())?
                .verify_checksums(self.verify_checksums);
            let read = self.read(&mut source, ledger, sink, stop);
            self.verdicts.merge(&source.verdicts());
            for link in source.unreadable_link_types() {
                eprintln!("{}: packets of link type {link} were left out", file.display());
            }
            read?;
        }
        Ok(())
    }

    /// Reads a file to its end, or until nothing more is wanted.
    fn read(
        &mut self,
        source: &mut FileSource,
        ledger: &mut Ledger,
        sink: &mut Sink<Direct>,
        stop: &Stop,
    ) -> Result<(), FileError> {
        while !sink.is_full() && !sink.way.has_failed() && !stop.is_set() {
            match source.next_item()? {
                None => break,
                Some(Item::Interface(iface, name)) => self.engine.name_interface(iface, name),
                Some(Item::Segment(segment)) => self.engine.segment(&segment, sink),
            }
            if ledger.is_due(self.engine.now()) {
                let mut verdicts = self.verdicts;
                verdicts.merge(&source.verdicts());
                let stats = ledger.draw_up(&self.engine, packets(verdicts), sink);
                sink.way.take(Event::Stats(Box::new(stats)));
            }
        }
        Ok(())
    }
}

fn packets(verdicts: Verdicts) -> Vec<SourcePackets> {
    vec![SourcePackets::of_files(verdicts)]
}
