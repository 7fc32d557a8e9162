//! HTTP/1 on one flow: from ordered bytes in both directions to exchanges.
//!
//! Follows RFC 9110 and RFC 9112. Invariant: one bad message never costs the next; what was lost
//! or malformed is passed over to the next plausible head.

pub mod anomaly;
pub mod chunked;
pub mod coding;
mod content;
mod dialogue;
pub mod exchange;
pub mod form;
pub mod framing;
pub mod head;
mod intake;
mod parser;
mod recognise;
pub mod redact;
mod scribe;
mod seek;
mod streamed;
mod tunnel;
pub mod websocket;
pub mod wire;

use crate::flow::Direction;
use crate::stream::{Chunk, Mark};
pub use anomaly::{Anomalies, Anomaly};
pub use content::Content;
use dialogue::Dialogue;
pub use exchange::{Body, Exchange, Gap, Length, Message, Network, Place, State, Timing};
use head::{HeadRules, Parse, RequestHead, ResponseHead};
pub use parser::Ending;
use parser::{Arrival, Hole, Parser};
use scribe::{Requests, Responses, Scribe};
pub use streamed::{About, BodyPart, StreamRules, Streamed};
use tunnel::OpenTunnel;
pub use tunnel::{Tunnel, WebSocketMessage};

/// What is kept of HTTP, and how much.
#[derive(Clone, Debug)]
pub struct HttpRules {
    /// Heads, and what is hidden of them and of forms.
    pub head: HeadRules,
    /// How many bytes of each body are kept; 0 for none.
    pub keep_body_bytes: usize,
    /// Whether content codings are undone.
    pub decode: bool,
    /// How far.
    pub decoding: coding::Limits,
    /// How much of forms is listed; `None` for nothing.
    pub list_forms: Option<form::ListRules>,
    /// Whether as many bytes of each body are kept as they were on the wire, too.
    pub keep_wire: bool,
    /// Which bodies are handed on as they come in; `None` for none.
    pub stream: Option<StreamRules>,
}

impl HttpRules {
    /// How many bytes of memory are kept of each body.
    const fn kept_bytes(&self) -> usize {
        self.keep_body_bytes.saturating_mul(if self.keep_wire { 2 } else { 1 })
    }
}

impl Default for HttpRules {
    fn default() -> Self {
        Self {
            head: HeadRules::default(),
            keep_body_bytes: 0,
            decode: true,
            decoding: coding::Limits::default(),
            list_forms: None,
            keep_wire: false,
            stream: None,
        }
    }
}

/// What has come of what was said: exchanges, and then, where HTTP has given way to it, what a
/// WebSocket carried.
#[derive(Debug, Default)]
pub struct Said {
    /// Bytes of bodies, before the exchanges that they are of.
    pub parts: Vec<BodyPart>,
    /// Exchanges that are over.
    pub exchanges: Vec<Exchange>,
    /// Messages that are over. After the first one no exchange comes any more.
    pub messages: Vec<WebSocketMessage>,
}

/// What is known of a flow beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context {
    /// How long it took to open, in nanoseconds, where that was seen.
    pub connect_ns: Option<u64>,
    /// What the network has done to it until now.
    pub network: Network,
}

/// Which way these first bytes of a direction go, where they tell: a request goes to the server.
#[must_use]
pub fn direction_of(bytes: &[u8]) -> Option<Direction> {
    let has_head = |found| matches!(found, recognise::Found::At(_));
    if has_head(ResponseHead::find(bytes, true)) {
        Some(Direction::ToClient)
    } else if has_head(RequestHead::find(bytes, true)) {
        Some(Direction::ToServer)
    } else {
        None
    }
}

/// HTTP on a flow on which nothing is unfinished, in little room.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resting {
    requests: parser::Resting,
    responses: parser::Resting,
    dialogue: dialogue::Resting,
}

