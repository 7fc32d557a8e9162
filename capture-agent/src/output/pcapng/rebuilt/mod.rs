//! Exchanges as the segments that would have carried them, for Wireshark and for the agent's own
//! `read`.
//!
//! Follows draft-ietf-opsawg-pcapng and RFC 9293. Frames are made anew from what was kept of an
//! exchange, and not copied from the wire: so they have what the other outputs have and no more, and
//! secrets are in none of them. Bodies are framed again as their heads say, in pieces that come when
//! theirs came; what was not kept of them, or lost, is left out of frames whose headers tell that it
//! was there, as after a capture with a snap length. Invariants: in a flow and direction sequence
//! numbers go on from packet to packet and from file to file; each side acknowledges what comes
//! before in the file.

mod flows;
mod message;
mod talk;

use std::collections::HashMap;
use std::sync::Arc;

use super::{Note, interface, packet, section};
use crate::event::{Event, Exchange, FlowInfo};
use crate::flow::Direction;
use crate::http::{self, Anomaly};
use crate::segment::{Endpoint, IfaceId, Interface, Missing, Segment, SeqNum, TcpFlags, Timestamp};
use flows::{Ends, Flows};
use talk::{Part, Talk};

/// What a file says of itself.
const ABOUT_FILE: &str = "HTTP exchanges as frames that were rebuilt from what capture-agent kept of \
    them. Times, addresses, heads and bodies are those that were seen, secrets aside; link addresses, \
    sequence numbers and the cuts between segments are made up.";
/// What it says of each interface.
const ABOUT_INTERFACE: &str = "rebuilt by capture-agent from the exchanges that it saw here";

/// Most interfaces that a section declares: stops names that come and go for ever. What was seen on
/// further ones counts as seen on none.
const MAX_INTERFACES: usize = 4096;

/// Bytes that stand for a message that was not seen, where another one stays without its other
/// half. No message is shorter; and it is more than a FIN takes up.
const UNSEEN_BYTES: u32 = 20;

/// Puts exchanges into frames.
#[derive(Clone, Debug, Default)]
pub(in crate::output) struct Rebuilt {
    flows: Flows,
    /// Numbers of the interfaces that the section has declared; `None` is where none is known.
    interfaces: HashMap<Option<Arc<Interface>>, u32>,
}

impl Rebuilt {
    /// Begins a file. Flows go on in it.
    pub(in crate::output) fn start(&mut self, bytes: &mut Vec<u8>) {
        self.interfaces.clear();
        section(bytes, ABOUT_FILE);
    }

    /// Adds the frames of an exchange; there are none for other events.
    pub(in crate::output) fn write(&mut self, event: &Event, bytes: &mut Vec<u8>) {
        let Event::Exchange(exchange) = event else { return };
        let iface = self.interface(exchange.flow.iface.as_ref(), bytes);
        let (ends, is_new) = self.flows.of(exchange.flow.id, exchange.http.index);
        let comment = format!("{:016x}/{}", exchange.flow.id.0, exchange.http.index);
        let mut frames = Frames { bytes, iface, flow: &exchange.flow, ends, comment };
        if is_new {
            frames.open(exchange);
        }
        frames.exchange(&exchange.http);
    }

    fn interface(&mut self, known: Option<&Arc<Interface>>, bytes: &mut Vec<u8>) -> u32 {
        let known = known.filter(|_| self.interfaces.len() < MAX_INTERFACES).cloned();
        let next = self.interfaces.len() as u32;
        *self.interfaces.entry(known).or_insert_with_key(|known| {
            let name = known.as_ref().map(|known| &*known.name);
            let netns = known.as_ref().and_then(|known| known.netns.as_deref());
            match netns {
                Some(netns) => {
                    let about = format!("{ABOUT_INTERFACE}, in network namespace {netns}");
                    interface(bytes, name, Some(&about));
                }
                None => interface(bytes, name, Some(ABOUT_INTERFACE)),
            }
            next
        })
    }
}

