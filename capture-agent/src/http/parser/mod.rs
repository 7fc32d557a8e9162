//! The messages in one direction of a flow, as its bytes come in.
//!
//! Follows RFC 9112. Invariants: a message that fits in what came at once is parsed in place; what
//! is buffered is never more than a head may be long; what comes out does not depend on how the
//! bytes were cut into segments.

mod body;
mod handler;
mod head;
mod hole;
mod resting;

use super::chunked::Chunked;
use super::exchange::{Network, State as Seen};
use super::framing::BodyFraming;
use super::head::{HeadRules, Parse};
use super::seek::Seek;
use crate::segment::Timestamp;
use crate::stream::Mark;
pub(super) use handler::{Handler, Loss, Lost};
use hole::After;
pub(super) use hole::Hole;
pub(super) use resting::Resting;
use resting::{Memory, Rest};

/// What is known of the segment that bytes came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) mark: Mark,
    /// What the network had done to the flow until then.
    pub(super) network: Network,
}

/// Where a message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// Stream offset of its first byte.
    pub(super) offset: u64,
    /// The segment that had its first byte.
    pub(super) arrival: Arrival,
}

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its sender said so: what it sent until then is all there is.
    Fin,
    /// The flow ended otherwise, or the capture did; this is what it makes of a message.
    BrokenOff(Seen),
}

#[derive(Debug)]
enum State {
    /// Between messages, or in a head of which `Parser::buffer` has the first part.
    Head,
    /// After a head whose body is left out if it answers a HEAD, and nobody knows whether it does:
    /// `Parser::buffer` has what tells. With the time when the head was whole.
    Perhaps(BodyFraming, Timestamp),
    /// In a body of known length: bytes left.
    Length(u64),
    Chunked(Chunked),
    /// In a chunked body, or behind it, after bytes that are not here: `Parser::buffer` has what
    /// tells whether a chunk begins after them, or a head.
    Rejoining(After),
    /// In a body that ends with the direction.
    Close,
    /// Looking for the next head.
    Seeking(Box<Seek>),
    /// HTTP has ended; what comes is something else.
    Tunnel,
    /// Not HTTP, or no longer.
    Deaf,
}

/// The parser of one direction.
#[derive(Debug)]
pub(super) struct Parser {
    state: State,
    buffer: Vec<u8>,
    start: Option<Start>,
    /// Whether the first line of what is buffered is there.
    line_is_there: bool,
    /// Stream offset of what comes next.
    offset: u64,
    /// When the last bytes came.
    last: Timestamp,
    /// Stream offset of the body that is being read.
    body_at: u64,
    /// Whether it is to be told what that body takes up in the stream.
    measures: bool,
    memory: Memory,
}

impl Parser {
    /// A parser that goes on from there.
    pub(super) fn resume(resting: Resting) -> Self {
        let (at, memory) = resting.unpack();
        Self {
            state: match at {
                Rest::BetweenMessages => State::Head,
                // Of one that was picked up midway it is not known that this is HTTP.
                Rest::OutOfStep if !memory.from_start && !memory.confirmed => {
                    State::Seeking(Box::new(Seek::counting()))
                }
                Rest::OutOfStep => State::Seeking(Box::default()),
                Rest::Deaf => State::Deaf,
            },
            buffer: Vec::new(),
            start: None,
            line_is_there: false,
            offset: 0,
            last: Timestamp(0),
            body_at: 0,
            measures: false,
            memory,
        }
    }

    /// What is left of the parser where it has nothing unfinished.
    pub(super) fn rest(&self) -> Option<Resting> {
        let at = match &self.state {
            State::Head if self.buffer.is_empty() => Rest::BetweenMessages,
            State::Seeking(seek) if seek.is_empty() => Rest::OutOfStep,
            State::Deaf => Rest::Deaf,
            _ => return None,
        };
        Some(Resting::pack(at, self.memory))
    }

    /// Whether the message that it is in has its end with the next byte.
    pub(super) const fn wants_one_byte(&self) -> bool {
        matches!(self.state, State::Length(1))
    }

    /// Bytes of memory that the parser takes beyond its own size.
    pub(super) fn memory(&self) -> usize {
        let seek = match &self.state {
            State::Seeking(seek) => seek.memory(),
            _ => 0,
        };
        self.buffer.capacity() + seek
    }

