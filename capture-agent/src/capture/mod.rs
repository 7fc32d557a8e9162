//! What `run` and `read` do: a source, the engine and the outputs put together, until the end.
//!
//! The source and the engine have a plain thread to themselves; the main thread waits on tokio for
//! signals and for that thread.

mod control;
mod files;
mod ledger;
mod live;
mod sink;

use capture_agent::engine::Settings;
use capture_agent::event::Stats;
use capture_agent::http::HttpRules;
use capture_agent::http::head::HeadRules;
use capture_agent::output::{Output, OutputError, Outputs, Target, Verbosity, summary};
use capture_agent::selection::{PortSet, Selection};

use crate::cli::CommonArgs;
pub(crate) use files::files;
pub(crate) use live::live;

/// Bytes of a body that `-vv` shows where `--bodies` does not say.
const SHOWN_BODY_BYTES: usize = 64 << 10;

fn settings(args: &CommonArgs, server_ports: &PortSet) -> Settings {
    let asked = args.bodies.map(|limit| usize::try_from(limit.as_u64()).unwrap_or(usize::MAX));
    let shown = (args.verbose >= 2).then_some(SHOWN_BODY_BYTES);
    Settings {
        flow_timeout_ns: u64::try_from(args.flow_timeout.as_nanos()).unwrap_or(u64::MAX),
        max_flows: args.max_flows,
        http: HttpRules {
            head: HeadRules { show_secrets: args.show_secrets, ..HeadRules::default() },
            keep_body_bytes: asked.or(shown).unwrap_or(0),
        },
        server_ports: server_ports.clone(),
        ..Settings::default()
    }
}

fn selection(args: &CommonArgs, ports: &PortSet) -> Selection {
    Selection { ports: ports.clone(), hosts: args.host.clone() }
}

fn open_outputs(args: &CommonArgs) -> Result<Outputs, OutputError> {
    let verbosity = match args.verbose {
        0 => Verbosity::Line,
        1 => Verbosity::Heads,
        _ => Verbosity::Bodies,
    };
    let standard = args.format.into();
    if args.output.is_empty() {
        return Ok(Outputs::new(vec![Output::open(standard, Target::Stdout, verbosity)?]));
    }
    let outputs = args.output.iter().map(|output| {
        Output::open(output.format.unwrap_or(standard), output.target.clone(), verbosity)
    });
    Ok(Outputs::new(outputs.collect::<Result<_, _>>()?))
}

/// Says at the end what was captured, what was lost, and what went wrong with the outputs. A
/// reader that has gone, as `head` does, is no failure, and nothing is said to whoever follows.
fn conclude(
    args: &CommonArgs,
    stats: &Stats,
    written: Result<(), OutputError>,
) -> anyhow::Result<()> {
    if matches!(written, Err(OutputError::Closed(_))) {
        return Ok(());
    }
    if !args.quiet {
        eprintln!("{}", summary::line(stats));
    }
    written.map_err(Into::into)
}
