//! The flows of a capture as a table for people: what `flows` writes.
//!
//! On a terminal it has the columns that there is room for; elsewhere it has all of them.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::Screen;
use super::terminal::width;
use super::text::words::{closed, duration, end, milliseconds, size};
use super::time::time_of_day;
use crate::event::FlowSummary;
use crate::stream::Counters;

/// Writes a line per flow, with columns as wide as the widest of what stands in them.
///
/// # Errors
/// If it can't be written.
pub fn write(flows: &[FlowSummary], screen: Screen, writer: &mut impl Write) -> io::Result<()> {
    let zone = TimeZone::system();
    match screen.columns() {
        Some(columns) => fitted(flows, &zone, screen, columns, writer),
        None => whole(flows, &zone, writer),
    }
}

/// As many columns as there is room for, in every line the same.
fn fitted(
    flows: &[FlowSummary],
    zone: &TimeZone,
    screen: Screen,
    columns: usize,
    writer: &mut impl Write,
) -> io::Result<()> {
    let mut widths = [0; FITTED.len()];
    for flow in flows {
        for (most, cell) in widths.iter_mut().zip(fitted_cells(flow, zone, screen, [usize::MAX; 2]))
        {
            *most = width(&cell).max(*most);
        }
    }
    for (column, most) in SPARED {
        let taken: usize = widths.iter().filter(|it| **it > 0).map(|it| it + BETWEEN.len()).sum();
        // Between the ends there is an arrow.
        if taken + screen.arrow().len() <= columns {
            break;
        }
        widths.iter_mut().skip(column).take(1).for_each(|width| *width = most.min(*width));
    }
    for flow in flows {
        let [_, _, of_client, of_server, ..] = widths;
        let cells = fitted_cells(flow, zone, screen, [of_client, of_server]);
        let mut line = String::new();
        for (number, ((align, most), cell)) in FITTED.iter().zip(widths).zip(cells).enumerate() {
            if most == 0 {
                continue;
            }
            line += match number {
                _ if line.is_empty() => "",
                SERVER => screen.pick(" → ", " -> "),
                _ => BETWEEN,
            };
            let spaces = most.saturating_sub(width(&cell));
            line += &match align {
                Align::Left => format!("{cell}{:spaces$}", ""),
                Align::Right => format!("{:spaces$}{cell}", ""),
            };
        }
        writeln!(writer, "{}", screen.cut(line.trim_end(), columns))?;
    }
    Ok(())
}

const BETWEEN: &str = "  ";

/// How the columns on a terminal are aligned, those of [`fitted_cells`].
const FITTED: [Align; 11] = {
    use Align::{Left, Right};
    [Right, Left, Left, Left, Left, Right, Right, Right, Right, Right, Left]
};

const CLIENT: usize = 2;
const SERVER: usize = 3;

/// An end over IPv4 at its longest.
const IPV4: usize = 21;

/// What goes first where there is no room for all, and how much of it stays: packets, the time of day,
/// long addresses, bytes, the time taken, what became of it, the server, exchanges.
const SPARED: [(usize, usize); 10] = [
    (8, 0),
    (1, 0),
    (CLIENT, IPV4),
    (SERVER, IPV4),
    (6, 0),
    (7, 0),
    (5, 0),
    (4, 0),
    (SERVER, 0),
    (9, 0),
];

/// What stands in a line, the ends in so many columns at most.
fn fitted_cells(
    flow: &FlowSummary,
    zone: &TimeZone,
    screen: Screen,
    of_ends: [usize; 2],
) -> [String; FITTED.len()] {
    let (up, down) = (&flow.to_server, &flow.to_client);
    let [of_client, of_server] = of_ends;
    let lost = up.gap_bytes + down.gap_bytes;
    [
        flow.flow.number.to_string(),
        time_of_day(flow.start, zone),
        end(flow.flow.client, screen, of_client),
        end(flow.flow.server, screen, of_server),
        closed(flow.close).to_owned(),
        duration(flow.last_activity.nanos_since(flow.start)),
        format!("sent {:>7}", size(up.bytes)),
        format!("received {:>7}", size(down.bytes)),
        aligned(up.segments + down.segments, "segment"),
        aligned(flow.exchanges.into(), "exchange"),
        if lost > 0 { format!("{} not seen", size(lost)) } else { String::new() },
    ]
}

/// All columns.
fn whole(flows: &[FlowSummary], zone: &TimeZone, writer: &mut impl Write) -> io::Result<()> {
    // Two passes, so that the lines of a million flows need not be kept.
    let mut widths = [0; COLUMNS.len()];
    for flow in flows {
        for (width, cell) in widths.iter_mut().zip(cells(flow, zone)) {
            *width = cell.chars().count().max(*width);
        }
    }
    for flow in flows {
        let columns = COLUMNS.iter().zip(widths).zip(cells(flow, zone));
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
