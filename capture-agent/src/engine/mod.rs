//! The only wiring: a segment finds its flow, its stream and its HTTP, and what comes of it goes
//! to the listener.
//!
//! Invariants: time comes in with the segments and by [`Engine::advance`] alone, so that a capture
//! replays to the same events; a flow is summed up once, after its last exchange; there are never
//! more flows, and what they hold is never more, than the settings say.

mod conversation;
mod desk;
mod groups;
mod holes;
mod interfaces;
mod side;

use std::sync::Arc;

use crate::event::{EngineCounters, FlowSummary};
use crate::flow::{CloseReason, FlowIndex, FlowKey, FlowTable, Phase};
use crate::http::{self, HttpRules};
use crate::listener::{FlowView, Listener};
use crate::segment::{IfaceId, Interface, Segment, Timestamp};
use crate::selection::PortSet;
use crate::stream::{self, Stray};
use conversation::{Conversation, Finding};
use desk::Desk;
use holes::Holes;

/// Flows that go at a time because their time is over: when very many go at once, segments are
/// taken in between.
const EVICTIONS_AT_A_TIME: usize = 128;

/// Flows are given up in this order when there are too many: those that have ended, then those
/// that may never open, as in a flood of SYNs, then the others; the oldest activity first.
const BY_WORTH: [Phase; 3] = [Phase::Lingering, Phase::Opening, Phase::Open];

/// How the engine works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Nanoseconds after which a silent flow is gone.
    pub flow_timeout_ns: u64,
    /// Nanoseconds that a flow stays for strays after it has ended.
    pub linger_ns: u64,
    /// Most flows at a time: stops a flood from taking all memory.
    pub max_flows: usize,
    /// Most bytes of memory that flows and what they hold may take.
    pub memory_limit: usize,
    /// How streams are put together.
    pub stream: stream::Rules,
    /// What is kept of HTTP.
    pub http: HttpRules,
    /// Ports of servers, by which the client of a flow is guessed that was picked up midway.
    pub server_ports: PortSet,
    /// Bytes in one direction that were not acknowledged and are worth a warning; `None` where
    /// the source does not show each acknowledgement.
    pub unacknowledged_bytes: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            flow_timeout_ns: 300_000_000_000,
            linger_ns: 2_000_000_000,
            max_flows: 1_000_000,
            memory_limit: 1 << 30,
            stream: stream::Rules::default(),
            http: HttpRules::default(),
            server_ports: PortSet::any(),
            unacknowledged_bytes: None,
        }
    }
}

impl Settings {
    /// Those of each of so many engines that have a part of the flows each.
    #[must_use]
    pub fn share_of(&self, engines: usize) -> Self {
        let share = |whole: usize| (whole / engines.max(1)).max(1);
        Self {
            max_flows: share(self.max_flows),
            memory_limit: share(self.memory_limit),
            ..self.clone()
        }
    }
}

/// Segments in, events out.
#[derive(Debug)]
pub struct Engine {
    desk: Desk,
    table: FlowTable<Conversation>,
    counters: EngineCounters,
    holes: Holes,
    /// Bytes of memory that flows hold beyond their place in the table.
    held_memory: usize,
    /// Before this, the time of no flow and of no hole is over: with so many segments, the look
    /// for them would cost as much as finding the flow.
    next_due: Timestamp,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            desk: Desk::new(settings),
            table: FlowTable::default(),
            counters: EngineCounters::default(),
            holes: Holes::default(),
            held_memory: 0,
            next_due: Timestamp::default(),
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> EngineCounters {
        EngineCounters {
            flows_active: self.table.len() as u64,
            exchanges: self.desk.exchanges_passed,
            messages: self.desk.messages_passed,
            content_bytes: self.desk.content_bytes_passed,
            ..self.counters
        }
    }

