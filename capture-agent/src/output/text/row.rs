//! Lines on a terminal, in columns.

use std::io::{self, Write};

use super::layout::{BETWEEN, Clock, Ends, Layout, Results, padded};
use super::{Text, Verbosity, line, status_style, words};
use crate::event::{Event, Exchange, FlowSummary, Stats, WebSocketMessage};
use crate::flow::Direction;
use crate::notation::escape::visible;
use crate::notation::time::time_of_day;
use crate::output::style::{BOLD, DIM, YELLOW};
use crate::output::summary;
use crate::output::terminal::width;
use crate::segment::{Endpoint, Timestamp};

/// Fewer columns than this say nothing of what is to be noted but that there is something.
const SHORTEST_NOTE: usize = 10;
const SOMETHING: &str = "!";
/// A path of which there would be room for less than this goes without the host before it, where
/// there is room for so much of it.
const SHORTEST_PATH: usize = 12;
const LEAST_PATH: usize = 8;

impl Text {
    pub(super) fn row(
        &self,
        event: &Event,
        columns: usize,
        writer: &mut impl Write,
    ) -> io::Result<()> {
        let layout = Layout::of(columns);
        let row = match event {
            Event::Exchange(exchange) => self.exchange_row(layout, exchange),
            Event::WebSocket(message) => self.websocket_row(layout, message),
            Event::Flow(summary) => self.flow_row(layout, summary),
            Event::Stats(stats) => self.stats_rows(layout, stats),
            Event::Content(_) | Event::Opened(_) | Event::Data(_) => return Ok(()),
        };
        writeln!(writer, "{}", row.trim_end())
    }

    fn exchange_row(&self, layout: Layout, exchange: &Exchange) -> String {
        let (http, flow) = (&exchange.http, &exchange.flow);
        let (left, room) = self.left(layout, http.time(), flow.client, flow.server);
        let mut notes: Vec<_> = super::notes(http).collect();
        if http.response.is_none() {
            notes.insert(0, "[response not seen]".to_owned());
        }
        let notes = notes.join(" ");
        let (method, subject) = match &http.request {
            Some(request) => {
                let url = exchange.http.url();
                let shown = url.as_deref().unwrap_or_else(|| request.head.target());
                let shown = visible(shown.strip_prefix(b"http://").unwrap_or(shown)).into_owned();
                (
                    visible(request.head.method()).into_owned(),
                    Subject { text: shown, has_host: url.is_some() },
                )
            }
            None => {
                (String::new(), Subject { text: "request not seen".to_owned(), has_host: false })
            }
        };
        let middle = self.middle(room, &method, &subject, &notes);
        let response = http.response.as_ref();
        let status = response.and_then(|response| response.head.status());
        let content_type = response.and_then(|it| it.head.head().value("content-type"));
        let results = Results {
            status: (
                &status.map_or_else(|| "-".to_owned(), |it| it.to_string()),
                response.map_or(YELLOW, |_| status_style(status.unwrap_or_default())),
            ),
            media_type: &content_type.map(words::media_type).unwrap_or_default(),
            size: &response.map(|it| words::short_length(&it.body)).unwrap_or_default(),
            total: &http.timing.total_ns.map(words::duration).unwrap_or_default(),
        };
        self.joined(layout, &left, &middle, results)
    }

    fn websocket_row(&self, layout: Layout, event: &WebSocketMessage) -> String {
        let (message, flow) = (&event.http.message, &event.flow);
        let is_upward = event.http.direction == Direction::ToServer;
        let both = layout.ends == Ends::Both;
        let (from, to) = match both && !is_upward {
            true => (flow.server, flow.client),
            false => (flow.client, flow.server),
        };
        let (left, room) = self.left(layout, message.first_byte, from, to);
        let arrow = if is_upward { self.screen.arrow() } else { self.screen.arrow_back() };
        let arrow = if both { String::new() } else { format!("{arrow} ") };
        let code = message.close_code.map(|code| format!(" {code}")).unwrap_or_default();
        let what = format!("{arrow}websocket {}{code}", words::opcode(message.opcode));
        let quoted =
            (self.verbosity >= Verbosity::Bodies).then(|| words::quoted(message, self.screen));
        let subject = Subject { text: quoted.flatten().unwrap_or_default(), has_host: false };
        let middle = self.middle(room, &what, &subject, &line::lack(message).unwrap_or_default());
        let results = Results {
            status: ("", BOLD),
            media_type: "",
            size: &words::size(message.bytes.unwrap_or(message.wire_bytes)),
            total: "",
        };
        self.joined(layout, &left, &middle, results)
    }

    fn flow_row(&self, layout: Layout, summary: &FlowSummary) -> String {
        let (client, server) = (summary.flow.client, summary.flow.server);
        let (left, room) = self.left(layout, summary.end, client, server);
        let parts = [
            format!("flow {}", words::closed(summary.close)),
            summary::counted(summary.exchanges.into(), "exchange"),
            words::duration(summary.end.nanos_since(summary.start)),
            format!("sent {}", words::carried(&summary.to_server, words::size)),
            format!("received {}", words::carried(&summary.to_client, words::size)),
        ];
        format!("{left}{}", self.screen.cut(&parts.join(BETWEEN), room + layout.right()))
    }

