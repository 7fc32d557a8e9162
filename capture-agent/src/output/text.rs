//! Text for people: a line an exchange or a message, with heads and bodies on request.

use std::borrow::Cow;
use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::Screen;
use super::escape::{visible, visible_lines};
use super::style::{self, Style};
use super::time::time_of_day;
use crate::event::{End, Event, Exchange, FlowSummary, Owner, Stats, WebSocketMessage};
use crate::flow::{CloseReason, Direction};
use crate::http::head::{Head, RequestHead, ResponseHead};
use crate::http::websocket::{self, Opcode};
use crate::http::{Body, Length, Message, Network, State};
use crate::stream::{self, Disorder};

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
        match event {
            Event::Exchange(exchange) => self.exchange(exchange, writer),
            Event::WebSocket(message) => self.websocket(message, writer),
            Event::Flow(summary) => self.flow(summary, writer),
            Event::Stats(stats) => self.stats(stats, writer),
            Event::Content(_) | Event::Opened(_) | Event::Data(_) => Ok(()),
        }
    }

    fn exchange(&self, exchange: &Exchange, writer: &mut impl Write) -> io::Result<()> {
        let http = &exchange.http;
        let time = time_of_day(http.time(), &self.zone);
        let (client, server) = (exchange.flow.client, exchange.flow.server);
        let mut fields = vec![
            self.styled(style::DIM, &time),
            format!("{client} → {server}"),
            http.request.as_ref().map_or_else(
                || self.styled(style::YELLOW, "request not seen"),
                |request| self.request(request, exchange),
            ),
        ];
        match &http.response {
            Some(response) => {
                let status = response.head.status();
                let shown = status.map_or_else(|| "no status".to_owned(), |it| it.to_string());
                fields.push(self.styled(status_style(status.unwrap_or_default()), &shown));
                let content_type = response.head.head().value("content-type");
                fields.push(content_type.map_or_else(|| "-".to_owned(), media_type));
                fields.push(length(&response.body));
            }
            None => fields.push(self.styled(style::YELLOW, "response not seen")),
        }
        if let Some(total) = http.timing.total_ns {
            fields.push(milliseconds(total));
        }
        let request = http.request.as_ref().map(|it| ("request", it.state, Missed::of(it)));
        let response = http.response.as_ref().map(|it| ("response", it.state, Missed::of(it)));
        let sides = [request, response].into_iter().flatten();
        let notes = sides.filter_map(|(which, state, missed)| note(which, state, missed));
        let notes = notes.chain(network(http.network));
        let notes = notes.chain(http.anomalies.iter().map(|anomaly| format!("[{anomaly}]")));
        fields.extend(notes.map(|note| self.styled(style::YELLOW, &note)));
        writeln!(writer, "{}", fields.join("  "))?;
        self.messages(exchange, writer)
    }

    fn request(&self, request: &Message<RequestHead>, exchange: &Exchange) -> String {
        let method = self.styled(style::BOLD, &visible(request.head.method()));
        let url = exchange.http.url().unwrap_or_else(|| request.head.target().to_vec());
        let shown = url.strip_prefix(b"http://").unwrap_or(&url);
        format!("{method} {}", visible(shown))
    }

    fn messages(&self, exchange: &Exchange, writer: &mut impl Write) -> io::Result<()> {
        if self.verbosity < Verbosity::Heads {
            return Ok(());
        }
        if let Some(owner) = &exchange.flow.owner {
            writeln!(writer, "* {}", self.styled(style::DIM, &owned(owner)))?;
        }
        if let Some(request) = &exchange.http.request {
            let head = &request.head;
            let line = [head.method(), b" ", head.target()].concat();
            writeln!(writer, "> {}{}", visible(&line), version(" ", head.head(), ""))?;
            self.fields("> ", head.head().headers(), writer)?;
            self.body("> ", &request.body, writer)?;
            self.fields("> ", request.trailers.iter(), writer)?;
        }
        for interim in &exchange.http.informational {
            self.response_head(interim, writer)?;
        }
        if let Some(response) = &exchange.http.response {
            self.response_head(&response.head, writer)?;
            self.body("< ", &response.body, writer)?;
            self.fields("< ", response.trailers.iter(), writer)?;
        }
        writeln!(writer)
    }

    fn response_head(&self, head: &ResponseHead, writer: &mut impl Write) -> io::Result<()> {
        let Some(status) = head.status() else { return Ok(()) };
        let line = format!("{status} {}", visible(head.reason()));
        writeln!(writer, "< {}{}", version("", head.head(), " "), line.trim_end())?;
        self.fields("< ", head.head().headers(), writer)
    }

    fn fields<'a>(
        &self,
        prefix: &str,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        writer: &mut impl Write,
    ) -> io::Result<()> {
        for (name, value) in fields {
            let name = self.styled(style::CYAN, &visible(name));
            writeln!(writer, "{prefix}{name}: {}", visible(value))?;
        }
        Ok(())
    }

    fn body(&self, prefix: &str, body: &Body, writer: &mut impl Write) -> io::Result<()> {
        if self.verbosity < Verbosity::Bodies || body.wire_bytes == 0 {
            return Ok(());
        }
        writeln!(writer, "{prefix}")?;
        if std::str::from_utf8(&body.content).is_ok() {
            for line in visible_lines(&body.content).lines() {
                writeln!(writer, "{prefix}{line}")?;
            }
        } else {
            writeln!(writer, "{prefix}({} bytes that are not text)", body.content.len())?;
        }
        let left_out = body.wire_bytes.saturating_sub(body.content.len() as u64);
        if left_out > 0 {
            writeln!(writer, "{prefix}({left_out} bytes more)")?;
        }
        Ok(())
    }

    /// A line; the arrow is from who sends it to who receives it.
    fn websocket(&self, event: &WebSocketMessage, writer: &mut impl Write) -> io::Result<()> {
        let message = &event.http.message;
        let (client, server) = (event.flow.client, event.flow.server);
        let (from, to) = match event.http.direction {
            Direction::ToServer => (client, server),
            Direction::ToClient => (server, client),
        };
        let mut fields = vec![
            self.styled(style::DIM, &time_of_day(message.first_byte, &self.zone)),
            format!("{from} → {to}"),
            format!("websocket {}", self.styled(style::BOLD, &opcode(message.opcode))),
        ];
        fields.extend(message.close_code.map(|code| code.to_string()));
        fields.push(format!("{} B", message.bytes.unwrap_or(message.wire_bytes)));
        if self.verbosity >= Verbosity::Bodies {
            fields.extend(quoted(message));
        }
        let websocket::Message { lost_bytes, dropped_bytes, elided_bytes, .. } = *message;
        let missed = Missed { lost_bytes, dropped_bytes, elided_bytes };
        let note = note("message", message.state, missed);
        fields.extend(note.map(|note| self.styled(style::YELLOW, &note)));
        writeln!(writer, "{}", fields.join("  "))
    }

    fn flow(&self, summary: &FlowSummary, writer: &mut impl Write) -> io::Result<()> {
        let time = self.styled(style::DIM, &time_of_day(summary.end, &self.zone));
        let (client, server) = (summary.flow.client, summary.flow.server);
        let close = closed(summary.close);
        let lasted = milliseconds(summary.end.nanos_since(summary.start));
        writeln!(
            writer,
            "{time}  {client} → {server}  flow {close}  {} exchanges  sent {}  received {}  {lasted}",
            summary.exchanges,
            carried(&summary.to_server),
            carried(&summary.to_client),
        )
    }

    fn stats(&self, stats: &Stats, writer: &mut impl Write) -> io::Result<()> {
        let time = self.styled(style::DIM, &time_of_day(stats.time, &self.zone));
        writeln!(writer, "{time}  {}", super::summary::line(stats))
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

/// What a message of a WebSocket is, in a word or two.
fn opcode(opcode: Opcode) -> Cow<'static, str> {
    Cow::Borrowed(match opcode {
        Opcode::Continuation => "continuation",
        Opcode::Text => "text",
        Opcode::Binary => "binary",
        Opcode::Close => "close",
        Opcode::Ping => "ping",
        Opcode::Pong => "pong",
        Opcode::Reserved(bits) => return Cow::Owned(format!("opcode {bits}")),
    })
}

