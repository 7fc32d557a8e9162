//! `flows`: a line per flow of a capture file, in the order of their numbers.

use std::io::{self, BufWriter, Write as _};

use capture_agent::event::{Event, FlowSummary};
use capture_agent::listener::Listener;
use capture_agent::output::terminal::{Screen, Stream};
use capture_agent::output::{Format, Output, OutputError, Target, Verbosity, flows as table};

use super::control::Control;
use super::single::{self, Reader};
use super::unless_closed;
use crate::cli::{FlowsArgs, FlowsFormat};

/// Runs `flows`.
pub(crate) fn flows(args: &FlowsArgs) -> anyhow::Result<()> {
    let control = Control::new()?;
    let args = args.clone();
    control.run(std::future::ready(Ok(())), move |stop| {
        let mut summaries = Summaries::default();
        let reading = single::read(&args.single, &mut summaries, &stop);
        unless_closed(write(summaries.0, args.format))?;
        reading.result.map_err(Into::into)
    })
}

/// The flows in the order in which they went. That of their numbers is known at the end alone: one
/// that goes last may have come first.
#[derive(Default)]
struct Summaries(Vec<FlowSummary>);

impl Listener for Summaries {
    fn gone(&mut self, summary: FlowSummary) {
        self.0.push(summary);
    }
}

impl Reader for Summaries {
    fn has_enough(&self) -> bool {
        false
    }
}

fn write(mut flows: Vec<FlowSummary>, format: FlowsFormat) -> Result<(), OutputError> {
    flows.sort_unstable_by_key(|summary| summary.flow.number);
    match format {
        FlowsFormat::Text => {
            let mut stdout = BufWriter::new(io::stdout().lock());
            let written = table::write(&flows, Screen::of(Stream::Stdout), &mut stdout)
                .and_then(|()| stdout.flush());
            written.map_err(|error| OutputError::in_writing(Target::Stdout, error))
        }
        FlowsFormat::Jsonl => {
            let mut output = Output::open(Format::Jsonl, Target::Stdout, Verbosity::Line)?;
            for summary in flows {
                output.write(&Event::Flow(Box::new(summary)))?;
            }
            output.finish()
        }
    }
}
