//! Heads, as their bytes come in.
//!
//! Follows RFC 9112 sections 2 to 5, and for what has no head HTTP/0.9.

use super::{Arrival, Handler, Loss, Parser, Start, State};
use crate::http::anomaly::Anomaly;
use crate::http::exchange::State as Seen;
use crate::http::framing::{BodyFraming, Framing};
use crate::http::head::{HeadRules, Parse};
use crate::http::recognise;
use crate::http::seek::Seek;

impl Parser {
    pub(super) fn take_head<'a, H: Parse>(
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
        let is_new = !line_was_there || known < recognise::PREAMBLE_BYTES;
        if is_new && !H::may_begin(&self.buffer, self.line_is_there) {
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
        simple.or_else(|| recognise::head_len(text, known).filter(|len| *len <= rules.max_bytes))
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

    pub(super) fn begin_message<H: Parse>(
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
        self.body_at = start.offset + u64::from(head.common().len());
        self.measures = false;
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
        if self.is_undecided() && H::may_follow(text) {
            self.memory.after_empty_line = false;
            self.state = State::Seeking(Box::default());
            return self.replay(start, text, arrival, rules, handler);
        }
        if self.is_undecided() {
            if !handler.headless(start) {
                handler.out_of_step(self.offset, Loss::Possible);
                return self.turn_deaf();
            }
            self.memory.confirmed = true;
            self.body_at = start.offset;
            self.measures = false;
            self.state = State::Close;
            return handler.content(text, arrival.mark.time);
        }
        self.memory.strayed = true;
        self.lose_step(Loss::Possible, handler);
        if handler.awaits_tunnel() {
            self.state = State::Seeking(Box::new(Seek::counting()));
        }
        self.replay(start, text, arrival, rules, handler);
    }

    /// The head is too long: what came of it is kept, and the next one is looked for.
    fn give_up_head<H: Parse>(&mut self, rules: &HeadRules, handler: &mut impl Handler<H>) {
        self.buffer.truncate(rules.max_bytes);
        if self.salvage_head(rules, handler) {
            handler.anomaly(Anomaly::HeadTooLong);
            handler.broken_off(Seen::Cut);
        }
        self.lose_step(Loss::Possible, handler);
    }

    /// Makes of the first part of a head what can be made of it: its whole lines, or what is there
    /// of the first one. Returns whether that was something.
    pub(super) fn salvage_head<H: Parse>(
        &mut self,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) -> bool {
        let (Some(start), text) = (self.start.take(), std::mem::take(&mut self.buffer)) else {
            return false;
        };
        let head = match memchr::memrchr(b'\n', &text) {
            Some(newline) => {
                let lines = text.get(..=newline).unwrap_or_default();
                H::parse_leniently(lines, rules).ok()
            }
            None => H::parse_part_of_line(&text, rules),
        };
        let Some(mut head) = head else { return false };
        head.common_mut().is_cut_to(text.len() as u32);
        self.memory.confirmed = true;
        self.memory.after_empty_line = false;
        handler.head(head, start, self.last);
        true
    }
}
