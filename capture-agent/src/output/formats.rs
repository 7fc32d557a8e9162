//! Events in the formats of the outputs, put together before it is their turn to be written.

use std::io;
use std::ops::Range;

use super::pcapng::rebuilt::Rebuilt;
use super::terminal::{Screen, Stream};
use super::{Verbosity, curl, har, jsonl, text};
use crate::event::Event;

/// Longest room that is kept for what comes next: one large body shall not hold it for ever.
pub(super) const KEPT_BYTES: usize = 1 << 20;

/// Puts events into a format.
#[derive(Clone, Debug)]
pub(super) enum Formatter {
    Text(text::Text),
    Jsonl,
    Har,
    Pcapng(Box<Rebuilt>),
    Curl(curl::Curl),
    /// For tests of what formats of another kind than these rely on.
    #[cfg(test)]
    Framed(super::framed::Framed),
}

/// A format may frame its records: a file begins with [`Self::start`], and ends with [`Self::end`];
/// in between each record but the first of a file begins with [`Self::between`].
impl Formatter {
    pub(super) fn new(format: super::Format, verbosity: Verbosity, is_stdout: bool) -> Self {
        let screen = || if is_stdout { Screen::of(Stream::Stdout) } else { Screen::FILE };
        match format {
            super::Format::Text => Self::Text(text::Text::new(verbosity, screen())),
            super::Format::Jsonl => Self::Jsonl,
            super::Format::Har => Self::Har,
            super::Format::Pcapng => Self::Pcapng(Box::default()),
            super::Format::Curl => Self::Curl(curl::Curl::new(screen())),
        }
    }

    /// Whether what is written of an event depends on those before it: they have to be put into
    /// the format one after the other, where they are written.
    pub(super) const fn has_memory(&self) -> bool {
        match self {
            Self::Text(_) | Self::Jsonl | Self::Har | Self::Curl(_) => false,
            Self::Pcapng(_) => true,
            #[cfg(test)]
            Self::Framed(framed) => framed.has_memory,
        }
    }

    /// Whether it has records of exchanges alone, and none of other events.
    pub(super) const fn has_only_exchanges(&self) -> bool {
        match self {
            Self::Text(_) | Self::Jsonl => false,
            Self::Har | Self::Pcapng(_) | Self::Curl(_) => true,
            #[cfg(test)]
            Self::Framed(_) => false,
        }
    }

    /// Begins a file: adds what stands before its first record. What the format remembers of the
    /// file before it is over.
    pub(super) fn start(&mut self, bytes: &mut Vec<u8>) {
        match self {
            Self::Text(_) | Self::Jsonl | Self::Curl(_) => {}
            Self::Har => bytes.extend_from_slice(har::START),
            Self::Pcapng(rebuilt) => rebuilt.start(bytes),
            #[cfg(test)]
            Self::Framed(framed) => framed.start(bytes),
        }
    }

    /// Adds what makes what follows understood where something of a file is lost that the format
    /// remembers; nothing where records stand for themselves.
    pub(super) fn resume(&mut self, bytes: &mut Vec<u8>) {
        if self.has_memory() {
            self.start(bytes);
        }
    }

    /// What [`Self::format`] begins each record with, and what the first of a file goes without.
    pub(super) const fn between(&self) -> &'static [u8] {
        match self {
            Self::Text(_) | Self::Jsonl | Self::Pcapng(_) | Self::Curl(_) => b"",
            Self::Har => har::BETWEEN,
            #[cfg(test)]
            Self::Framed(_) => super::framed::BETWEEN,
        }
    }

    /// What stands after the last record of a file.
    pub(super) const fn end(&self) -> &'static [u8] {
        match self {
            Self::Text(_) | Self::Jsonl | Self::Pcapng(_) | Self::Curl(_) => b"",
            Self::Har => har::END,
            #[cfg(test)]
            Self::Framed(_) => super::framed::END,
        }
    }

    /// Adds an event to what is in `bytes`; nothing of one that the format has no record for.
    pub(super) fn format(&mut self, event: &Event, bytes: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Text(text) => text.write(event, bytes),
            Self::Jsonl => jsonl::write(event, bytes),
            Self::Curl(curl) => curl.write(event, bytes),
            Self::Har => har::write(event, bytes),
            Self::Pcapng(rebuilt) => {
                rebuilt.write(event, bytes);
                Ok(())
            }
            #[cfg(test)]
            Self::Framed(framed) => framed.write(event, bytes),
        }
    }
}

/// The formats of all outputs, and the events that are in them already.
#[derive(Clone, Debug)]
pub(super) struct Formats(Vec<Prepared>);

#[derive(Clone, Debug)]
struct Prepared {
    format: Formatter,
    bytes: Vec<u8>,
    /// Where each event lies in `bytes`; `None` where that is not known yet.
    places: Vec<Option<Range<usize>>>,
}

impl Formats {
    pub(super) fn new(formats: impl Iterator<Item = Formatter>) -> Self {
        let prepared = |format| Prepared { format, bytes: Vec::new(), places: Vec::new() };
        Self(formats.map(prepared).collect())
    }

    /// Puts these events into all formats that have no memory. A ledger is left out: it tells what
    /// was written before.
    pub(super) fn prepare(&mut self, events: &[Event]) {
        for Prepared { format, bytes, places } in &mut self.0 {
            bytes.clear();
            bytes.shrink_to(KEPT_BYTES);
            places.clear();
            if format.has_memory() {
                continue;
            }
            places.extend(events.iter().map(|event| {
                let start = bytes.len();
                let is_ledger = matches!(event, Event::Stats(_));
                // What can't be put into a format fails again, and is told, when it is written.
                let is_there = !is_ledger && format.format(event, bytes).is_ok();
                is_there.then_some(start..bytes.len())
            }));
        }
    }

    /// The event of this number in each format, where it was put into it.
    pub(super) fn event(&self, number: usize) -> impl Iterator<Item = Option<&[u8]>> {
        self.0.iter().map(move |prepared| {
            let place = prepared.places.get(number)?.clone()?;
            prepared.bytes.get(place)
        })
    }
}
