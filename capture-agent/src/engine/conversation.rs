//! One flow with all that hangs on it: its two streams, and the HTTP on them.
//!
//! Follows RFC 9293 section 3.5 for how a connection opens and ends.

use super::Settings;
use crate::flow::{CloseReason, Direction, Handshake, Phase};
use crate::http::{self, Connection, Ending};
use crate::segment::{Endpoint, IfaceId, Segment, Timestamp};
use crate::stream::{Chunk, Mark, Stream};

/// A reset further from what is expected is not believed (RFC 9293 section 3.5.3): anybody can
/// send one. Wide enough for what may have been lost before it.
const RESET_WINDOW: i32 = 16 << 20;

/// One direction of a conversation.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) stream: Stream,
    /// Where it was first seen.
    iface: Option<IfaceId>,
    /// Whether its end has been passed on.
    finished: bool,
}

/// A flow, what is said on it, and what became of it.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
    /// Whether the client is known, by SYN or by what was said, and not a guess.
    client_is_known: bool,
    /// When its first segment was seen.
    pub(super) start: Timestamp,
    /// When its last segment was seen.
    pub(super) last_activity: Timestamp,
    /// Why and when it ended, once it has.
    pub(super) closed: Option<(CloseReason, Timestamp)>,
    /// Whether it waits in the engine's queue of open holes.
    pub(super) in_hole_queue: bool,
    handshake: Handshake,
    pub(super) to_server: Side,
    pub(super) to_client: Side,
    /// HTTP, once something was said.
    http: Option<Box<Connection>>,
}

impl Conversation {
    /// A conversation that begins with this segment.
    pub(super) fn new(segment: &Segment<'_>, settings: &Settings) -> Self {
        let (src, dst, flags) = (segment.src, segment.dst, segment.flags);
        let ports = &settings.server_ports;
        let from_client = match (ports.contains(src.port), ports.contains(dst.port)) {
            _ if flags.syn() => !flags.ack(),
            (false, true) => true,
            (true, false) => false,
            _ => dst.port <= src.port,
        };
        let (client, server) = if from_client { (src, dst) } else { (dst, src) };
        Self {
            client,
            server,
            client_is_known: flags.syn(),
            start: segment.time,
            last_activity: segment.time,
            closed: None,
            in_hole_queue: false,
            handshake: Handshake::default(),
            to_server: Side::default(),
            to_client: Side::default(),
            http: None,
        }
    }

    /// Where it was first seen.
    pub(super) fn iface(&self) -> Option<IfaceId> {
        self.to_server.iface.or(self.to_client.iface)
    }

    /// Exchanges that have come out.
    pub(super) fn exchanges(&self) -> u32 {
        self.http.as_ref().map_or(0, |http| http.exchanges())
    }

    /// Payload bytes and gap bytes so far.
    pub(super) const fn carried(&self) -> (u64, u64) {
        let (up, down) = (self.to_server.stream.counters(), self.to_client.stream.counters());
        (up.bytes + down.bytes, up.gap_bytes + down.gap_bytes)
    }

    /// Since when a hole is open, in either direction.
    pub(super) fn hole_since(&self) -> Option<Timestamp> {
        let sides = [&self.to_server, &self.to_client];
        sides.into_iter().filter_map(|side| side.stream.hole_since()).min()
    }

    /// What the conversation is waiting for.
    pub(super) const fn phase(&self) -> Phase {
        if self.closed.is_some() {
            Phase::Lingering
        } else if self.handshake.is_opening() {
            Phase::Opening
        } else {
            Phase::Open
        }
    }

    /// Whether a segment is a SYN that opens a new connection between the same ends.
    pub(super) fn is_succeeded_by(&self, segment: &Segment<'_>) -> bool {
        let side = self.side(self.direction_from(segment.src));
        segment.flags.syn() && !side.stream.is_opened_by(segment.seq)
    }

    /// Whether a segment is one that was seen before, on another interface: a bridge and its port
    /// both show it, and so do a VLAN and what it is on.
    pub(super) fn is_shown_again(&self, segment: &Segment<'_>) -> bool {
        let side = self.side(self.direction_from(segment.src));
        side.iface.is_some_and(|iface| iface != segment.iface) && side.stream.has_seen(segment)
    }

