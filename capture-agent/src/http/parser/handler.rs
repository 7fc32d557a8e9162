//! What a parser tells of the messages of its direction.

use super::{Hole, Start};
use crate::http::anomaly::Anomaly;
use crate::http::exchange::{Place, State as Seen};
use crate::http::framing::Framing;
use crate::http::head::Fields;
use crate::segment::{Missing, Timestamp};

/// What is told of the messages of one direction.
pub(in crate::http) trait Handler<H> {
    /// A head is there; the answer says what follows it.
    fn head(&mut self, head: H, start: Start, last_byte: Timestamp) -> Framing;
    /// Whether what stands where a head should is the body of a message that has none.
    fn headless(&mut self, start: Start) -> bool;
    /// Bytes of the body, after the transfer coding was undone.
    fn content(&mut self, bytes: &[u8], time: Timestamp);
    /// The trailer section.
    fn trailers(&mut self, fields: Fields);
    /// Bytes of the message are not here.
    fn lost(&mut self, lost: Lost);
    /// The body took up so many bytes in the stream: asked for where a part of it was left out
    /// whose length its framing does not tell.
    fn took_up(&mut self, bytes: u64);
    /// Whether what comes after lost bytes can be of no other message than this one.
    fn is_alone(&self) -> bool;
    /// Whether what comes may be of a tunnel that the other direction has yet to open.
    fn awaits_tunnel(&self) -> bool;
    /// The message is there to its last byte.
    fn end(&mut self, time: Timestamp);
    /// No more will be known of the message.
    fn broken_off(&mut self, seen: Seen);
    /// Something is odd about the message.
    fn anomaly(&mut self, anomaly: Anomaly);
    /// From this stream offset on, until the next head, it is not known what is sent.
    fn out_of_step(&mut self, offset: u64, loss: Loss);
    /// Before the first head of a direction that was picked up midway, there were so many bytes.
    fn midstream(&mut self, bytes: u64, first: Start, last: Timestamp);
    /// Bytes that are no longer HTTP.
    fn tunnelled(&mut self, bytes: &[u8], time: Timestamp);
    /// Bytes of the tunnel are not here.
    fn tunnel_gap(&mut self, hole: Hole);
    /// No more of the tunnel comes in this direction.
    fn tunnel_end(&mut self, seen: Seen);
}

/// Bytes of a message that are not here.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Lost {
    pub(in crate::http) place: Place,
    pub(in crate::http) bytes: u64,
    pub(in crate::http) missing: Missing,
    /// Whether all of them are content.
    pub(in crate::http) are_content: bool,
    /// When the last of them was seen, where that is known.
    pub(in crate::http) time: Option<Timestamp>,
}

/// Whether messages were lost whose start was not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::http) enum Loss {
    /// None was.
    #[default]
    None,
    /// What was lost is the rest of a message, and may have been more.
    Possible,
    /// The direction was picked up midway: anything may have come before.
    Unseen,
    /// At least one was.
    Certain,
}
