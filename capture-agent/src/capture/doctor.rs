//! `doctor`: what was found, and an exit status that says whether `run` would work.

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use capture_agent::doctor::{self, Report, text};
use capture_agent::output::terminal::Stream;
use capture_agent::output::{Screen, aside};
use capture_agent::selection::{PortSet, Sample, Selection};
use capture_agent::source::live::LiveConfig;

use crate::cli::{DoctorArgs, DoctorFormat, PlaceArgs};

/// Runs `doctor`: 0 where `run` would work, 1 where it would not.
pub(crate) fn doctor(args: &DoctorArgs) -> ExitCode {
    let report = doctor::examine(&config(&args.place));
    match write(&report, args.format) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            aside::say(format_args!("capture-agent: cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
        _ if report.verdict.works => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn write(report: &Report, format: DoctorFormat) -> io::Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    match format {
        DoctorFormat::Text => text::write(report, Screen::of(Stream::Stdout), &mut stdout)?,
        DoctorFormat::Jsonl => report.write_lines(&mut stdout)?,
    }
    stdout.flush()
}

/// As `run` has it with the same arguments and nothing else.
fn config(place: &PlaceArgs) -> LiveConfig {
    LiveConfig {
        netns: place.netns.clone(),
        ifaces: place.iface.clone(),
        hook: place.hook,
        tc: place.tc_attach,
        sensor: place.sensor(),
        selection: Selection {
            ports: PortSet::any(),
            hosts: Vec::new(),
            sample: Sample::default(),
        },
        kernel_log: None,
        workers: None,
        ring_bytes: None,
        latency: Duration::from_millis(5),
        budget: Some(256 << 10),
    }
}
