//! The flows of a capture as a table for people: what `flows` writes.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::text::{closed, milliseconds};
use super::time::time_of_day;
use crate::event::FlowSummary;
use crate::stream::Counters;

/// Writes a line per flow, with columns as wide as the widest of what stands in them.
///
/// # Errors
/// If it can't be written.
pub fn write(flows: &[FlowSummary], writer: &mut impl Write) -> io::Result<()> {
    let zone = TimeZone::system();
    // Two passes, so that the lines of a million flows need not be kept.
    let mut widths = [0; COLUMNS.len()];
    for flow in flows {
        for (width, cell) in widths.iter_mut().zip(cells(flow, &zone)) {
            *width = cell.chars().count().max(*width);
        }
    }
    for flow in flows {
        let columns = COLUMNS.iter().zip(widths).zip(cells(flow, &zone));
        let line: String = columns
            .map(|(((before, align), width), cell)| match align {
                Align::Left => format!("{before}{cell:<width$}"),
                Align::Right => format!("{before}{cell:>width$}"),
            })
            .collect();
        writeln!(writer, "{}", line.trim_end())?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
}

/// What stands before each column, and how it is aligned.
const COLUMNS: [(&str, Align); 12] = [
    ("", Align::Right),
    ("  ", Align::Left),
    ("  ", Align::Left),
    (" → ", Align::Left),
    ("  ", Align::Left),
    ("  ", Align::Right),
    ("  sent ", Align::Right),
    (" B in ", Align::Right),
    ("  received ", Align::Right),
    (" B in ", Align::Right),
    ("  ", Align::Right),
    ("  ", Align::Left),
];

fn cells(flow: &FlowSummary, zone: &TimeZone) -> [String; COLUMNS.len()] {
    let (up, down) = (&flow.to_server, &flow.to_client);
    [
        flow.flow.number.to_string(),
        time_of_day(flow.start, zone),
        flow.flow.client.to_string(),
        flow.flow.server.to_string(),
        closed(flow.close).to_owned(),
        milliseconds(flow.last_activity.nanos_since(flow.start)),
        up.bytes.to_string(),
        aligned(up.segments, "segment"),
        down.bytes.to_string(),
        aligned(down.segments, "segment"),
        aligned(flow.exchanges.into(), "exchange"),
        losses(up, down),
    ]
}

/// So many of something, one as wide as many.
fn aligned(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { ' ' } else { 's' })
}

fn losses(up: &Counters, down: &Counters) -> String {
    let losses = [("client", up.gap_bytes), ("server", down.gap_bytes)];
    let said = losses.iter().filter(|(_, lost)| *lost > 0);
    said.map(|(who, lost)| format!("[{who}: {lost} B not seen]")).collect::<Vec<_>>().join(" ")
}
