//! One output: events in a format, gathered, written to a target, counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::formats::{Formatter, KEPT_BYTES};
use super::{Format, OutputError, Target, Verbosity};
use crate::event::{Counts, Event, Written};

/// Bytes that are gathered before they are written.
const GATHERED_BYTES: usize = 64 << 10;

/// An open output.
#[derive(Debug)]
pub struct Output {
    format: Formatter,
    target: Target,
    writer: Box<dyn RawWrite>,
    /// Events in their format, as many as are written at once.
    gathered: Vec<u8>,
    /// Whether the file has no record yet.
    is_first: bool,
    written: Written,
}

pub(super) trait RawWrite: Write + Send + std::fmt::Debug {}
impl<W: Write + Send + std::fmt::Debug> RawWrite for W {}

impl Output {
    /// Opens an output. A file is made anew, for its owner's eyes alone.
    ///
    /// # Errors
    /// If the file can't be made.
    pub fn open(format: Format, target: Target, verbosity: Verbosity) -> Result<Self, OutputError> {
        let format = Formatter::new(format, verbosity, target == Target::Stdout);
        let writer: Box<dyn RawWrite> = match &target {
            Target::Stdout => Box::new(io::stdout()),
            Target::File(path) => Box::new(
                create(path)
                    .map_err(|error| OutputError::Open { target: target.clone(), error })?,
            ),
        };
        Ok(Self::new(format, target, writer))
    }

    pub(super) fn new(mut format: Formatter, target: Target, writer: Box<dyn RawWrite>) -> Self {
        let output = match &target {
            Target::Stdout => "-".to_owned(),
            Target::File(path) => path.display().to_string(),
        };
        let written = Written { output, ..Written::default() };
        let mut gathered = Vec::new();
        format.start(&mut gathered);
        Self { format, target, writer, gathered, is_first: true, written }
    }

    /// Writes an event.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&mut self, event: &Event) -> Result<(), OutputError> {
        let before = self.gathered.len();
        let formatted = self.format.format(event, &mut self.gathered);
        formatted.map_err(|error| self.failed(error))?;
        self.trim(before);
        self.count(event, self.gathered.len() - before)
    }

    /// Writes an event that is in this output's format.
    pub(super) fn write_formatted(
        &mut self,
        event: &Event,
        bytes: &[u8],
    ) -> Result<(), OutputError> {
        let bytes = self.trimmed(bytes);
        self.gathered.extend_from_slice(bytes);
        self.count(event, bytes.len())
    }

    /// Writes many events that are in this output's format.
    pub(super) fn write_many(&mut self, count: Counts, bytes: &[u8]) -> Result<(), OutputError> {
        let bytes = self.trimmed(bytes);
        if bytes.len() < GATHERED_BYTES {
            self.gathered.extend_from_slice(bytes);
            return self.count_many(count, bytes.len());
        }
        // There are enough of them already.
        self.count_many(count, bytes.len())?;
        self.hand_over()?;
        self.writer.write_all(bytes).map_err(|error| self.failed(error))
    }

    /// Records without what the first of a file goes without.
    fn trimmed<'a>(&mut self, records: &'a [u8]) -> &'a [u8] {
        if records.is_empty() || !std::mem::take(&mut self.is_first) {
            return records;
        }
        records.strip_prefix(self.format.between()).unwrap_or(records)
    }

    /// As [`Self::trimmed`], of what is gathered from there on.
    fn trim(&mut self, from: usize) {
        let to = from + self.format.between().len();
        if self.gathered.len() > from && std::mem::take(&mut self.is_first) {
            self.gathered.drain(from..to.min(self.gathered.len()));
        }
    }

    fn count(&mut self, event: &Event, bytes: usize) -> Result<(), OutputError> {
        let mut one = Counts::default();
        one.add(event);
        self.count_many(one, bytes)
    }

    fn count_many(&mut self, count: Counts, bytes: usize) -> Result<(), OutputError> {
        self.written.exchanges += count.exchanges;
        let Written { messages, flows, left_out, .. } = &mut self.written;
        let (messages, flows) = if self.format.has_only_exchanges() {
            (&mut left_out.messages, &mut left_out.flows)
        } else {
            (messages, flows)
        };
        *messages += count.messages;
        *flows += count.flows;
        self.written.bytes += bytes as u64;
        if self.gathered.len() < GATHERED_BYTES {
            return Ok(());
        }
        self.hand_over()
    }

    /// Writes what is gathered; where that fails it is gone all the same, and never written twice.
    fn hand_over(&mut self) -> Result<(), OutputError> {
        let written = self.writer.write_all(&self.gathered);
        self.gathered.clear();
        self.gathered.shrink_to(KEPT_BYTES);
        written.map_err(|error| self.failed(error))
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        self.hand_over()?;
        self.writer.flush().map_err(|error| self.failed(error))
    }

    /// Nothing more comes: ends the file as its format wants it, and hands everything to the
    /// system.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        self.gathered.extend_from_slice(self.format.end());
        self.flush()
    }

    /// What was written so far.
    #[must_use]
    pub fn written(&self) -> Written {
        self.written.clone()
    }

    /// Its format, as it is now.
    pub(super) const fn formatter(&self) -> &Formatter {
        &self.format
    }

    fn failed(&self, error: io::Error) -> OutputError {
        OutputError::in_writing(self.target.clone(), error)
    }
}

/// Heads and bodies are nobody else's business: a new file is its owner's alone.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::event::{FlowInfo, FlowSummary};
    use crate::flow::{CloseReason, FlowId};
    use crate::output::framed::Framed;
    use crate::segment::{Endpoint, Timestamp};
    use crate::stream::Counters;

    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        fn output(&self) -> Output {
            let format = Formatter::Framed(Framed::default());
            Output::new(format, Target::Stdout, Box::new(self.clone()))
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn flow(number: u64) -> Event {
        let end = Endpoint::v4([10, 0, 0, 1], 80);
        let start = Timestamp(0);
        let (iface, local, owner) = (None, None, None);
        let id = FlowId(number);
        Event::Flow(Box::new(FlowSummary {
            flow: FlowInfo { id, number, start, client: end, server: end, iface, local, owner },
            start,
            end: start,
            last_activity: start,
            close: CloseReason::Fin,
            to_server: Counters::default(),
            to_client: Counters::default(),
            exchanges: 0,
            tunnel: None,
        }))
    }

    #[test]
    fn a_format_s_frame_stands_around_its_records_whichever_way_they_come() {
        let stats = Event::Stats(Box::default());
        let one_by_one = Kept::default();
        let mut output = one_by_one.output();
        for event in [&stats, &flow(1), &stats, &flow(2), &flow(3)] {
            output.write(event).unwrap();
        }
        output.finish().unwrap();
        assert_eq!(one_by_one.text(), "[\n1,\n2,\n3\n]\n");
        assert_eq!(output.written().bytes, 7);

        let formatted = Kept::default();
        let mut output = formatted.output();
        output.write_formatted(&stats, b"").unwrap();
        output.write_many(Counts::default(), b",\n1,\n2").unwrap();
        output.write_formatted(&flow(3), b",\n3").unwrap();
        output.finish().unwrap();
        assert_eq!(formatted.text(), one_by_one.text());

        let nothing = Kept::default();
        nothing.output().finish().unwrap();
        assert_eq!(nothing.text(), "[\n\n]\n");
    }
}
