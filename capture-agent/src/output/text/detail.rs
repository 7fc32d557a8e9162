//! Heads and bodies, under the line of their exchange.
//!
//! Invariant: each row begins with whose it is, also where a line takes several rows on a terminal,
//! so that nothing that was sent can pass for a line of ours.

use std::io::{self, Write};

use super::{Text, Verbosity, body, rows, words};
use crate::event::Exchange;
use crate::http::Body;
use crate::http::head::{Head, ResponseHead};
use crate::notation::escape::visible;
use crate::output::style::{CYAN, DIM, YELLOW};
use crate::output::terminal::width;

/// How far the further rows of a line are indented, where there is room.
const INDENT: &str = "    ";

impl Text {
    pub(super) fn messages(&self, exchange: &Exchange, writer: &mut impl Write) -> io::Result<()> {
        if self.verbosity < Verbosity::Heads {
            return Ok(());
        }
        if let Some(owner) = &exchange.flow.owner {
            let owner = words::owned(owner);
            self.wrapped("* ", &owner, owner.len(), DIM, writer)?;
        }
        // The line above has no room for all of it.
        let notes = super::notes(&exchange.http).filter(|_| self.screen.is_terminal());
        for note in notes {
            self.wrapped("* ", &note, note.len(), YELLOW, writer)?;
        }
        if let Some(request) = &exchange.http.request {
            let head = &request.head;
            let line = [head.method(), b" ", head.target()].concat();
            self.said(
                "> ",
                &format!("{}{}", visible(&line), version(" ", head.head(), "")),
                writer,
            )?;
            self.fields("> ", head.head().headers(), writer)?;
            self.body("> ", &request.body, head.head(), writer)?;
            self.fields("> ", request.trailers.iter(), writer)?;
        }
        for interim in &exchange.http.informational {
            self.response_head(interim, writer)?;
        }
        if let Some(response) = &exchange.http.response {
            self.response_head(&response.head, writer)?;
            self.body("< ", &response.body, response.head.head(), writer)?;
            self.fields("< ", response.trailers.iter(), writer)?;
        }
        writeln!(writer)
    }

    fn response_head(&self, head: &ResponseHead, writer: &mut impl Write) -> io::Result<()> {
        let Some(status) = head.status() else { return Ok(()) };
        let line = format!("{status} {}", visible(head.reason()));
        let line = format!("{}{}", version("", head.head(), " "), line.trim_end());
        self.said("< ", &line, writer)?;
        self.fields("< ", head.head().headers(), writer)
    }

    fn fields<'a>(
        &self,
        prefix: &str,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        writer: &mut impl Write,
    ) -> io::Result<()> {
        for (name, value) in fields {
            let name = self.screen.shown(visible(name));
            let line = format!("{name}: {}", visible(value));
            self.wrapped(prefix, &line, name.len(), CYAN, writer)?;
        }
        Ok(())
    }

    fn body(
        &self,
        prefix: &str,
        body: &Body,
        head: &Head,
        writer: &mut impl Write,
    ) -> io::Result<()> {
        if self.verbosity < Verbosity::Bodies || body.wire_bytes == 0 {
            return Ok(());
        }
        writeln!(writer, "{prefix}")?;
        let room = self.screen.columns().map(|columns| columns.saturating_sub(width(prefix)));
        let media_type = head.value("content-type").map(words::media_type);
        let shown = body::shown(body, media_type.as_deref(), room);
        for line in &shown.lines {
            self.said(prefix, line, writer)?;
        }
        match left_out(body, head, shown.of_bytes) {
            Some(note) => self.wrapped(prefix, &note, usize::MAX, DIM, writer),
            None => Ok(()),
        }
    }

    fn said(&self, prefix: &str, line: &str, writer: &mut impl Write) -> io::Result<()> {
        self.wrapped(prefix, line, 0, DIM, writer)
    }

    /// Writes a line, of which so many bytes have a style, in as many rows as it takes.
    fn wrapped(
        &self,
        prefix: &str,
        line: &str,
        styled: usize,
        style: anstyle::Style,
        writer: &mut impl Write,
    ) -> io::Result<()> {
        let line = self.screen.shown(line);
        let row = |row: &str| {
            let (start, rest) = row.split_at_checked(styled).unwrap_or((row, ""));
            let start = if styled > 0 { self.styled(style, start) } else { start.to_owned() };
            format!("{prefix}{start}{rest}")
        };
        let columns = self.screen.columns().map(|columns| columns.saturating_sub(width(prefix)));
        let Some(columns) = columns.filter(|columns| width(&line) > *columns) else {
            return writeln!(writer, "{}", row(&line));
        };
        let first = rows(&line, columns).next().unwrap_or_default();
        writeln!(writer, "{}", row(first))?;
        let rest = line.get(first.len()..).unwrap_or_default();
        let indent = if columns >= 3 * INDENT.len() { INDENT } else { "" };
        for row in rows(rest, columns.saturating_sub(indent.len())) {
            writeln!(writer, "{prefix}{indent}{row}")?;
        }
        Ok(())
    }
}

/// What is to be said of the bytes that are not among those that are shown, if there are any. How many
/// that are is not known of a coded body that was not decoded to its end.
fn left_out(body: &Body, head: &Head, shown_bytes: usize) -> Option<String> {
    let kept = body.content.len();
    // Where secrets are hidden, what is whole may be longer or shorter than what was sent.
    let is_whole = kept > 0 && body.bytes.is_some() && !body.truncated;
    let is_coded = body.decoded && head.value("content-encoding").is_some();
    let bytes = match body.bytes {
        _ if is_whole => Some(kept as u64),
        Some(bytes) => Some(bytes),
        None => (!is_coded).then_some(body.wire_bytes),
    };
    match bytes.map(|bytes| bytes.saturating_sub(shown_bytes as u64)) {
        Some(more @ 1..) => Some(format!("({more} bytes more)")),
        _ => (body.truncated || shown_bytes < kept).then(|| "(and more)".to_owned()),
    }
}

/// A version between what stands before and after it; nothing where it is not known.
fn version(before: &str, head: &Head, after: &str) -> String {
    head.version().map(|version| format!("{before}HTTP/{version}{after}")).unwrap_or_default()
}
