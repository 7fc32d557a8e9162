//! One output: events in a format, gathered, written to a target, counted.
//!
//! Invariant: an event that it was given is on its way or written, or it is counted as lost.

use std::io;
use std::time::{Duration, Instant};

use super::file::rules::Clock;
use super::file::{Files, READABLE};
use super::formats::{Formatter, KEPT_BYTES};
use super::notice::{Notice, Report};
use super::{Format, Opener, OutputError, Target, Verbosity};
use crate::event::{Counts, Event, Written};
use crate::segment::Timestamp;

/// How often a disk that is full is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// An open output.
#[derive(Debug)]
pub struct Output {
    format: Formatter,
    target: Target,
    files: Files,
    clock: Clock,
    /// Events in their format, as many as are written at once.
    gathered: Vec<u8>,
    /// What those are.
    pending: Counts,
    pending_bytes: u64,
    /// Whether the file has no record yet.
    is_first: bool,
    /// What of the file is written: whether its start is, and whether a record is.
    kept: Kept,
    /// The latest time of an event.
    latest: Timestamp,
    committed_at: Option<Instant>,
    health: Health,
    /// What went wrong first.
    why: Option<String>,
    written: Written,
    report: Report,
}

#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    start: bool,
    record: bool,
}

/// How an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    /// The disk is full; it is tried again then.
    Full {
        again: Instant,
    },
    /// Nothing more is written.
    Closed,
}

impl Output {
    /// Opens an output. A file is made anew, for its owner's eyes alone.
    ///
    /// # Errors
    /// If the file can't be made.
    pub fn open(format: Format, target: Target, verbosity: Verbosity) -> Result<Self, OutputError> {
        let mut output = Opener::default().open(format, target, verbosity)?;
        output.begin()?;
        Ok(output)
    }

    pub(super) fn new(
        format: Formatter,
        target: Target,
        files: Files,
        clock: Clock,
        report: Report,
    ) -> Self {
        let output = match &target {
            Target::Stdout => "-".to_owned(),
            Target::File(path) => path.display().to_string(),
        };
        let mut new = Self {
            format,
            target,
            files,
            clock,
            gathered: Vec::new(),
            pending: Counts::default(),
            pending_bytes: 0,
            is_first: true,
            kept: Kept::default(),
            latest: Timestamp::default(),
            committed_at: None,
            health: Health::Well,
            why: None,
            written: Written { output, ..Written::default() },
            report,
        };
        if !new.files.rotates() {
            new.format.start(&mut new.gathered);
        }
        new
    }

    /// Makes a file anew: a whole one, without records.
    pub(super) fn begin(&mut self) -> Result<(), OutputError> {
        if self.files.rotates() || self.files.is_stream() {
            return Ok(());
        }
        let written = self.files.commit(&self.gathered, self.format.end());
        written.map_err(|error| OutputError::Open { target: self.target.clone(), error })?;
        self.gathered.clear();
        self.kept.start = true;
        Ok(())
    }

    /// To what takes bytes one after the other.
    #[cfg(test)]
    pub(super) fn of(
        format: Formatter,
        target: Target,
        writer: Box<dyn super::file::stream::RawWrite>,
    ) -> Self {
        let files = Files::stream(writer);
        Self::new(format, target, files, Clock::default(), Report::default())
    }

    /// Writes an event.
    ///
    /// # Errors
    /// If nothing more can be written.
    pub fn write(&mut self, event: &Event) -> Result<(), OutputError> {
        self.take(Counts::of(event), Some(event), |this| {
            let before = this.gathered.len();
            this.format.format(event, &mut this.gathered)?;
            this.trim(before);
            Ok(this.gathered.len() - before)
        })
    }

    /// Writes an event that is in this output's format.
    pub(super) fn write_formatted(
        &mut self,
        event: &Event,
        bytes: &[u8],
    ) -> Result<(), OutputError> {
        self.take(Counts::of(event), Some(event), |this| {
            let bytes = this.trimmed(bytes);
            this.gathered.extend_from_slice(bytes);
            Ok(bytes.len())
        })
    }

