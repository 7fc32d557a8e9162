//! Which response answers which request.
//!
//! Follows RFC 9112 section 9.3: responses come in the order of their requests. Where messages were
//! lost that order does not tell, and three things have to:
//!
//! - Causality: a response begins where its sender has the first byte of the request, and no sooner
//!   than where the client had acknowledged to when it sent that request.
//! - Turns: a client that has heard something new since it last spoke, and speaks, has heard all
//!   that it had asked for. So requests that were sent with the same acknowledgement are one turn,
//!   and their responses begin before the acknowledgement of the next. A client that was seen to do
//!   otherwise (`Habits::slides`) is not counted on, nor one that pipelines (`Habits::pipelines`)
//!   and was not seen to wait (`Habits::waits`). Until it was seen to pipeline a turn is one request.
//! - Counting: in a turn that is over, requests and responses are as many. What comes before the
//!   first loss pairs from the front, what comes after the last one from the back.
//!
//! Invariant: where none of these tells, the response and the requests in doubt stay alone. One thing
//! can't be known: a client that pipelines, and of whose requests just those were lost that would
//! have shown it, looks like one that does not.

use super::Dialogue;
use super::message::{Answer, AnswerFate, Ask, AskFate};
use crate::http::anomaly::Anomaly;
use crate::http::exchange::State;
use crate::http::parser::{Loss, Start};

impl Dialogue {
    /// A request begins, when the server has spoken until there: settles what came before its turn.
    /// Returns whether requests were lost that belong to it, or come before it and have no answer
    /// yet.
    pub(super) fn loss_before(&mut self, start: Start, answered_until: u64) -> Loss {
        let lost = std::mem::take(&mut self.requests_lost);
        let acked = start.arrival.mark.acked;
        let last_acked = self.asks.back().map(|ask| ask.start.arrival.mark.acked);
        let same_turn = last_acked.is_some_and(|last| acked <= last);
        let has_waited = acked >= answered_until;
        if same_turn {
            self.habits.pipelines = true;
        } else if self.is_anything_open() {
            self.end_turn(has_waited, lost);
        } else {
            self.habits.waits |= self.habits.pipelines && has_waited && lost == Loss::None;
        }
        if lost > Loss::None && self.habits.slides {
            self.turn_blind();
        }
        // A lost request of an earlier turn has had its answer; one of this turn had not.
        let heard = std::mem::take(&mut self.unasked).are_heard(acked).map(|all| all && has_waited);
        self.habits.pipelines |= match heard {
            Some(all) => lost > Loss::None && !all,
            // The lost one had no answer when this one was sent.
            None => lost == Loss::Certain,
        };
        match (same_turn, heard) {
            (false, Some(true)) if !self.habits.pipelines => Loss::None,
            // One of them had; there may have been others.
            (false, Some(true)) => lost.min(Loss::Unseen),
            _ => lost,
        }
    }

    /// A response begins: finds the request that it answers, if that can be told already.
    pub(super) fn find_request(&mut self) {
        let Some(answer) = self.answers.back() else { return };
        let (start, after_loss) = (answer.start, answer.after_loss);
        if self.habits.blind {
            return self.decide(None);
        }
        let doubt = self.answers.iter().rev().skip(1).any(Answer::is_undecided);
        self.habits.pipelines |= self.shows_pipelining(start, after_loss);
        let Some(first) = self.asks.iter().find(|ask| ask.is_open()) else {
            return self.decide(None);
        };
        let answers_first = first.is_answered_by(start);
        let pipelined = self.habits.pipelines && (after_loss || first.after_loss > Loss::None);
        if doubt || pipelined || first.after_loss > Loss::Possible {
            self.pair_if_as_many();
        } else if after_loss && (self.requests_lost > Loss::None || self.may_answer_unread(start)) {
            // It may be to the request, or to one that was lost, or is not whole yet.
            self.leave_open_asks_alone();
            self.decide(None);
        } else if answers_first {
            let id = first.id;
            self.decide(Some(id));
        } else {
            self.decide(None);
        }
    }

    /// The flow is gone, and with it the last turn.
    pub(super) fn settle_at_end(&mut self) {
        // Whether all of a turn was answered is known only where a turn is one request.
        if !self.habits.pipelines && !self.habits.slides {
            let lost = std::mem::take(&mut self.requests_lost);
            self.end_turn(true, lost);
        }
        self.settle_rest();
    }

    /// Whether a response that starts there may answer a request whose head was not seen whole.
    fn may_answer_unread(&self, start: Start) -> bool {
        self.asking.is_some_and(|offset| offset < start.arrival.mark.acked)
    }

    /// Whether a response that starts there is not all that the client waited for: another began
    /// with the same acknowledgement, or its server had more by then than the request.
    fn shows_pipelining(&self, start: Start, after_loss: bool) -> bool {
        let acked = start.arrival.mark.acked;
        let earlier = self.answers.iter().rev().nth(1).filter(|answer| answer.has_begun());
        let same = earlier.is_some_and(|last| last.start.arrival.mark.acked == acked);
        let first = self.asks.iter().find(|ask| ask.is_open());
        // FIN is acknowledged like a byte.
        let more = first.and_then(|first| first.end).is_some_and(|end| acked > end + 1);
        same || (more && !after_loss)
    }

