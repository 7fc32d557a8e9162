//! JSON Lines: one object a line, by the schema in [`record`](super::record).

use std::io;

use serde::Serialize;

use super::json::Json;
use super::record::{Record, write_exchange};
use crate::event::Event;

/// Adds an event as a line.
///
/// # Errors
/// If there is something in its record that JSON is not written of; nothing is added then.
pub(super) fn write(event: &Event, bytes: &mut Vec<u8>) -> io::Result<()> {
    let before = bytes.len();
    let written = match event {
        Event::Exchange(exchange) => write_exchange(exchange, &mut Json(bytes)),
        event => match Record::of(event) {
            Some(record) => Json(bytes).record(&record),
            None => return Ok(()),
        },
    };
    debug_assert_eq!(
        bytes.get(before..).map(String::from_utf8_lossy),
        Some(String::from_utf8_lossy(&of_record(event))),
        "what is written is the record"
    );
    written.map_err(|error| {
        bytes.truncate(before);
        io::Error::other(error)
    })?;
    bytes.push(b'\n');
    Ok(())
}

/// Something else as a line, by the rules of records.
///
/// # Errors
/// As [`write`].
pub(crate) fn line(record: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Json(&mut bytes).record(record).map_err(io::Error::other)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The record of an event.
fn of_record(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = Record::of(event).map(|record| Json(&mut bytes).record(&record));
    if written == Some(Ok(())) { bytes } else { Vec::new() }
}