    /// Writes many events that are in this output's format.
    pub(super) fn write_many(&mut self, count: Counts, bytes: &[u8]) -> Result<(), OutputError> {
        if count == Counts::default() {
            return Ok(());
        }
        let is_large = !self.files.compresses() && bytes.len() >= self.files.gather();
        if is_large && self.is_trying() {
            // There are enough of them already; those before are written, or lost, by themselves.
            self.commit().or_else(|error| self.failed(error))?;
        }
        self.take(count, None, |this| {
            let bytes = this.trimmed(bytes);
            if is_large {
                this.hand_over(bytes)?;
            } else {
                this.gathered.extend_from_slice(bytes);
            }
            Ok(bytes.len())
        })
    }

    /// Adds events, or counts them as lost.
    fn take(
        &mut self,
        mut count: Counts,
        event: Option<&Event>,
        add: impl FnOnce(&mut Self) -> io::Result<usize>,
    ) -> Result<(), OutputError> {
        if self.format.has_only_exchanges() {
            self.written.left_out.messages += std::mem::take(&mut count.messages);
            self.written.left_out.flows += std::mem::take(&mut count.flows);
            if count == Counts::default() {
                // It has no record in this format, so it begins no file either.
                return Ok(());
            }
        }
        if !self.is_trying() {
            self.written.lost.merge(&count);
            return Ok(());
        }
        if let Err(error) = self.make_ready(event) {
            self.written.lost.merge(&count);
            return self.failed(error);
        }
        self.pending.merge(&count);
        self.written.exchanges += count.exchanges;
        self.written.messages += count.messages;
        self.written.flows += count.flows;
        let added = add(self).and_then(|bytes| {
            self.pending_bytes += bytes as u64;
            self.written.bytes += bytes as u64;
            if self.gathered.len() < self.files.gather() { Ok(()) } else { self.commit() }
        });
        added.or_else(|error| self.failed(error))
    }

    /// Goes on in a new file where it is time for one.
    fn make_ready(&mut self, event: Option<&Event>) -> io::Result<()> {
        if !self.files.rotates() {
            return Ok(());
        }
        let now = self.now(event);
        if !self.files.is_over(self.gathered.len(), now) {
            return Ok(());
        }
        self.commit()?;
        let mut start = Vec::new();
        self.format.start(&mut start);
        self.files.begin(now, &[&start, self.format.end()].concat())?;
        self.gathered = start;
        self.is_first = true;
        self.kept = Kept::default();
        Ok(())
    }