/// The content of a message, as far as it is there.
fn quoted(message: &websocket::Message) -> Option<String> {
    let (content, len) = (&message.content, message.content.len());
    if content.is_empty() {
        return None;
    }
    let cut = if message.truncated { "…" } else { "" };
    Some(match message.opcode {
        Opcode::Text | Opcode::Close => format!("\"{}{cut}\"", visible(content)),
        _ if std::str::from_utf8(content).is_ok() => format!("\"{}{cut}\"", visible(content)),
        _ => format!("({len} bytes that are not text)"),
    })
}

/// Whose socket the local end is: `server: nginx (1234) in /system.slice/nginx.service`.
fn owned(owner: &Owner) -> String {
    let end = match owner.end {
        End::Client => "client",
        End::Server => "server",
    };
    let process = owner.process.as_ref().map_or_else(
        || "process not known".to_owned(),
        |process| {
            let pid = process.pid.map(|pid| format!(" ({pid})")).unwrap_or_default();
            format!("{}{pid}", visible(process.name.as_bytes()))
        },
    );
    let cgroup = owner.cgroup.as_ref().map(|path| format!(" in {}", visible(path.as_bytes())));
    format!("{end}: {process}{}", cgroup.unwrap_or_default())
}

/// A media type without its parameters.
fn media_type(content_type: &[u8]) -> String {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    visible(essence.trim_ascii()).into_owned()
}