    /// The latest time that came in.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.desk.now
    }

    /// Bytes of memory that flows and what they hold take.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.table.len() * Conversation::PLACE_BYTES + self.held_memory + self.holes.memory()
    }

    /// The flows that are in the table: those that have ended, those that are opening and those
    /// that are open, of each the one with the oldest activity first.
    pub fn flows(&self) -> impl Iterator<Item = FlowView<'_>> {
        let flows = BY_WORTH.into_iter().flat_map(|phase| self.table.iter(phase));
        flows.map(|flow| self.desk.view(flow))
    }

    /// The flows that have not ended, the one with the oldest activity first, and of which nothing
    /// was heard for at least so many nanoseconds.
    pub fn stale_flows(&self, idle_ns: u64) -> impl Iterator<Item = FlowView<'_>> {
        [Phase::Opening, Phase::Open].into_iter().flat_map(move |phase| {
            let flows = self.table.iter(phase).map(|flow| self.desk.view(flow));
            flows.take_while(move |flow| flow.idle_ns() >= idle_ns)
        })
    }

    /// The interface of this number is this one from now on: flows that were seen before keep the
    /// name it had. `None` forgets it.
    pub fn name_interface(&mut self, id: IfaceId, interface: Option<Arc<Interface>>) {
        self.desk.interfaces.name(id, interface, self.counters.flows_opened);
    }

    /// Takes a segment.
    pub fn segment(&mut self, segment: &Segment<'_>, listener: &mut impl Listener) {
        self.advance(segment.time, listener);
        self.counters.segments += 1;
        let Some(index) = self.flow_of(segment, listener) else {
            self.counters.segments_without_flow += 1;
            return;
        };
        self.take(index, segment, listener);
        self.keep_to_memory_limit(listener);
    }

    /// It is `now` or later: flows and holes whose time is over go. Returns whether some are left
    /// because they were too many; they go with the next calls.
    pub fn advance(&mut self, now: Timestamp, listener: &mut impl Listener) -> bool {
        self.desk.now = self.desk.now.max(now);
        if self.desk.now < self.next_due {
            return false;
        }
        self.expire_holes(listener);
        let mut left = EVICTIONS_AT_A_TIME;
        for phase in BY_WORTH {
            while let Some(index) = self.table.oldest(phase) {
                let Some(end) = self.overdue(index, phase) else { break };
                if left == 0 {
                    return true;
                }
                left -= 1;
                self.remove(index, CloseReason::Idle, end, listener);
            }
        }
        let oldest = BY_WORTH.map(|phase| self.end_of(self.table.oldest(phase)?, phase));
        let hole = self.holes.next_due(self.desk.settings.stream.hole_ns);
        let due = oldest.into_iter().chain([hole]).flatten().min();
        self.next_due = due.unwrap_or(Timestamp(u64::MAX));
        false
    }

    /// What is due next may be another flow or hole than before.
    const fn look_for_due(&mut self) {
        self.next_due = Timestamp(0);
    }

    /// A flow has just been active, and may have changed its phase.
    fn touch(&mut self, index: FlowIndex, phase: Phase) {
        if self.table.touch(index, phase) {
            self.look_for_due();
        }
    }

    /// The capture has ended: so have all flows, the least active first.
    pub fn finish(&mut self, listener: &mut impl Listener) {
        while self.advance(self.desk.now, listener) {}
        for phase in BY_WORTH {
            while let Some(index) = self.table.oldest(phase) {
                self.remove(index, CloseReason::End, self.desk.now, listener);
            }
        }
    }

    /// When the time of a flow was over, if it is.
    fn overdue(&self, index: FlowIndex, phase: Phase) -> Option<Timestamp> {
        self.end_of(index, phase).filter(|end| self.desk.now >= *end)
    }

    /// When the time of a flow is over, if nothing more is heard of it.
    fn end_of(&self, index: FlowIndex, phase: Phase) -> Option<Timestamp> {
        let settings = &self.desk.settings;
        let timeout = match phase {
            Phase::Lingering => settings.linger_ns,
            Phase::Opening | Phase::Open => settings.flow_timeout_ns,
        };
        let last = self.table.flow(index)?.last_activity;
        Some(Timestamp(last.as_nanos().saturating_add(timeout)))
    }

    /// The flow that a segment belongs to, a new one if need be; `None` if it belongs to none.
    fn flow_of(
        &mut self,
        segment: &Segment<'_>,
        listener: &mut impl Listener,
    ) -> Option<FlowIndex> {
        let key = FlowKey::new(segment.src, segment.dst);
        if let Some(index) = self.table.find(&key) {
            let phase = self.table.phase(index).unwrap_or(Phase::Open);
            // It may be among those that are overdue and were too many to go.
            if let Some(end) = self.overdue(index, phase) {
                self.remove(index, CloseReason::Idle, end, listener);
            } else if self.table.flow(index).is_some_and(|flow| flow.is_succeeded_by(segment)) {
                self.remove(index, CloseReason::Reused, self.desk.now, listener);
            } else {
                return Some(index);
            }
        }
        let flags = segment.flags;
        if flags.rst() || (segment.wire_len == 0 && !flags.syn()) {
            return None;
        }
        while self.table.len() >= self.desk.settings.max_flows && self.evict_one(listener) {}
        let mut flow = Conversation::new(segment, self.counters.flows_opened, &self.desk.settings);
        flow.learn_owner(segment, &mut self.desk.groups);
        self.counters.flows_opened += 1;
        listener.opened(&self.desk.view(&flow));
        let phase = flow.phase();
        self.look_for_due();
        Some(self.table.insert(flow, phase))
    }

    fn take(&mut self, index: FlowIndex, segment: &Segment<'_>, listener: &mut impl Listener) {
        let Some(flow) = self.table.flow_mut(index) else { return };
        if flow.take_plain(segment, &mut self.desk, listener) {
            self.counters.segments_in_flows += 1;
            self.counters.bytes += segment.payload.len() as u64;
            return self.touch(index, Phase::Open);
        }
        let phase = flow.phase();
        if flow.is_left_by(segment) {
            flow.touch(segment.time);
            self.touch(index, phase);
            self.resync(index, segment, listener);
        } else if flow.is_shown_again(segment) {
            flow.touch(segment.time);
            self.counters.segments_shown_again += 1;
            self.touch(index, phase);
        } else {
            self.count(index);
            self.feed(index, segment, true, listener);
        }
    }

    /// Takes a segment that lies where its flow is not.
    fn resync(&mut self, index: FlowIndex, segment: &Segment<'_>, listener: &mut impl Listener) {
        self.count(index);
        let Some(flow) = self.table.flow_mut(index) else { return };
        let before = flow.tally();
        let finding = flow.find(segment);
        self.settle(index, before, listener);
        match finding {
            Finding::Alone => {}
            Finding::InPlace => self.feed(index, segment, false, listener),
            Finding::Lost(strays) => {
                for stray in &strays {
                    self.feed(index, &stray.segment(), true, listener);
                }
                self.feed(index, segment, true, listener);
            }
            Finding::Succeeded(strays) => {
                self.remove(index, CloseReason::Reused, self.desk.now, listener);
                for segment in strays.iter().map(Stray::segment).chain([*segment]) {
                    if let Some(index) = self.flow_of(&segment, listener) {
                        self.feed(index, &segment, true, listener);
                    }
                }
            }
        }
    }

    fn count(&mut self, index: FlowIndex) {
        if self.table.flow(index).is_some_and(Conversation::is_closed) {
            self.counters.segments_after_close += 1;
        } else {
            self.counters.segments_in_flows += 1;
        }
    }

    /// Gives a segment to its flow.
    fn feed(
        &mut self,
        index: FlowIndex,
        segment: &Segment<'_>,
        acknowledges: bool,
        listener: &mut impl Listener,
    ) {
        let Some(flow) = self.table.flow_mut(index) else { return };
        let before = flow.tally();
        flow.touch(segment.time);
        if flow.is_closed() {
            flow.take_stray(segment, &self.desk);
        } else if !flow.take(segment, acknowledges, &mut self.desk, listener) {
            self.counters.resets_ignored += 1;
        }
        let phase = flow.phase();
        self.touch(index, phase);
        self.settle(index, before, listener);
    }

    /// Books what has become of a flow, and passes on what was said on it.
    fn settle(&mut self, index: FlowIndex, before: side::Tally, listener: &mut impl Listener) {
        let Some(flow) = self.table.flow_mut(index) else { return };
        let now = flow.tally();
        self.counters.bytes += now.bytes - before.bytes;
        self.counters.gap_bytes += now.gap_bytes - before.gap_bytes;
        self.counters.dropped_bytes += now.dropped_bytes - before.dropped_bytes;
        self.counters.elided_bytes += now.elided_bytes - before.elided_bytes;
        self.held_memory = self.held_memory + now.memory - before.memory;
        if let Some(since) = now.hole_since {
            self.holes.add(since, flow.number, flow.flow_key());
            self.next_due = Timestamp(0);
        }
        self.desk.pass_on(flow, listener);
    }

    fn expire_holes(&mut self, listener: &mut impl Listener) {
        let hole_ns = self.desk.settings.stream.hole_ns;
        while let Some(key) = self.holes.take_overdue(self.desk.now, hole_ns) {
            let Some(index) = self.table.find(&key) else { continue };
            let Some(flow) = self.table.flow_mut(index) else { continue };
            let before = flow.tally();
            flow.expire_holes(&mut self.desk, listener);
            let phase = flow.phase();
            if self.table.phase(index) != Some(phase) {
                self.touch(index, phase);
            }
            self.settle(index, before, listener);
            self.keep_to_memory_limit(listener);
        }
    }

    fn keep_to_memory_limit(&mut self, listener: &mut impl Listener) {
        while self.memory() > self.desk.settings.memory_limit && self.evict_one(listener) {}
    }

    /// Makes room: the flow goes that is worth the least. Returns whether there was one.
    fn evict_one(&mut self, listener: &mut impl Listener) -> bool {
        let Some(index) = BY_WORTH.into_iter().find_map(|phase| self.table.oldest(phase)) else {
            return false;
        };
        self.remove(index, CloseReason::Pressure, self.desk.now, listener);
        true
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
        let before = flow.tally();
        if !flow.is_closed() {
            let seen = match reason {
                CloseReason::End => http::State::Open,
                _ => http::State::Cut,
            };
            flow.close(reason, end, seen, &mut self.desk, listener);
        }
        self.settle(index, before, listener);
        let Some(flow) = self.table.remove(index) else { return };
        self.next_due = Timestamp(0);
        self.held_memory -= flow.tally().memory;
        self.holes.remove(flow.number);
        let (reason, end) = flow.closed().unwrap_or((reason, end));
        if let Some(count) = self.counters.flows_closed.get_mut(reason as usize) {
            *count += 1;
        }
        let (to_server, to_client) = flow.counters();
        listener.gone(FlowSummary {
            flow: self.desk.info(&flow),
            start: flow.start,
            end,
            last_activity: flow.last_activity,
            close: reason,
            to_server,
            to_client,
            exchanges: flow.exchanges(),
            tunnel: flow.tunnel().cloned(),
        });
    }
}
