//! Watches an engine: holds it to what its documentation promises, whatever comes in.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use capture_agent::engine::{Engine, Settings};
use capture_agent::event::{EngineCounters, Exchange, FlowSummary, WebSocketMessage};
use capture_agent::flow::{CloseReason, Direction, FlowState};
use capture_agent::http::Message;
use capture_agent::http::head::Head;
use capture_agent::listener::{Data, FlowView, Listener};
use capture_agent::segment::{Endpoint, Segment, Timestamp};

/// What one end has said so far.
#[derive(Debug, Default)]
struct Said {
    /// Stream offset of what comes next.
    next: u64,
    gap_bytes: u64,
    elided_bytes: u64,
}

#[derive(Debug)]
struct Life {
    ends: [Endpoint; 2],
    said: HashMap<Endpoint, Said>,
    closed: Option<CloseReason>,
    exchanges: u32,
    messages: u64,
}

/// A byte that was sent and seen, or not seen.
pub(crate) type Heard = Option<u8>;

/// What was told, from the first segment to the end of the capture.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) messages: Vec<WebSocketMessage>,
    pub(crate) flows: Vec<FlowSummary>,
    /// What was heard from each end, by the number of its flow.
    pub(crate) heard: HashMap<(u64, Endpoint), Vec<Heard>>,
    /// A hash of all that was told, in order.
    pub(crate) told: u64,
}

impl Record {
    /// What was told of the flows of this client, but for their numbers.
    pub(crate) fn of(&self, client: Endpoint) -> Vec<String> {
        let flows = self.flows.iter().filter(|flow| flow.flow.client == client);
        let mut lines = Vec::new();
        for summary in flows {
            let number = summary.flow.number;
            let mut summary = summary.clone();
            summary.flow.number = 0;
            if summary.close == CloseReason::End {
                summary.end = summary.last_activity; // the end of the capture is that of all flows
            }
            let heard = [summary.flow.client, summary.flow.server]
                .map(|end| self.heard.get(&(number, end)));
            lines.push(format!("{summary:?} {heard:?}"));
            let exchanges = self.exchanges.iter().filter(|of| of.flow.number == number);
            lines.extend(exchanges.map(|exchange| format!("{:?}", exchange.http)));
            let messages = self.messages.iter().filter(|of| of.flow.number == number);
            lines.extend(messages.map(|message| format!("{:?}", message.http)));
        }
        lines
    }
}

/// An engine, and a listener that checks what it is told.
pub(crate) struct Warden {
    engine: Engine,
    settings: Settings,
    book: Book,
}

/// What the engine has told.
#[derive(Default)]
struct Book {
    lives: HashMap<u64, Life>,
    opened: u64,
    gone: u64,
    exchanges: u64,
    messages: u64,
    /// Whether what is told is kept.
    keeps: bool,
    record: Record,
    told: DefaultHasher,
}

impl Warden {
    pub(crate) fn new(settings: Settings) -> Self {
        let engine = Engine::new(settings.clone());
        Self { engine, settings, book: Book::default() }
    }

    /// A warden that keeps what it is told.
    pub(crate) fn keeping(settings: Settings) -> Self {
        let mut warden = Self::new(settings);
        warden.book.keeps = true;
        warden
    }

    pub(crate) fn segment(&mut self, segment: &Segment<'_>) {
        assert!(segment.payload.len() <= segment.wire_len as usize);
        self.engine.segment(segment, &mut self.book);
        self.check();
    }

    pub(crate) fn advance(&mut self, now: Timestamp) {
        self.engine.advance(now, &mut self.book);
        assert!(self.engine.now() >= now);
        self.check();
    }

    /// Ends the capture.
    pub(crate) fn finish(mut self) -> Record {
        self.engine.finish(&mut self.book);
        self.check();
        assert_eq!(self.engine.flows().count(), 0);
        assert_eq!(self.engine.memory(), 0);
        assert!(self.book.lives.is_empty());
        let counters = self.engine.counters();
        format!("{counters:?}").hash(&mut self.book.told);
        Record { told: self.book.told.finish(), ..self.book.record }
    }