    /// Whether responses that were lost before one that starts there can have answered what is open.
    pub(super) fn may_have_lost_answers_before(&self, start: Start) -> bool {
        let first = self.asks.iter().find(|ask| ask.is_open());
        first.is_none_or(|first| start.offset > first.start.arrival.mark.acked)
    }

    fn is_anything_open(&self) -> bool {
        self.asks.iter().any(Ask::is_open) || self.answers.iter().any(Answer::is_undecided)
    }

    /// The client has heard something new and speaks, or is gone: if it has waited, what it had
    /// asked for was answered before.
    fn end_turn(&mut self, has_waited: bool, requests_lost: Loss) {
        let undecided = self.answers.iter().filter(|answer| answer.is_undecided()).count();
        let open = self.asks.iter().filter(|ask| ask.is_open());
        let certain = open.clone().filter(|ask| ask.after_loss == Loss::Certain).count();
        let asked = open.clone().count() + certain;
        let losses = [requests_lost].into_iter().chain(open.map(|ask| ask.after_loss)).max();
        let responses_lost = self.responses_lost || self.answers.iter().any(|it| it.after_loss);
        let lossless = undecided == 0 && !responses_lost && losses <= Some(Loss::None);
        if lossless {
            // Nothing was lost: the client speaks while it waits for an answer.
            self.habits.slides = true;
            return;
        }
        let trusted = self.habits.waits || !self.habits.pipelines;
        if !has_waited || !trusted || (undecided < asked && !responses_lost) {
            self.habits.slides = true;
            return self.turn_blind();
        }
        if !self.habits.slides && requests_lost == Loss::None && !self.responses_lost {
            self.pair_from_back();
        }
        self.settle_rest();
    }

    /// Pairs what comes after the last loss, from the back.
    fn pair_from_back(&mut self) {
        let mut asks = self.asks.iter_mut().rev().filter(|ask| ask.is_open());
        let mut answers = self.answers.iter_mut().rev().filter(|answer| answer.is_undecided());
        while let (Some(ask), Some(answer)) = (asks.next(), answers.next()) {
            if !ask.is_answered_by(answer.start) {
                break;
            }
            ask.fate = AskFate::Answered;
            answer.fate = AnswerFate::Answers(ask.id);
            if ask.after_loss > Loss::None || answer.after_loss {
                break;
            }
        }
    }

    /// Pairs what is open where there are as many responses as there can be requests to them.
    fn pair_if_as_many(&mut self) {
        let Some(last) = self.answers.back().map(|answer| answer.start) else { return };
        let open = || self.asks.iter().filter(|ask| ask.is_open() && ask.is_answered_by(last));
        let asked = open().count();
        let answered = self.answers.iter().filter(|answer| answer.is_undecided()).count();
        let lost = self.requests_lost > Loss::None || open().any(|it| it.after_loss > Loss::None);
        if lost || asked != answered {
            return;
        }
        let mut asks = self.asks.iter_mut().filter(|ask| ask.is_open());
        for answer in self.answers.iter_mut().filter(|answer| answer.is_undecided()) {
            let Some(ask) = asks.next().filter(|ask| ask.is_answered_by(answer.start)) else {
                break;
            };
            ask.fate = AskFate::Answered;
            answer.fate = AnswerFate::Answers(ask.id);
        }
    }

    /// Nothing more can be told of what is open.
    fn settle_rest(&mut self) {
        self.leave_open_asks_alone();
        for answer in self.answers.iter_mut().filter(|answer| answer.is_undecided()) {
            answer.fate = AnswerFate::Alone;
            self.unasked.add(answer.start.offset);
        }
    }

    /// After a loss, of a client that does not wait, nothing more can be told.
    pub(super) fn turn_blind(&mut self) {
        self.habits.blind = true;
        self.settle_rest();
    }

    fn leave_open_asks_alone(&mut self) {
        for ask in self.asks.iter_mut().filter(|ask| ask.is_open()) {
            ask.fate = AskFate::Alone;
            // One of the responses that were lost was to it.
            self.unasked.subtract();
        }
    }

    /// The last response answers this request, or none that was seen.
    fn decide(&mut self, id: Option<u32>) {
        let Some(answer) = self.answers.back_mut() else { return };
        let Some(ask) = self.asks.iter_mut().find(|ask| Some(ask.id) == id) else {
            answer.fate = AnswerFate::Alone;
            self.unasked.add(answer.start.offset);
            if self.requests_lost == Loss::None && !self.habits.blind && !answer.after_loss {
                answer.progress.anomalies.add(Anomaly::ResponseBeforeRequest);
            }
            return;
        };
        answer.fate = AnswerFate::Answers(ask.id);
        ask.fate = AskFate::Answered;
    }
}

impl Ask {
    fn is_open(&self) -> bool {
        self.fate == AskFate::Open
    }

    /// Whether causality lets a response that starts there answer this request.
    pub(super) const fn is_answered_by(&self, response: Start) -> bool {
        let (asked, answered) = (self.start.arrival.mark, response.arrival.mark);
        self.start.offset < answered.acked && asked.acked <= response.offset
    }
}

impl Answer {
    /// Whether its beginning was seen.
    fn has_begun(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.state != State::Midstream)
    }

    fn is_undecided(&self) -> bool {
        self.fate == AnswerFate::Undecided
    }
}
