//! The messages in one direction of a flow, as its bytes come in.
//!
//! Follows RFC 9112. Invariants: a message that fits in what came at once is parsed in place;
//! what is buffered is never more than a head may be long; after bytes that were lost or
//! malformed, the next message begins only where a head stands at the start of a segment.

use super::chunked::{Chunked, Piece};
use super::exchange::{Anomaly, State as Seen};
use super::framing::Framing;
use super::head::{HeadRules, Parse};
use super::recognise::head_len;
use crate::segment::Timestamp;
use crate::stream::Mark;

/// Where a message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// Stream offset of its first byte.
    pub(super) offset: u64,
    /// The segment that had its first byte.
    pub(super) mark: Mark,
}

/// What is told of the messages of one direction.
pub(super) trait Handler<H> {
    /// A head is there; the answer says what follows it.
    fn head(&mut self, head: H, start: Start, last_byte: Timestamp) -> Framing;
    /// Bytes of the body, after the transfer coding was undone.
    fn content(&mut self, bytes: &[u8], time: Timestamp);
    /// Bytes of the message were lost, without harm to its framing.
    fn lost(&mut self, len: u64);
    /// The message is there to its last byte.
    fn end(&mut self, time: Timestamp);
    /// No more will be known of the message.
    fn broken_off(&mut self, seen: Seen);
    /// Something is odd about the message.
    fn anomaly(&mut self, anomaly: Anomaly);
    /// From here on, until the next head, it is not known what is sent.
    fn out_of_step(&mut self);
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
    /// In a body of known length: bytes left.
    Length(u64),
    Chunked(Chunked),
    /// In a body that ends with the direction.
    Close,
    /// Waiting for what looks like a head.
    OutOfStep,
    /// Not HTTP, or no longer.
    Deaf,
}

/// What a parser is at when it has nothing unfinished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    #[default]
    BetweenMessages,
    OutOfStep,
    Deaf,
}

/// A parser that has nothing unfinished, in little room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resting {
    at: Rest,
    confirmed: bool,
    from_start: bool,
}

impl Resting {
    /// A parser of a direction that is seen from its first byte, or picked up midway.
    pub(super) const fn new(from_start: bool) -> Self {
        let at = if from_start { Rest::BetweenMessages } else { Rest::OutOfStep };
        Self { at, confirmed: false, from_start }
    }

    /// Whether the direction turned out not to be HTTP, or HTTP has ended on it.
    pub(super) const fn is_deaf(self) -> bool {
        matches!(self.at, Rest::Deaf)
    }
}

/// The parser of one direction.
#[derive(Debug)]
pub(super) struct Parser {
    state: State,
    buffer: Vec<u8>,
    start: Option<Start>,
    /// When the last bytes came.
    last: Timestamp,
    /// Whether a head was ever found.
    confirmed: bool,
    /// Whether the direction was seen from its first byte.
    from_start: bool,
}

impl Parser {
    /// A parser that goes on from there.
    pub(super) const fn resume(resting: Resting) -> Self {
        Self {
            state: match resting.at {
                Rest::BetweenMessages => State::Head,
                Rest::OutOfStep => State::OutOfStep,
                Rest::Deaf => State::Deaf,
            },
            buffer: Vec::new(),
            start: None,
            last: Timestamp(0),
            confirmed: resting.confirmed,
            from_start: resting.from_start,
        }
    }

    /// What is left of the parser where it has nothing unfinished.
    pub(super) fn rest(&self) -> Option<Resting> {
        let at = match self.state {
            State::Head if self.buffer.is_empty() => Rest::BetweenMessages,
            State::OutOfStep => Rest::OutOfStep,
            State::Deaf => Rest::Deaf,
            _ => return None,
        };
        Some(Resting { at, confirmed: self.confirmed, from_start: self.from_start })
    }

    /// Bytes of memory that the parser takes beyond its own size.
    pub(super) fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// HTTP ends here: what follows is not parsed.
    pub(super) fn turn_deaf(&mut self) {
        self.state = State::Deaf;
        self.buffer = Vec::new();
    }

    /// Takes the bytes at `offset` of the stream, which came in one segment.
    pub(super) fn data<H: Parse>(
        &mut self,
        mut offset: u64,
        mut bytes: &[u8],
        mark: Mark,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        self.last = mark.time;
        if matches!(self.state, State::OutOfStep) && H::plausibly_begins(bytes) {
            self.state = State::Head;
        }
        while !bytes.is_empty() {
            let rest = match &mut self.state {
                State::Head => self.take_head(offset, bytes, mark, rules, handler),
                State::Length(_) | State::Chunked(_) | State::Close => {
                    self.take_body(bytes, mark.time, handler)
                }
                State::OutOfStep | State::Deaf => return,
            };
            offset += (bytes.len() - rest.len()) as u64;
            bytes = rest;
        }
    }

    /// Passes over bytes that were sent and not seen.
    pub(super) fn gap<H: Parse>(
        &mut self,
        len: u64,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        let time = self.last;
        match &mut self.state {
            State::OutOfStep | State::Deaf => return,
            State::Close => return handler.lost(len),
            State::Length(left) if len <= *left => {
                *left -= len;
                let ended = *left == 0;
                handler.lost(len);
                if ended {
                    self.end_message(time, handler);
                }
                return;
            }
            State::Length(left) => handler.lost(*left),
            State::Chunked(chunked) => {
                handler.lost(len);
                if chunked.skip(len) {
                    return;
                }
            }
            State::Head => self.salvage_head(Some(len), rules, handler),
        }
        handler.broken_off(Seen::Gap);
        self.lose_step(handler);
    }