/// Why a flow ended, in a word or two.
pub(super) const fn closed(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Fin => "closed",
        CloseReason::Rst => "reset",
        CloseReason::Idle => "idle",
        CloseReason::Pressure => "pushed out",
        CloseReason::Reused => "reused",
        CloseReason::End => "still open",
    }
}

pub(super) fn milliseconds(nanos: u64) -> String {
    format!("{}.{:02} ms", nanos / 1_000_000, nanos / 10_000 % 100)
}

fn carried(counters: &stream::Counters) -> String {
    let stream::Counters { bytes, gap_bytes, dropped_bytes, elided_bytes, .. } = *counters;
    let missed = Missed { lost_bytes: gap_bytes, dropped_bytes, elided_bytes };
    let notes: Vec<_> = [missed.elided(), missed.lost()].into_iter().flatten().collect();
    let seen = bytes + elided_bytes;
    if notes.is_empty() { format!("{seen} B") } else { format!("{seen} B ({})", notes.join(", ")) }
}

/// How long a body is, as far as that is known.
fn length(body: &Body) -> String {
    match body.length {
        Length::Counted => format!("{} B", body.wire_bytes),
        Length::InStream(bytes) => format!("{bytes} B in the stream"),
        Length::Unknown => "? B".to_owned(),
    }
}

/// Bytes that are not here.
#[derive(Clone, Copy)]
struct Missed {
    lost_bytes: u64,
    dropped_bytes: u64,
    elided_bytes: u64,
}

impl Missed {
    const fn of<H>(message: &Message<H>) -> Self {
        let Message { lost_bytes, dropped_bytes, elided_bytes, .. } = *message;
        Self { lost_bytes, dropped_bytes, elided_bytes }
    }

    fn lost(self) -> Option<String> {
        let Self { lost_bytes, dropped_bytes, .. } = self;
        match (lost_bytes - dropped_bytes, dropped_bytes) {
            (0, 0) => None,
            (unseen, 0) => Some(format!("{unseen} B not seen")),
            (0, dropped) => Some(format!("{dropped} B dropped")),
            (unseen, dropped) => Some(format!("{unseen} B not seen, {dropped} B dropped")),
        }
    }

    fn elided(self) -> Option<String> {
        (self.elided_bytes > 0).then(|| format!("{} B left in the kernel", self.elided_bytes))
    }
}

/// A version between what stands before and after it; nothing where it is not known.
fn version(before: &str, head: &Head, after: &str) -> String {
    head.version().map(|version| format!("{before}HTTP/{version}{after}")).unwrap_or_default()
}

/// What the network did to an exchange, if it did anything.
fn network(network: Network) -> Option<String> {
    let of = |count: fn(Disorder) -> u32| count(network.to_server) + count(network.to_client);
    let (again, late) = (of(|it| it.retransmitted), of(|it| it.out_of_order));
    (again + late > 0).then(|| format!("[{again} segments sent again, {late} late]"))
}

/// What is to be said of a message that was not seen whole.
fn note(which: &str, state: State, missed: Missed) -> Option<String> {
    match state {
        State::Complete => None,
        State::Gap => Some(format!("[{which}: {}]", missed.lost().unwrap_or_default())),
        State::Elided => Some(format!("[{which}: {}]", missed.elided().unwrap_or_default())),
        State::Cut => Some(format!("[{which} cut off]")),
        State::Midstream => Some(format!("[{which} had begun before]")),
        State::Open => Some(format!("[{which} still going]")),
    }
}
