//! Whether what a segment says of its place can be believed.
//!
//! Follows RFC 9293 section 3.10.7.4 (a segment is acceptable in the window) and RFC 5961 section 5
//! (so is an acknowledgement). Somebody who only listens does not know the windows, and misses
//! segments that moved them; so what is too far away is kept aside, as a stray, until something
//! else agrees with it.
//!
//! Invariant: a stray has changed nothing of its stream.

use super::{MAX_AHEAD, Stream};
use crate::segment::{Segment, SeqNum, TcpFlags};

/// Bytes from where a stream is: what claims to be further away wants to be confirmed. Wide enough
/// for what gets lost at a time and for the windows that are in use, and little of the sequence
/// space: a forger must hit it, and so must a new connection that is to be taken for the old one.
pub const NEARBY: u32 = 16 << 20;

/// Strays kept of one direction: as many as prove something, and bounded for who sends many.
const MAX_STRAYS: usize = 3;

/// Where a sequence number lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing is known of the stream.
    Unknown,
    /// Where its stream is.
    Near,
    /// Further than [`NEARBY`]; or after the end.
    Far,
    /// So far that no loss and no delay explains it.
    Beyond,
}

/// A segment that lies too far away to be believed alone.
#[derive(Clone, Debug)]
pub struct Stray {
    segment: Segment<'static>,
    payload: Box<[u8]>,
    /// Segments in a row, each beginning where the one before ends, up to this one.
    pub run: u32,
}

impl Stray {
    /// Keeps a segment, or where it ends and what it acknowledges if its data is in place.
    #[must_use]
    pub fn new(segment: &Segment<'_>, is_in_place: bool, run: u32) -> Self {
        if is_in_place {
            let seq = segment.seq.plus(segment.seq_len());
            let flags = TcpFlags::ACK;
            let segment = Segment { seq, flags, payload: &[], wire_len: 0, ..*segment };
            return Self { segment, payload: Box::default(), run };
        }
        let payload = segment.payload.into();
        Self { segment: Segment { payload: &[], ..*segment }, payload, run }
    }

    /// The segment.
    #[must_use]
    pub fn segment(&self) -> Segment<'_> {
        Segment { payload: &self.payload, ..self.segment }
    }

    pub(super) fn cost(&self) -> usize {
        size_of::<Self>() + self.payload.len()
    }

    /// Whether another segment of its direction is of the same connection.
    #[must_use]
    pub fn agrees_with(&self, segment: &Segment<'_>) -> bool {
        are_near(self.end(), segment.seq) && are_near(self.segment.ack, segment.ack)
    }

    /// Whether a segment of the other direction is of the same connection: each acknowledges where
    /// the other one is.
    #[must_use]
    pub fn is_answered_by(&self, segment: &Segment<'_>) -> bool {
        are_near(self.end(), segment.ack) && are_near(self.segment.ack, segment.seq)
    }

    /// Whether it is this segment, as when a second interface shows it.
    #[must_use]
    pub fn is_copy_of(&self, segment: &Segment<'_>) -> bool {
        let end = segment.seq.plus(segment.seq_len());
        self.end() == end && self.segment.ack == segment.ack
    }

    /// Whether another segment of its direction says more than it did itself.
    #[must_use]
    pub fn is_followed_by(&self, segment: &Segment<'_>) -> bool {
        let end = segment.seq.plus(segment.seq_len());
        end - self.end() > 0 || segment.ack - self.segment.ack > 0
    }

    /// Sequence number after its last byte.
    #[must_use]
    pub fn end(&self) -> SeqNum {
        self.segment.seq.plus(self.segment.seq_len())
    }
}

fn are_near(one: SeqNum, other: SeqNum) -> bool {
    (one - other).unsigned_abs() <= NEARBY
}

impl Stream {
    /// Where sequence numbers lie: those of a segment, or those before an acknowledgement, which
    /// then is both `first` and `end`.
    #[must_use]
    pub fn place_of(&self, first: SeqNum, end: SeqNum) -> Place {
        if !self.anchored {
            return Place::Unknown;
        }
        // What is sent again was not acknowledged for long.
        let low = SeqNum(self.acked.0.wrapping_sub(NEARBY));
        let is_near = |next: SeqNum| {
            let high = next.plus(NEARBY);
            first.0.wrapping_sub(low.0) <= high.0.wrapping_sub(low.0)
        };
        if is_near(self.next) || self.held_end().is_some_and(is_near) {
            // FIN has a number of its own, and nothing comes after it.
            let is_over = self.fin_seen && end - self.fin > 1;
            return if is_over { Place::Far } else { Place::Near };
        }
        let far = (first - self.next).unsigned_abs();
        if far > MAX_AHEAD.unsigned_abs() { Place::Beyond } else { Place::Far }
    }

    /// The strays, in the order in which they came.
    #[must_use]
    pub fn strays(&self) -> &[Stray] {
        self.trouble.as_deref().map_or(&[], |trouble| &trouble.strays)
    }

    /// Keeps a stray; the oldest one goes if there are too many.
    pub fn keep_stray(&mut self, stray: Stray) {
        let trouble = self.trouble();
        let oldest = (trouble.strays.len() == MAX_STRAYS).then(|| trouble.strays.remove(0));
        trouble.strays.push(stray);
        if let Some(oldest) = oldest {
            self.book(&oldest);
        }
    }

    /// Takes out the strays that are no longer in doubt.
    pub fn take_strays(&mut self, is_proven: impl Fn(&Stray) -> bool) -> Vec<Stray> {
        let Some(trouble) = self.trouble.as_deref_mut() else { return Vec::new() };
        trouble.strays.extract_if(.., |stray| is_proven(stray)).collect()
    }

    /// Nobody has confirmed what strays say of their place.
    pub(super) fn forget_strays(&mut self) {
        for stray in self.take_strays(|_| true) {
            self.book(&stray);
        }
    }

    /// A stray that has led nowhere: an old duplicate, if the stream has been there.
    fn book(&mut self, stray: &Stray) {
        let behind = u64::try_from(-i64::from(stray.segment.seq - self.next)).unwrap_or(0);
        let len = stray.payload.len();
        if len > 0 && (len as u64..=self.offset).contains(&behind) {
            self.trouble().seen_again(len as u64);
        }
    }

    /// Sequence number after the last byte that is held.
    fn held_end(&self) -> Option<SeqNum> {
        let ahead = self.trouble.as_deref()?.held.end()? - self.offset;
        // Modulo 2^32, as sequence numbers are.
        Some(self.next.plus((ahead & u64::from(u32::MAX)) as u32))
    }
}