    /// Nothing more comes in this direction.
    pub(super) fn finish<H: Parse>(
        &mut self,
        ending: Ending,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        let seen = match ending {
            Ending::Fin => Seen::Cut,
            Ending::BrokenOff(seen) => seen,
        };
        match self.state {
            State::Close if ending == Ending::Fin => handler.end(self.last),
            State::Length(_) | State::Chunked(_) | State::Close => handler.broken_off(seen),
            State::Head => {
                self.salvage_head(None, rules, handler);
                handler.broken_off(seen);
            }
            State::OutOfStep | State::Deaf => {}
        }
        self.turn_deaf();
    }

    fn take_head<'a, H: Parse>(
        &mut self,
        offset: u64,
        bytes: &'a [u8],
        mark: Mark,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) -> &'a [u8] {
        if self.buffer.is_empty() {
            let empty = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if empty > 0 {
                return bytes.get(empty..).unwrap_or_default();
            }
            self.start = Some(Start { offset, mark });
            if let Some(len) = head_len(bytes, 0).filter(|len| *len <= rules.max_bytes) {
                let (text, rest) = bytes.split_at(len);
                self.parse_head(text, rules, handler);
                return rest;
            }
        }
        let known = self.buffer.len();
        // Never more than a head may be long, and one byte to see that it is longer.
        let room = (rules.max_bytes + 1).saturating_sub(known).min(bytes.len());
        self.buffer.extend_from_slice(bytes.get(..room).unwrap_or_default());
        match head_len(&self.buffer, known) {
            Some(len) => {
                let text = std::mem::take(&mut self.buffer);
                self.parse_head(text.get(..len).unwrap_or_default(), rules, handler);
                bytes.get(len.saturating_sub(known)..).unwrap_or_default()
            }
            None if self.buffer.len() > rules.max_bytes || !H::may_begin(&self.buffer) => {
                self.not_a_head(handler);
                &[]
            }
            None => &[],
        }
    }

    fn parse_head<H: Parse>(
        &mut self,
        text: &[u8],
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        let Some(start) = self.start.take() else { return };
        let Ok(head) = H::parse(text, rules) else {
            return self.not_a_head(handler);
        };
        self.confirmed = true;
        self.state = match handler.head(head, start, self.last) {
            Framing::Length(0) => return handler.end(self.last),
            Framing::Interim => return,
            Framing::Length(left) => State::Length(left),
            Framing::Chunked => State::Chunked(Chunked::default()),
            Framing::Close => State::Close,
            Framing::Tunnel => {
                handler.end(self.last);
                State::Deaf
            }
            Framing::Unknown => {
                handler.broken_off(Seen::Cut);
                handler.out_of_step();
                State::OutOfStep
            }
        };
    }

    fn take_body<'a, H>(
        &mut self,
        bytes: &'a [u8],
        time: Timestamp,
        handler: &mut impl Handler<H>,
    ) -> &'a [u8] {
        match &mut self.state {
            State::Length(left) => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                let (content, rest) = bytes.split_at(len);
                *left -= len as u64;
                let ended = *left == 0;
                handler.content(content, time);
                if ended {
                    self.end_message(time, handler);
                }
                rest
            }
            State::Chunked(chunked) => {
                let (piece, rest) = chunked.take(bytes);
                match piece {
                    Piece::Data(content) => handler.content(content, time),
                    Piece::Framing => {}
                    Piece::End => self.end_message(time, handler),
                    Piece::Malformed => {
                        handler.anomaly(Anomaly::MalformedChunk);
                        handler.broken_off(Seen::Cut);
                        self.lose_step(handler);
                    }
                }
                rest
            }
            _ => {
                handler.content(bytes, time);
                &[]
            }
        }
    }

    fn end_message<H>(&mut self, time: Timestamp, handler: &mut impl Handler<H>) {
        self.state = State::Head;
        handler.end(time);
    }

    /// What stands where a head should is none: a direction that never was HTTP is let go.
    fn not_a_head<H>(&mut self, handler: &mut impl Handler<H>) {
        if self.from_start && !self.confirmed {
            self.turn_deaf();
        } else {
            self.lose_step(handler);
        }
    }

    fn lose_step<H>(&mut self, handler: &mut impl Handler<H>) {
        self.buffer = Vec::new();
        self.start = None;
        self.state = State::OutOfStep;
        handler.out_of_step();
    }

    /// Makes of the first part of a head what can be made of it: its whole lines.
    fn salvage_head<H: Parse>(
        &mut self,
        lost: Option<u64>,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        let Some(start) = self.start.take() else { return };
        let mut text = std::mem::take(&mut self.buffer);
        let Some(newline) = memchr::memrchr(b'\n', &text) else { return };
        text.truncate(newline + 1);
        text.extend_from_slice(b"\r\n");
        if let Ok(head) = H::parse(&text, rules) {
            handler.head(head, start, self.last);
            handler.lost(lost.unwrap_or(0));
        }
    }
}
