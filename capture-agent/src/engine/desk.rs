//! What every conversation needs at hand: settings, time, names, and room for HTTP.

use std::sync::Arc;

use super::Settings;
use super::conversation::Conversation;
use super::groups::Groups;
use super::interfaces::Interfaces;
use crate::event::{Exchange, FlowInfo, WebSocketMessage};
use crate::flow::FlowId;
use crate::http::{self, Connection, Resting};
use crate::listener::{FlowView, Listener};
use crate::segment::{Interface, Timestamp};

/// Connections kept for the next flow that speaks, so that an exchange needs no allocation for
/// them. More than speak at the same time would be waste.
const MAX_SPARE: usize = 1024;

/// What every conversation needs at hand.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) settings: Settings,
    pub(super) now: Timestamp,
    pub(super) interfaces: Interfaces,
    pub(super) groups: Groups,
    /// What is on its way to the listener; empty between calls.
    pub(super) said: http::Said,
    /// Exchanges that the listener has had.
    pub(super) exchanges_passed: u64,
    /// Messages of WebSockets that it has had.
    pub(super) messages_passed: u64,
    /// Bytes of bodies that it has had as they came in.
    pub(super) content_bytes_passed: u64,
    // Boxed, because they go from flow to flow as they are.
    #[expect(clippy::vec_box, reason = "a flow takes the box")]
    spare: Vec<Box<Connection>>,
}

impl Desk {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            now: Timestamp::default(),
            interfaces: Interfaces::default(),
            groups: Groups::default(),
            said: http::Said::default(),
            exchanges_passed: 0,
            messages_passed: 0,
            content_bytes_passed: 0,
            spare: Vec::new(),
        }
    }

    /// Room for HTTP that goes on from there.
    pub(super) fn connection(&mut self, resting: Resting) -> Box<Connection> {
        match self.spare.pop() {
            Some(mut connection) => {
                connection.resume(resting);
                connection
            }
            None => Box::new(Connection::new(resting)),
        }
    }

    /// Takes room back on which nothing is unfinished.
    pub(super) fn take_back(&mut self, connection: Box<Connection>) {
        if self.spare.len() < MAX_SPARE && !connection.is_roomy() {
            self.spare.push(connection);
        }
    }

    pub(super) fn view<'a>(&'a self, flow: &Conversation) -> FlowView<'a> {
        FlowView {
            number: flow.number,
            client: flow.client,
            server: flow.server,
            iface: self.interface(flow),
            local: flow.local(&self.groups),
            state: flow.state(),
            start: flow.start,
            last_activity: flow.last_activity,
            now: self.now,
        }
    }

    pub(super) fn info(&self, flow: &Conversation) -> FlowInfo {
        FlowInfo {
            id: FlowId::new(&flow.flow_key(), flow.start),
            number: flow.number,
            start: flow.start,
            client: flow.client,
            server: flow.server,
            iface: self.interface(flow).cloned(),
            local: flow.local(&self.groups),
            owner: None,
        }
    }

    /// Passes on what was said on a flow.
    pub(super) fn pass_on(&mut self, flow: &Conversation, listener: &mut impl Listener) {
        self.pass_parts_on(flow, listener);
        if self.said.exchanges.is_empty() && self.said.messages.is_empty() {
            return;
        }
        let flow = self.info(flow);
        self.exchanges_passed += self.said.exchanges.len() as u64;
        for http in self.said.exchanges.drain(..) {
            listener.exchange(Exchange { flow: flow.clone(), http });
        }
        self.messages_passed += self.said.messages.len() as u64;
        for http in self.said.messages.drain(..) {
            listener.websocket(WebSocketMessage { flow: flow.clone(), http });
        }
    }

    fn pass_parts_on(&mut self, flow: &Conversation, listener: &mut impl Listener) {
        if self.said.parts.is_empty() {
            return;
        }
        let mut parts = std::mem::take(&mut self.said.parts);
        for part in parts.drain(..) {
            self.content_bytes_passed += part.bytes.len() as u64;
            listener.content(&self.view(flow), part);
        }
        self.said.parts = parts;
    }

    fn interface(&self, flow: &Conversation) -> Option<&Arc<Interface>> {
        self.interfaces.at(flow.iface()?, flow.number)
    }
}
