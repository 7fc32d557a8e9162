//! The requests and the responses of a flow, from when they begin until they come out as exchanges.
//!
//! Follows RFC 9112 section 9.3. Which response answers which request is told in [`super::pairing`].
//! Invariants: exchanges come out once both halves are over, in the order of their responses; what
//! waits is bounded.

use std::collections::VecDeque;

use super::anomaly::{Anomalies, Anomaly};
use super::exchange::{Exchange, Message, Network, State as Seen, Timing};
use super::head::{RequestHead, ResponseHead};
use super::intake::Intake;
use super::parser::{Loss, Start};
use crate::segment::Timestamp;

/// Most messages of one direction that may wait for their other half: stops a client that only asks.
const MAX_WAITING: usize = 1024;

/// Most bytes of memory that they may take, unless it is one exchange alone that does: stops a
/// client that asks at length.
const MAX_WAITING_BYTES: usize = 8 << 20;

/// Most interim responses that are kept with the final one: stops a server that never comes to it.
const MAX_INTERIM: usize = 64;

/// What a request has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskFate {
    /// Its response may still come.
    Open,
    /// Its response is there, or has begun.
    Answered,
    /// Its response was not seen, or can't be told.
    Alone,
}

/// What a response has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerFate {
    /// What it answers can't be told yet.
    Undecided,
    /// It answers this request.
    Answers(u32),
    /// What it answers was not seen, or can't be told.
    Alone,
}

/// A request.
#[derive(Debug)]
pub(super) struct Ask {
    /// Counts the requests of a dialogue.
    pub(super) id: u32,
    pub(super) message: Message<RequestHead>,
    pub(super) start: Start,
    /// Stream offset after its last byte, where that is known.
    pub(super) end: Option<u64>,
    pub(super) progress: Progress,
    /// Whether requests were lost that were sent before it, with no answer to them before.
    pub(super) after_loss: Loss,
    pub(super) fate: AskFate,
    /// Interim responses to it, of an answer that broke off after them.
    pub(super) interim: Interim,
}

/// Interim responses.
#[derive(Debug, Default)]
pub(super) struct Interim {
    heads: Vec<ResponseHead>,
    /// Bytes of memory that they take.
    memory: usize,
}

impl Interim {
    /// Adds one, if there is room.
    fn add(&mut self, head: ResponseHead, anomalies: &mut Anomalies) {
        if self.heads.len() >= MAX_INTERIM {
            return anomalies.add(Anomaly::TooManyInterimResponses);
        }
        // With its own size: the room for them is not in the answer.
        self.memory += size_of::<ResponseHead>() + head.head().memory();
        self.heads.push(head);
    }

    fn extend(&mut self, later: Self, anomalies: &mut Anomalies) {
        later.heads.into_iter().for_each(|head| self.add(head, anomalies));
    }
}

/// A response, interim ones before it included.
#[derive(Debug)]
pub(super) struct Answer {
    /// `None` while only interim responses have come.
    pub(super) message: Option<Message<ResponseHead>>,
    pub(super) interim: Interim,
    /// Of the first of them.
    pub(super) start: Start,
    pub(super) progress: Progress,
    /// Whether responses may have been lost that were sent before it.
    pub(super) after_loss: bool,
    pub(super) fate: AnswerFate,
}

/// How far the reading of a message has come.
#[derive(Debug)]
pub(super) struct Progress {
    /// Whether no more of it will come.
    pub(super) over: bool,
    pub(super) anomalies: Anomalies,
    /// What its body goes through, while it comes in.
    pub(super) intake: Option<Box<Intake>>,
    /// What the network had done to the flow when it was last heard of.
    pub(super) network: Network,
    /// Bytes of memory of what it holds.
    pub(super) memory: usize,
}

impl Progress {
    fn new(start: Start, memory: usize) -> Self {
        Self {
            over: false,
            anomalies: Anomalies::default(),
            intake: None,
            network: start.arrival.network,
            memory,
        }
    }
}

