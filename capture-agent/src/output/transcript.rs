//! What was said on one flow, for people to read or for programs to take: what `follow` writes.
//!
//! Invariants: as bytes, what was said and nothing else; in the other forms each line of the peers
//! is marked as the client's or the server's, so that none can pass for a line of ours.

use std::fmt;
use std::io::{self, BufWriter, Stdout, Write};

use super::escape::visible_lines;
use super::hex;
use super::style::{self, Style};
use super::summary::counted;
use super::terminal::{self, Screen, Stream};
use super::text::words;
use crate::flow::{CloseReason, Direction};
use crate::listener::{Data, FlowView};
use crate::segment::Endpoint;

/// How what was said is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As text, with `>` before the lines of the client and `<` before those of the server.
    Text,
    /// In hexadecimal with stream offsets, the server's indented; each segment begins a line.
    Hex,
    /// The bytes themselves, in the order in which they were said.
    Raw,
}

/// Writes what was said on one flow.
#[derive(Debug)]
pub struct Transcript<W> {
    form: Form,
    screen: Screen,
    writer: W,
    /// Who was said to be the client and the server.
    introduced: Option<(Endpoint, Endpoint)>,
    line: Line,
}

/// A line of text on its way.
#[derive(Debug, Default)]
struct Line {
    /// Whose it is.
    of: Option<Direction>,
    /// Whether some of it is written.
    begun: bool,
    /// On a terminal: how many columns of its last row are, the mark's left out.
    used: usize,
    /// The last few bytes, while they may be half of a character or of a line's end.
    rest: Vec<u8>,
}

impl Transcript<BufWriter<Stdout>> {
    /// Writes to standard output, as it can be shown there.
    #[must_use]
    pub fn to_stdout(form: Form) -> Self {
        Self::new(form, Screen::of(Stream::Stdout), BufWriter::new(io::stdout()))
    }
}

impl<W: Write> Transcript<W> {
    /// Writes to `writer`.
    pub fn new(form: Form, screen: Screen, writer: W) -> Self {
        Self { form, screen, writer, introduced: None, line: Line::default() }
    }

