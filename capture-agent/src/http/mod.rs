//! HTTP/1 on one flow: from ordered bytes in both directions to exchanges.
//!
//! Follows RFC 9110 and RFC 9112. Invariant: one bad message never costs the next; what was lost
//! or malformed is passed over to the next plausible head.

pub mod chunked;
pub mod coding;
mod dialogue;
pub mod exchange;
pub mod form;
pub mod framing;
pub mod head;
mod parser;
mod recognise;
pub mod redact;
mod scribe;
pub mod websocket;

use crate::flow::Direction;
use crate::stream::Chunk;
use dialogue::Dialogue;
pub use exchange::{Anomaly, Body, Exchange, Message, State, Timing};
use head::{HeadRules, Parse, RequestHead, ResponseHead};
pub use parser::Ending;
use parser::Parser;
use scribe::{Requests, Responses, Scribe};

/// What is kept of HTTP, and how much.
#[derive(Clone, Debug, Default)]
pub struct HttpRules {
    /// Heads.
    pub head: HeadRules,
    /// How many bytes of each body are kept; 0 for none.
    pub keep_body_bytes: usize,
    /// How the fields of forms are listed, if they are.
    pub list_forms: Option<form::ListRules>,
}

/// Which way these first bytes of a direction go, where they tell: a request goes to the server.
#[must_use]
pub fn direction_of(bytes: &[u8]) -> Option<Direction> {
    if ResponseHead::plausibly_begins(bytes) {
        Some(Direction::ToClient)
    } else if RequestHead::plausibly_begins(bytes) {
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
            dialogue: dialogue::Resting::new(),
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
}

impl Connection {
    /// HTTP that goes on from there.
    #[must_use]
    pub fn new(resting: Resting) -> Self {
        let mut connection = Self {
            requests: Parser::resume(resting.requests),
            responses: Parser::resume(resting.responses),
            dialogue: Dialogue::default(),
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
        Some(Resting {
            requests: self.requests.rest()?,
            responses: self.responses.rest()?,
            dialogue: self.dialogue.rest()?,
        })
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
    }

    /// Takes what came in one direction; exchanges that this finishes go to `out`.
    pub fn take(
        &mut self,
        direction: Direction,
        chunk: Chunk<'_>,
        rules: &HttpRules,
        connect_ns: Option<u64>,
        out: &mut Vec<Exchange>,
    ) {
        let conflict = matches!(chunk, Chunk::Data { mark, .. } if mark.conflict);
        let scribe = Scribe::new(&mut self.dialogue, rules, conflict, connect_ns, out);
        let head = &rules.head;
        match (direction, chunk) {
            (Direction::ToServer, Chunk::Data { offset, bytes, mark }) => {
                self.requests.data(offset, bytes, mark, head, &mut Requests(scribe));
            }
            (Direction::ToServer, Chunk::Gap { len, .. }) => {
                self.requests.gap(len, head, &mut Requests(scribe));
            }
            (Direction::ToClient, Chunk::Data { offset, bytes, mark }) => {
                self.responses.data(offset, bytes, mark, head, &mut Responses(scribe));
            }
            (Direction::ToClient, Chunk::Gap { len, .. }) => {
                self.responses.gap(len, head, &mut Responses(scribe));
            }
        }
        if self.dialogue.is_tunnel() {
            self.requests.turn_deaf();
        }
    }

    /// Nothing more comes in this direction.
    pub fn finish(
        &mut self,
        direction: Direction,
        ending: Ending,
        rules: &HttpRules,
        connect_ns: Option<u64>,
        out: &mut Vec<Exchange>,
    ) {
        let scribe = Scribe::new(&mut self.dialogue, rules, false, connect_ns, out);
        match direction {
            Direction::ToServer => {
                self.requests.finish(ending, &rules.head, &mut Requests(scribe));
            }
            Direction::ToClient => {
                self.responses.finish(ending, &rules.head, &mut Responses(scribe));
            }
        }
    }

    /// The flow is gone: what waits for its other half comes out without it. Both directions
    /// must have been finished.
    pub fn close(&mut self, seen: State, connect_ns: Option<u64>, out: &mut Vec<Exchange>) {
        self.dialogue.close(seen, connect_ns, out);
    }
}
