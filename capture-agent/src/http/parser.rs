//! The messages in one direction of a flow, as its bytes come in.
//!
//! Follows RFC 9112. Invariants: a message that fits in what came at once is parsed in place; what
//! is buffered is never more than a head may be long; what comes out does not depend on how the
//! bytes were cut into segments.

use super::anomaly::Anomaly;
use super::chunked::{Chunked, Piece};
use super::exchange::{Network, Place, State as Seen};
use super::framing::{BodyFraming, Framing};
use super::head::{Fields, HeadRules, Parse};
use super::recognise::{self, head_len};
use super::seek::Seek;
use crate::segment::Timestamp;
use crate::stream::Mark;

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

/// What is told of the messages of one direction.
pub(super) trait Handler<H> {
    /// A head is there; the answer says what follows it.
    fn head(&mut self, head: H, start: Start, last_byte: Timestamp) -> Framing;
    /// Whether what stands where a head should is the body of a message that has none.
    fn headless(&mut self, start: Start) -> bool;
    /// Bytes of the body, after the transfer coding was undone.
    fn content(&mut self, bytes: &[u8], time: Timestamp);
    /// The trailer section.
    fn trailers(&mut self, fields: Fields);
    /// Bytes of the message were lost.
    fn lost(&mut self, place: Place, len: u64);
    /// The message is there to its last byte.
    fn end(&mut self, time: Timestamp);
    /// No more will be known of the message.
    fn broken_off(&mut self, seen: Seen);
    /// Something is odd about the message.
    fn anomaly(&mut self, anomaly: Anomaly);
    /// From this stream offset on, until the next head, it is not known what is sent.
    fn out_of_step(&mut self, offset: u64, loss: Loss);
    /// Before the first head of a direction that was picked up midway, there were so many bytes.
    fn midstream(&mut self, bytes: u64, first: Start, last: Timestamp);
    /// Bytes that are no longer HTTP.
    fn tunnelled(&mut self, bytes: &[u8], time: Timestamp);
    /// Bytes of the tunnel were lost.
    fn tunnel_gap(&mut self, len: u64);
    /// No more of the tunnel comes in this direction.
    fn tunnel_end(&mut self, seen: Seen);
}

/// Whether messages were lost whose start was not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loss {
    /// None was.
    #[default]
    None,
    /// What was lost is the rest of a message, and may have been more.
    Possible,
    /// The direction was picked up midway: anything may have come before.
    Unseen,
    /// At least one was.
    Certain,
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
    /// In a body that ends with the direction.
    Close,
    /// Looking for the next head.
    Seeking(Box<Seek>),
    /// HTTP has ended; what comes is something else.
    Tunnel,
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

/// What is remembered from one message to the next.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// Whether a head was ever found.
    confirmed: bool,
    /// Whether the direction was seen from its first byte.
    from_start: bool,
    /// Whether the last bytes were empty lines.
    after_empty_line: bool,
    /// Whether bytes that were no message have come since the last one.
    strayed: bool,
}

/// A parser that has nothing unfinished, in little room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resting(u8);

impl Resting {
    const CONFIRMED: u8 = 1 << 2;
    const FROM_START: u8 = 1 << 3;
    const AFTER_EMPTY_LINE: u8 = 1 << 4;
    const STRAYED: u8 = 1 << 5;

    /// A parser of a direction that is seen from its first byte, or picked up midway.
    pub(super) const fn new(from_start: bool) -> Self {
        let memory =
            Memory { confirmed: false, from_start, after_empty_line: false, strayed: false };
        Self::pack(if from_start { Rest::BetweenMessages } else { Rest::OutOfStep }, memory)
    }

    /// Whether the direction turned out not to be HTTP, or HTTP has ended on it.
    pub(super) const fn is_deaf(self) -> bool {
        matches!(self.unpack().0, Rest::Deaf)
    }

    const fn pack(at: Rest, memory: Memory) -> Self {
        let Memory { confirmed, from_start, after_empty_line, strayed } = memory;
        Self(
            at as u8
                | if confirmed { Self::CONFIRMED } else { 0 }
                | if from_start { Self::FROM_START } else { 0 }
                | if after_empty_line { Self::AFTER_EMPTY_LINE } else { 0 }
                | if strayed { Self::STRAYED } else { 0 },
        )
    }

