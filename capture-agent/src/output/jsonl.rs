//! JSON Lines: one object a line, by the schema in [`record`](super::record).

use std::io::{self, Write};

use super::record::Record;
use crate::event::Event;

/// Writes an event as a line.
pub(super) fn write(event: &Event, writer: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, &Record::from(event))?;
    writer.write_all(b"\n")
}
