//! JSON Lines: one object a line, by the schema in [`record`](super::record).

use std::io;

use super::json::Json;
use super::record::Record;
use crate::event::Event;

/// Adds an event as a line.
///
/// # Errors
/// If there is something in its record that JSON is not written of; nothing is added then.
pub(super) fn write(event: &Event, bytes: &mut Vec<u8>) -> io::Result<()> {
    let before = bytes.len();
    let written = Json(bytes).record(&Record::from(event));
    written.map_err(|error| {
        bytes.truncate(before);
        io::Error::other(error)
    })?;
    bytes.push(b'\n');
    Ok(())
}
