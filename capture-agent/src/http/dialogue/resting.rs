//! What is remembered of a dialogue while nobody waits: a few bytes, for there may be a million of
//! them.

use super::Dialogue;
use crate::http::parser::Loss;

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
pub(in crate::http) struct Resting {
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
    pub(in crate::http) const fn new(requests_lost: bool, responses_lost: bool) -> Self {
        let flags = if requests_lost { Self::REQUESTS_LOST | Self::LOSS_IS_PARTIAL } else { 0 }
            | if responses_lost { Self::RESPONSES_LOST } else { 0 };
        Self { next_index: 0, unasked_end: 0, unasked_count: 0, flags }
    }

    /// Exchanges that have come out.
    pub(in crate::http) const fn exchanges(self) -> u32 {
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

impl Dialogue {
    /// Goes on from there; nobody waits.
    pub(in crate::http) const fn resume(&mut self, resting: Resting) {
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

    /// What is left of the dialogue where nobody waits, and the server has spoken until there.
    pub(in crate::http) fn rest(&self, answered_until: u64) -> Option<Resting> {
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
}
