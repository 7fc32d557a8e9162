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
//!   otherwise (`Habits::slides`) is not counted on, and until it was seen to pipeline
//!   (`Habits::pipelines`) a turn is one request.
//! - Counting: in a turn that is over, requests and responses are as many. What comes before the
//!   first loss pairs from the front, what comes after the last one from the back.
//!
//! Invariant: where none of these tells, the response and the requests in doubt stay alone.

use super::anomaly::Anomaly;
use super::dialogue::{Answer, AnswerFate, Ask, AskFate, Dialogue};
use super::parser::Start;

impl Dialogue {
    /// A request begins: settles what came before its turn. Returns whether requests may have been
    /// lost that belong to it or come before it and have no answer yet.
    pub(super) fn loss_before(&mut self, start: Start) -> bool {
        let lost = std::mem::take(&mut self.requests_lost);
        let waits = self.is_anything_open();
        let last_acked = self.asks.back().map(|ask| ask.start.arrival.mark.acked);
        let same_turn = last_acked.is_some_and(|last| start.arrival.mark.acked <= last);
        if same_turn {
            self.habits.pipelines = true;
        } else if waits {
            self.end_turn(start.arrival.mark.acked, lost);
        }
        if lost && self.habits.slides {
            self.turn_blind();
        }
        // A lost request of an earlier turn has had its answer; one of this turn had not.
        let answered_before = std::mem::take(&mut self.unasked) > 0 && !same_turn;
        lost && !answered_before
    }

    /// A response begins: finds the request that it answers, if that can be told already.
    pub(super) fn find_request(&mut self) {
        let Some(answer) = self.answers.back() else { return };
        let (start, after_loss) = (answer.start, answer.after_loss);
        if self.habits.blind {
            return self.decide(None);
        }
        let doubt = self.answers.iter().rev().skip(1).any(Answer::is_undecided);
        let Some(first) = self.asks.iter().find(|ask| ask.is_open()) else {
            return self.decide(None);
        };
        let answers_first = first.is_answered_by(start);
        // A response that was lost before it can't have begun before the turn of the request.
        let lost_answer = after_loss && start.offset > first.start.arrival.mark.acked;
        if doubt || first.after_loss || (lost_answer && self.habits.pipelines) {
            self.pair_if_as_many();
        } else if lost_answer && self.requests_lost {
            // It may be to the request, or to one that was lost.
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
        if self.habits.pipelines || self.habits.slides {
            // Whether all of the turn was answered is not known.
            self.settle_rest();
        } else {
            let lost = std::mem::take(&mut self.requests_lost);
            self.end_turn(u64::MAX, lost);
        }
    }

    fn is_anything_open(&self) -> bool {
        self.asks.iter().any(Ask::is_open) || self.answers.iter().any(Answer::is_undecided)
    }

    /// The client has heard until `acked` and speaks: what it had asked for was answered before.
    fn end_turn(&mut self, acked: u64, requests_lost: bool) {
        let undecided = || self.answers.iter().filter(|answer| answer.is_undecided());
        let late = undecided().any(|answer| answer.start.offset >= acked);
        let lossless = !requests_lost
            && !self.responses_lost
            && undecided().next().is_none()
            && self.asks.iter().all(|ask| !ask.after_loss)
            && acked < u64::MAX;
        // If it has not waited nothing can be counted.
        self.habits.slides |= late || lossless;
        if lossless {
            return;
        }
        if late {
            return self.turn_blind();
        }
        if !self.habits.slides && !requests_lost && !self.responses_lost {
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
            if ask.after_loss || answer.after_loss {
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
        if self.requests_lost || open().any(|ask| ask.after_loss) || asked != answered {
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
            self.unasked += 1;
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
            self.unasked = self.unasked.saturating_sub(1);
        }
    }

    /// The last response answers this request, or none that was seen.
    fn decide(&mut self, id: Option<u32>) {
        let Some(answer) = self.answers.back_mut() else { return };
        let Some(ask) = self.asks.iter_mut().find(|ask| Some(ask.id) == id) else {
            answer.fate = AnswerFate::Alone;
            self.unasked += 1;
            if !self.requests_lost && !self.habits.blind && !answer.after_loss {
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
    fn is_undecided(&self) -> bool {
        self.fate == AnswerFate::Undecided
    }
}