/// How a client has been seen to behave, by which it is told what was lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Habits {
    /// It has sent a request before it had heard anything of the answer to the one before.
    pub(super) pipelines: bool,
    /// It has pipelined, and then sent no more before all was answered.
    pub(super) waits: bool,
    /// It has heard something new, and sent a request while an earlier one had no answer yet.
    pub(super) slides: bool,
    /// After a loss nothing more can be told.
    pub(super) blind: bool,
}

/// A dialogue in which nobody waits, in little room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resting {
    next_index: u32,
    unasked_end: u32,
    unasked_count: u8,
    flags: u8,
}

impl Resting {
    const PIPELINES: u8 = 1;
    const SLIDES: u8 = 1 << 1;
    const BLIND: u8 = 1 << 2;
    const RESPONSES_LOST: u8 = 1 << 3;
    const REQUESTS_LOST: u8 = 1 << 4;
    const LOSS_IS_PARTIAL: u8 = 1 << 5;
    const WAITS: u8 = 1 << 6;

    /// A dialogue in which nobody was heard; client and server may have spoken before.
    pub(super) const fn new(requests_lost: bool, responses_lost: bool) -> Self {
        let flags = if requests_lost { Self::REQUESTS_LOST | Self::LOSS_IS_PARTIAL } else { 0 }
            | if responses_lost { Self::RESPONSES_LOST } else { 0 };
        Self { next_index: 0, unasked_end: 0, unasked_count: 0, flags }
    }

    /// Exchanges that have come out.
    pub(super) const fn exchanges(self) -> u32 {
        self.next_index
    }

    const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Responses that were seen or lost since the last request, and answer none that was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unasked {
    count: u8,
    /// Stream offset after them, as far as that is known, modulo 2^32.
    end: u32,
}

impl Unasked {
    /// There is one more, and it begins there.
    pub(super) const fn add(&mut self, offset: u64) {
        self.count = self.count.saturating_add(1);
        self.end = offset as u32;
    }

    /// One of those that were lost was to a request that was seen.
    pub(super) const fn subtract(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// Whether there are any, and a client that has acknowledged so much has heard them all; `None`
    /// where there are none.
    pub(super) const fn are_heard(self, acked: u64) -> Option<bool> {
        if self.count == 0 {
            return None;
        }
        Some((acked as u32).wrapping_sub(self.end).cast_signed() >= 0)
    }
}

/// What was said on a flow and has not come out yet.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    pub(super) asks: VecDeque<Ask>,
    pub(super) answers: VecDeque<Answer>,
    pub(super) habits: Habits,
    /// Whether requests were lost since the last one that was seen.
    pub(super) requests_lost: Loss,
    /// Responses may have been lost since the last one that was seen.
    pub(super) responses_lost: bool,
    pub(super) unasked: Unasked,
    next_ask: u32,
    next_index: u32,
    /// Bytes of memory that the messages take.
    memory: usize,
}

impl Dialogue {
    /// Goes on from there; nobody waits.
    pub(super) const fn resume(&mut self, resting: Resting) {
        self.next_index = resting.next_index;
        self.habits = Habits {
            pipelines: resting.has(Resting::PIPELINES),
            waits: resting.has(Resting::WAITS),
            slides: resting.has(Resting::SLIDES),
            blind: resting.has(Resting::BLIND),
        };
        let kinds = (resting.has(Resting::REQUESTS_LOST), resting.has(Resting::LOSS_IS_PARTIAL));
        self.requests_lost = match kinds {
            (false, false) => Loss::None,
            (false, true) => Loss::Possible,
            (true, true) => Loss::Unseen,
            (true, false) => Loss::Certain,
        };
        self.responses_lost = resting.has(Resting::RESPONSES_LOST);
        self.unasked = Unasked { count: resting.unasked_count, end: resting.unasked_end };
        self.next_ask = 0;
    }

