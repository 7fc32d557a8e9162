//! Requests and responses, from when they begin until they come out.

use crate::http::anomaly::{Anomalies, Anomaly};
use crate::http::exchange::{Message, Network, State as Seen, Timing};
use crate::http::head::{RequestHead, ResponseHead};
use crate::http::intake::Intake;
use crate::http::parser::{Loss, Start};
use crate::http::wire::Keeping;
use crate::segment::Timestamp;

/// Most interim responses that are kept with the final one: stops a server that never comes to it.
const MAX_INTERIM: usize = 64;

/// What a request has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum AskFate {
    /// Its response may still come.
    Open,
    /// Its response is there, or has begun.
    Answered,
    /// Its response was not seen, or can't be told.
    Alone,
}

/// What a response has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum AnswerFate {
    /// What it answers can't be told yet.
    Undecided,
    /// It answers this request.
    Answers(u32),
    /// What it answers was not seen, or can't be told.
    Alone,
}

/// A request.
#[derive(Debug)]
pub(in crate::http) struct Ask {
    /// Counts the requests of a dialogue.
    pub(in crate::http) id: u32,
    pub(in crate::http) message: Message<RequestHead>,
    pub(in crate::http) start: Start,
    /// Stream offset after its last byte, where that is known.
    pub(in crate::http) end: Option<u64>,
    pub(in crate::http) progress: Progress,
    /// Whether requests were lost that were sent before it, with no answer to them before.
    pub(in crate::http) after_loss: Loss,
    pub(in crate::http) fate: AskFate,
    /// Interim responses to it, of an answer that broke off after them.
    pub(in crate::http) interim: Interim,
}

/// Interim responses.
#[derive(Debug, Default)]
pub(in crate::http) struct Interim {
    pub(super) heads: Vec<ResponseHead>,
    /// Bytes of memory that they take.
    pub(super) memory: usize,
}

impl Interim {
    /// Adds one, if there is room.
    pub(super) fn add(&mut self, head: ResponseHead, anomalies: &mut Anomalies) {
        if self.heads.len() >= MAX_INTERIM {
            return anomalies.add(Anomaly::TooManyInterimResponses);
        }
        // With its own size: the room for them is not in the answer.
        self.memory += size_of::<ResponseHead>() + head.head().memory();
        self.heads.push(head);
    }

    pub(super) fn extend(&mut self, later: Self, anomalies: &mut Anomalies) {
        later.heads.into_iter().for_each(|head| self.add(head, anomalies));
    }
}

/// A response, interim ones before it included.
#[derive(Debug)]
pub(in crate::http) struct Answer {
    /// `None` while only interim responses have come.
    pub(in crate::http) message: Option<Message<ResponseHead>>,
    pub(in crate::http) interim: Interim,
    /// Of the first of them.
    pub(in crate::http) start: Start,
    pub(in crate::http) progress: Progress,
    /// Whether responses may have been lost that were sent before it.
    pub(in crate::http) after_loss: bool,
    pub(in crate::http) fate: AnswerFate,
}

/// How far the reading of a message has come.
#[derive(Debug)]
pub(in crate::http) struct Progress {
    /// Whether no more of it will come.
    pub(in crate::http) over: bool,
    pub(in crate::http) anomalies: Anomalies,
    /// What its body goes through, while it comes in.
    pub(in crate::http) intake: Option<Box<Intake>>,
    /// Keeps its body as it is on the wire, where that is wanted.
    pub(in crate::http) keeping: Option<Box<Keeping>>,
    /// What the network had done to the flow when it was last heard of.
    pub(in crate::http) network: Network,
    /// Bytes of memory of what it holds.
    pub(in crate::http) memory: usize,
}

impl Progress {
    pub(super) fn new(start: Start, memory: usize) -> Self {
        Self {
            over: false,
            anomalies: Anomalies::default(),
            intake: None,
            keeping: None,
            network: start.arrival.network,
            memory,
        }
    }

    /// Whether bytes of the body are neither decoded nor kept.
    pub(in crate::http) const fn is_only_counted(&self) -> bool {
        self.intake.is_none() && self.keeping.is_none()
    }
}

impl Ask {
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.progress.memory + self.interim.memory
    }
}

impl Answer {
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.progress.memory + self.interim.memory
    }
}

/// Where the time of an exchange went.
pub(super) fn timing(
    request: Option<&Message<RequestHead>>,
    response: Option<&Message<ResponseHead>>,
    connect_ns: Option<u64>,
) -> Timing {
    fn has_end<H>(message: &&Message<H>) -> bool {
        let ended = matches!(message.state, Seen::Complete | Seen::Gap | Seen::Elided);
        ended && !message.is_untimed
    }
    let begun = |state: Seen| state != Seen::Midstream;
    let request_end = request.filter(has_end).map(|m| m.last_byte);
    let response_end = response.filter(has_end).map(|m| m.last_byte);
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
