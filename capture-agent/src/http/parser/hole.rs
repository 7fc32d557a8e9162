//! Bytes that are not here: what they leave of the message that they were of, and what is made of
//! the first ones after them.
//!
//! Follows RFC 9112 sections 6.3 and 7.1. Where the end of a chunked body was left in the kernel
//! nothing but what follows tells it: the next head at that very place, the other side, which has
//! heard all of it and goes on, or the end of the direction.

use super::{Arrival, Ending, Handler, Loss, Lost, Parser, Start, State};
use crate::http::chunked::{Chunked, begins_with_chunk};
use crate::http::exchange::{Place, State as Seen};
use crate::http::head::{HeadRules, Parse};
use crate::segment::{Missing, Timestamp};

/// Bytes of the stream that are not here.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Hole {
    /// Stream offset of the first one.
    pub(in crate::http) offset: u64,
    pub(in crate::http) len: u64,
    pub(in crate::http) missing: Missing,
    /// When the last of them was seen, of those that were.
    pub(in crate::http) time: Option<Timestamp>,
}

/// What went before the bytes by which a chunked body is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// A loss.
    Loss,
    /// What was left in the kernel until then; the end of the message may be among it.
    Elision(Timestamp),
    /// The same, and by what the other side has said the message is over.
    End,
}

impl Hole {
    const fn is_elided(self) -> bool {
        matches!(self.missing, Missing::Elided)
    }

    const fn of_body(self, are_content: bool) -> Lost {
        let Self { len, missing, time, .. } = self;
        Lost { place: Place::Body, bytes: len, missing, are_content, time }
    }
}

impl Parser {
    /// Passes over bytes that were sent and are not here.
    pub(in crate::http) fn gap<H: Parse>(
        &mut self,
        hole: Hole,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) {
        self.offset = hole.offset;
        self.settle_perhaps(rules, handler);
        self.last = hole.time.map_or(self.last, |time| self.last.max(time));
        let loss = self.pass_over(hole, rules, handler);
        if loss > Loss::None {
            handler.broken_off(if hole.is_elided() { Seen::Elided } else { Seen::Gap });
            self.lose_step(loss, handler);
        }
        self.offset = hole.offset + hole.len;
    }

    /// Returns what was lost beside bytes of the message that is being read: then it is not known
    /// where that ends.
    fn pass_over<H: Parse>(
        &mut self,
        hole: Hole,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) -> Loss {
        let Hole { offset, len, missing, .. } = hole;
        match &mut self.state {
            State::Deaf | State::Perhaps(..) => Loss::None,
            State::Tunnel => {
                handler.tunnel_gap(hole);
                Loss::None
            }
            State::Seeking(seek) => {
                seek.gap();
                handler.out_of_step(offset, Loss::Possible);
                Loss::None
            }
            State::Close => {
                handler.lost(hole.of_body(false));
                self.measures |= hole.is_elided();
                Loss::None
            }
            State::Length(left) if len <= *left => {
                *left -= len;
                let ended = *left == 0;
                handler.lost(hole.of_body(true));
                if ended {
                    self.end_message(self.last, handler);
                }
                Loss::None
            }
            State::Length(left) => {
                // When the last of these was seen is not known.
                handler.lost(Lost { bytes: *left, time: None, ..hole.of_body(true) });
                if hole.is_elided() {
                    handler.end(Timestamp(0));
                }
                Loss::Certain
            }
            State::Chunked(chunked) => {
                let is_inside = chunked.skip(len);
                let may_go_on = chunked.is_before_trailers() || hole.is_elided();
                handler.lost(hole.of_body(false));
                self.measures |= hole.is_elided();
                if is_inside {
                    Loss::None
                } else if may_go_on && handler.is_alone() {
                    self.rejoin(hole);
                    Loss::None
                } else {
                    Loss::Possible
                }
            }
            State::Rejoining(After::End) => Loss::Certain,
            State::Rejoining(after) => {
                let goes_on = *after != After::Loss && hole.is_elided() && self.buffer.is_empty();
                handler.lost(hole.of_body(false));
                if goes_on && handler.is_alone() {
                    self.rejoin(hole);
                    Loss::None
                } else {
                    Loss::Possible
                }
            }
            State::Head if self.start.is_none() => Loss::Certain,
            State::Head => {
                if self.salvage_head(rules, handler) {
                    let (place, are_content, time) = (Place::Head, false, hole.time);
                    handler.lost(Lost { place, bytes: len, missing, are_content, time });
                    Loss::Possible
                } else {
                    // Nothing will be told of the message that has begun.
                    Loss::Certain
                }
            }
        }
    }

