//! Segments that lie where the flow is not: after a loss they are of the same connection, after a
//! loss that took the handshakes too they are of the next one between the same ends.
//!
//! Invariants: one segment proves nothing, so it waits as a stray until another one agrees with it;
//! what agrees comes out in the order in which it was seen.

use super::Conversation;
use crate::segment::Segment;
use crate::stream::{Place, Stray};

/// Segments in a row of one direction that prove a new connection where the other direction says
/// nothing. More than any network repeats of an old one at a time.
const PROOF: u32 = 3;

/// What is to be made of a segment that lies where the flow is not.
#[derive(Debug)]
pub(in crate::engine) enum Finding {
    /// Nothing, as nothing agrees with it.
    Alone,
    /// Its data is in place; nothing agrees with its acknowledgement.
    InPlace,
    /// The flow has come there while nothing of it was seen. These came before.
    Lost(Vec<Stray>),
    /// The flow is over, and this is the next one. These came before.
    Succeeded(Vec<Stray>),
}

impl Conversation {
    /// Whether a segment lies where the flow is not.
    pub(in crate::engine) fn is_left_by(&self, segment: &Segment<'_>) -> bool {
        let is_away = |place| matches!(place, Place::Far | Place::Beyond);
        let (data, ack) = self.places_of(segment);
        is_away(data) || is_away(ack)
    }

    /// Looks for what agrees with a segment that lies where the flow is not; keeps it otherwise.
    pub(in crate::engine) fn find(&mut self, segment: &Segment<'_>) -> Finding {
        let (data, ack) = self.places_of(segment);
        // A loss leaves one of the two where it was, as long as it is one that can be.
        let is_next = (data != Place::Near && ack != Place::Near)
            || data == Place::Beyond
            || ack == Place::Beyond;
        let (side, other) = self.sides_mut(self.direction_from(segment.src));
        // A proxy may use the ends of its client for a connection of its own, to be seen elsewhere.
        let is_others = is_next && side.iface().is_some_and(|iface| iface != segment.iface);
        if is_others || !segment.flags.ack() {
            return Finding::Alone;
        }
        let before = side.stream.strays();
        let is_followed =
            |stray: &Stray| stray.agrees_with(segment) && stray.is_followed_by(segment);
        let is_in_row = |stray: &&Stray| segment.wire_len > 0 && stray.end() == segment.seq;
        let agreeing = before.iter().filter(|stray| stray.agrees_with(segment));
        let run = agreeing.filter(is_in_row).map(|stray| stray.run + 1).max().unwrap_or(1);
        let is_repeated = if is_next { run >= PROOF } else { before.iter().any(is_followed) };
        let is_answer = |stray: &Stray| stray.is_answered_by(segment);
        if is_repeated || other.stream.strays().iter().any(is_answer) {
            let mut strays = other.stream.take_strays(is_answer);
            strays.extend(side.stream.take_strays(|stray| stray.agrees_with(segment)));
            strays.sort_by_key(|stray| stray.segment().time);
            return if is_next { Finding::Succeeded(strays) } else { Finding::Lost(strays) };
        }
        let is_in_place = data == Place::Near && !is_next;
        if !before.iter().any(|stray| stray.is_copy_of(segment)) {
            let stray = Stray::new(segment, is_in_place, run);
            side.stream.keep_stray(stray);
        }
        if is_in_place { Finding::InPlace } else { Finding::Alone }
    }

    /// Where a segment and its acknowledgement lie. SYN and RST go by rules of their own.
    fn places_of(&self, segment: &Segment<'_>) -> (Place, Place) {
        let flags = segment.flags;
        if flags.syn() || flags.rst() {
            return (Place::Unknown, Place::Unknown);
        }
        let direction = self.direction_from(segment.src);
        let stream = &self.side(direction).stream;
        let data = stream.place_of(segment.seq, segment.seq.plus(segment.seq_len()));
        let other = &self.side(direction.reverse()).stream;
        let ack = flags.ack().then(|| other.place_of(segment.ack, segment.ack));
        (data, ack.unwrap_or(Place::Unknown))
    }
}
