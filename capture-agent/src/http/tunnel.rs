//! What goes over a connection after HTTP has ended on it: by CONNECT, or by an upgrade.
//!
//! Follows RFC 9110 sections 7.8 and 9.3.6. Invariants: a tunnel is counted, and only what it
//! carries is read that its upgrade has named; a direction whose first byte is not known to be
//! that of a frame is not read.

use super::HttpRules;
use super::exchange::State;
use super::head::{RequestHead, ResponseHead};
use super::parser::Hole;
use super::websocket::{self, Receiver, negotiated};
use crate::flow::Direction;
use crate::segment::{Missing, Timestamp};

/// What was carried after HTTP had ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// `connect`, or the protocol that was upgraded to, in lower case.
    pub protocol: Box<[u8]>,
    /// Bytes of it that the client sent, as far as they were seen; left in the kernel or not.
    pub to_server_bytes: u64,
    /// Bytes of it that the server sent, as far as they were seen; left in the kernel or not.
    pub to_client_bytes: u64,
    /// Messages of a WebSocket that have come out.
    pub messages: u64,
    /// Whether messages may be missing of what the client sent on a WebSocket: where its frames
    /// begin was not known, or not any more after a loss.
    pub to_server_unread: bool,
    /// The same of what the server sent.
    pub to_client_unread: bool,
}

/// A message of a WebSocket, and its place on its flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketMessage {
    /// Which way it went.
    pub direction: Direction,
    /// The index of the exchange that upgraded the flow, where it is known.
    pub index: Option<u32>,
    /// Counts messages of the flow from 0, those of both directions together, as they came out.
    pub number: u64,
    /// What was sent.
    pub message: websocket::Message,
}

/// Longest name of a protocol that is kept: a header can be as long as a head.
const MAX_PROTOCOL_BYTES: usize = 64;

/// A tunnel, and what reads it.
#[derive(Debug)]
pub(super) struct OpenTunnel {
    tunnel: Tunnel,
    /// The index of the exchange that opened it, once that is out.
    index: Option<u32>,
    socket: Option<[Receiver; 2]>,
}

impl OpenTunnel {
    /// The tunnel that this response opens.
    pub(super) fn new(request: Option<&RequestHead>, response: &ResponseHead) -> Self {
        let upgrade = || {
            let asked = request.and_then(|request| request.head().members("upgrade").next());
            response.head().members("upgrade").next().or(asked).unwrap_or(b"unknown")
        };
        let protocol = if response.status() == Some(101) { upgrade() } else { b"connect" };
        let protocol = protocol.get(..MAX_PROTOCOL_BYTES).unwrap_or(protocol);
        let socket = protocol.eq_ignore_ascii_case(b"websocket").then(|| {
            let deflate = negotiated(response.head().values("sec-websocket-extensions"));
            Direction::BOTH.map(|direction| Receiver::new(direction, deflate))
        });
        let tunnel = Tunnel {
            protocol: protocol.to_ascii_lowercase().into(),
            to_server_bytes: 0,
            to_client_bytes: 0,
            messages: 0,
            to_server_unread: false,
            to_client_unread: false,
        };
        Self { tunnel, index: None, socket }
    }

    /// What is said of it to others.
    pub(super) const fn summary(&self) -> &Tunnel {
        &self.tunnel
    }

    /// This exchange has opened it.
    pub(super) const fn opened_by(&mut self, index: Option<u32>) {
        self.index = index;
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        let receivers = self.socket.iter().flatten().map(Receiver::memory).sum::<usize>();
        size_of::<Self>() + self.tunnel.protocol.len() + receivers
    }

    /// The client has not waited for the tunnel to open: so many bytes of it came before.
    pub(super) const fn had_come(&mut self, bytes: u64) {
        self.tunnel.to_server_bytes += bytes;
    }

    /// Takes bytes of one direction; messages that this finishes go to `out`.
    pub(super) fn take(
        &mut self,
        direction: Direction,
        (bytes, time): (&[u8], Timestamp),
        rules: &HttpRules,
        out: &mut Vec<WebSocketMessage>,
    ) {
        self.count(direction, bytes.len() as u64);
        let rules = of_messages(rules);
        self.read(direction, out, |receiver, sink| receiver.data(bytes, time, &rules, sink));
        self.note_unread(direction);
    }

    /// Bytes of one direction were sent and are not here.
    pub(super) fn gap(
        &mut self,
        direction: Direction,
        hole: Hole,
        rules: &HttpRules,
        out: &mut Vec<WebSocketMessage>,
    ) {
        let Hole { len, missing, time, .. } = hole;
        if missing == Missing::Elided {
            self.count(direction, len);
        }
        let rules = of_messages(rules);
        self.read(direction, out, |receiver, sink| {
            receiver.gap(len, missing, time, &rules, sink);
        });
        self.note_unread(direction);
    }

    /// Nothing more comes in one direction: what is unfinished has this state.
    pub(super) fn finish(
        &mut self,
        direction: Direction,
        seen: State,
        out: &mut Vec<WebSocketMessage>,
    ) {
        self.read(direction, out, |receiver, sink| receiver.finish(seen, sink));
    }

    /// What comes first in this direction is not known to be the start of a frame.
    pub(super) fn lose_step(&mut self, direction: Direction) {
        // Before its first byte a receiver has nothing to give.
        self.read(direction, &mut Vec::new(), |receiver, sink| receiver.finish(State::Cut, sink));
        self.note_unread(direction);
    }

    const fn count(&mut self, direction: Direction, bytes: u64) {
        *match direction {
            Direction::ToServer => &mut self.tunnel.to_server_bytes,
            Direction::ToClient => &mut self.tunnel.to_client_bytes,
        } += bytes;
    }

    fn read(
        &mut self,
        direction: Direction,
        out: &mut Vec<WebSocketMessage>,
        act: impl FnOnce(&mut Receiver, &mut dyn FnMut(websocket::Message)),
    ) {
        let Self { tunnel, index, socket } = self;
        let Some([to_server, to_client]) = socket else { return };
        let receiver = match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        };
        act(receiver, &mut |message| {
            let (index, number) = (*index, tunnel.messages);
            out.push(WebSocketMessage { direction, index, number, message });
            tunnel.messages += 1;
        });
    }

    fn note_unread(&mut self, direction: Direction) {
        let Some([to_server, to_client]) = &self.socket else { return };
        match direction {
            Direction::ToServer => self.tunnel.to_server_unread |= to_server.is_deaf(),
            Direction::ToClient => self.tunnel.to_client_unread |= to_client.is_deaf(),
        }
    }
}

/// What is kept of messages is what is kept of bodies.
const fn of_messages(rules: &HttpRules) -> websocket::Rules {
    websocket::Rules { keep_bytes: rules.keep_body_bytes, limits: rules.decoding }
}
