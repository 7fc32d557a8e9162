//! What one side says in an exchange, in the parts that go into a segment each.

use std::ops::Range;

use crate::segment::{TcpFlags, Timestamp};

/// Bytes of a segment at most, so that it fits into an IP packet.
const SEGMENT_BYTES: usize = 65_000;
/// Segments that at most stand for bytes that are not here, before what is between them is passed
/// over: stops a file that grows by what it does not have.
const CUT_SEGMENTS: u64 = 16;
/// Bytes that are passed over at a time, with the segment after them: a reader that finds more
/// missing at once may take what follows for another connection.
const STEP_BYTES: u64 = 8 << 20;

/// What goes into a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) time: Timestamp,
    /// Sequence numbers that are passed over before it.
    pub(super) skipped: u32,
    bytes: Range<usize>,
    /// Bytes after those that it had and that are not here.
    pub(super) left_out: u32,
    /// How its sender ends there: FIN or RST, if it does.
    pub(super) end: TcpFlags,
    /// Whether its receiver acknowledges it at once.
    pub(super) is_acknowledged: bool,
}

impl Part {
    /// One without anything, after so many bytes.
    const fn new(time: Timestamp, at: usize) -> Self {
        let (bytes, end) = (at..at, TcpFlags(0));
        Self { time, skipped: 0, bytes, left_out: 0, end, is_acknowledged: false }
    }
}

/// What one side says.
#[derive(Debug, Default)]
pub(super) struct Talk {
    bytes: Vec<u8>,
    parts: Vec<Part>,
}

impl Talk {
    /// When the last part is said.
    pub(super) fn last_time(&self) -> Option<Timestamp> {
        self.parts.last().map(|last| last.time)
    }

    /// Whether the sender has ended.
    fn is_over(&self) -> bool {
        self.parts.last().is_some_and(|last| last.end != TcpFlags(0))
    }

    /// The part that goes on at this time, with room for bytes; a new one if need be. Time does not
    /// go back.
    fn part(&mut self, time: Timestamp) -> &mut Part {
        let at = self.bytes.len();
        let time = self.last_time().map_or(time, |last| last.max(time));
        let goes_on = |last: &&Part| {
            last.time == time && last.left_out == 0 && last.bytes.len() < SEGMENT_BYTES
        };
        match self.parts.pop_if(|last| goes_on(&&*last)) {
            Some(last) => self.parts.push_mut(last),
            None => self.parts.push_mut(Part::new(time, at)),
        }
    }

    /// Says bytes.
    pub(super) fn say(&mut self, time: Timestamp, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_over() {
            let part = self.part(time);
            let room = SEGMENT_BYTES - part.bytes.len();
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            part.bytes.end += now.len();
            self.bytes.extend_from_slice(now);
            bytes = rest;
        }
    }

    /// Says so many bytes that are not here; the receiver hears of them.
    pub(super) fn leave_out(&mut self, time: Timestamp, mut len: u64) {
        if len == 0 || self.is_over() {
            return;
        }
        // With what was said last, so that nobody waits for the rest of it.
        if let Some(last) = self.parts.last_mut().filter(|last| last.left_out == 0) {
            let room = (SEGMENT_BYTES - last.bytes.len()) as u64;
            let now = room.min(if last.time < time { len - 1 } else { len });
            last.left_out = now as u32;
            len -= now;
        }
        while len > 0 {
            let part = self.cut_part(time);
            let step = if len > CUT_SEGMENTS * SEGMENT_BYTES as u64 {
                STEP_BYTES.min(len)
            } else {
                len.min(SEGMENT_BYTES as u64)
            };
            let left_out = step.min(SEGMENT_BYTES as u64);
            part.left_out = left_out as u32;
            part.skipped = (step - left_out) as u32;
            part.is_acknowledged = part.skipped > 0;
            len -= step;
        }
        if let Some(last) = self.parts.last_mut() {
            last.is_acknowledged = true;
        }
    }

    /// A part that has no bytes.
    fn cut_part(&mut self, time: Timestamp) -> &mut Part {
        let time = self.last_time().map_or(time, |last| last.max(time));
        self.parts.push_mut(Part::new(time, self.bytes.len()))
    }

    /// Says FIN or RST.
    pub(super) fn end(&mut self, time: Timestamp, how: TcpFlags) {
        if !self.is_over() {
            let last = self.parts.last_mut();
            // What a reset carries is no part of the stream (RFC 9293 section 3.5.3).
            let is_alone = |last: &&mut Part| last.is_acknowledged || how.rst();
            match last.filter(|last| last.time >= time && !is_alone(last)) {
                Some(last) => last.end = how,
                None => self.cut_part(time).end = how,
            }
        }
    }

    /// The parts, in their order.
    pub(super) fn take_parts(&mut self) -> std::iter::Peekable<std::vec::IntoIter<Part>> {
        std::mem::take(&mut self.parts).into_iter().peekable()
    }

    /// The bytes of a part.
    pub(super) fn bytes(&self, part: &Part) -> &[u8] {
        self.bytes.get(part.bytes.clone()).unwrap_or_default()
    }
}