    fn rejoin(&mut self, hole: Hole) {
        self.buffer.clear(); // of trailers
        let after = if hole.is_elided() { After::Elision(self.last) } else { After::Loss };
        self.state = State::Rejoining(after);
    }

    /// Whether the end of a message may be among what was left in the kernel last.
    pub(in crate::http) const fn is_left_open(&self) -> bool {
        matches!(self.state, State::Rejoining(After::Elision(_))) && self.buffer.is_empty()
    }

    /// The other side has heard all that was said, and goes on as if the message were over.
    pub(in crate::http) fn was_heard<H>(&mut self, handler: &mut impl Handler<H>) {
        let State::Rejoining(After::Elision(until)) = self.state else { return };
        self.measure(self.offset, handler);
        self.state = State::Rejoining(After::End);
        handler.end(until);
    }

    /// Tells what the body that is being read takes up in the stream, which it does until there.
    pub(super) fn measure<H>(&mut self, until: u64, handler: &mut impl Handler<H>) {
        if std::mem::take(&mut self.measures) {
            handler.took_up(until.saturating_sub(self.body_at));
        }
    }

    /// Waits for what tells whether the chunks of the body go on, or the next message begins.
    pub(super) fn take_rejoining<'a, H: Parse>(
        &mut self,
        bytes: &'a [u8],
        arrival: Arrival,
        rules: &HeadRules,
        handler: &mut impl Handler<H>,
    ) -> &'a [u8] {
        let State::Rejoining(after) = self.state else { return bytes };
        if self.buffer.is_empty() {
            self.start = Some(Start { offset: self.offset, arrival });
            self.line_is_there = false;
        }
        self.line_is_there |= memchr::memchr(b'\n', bytes).is_some();
        self.buffer.extend_from_slice(bytes);
        let is_head = (after != After::Loss).then(|| self.begins_with_head::<H>(rules));
        let is_chunk = (after != After::End).then(|| begins_with_chunk(&self.buffer));
        let (is_head, is_chunk) = (is_head.unwrap_or(Some(false)), is_chunk.unwrap_or(Some(false)));
        let is_found = is_head == Some(true) || is_chunk == Some(true);
        if !is_found && (is_head.is_none() || is_chunk.is_none()) {
            return &[];
        }
        let (Some(start), text) = (self.start.take(), std::mem::take(&mut self.buffer)) else {
            return &[];
        };
        match after {
            _ if is_chunk == Some(true) => self.state = State::Chunked(Chunked::default()),
            After::Elision(until) if is_head == Some(true) => {
                self.measure(start.offset, handler);
                self.end_message(until, handler);
            }
            After::End if is_head == Some(true) => self.state = State::Head,
            _ => {
                handler.broken_off(if after == After::Loss { Seen::Gap } else { Seen::Elided });
                self.lose_step(Loss::Possible, handler);
            }
        }
        self.replay(start, &text, start.arrival, rules, handler);
        &[]
    }

    /// Whether what is held begins with a head; `None` while too little is there to tell.
    fn begins_with_head<H: Parse>(&self, rules: &HeadRules) -> Option<bool> {
        let may_begin = H::may_begin(&self.buffer, self.line_is_there);
        let is_known = !may_begin || self.line_is_there || self.buffer.len() > rules.max_bytes;
        is_known.then_some(may_begin && self.line_is_there)
    }

    /// Nothing more comes in this direction, and where the message ends is not known.
    pub(super) fn finish_rejoining<H>(
        &mut self,
        after: After,
        ending: Ending,
        handler: &mut impl Handler<H>,
    ) {
        self.measure(self.offset, handler);
        match (after, ending) {
            (After::Elision(until), Ending::Fin) => handler.end(until),
            (After::Elision(_), Ending::BrokenOff(_)) => handler.broken_off(Seen::Elided),
            (_, Ending::BrokenOff(seen)) => handler.broken_off(seen),
            (_, Ending::Fin) => handler.broken_off(Seen::Cut),
        }
    }
}