    /// HTTP ends here: what follows is not parsed.
    fn turn_deaf(&mut self) {
        self.state = State::Deaf;
        self.buffer = Vec::new();
    }

    /// HTTP has ended with what the other direction has said. Returns how many bytes of what comes
    /// now had come already.
    pub(super) fn begin_tunnel(&mut self) -> u64 {
        let held = self.buffer.len() as u64;
        let passed = match std::mem::replace(&mut self.state, State::Tunnel) {
            State::Seeking(seek) => seek.passed(),
            State::Head => held,
            _ => 0,
        };
        self.buffer = Vec::new();
        passed
    }

    /// Takes the bytes at `offset` of the stream, which came in one segment.
    pub(super) fn data<H: Parse>(
        &mut self,
        offset: u64,
        mut bytes: &[u8],
        arrival: Arrival,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        self.last = self.last.max(arrival.mark.time);
        self.offset = offset;
        while !bytes.is_empty() {
            let rest = match &mut self.state {
                State::Head => self.take_head(bytes, arrival, rules, handler),
                State::Perhaps(..) => self.take_perhaps(bytes, arrival, rules, handler),
                State::Length(_) | State::Chunked(_) | State::Close => {
                    self.take_body(bytes, rules, handler)
                }
                State::Rejoining(_) => self.take_rejoining(bytes, arrival, rules, handler),
                State::Seeking(_) => self.take_seeking(bytes, arrival, rules, handler),
                State::Tunnel => {
                    handler.tunnelled(bytes, self.last);
                    &[]
                }
                State::Deaf => &[],
            };
            self.offset += (bytes.len() - rest.len()) as u64;
            bytes = rest;
        }
    }

    /// Stream offset of what comes next.
    pub(super) const fn position(&self) -> u64 {
        self.offset
    }

    /// Where a head begins that is not whole yet.
    pub(super) fn head_since(&self) -> Option<u64> {
        let start = self.start.as_ref().filter(|_| matches!(self.state, State::Head))?;
        Some(start.offset)
    }

    /// Nothing more comes in this direction.
    pub(super) fn finish<H: Parse>(
        &mut self,
        ending: Ending,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        self.settle_perhaps(rules, handler);
        let seen = match ending {
            Ending::Fin => Seen::Cut,
            Ending::BrokenOff(seen) => seen,
        };
        match self.state {
            State::Close if ending == Ending::Fin => {
                self.measure(self.offset, handler);
                handler.end(self.last);
            }
            State::Length(_) | State::Chunked(_) | State::Close => {
                self.measure(self.offset, handler);
                handler.broken_off(seen);
            }
            State::Rejoining(after) => self.finish_rejoining(after, ending, handler),
            State::Head => {
                self.salvage_head(rules, handler);
                handler.broken_off(seen);
            }
            State::Tunnel => handler.tunnel_end(seen),
            State::Seeking(_) | State::Perhaps(..) | State::Deaf => {}
        }
        self.turn_deaf();
    }

    fn take_seeking<'a, H: Parse>(
        &mut self,
        bytes: &'a [u8],
        arrival: Arrival,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) -> &'a [u8] {
        let State::Seeking(seek) = &mut self.state else { return bytes };
        let Some(found) = seek.take::<H>(self.offset, bytes, arrival, rules) else { return &[] };
        let is_first = !self.memory.from_start && !self.memory.confirmed;
        if let Some((passed, first, last)) = seek.midstream().filter(|_| is_first) {
            handler.midstream(passed, first, last);
        }
        self.state = State::Head;
        self.begin_message(found.head, found.start, handler);
        bytes.get(bytes.len() - found.left..).unwrap_or_default()
    }

    /// Takes bytes that were held back, in the state that they have led to.
    fn replay<H: Parse>(
        &mut self,
        start: Start,
        held: &[u8],
        arrival: Arrival,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        let after = self.offset;
        self.data(start.offset, held, arrival, rules, handler);
        self.offset = after;
    }

    fn lose_step<H>(&mut self, loss: Loss, handler: &mut impl Handler<H>) {
        self.buffer = Vec::new();
        self.start = None;
        self.state = State::Seeking(Box::default());
        handler.out_of_step(self.offset, loss);
    }
}
