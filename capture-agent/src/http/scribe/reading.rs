//! A message that is being read: what is written down of it.
//!
//! Invariants: what was lost or left out is counted and has its place, up to a limit; a loss is
//! worse than what was left out on purpose.

use std::sync::Arc;

use crate::http::HttpRules;
use crate::http::anomaly::Anomaly;
use crate::http::dialogue::Progress;
use crate::http::exchange::{Body, Gap, Length, Message, Place, State as Seen};
use crate::http::head::{Fields, Parse};
use crate::http::intake::Intake;
use crate::http::parser::{Lost, Start};
use crate::http::streamed::{About, Streamed};
use crate::http::wire::{Keeping, Wire};
use crate::segment::{Missing, Timestamp};

/// Most gaps of one message whose places are kept: stops a body of nothing but holes.
const MAX_GAPS: usize = 64;

/// A message that is being read.
pub(super) struct Reading<'a, H> {
    pub(super) message: &'a mut Message<H>,
    pub(super) progress: &'a mut Progress,
    rules: &'a HttpRules,
}

pub(super) fn open_message<H>(head: H, start: Start, last_byte: Timestamp) -> Message<H> {
    Message {
        offset: start.offset,
        head,
        body: Body::default(),
        trailers: Fields::default(),
        // Until it is known better.
        state: Seen::Open,
        lost_bytes: 0,
        dropped_bytes: 0,
        elided_bytes: 0,
        gaps: Vec::new(),
        first_byte: start.arrival.mark.time,
        last_byte,
        is_untimed: false,
    }
}

impl<H: Parse> Reading<'_, H> {
    /// What the body is about is known where it is to be handed on as it comes in.
    pub(super) fn begin_body(&mut self, about: Option<About>) {
        let Self { message, progress, rules } = self;
        let Message { head, body, .. } = &mut **message;
        progress.anomalies.extend(head.common().anomalies());
        body.streamed = about.map(|about| Box::new(Streamed::new(Arc::new(about))));
        progress.intake = Intake::of(head, rules, body, &mut progress.anomalies);
        progress.keeping = Keeping::of(head, rules, body);
    }

    pub(super) fn content(&mut self, bytes: &[u8], time: Timestamp, conflict: bool) {
        let Self { message, progress, rules } = self;
        message.last_byte = message.last_byte.max(time);
        if conflict {
            progress.anomalies.add(Anomaly::ConflictingCopies);
        }
        let Progress { intake, anomalies, keeping, .. } = &mut **progress;
        if let Some(keeping) = keeping {
            keeping.push(bytes, time, &rules.head.redaction);
        }
        message.body.take(bytes, intake.as_mut(), rules, anomalies);
    }

    pub(super) fn lost(&mut self, lost: Lost) {
        let Self { message, progress, rules } = self;
        let Lost { place, bytes, missing, are_content, time } = lost;
        message.is_untimed |= missing != Missing::Unseen && time.is_none();
        let Message { head, body, lost_bytes, dropped_bytes, elided_bytes, .. } = &mut **message;
        let offset = match place {
            Place::Head => head.common().len().into(),
            Place::Body => body.wire_bytes + *lost_bytes + *elided_bytes,
        };
        if missing == Missing::Elided {
            *elided_bytes += bytes;
            if !are_content {
                body.length = Length::Unknown;
            }
        } else {
            *lost_bytes += bytes;
            *dropped_bytes += if missing == Missing::Dropped { bytes } else { 0 };
        }
        message.last_byte = message.last_byte.max(time.unwrap_or(message.last_byte));
        note_gap(&mut message.gaps, Gap { missing, place, offset, bytes });
        let Progress { intake, anomalies, keeping, .. } = &mut **progress;
        if let (Some(keeping), Place::Body) = (keeping, place) {
            keeping.gap(bytes, &rules.head.redaction);
        }
        let has_place = place == Place::Body && are_content && intake.is_none();
        if let Some(intake) = intake {
            intake.gap(rules, &mut message.body, anomalies);
        }
        if let Some(streamed) = &mut message.body.streamed {
            if has_place { streamed.pass_over(bytes) } else { streamed.stop() }
        }
        // From here on: what was decoded up to here stays.
        message.body.truncated |= missing == Missing::Elided && rules.keep_body_bytes > 0;
    }

    pub(super) fn took_up(&mut self, bytes: u64) {
        self.message.body.length = Length::InStream(bytes);
    }

    pub(super) fn end(&mut self, time: Timestamp) {
        let message = &mut *self.message;
        message.last_byte = message.last_byte.max(time);
        message.state = match (message.lost_bytes, message.elided_bytes) {
            (0, 0) => Seen::Complete,
            (0, _) => Seen::Elided,
            _ => Seen::Gap,
        };
        let is_whole = message.state == Seen::Complete;
        self.finish(is_whole);
    }

    pub(super) fn broken_off(&mut self, seen: Seen) {
        self.message.state = if self.message.lost_bytes > 0 { Seen::Gap } else { seen };
        self.message.is_untimed |= self.message.dropped_bytes > 0;
        self.finish(false);
    }

    fn finish(&mut self, whole: bool) {
        let Self { message, progress, rules } = self;
        progress.over = true;
        let body = &mut message.body;
        if body.length == Length::Counted {
            body.wire_bytes += message.elided_bytes;
        }
        if let Some(keeping) = progress.keeping.take() {
            body.wire = Some(Box::new(keeping.finish(&rules.head.redaction)));
        }
        match progress.intake.take() {
            Some(mut intake) => intake.finish(whole, rules, body, &mut progress.anomalies),
            None => body.bytes = (whole && body.decoded).then_some(body.wire_bytes),
        }
        if let Some(streamed) = &mut body.streamed {
            streamed.finish(whole);
        }
    }

    fn memory(&self) -> usize {
        let Message { head, body, trailers, gaps, .. } = &*self.message;
        let intake = self.progress.intake.as_ref().map_or(0, |intake| intake.memory());
        let keeping = self.progress.keeping.as_ref().map_or(0, |keeping| keeping.memory());
        let wire = body.wire.as_ref().map_or(0, |wire| size_of::<Wire>() + wire.memory()) + keeping;
        let gaps = gaps.capacity() * size_of::<Gap>();
        let streamed = body.streamed.as_ref().map_or(0, |streamed| streamed.memory());
        let held = body.content.capacity() + trailers.memory() + gaps + intake + wire + streamed;
        head.common().memory() + held
    }
}

/// What was left out or dropped bit by bit is one gap.
fn note_gap(gaps: &mut Vec<Gap>, gap: Gap) {
    let goes_on = |last: &&mut Gap| {
        let is_same = last.missing == gap.missing && last.place == gap.place;
        is_same && gap.missing != Missing::Unseen && last.offset + last.bytes == gap.offset
    };
    if let Some(last) = gaps.last_mut().filter(goes_on) {
        last.bytes += gap.bytes;
    } else if gaps.len() < MAX_GAPS {
        gaps.push(gap);
    }
}

/// Lets something happen to a message; returns the bytes of memory that it holds afterwards.
pub(super) fn read<H: Parse>(
    message: &mut Message<H>,
    progress: &mut Progress,
    rules: &HttpRules,
    act: impl FnOnce(&mut Reading<'_, H>),
) -> usize {
    let mut reading = Reading { message, progress, rules };
    act(&mut reading);
    let memory = reading.memory();
    progress.memory = memory;
    memory
}