    /// Takes a segment; exchanges that it finishes go to `out`. Returns whether it was believed:
    /// a reset out of the window is not.
    pub(super) fn take(
        &mut self,
        segment: &Segment<'_>,
        settings: &Settings,
        out: &mut Vec<http::Exchange>,
    ) -> bool {
        self.orient(segment);
        let direction = self.direction_from(segment.src);
        self.handshake.observe(direction, segment);
        let flags = segment.flags;
        if flags.ack() && !flags.rst() {
            self.with_stream(direction.reverse(), settings, out, |stream, sink| {
                stream.acknowledged(segment.ack, sink);
            });
        }
        let (side, other) = self.sides_mut(direction);
        side.iface.get_or_insert(segment.iface);
        let distance = side.stream.distance(segment.seq);
        let acked = if flags.ack() { other.stream.offset_of(segment.ack) } else { 0 };
        let mark = Mark { time: segment.time, acked };
        self.with_stream(direction, settings, out, |stream, sink| {
            stream.accept(segment, mark, &settings.stream, sink);
        });
        if flags.rst() {
            let believed = distance.is_none_or(|far| (-1..=RESET_WINDOW).contains(&far));
            if believed {
                self.close(CloseReason::Rst, segment.time, http::State::Cut, settings, out);
            }
            return believed;
        }
        for direction in Direction::BOTH {
            self.finish_side(direction, settings, out);
        }
        if self.to_server.finished && self.to_client.finished {
            self.close(CloseReason::Fin, segment.time, http::State::Cut, settings, out);
        }
        true
    }

    /// Counts a segment that came after the end.
    pub(super) fn take_stray(&mut self, segment: &Segment<'_>, settings: &Settings) {
        let (side, _) = self.sides_mut(self.direction_from(segment.src));
        let mark = Mark { time: segment.time, acked: 0 };
        side.stream.accept(segment, mark, &settings.stream, &mut |_| {});
    }

    /// Gives up holes that have been open for too long.
    pub(super) fn expire_holes(
        &mut self,
        now: Timestamp,
        settings: &Settings,
        out: &mut Vec<http::Exchange>,
    ) {
        for direction in Direction::BOTH {
            self.with_stream(direction, settings, out, |stream, sink| {
                stream.expire(now, &settings.stream, sink);
            });
            self.finish_side(direction, settings, out);
        }
    }

    /// Ends it: what was held comes out, what is unfinished stays so.
    pub(super) fn close(
        &mut self,
        reason: CloseReason,
        end: Timestamp,
        seen: http::State,
        settings: &Settings,
        out: &mut Vec<http::Exchange>,
    ) {
        for direction in Direction::BOTH {
            self.with_stream(direction, settings, out, |stream, sink| stream.finish(sink));
            self.finish_side(direction, settings, out);
        }
        let connect_ns = self.handshake.connect_ns();
        if let Some(http) = &mut self.http {
            for direction in Direction::BOTH {
                let ending = Ending::BrokenOff(seen);
                http.finish(direction, ending, &settings.http, connect_ns, out);
            }
            http.close(seen, connect_ns, out);
        }
        self.closed = Some((reason, end));
    }

    fn direction_from(&self, src: Endpoint) -> Direction {
        if src == self.client { Direction::ToServer } else { Direction::ToClient }
    }

    /// The side that sends in this direction.
    const fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    /// The side that sends in this direction, and the other one.
    const fn sides_mut(&mut self, direction: Direction) -> (&mut Side, &mut Side) {
        match direction {
            Direction::ToServer => (&mut self.to_server, &mut self.to_client),
            Direction::ToClient => (&mut self.to_client, &mut self.to_server),
        }
    }

    /// Learns from what is said who the client is, where the start was not seen.
    fn orient(&mut self, segment: &Segment<'_>) {
        if self.client_is_known {
            return;
        }
        if let Some(says) = http::direction_of(segment.payload) {
            self.client_is_known = true;
            if says != self.direction_from(segment.src) {
                std::mem::swap(&mut self.client, &mut self.server);
                std::mem::swap(&mut self.to_server, &mut self.to_client);
            }
        }
    }

    /// Lets a stream do something, and HTTP have what comes out.
    fn with_stream(
        &mut self,
        direction: Direction,
        settings: &Settings,
        out: &mut Vec<http::Exchange>,
        act: impl FnOnce(&mut Stream, &mut dyn FnMut(Chunk<'_>)),
    ) {
        let from_start = [&self.to_server, &self.to_client].map(|side| side.stream.from_start());
        let connect_ns = self.handshake.connect_ns();
        let known = self.client_is_known;
        let http = &mut self.http;
        let side = match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        act(&mut side.stream, &mut |chunk| {
            // Until somebody says something that tells who the client is, nothing is HTTP.
            if known {
                http.get_or_insert_with(|| Box::new(Connection::new(from_start))).take(
                    direction,
                    chunk,
                    &settings.http,
                    connect_ns,
                    out,
                );
            }
        });
    }

    /// Passes on the end of a direction, once everything before it is there.
    fn finish_side(
        &mut self,
        direction: Direction,
        settings: &Settings,
        out: &mut Vec<http::Exchange>,
    ) {
        let connect_ns = self.handshake.connect_ns();
        let (side, _) = self.sides_mut(direction);
        if side.finished || !side.stream.is_finished() {
            return;
        }
        side.finished = true;
        if let Some(http) = &mut self.http {
            http.finish(direction, Ending::Fin, &settings.http, connect_ns, out);
        }
    }
}