    const fn unpack(self) -> (Rest, Memory) {
        let at = match self.0 & 3 {
            0 => Rest::BetweenMessages,
            1 => Rest::OutOfStep,
            _ => Rest::Deaf,
        };
        let memory = Memory {
            confirmed: self.0 & Self::CONFIRMED != 0,
            from_start: self.0 & Self::FROM_START != 0,
            after_empty_line: self.0 & Self::AFTER_EMPTY_LINE != 0,
            strayed: self.0 & Self::STRAYED != 0,
        };
        (at, memory)
    }
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

    /// Passes over bytes that were sent and not seen.
    pub(super) fn gap<H: Parse>(
        &mut self,
        offset: u64,
        len: u64,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        let time = self.last;
        self.offset = offset;
        self.settle_perhaps(rules, handler);
        let loss = match &mut self.state {
            State::Deaf | State::Perhaps(..) => Loss::None,
            State::Tunnel => {
                handler.tunnel_gap(len);
                Loss::None
            }
            State::Seeking(seek) => {
                seek.gap();
                handler.out_of_step(offset, Loss::Possible);
                Loss::None
            }
            State::Close => {
                handler.lost(Place::Body, len);
                Loss::None
            }
            State::Length(left) if len <= *left => {
                *left -= len;
                let ended = *left == 0;
                handler.lost(Place::Body, len);
                if ended {
                    self.end_message(time, handler);
                }
                Loss::None
            }
            State::Length(left) => {
                handler.lost(Place::Body, *left);
                Loss::Certain
            }
            State::Chunked(chunked) => {
                handler.lost(Place::Body, len);
                if chunked.skip(len) { Loss::None } else { Loss::Possible }
            }
            State::Head if self.start.is_none() => Loss::Certain,
            State::Head => {
                if self.salvage_head(rules, handler) {
                    handler.lost(Place::Head, len);
                }
                Loss::Possible
            }
        };
        if loss > Loss::None {
            handler.broken_off(Seen::Gap);
            self.lose_step(loss, handler);
        }
        self.offset = offset + len;
    }

