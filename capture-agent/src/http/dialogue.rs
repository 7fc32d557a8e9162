//! Which response answers which request.
//!
//! Follows RFC 9112 section 9.3: responses come in the order of their requests. Where bytes were
//! lost that order does not tell, and causality has to: a response acknowledges the first byte of
//! the request that it answers, and begins no sooner than where the client had acknowledged to
//! when it sent that request. Invariant: where neither order nor causality tells, the response
//! and the requests in doubt stay alone.

use std::collections::VecDeque;

use super::exchange::{Anomalies, Anomaly, Exchange, Message, State as Seen, Timing};
use super::head::{RequestHead, ResponseHead};
use super::parser::Start;
use crate::segment::Timestamp;

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) message: Message<RequestHead>,
    pub(super) start: Start,
    /// Whether no more of it will come.
    pub(super) over: bool,
    /// Requests before this one were lost, so that a response may be to one of them.
    pub(super) in_doubt: bool,
}

#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) request: Option<Waiting>,
    pub(super) response: Option<Message<ResponseHead>>,
    pub(super) response_over: bool,
    pub(super) informational: Vec<ResponseHead>,
    pub(super) anomalies: Anomalies,
    /// Bytes of memory beyond its own size.
    pub(super) memory: usize,
}

impl Transaction {
    /// More of a message was kept, from a segment of which another copy may have differed.
    pub(super) fn note(&mut self, kept: usize, conflict: bool) {
        self.memory += kept;
        if conflict {
            self.anomalies.add(Anomaly::ConflictingCopies);
        }
    }

    fn is_over(&self) -> bool {
        self.response_over && self.request.as_ref().is_none_or(|request| request.over)
    }
}

/// A dialogue in which nobody waits, in little room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resting {
    next_index: u32,
    requests_lost: bool,
    responses_lost: bool,
    tunnel: bool,
}

impl Resting {
    /// A dialogue in which nobody has spoken.
    pub(super) const fn new() -> Self {
        Self { next_index: 0, requests_lost: false, responses_lost: false, tunnel: false }
    }

    /// Exchanges that have come out.
    pub(super) const fn exchanges(self) -> u32 {
        self.next_index
    }
}

/// The requests of a flow that wait for their responses, in order.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    /// The response that is being read, and any that came before it, belongs to the first one.
    pub(super) queue: VecDeque<Transaction>,
    next_index: u32,
    /// Requests were lost since the last one that was seen.
    pub(super) requests_lost: bool,
    /// Responses were lost, so that their order does not tell which request they answer.
    pub(super) responses_lost: bool,
    /// HTTP has ended on this flow.
    pub(super) tunnel: bool,
    /// Bytes of memory that the queue takes.
    pub(super) memory: usize,
}

impl Dialogue {
    /// Goes on from there; the queue is empty.
    pub(super) const fn resume(&mut self, resting: Resting) {
        let Resting { next_index, requests_lost, responses_lost, tunnel } = resting;
        self.next_index = next_index;
        self.requests_lost = requests_lost;
        self.responses_lost = responses_lost;
        self.tunnel = tunnel;
    }

    /// What is left of the dialogue where nobody waits.
    pub(super) fn rest(&self) -> Option<Resting> {
        let Self { next_index, requests_lost, responses_lost, tunnel, .. } = *self;
        let resting = Resting { next_index, requests_lost, responses_lost, tunnel };
        self.queue.is_empty().then_some(resting)
    }

    /// Requests that there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Bytes of memory that the dialogue takes beyond its own size.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    /// Whether HTTP has ended on this flow, by an upgrade or as a tunnel.
    #[must_use]
    pub(super) const fn is_tunnel(&self) -> bool {
        self.tunnel
    }

    /// The flow is gone: what waits comes out as it is.
    pub(super) fn close(&mut self, seen: Seen, connect_ns: Option<u64>, out: &mut Vec<Exchange>) {
        for transaction in &mut self.queue {
            if let Some(request) = transaction.request.as_mut().filter(|request| !request.over) {
                request.message.state = seen;
            }
            let response = transaction.response.as_mut();
            if let Some(response) = response.filter(|_| !transaction.response_over) {
                response.state = seen;
            }
        }
        while !self.queue.is_empty() {
            self.emit_first(connect_ns, out);
        }
    }