    /// Exchanges that have come out.
    pub(super) const fn exchanges(&self) -> u32 {
        self.next_index
    }

    /// What is left of the dialogue where nobody waits, and the server has spoken until there.
    pub(super) fn rest(&self, answered_until: u64) -> Option<Resting> {
        let Self { next_index, unasked, .. } = *self;
        let flags = [
            (self.habits.pipelines, Resting::PIPELINES),
            (self.habits.waits, Resting::WAITS),
            (self.habits.slides, Resting::SLIDES),
            (self.habits.blind, Resting::BLIND),
            (self.responses_lost, Resting::RESPONSES_LOST),
            (self.requests_lost >= Loss::Unseen, Resting::REQUESTS_LOST),
            (matches!(self.requests_lost, Loss::Possible | Loss::Unseen), Resting::LOSS_IS_PARTIAL),
        ];
        let resting = Resting {
            next_index,
            unasked_end: answered_until as u32,
            unasked_count: unasked.count,
            flags: flags.iter().filter(|(holds, _)| *holds).map(|(_, flag)| flag).sum(),
        };
        (self.asks.is_empty() && self.answers.is_empty()).then_some(resting)
    }

    /// Messages that there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.asks.capacity().max(self.answers.capacity())
    }

    /// Bytes of memory that the dialogue takes beyond its own size.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    /// A request has begun; the server has spoken until there.
    pub(super) fn ask(&mut self, message: Message<RequestHead>, start: Start, answered_until: u64) {
        let after_loss = self.loss_before(start, answered_until);
        self.memory += size_of::<Ask>();
        self.asks.push_back(Ask {
            id: self.next_ask,
            message,
            start,
            end: None,
            progress: Progress::new(start, 0),
            after_loss,
            fate: if self.habits.blind { AskFate::Alone } else { AskFate::Open },
            interim: Interim::default(),
        });
        self.next_ask = self.next_ask.wrapping_add(1);
    }

    /// A response has begun, or goes on after interim ones; returns the one that it is now.
    pub(super) fn answer(&mut self, start: Start) -> Option<&mut Answer> {
        if self.answers.back().is_none_or(|last| last.message.is_some()) {
            self.memory += size_of::<Answer>();
            // What was lost before the request was sent can't have been its answer.
            let lost = std::mem::take(&mut self.responses_lost);
            let after_loss = lost && self.may_have_lost_answers_before(start);
            self.answers.push_back(Answer {
                message: None,
                interim: Interim::default(),
                start,
                progress: Progress::new(start, 0),
                after_loss,
                fate: AnswerFate::Undecided,
            });
            self.find_request();
        }
        self.answers.back_mut()
    }

    /// A response that was going on when the flow was picked up, until the network had come to `end`.
    pub(super) fn midstream(&mut self, message: Message<ResponseHead>, start: Start, end: Network) {
        self.memory += size_of::<Answer>();
        let progress = Progress { over: true, network: end, ..Progress::new(start, 0) };
        self.answers.push_back(Answer {
            message: Some(message),
            interim: Interim::default(),
            start,
            progress,
            after_loss: false,
            fate: AnswerFate::Alone,
        });
    }

    /// Whether there is a request that a response which starts there answers.
    pub(super) fn has_request_for(&self, start: Start) -> bool {
        let certain =
            self.requests_lost == Loss::None && !self.responses_lost && self.answers.is_empty();
        certain && self.asks.front().is_some_and(|ask| ask.is_answered_by(start))
    }

    /// The request that a response answers.
    pub(super) fn asked(&self, fate: AnswerFate) -> Option<&Ask> {
        let AnswerFate::Answers(id) = fate else { return None };
        self.asks.iter().find(|ask| ask.id == id)
    }

    /// The request that is being read.
    pub(super) fn current_ask(&mut self) -> Option<&mut Ask> {
        self.asks.back_mut().filter(|ask| !ask.progress.over)
    }