    /// Stream offset of what comes next.
    pub(super) const fn position(&self) -> u64 {
        self.offset
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
            State::Close if ending == Ending::Fin => handler.end(self.last),
            State::Length(_) | State::Chunked(_) | State::Close => handler.broken_off(seen),
            State::Head => {
                self.salvage_head(rules, handler);
                handler.broken_off(seen);
            }
            State::Tunnel => handler.tunnel_end(seen),
            State::Seeking(_) | State::Perhaps(..) | State::Deaf => {}
        }
        self.turn_deaf();
    }

    fn take_head<'a, H: Parse>(
        &mut self,
        bytes: &'a [u8],
        arrival: Arrival,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) -> &'a [u8] {
        if self.buffer.is_empty() {
            let empty = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if empty > 0 {
                self.memory.after_empty_line = true;
                return bytes.get(empty..).unwrap_or_default();
            }
            self.start = Some(Start { offset: self.offset, arrival });
            self.line_is_there = false;
            if let Some(len) = self.head_len::<H>(bytes, 0, true, rules) {
                let (text, rest) = bytes.split_at(len);
                self.parse_head(text, arrival, rules, handler);
                return rest;
            }
        }
        let known = self.buffer.len();
        // Never more than a head may be long, and one byte to see that it is longer.
        let room = (rules.max_bytes + 1).saturating_sub(known).min(bytes.len());
        let fresh = bytes.get(..room).unwrap_or_default();
        self.buffer.extend_from_slice(fresh);
        let line_was_there = self.line_is_there;
        self.line_is_there |= memchr::memchr(b'\n', fresh).is_some();
        if !line_was_there && !H::may_begin(&self.buffer, self.line_is_there) {
            let text = std::mem::take(&mut self.buffer);
            self.not_a_head(&text, arrival, rules, handler);
            return bytes.get(room..).unwrap_or_default();
        }
        let line_is_new = self.line_is_there && !line_was_there;
        match self.head_len::<H>(&self.buffer, known, line_is_new, rules) {
            Some(len) => {
                let text = std::mem::take(&mut self.buffer);
                let text = text.get(..len).unwrap_or_default();
                self.parse_head(text, arrival, rules, handler);
                bytes.get(len.saturating_sub(known)..).unwrap_or_default()
            }
            None if self.buffer.len() > rules.max_bytes => {
                self.give_up_head(rules, handler);
                bytes.get(room..).unwrap_or_default()
            }
            None => &[],
        }
    }

    /// How long the head is that `text` begins with, once it is all there; of `known` bytes it is
    /// known that they end none, and of the first line, unless it is new, that it alone is none.
    fn head_len<H: Parse>(
        &self,
        text: &[u8],
        known: usize,
        line_is_new: bool,
        rules: &HeadRules,
    ) -> Option<usize> {
        // A request of HTTP/0.9 is one line, and all that its connection carries.
        let may_be_simple = self.is_undecided() && line_is_new;
        let simple = if may_be_simple { H::simple_len(text) } else { None };
        simple.or_else(|| head_len(text, known).filter(|len| *len <= rules.max_bytes))
    }

    /// Whether it is still open if this direction is HTTP.
    const fn is_undecided(&self) -> bool {
        self.memory.from_start && !self.memory.confirmed
    }

    fn parse_head<H: Parse>(
        &mut self,
        text: &[u8],
        arrival: Arrival,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        let simple = || H::parse_simple(text, rules).filter(|_| self.is_undecided());
        let head = H::parse(text, rules).ok().or_else(simple);
        match (head, self.start) {
            (Some(head), Some(start)) => {
                self.start = None;
                self.begin_message(head, start, handler);
            }
            _ => self.not_a_head(text, arrival, rules, handler),
        }
    }

    fn begin_message<H: Parse>(
        &mut self,
        mut head: H,
        start: Start,
        handler: &mut impl Handler<H>,
    ) {
        let memory = &mut self.memory;
        if std::mem::take(&mut memory.after_empty_line) {
            head.common_mut().note(Anomaly::EmptyLineBeforeHead);
        }
        if std::mem::take(&mut memory.strayed) {
            head.common_mut().note(Anomaly::BytesPassedOver);
        }
        memory.confirmed = true;
        self.state = match handler.head(head, start, self.last) {
            Framing::Interim => State::Head,
            Framing::Body(BodyFraming::Length(0))
            | Framing::PerhapsBody(BodyFraming::Length(0)) => {
                self.state = State::Head;
                return handler.end(self.last);
            }
            Framing::Body(body) => State::in_body(body),
            Framing::PerhapsBody(body) => State::Perhaps(body, self.last),
            Framing::Tunnel => {
                handler.end(self.last);
                State::Tunnel
            }
            Framing::Unknown => {
                handler.broken_off(Seen::Cut);
                return self.lose_step(Loss::Possible, handler);
            }
        };
    }

    /// Waits for what tells whether there is a body: what stands in its place.
    fn take_perhaps<'a, H: Parse>(
        &mut self,
        bytes: &'a [u8],
        arrival: Arrival,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) -> &'a [u8] {
        if self.buffer.is_empty() {
            self.start = Some(Start { offset: self.offset, arrival });
        }
        let known = self.buffer.len();
        let room = recognise::STATUS_LINE_BYTES.saturating_sub(known).min(bytes.len());
        let (fresh, rest) = bytes.split_at(room);
        self.buffer.extend_from_slice(fresh);
        let is_head = recognise::looks_like_status_line(&self.buffer);
        if is_head && self.buffer.len() < recognise::STATUS_LINE_BYTES {
            return rest;
        }
        if let (true, State::Perhaps(_, ended)) = (is_head, &self.state) {
            // The buffer is the start of the next head.
            let ended = *ended;
            self.state = State::Head;
            handler.end(ended);
        } else {
            self.settle_perhaps(rules, handler);
        }
        rest
    }

    /// There is a body after all, or no more will be known of it: gives it what was held back.
    fn settle_perhaps<H: Parse>(&mut self, rules: &HeadRules, handler: &mut impl Handler<H>) {
        let State::Perhaps(body, _) = self.state else { return };
        self.state = State::in_body(body);
        let Some(start) = self.start.take() else { return };
        let held = std::mem::take(&mut self.buffer);
        let after = self.offset;
        self.data(start.offset, &held, start.arrival, rules, handler);
        self.offset = after;
    }

    fn take_body<'a, H>(
        &mut self,
        bytes: &'a [u8],
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) -> &'a [u8] {
        let time = self.last;
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
                    Piece::Trailer(lines) => self.buffer.extend_from_slice(lines),
                    Piece::End(lines) => {
                        if chunked.is_odd() {
                            handler.anomaly(Anomaly::OddChunkLine);
                        }
                        self.end_trailers(lines, rules, handler);
                        self.end_message(time, handler);
                    }
                    Piece::Malformed => {
                        handler.anomaly(Anomaly::MalformedChunk);
                        handler.broken_off(Seen::Cut);
                        self.memory.strayed = true;
                        self.lose_step(Loss::Possible, handler);
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

    fn end_trailers<H>(&mut self, lines: &[u8], rules: &HeadRules, handler: &mut impl Handler<H>) {
        let mut text = std::mem::take(&mut self.buffer);
        if text.is_empty() && matches!(lines, b"\r\n" | b"\n") {
            return;
        }
        text.extend_from_slice(lines);
        let fields = Fields::of_trailers(&text, rules);
        if !fields.is_empty() {
            handler.trailers(fields);
        }
    }

    fn end_message<H>(&mut self, time: Timestamp, handler: &mut impl Handler<H>) {
        self.state = State::Head;
        handler.end(time);
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

    /// What stands where a head should is none: the body of a message that has no head, or the end
    /// of a direction that never was HTTP, or something to be passed over.
    fn not_a_head<H: Parse>(
        &mut self,
        text: &[u8],
        arrival: Arrival,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        let Some(start) = self.start.take() else { return };
        if self.is_undecided() {
            if !handler.headless(start) {
                handler.out_of_step(self.offset, Loss::Possible);
                return self.turn_deaf();
            }
            self.memory.confirmed = true;
            self.state = State::Close;
            return handler.content(text, arrival.mark.time);
        }
        self.memory.strayed = true;
        self.lose_step(Loss::Possible, handler);
        // It may turn out to be a tunnel that was not waited for.
        self.state = State::Seeking(Box::new(Seek::counting()));
        let after = self.offset;
        self.data(start.offset, text, arrival, rules, handler);
        self.offset = after;
    }

    /// The head is too long: what came of it is kept, and the next one is looked for.
    fn give_up_head<H: Parse>(&mut self, rules: &HeadRules, handler: &mut impl Handler<H>) {
        self.buffer.truncate(rules.max_bytes);
        let endless =
            if self.line_is_there { None } else { H::parse_endless_line(&self.buffer, rules) };
        let is_something = match (endless, self.start) {
            (Some(head), Some(start)) => {
                self.memory.confirmed = true;
                handler.head(head, start, self.last);
                true
            }
            _ => self.salvage_head(rules, handler),
        };
        if is_something {
            handler.anomaly(Anomaly::HeadTooLong);
            handler.broken_off(Seen::Cut);
        }
        self.lose_step(Loss::Possible, handler);
    }

    fn lose_step<H>(&mut self, loss: Loss, handler: &mut impl Handler<H>) {
        self.buffer = Vec::new();
        self.start = None;
        self.state = State::Seeking(Box::default());
        handler.out_of_step(self.offset, loss);
    }

    /// Makes of the first part of a head what can be made of it: its whole lines. Returns whether
    /// that was something.
    fn salvage_head<H: Parse>(&mut self, rules: &HeadRules, handler: &mut impl Handler<H>) -> bool {
        let (Some(start), text) = (self.start.take(), std::mem::take(&mut self.buffer)) else {
            return false;
        };
        let Some(newline) = memchr::memrchr(b'\n', &text) else { return false };
        let lines = text.get(..=newline).unwrap_or_default();
        let Ok(mut head) = H::parse_leniently(lines, rules) else { return false };
        head.common_mut().is_cut_to(text.len() as u32);
        self.memory.confirmed = true;
        self.memory.after_empty_line = false;
        handler.head(head, start, self.last);
        true
    }
}

impl State {
    fn in_body(framing: BodyFraming) -> Self {
        match framing {
            BodyFraming::Length(left) => Self::Length(left),
            BodyFraming::Chunked => Self::Chunked(Chunked::default()),
            BodyFraming::Close => Self::Close,
        }
    }
}
