//! All outputs of a capture, which get the same events in the same order.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::formats::{Formats, Formatter};
use super::notice::{Notice, Report};
use super::parcel::{Late, Parcel};
use super::progress::Progress;
use super::{Output, OutputError};
use crate::event::{Content, Counts, Event, News, Written};
use crate::owner::Owners;

/// What takes events as they are, beside the outputs that write them in a format.
pub trait Consumer: fmt::Debug + Send {
    /// What it takes that may have to be made for it.
    fn takes(&self) -> Takes {
        Takes::default()
    }

    /// Takes an event.
    ///
    /// # Errors
    /// If it can't go on: [`OutputError::Enough`] and [`OutputError::Consumer`] end the capture and
    /// leave the outputs whole.
    fn take(&mut self, event: &Event) -> Result<(), OutputError>;

    /// Hands everything to the system.
    ///
    /// # Errors
    /// If that fails.
    fn flush(&mut self) -> Result<(), OutputError>;

    /// Nothing more comes: ends what it has begun, and hands everything to the system.
    ///
    /// # Errors
    /// If that fails.
    fn finish(&mut self) -> Result<(), OutputError> {
        self.flush()
    }

    /// What it has taken so far.
    fn written(&self) -> Written;
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// Exchanges.
    pub exchanges: bool,
    /// Flow summaries.
    pub flows: bool,
    /// Flows that have just opened.
    pub opened: bool,
    /// What is said on flows.
    pub data: bool,
}

impl Takes {
    const fn with(self, other: Self) -> Self {
        Self {
            exchanges: self.exchanges || other.exchanges,
            flows: self.flows || other.flows,
            opened: self.opened || other.opened,
            data: self.data || other.data,
        }
    }

    /// Whether an event is of a kind that outputs write, of these.
    const fn shows(self, event: &Event) -> bool {
        match event {
            Event::Exchange(_) => self.exchanges,
            Event::Flow(_) => self.flows,
            Event::WebSocket(_) | Event::Stats(_) => true,
            Event::Content(_) | Event::Opened(_) | Event::Data(_) => false,
        }
    }
}

/// Tells whether a consumer has ended the capture.
#[derive(Clone, Debug, Default)]
pub struct Ended(Arc<AtomicBool>);

impl Ended {
    /// Whether one has.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Several outputs that get the same events.
#[derive(Debug, Default)]
pub struct Outputs {
    outputs: Vec<Output>,
    consumers: Vec<Box<dyn Consumer>>,
    owners: Option<Owners>,
    /// What outputs write of what consumers take; `None` for all of it.
    shown: Option<Takes>,
    /// Events that outputs were not to write.
    not_shown: Counts,
    /// Why a consumer has ended the capture, if one has.
    end: Option<OutputError>,
    ended: Ended,
    /// Events that came after that.
    after_end: Counts,
    report: Report,
    /// Who watches how far they come, if anyone does.
    progress: Option<Progress>,
}

impl Outputs {
    /// These outputs together.
    #[must_use]
    pub fn new(outputs: Vec<Output>) -> Self {
        Self { outputs, ..Self::default() }
    }

    /// Has someone told what is to be known at once.
    pub(super) fn with_report(self, report: Report) -> Self {
        Self { report, ..self }
    }

    /// Has outputs write no other exchanges and flow summaries than these kinds, whatever is made
    /// for consumers.
    #[must_use]
    pub fn showing(self, shown: Takes) -> Self {
        Self { shown: Some(shown), ..self }
    }

    /// Has others told how far they come; to be called when all of them are there.
    #[must_use]
    pub fn watched(mut self) -> Self {
        self.progress = Some(Progress::new(self.owners.clone()));
        self.tell();
        self
    }

    /// How far they come, where that is watched.
    #[must_use]
    pub const fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    /// Tells those who watch how far they have come.
    pub fn tell(&self) {
        let Some(progress) = &self.progress else { return };
        let faults = self.outputs.iter().filter_map(Output::fault).map(|fault| fault.to_string());
        progress.tell(self.written(), faults.collect());
    }

    /// What consumers take.
    #[must_use]
    pub fn takes(&self) -> Takes {
        self.consumers.iter().map(|consumer| consumer.takes()).fold(Takes::default(), Takes::with)
    }

    /// Who tells whether a consumer has ended the capture.
    #[must_use]
    pub fn ended(&self) -> Ended {
        self.ended.clone()
    }