    pub(crate) fn counters(&self) -> EngineCounters {
        self.engine.counters()
    }

    fn check(&self) {
        let counters = self.engine.counters();
        let known = counters.segments_in_flows
            + counters.segments_shown_again
            + counters.segments_after_close
            + counters.segments_without_flow;
        assert_eq!(counters.segments, known, "segments don't balance: {counters:?}");
        let closed: u64 = counters.flows_closed.iter().sum();
        assert_eq!(counters.flows_opened, counters.flows_active + closed);
        assert_eq!((counters.flows_opened, closed), (self.book.opened, self.book.gone));
        assert_eq!(counters.exchanges, self.book.exchanges);
        assert_eq!(counters.messages, self.book.messages);
        let memory = self.engine.memory();
        let limit = self.settings.memory_limit;
        assert!(memory <= limit, "{memory} bytes of {limit}, {counters:?}");
        assert!(counters.flows_active <= self.settings.max_flows as u64, "{counters:?}");
        let mut flows = 0;
        for view in self.engine.flows() {
            flows += 1;
            let life = &self.book.lives[&view.number];
            life.check(&view);
            assert_eq!(matches!(view.state, FlowState::Closed(_)), life.closed.is_some());
            assert!(view.start <= view.last_activity && view.last_activity <= view.now);
        }
        assert_eq!(flows, counters.flows_active);
        assert_eq!(self.book.lives.len() as u64, flows);
    }
}

impl Life {
    fn check(&self, view: &FlowView<'_>) {
        let ends = [view.client, view.server];
        assert!(ends == self.ends || [ends[1], ends[0]] == self.ends, "{ends:?}");
    }
}

impl Book {
    fn life(&mut self, view: &FlowView<'_>) -> &mut Life {
        let life = self.lives.get_mut(&view.number).expect("a flow is opened first");
        life.check(view);
        assert_eq!(life.closed, None, "nothing is said on a flow that has closed");
        life
    }

    fn data(&mut self, speaker: Endpoint, view: &FlowView<'_>, data: &Data<'_>) {
        (view.number, speaker, data.offset, data.bytes, data.time.0).hash(&mut self.told);
        assert!(!data.bytes.is_empty());
        assert!(data.time <= view.now);
        let said = self.life(view).said.entry(speaker).or_default();
        assert_eq!(data.offset, said.next, "bytes and gaps follow each other");
        said.next += data.bytes.len() as u64;
        if self.keeps {
            let heard = self.record.heard.entry((view.number, speaker)).or_default();
            heard.extend(data.bytes.iter().copied().map(Some));
        }
    }
}

impl Book {
    /// So many bytes are not here, for one reason or the other.
    fn missing(
        &mut self,
        view: &FlowView<'_>,
        direction: Direction,
        offset: u64,
        len: u64,
    ) -> &mut Said {
        assert!(len > 0);
        let speaker = match direction {
            Direction::ToServer => view.client,
            Direction::ToClient => view.server,
        };
        if self.keeps {
            let heard = self.record.heard.entry((view.number, speaker)).or_default();
            heard.extend(std::iter::repeat_n(None, len as usize));
        }
        let said = self.life(view).said.entry(speaker).or_default();
        assert_eq!(offset, said.next, "bytes and gaps follow each other");
        said.next += len;
        said
    }
}

impl Listener for Book {
    fn opened(&mut self, view: &FlowView<'_>) {
        (view.number, view.client, view.server, view.start.0).hash(&mut self.told);
        assert_eq!(view.number, self.opened, "flows are numbered in their order");
        self.opened += 1;
        let ends = [view.client, view.server];
        let life = Life { ends, said: HashMap::new(), closed: None, exchanges: 0, messages: 0 };
        assert!(self.lives.insert(view.number, life).is_none());
    }

    fn sent(&mut self, view: &FlowView<'_>, data: Data<'_>) {
        self.data(view.client, view, &data);
    }

    fn received(&mut self, view: &FlowView<'_>, data: Data<'_>) {
        self.data(view.server, view, &data);
    }