    /// Something was said.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn data(
        &mut self,
        flow: &FlowView<'_>,
        direction: Direction,
        data: Data<'_>,
    ) -> io::Result<()> {
        self.introduce(flow)?;
        match self.form {
            Form::Text => self.text(direction, data.bytes),
            Form::Hex => self.hex(direction, data),
            Form::Raw => self.writer.write_all(data.bytes),
        }
    }

    /// Something was said that was not seen. Nothing stands for it among raw bytes.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn gap(&mut self, flow: &FlowView<'_>, direction: Direction, len: u64) -> io::Result<()> {
        self.introduce(flow)?;
        let (who, indent) = match (direction, self.form) {
            (_, Form::Raw) => return Ok(()),
            (Direction::ToServer, _) => ("client", ""),
            (Direction::ToClient, Form::Hex) => ("server", SERVER_INDENT),
            (Direction::ToClient, Form::Text) => ("server", ""),
        };
        self.end_line()?;
        let note = format!("[{who}: {} not seen]", counted(len, "byte"));
        self.note(indent, style::YELLOW, &note)
    }

    /// The flow has ended.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn closed(&mut self, flow: &FlowView<'_>, reason: CloseReason) -> io::Result<()> {
        self.introduce(flow)?;
        if self.form == Form::Raw {
            return Ok(());
        }
        self.end_line()?;
        let note = format!("[{}]", words::closed(reason));
        self.note("", style::DIM, &note)
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// Says who is who, also when it turns out to be the other way round.
    fn introduce(&mut self, flow: &FlowView<'_>) -> io::Result<()> {
        let ends = Some((flow.client, flow.server));
        if self.form == Form::Raw || self.introduced == ends {
            return Ok(());
        }
        self.end_line()?;
        self.introduced = ends;
        let arrow = self.screen.arrow();
        let line = format!("stream {}  {} {arrow} {}", flow.number, flow.client, flow.server);
        self.note("", style::DIM, &line)
    }

    /// A line of ours, in as many rows as it takes on a terminal.
    fn note(&mut self, indent: &str, style: Style, note: &str) -> io::Result<()> {
        let columns = self.screen.columns().unwrap_or(usize::MAX);
        for row in super::text::rows(note, columns.saturating_sub(indent.len())) {
            writeln!(self.writer, "{indent}{}", self.screen.styled(style, row))?;
        }
        Ok(())
    }

    fn text(&mut self, direction: Direction, bytes: &[u8]) -> io::Result<()> {
        if self.line.of != Some(direction) {
            self.end_line()?;
            self.line.of = Some(direction);
        }
        let mut bytes = [&std::mem::take(&mut self.line.rest), bytes].concat();
        self.line.rest = bytes.split_off(bytes.len() - unfinished(&bytes));
        bytes.split_inclusive(|byte| *byte == b'\n').try_for_each(|part| self.part(direction, part))
    }

    /// A line or a part of one.
    fn part(&mut self, direction: Direction, part: &[u8]) -> io::Result<()> {
        let (text, ends) = match part.strip_suffix(b"\n") {
            Some(line) => (line.strip_suffix(b"\r").unwrap_or(line), true),
            None => (part, false),
        };
        let (mark, style) = match direction {
            Direction::ToServer => ("> ", CLIENT_STYLE),
            Direction::ToClient => ("< ", SERVER_STYLE),
        };
        let shown = visible_lines(text);
        if let Some(columns) = self.screen.columns() {
            // A terminal's tab stops would have rows that are wider than they seem.
            let shown = self.screen.shown(shown.replace('\t', "    ")).into_owned();
            self.rows(mark, style, &shown, columns.saturating_sub(mark.len()).max(1))?;
        } else {
            let mark = if self.line.begun { "" } else { mark };
            let shown = self.screen.styled(style, format_args!("{mark}{shown}"));
            self.writer.write_all(shown.as_bytes())?;
        }
        self.line.begun = !ends;
        self.writer.write_all(if ends { b"\n" } else { b"" })
    }

    /// Goes on with a line in as many rows as it takes on a terminal; each has the mark.
    fn rows(&mut self, mark: &str, style: Style, text: &str, columns: usize) -> io::Result<()> {
        let mut rest = text;
        if !self.line.begun {
            self.line.used = 0;
            let first = terminal::start(rest, columns);
            rest = rest.get(first.len()..).unwrap_or_default();
            self.row(style, format_args!("{mark}{first}"), terminal::width(first))?;
        }
        while !rest.is_empty() {
            let mut row = terminal::start(rest, columns.saturating_sub(self.line.used));
            if row.is_empty() {
                self.writer.write_all(b"\n")?;
                self.line.used = 0;
                row = super::text::rows(rest, columns).next().unwrap_or(rest);
                self.row(style, format_args!("{mark}{row}"), terminal::width(row))?;
            } else {
                self.row(style, format_args!("{row}"), terminal::width(row))?;
            }
            rest = rest.get(row.len()..).unwrap_or_default();
        }
        Ok(())
    }

    fn row(&mut self, style: Style, row: fmt::Arguments<'_>, columns: usize) -> io::Result<()> {
        self.line.used += columns;
        self.writer.write_all(self.screen.styled(style, row).as_bytes())
    }

    /// Ends the line that is on its way, if there is one.
    fn end_line(&mut self) -> io::Result<()> {
        let Line { of, rest, .. } = &mut self.line;
        let (of, rest) = (of.take(), std::mem::take(rest));
        if let Some(direction) = of
            && !rest.is_empty()
        {
            self.part(direction, &rest)?;
        }
        if std::mem::take(&mut self.line.begun) {
            self.writer.write_all(b"\n")?;
        }
        Ok(())
    }

    fn hex(&mut self, direction: Direction, data: Data<'_>) -> io::Result<()> {
        let (indent, style) = match direction {
            Direction::ToServer => ("", CLIENT_STYLE),
            Direction::ToClient => (SERVER_INDENT, SERVER_STYLE),
        };
        let columns = self.screen.columns().map(|it| it.saturating_sub(SERVER_INDENT.len()));
        let row_bytes = hex::bytes_in(columns);
        for (offset, row) in (data.offset..).step_by(row_bytes).zip(data.bytes.chunks(row_bytes)) {
            let line = hex::row(offset, row, row_bytes);
            writeln!(self.writer, "{indent}{}", self.screen.styled(style, &line))?;
        }
        Ok(())
    }
}

const CLIENT_STYLE: Style = style::CYAN;
const SERVER_STYLE: Style = style::GREEN;
const SERVER_INDENT: &str = "    ";

