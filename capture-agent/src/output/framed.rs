//! A format with frames, for tests: a JSON array of the numbers of flows.

use std::io;

use crate::event::Event;

const START: &[u8] = b"[\n";
pub(super) const BETWEEN: &[u8] = b",\n";
pub(super) const END: &[u8] = b"\n]\n";

#[derive(Clone, Debug, Default)]
pub(super) struct Framed {
    pub(super) has_memory: bool,
}

impl Framed {
    pub(super) fn start(&mut self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(START);
    }

    /// A flow's number; there is no record of other events.
    pub(super) fn write(&self, event: &Event, bytes: &mut Vec<u8>) -> io::Result<()> {
        if let Event::Flow(summary) = event {
            bytes.extend_from_slice(BETWEEN);
            bytes.extend_from_slice(summary.flow.number.to_string().as_bytes());
        }
        Ok(())
    }
}
