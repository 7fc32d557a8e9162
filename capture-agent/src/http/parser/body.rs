//! Bodies, as their bytes come in.
//!
//! Follows RFC 9112 sections 6 and 7.

use super::{Arrival, Handler, Loss, Parser, Start, State};
use crate::http::anomaly::Anomaly;
use crate::http::chunked::{Chunked, Piece};
use crate::http::exchange::State as Seen;
use crate::http::framing::BodyFraming;
use crate::http::head::{Fields, HeadRules, Parse};
use crate::http::recognise;
use crate::segment::Timestamp;

impl Parser {
    /// Waits for what tells whether there is a body: what stands in its place.
    pub(super) fn take_perhaps<'a, H: Parse>(
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
    pub(super) fn settle_perhaps<H: Parse>(
        &mut self,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        let State::Perhaps(body, _) = self.state else { return };
        self.state = State::in_body(body);
        let Some(start) = self.start.take() else { return };
        let held = std::mem::take(&mut self.buffer);
        self.replay(start, &held, start.arrival, rules, handler);
    }

    pub(super) fn take_body<'a, H>(
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
                        self.measure(self.offset + (bytes.len() - rest.len()) as u64, handler);
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

    /// Passes over `len` bytes at `offset` of the stream where they lie within a body, and more of
    /// it follows; returns whether they do. If not, nothing has changed.
    pub(in crate::http) fn pass_content(&mut self, offset: u64, len: u64, time: Timestamp) -> bool {
        let is_within = match &mut self.state {
            State::Length(left) if len < *left => {
                *left -= len;
                true
            }
            State::Chunked(chunked) => chunked.pass_content(len),
            State::Close => true,
            _ => false,
        };
        if is_within {
            self.last = self.last.max(time);
            self.offset = offset + len;
        }
        is_within
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

    pub(super) fn end_message<H>(&mut self, time: Timestamp, handler: &mut impl Handler<H>) {
        self.state = State::Head;
        handler.end(time);
    }
}

impl State {
    pub(super) fn in_body(framing: BodyFraming) -> Self {
        match framing {
            BodyFraming::Length(left) => Self::Length(left),
            BodyFraming::Chunked => Self::Chunked(Chunked::default()),
            BodyFraming::Close => Self::Close,
        }
    }
}