    /// Of which consumer the capture has failed, if it has.
    ///
    /// # Errors
    /// That.
    pub fn failure(&mut self) -> Result<(), OutputError> {
        match self.end.take() {
            None | Some(OutputError::Enough) => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Has this one get all events too.
    #[must_use]
    pub fn with(mut self, consumer: Box<dyn Consumer>) -> Self {
        self.consumers.push(consumer);
        self
    }

    /// Has the owner of each event's flow looked up.
    #[must_use]
    pub fn with_owners(self, owners: Owners) -> Self {
        Self { owners: Some(owners), ..self }
    }

    /// Who is to be asked about each flow that opens.
    #[must_use]
    pub const fn owners(&self) -> Option<&Owners> {
        self.owners.as_ref()
    }

    /// Makes their files anew. What cannot begin is to come before: it has written over nothing then.
    ///
    /// # Errors
    /// If one can't be written to.
    pub fn begin(&mut self) -> Result<(), OutputError> {
        self.outputs.iter_mut().try_for_each(Output::begin)
    }

    /// Writes an event to each output. A ledger gets what they have written until now. Where one can't
    /// be written any more, that is said, and the others go on.
    ///
    /// # Errors
    /// If no output is left, or a consumer can't be written.
    pub fn write(&mut self, mut event: Event) -> Result<(), OutputError> {
        if let Event::Stats(stats) = &mut event {
            stats.written = self.written();
            stats.owners = self.owners.as_ref().map(Owners::counters);
        } else if let (Some(owners), Some(flow)) = (&self.owners, event.flow_mut()) {
            flow.owner = owners.of(flow);
        }
        if self.is_over(&event) {
            return Ok(());
        }
        if self.shows(&event) {
            self.each(|_, output| output.write(&event))?;
        }
        self.consume(&event)
    }

    /// Does something to each output with its number. Of those that fail the last one alone is an
    /// error.
    fn each(
        &mut self,
        mut act: impl FnMut(usize, &mut Output) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        let mut last = None;
        for (number, output) in self.outputs.iter_mut().enumerate() {
            if let Err(error) = act(number, output)
                && let Some(before) = last.replace(error)
            {
                self.report.say(&Notice::Closed(before));
            }
        }
        let Some(error) = last else { return Ok(()) };
        if !self.outputs.iter().all(Output::is_closed) {
            self.report.say(&Notice::Closed(error));
            return Ok(());
        }
        // That the last reader has gone does not make good what is missing elsewhere.
        let fault = self.fault().filter(|_| matches!(error, OutputError::Closed(_)));
        Err(fault.unwrap_or(error))
    }

    fn fault(&self) -> Option<OutputError> {
        self.outputs.iter().find_map(Output::fault)
    }

    /// Whether the capture has ended for all but the ledger; counts what comes then.
    fn is_over(&mut self, event: &Event) -> bool {
        let is_over = self.end.is_some() && !matches!(event, Event::Stats(_));
        if is_over {
            self.after_end.add(event);
            self.end_bodies(event);
        }
        is_over
    }

    /// Tells consumers of bodies that began before the end, and whose exchange comes after it.
    fn end_bodies(&mut self, event: &Event) {
        let ends: Vec<_> = match event {
            Event::Exchange(exchange) => {
                let server = exchange.flow.server;
                let end = |body| Content { body, server, news: News::Unwanted };
                exchange.streamed().map(|(body, _)| Event::Content(Box::new(end(body)))).collect()
            }
            Event::Content(content) if content.is_empty() => vec![event.clone()],
            _ => return,
        };
        for end in &ends {
            // What a consumer fails of now can't end what is over.
            self.consumers.iter_mut().for_each(|consumer| _ = consumer.take(end));
        }
    }

    /// Whether outputs write an event; counts those that they do not.
    fn shows(&mut self, event: &Event) -> bool {
        let shows = !event.is_for_consumers() && self.shown.is_none_or(|shown| shown.shows(event));
        if !shows && !matches!(event, Event::Content(_)) {
            self.not_shown.add(event);
        }
        shows
    }

    fn consume(&mut self, event: &Event) -> Result<(), OutputError> {
        if self.end.is_some() {
            return Ok(());
        }
        let taken = self.consumers.iter_mut().map(|consumer| consumer.take(event));
        let taken = taken.fold(Ok(()), Result::and);
        self.heed(taken)
    }

    /// Ends the capture where a consumer wants that; other errors are passed on.
    fn heed(&mut self, taken: Result<(), OutputError>) -> Result<(), OutputError> {
        match taken {
            Err(end @ (OutputError::Enough | OutputError::Consumer(_))) => {
                self.end.get_or_insert(end);
                self.ended.0.store(true, Ordering::Relaxed);
                Ok(())
            }
            other => other,
        }
    }

    /// Writes events that were put into the formats before. A ledger was not: it gets what was
    /// written before it, as above.
    pub(super) fn write_prepared(
        &mut self,
        events: Vec<Event>,
        formats: &Formats,
    ) -> Result<(), OutputError> {
        let written = self.write_all(events, formats);
        self.tell();
        written
    }

    fn write_all(&mut self, events: Vec<Event>, formats: &Formats) -> Result<(), OutputError> {
        for (number, event) in events.into_iter().enumerate() {
            if matches!(event, Event::Stats(_)) {
                self.write(event)?;
                continue;
            }
            if self.is_over(&event) {
                continue;
            }
            if self.shows(&event) {
                let mut each = formats.event(number);
                self.each(|_, output| match each.next().flatten() {
                    Some(bytes) => output.write_formatted(&event, bytes),
                    None => output.write(&event),
                })?;
            }
            self.consume(&event)?;
        }
        Ok(())
    }

    /// Writes what is in the formats, and puts what is late into them.
    pub(super) fn write_parcel(&mut self, parcel: &mut Parcel) -> Result<(), OutputError> {
        let written = self.write_parts(parcel);
        self.tell();
        written
    }

    fn write_parts(&mut self, parcel: &mut Parcel) -> Result<(), OutputError> {
        let mut done = vec![0; parcel.ends.len()];
        for Late { event, at, before } in std::mem::take(&mut parcel.late) {
            self.write_part(parcel, &done, &at, before)?;
            self.write(event)?;
            done = at;
        }
        self.write_part(parcel, &done, &parcel.ends, parcel.rest)
    }

    fn write_part(
        &mut self,
        parcel: &Parcel,
        starts: &[usize],
        ends: &[usize],
        count: Counts,
    ) -> Result<(), OutputError> {
        self.each(|number, output| {
            let place = starts.get(number).zip(ends.get(number)).map(|(start, end)| *start..*end);
            let formatted = parcel.formatted.get(number).zip(place);
            let bytes = formatted.and_then(|(formatted, place)| formatted.get(place));
            output.write_many(count, bytes.unwrap_or_default())
        })
    }

    /// Hands everything to the system: what one output refuses, the others still get.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let outputs = self.each(|_, output| output.flush());
        let all = self.consumers.iter_mut().map(|consumer| consumer.flush());
        let flushed = all.fold(outputs, Result::and);
        self.tell();
        flushed
    }

    /// In how long they are to be flushed, where not all that is written can be read yet.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.outputs.iter().filter_map(Output::patience).min()
    }

