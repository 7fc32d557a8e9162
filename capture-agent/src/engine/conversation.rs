//! One flow with all that hangs on it: its two streams, and the HTTP on them.
//!
//! Follows RFC 9293 section 3.5 for how a connection opens and ends. Invariant: while nothing is
//! said it takes little room, for there may be a million of it.

mod marks;
mod owner;
mod plain;
mod resync;

use super::Settings;
use super::desk::Desk;
use super::groups::Group;
use super::side::{Side, Tally, tell};
use crate::flow::{
    CloseReason, Direction, FlowKey, FlowState, Handshake, Keyed, Phase, bytes_per_flow,
};
use crate::http::{self, Connection, Context, Ending, Network, Resting, Tunnel};
use crate::listener::Listener;
use crate::segment::{Endpoint, IfaceId, Segment, Timestamp};
use crate::stream::{Chunk, Counters, Mark, Stream};
use marks::Marks;
pub(super) use resync::Finding;

/// A reset further from what is expected is not believed (RFC 9293 section 3.5.3): anybody can
/// send one. Wide enough for what may have been lost before it.
const RESET_WINDOW: i32 = 16 << 20;

/// A flow, what is said on it, and what became of it.
#[derive(Debug)]
pub(super) struct Conversation {
    /// Counts flows from 0 in the order in which they were first seen.
    pub(super) number: u64,
    /// When its first segment was seen.
    pub(super) start: Timestamp,
    /// When its last segment was seen.
    pub(super) last_activity: Timestamp,
    /// When it ended, once `closed`.
    end: Timestamp,
    handshake: Handshake,
    to_server: Side,
    to_client: Side,
    /// HTTP while something is unfinished; else what is left of it is in `resting`.
    http: Option<Box<Connection>>,
    resting: Resting,
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
    closed: Option<CloseReason>,
    /// Control group of the server's socket if that is known, else of the client's.
    group: Group,
    marks: Marks,
}

const _: () = assert!(Conversation::PLACE_BYTES < 256);

impl Keyed for Conversation {
    fn key(&self) -> FlowKey {
        self.flow_key()
    }

    fn has_key(&self, key: &FlowKey) -> bool {
        key.is_between(self.client, self.server)
    }
}

impl Conversation {
    /// Bytes of memory that a flow takes while nothing is said on it.
    pub(super) const PLACE_BYTES: usize = bytes_per_flow::<Self>();

