//! All outputs of a capture, which get the same events in the same order.

use std::fmt;

use super::formats::{Formats, Formatter};
use super::parcel::{Count, Late, Parcel};
use super::{Output, OutputError};
use crate::event::{Event, Written};
use crate::owner::Owners;

/// What takes events as they are, beside the outputs that write them in a format.
pub trait Consumer: fmt::Debug + Send {
    /// Takes an event.
    ///
    /// # Errors
    /// If it can't go on.
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

/// Several outputs that get the same events.
#[derive(Debug, Default)]
pub struct Outputs {
    outputs: Vec<Output>,
    consumers: Vec<Box<dyn Consumer>>,
    owners: Option<Owners>,
}

impl Outputs {
    /// These outputs together.
    #[must_use]
    pub const fn new(outputs: Vec<Output>) -> Self {
        Self { outputs, consumers: Vec::new(), owners: None }
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

    /// Writes an event to each output. A ledger gets what they have written until now.
    ///
    /// # Errors
    /// If one can't be written.
    pub fn write(&mut self, mut event: Event) -> Result<(), OutputError> {
        if let Event::Stats(stats) = &mut event {
            stats.written = self.written();
            stats.owners = self.owners.as_ref().map(Owners::counters);
        } else if let (Some(owners), Some(flow)) = (&self.owners, event.flow_mut()) {
            flow.owner = owners.of(flow);
        }
        self.outputs.iter_mut().try_for_each(|output| output.write(&event))?;
        self.consume(&event)
    }

    fn consume(&mut self, event: &Event) -> Result<(), OutputError> {
        self.consumers.iter_mut().try_for_each(|consumer| consumer.take(event))
    }

    /// Writes events that were put into the formats before. A ledger was not: it gets what was
    /// written before it, as above.
    pub(super) fn write_prepared(
        &mut self,
        events: Vec<Event>,
        formats: &Formats,
    ) -> Result<(), OutputError> {
        for (number, event) in events.into_iter().enumerate() {
            if matches!(event, Event::Stats(_)) {
                self.write(event)?;
                continue;
            }
            for (output, formatted) in self.outputs.iter_mut().zip(formats.event(number)) {
                match formatted {
                    Some(bytes) => output.write_formatted(&event, bytes)?,
                    None => output.write(&event)?,
                }
            }
            self.consume(&event)?;
        }
        Ok(())
    }

    /// Writes what is in the formats, and puts what is late into them.
    pub(super) fn write_parcel(&mut self, parcel: &mut Parcel) -> Result<(), OutputError> {
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
        count: Count,
    ) -> Result<(), OutputError> {
        let places = starts.iter().zip(ends).map(|(start, end)| *start..*end);
        let outputs = self.outputs.iter_mut().zip(&parcel.formatted).zip(places);
        for ((output, formatted), place) in outputs {
            output.write_many(count, formatted.get(place).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Hands everything to the system: what one output refuses, the others still get.
    ///
    /// # Errors
    /// If one can't be written: of the first.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let outputs = self.outputs.iter_mut().map(Output::flush).fold(Ok(()), Result::and);
        self.consumers.iter_mut().map(|consumer| consumer.flush()).fold(outputs, Result::and)
    }

    /// Nothing more comes: ends all files as their formats want it, and hands everything to the
    /// system; what one output refuses, the others still get.
    ///
    /// # Errors
    /// If one can't be written: of the first.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        let outputs = self.outputs.iter_mut().map(Output::finish).fold(Ok(()), Result::and);
        self.consumers.iter_mut().map(|consumer| consumer.finish()).fold(outputs, Result::and)
    }

    /// What each has written.
    #[must_use]
    pub fn written(&self) -> Vec<Written> {
        let outputs = self.outputs.iter().map(Output::written);
        outputs.chain(self.consumers.iter().map(|consumer| consumer.written())).collect()
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
