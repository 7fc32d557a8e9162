//! The requests and the responses of a flow, from when they begin until they come out as exchanges.
//!
//! Follows RFC 9112 section 9.3. Which response answers which request is told in [`pairing`].
//! Invariants: exchanges come out once both halves are over, in the order of their responses; what
//! waits is bounded.

mod message;
mod pairing;
mod resting;

use std::collections::VecDeque;

use super::anomaly::Anomalies;
use super::exchange::{Exchange, Message, Network, State as Seen};
use super::head::{RequestHead, ResponseHead};
use super::parser::{Loss, Start};
use message::{Answer, Ask, AskFate, Interim, timing};
pub(super) use message::{AnswerFate, Progress};
pub(super) use resting::Resting;
use resting::{Habits, Unasked};

/// Most messages of one direction that may wait for their other half: stops a client that only asks.
const MAX_WAITING: usize = 1024;

/// Most bytes of memory that they may take, beside the bodies that were asked for, unless it is one
/// exchange alone that does: stops a client that asks at length.
const MAX_WAITING_BYTES: usize = 8 << 20;

/// What was said on a flow and has not come out yet.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    pub(super) asks: VecDeque<Ask>,
    pub(super) answers: VecDeque<Answer>,
    habits: Habits,
    /// Whether requests were lost since the last one that was seen.
    pub(super) requests_lost: Loss,
    /// Responses may have been lost since the last one that was seen.
    responses_lost: bool,
    unasked: Unasked,
    /// Where a request begins whose head is not whole yet.
    asking: Option<u64>,
    next_ask: u32,
    next_index: u32,
    /// Bytes of memory that the messages take.
    memory: usize,
}

impl Dialogue {
    /// Exchanges that have come out.
    pub(super) const fn exchanges(&self) -> u32 {
        self.next_index
    }

    /// Messages that there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.asks.capacity().max(self.answers.capacity())
    }

    /// Bytes of memory that the dialogue takes beyond its own size.
    pub(super) fn memory(&self) -> usize {
        // What waits is counted with its own size; there may be room for more.
        let asks = self.asks.capacity() - self.asks.len();
        let answers = self.answers.capacity() - self.answers.len();
        self.memory + asks * size_of::<Ask>() + answers * size_of::<Answer>()
    }

    /// A request has begun; the server has spoken until there.
    pub(super) fn ask(&mut self, message: Message<RequestHead>, start: Start, answered_until: u64) {
        let after_loss = self.loss_before(start, answered_until);
        self.memory += size_of::<Ask>();
        if self.asks.capacity() == 0 {
            self.asks.reserve_exact(1); // most clients wait for each answer
        }
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
            if self.answers.capacity() == 0 {
                self.answers.reserve_exact(1);
            }
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

    /// Whether the client, which does not pipeline, waits for the answer to what it says now.
    pub(super) fn has_no_answer_to_last(&self) -> bool {
        let last = self.asks.back().filter(|_| !self.habits.pipelines);
        last.is_some_and(|last| last.fate == AskFate::Open || self.has_interim_alone(last.id))
    }

    /// Whether no more than interim responses have come to a request, if any.
    fn has_interim_alone(&self, id: u32) -> bool {
        let last = self.answers.back().filter(|last| last.fate == AnswerFate::Answers(id));
        last.is_some_and(|last| last.message.is_none())
    }

    /// Whether the client, when the server had spoken until there, has heard all of it and asked for
    /// more: a client that waits for its answers has had the one that it heard last.
    pub(super) fn has_heard(&self, answered_until: u64) -> bool {
        let is_new = |last: &&Ask| last.fate == AskFate::Open || last.fate == AskFate::Alone;
        let is_trusted = self.habits.waits || !self.habits.pipelines;
        let last = self.asks.back().filter(is_new).filter(|_| is_trusted && !self.habits.slides);
        last.is_some_and(|last| last.start.arrival.mark.acked >= answered_until)
    }

    /// Whether the request that is being read has its answer, or the first part of it.
    pub(super) fn is_being_answered(&self) -> bool {
        let last = self.asks.back().filter(|last| !last.progress.over);
        last.is_some_and(|last| last.fate == AskFate::Answered && !self.has_interim_alone(last.id))
    }

    /// Whether the last request wants to end HTTP, and has no answer yet.
    pub(super) fn awaits_tunnel(&self) -> bool {
        self.asks.back().filter(|last| last.fate == AskFate::Open).is_some_and(|last| {
            let head = &last.message.head;
            head.method() == b"CONNECT" || head.head().value("upgrade").is_some()
        })
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

    /// A request begins there of which more is to come.
    pub(super) const fn asking_since(&mut self, offset: Option<u64>) {
        self.asking = offset;
    }

    /// The client has spoken until there; its last request may be over.
    pub(super) fn asked_until(&mut self, offset: u64) {
        let lossless = self.requests_lost == Loss::None;
        let is_whole = |last: &&mut Ask| match last.message.state {
            Seen::Complete => true,
            // What was left out went on after its end, unless nothing else was lost.
            Seen::Elided => lossless,
            _ => false,
        };
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
        self.pass_decided(connect_ns, out);
    }

    /// Passes on what is over and decided, and what waits where that is too much; of each body so
    /// much is kept.
    pub(super) fn pass(
        &mut self,
        connect_ns: Option<u64>,
        keep_body_bytes: usize,
        out: &mut Vec<Exchange>,
    ) {
        self.pass_decided(connect_ns, out);
        let waiting = self.asks.len().max(self.answers.len());
        let max_bytes = MAX_WAITING_BYTES.saturating_add(keep_body_bytes.saturating_mul(4));
        if waiting > MAX_WAITING || (waiting > 1 && self.memory > max_bytes) {
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