    /// Nothing more comes: ends all files as their formats want it, and hands everything to the
    /// system; what one output refuses, the others still get.
    ///
    /// # Errors
    /// As [`Self::write`], or if something is missing in an output.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        let finished = self.each(|_, output| output.finish());
        let mut finished = finished.and_then(|()| self.fault().map_or(Ok(()), Err));
        for number in 0..self.consumers.len() {
            let consumer = self.consumers.get_mut(number);
            let result = consumer.map_or(Ok(()), |consumer| consumer.finish());
            finished = finished.and(self.heed(result));
        }
        finished
    }

    /// What each has written.
    #[must_use]
    pub fn written(&self) -> Vec<Written> {
        let left_out = |written: Written, more: &Counts| {
            let mut left_out = written.left_out;
            left_out.merge(&self.after_end);
            left_out.merge(more);
            Written { left_out, ..written }
        };
        let outputs = self.outputs.iter().map(|output| left_out(output.written(), &self.not_shown));
        let none = Counts::default();
        let consumers = self.consumers.iter();
        outputs.chain(consumers.map(|consumer| left_out(consumer.written(), &none))).collect()
    }

    /// The formats of the outputs.
    pub(super) fn formats(&self) -> impl Iterator<Item = Formatter> {
        self.outputs.iter().map(|output| output.formatter().clone())
    }

    /// Whether the formats of an event are all that is needed to write it.
    pub(super) fn need_only_formats(&self) -> bool {
        self.consumers.is_empty()
            && !self.outputs.iter().any(|output| output.formatter().has_memory())
    }
}