    /// A conversation that begins with this segment.
    pub(super) fn new(segment: &Segment<'_>, number: u64, settings: &Settings) -> Self {
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
            number,
            start: segment.time,
            last_activity: segment.time,
            end: Timestamp::default(),
            handshake: if flags.syn() && !flags.ack() {
                Handshake::Syn(segment.time)
            } else {
                Handshake::NotSeen
            },
            to_server: Side::default(),
            to_client: Side::default(),
            http: None,
            resting: Resting::default(),
            client,
            server,
            closed: None,
            group: Group::default(),
            marks: Marks(if flags.syn() { Marks::CLIENT_IS_KNOWN } else { 0 }),
        }
    }

    pub(super) fn flow_key(&self) -> FlowKey {
        FlowKey::new(self.client, self.server)
    }

    /// Where it was first seen.
    pub(super) fn iface(&self) -> Option<IfaceId> {
        self.to_server.iface().or(self.to_client.iface())
    }

    /// Exchanges that have come out.
    pub(super) fn exchanges(&self) -> u32 {
        self.http.as_ref().map_or(self.resting.exchanges(), |http| http.exchanges())
    }

    /// What HTTP has given way to on it, if it has.
    pub(super) fn tunnel(&self) -> Option<&Tunnel> {
        self.http.as_ref()?.tunnel()
    }

    /// What HTTP is told beside what is said.
    fn context(&self) -> Context {
        let network = Network {
            to_server: self.to_server.stream.disorder(),
            to_client: self.to_client.stream.disorder(),
        };
        Context { connect_ns: self.handshake.connect_ns(), network }
    }

    /// What the client sent, and what the server sent.
    pub(super) fn counters(&self) -> (Counters, Counters) {
        (self.to_server.stream.counters(), self.to_client.stream.counters())
    }

    pub(super) fn tally(&self) -> Tally {
        let http = self.http.as_ref().map_or(0, |http| http.memory());
        let streams = [&self.to_server.stream, &self.to_client.stream];
        // Most are, and it is asked twice for each segment.
        if streams.iter().all(|stream| stream.is_untroubled()) {
            let bytes = streams.iter().map(|stream| stream.offset()).sum();
            return Tally { bytes, memory: http, ..Tally::default() };
        }
        let (up, down) = self.counters();
        Tally {
            bytes: up.bytes + down.bytes,
            gap_bytes: up.gap_bytes + down.gap_bytes,
            dropped_bytes: up.dropped_bytes + down.dropped_bytes,
            elided_bytes: up.elided_bytes + down.elided_bytes,
            memory: http + streams.iter().map(|stream| stream.memory()).sum::<usize>(),
            hole_since: self.hole_since(),
        }
    }

    /// Since when a hole is open, in either direction.
    fn hole_since(&self) -> Option<Timestamp> {
        // What strays leave out is nobody's loss.
        let sides = [&self.to_server, &self.to_client].into_iter().filter(|_| !self.is_closed());
        sides.filter_map(|side| side.stream.hole_since()).min()
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Why and when it ended, once it has.
    pub(super) fn closed(&self) -> Option<(CloseReason, Timestamp)> {
        self.closed.map(|reason| (reason, self.end))
    }

    /// A segment of it was seen.
    pub(super) fn touch(&mut self, time: Timestamp) {
        self.last_activity = self.last_activity.max(time);
    }

    /// What the conversation is waiting for.
    pub(super) const fn phase(&self) -> Phase {
        match self.state() {
            FlowState::Closed(_) => Phase::Lingering,
            FlowState::Opening => Phase::Opening,
            FlowState::Open | FlowState::HalfClosed(_) => Phase::Open,
        }
    }

    /// What the conversation is at.
    pub(super) const fn state(&self) -> FlowState {
        if let Some(reason) = self.closed {
            FlowState::Closed(reason)
        } else if self.handshake.is_opening() {
            FlowState::Opening
        } else if self.to_server.finished {
            FlowState::HalfClosed(Direction::ToServer)
        } else if self.to_client.finished {
            FlowState::HalfClosed(Direction::ToClient)
        } else {
            FlowState::Open
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
        // A reset that is seen for the first time ends the flow, wherever that is.
        let is_news = segment.flags.rst() && !self.is_closed();
        let elsewhere = side.iface().is_some_and(|iface| iface != segment.iface);
        elsewhere && !is_news && side.stream.has_seen(segment)
    }

    /// Takes a segment, and its acknowledgement if that can be believed. Returns whether the
    /// segment was: a reset out of the window is not.
    pub(super) fn take(
        &mut self,
        segment: &Segment<'_>,
        acknowledges: bool,
        desk: &mut Desk,
        listener: &mut impl Listener,
    ) -> bool {
        self.orient(segment);
        self.learn_owner(segment, &mut desk.groups);
        let direction = self.direction_from(segment.src);
        self.handshake.observe(direction, segment);
        let flags = segment.flags;
        let rules = desk.settings.stream;
        if acknowledges && flags.ack() && !flags.rst() {
            self.with_stream(direction.reverse(), desk, listener, |stream, sink| {
                stream.acknowledged(segment.ack, &rules, sink);
            });
        }
        let (side, other) = self.sides_mut(direction);
        if !side.is_seen {
            side.is_seen = true;
            side.iface = segment.iface;
        }
        side.from_start |= flags.syn();
        // A SYN-ACK tells where the client began, though its SYN was not seen.
        other.from_start |= flags.syn() && flags.ack() && other.stream.offset_of(segment.ack) == 0;
        let distance = side.stream.distance(segment.seq);
        let acked = if flags.ack() { other.stream.offset_of(segment.ack) } else { 0 };
        let mark = Mark { time: segment.time, acked, ..Mark::default() };
        self.with_stream(direction, desk, listener, |stream, sink| {
            stream.accept(segment, mark, &rules, sink);
        });
        self.warn(direction, desk, listener);
        if flags.rst() {
            let believed = distance.is_none_or(|far| (-1..=RESET_WINDOW).contains(&far));
            if believed {
                self.close(CloseReason::Rst, segment.time, http::State::Cut, desk, listener);
            }
            return believed;
        }
        self.end_where_finished(segment.time, desk, listener);
        true
    }

    /// Counts a segment that came after the end.
    pub(super) fn take_stray(&mut self, segment: &Segment<'_>, desk: &Desk) {
        let (side, _) = self.sides_mut(self.direction_from(segment.src));
        let mark = Mark { time: segment.time, acked: 0, ..Mark::default() };
        side.stream.accept(segment, mark, &desk.settings.stream, &mut |_| {});
    }

    /// Gives up holes that have been open for too long, each as of when its time was over, however
    /// late that is noticed.
    pub(super) fn expire_holes(&mut self, desk: &mut Desk, listener: &mut impl Listener) {
        let (now, rules) = (desk.now, desk.settings.stream);
        while let Some(since) = self.hole_since() {
            if now.nanos_since(since) < rules.hole_ns {
                break;
            }
            let due = Timestamp(since.as_nanos().saturating_add(rules.hole_ns));
            for direction in Direction::BOTH {
                self.with_stream(direction, desk, listener, |stream, sink| {
                    stream.expire(due, &rules, sink);
                });
            }
            self.end_where_finished(due, desk, listener);
        }
    }

    /// Passes on the end of a direction that has come to it; the end of both ends the flow.
    fn end_where_finished(
        &mut self,
        now: Timestamp,
        desk: &mut Desk,
        listener: &mut impl Listener,
    ) {
        for direction in Direction::BOTH {
            self.finish_side(direction, desk);
        }
        for direction in Direction::BOTH {
            let (side, other) = self.sides_mut(direction);
            if other.finished && !side.finished {
                self.doubt_fin(direction, desk, listener);
            }
            let (side, other) = self.sides_mut(direction);
            // Its FIN was not seen, but the other side has acknowledged it and said its own.
            if other.finished && !side.finished && side.stream.end_at_acknowledgement() {
                self.finish_side(direction, desk);
            }
        }
        if self.to_server.finished && self.to_client.finished {
            self.close(CloseReason::Fin, now, http::State::Cut, desk, listener);
        }
    }

    /// Ends it: what was held comes out, what is unfinished stays so. The listener is told by the
    /// engine, after the last exchange.
    pub(super) fn close(
        &mut self,
        reason: CloseReason,
        end: Timestamp,
        seen: http::State,
        desk: &mut Desk,
        listener: &mut impl Listener,
    ) {
        for direction in Direction::BOTH {
            self.doubt_fin(direction, desk, listener);
            self.with_stream(direction, desk, listener, |stream, sink| stream.finish(sink));
            self.finish_side(direction, desk);
        }
        self.with_http(desk, |http, desk, context| {
            let Desk { settings, said, .. } = desk;
            for direction in Direction::BOTH {
                let ending = Ending::BrokenOff(seen);
                http.finish(direction, ending, &settings.http, context, said);
            }
            http.close(seen, context, said);
        });
        self.closed = Some(reason);
        self.end = end;
        desk.pass_on(self, listener);
        listener.closed(&desk.view(self), reason);
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

    /// Learns from what is said who the client is, where the start was not seen. Until then it is a
    /// guess; if that was wrong, nothing was heard yet.
    fn orient(&mut self, segment: &Segment<'_>) {
        if self.marks.has(Marks::CLIENT_IS_KNOWN) {
            return;
        }
        let Some(says) = http::direction_of(segment.payload) else { return };
        self.marks.set(Marks::CLIENT_IS_KNOWN, true);
        if says != self.direction_from(segment.src) && self.exchanges() == 0 {
            std::mem::swap(&mut self.client, &mut self.server);
            std::mem::swap(&mut self.to_server, &mut self.to_client);
            self.turn_owner();
            self.http = None;
            self.marks.set(Marks::HTTP_BEGUN, false);
        }
    }

    /// Warns once when much is not acknowledged, and again after that was over.
    fn warn(&mut self, direction: Direction, desk: &Desk, listener: &mut impl Listener) {
        let Some(limit) = desk.settings.unacknowledged_bytes else { return };
        let (side, _) = self.sides_mut(direction);
        let bytes = side.stream.unacknowledged();
        let was_warned = std::mem::replace(&mut side.warned, bytes > limit);
        if bytes > limit && !was_warned {
            listener.unacknowledged(&desk.view(self), direction, bytes);
        }
    }

    /// Lets a stream do something; the listener and HTTP have what comes out.
    fn with_stream<L: Listener>(
        &mut self,
        direction: Direction,
        desk: &mut Desk,
        listener: &mut L,
        act: impl FnOnce(&mut Stream, &mut dyn FnMut(Chunk<'_>)),
    ) {
        // Out of its place, so that the flow can be shown while the stream is at work.
        let (side, _) = self.sides_mut(direction);
        let mut stream = std::mem::take(&mut side.stream);
        act(&mut stream, &mut |chunk| {
            tell(listener, &desk.view(self), direction, chunk);
            self.begin_http();
            self.with_http(desk, |http, desk, context| {
                let Desk { settings, said, .. } = desk;
                http.take(direction, chunk, &settings.http, context, said);
            });
            // At once: what was held behind a hole can be very many messages.
            desk.pass_on(self, listener);
        });
        let (side, _) = self.sides_mut(direction);
        side.stream = stream;
    }

    fn begin_http(&mut self) {
        if !self.marks.has(Marks::HTTP_BEGUN) {
            self.marks.set(Marks::HTTP_BEGUN, true);
            self.resting = Resting::new([self.to_server.from_start, self.to_client.from_start]);
        }
    }

    /// Lets HTTP do something, once it has begun and unless it is over.
    fn with_http(
        &mut self,
        desk: &mut Desk,
        act: impl FnOnce(&mut Connection, &mut Desk, Context),
    ) {
        let mut http = match self.http.take() {
            Some(http) => http,
            None if self.marks.has(Marks::HTTP_BEGUN) && !self.resting.is_deaf() => {
                desk.connection(self.resting)
            }
            None => return,
        };
        act(&mut http, desk, self.context());
        match http.rest() {
            Some(resting) => {
                self.resting = resting;
                desk.take_back(http);
            }
            None => self.http = Some(http),
        }
    }

    /// What was acknowledged and not seen may be a FIN, but not where a message lacks just that byte.
    fn doubt_fin(&mut self, direction: Direction, desk: &mut Desk, listener: &mut impl Listener) {
        if self.http.as_ref().is_some_and(|http| http.wants_one_byte(direction)) {
            self.with_stream(direction, desk, listener, |stream, sink| {
                stream.lose_acknowledged_byte(sink);
            });
        }
    }

    /// Passes on the end of a direction, once everything before it is there.
    fn finish_side(&mut self, direction: Direction, desk: &mut Desk) {
        let (side, _) = self.sides_mut(direction);
        if side.finished || !side.stream.is_finished() {
            return;
        }
        side.finished = true;
        self.with_http(desk, |http, desk, context| {
            let Desk { settings, said, .. } = desk;
            http.finish(direction, Ending::Fin, &settings.http, context, said);
        });
    }
}