impl Resting {
    /// HTTP on a flow whose two directions, the client's first, were seen from their first byte,
    /// or picked up midway.
    #[must_use]
    pub const fn new([requests_from_start, responses_from_start]: [bool; 2]) -> Self {
        Self {
            requests: parser::Resting::new(requests_from_start),
            responses: parser::Resting::new(responses_from_start),
            dialogue: dialogue::Resting::new(!requests_from_start, !responses_from_start),
        }
    }

    /// Exchanges that have come out.
    #[must_use]
    pub const fn exchanges(self) -> u32 {
        self.dialogue.exchanges()
    }

    /// Whether nothing that follows will be HTTP.
    #[must_use]
    pub const fn is_deaf(self) -> bool {
        self.requests.is_deaf() && self.responses.is_deaf()
    }
}

/// HTTP on one flow.
#[derive(Debug)]
pub struct Connection {
    requests: Parser,
    responses: Parser,
    dialogue: Dialogue,
    tunnel: Option<Box<OpenTunnel>>,
}

impl Connection {
    /// HTTP that goes on from there.
    #[must_use]
    pub fn new(resting: Resting) -> Self {
        let mut connection = Self {
            requests: Parser::resume(resting.requests),
            responses: Parser::resume(resting.responses),
            dialogue: Dialogue::default(),
            tunnel: None,
        };
        connection.dialogue.resume(resting.dialogue);
        connection
    }

    /// Goes on from there, with the room that another flow has left; nothing is unfinished here.
    pub fn resume(&mut self, resting: Resting) {
        self.requests = Parser::resume(resting.requests);
        self.responses = Parser::resume(resting.responses);
        self.dialogue.resume(resting.dialogue);
    }

    /// What is left of it where nothing is unfinished.
    #[must_use]
    pub fn rest(&self) -> Option<Resting> {
        if self.tunnel.is_some() {
            return None;
        }
        Some(Resting {
            requests: self.requests.rest()?,
            responses: self.responses.rest()?,
            dialogue: self.dialogue.rest(self.responses.position())?,
        })
    }

