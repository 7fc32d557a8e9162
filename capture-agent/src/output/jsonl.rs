//! JSON Lines: one object a line, by the schema in [`record`](super::record).

use std::io::{self, Write};

use super::record::Record;
use crate::event::Event;

/// Longest line that room is kept for: one with a large body shall not hold its room for ever.
const KEPT_LINE_BYTES: usize = 1 << 20;

/// Writes events as lines.
#[derive(Clone, Debug, Default)]
pub(super) struct JsonLines {
    /// A line is put together here: the serializer writes it a few bytes at a time.
    line: Vec<u8>,
}

impl JsonLines {
    /// Writes an event as a line.
    pub(super) fn write(&mut self, event: &Event, writer: &mut impl Write) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &Record::from(event))?;
        self.line.push(b'\n');
        writer.write_all(&self.line)?;
        self.line.shrink_to(KEPT_LINE_BYTES);
        Ok(())
    }
}
