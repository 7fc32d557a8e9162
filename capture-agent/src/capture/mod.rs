//! What the commands do: a source, the engine and the outputs put together, until the end.
//!
//! The engine has a plain thread to itself; the main thread waits on tokio for signals and for that
//! thread.

mod ahead;
mod control;
mod doctor;
mod feed;
mod files;
mod flows;
mod follow;
mod governor;
mod ledger;
mod live;
mod metrics;
mod progress;
mod record;
mod sieve;
mod single;
mod sink;
mod threads;
mod worker;

use std::time::Duration;

use bytesize::ByteSize;
use capture_agent::engine::Settings;
use capture_agent::event::{Endpoints, Stats};
use capture_agent::filter::MediaPatterns;
use capture_agent::http::coding::Limits;
use capture_agent::http::form::ListRules;
use capture_agent::http::head::HeadRules;
use capture_agent::http::redact::Redaction;
use capture_agent::http::{HttpRules, StreamRules};
use capture_agent::output::terminal::{Screen, Stream};
use capture_agent::output::{
    Clock, Format, Opener, OutputError, Outputs, PayloadFiles, Stop, Takes, Target, Verbosity,
    aside, summary,
};
use capture_agent::script::Script;
use capture_agent::selection::{PortSet, Selection};
use capture_agent::stream::Rules;

use crate::cli::{CommonArgs, EngineArgs, EventArg, HttpArgs};
pub(crate) use doctor::doctor;
pub(crate) use files::files;
pub(crate) use flows::flows;
pub(crate) use follow::follow;
pub(crate) use live::live;

/// Bytes of a body that `-vv` shows, and that a command of curl sends, where `--bodies` does not say.
const SHOWN_BODY_BYTES: usize = 64 << 10;

fn settings(args: &CommonArgs, server_ports: &PortSet) -> Settings {
    let are_shown = args.verbose >= 2 || args.outputs.has(Format::Curl, args.standard_format());
    let shown = if are_shown { SHOWN_BODY_BYTES } else { 0 };
    let http = &args.http;
    let mut decoding = Limits::default();
    let is_saved = args.payload.save_bodies.is_some();
    if is_saved {
        // On disk there may be any number of bytes; what they come of bounds them all the same.
        decoding.max_bytes = u64::MAX;
    }
    Settings {
        http: HttpRules {
            head: HeadRules {
                max_bytes: memory(http.max_head_bytes),
                max_headers: http.max_headers,
                redaction: redaction(http),
            },
            keep_body_bytes: http.bodies.map_or(shown, memory),
            decode: !http.no_decode,
            decoding,
            list_forms: http.forms.then(ListRules::default),
            // Frames can be rebuilt from nothing else.
            keep_wire: args.outputs.has(Format::Pcapng, args.standard_format()),
            stream: is_saved.then(|| saved_types(args)),
        },
        ..engine_settings(&args.engine, server_ports)
    }
}

/// Bodies of other types are not even handed on.
fn saved_types(args: &CommonArgs) -> StreamRules {
    let types = MediaPatterns::new(args.filter.content_type.clone());
    StreamRules::new(move |content_type| {
        types.is_empty() || content_type.is_some_and(|it| types.matches(it))
    })
}

fn redaction(args: &HttpArgs) -> Redaction {
    let mut redaction = if args.show_secrets { Redaction::none() } else { Redaction::default() };
    args.redact.iter().cloned().for_each(|what| redaction.add(what));
    redaction
}

/// How flows and streams are put together; of HTTP no body is kept.
fn engine_settings(args: &EngineArgs, server_ports: &PortSet) -> Settings {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Settings {
        flow_timeout_ns: nanos(args.flow_timeout),
        max_flows: args.max_flows,
        memory_limit: memory(args.memory_limit),
        stream: Rules {
            held_bytes: memory(args.hole_bytes),
            hole_ns: nanos(args.hole_time),
            overlap: args.overlap.into(),
            deliver: args.deliver.into(),
        },
        server_ports: server_ports.clone(),
        ..Settings::default()
    }
}

/// A size as so many bytes of memory.
fn memory(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

fn selection(args: &CommonArgs, ports: &PortSet) -> Selection {
    Selection { ports: ports.clone(), hosts: args.host.clone(), sample: args.sample }
}

fn open_outputs(args: &CommonArgs, clock: Clock, stop: Stop) -> anyhow::Result<Outputs> {
    let script = args.script.settings(args.http.show_secrets);
    let script = script.map(|settings| Script::open(&settings)).transpose()?;
    let outputs = open_formats(args, clock, stop, script.is_some())?;
    let shown = Takes {
        exchanges: args.events.contains(&EventArg::Exchange),
        flows: args.events.contains(&EventArg::Flow),
        ..Takes::default()
    };
    let outputs = match script {
        Some(script) => outputs.showing(shown).with(Box::new(script)),
        None => outputs,
    };
    let Some(folder) = &args.payload.save_bodies else { return Ok(outputs) };
    let complain = |what: &str| aside::say(what);
    Ok(outputs.with(Box::new(PayloadFiles::open(folder, complain)?)))
}

/// The outputs in formats; a script alone prints for itself.
fn open_formats(
    args: &CommonArgs,
    clock: Clock,
    stop: Stop,
    has_script: bool,
) -> Result<Outputs, OutputError> {
    let verbosity = match args.verbose {
        0 => Verbosity::Line,
        1 => Verbosity::Heads,
        _ => Verbosity::Bodies,
    };
    let standard = args.standard_format();
    if args.outputs.output.is_empty() && has_script && args.format.is_none() {
        return Ok(Outputs::default());
    }
    let rules = args.outputs.rules(clock, stop);
    let mut opener = Opener::new(rules).with_report(|notice| aside::say(notice));
    if args.outputs.output.is_empty() {
        let stdout = opener.open(standard, Target::Stdout, verbosity)?;
        return Ok(opener.outputs(vec![stdout]));
    }
    let outputs = args.outputs.output.iter().map(|output| {
        opener.open(output.format.unwrap_or(standard), output.target.clone(), verbosity)
    });
    let outputs = outputs.collect::<Result<_, _>>()?;
    Ok(opener.outputs(outputs))
}

/// Says at the end what was captured, what was lost, and what went wrong with the outputs. Where
/// the reader has gone, nothing is said to whoever follows.
fn conclude(
    args: &CommonArgs,
    stats: &Stats,
    endpoints: Option<&Endpoints>,
    written: Result<(), OutputError>,
) -> anyhow::Result<()> {
    let closed = matches!(written, Err(OutputError::Closed(_)));
    if !closed && !args.quiet {
        let screen = Screen::of(Stream::Stderr);
        if screen.is_terminal() && control::was_interrupted() {
            aside::say("");
        }
        summary::at_a_glance(stats, endpoints, screen).iter().for_each(aside::say);
        // Where outputs ended the capture, what was on its way to them is nowhere.
        let is_over = matches!(written, Ok(()) | Err(OutputError::Lost { .. }));
        let imbalances = stats.imbalances().into_iter().filter(|_| is_over);
        imbalances.for_each(|it| aside::say(format_args!("the ledger does not balance: {it}")));
    }
    unless_closed(written)
}

/// A reader that has gone, as `head` does, is no failure.
fn unless_closed(written: Result<(), OutputError>) -> anyhow::Result<()> {
    match written {
        Ok(()) | Err(OutputError::Closed(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