    fn now(&mut self, event: Option<&Event>) -> Timestamp {
        if self.clock == Clock::Packets {
            self.latest = event.map_or(self.latest, |event| self.latest.max(time(event)));
        }
        self.clock.now(self.latest)
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

    /// Writes what is gathered.
    fn commit(&mut self) -> io::Result<()> {
        self.hand_over(&[])
    }

    /// Writes what is gathered, and these records.
    fn hand_over(&mut self, more: &[u8]) -> io::Result<()> {
        let end = self.format.end();
        let has_written = !self.gathered.is_empty() || !more.is_empty();
        if !self.gathered.is_empty() {
            self.files.commit(&self.gathered, end)?;
            self.gathered.clear();
            self.gathered.shrink_to(KEPT_BYTES);
            // The first record may be in `more`, which can still fail.
            let record = if more.is_empty() { !self.is_first } else { self.kept.record };
            self.kept = Kept { start: true, record };
        }
        if !more.is_empty() {
            self.files.commit(more, end)?;
        }
        self.kept = Kept { start: true, record: !self.is_first };
        (self.pending, self.pending_bytes) = (Counts::default(), 0);
        if self.files.compresses() {
            self.committed_at = Some(Instant::now());
        }
        if has_written && self.health != Health::Well {
            self.health = Health::Well;
            self.report.say(&Notice::GoesOn(self.target.clone(), self.written.lost));
        }
        Ok(())
    }

    /// Whether it is worth trying to write.
    fn is_trying(&self) -> bool {
        match self.health {
            Health::Well => true,
            Health::Full { again } => Instant::now() >= again,
            Health::Closed => false,
        }
    }

    /// What is on its way can't be written: a full disk may have room again, anything else is the
    /// output's end.
    fn failed(&mut self, error: io::Error) -> Result<(), OutputError> {
        let pending = std::mem::take(&mut self.pending);
        self.written.exchanges -= pending.exchanges;
        self.written.messages -= pending.messages;
        self.written.flows -= pending.flows;
        self.written.lost.merge(&pending);
        self.written.bytes -= std::mem::take(&mut self.pending_bytes);
        self.gathered.clear();
        self.why.get_or_insert_with(|| error.to_string());
        let is_full =
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if !is_full || !self.files.may_recover() {
            self.health = Health::Closed;
            let failed = OutputError::in_writing(self.target.clone(), error);
            if matches!(failed, OutputError::Closed(_)) {
                self.why = None;
            }
            return Err(failed);
        }
        if self.health == Health::Well {
            self.report.say(&Notice::Full(self.target.clone(), error));
        }
        self.health = Health::Full { again: Instant::now() + RETRY };
        self.is_first = !self.kept.record;
        if self.kept.start {
            self.format.resume(&mut self.gathered);
        } else {
            self.format.start(&mut self.gathered);
        }
        Ok(())
    }

    /// Hands everything to the system, but what is better compressed together with what comes next.
    ///
    /// # Errors
    /// If nothing more can be written.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        if self.gathered.is_empty() || self.patience().is_some_and(|left| !left.is_zero()) {
            return Ok(());
        }
        if !self.is_trying() {
            return Ok(());
        }
        self.commit().or_else(|error| self.failed(error))
    }

    /// In how long it is to be flushed, where it can't all be read yet.
    pub(super) fn patience(&self) -> Option<Duration> {
        let waits = self.files.compresses() && self.health == Health::Well;
        let since = self.committed_at.map_or(READABLE, |committed| committed.elapsed());
        (waits && !self.gathered.is_empty()).then(|| READABLE.saturating_sub(since))
    }

    /// Nothing more comes: ends the file as its format wants it, and hands everything to the
    /// system.
    ///
    /// # Errors
    /// If nothing more can be written.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        if self.is_closed() {
            return Ok(());
        }
        let committed = if self.files.has_begun() { self.commit() } else { Ok(()) };
        let finished = committed.and_then(|()| self.files.finish(self.format.end()));
        finished.or_else(|error| self.failed(error))
    }

    /// Whether nothing more is written.
    pub(super) fn is_closed(&self) -> bool {
        self.health == Health::Closed
    }

    /// What is wrong with what it has written; a reader that has gone is no fault.
    pub(super) fn fault(&self) -> Option<OutputError> {
        let why = self
            .why
            .clone()
            .filter(|_| self.is_closed() || self.written.lost != Counts::default())?;
        let lost = self.written.lost.to_string();
        Some(OutputError::Lost { target: self.target.clone(), lost, why })
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
}

/// When an event began, by packet time, or a flow ended; what is for consumers alone has no part.
fn time(event: &Event) -> Timestamp {
    match event {
        Event::Exchange(exchange) => exchange.http.time(),
        Event::WebSocket(message) => message.http.message.first_byte,
        Event::Flow(summary) => summary.end,
        Event::Stats(stats) => stats.time,
        Event::Content(_) | Event::Opened(_) | Event::Data(_) => Timestamp::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
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
            Output::of(format, Target::Stdout, Box::new(self.clone()))
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
        output.write_many(Counts::of(&flow(1)), b",\n1,\n2").unwrap();
        output.write_formatted(&flow(3), b",\n3").unwrap();
        output.finish().unwrap();
        assert_eq!(formatted.text(), one_by_one.text());

        let nothing = Kept::default();
        nothing.output().finish().unwrap();
        assert_eq!(nothing.text(), "[\n\n]\n");
    }
}