    /// The ledger, which nothing is cut from: in as many rows as it takes.
    fn stats_rows(&self, layout: Layout, stats: &Stats) -> String {
        let time = self.time(layout, stats.time);
        let indent = layout.left(0);
        let room = layout.columns.saturating_sub(indent).max(1);
        let line = summary::line(stats);
        let rows = textwrap::wrap(&line, textwrap::Options::new(room));
        self.styled(DIM, &time) + &rows.join(&format!("\n{:indent$}", ""))
    }

    fn time(&self, layout: Layout, time: Timestamp) -> String {
        let text = time_of_day(time, &self.zone);
        match layout.clock {
            Clock::Millis => text + BETWEEN,
            Clock::Seconds => text.split('.').next().unwrap_or_default().to_owned() + BETWEEN,
            Clock::Nothing => String::new(),
        }
    }

    /// What stands left of what was asked for, and how much room there is for that.
    fn left(
        &self,
        layout: Layout,
        time: Timestamp,
        from: Endpoint,
        to: Endpoint,
    ) -> (String, usize) {
        let screen = self.screen;
        let arrow = format!(" {} ", screen.arrow());
        let ends = match layout.ends {
            Ends::Both => format!("{from}{arrow}{to}"),
            Ends::Client => from.to_string(),
            Ends::Address => from.ip().to_string(),
            Ends::Nobody => String::new(),
        };
        let columns = layout.ends_width(&ends);
        let ends = match layout.ends {
            Ends::Both if width(&ends) > columns => {
                let half = columns.saturating_sub(width(&arrow)) / 2;
                format!("{}{arrow}{}", words::end(from, screen, half), words::end(to, screen, half))
            }
            Ends::Client => words::end(from, screen, columns),
            _ => ends,
        };
        let mut left = self.styled(DIM, &self.time(layout, time));
        if columns > 0 {
            left += &padded(self.screen, &ends, columns);
            left += BETWEEN;
        }
        let taken = layout.left(columns) + layout.right();
        (left, layout.columns.saturating_sub(taken))
    }

    /// What was asked for and what is to be noted of it, in exactly so many columns.
    fn middle(&self, room: usize, method: &str, subject: &Subject, notes: &str) -> String {
        let screen = self.screen;
        let (method, notes) = (screen.shown(method), screen.shown(notes));
        let method = screen.cut(&method, room);
        let space = usize::from(!method.is_empty() && !subject.text.is_empty());
        let room = room.saturating_sub(width(&method) + space);
        let mut text = screen.styled(BOLD, &method);
        if room == 0 {
            return text + " ".get(..space).unwrap_or_default();
        }
        text += " ".get(..space).unwrap_or_default();
        let wanted = width(&screen.shown(subject.text.as_str()));
        let (of_subject, notes) = divided(room, wanted, &notes);
        let subject = subject.in_columns(screen, of_subject);
        let mut used = width(&subject);
        text += &subject;
        if let Some(left) = room.checked_sub(used + BETWEEN.len()).filter(|_| !notes.is_empty()) {
            let note = screen.cut(notes, left);
            used += BETWEEN.len() + width(&note);
            text += BETWEEN;
            text += &screen.styled(YELLOW, note);
        }
        let spaces = room.saturating_sub(used);
        format!("{text}{:spaces$}", "")
    }

    fn joined(&self, layout: Layout, left: &str, middle: &str, results: Results<'_>) -> String {
        if layout.columns <= layout.right() {
            let status = self.screen.cut(results.status.0, layout.columns);
            return self.screen.styled(results.status.1, status);
        }
        format!("{left}{middle}{}", layout.results(self.screen, results))
    }
}

/// How many columns of the room a subject has, and what is noted in the rest: all of it, as much as
/// half of the room holds, or only that there is something.
fn divided(room: usize, subject: usize, notes: &str) -> (usize, &str) {
    let beside = |notes: usize| room.saturating_sub(notes + BETWEEN.len());
    let noted = width(notes);
    let half = subject.min(room.div_ceil(2));
    if noted == 0 {
        (room, notes)
    } else if subject <= beside(noted) {
        (subject, notes)
    } else if beside(half) >= SHORTEST_NOTE {
        (half.max(beside(noted)), notes)
    } else {
        (beside(SOMETHING.len()), SOMETHING)
    }
}

/// What was asked for.
struct Subject {
    text: String,
    /// Whether a host stands before the path.
    has_host: bool,
}

impl Subject {
    /// In at most so many columns; where there is room for little, the host goes first.
    fn in_columns(&self, screen: crate::output::Screen, columns: usize) -> String {
        let text = screen.shown(self.text.as_str());
        let is_cut = width(&text) > columns && columns >= LEAST_PATH;
        let path = text.find('/').filter(|_| self.has_host && is_cut);
        let Some(at) = path.filter(|at| at + SHORTEST_PATH > columns) else {
            return screen.cut(&text, columns).into_owned();
        };
        let path = format!("{}{}", screen.ellipsis(), text.get(at..).unwrap_or_default());
        screen.cut(&path, columns).into_owned()
    }
}
