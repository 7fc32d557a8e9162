//! Writes down what the parsers find: messages of a dialogue, as they grow and end.

use super::HttpRules;
use super::dialogue::{Dialogue, Transaction, Waiting};
use super::exchange::{Anomalies, Anomaly, Body, Exchange, Message, State as Seen};
use super::framing::{self, Framing};
use super::head::{RequestHead, ResponseHead};
use super::parser::{Handler, Start};
use crate::segment::Timestamp;

/// Most requests of one flow that may wait for their responses: stops a client that only asks.
const MAX_WAITING: usize = 1024;

/// What the two handlers below share: the flow's dialogue, and where its exchanges go.
#[derive(Debug)]
pub(super) struct Scribe<'a> {
    /// The flow's dialogue.
    dialogue: &'a mut Dialogue,
    /// How many bytes of each body are kept.
    keep: usize,
    /// Whether another copy of the bytes that come now differed.
    conflict: bool,
    /// How long the flow took to open, where that was seen.
    connect_ns: Option<u64>,
    /// Where finished exchanges go.
    out: &'a mut Vec<Exchange>,
}

impl<'a> Scribe<'a> {
    pub(super) const fn new(
        dialogue: &'a mut Dialogue,
        rules: &HttpRules,
        conflict: bool,
        connect_ns: Option<u64>,
        out: &'a mut Vec<Exchange>,
    ) -> Self {
        Self { dialogue, keep: rules.keep_body_bytes, conflict, connect_ns, out }
    }
}

fn open_message<H>(head: H, start: Start, last_byte: Timestamp) -> Message<H> {
    Message {
        head,
        body: Body::default(),
        // Until it is known better.
        state: Seen::Open,
        lost_bytes: 0,
        first_byte: start.mark.time,
        last_byte,
    }
}

impl<H> Message<H> {
    /// Takes bytes of the body; returns how many were kept.
    fn content(&mut self, bytes: &[u8], time: Timestamp, keep: usize) -> usize {
        self.last_byte = self.last_byte.max(time);
        self.body.push(bytes, keep)
    }

    fn end(&mut self, time: Timestamp) {
        self.last_byte = self.last_byte.max(time);
        self.state = if self.lost_bytes > 0 { Seen::Gap } else { Seen::Complete };
    }
}

/// Takes what is found in the client's direction.
#[derive(Debug)]
pub(super) struct Requests<'a>(pub(super) Scribe<'a>);

impl Handler<RequestHead> for Requests<'_> {
    fn head(&mut self, head: RequestHead, start: Start, last_byte: Timestamp) -> Framing {
        let dialogue = &mut *self.0.dialogue;
        if dialogue.queue.len() >= MAX_WAITING {
            dialogue.emit_first(self.0.connect_ns, self.0.out);
        }
        let mut anomalies = Anomalies::default();
        let framing = framing::of_request(&head, &mut anomalies);
        let in_doubt = std::mem::take(&mut dialogue.requests_lost);
        if self.0.conflict {
            anomalies.add(Anomaly::ConflictingCopies);
        }
        let memory = head.head().memory();
        let message = open_message(head, start, last_byte);
        dialogue.memory += size_of::<Transaction>() + memory;
        dialogue.queue.push_back(Transaction {
            request: Some(Waiting { message, start, over: false, in_doubt }),
            anomalies,
            memory,
            ..Transaction::default()
        });
        framing
    }

    fn content(&mut self, bytes: &[u8], time: Timestamp) {
        let Scribe { keep, conflict, .. } = self.0;
        let Some(transaction) = self.0.dialogue.current_request() else { return };
        if let Some(request) = &mut transaction.request {
            let kept = request.message.content(bytes, time, keep);
            transaction.note(kept, conflict);
            self.0.dialogue.memory += kept;
        }
    }

    fn lost(&mut self, len: u64) {
        if let Some(request) = self.request() {
            request.message.lost_bytes += len;
        }
    }

    fn end(&mut self, time: Timestamp) {
        if let Some(request) = self.request() {
            request.message.end(time);
            request.over = true;
        }
        self.0.dialogue.emit_finished(self.0.connect_ns, self.0.out);
    }

    fn broken_off(&mut self, seen: Seen) {
        if let Some(request) = self.request() {
            request.message.state = seen;
            request.over = true;
        }
        self.0.dialogue.emit_finished(self.0.connect_ns, self.0.out);
    }

    fn anomaly(&mut self, anomaly: Anomaly) {
        if let Some(transaction) = self.0.dialogue.current_request() {
            transaction.anomalies.add(anomaly);
        }
    }

    fn out_of_step(&mut self) {
        self.0.dialogue.requests_lost = true;
    }
}

impl Requests<'_> {
    fn request(&mut self) -> Option<&mut Waiting> {
        self.0.dialogue.current_request()?.request.as_mut()
    }
}

/// Takes what is found in the server's direction.
#[derive(Debug)]
pub(super) struct Responses<'a>(pub(super) Scribe<'a>);

impl Handler<ResponseHead> for Responses<'_> {
    fn head(&mut self, head: ResponseHead, start: Start, last_byte: Timestamp) -> Framing {
        let dialogue = &mut *self.0.dialogue;
        dialogue.find_request(start, self.0.connect_ns, self.0.out);
        let Some(transaction) = dialogue.queue.front_mut() else { return Framing::Unknown };
        let method = transaction.request.as_ref().map(|request| request.message.head.method());
        let framing = framing::of_response(&head, method, &mut transaction.anomalies);
        // An interim response comes with its own size: there may be any number of them.
        let own = if framing == Framing::Interim { size_of::<ResponseHead>() } else { 0 };
        let memory = own + head.head().memory();
        transaction.note(memory, self.0.conflict);
        dialogue.memory += memory;
        if framing == Framing::Interim {
            transaction.informational.push(head);
            return framing;
        }
        transaction.response = Some(open_message(head, start, last_byte));
        dialogue.tunnel |= framing == Framing::Tunnel;
        framing
    }

    fn content(&mut self, bytes: &[u8], time: Timestamp) {
        let Scribe { keep, conflict, .. } = self.0;
        let Some(transaction) = self.0.dialogue.current_response() else { return };
        if let Some(response) = &mut transaction.response {
            let kept = response.content(bytes, time, keep);
            transaction.note(kept, conflict);
            self.0.dialogue.memory += kept;
        }
    }

    fn lost(&mut self, len: u64) {
        if let Some(response) = self.response() {
            response.lost_bytes += len;
        }
    }

    fn end(&mut self, time: Timestamp) {
        if let Some(transaction) = self.0.dialogue.current_response() {
            if let Some(response) = &mut transaction.response {
                response.end(time);
            }
            transaction.response_over = true;
        }
        self.0.dialogue.emit_finished(self.0.connect_ns, self.0.out);
    }

    fn broken_off(&mut self, seen: Seen) {
        if let Some(transaction) = self.0.dialogue.current_response() {
            if let Some(response) = &mut transaction.response {
                response.state = seen;
            }
            transaction.response_over = true;
        }
        self.0.dialogue.emit_finished(self.0.connect_ns, self.0.out);
    }

    fn anomaly(&mut self, anomaly: Anomaly) {
        if let Some(transaction) = self.0.dialogue.current_response() {
            transaction.anomalies.add(anomaly);
        }
    }

    fn out_of_step(&mut self) {
        self.0.dialogue.responses_lost = true;
    }
}

impl Responses<'_> {
    fn response(&mut self) -> Option<&mut Message<ResponseHead>> {
        self.0.dialogue.current_response()?.response.as_mut()
    }
}
