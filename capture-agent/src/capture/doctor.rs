//! `doctor`: what was found, and an exit status that says whether `run` would work.

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use capture_agent::doctor::{self, Report, text};
use capture_agent::selection::{PortSet, Sample, Selection};
use capture_agent::source::live::LiveConfig;

use crate::cli::{DoctorArgs, DoctorFormat, PlaceArgs};

/// Runs `doctor`.
pub(crate) fn doctor(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let report = doctor::examine(&config(&args.place));
    match write(&report, args.format) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ if report.verdict.works => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::FAILURE),
    }
}

fn write(report: &Report, format: DoctorFormat) -> io::Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    match format {
        DoctorFormat::Text => text::write(report, look(), &mut stdout)?,
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

fn look() -> text::Look {
    text::Look { width: None, colour: false }
}
