//! One capture file through one engine, for the commands that look at its flows.

use capture_agent::engine::Engine;
use capture_agent::listener::Listener;
use capture_agent::output::aside;
use capture_agent::selection::{Sample, Selection};
use capture_agent::source::Item;
use capture_agent::source::file::FileError;

use super::control::Stop;
use super::engine_settings;
use super::feed::Files;
use crate::cli::SingleArgs;

/// Who listens to a file, until the end or until it has what it wants.
pub(super) trait Reader: Listener {
    /// Whether nothing more is wanted.
    fn has_enough(&self) -> bool;

    /// Nothing more comes for now: what it has is to be seen.
    fn pause(&mut self) {}
}

/// How it went.
#[derive(Debug)]
pub(super) struct Reading {
    /// Flows that were seen.
    pub(super) flows: u64,
    /// What is wrong with the file; what comes before was read.
    pub(super) result: Result<(), FileError>,
}

/// Reads a file to its end, or until nothing more is wanted.
pub(super) fn read(args: &SingleArgs, reader: &mut impl Reader, stop: &Stop) -> Reading {
    let mut engine = Engine::new(engine_settings(&args.engine, &args.taken.port));
    let result = pump(args, &mut engine, reader, stop);
    if !reader.has_enough() {
        engine.finish(reader);
    }
    Reading { flows: engine.counters().flows_opened, result }
}

fn pump(
    args: &SingleArgs,
    engine: &mut Engine,
    reader: &mut impl Reader,
    stop: &Stop,
) -> Result<(), FileError> {
    let (ports, hosts) = (args.taken.port.clone(), args.host.clone());
    let selection = Selection { ports, hosts, sample: Sample::ALL };
    let files = vec![args.file.clone()];
    let mut files = Files::new(files, selection, args.taken.verify_checksums, stop.clone());
    files.open_next()?;
    let read = loop {
        if reader.has_enough() {
            break Ok(());
        }
        match files.next_item() {
            Err(error) => break Err(error),
            Ok(None) => {
                if !files.is_waiting() {
                    break Ok(());
                }
                reader.pause();
                files.wait();
            }
            Ok(Some(Item::Interface(iface, name))) => engine.name_interface(iface, name),
            Ok(Some(Item::Segment(segment))) => engine.segment(&segment, reader),
        }
    };
    files.notes().iter().for_each(aside::say);
    read
}