    /// The response that is being read.
    pub(super) fn current_answer(&mut self) -> Option<&mut Answer> {
        self.answers.back_mut().filter(|answer| answer.message.is_some() && !answer.progress.over)
    }

    /// An interim response has come, to be followed by the final one.
    pub(super) fn interim(&mut self, head: ResponseHead) {
        let Some(Answer { interim, progress, .. }) = self.answers.back_mut() else { return };
        progress.anomalies.extend(head.head().anomalies());
        let before = interim.memory;
        interim.add(head, &mut progress.anomalies);
        self.memory += interim.memory - before;
    }

    /// What a message holds has changed, from so many bytes of memory to so many.
    pub(super) const fn hold(&mut self, before: usize, after: usize) {
        self.memory = self.memory + after - before;
    }

    /// The client has spoken until there; its last request may be over.
    pub(super) fn asked_until(&mut self, offset: u64) {
        let is_whole = |last: &&mut Ask| last.message.state == Seen::Complete;
        if let Some(last) = self.asks.back_mut().filter(is_whole) {
            last.end.get_or_insert(offset);
        }
    }

    /// Requests may be lost from here on.
    pub(super) fn lose_requests(&mut self, loss: Loss) {
        self.requests_lost = self.requests_lost.max(loss);
    }

    /// Responses may be lost from here on: interim ones that wait for theirs stay with the request.
    pub(super) fn lose_responses(&mut self, offset: u64) {
        self.responses_lost = true;
        self.unasked.add(offset);
        if self.habits.slides {
            self.turn_blind();
        }
        let Some(last) = self.answers.pop_back_if(|last| last.message.is_none()) else { return };
        self.memory -= last.memory();
        let AnswerFate::Answers(id) = last.fate else { return };
        if let Some(ask) = self.asks.iter_mut().find(|ask| ask.id == id) {
            ask.fate = AskFate::Open;
            let before = ask.interim.memory;
            ask.interim.extend(last.interim, &mut ask.progress.anomalies);
            self.memory += ask.interim.memory - before;
            ask.progress.anomalies.extend(last.progress.anomalies);
        }
    }

    /// The flow is gone: what waits comes out as it is.
    pub(super) fn close(&mut self, seen: Seen, connect_ns: Option<u64>, out: &mut Vec<Exchange>) {
        self.settle_at_end();
        for ask in self.asks.iter_mut().filter(|ask| !ask.progress.over) {
            ask.message.state = seen;
            ask.progress.over = true;
        }
        for answer in self.answers.iter_mut().filter(|answer| !answer.progress.over) {
            if let Some(message) = &mut answer.message {
                message.state = seen;
            }
            answer.progress.over = true;
        }
        self.pass(connect_ns, out);
    }

    /// Passes on what is over and decided, and what waits where that is too much.
    pub(super) fn pass(&mut self, connect_ns: Option<u64>, out: &mut Vec<Exchange>) {
        self.pass_decided(connect_ns, out);
        let waiting = self.asks.len().max(self.answers.len());
        if waiting > MAX_WAITING || (waiting > 1 && self.memory > MAX_WAITING_BYTES) {
            self.give_up_waiting(connect_ns, out);
        }
    }

    fn pass_decided(&mut self, connect_ns: Option<u64>, out: &mut Vec<Exchange>) {
        loop {
            let (ask, answer) = (self.asks.front(), self.answers.front());
            let ask_waits = ask.is_some_and(|ask| !ask.progress.over || ask.fate == AskFate::Open);
            match (ask, answer) {
                (Some(ask), Some(answer)) if answer.fate == AnswerFate::Answers(ask.id) => {
                    if !(ask.progress.over && answer.progress.over) {
                        break;
                    }
                    let (ask, answer) = (self.asks.pop_front(), self.answers.pop_front());
                    self.emit(ask, answer, connect_ns, out);
                }
                (Some(ask), _) if ask.fate == AskFate::Alone && !ask_waits => {
                    let ask = self.asks.pop_front();
                    self.emit(ask, None, connect_ns, out);
                }
                (_, Some(answer)) if answer.fate == AnswerFate::Alone && answer.progress.over => {
                    let answer = self.answers.pop_front();
                    self.emit(None, answer, connect_ns, out);
                }
                _ => break,
            }
        }
    }