    fn gap(&mut self, view: &FlowView<'_>, direction: Direction, offset: u64, len: u64) {
        (view.number, direction, offset, len).hash(&mut self.told);
        self.missing(view, direction, offset, len).gap_bytes += len;
    }

    fn elided(&mut self, view: &FlowView<'_>, direction: Direction, offset: u64, len: u64) {
        (view.number, direction, offset, len, "elided").hash(&mut self.told);
        self.missing(view, direction, offset, len).elided_bytes += len;
    }

    fn unacknowledged(&mut self, view: &FlowView<'_>, direction: Direction, bytes: u64) {
        (view.number, direction, bytes).hash(&mut self.told);
        self.life(view);
    }

    fn exchange(&mut self, exchange: Exchange) {
        tell_apart(&exchange, &mut self.told);
        let life = self.lives.get_mut(&exchange.flow.number).expect("a flow is opened first");
        assert_eq!(life.closed, None, "exchanges come before the end of their flow");
        assert_eq!(exchange.http.index, life.exchanges, "exchanges are numbered in their order");
        assert_eq!(life.messages, 0, "no exchange comes after a message");
        assert!(exchange.http.request.is_some() || exchange.http.response.is_some());
        life.exchanges += 1;
        self.exchanges += 1;
        if self.keeps {
            self.record.exchanges.push(exchange);
        }
    }

    fn websocket(&mut self, message: WebSocketMessage) {
        format!("{message:?}").hash(&mut self.told);
        let life = self.lives.get_mut(&message.flow.number).expect("a flow is opened first");
        assert_eq!(life.closed, None, "messages come before the end of their flow");
        assert_eq!(message.http.number, life.messages, "messages are numbered in their order");
        assert_eq!(message.http.index.map(|index| index < life.exchanges), Some(true));
        life.messages += 1;
        self.messages += 1;
        if self.keeps {
            self.record.messages.push(message);
        }
    }

    fn closed(&mut self, view: &FlowView<'_>, reason: CloseReason) {
        format!("{view:?}").hash(&mut self.told);
        assert_eq!(view.state, FlowState::Closed(reason));
        self.life(view).closed = Some(reason);
    }

    fn gone(&mut self, summary: FlowSummary) {
        format!("{summary:?}").hash(&mut self.told);
        let life = self.lives.remove(&summary.flow.number).expect("a flow is opened first");
        assert_eq!(life.closed, Some(summary.close), "a flow is closed before it is gone");
        assert_eq!(life.exchanges, summary.exchanges);
        assert_eq!(life.messages, summary.tunnel.as_ref().map_or(0, |tunnel| tunnel.messages));
        for (end, counters) in
            [(summary.flow.client, summary.to_server), (summary.flow.server, summary.to_client)]
        {
            // One that talks to itself does so in one direction.
            let is_itself = summary.flow.client == summary.flow.server;
            let Some(said) = life.said.get(&end).filter(|_| !is_itself) else { continue };
            // Strays count too, but are not passed on.
            assert!(said.gap_bytes <= counters.gap_bytes);
            assert!(said.elided_bytes <= counters.elided_bytes);
            assert!(said.next - said.gap_bytes - said.elided_bytes <= counters.bytes);
        }
        self.gone += 1;
        if self.keeps {
            self.record.flows.push(summary);
        }
    }
}

/// Hashes what tells exchanges apart; written out, their bodies would take most of the time.
fn tell_apart(exchange: &Exchange, hasher: &mut DefaultHasher) {
    fn message<H>(message: &Message<H>, head: &Head, hasher: &mut DefaultHasher) {
        let Message { body, lost_bytes, first_byte, last_byte, .. } = message;
        (head.len(), &body.content, body.wire_bytes, body.truncated).hash(hasher);
        (message.state as u8, lost_bytes, first_byte, last_byte).hash(hasher);
    }
    let http = &exchange.http;
    (exchange.flow.number, http.index, http.informational.len()).hash(hasher);
    if let Some(request) = &http.request {
        message(request, request.head.head(), hasher);
    }
    if let Some(response) = &http.response {
        message(response, response.head.head(), hasher);
    }
    format!("{:?} {:?}", http.timing, http.anomalies).hash(hasher);
}
