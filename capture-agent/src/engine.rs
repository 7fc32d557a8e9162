//! The only wiring: a segment finds its flow, its stream and its HTTP, and what comes of it goes
//! to the listener.
//!
//! Invariants: time comes in with the segments and by [`Engine::advance`] alone, so that a capture
//! replays to the same events; a flow is summed up once, after its last exchange.

mod conversation;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::event::{EngineCounters, Exchange, FlowInfo, FlowSummary};
use crate::flow::{CloseReason, FlowId, FlowIndex, FlowKey, FlowTable, Phase};
use crate::http::{self, HttpRules};
use crate::listener::Listener;
use crate::segment::{IfaceId, Segment, Timestamp};
use crate::selection::PortSet;
use crate::stream::Limits;
use conversation::Conversation;

/// How the engine works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Nanoseconds after which a silent flow is gone.
    pub flow_timeout_ns: u64,
    /// Nanoseconds that a flow stays for strays after it has ended.
    pub linger_ns: u64,
    /// Most flows at a time: stops a flood from taking all memory.
    pub max_flows: usize,
    /// Bounds on what is held while a hole may still be filled.
    pub stream: Limits,
    /// What is kept of HTTP.
    pub http: HttpRules,
    /// Ports of servers, by which the client of a flow is guessed that was picked up midway.
    pub server_ports: PortSet,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            flow_timeout_ns: 300_000_000_000,
            linger_ns: 2_000_000_000,
            max_flows: 1_000_000,
            stream: Limits::default(),
            http: HttpRules::default(),
            server_ports: PortSet::any(),
        }
    }
}

