//! The lines of the contract: what is written where there is no terminal to fit.

use std::io::{self, Write};

use super::words::{self, Missed};
use super::{Text, Verbosity, status_style};
use crate::event::{Event, Exchange, FlowSummary, Stats, WebSocketMessage};
use crate::flow::Direction;
use crate::http::head::RequestHead;
use crate::http::{Message, websocket};
use crate::notation::escape::visible;
use crate::notation::time::time_of_day;
use crate::output::{style, summary};

impl Text {
    pub(super) fn line(&self, event: &Event, writer: &mut impl Write) -> io::Result<()> {
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
            format!("{client} {} {server}", self.screen.arrow()),
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
                fields.push(content_type.map_or_else(|| "-".to_owned(), words::media_type));
                fields.push(words::length(&response.body));
            }
            None => fields.push(self.styled(style::YELLOW, "response not seen")),
        }
        fields.extend(http.timing.total_ns.map(words::milliseconds));
        fields.extend(super::notes(http).map(|note| self.styled(style::YELLOW, &note)));
        writeln!(writer, "{}", fields.join("  "))
    }

    fn request(&self, request: &Message<RequestHead>, exchange: &Exchange) -> String {
        let method = self.styled(style::BOLD, &visible(request.head.method()));
        let url = exchange.http.url().unwrap_or_else(|| request.head.target().to_vec());
        let shown = url.strip_prefix(b"http://").unwrap_or(&url);
        format!("{method} {}", visible(shown))
    }

    /// The arrow is from who sends the message to who receives it.
    fn websocket(&self, event: &WebSocketMessage, writer: &mut impl Write) -> io::Result<()> {
        let message = &event.http.message;
        let (client, server) = (event.flow.client, event.flow.server);
        let (from, to) = match event.http.direction {
            Direction::ToServer => (client, server),
            Direction::ToClient => (server, client),
        };
        let mut fields = vec![
            self.styled(style::DIM, &time_of_day(message.first_byte, &self.zone)),
            format!("{from} {} {to}", self.screen.arrow()),
            format!("websocket {}", self.styled(style::BOLD, &words::opcode(message.opcode))),
        ];
        fields.extend(message.close_code.map(|code| code.to_string()));
        fields.push(words::exactly(message.bytes.unwrap_or(message.wire_bytes)));
        if self.verbosity >= Verbosity::Bodies {
            fields.extend(words::quoted(message, self.screen));
        }
        fields.extend(lack(message).map(|note| self.styled(style::YELLOW, &note)));
        writeln!(writer, "{}", fields.join("  "))
    }

    fn flow(&self, summary: &FlowSummary, writer: &mut impl Write) -> io::Result<()> {
        let time = self.styled(style::DIM, &time_of_day(summary.end, &self.zone));
        let (client, server) = (summary.flow.client, summary.flow.server);
        writeln!(
            writer,
            "{time}  {client} {} {server}  flow {}  {} exchanges  sent {}  received {}  {}",
            self.screen.arrow(),
            words::closed(summary.close),
            summary.exchanges,
            words::carried(&summary.to_server, words::exactly),
            words::carried(&summary.to_client, words::exactly),
            words::milliseconds(summary.end.nanos_since(summary.start)),
        )
    }

    fn stats(&self, stats: &Stats, writer: &mut impl Write) -> io::Result<()> {
        let time = self.styled(style::DIM, &time_of_day(stats.time, &self.zone));
        writeln!(writer, "{time}  {}", summary::line(stats))
    }
}

/// What is to be said of a message of a WebSocket that was not seen whole.
pub(super) fn lack(message: &websocket::Message) -> Option<String> {
    let websocket::Message { lost_bytes, dropped_bytes, elided_bytes, .. } = *message;
    words::note("message", message.state, Missed { lost_bytes, dropped_bytes, elided_bytes })
}