    /// What was given up and what is still to come can't be told apart: no half that waits finds
    /// its other one any more.
    fn give_up_waiting(&mut self, connect_ns: Option<u64>, out: &mut Vec<Exchange>) {
        self.turn_blind();
        self.pass_decided(connect_ns, out);
        // Before the exchange that is going on, if there is one: it may do so for ever.
        let is_alone = |ask: &Ask| ask.fate == AskFate::Alone && ask.progress.over;
        while let Some(at) = self.asks.iter().position(is_alone) {
            let ask = self.asks.remove(at);
            self.emit(ask, None, connect_ns, out);
        }
        let is_alone = |it: &Answer| it.fate == AnswerFate::Alone && it.progress.over;
        while let Some(at) = self.answers.iter().position(is_alone) {
            let answer = self.answers.remove(at);
            self.emit(None, answer, connect_ns, out);
        }
    }

    fn emit(
        &mut self,
        ask: Option<Ask>,
        answer: Option<Answer>,
        connect_ns: Option<u64>,
        out: &mut Vec<Exchange>,
    ) {
        let mut anomalies = Anomalies::default();
        if let Some(ask) = &ask {
            self.memory -= ask.memory();
            anomalies.extend(ask.progress.anomalies);
        }
        if let Some(answer) = &answer {
            self.memory -= answer.memory();
            anomalies.extend(answer.progress.anomalies);
        }
        let (first, last) = match (&ask, &answer) {
            (Some(ask), Some(answer)) => (ask.start, &answer.progress),
            (Some(ask), None) => (ask.start, &ask.progress),
            (None, Some(answer)) => (answer.start, &answer.progress),
            (None, None) => return,
        };
        let network = last.network.since(first.arrival.network);
        let (request, mut interim) = match ask {
            Some(ask) => (Some(ask.message), ask.interim),
            None => (None, Interim::default()),
        };
        let response = answer.and_then(|answer| {
            interim.extend(answer.interim, &mut anomalies);
            answer.message
        });
        if request.is_none() && response.is_none() {
            return;
        }
        let connect_ns = connect_ns.filter(|_| self.next_index == 0);
        out.push(Exchange {
            index: self.next_index,
            timing: timing(request.as_ref(), response.as_ref(), connect_ns),
            request,
            response,
            informational: interim.heads,
            network,
            anomalies,
        });
        self.next_index += 1;
    }
}

impl Ask {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.progress.memory + self.interim.memory
    }
}

impl Answer {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.progress.memory + self.interim.memory
    }
}

fn timing(
    request: Option<&Message<RequestHead>>,
    response: Option<&Message<ResponseHead>>,
    connect_ns: Option<u64>,
) -> Timing {
    let ended = |state: Seen| matches!(state, Seen::Complete | Seen::Gap);
    let begun = |state: Seen| state != Seen::Midstream;
    let request_end = request.filter(|m| ended(m.state)).map(|m| m.last_byte);
    let response_end = response.filter(|m| ended(m.state)).map(|m| m.last_byte);
    let response_start = response.filter(|m| begun(m.state)).map(|m| m.first_byte);
    let between = |from: Option<Timestamp>, to: Option<Timestamp>| Some(to?.nanos_since(from?));
    Timing {
        connect_ns,
        request_ns: between(request.map(|m| m.first_byte), request_end),
        wait_ns: between(request_end, response_start),
        response_ns: between(response_start, response_end),
        total_ns: between(request.map(|m| m.first_byte), response_end),
    }
}
