//! The plain case: a segment in the middle of a body, or one that only acknowledges.
//!
//! Invariant: what comes of it is what [`Conversation::take`] makes of it, to the last counter; a
//! segment of which that is not certain at a glance is left to it.

use super::Conversation;
use super::marks::Marks;
use crate::engine::desk::Desk;
use crate::http::{Content, Network};
use crate::listener::Listener;
use crate::segment::{Missing, Segment, TcpFlags};
use crate::stream::Deliver;

/// Flags that change what a flow is at.
const TURNING: u8 = TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0;

impl Conversation {
    /// Takes a segment if it is plain; returns whether it was. If not, nothing has changed. It
    /// ends nothing, and no memory is taken or given back.
    pub(in crate::engine) fn take_plain<L: Listener>(
        &mut self,
        segment: &Segment<'_>,
        desk: &mut Desk,
        listener: &L,
    ) -> bool {
        let Segment { flags, payload, wire_len, .. } = *segment;
        let settings = &desk.settings;
        let is_in_one_piece =
            payload.len() == wire_len as usize && segment.missing == Missing::Unseen;
        if flags.0 & TURNING != 0
            || !flags.ack()
            || !is_in_one_piece
            || self.closed.is_some()
            || self.handshake.is_opening()
            || !self.marks.has(Marks::CLIENT_IS_KNOWN)
            || settings.stream.deliver != Deliver::InOrder
            || settings.unacknowledged_bytes.is_some()
            || (!payload.is_empty() && listener.wants_data())
        {
            return false;
        }
        let direction = self.direction_from(segment.src);
        let network = Network {
            to_server: self.to_server.stream.disorder(),
            to_client: self.to_client.stream.disorder(),
        };
        let (side, other) = self.sides_mut(direction);
        let is_at_hand = side.iface() == Some(segment.iface)
            && side.stream.is_plain()
            && other.stream.is_plain()
            && side.stream.distance(segment.seq) == Some(0)
            && other.stream.has_sent(segment.ack);
        if !is_at_hand {
            return false;
        }
        if !payload.is_empty() {
            let offset = side.stream.offset();
            let content = Content { offset, bytes: payload, time: segment.time, network };
            let taken = self
                .http
                .as_mut()
                .is_some_and(|http| http.take_content(direction, &content, &settings.http));
            if !taken {
                return false;
            }
        }
        self.learn_owner(segment, &mut desk.groups);
        self.touch(segment.time);
        let (side, other) = self.sides_mut(direction);
        other.stream.take_plain_acknowledgement(segment.ack);
        side.stream.take_plain(segment);
        true
    }
}