    /// Whether the message that this direction is in has its end with the next byte.
    #[must_use]
    pub const fn wants_one_byte(&self, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => self.requests.wants_one_byte(),
            Direction::ToClient => self.responses.wants_one_byte(),
        }
    }

    /// Whether it has more room than most flows need: nothing to keep for the next one.
    #[must_use]
    pub fn is_roomy(&self) -> bool {
        self.dialogue.capacity() > 8
    }

    /// Bytes of memory that it takes, its own size included.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.requests.memory()
            + self.responses.memory()
            + self.dialogue.memory()
            + self.tunnel.as_ref().map_or(0, |tunnel| tunnel.memory())
    }

    /// What HTTP has given way to, if it has.
    #[must_use]
    pub fn tunnel(&self) -> Option<&Tunnel> {
        self.tunnel.as_ref().map(|tunnel| tunnel.summary())
    }

    /// Exchanges that have come out.
    #[must_use]
    pub const fn exchanges(&self) -> u32 {
        self.dialogue.exchanges()
    }

    /// Takes what came in one direction; what this finishes goes to `out`.
    pub fn take(
        &mut self,
        direction: Direction,
        chunk: Chunk<'_>,
        rules: &HttpRules,
        context: Context,
        out: &mut Said,
    ) {
        let Context { connect_ns, mut network } = context;
        let (Chunk::Data { mark: Mark { disorder, .. }, .. } | Chunk::Gap { disorder, .. }) = chunk;
        match direction {
            Direction::ToServer => network.to_server = disorder,
            Direction::ToClient => network.to_client = disorder,
        }
        let conflict = matches!(chunk, Chunk::Data { mark: Mark { conflict: true, .. }, .. });
        let was_http = self.tunnel.is_none();
        self.dialogue.asking_since(self.requests.head_since());
        let (dialogue, tunnel) = (&mut self.dialogue, &mut self.tunnel);
        let answered_until = self.responses.position();
        let scribe =
            Scribe { dialogue, rules, conflict, connect_ns, network, tunnel, answered_until, out };
        let head = &rules.head;
        match (direction, chunk) {
            (Direction::ToServer, Chunk::Data { offset, bytes, mark }) => {
                let arrival = Arrival { mark, network };
                self.requests.data(offset, bytes, arrival, head, &mut Requests(scribe));
            }
            (Direction::ToServer, Chunk::Gap { offset, len, missing, time, .. }) => {
                let hole = Hole { offset, len, missing, time };
                self.requests.gap(hole, head, &mut Requests(scribe));
            }
            (Direction::ToClient, Chunk::Data { offset, bytes, mark }) => {
                let arrival = Arrival { mark, network };
                self.responses.data(offset, bytes, arrival, head, &mut Responses(scribe));
            }
            (Direction::ToClient, Chunk::Gap { offset, len, missing, time, .. }) => {
                let hole = Hole { offset, len, missing, time };
                self.responses.gap(hole, head, &mut Responses(scribe));
            }
        }
        if direction == Direction::ToServer {
            self.dialogue.asked_until(self.requests.position());
        }
        if self.requests.is_left_open() || self.responses.is_left_open() {
            self.end_what_was_heard(chunk, rules, Context { connect_ns, network }, out);
        }
        if was_http {
            self.enter_tunnel();
        }
    }

    /// The end of a message may have been left in the kernel; what the other side says shows that it
    /// has heard it.
    fn end_what_was_heard(
        &mut self,
        chunk: Chunk<'_>,
        rules: &HttpRules,
        context: Context,
        out: &mut Said,
    ) {
        let Chunk::Data { mark, .. } = chunk else { return };
        let Context { connect_ns, network } = context;
        let (dialogue, tunnel, conflict) = (&mut self.dialogue, &mut self.tunnel, false);
        let answered_until = self.responses.position();
        let responses_end = self.responses.is_left_open() && dialogue.has_heard(answered_until);
        let has_all = mark.acked >= self.requests.position();
        let requests_end = self.requests.is_left_open() && has_all && dialogue.is_being_answered();
        let scribe =
            Scribe { dialogue, rules, conflict, connect_ns, network, tunnel, answered_until, out };
        if responses_end {
            self.responses.was_heard(&mut Responses(scribe));
        } else if requests_end {
            self.requests.was_heard(&mut Requests(scribe));
        }
    }

    /// If HTTP has just ended: no direction is parsed any more.
    fn enter_tunnel(&mut self) {
        let Some(tunnel) = &mut self.tunnel else { return };
        // What the client was in the middle of, the server may have taken for either.
        if self.requests.rest().is_none() {
            tunnel.lose_step(Direction::ToServer);
        }
        tunnel.had_come(self.requests.begin_tunnel());
        self.responses.begin_tunnel();
    }

    /// Nothing more comes in this direction.
    pub fn finish(
        &mut self,
        direction: Direction,
        ending: Ending,
        rules: &HttpRules,
        context: Context,
        out: &mut Said,
    ) {
        let Context { connect_ns, network } = context;
        let was_http = self.tunnel.is_none();
        let (dialogue, tunnel, conflict) = (&mut self.dialogue, &mut self.tunnel, false);
        let answered_until = self.responses.position();
        let scribe =
            Scribe { dialogue, rules, conflict, connect_ns, network, tunnel, answered_until, out };
        match direction {
            Direction::ToServer => {
                self.requests.finish(ending, &rules.head, &mut Requests(scribe));
            }
            Direction::ToClient => {
                self.responses.finish(ending, &rules.head, &mut Responses(scribe));
            }
        }
        if was_http {
            self.enter_tunnel();
        }
    }

    /// The flow is gone: what waits for its other half comes out without it. Both directions
    /// must have been finished.
    pub fn close(&mut self, seen: State, context: Context, out: &mut Said) {
        self.dialogue.close(seen, context.connect_ns, &mut out.exchanges);
    }
}