/// Adds frames of one exchange.
struct Frames<'a> {
    bytes: &'a mut Vec<u8>,
    iface: u32,
    flow: &'a FlowInfo,
    ends: &'a mut Ends,
    comment: String,
}

impl Frames<'_> {
    /// The handshake, where it was seen. When the server's part of it was is not known but for that
    /// it was before the end. Where it was not, or not by whoever reads this exchange alone, the
    /// first part of it: so that the flow begins when it did, and that nothing came before is known.
    fn open(&mut self, exchange: &Exchange) {
        let start = self.flow.start;
        self.segment(Direction::ToServer, start, TcpFlags::SYN, &[], 0);
        let Some(connect_ns) = exchange.http.timing.connect_ns else { return };
        let end = Timestamp(start.as_nanos().saturating_add(connect_ns));
        self.segment(Direction::ToClient, end, TcpFlags::SYN.with(TcpFlags::ACK), &[], 0);
        self.segment(Direction::ToServer, end, TcpFlags::ACK, &[], 0);
    }

    fn exchange(&mut self, exchange: &http::Exchange) {
        let (asked, answered) = (exchange.request.is_some(), exchange.response.is_some());
        // What was seen alone shall find no other half in what comes after it.
        let awaits_response = std::mem::take(&mut self.ends.awaits_response);
        if awaits_response {
            self.ends.skip(Direction::ToClient, UNSEEN_BYTES);
        }
        let is_unasked = exchange.anomalies.contains(Anomaly::ResponseBeforeRequest);
        if !asked && (awaits_response || !is_unasked) {
            self.ends.skip(Direction::ToServer, UNSEEN_BYTES);
        }
        self.ends.awaits_response = !answered;
        let (mut to_server, mut to_client) = message::of_exchange(exchange);
        let (mut up, mut down) = (to_server.take_parts(), to_client.take_parts());
        let mut is_first = true;
        loop {
            let is_up = match (up.peek(), down.peek()) {
                (None, None) => break,
                // A response begins no sooner than its request.
                (Some(up), Some(down)) => is_first || up.time <= down.time,
                (up, _) => up.is_some(),
            };
            is_first = false;
            let (direction, parts, talk) = if is_up {
                (Direction::ToServer, &mut up, &to_server)
            } else {
                (Direction::ToClient, &mut down, &to_client)
            };
            if let Some(part) = parts.next() {
                self.part(direction, &part, talk);
            }
        }
    }

    fn part(&mut self, direction: Direction, part: &Part, talk: &Talk) {
        self.ends.skip(direction, part.skipped);
        let payload = talk.bytes(part);
        let push = if payload.is_empty() { TcpFlags(0) } else { TcpFlags::PSH };
        let flags = TcpFlags::ACK.with(push).with(part.end);
        self.segment(direction, part.time, flags, payload, part.left_out);
        if part.is_acknowledged {
            self.segment(direction.reverse(), part.time, TcpFlags::ACK, &[], 0);
        }
    }

    fn segment(
        &mut self,
        direction: Direction,
        time: Timestamp,
        flags: TcpFlags,
        payload: &[u8],
        left_out: u32,
    ) {
        let (src, dst): (Endpoint, Endpoint) = match direction {
            Direction::ToServer => (self.flow.client, self.flow.server),
            Direction::ToClient => (self.flow.server, self.flow.client),
        };
        let (seq, ack) = (self.ends.next(direction), self.ends.next(direction.reverse()));
        let segment = Segment {
            time,
            iface: IfaceId(self.iface),
            src,
            dst,
            seq,
            ack: if flags.ack() { ack } else { SeqNum(0) },
            flags,
            window: u16::MAX,
            payload,
            wire_len: payload.len() as u32 + left_out,
            missing: Missing::Unseen,
            cgroup: 0,
        };
        self.ends.skip(direction, segment.seq_len());
        let note = Note { comment: Some(&self.comment), ..Note::default() };
        packet(self.bytes, self.iface, &segment, note);
    }
}