/// How many bytes at the end may be half of something: of a character, or of CR LF.
fn unfinished(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") {
        return 1;
    }
    let begins_character = |byte: &u8| *byte >= 0xc0;
    let last = bytes.last_chunk::<3>().map_or(bytes, <[u8; 3]>::as_slice);
    let begin = last.iter().rposition(begins_character).unwrap_or(last.len());
    let character = last.get(begin..).unwrap_or_default();
    match std::str::from_utf8(character) {
        Err(error) if error.error_len().is_none() => character.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::FlowState;
    use crate::segment::Timestamp;

    const FLOW: FlowView<'_> = FlowView {
        number: 3,
        client: Endpoint::v4([10, 0, 0, 5], 51234),
        server: Endpoint::v4([10, 0, 0, 1], 80),
        iface: None,
        local: None,
        state: FlowState::Open,
        start: Timestamp(0),
        last_activity: Timestamp(0),
        now: Timestamp(0),
    };

    fn transcript(form: Form, has_colour: bool, said: &[(Direction, &[u8])]) -> String {
        let screen = if has_colour { Screen::fixed(80, true, true) } else { Screen::FILE };
        let mut transcript = Transcript::new(form, screen, Vec::new());
        let mut offsets = [0, 0];
        for (direction, bytes) in said {
            let at = &mut offsets[*direction as usize];
            let data = Data { offset: *at, bytes, time: Timestamp(0) };
            *at += bytes.len() as u64;
            transcript.data(&FLOW, *direction, data).unwrap();
        }
        transcript.closed(&FLOW, CloseReason::Fin).unwrap();
        String::from_utf8(transcript.writer).unwrap()
    }

    use Direction::{ToClient, ToServer};

    #[test]
    fn lines_stay_lines_however_they_were_cut() {
        let whole = "GET /ü\u{1f600} HTTP/1.1\r\nA: b\r\n\r\n<\tend";
        let expected = "stream 3  10.0.0.5:51234 → 10.0.0.1:80\n\
                        > GET /ü\u{1f600} HTTP/1.1\n> A: b\n> \n> <\tend\n[closed]\n";
        for size in 1..=whole.len() {
            let said: Vec<_> = whole.as_bytes().chunks(size).map(|part| (ToServer, part)).collect();
            assert_eq!(transcript(Form::Text, false, &said), expected, "{size}");
        }
    }

    #[test]
    fn a_line_ends_where_the_other_side_speaks_and_nothing_of_it_is_lost() {
        let said: [(_, &[u8]); 4] =
            [(ToServer, b"half\r"), (ToClient, b"no\xc3"), (ToServer, b"\nx"), (ToClient, b"\xa4")];
        let text = transcript(Form::Text, false, &said);
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(lines, ["> half\\x0d", "< no\\xc3", "> ", "> x", "< \\xa4", "[closed]"]);
    }

    #[test]
    fn nothing_that_is_said_can_steer_a_terminal_or_pass_for_a_line_of_ours() {
        let said: [(_, &[u8]); 1] = [(ToClient, b"\x1b[2Ja\rb\n[closed]\n\x9b1m")];
        let text = transcript(Form::Text, false, &said);
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(lines, ["< \\x1b[2Ja\\x0db", "< [closed]", "< \\x9b1m", "[closed]"]);
        let hex = transcript(Form::Hex, false, &said);
        assert!(!hex.contains('\x1b'), "{hex}");
    }

    #[test]
    fn the_sides_have_different_colours() {
        let said: [(_, &[u8]); 2] = [(ToServer, b"a\n"), (ToClient, b"b")];
        for (form, mark) in [(Form::Text, ["> a", "< b"]), (Form::Hex, ["00000000", "00000000"])] {
            let text = transcript(form, true, &said);
            assert!(text.contains(&format!("\x1b[36m{}", mark[0])), "{text}");
            assert!(text.contains(&format!("\x1b[32m{}", mark[1])), "{text}");
        }
    }

    #[test]
    fn who_is_who_is_said_again_when_it_turns_out_otherwise() {
        let mut transcript = Transcript::new(Form::Text, Screen::FILE, Vec::new());
        let data = Data { offset: 0, bytes: b"x", time: Timestamp(0) };
        transcript.data(&FLOW, ToServer, data).unwrap();
        let turned = FlowView { client: FLOW.server, server: FLOW.client, ..FLOW };
        transcript.data(&turned, ToServer, data).unwrap();
        let text = String::from_utf8(transcript.writer).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let [first, _, again, _] = lines[..] else { panic!("{text}") };
        assert_eq!(first, "stream 3  10.0.0.5:51234 → 10.0.0.1:80");
        assert_eq!(again, "stream 3  10.0.0.1:80 → 10.0.0.5:51234");
    }
}
