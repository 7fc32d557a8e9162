//! Text for people: a line an exchange or a message, with heads and bodies on request.
//!
//! On a terminal lines stand in columns that its width has room for ([`row`]); elsewhere they are
//! those of the contract ([`line`]), whole.

mod body;
mod detail;
mod layout;
mod line;
mod row;
pub(super) mod words;

use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::Screen;
use super::style::{self, Style};
use super::terminal;
use crate::event::Event;
use crate::http::{Exchange, Message};
use words::Missed;

/// How much is shown of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// A line.
    Line,
    /// Heads too.
    Heads,
    /// Bodies too.
    Bodies,
}

/// How text is written.
#[derive(Clone, Debug)]
pub(super) struct Text {
    verbosity: Verbosity,
    screen: Screen,
    zone: TimeZone,
}

impl Text {
    pub(super) fn new(verbosity: Verbosity, screen: Screen) -> Self {
        Self { verbosity, screen, zone: TimeZone::system() }
    }

    pub(super) fn write(&self, event: &Event, writer: &mut impl Write) -> io::Result<()> {
        if matches!(event, Event::Content(_) | Event::Opened(_) | Event::Data(_)) {
            return Ok(());
        }
        match self.screen.columns() {
            Some(columns) => self.row(event, columns, writer)?,
            None => self.line(event, writer)?,
        }
        match event {
            Event::Exchange(exchange) => self.messages(exchange, writer),
            _ => Ok(()),
        }
    }

    fn styled(&self, style: Style, text: &str) -> String {
        self.screen.styled(style, text)
    }
}

const fn status_style(status: u16) -> Style {
    match status {
        0..=299 => style::GREEN,
        300..=399 => style::CYAN,
        400..=499 => style::YELLOW,
        _ => style::RED,
    }
}

/// What is to be said of an exchange beside what it was.
fn notes(http: &Exchange) -> impl Iterator<Item = String> {
    fn note<H>(which: &str, message: Option<&Message<H>>) -> Option<String> {
        message.and_then(|it| words::note(which, it.state, Missed::of(it)))
    }
    let sides = [note("request", http.request.as_ref()), note("response", http.response.as_ref())];
    let notes = sides.into_iter().flatten().chain(words::network(http.network));
    notes.chain(http.anomalies.iter().map(|anomaly| format!("[{anomaly}]")))
}

/// A text in rows of so many columns; at least one row, and a character in each.
pub(super) fn rows(text: &str, columns: usize) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let row = terminal::start(text, columns);
        let first = text.chars().next().map_or(0, char::len_utf8);
        let (row, left) = text.split_at_checked(row.len().max(first)).unwrap_or((text, ""));
        rest = (!left.is_empty()).then_some(left);
        Some(row)
    })
}