/// Segments in, events out.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    table: FlowTable<Conversation>,
    now: Timestamp,
    counters: EngineCounters,
    iface_names: HashMap<IfaceId, Option<Arc<str>>>,
    /// Flows with an open hole, in the order of their holes.
    holes: VecDeque<(Timestamp, FlowKey)>,
    /// Exchanges on their way to the listener; empty between calls.
    exchanges: Vec<http::Exchange>,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            table: FlowTable::default(),
            now: Timestamp::default(),
            counters: EngineCounters::default(),
            iface_names: HashMap::new(),
            holes: VecDeque::new(),
            exchanges: Vec::new(),
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> EngineCounters {
        EngineCounters { flows_active: self.table.len() as u64, ..self.counters }
    }

    /// The latest time that came in.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The interface of this number has this name from now on.
    pub fn name_interface(&mut self, iface: IfaceId, name: Option<Arc<str>>) {
        self.iface_names.insert(iface, name);
    }

    /// Takes a segment.
    pub fn segment(&mut self, segment: &Segment<'_>, listener: &mut impl Listener) {
        self.advance(segment.time, listener);
        self.counters.segments += 1;
        let Some(index) = self.flow_of(segment, listener) else {
            self.counters.segments_without_flow += 1;
            return;
        };
        self.take(index, segment);
        self.drain(index, listener);
    }

    /// It is `now` or later: flows and holes whose time is over go.
    pub fn advance(&mut self, now: Timestamp, listener: &mut impl Listener) {
        self.now = self.now.max(now);
        self.expire_holes(listener);
        let timeouts = [
            (Phase::Lingering, self.settings.linger_ns),
            (Phase::Opening, self.settings.flow_timeout_ns),
            (Phase::Open, self.settings.flow_timeout_ns),
        ];
        for (phase, timeout) in timeouts {
            while let Some(index) = self.table.oldest(phase) {
                let Some(flow) = self.table.flow(index) else { break };
                if self.now.nanos_since(flow.last_activity) < timeout {
                    break;
                }
                let end = Timestamp(flow.last_activity.as_nanos().saturating_add(timeout));
                self.remove(index, CloseReason::Idle, end, listener);
            }
        }
    }

    /// The capture has ended: so have all flows, the least active first.
    pub fn finish(&mut self, listener: &mut impl Listener) {
        for phase in [Phase::Lingering, Phase::Opening, Phase::Open] {
            while let Some(index) = self.table.oldest(phase) {
                self.remove(index, CloseReason::End, self.now, listener);
            }
        }
    }

    /// The flow that a segment belongs to, a new one if need be; `None` if it belongs to none.
    fn flow_of(
        &mut self,
        segment: &Segment<'_>,
        listener: &mut impl Listener,
    ) -> Option<FlowIndex> {
        let key = FlowKey::new(segment.src, segment.dst);
        if let Some(index) = self.table.find(&key) {
            if !self.table.flow(index).is_some_and(|flow| flow.is_succeeded_by(segment)) {
                return Some(index);
            }
            self.remove(index, CloseReason::Reused, self.now, listener);
        }
        let flags = segment.flags;
        if flags.rst() || (segment.wire_len == 0 && !flags.syn()) {
            return None;
        }
        while self.table.len() >= self.settings.max_flows {
            let first = [Phase::Lingering, Phase::Opening, Phase::Open]
                .into_iter()
                .find_map(|phase| self.table.oldest(phase))?;
            self.remove(first, CloseReason::Pressure, self.now, listener);
        }
        self.counters.flows_opened += 1;
        let phase = if flags.syn() { Phase::Opening } else { Phase::Open };
        Some(self.table.insert(key, Conversation::new(segment, &self.settings), phase))
    }

    fn take(&mut self, index: FlowIndex, segment: &Segment<'_>) {
        let Some(flow) = self.table.flow_mut(index) else { return };
        flow.last_activity = flow.last_activity.max(segment.time);
        let before = flow.carried();
        if flow.is_shown_again(segment) {
            self.counters.segments_shown_again += 1;
        } else if flow.closed.is_some() {
            self.counters.segments_after_close += 1;
            flow.take_stray(segment, &self.settings);
        } else {
            self.counters.segments_in_flows += 1;
            if !flow.take(segment, &self.settings, &mut self.exchanges) {
                self.counters.resets_ignored += 1;
            }
        }
        let phase = flow.phase();
        self.table.touch(index, phase);
        self.count_bytes(index, before);
        self.queue_hole(index, FlowKey::new(segment.src, segment.dst));
    }

    /// Remembers to look after a hole when its time is over. A flow is in the queue once, so that
    /// a flow of holes takes no more room than one.
    fn queue_hole(&mut self, index: FlowIndex, key: FlowKey) {
        let Some(flow) = self.table.flow_mut(index).filter(|flow| !flow.in_hole_queue) else {
            return;
        };
        if let Some(since) = flow.hole_since() {
            flow.in_hole_queue = true;
            self.holes.push_back((since, key));
        }
    }

    fn count_bytes(&mut self, index: FlowIndex, (bytes, gap_bytes): (u64, u64)) {
        if let Some(flow) = self.table.flow(index) {
            let (bytes_now, gap_bytes_now) = flow.carried();
            self.counters.bytes += bytes_now - bytes;
            self.counters.gap_bytes += gap_bytes_now - gap_bytes;
        }
    }

    /// Passes on the exchanges that a flow has given.
    fn drain(&mut self, index: FlowIndex, listener: &mut impl Listener) {
        if self.exchanges.is_empty() {
            return;
        }
        let Some(flow) = self.table.flow(index) else { return };
        let info = self.info(flow);
        self.counters.exchanges += self.exchanges.len() as u64;
        for http in self.exchanges.drain(..) {
            listener.exchange(Exchange { flow: info.clone(), http });
        }
    }

    fn info(&self, flow: &Conversation) -> FlowInfo {
        let name = flow.iface().and_then(|iface| self.iface_names.get(&iface));
        FlowInfo {
            id: FlowId::new(&FlowKey::new(flow.client, flow.server), flow.start),
            client: flow.client,
            server: flow.server,
            iface: name.cloned().flatten(),
        }
    }

    fn expire_holes(&mut self, listener: &mut impl Listener) {
        while let Some((since, key)) = self.holes.front().copied() {
            if self.now.nanos_since(since) < self.settings.stream.hole_ns {
                break;
            }
            self.holes.pop_front();
            let Some(index) = self.table.find(&key) else { continue };
            let Some(flow) = self.table.flow_mut(index) else { continue };
            let before = flow.carried();
            flow.expire_holes(self.now, &self.settings, &mut self.exchanges);
            flow.in_hole_queue = false;
            self.count_bytes(index, before);
            self.queue_hole(index, key);
            self.drain(index, listener);
        }
    }

    /// Takes a flow out of the table and sums it up.
    fn remove(
        &mut self,
        index: FlowIndex,
        reason: CloseReason,
        end: Timestamp,
        listener: &mut impl Listener,
    ) {
        let Some(flow) = self.table.flow_mut(index) else { return };
        let before = flow.carried();
        if flow.closed.is_none() {
            let seen = match reason {
                CloseReason::End => http::State::Open,
                _ => http::State::Cut,
            };
            flow.close(reason, end, seen, &self.settings, &mut self.exchanges);
        }
        self.count_bytes(index, before);
        self.drain(index, listener);
        let Some(flow) = self.table.remove(index) else { return };
        let (reason, end) = flow.closed.unwrap_or((reason, end));
        if let Some(count) = self.counters.flows_closed.get_mut(reason as usize) {
            *count += 1;
        }
        listener.flow_gone(FlowSummary {
            flow: self.info(&flow),
            start: flow.start,
            end,
            last_activity: flow.last_activity,
            close: reason,
            to_server: *flow.to_server.stream.counters(),
            to_client: *flow.to_client.stream.counters(),
            exchanges: flow.exchanges(),
        });
    }
}