    pub(super) fn emit_first(&mut self, connect_ns: Option<u64>, out: &mut Vec<Exchange>) {
        let Some(transaction) = self.queue.pop_front() else { return };
        self.memory -= size_of::<Transaction>() + transaction.memory;
        let request = transaction.request.map(|waiting| waiting.message);
        let response = transaction.response;
        if request.is_none() && response.is_none() {
            return;
        }
        let connect_ns = connect_ns.filter(|_| self.next_index == 0);
        let timing = timing(request.as_ref(), response.as_ref(), connect_ns);
        out.push(Exchange {
            index: self.next_index,
            request,
            response,
            informational: transaction.informational,
            timing,
            anomalies: transaction.anomalies,
        });
        self.next_index += 1;
    }

    pub(super) fn emit_finished(&mut self, connect_ns: Option<u64>, out: &mut Vec<Exchange>) {
        while self.queue.front().is_some_and(Transaction::is_over) {
            self.emit_first(connect_ns, out);
        }
    }

    /// Brings the transaction that a response at `start` belongs to to the front.
    pub(super) fn find_request(
        &mut self,
        start: Start,
        connect_ns: Option<u64>,
        out: &mut Vec<Exchange>,
    ) {
        // An early answer ends its request's turn, however much of the request is still to come.
        if self.queue.front().is_some_and(|first| first.response.is_some()) {
            self.emit_first(connect_ns, out);
        }
        if self.responses_lost {
            self.leave_unanswered(start, connect_ns, out);
        }
        let in_doubt = self
            .queue
            .front()
            .and_then(|first| first.request.as_ref())
            .is_some_and(|request| request.in_doubt && is_answered_by(request, start));
        if in_doubt {
            self.emit_first(connect_ns, out);
        }
        let fits = self.queue.front().is_some_and(|first| match &first.request {
            Some(request) => is_answered_by(request, start),
            // An interim response to a request that was not seen has come before.
            None => true,
        });
        if !fits {
            self.memory += size_of::<Transaction>();
            self.queue.push_front(Transaction::default());
        }
    }

    /// After lost responses: lets go the requests that one of those may have answered.
    fn leave_unanswered(&mut self, start: Start, connect_ns: Option<u64>, out: &mut Vec<Exchange>) {
        loop {
            let mut requests = self.queue.iter().filter_map(|waiting| waiting.request.as_ref());
            let (Some(first), second) = (requests.next(), requests.next()) else { break };
            let Some(second) = second.filter(|second| is_answered_by(second, start)) else { break };
            // The client had a response between the two, so the first one's answer is behind.
            // Had it not, either may be meant: both stay alone.
            let pipelined = second.start.mark.acked <= first.start.mark.acked;
            self.emit_first(connect_ns, out);
            let mut left = self.queue.iter_mut().filter_map(|waiting| waiting.request.as_mut());
            if let Some(second) = left.next().filter(|_| pipelined) {
                second.in_doubt = true;
            }
        }
        let mut left = self.queue.iter_mut().filter_map(|waiting| waiting.request.as_mut());
        // A request was lost too: the one that is left may have had its answer before.
        if let (Some(only), None) = (left.next(), left.next()) {
            only.in_doubt |= self.requests_lost;
        }
        self.responses_lost = false;
    }

    pub(super) fn current_request(&mut self) -> Option<&mut Transaction> {
        let last = self.queue.back_mut()?;
        last.request.as_ref().is_some_and(|request| !request.over).then_some(last)
    }

    pub(super) fn current_response(&mut self) -> Option<&mut Transaction> {
        let first = self.queue.front_mut()?;
        (first.response.is_some() && !first.response_over).then_some(first)
    }
}

/// Whether causality lets a response that starts there answer this request.
fn is_answered_by(request: &Waiting, response: Start) -> bool {
    request.start.offset < response.mark.acked && request.start.mark.acked <= response.offset
}

fn timing(
    request: Option<&Message<RequestHead>>,
    response: Option<&Message<ResponseHead>>,
    connect_ns: Option<u64>,
) -> Timing {
    let whole = |state: Seen| matches!(state, Seen::Complete | Seen::Gap);
    let request_end = request.filter(|m| whole(m.state)).map(|m| m.last_byte);
    let response_end = response.filter(|m| whole(m.state)).map(|m| m.last_byte);
    let between = |from: Option<Timestamp>, to: Option<Timestamp>| Some(to?.nanos_since(from?));
    Timing {
        connect_ns,
        request_ns: between(request.map(|m| m.first_byte), request_end),
        wait_ns: between(request_end, response.map(|m| m.first_byte)),
        response_ns: between(response.map(|m| m.first_byte), response_end),
        total_ns: between(request.map(|m| m.first_byte), response_end),
    }
}
