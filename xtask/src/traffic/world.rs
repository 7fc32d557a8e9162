//! All flows, in the order of time.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};

use anyhow::Result;
use fastrand::Rng;

use super::exchange::Planner;
use super::flow::{Flow, What};
use super::frame::{Capture, Segment};
use super::truth::{Truth, Truths};

/// 2023-11-14 00:00 UTC.
const START_NS: u64 = 1_699_920_000_000_000_000;
/// Flows begin within this time, each at its own.
const BEGINNINGS_NS: u64 = 100_000_000;

/// How much is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// A capture file of about so many bytes.
    Bytes(u64),
    Exchanges(u64),
}

/// What was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) bytes: u64,
    pub(super) frames: u64,
    pub(crate) exchanges: u64,
    pub(super) touched: u64,
    pub(super) flows: u32,
    pub(super) span_ns: u64,
}

impl Summary {
    pub(super) fn exchange(&mut self, truth: &Truth) {
        self.exchanges += 1;
        self.touched += u64::from(truth.touched());
    }
}

/// What the flows share.
pub(super) struct Shared {
    pub(super) planner: Planner,
    capture: Capture,
    pub(super) truths: Truths,
    pub(super) summary: Summary,
    pub(super) now_ns: u64,
    /// Of the segment that is being written.
    pub(super) payload: Vec<u8>,
    queue: BinaryHeap<Reverse<Event>>,
    events: u64,
    goal: Goal,
    exchanges_planned: u64,
    payload_planned: u64,
    payload_written: u64,
}

struct Event {
    time_ns: u64,
    /// What was planned first is first.
    serial: u64,
    flow: u32,
    what: What,
}

impl Event {
    fn order(&self) -> (u64, u64) {
        (self.time_ns, self.serial)
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl Shared {
    pub(super) fn new(planner: Planner, goal: Goal, capture: Capture, truths: Truths) -> Self {
        Self {
            planner,
            capture,
            truths,
            summary: Summary::default(),
            now_ns: START_NS,
            payload: Vec::new(),
            queue: BinaryHeap::new(),
            events: 0,
            goal,
            exchanges_planned: 0,
            payload_planned: 0,
            payload_written: 0,
        }
    }

    pub(super) fn after(&mut self, delay_ns: u64, flow: u32, what: What) {
        let event = Event { time_ns: self.now_ns + delay_ns, serial: self.events, flow, what };
        self.events += 1;
        self.queue.push(Reverse(event));
    }

    /// Whether the goal is not yet reached by what is planned.
    pub(super) fn plans_more(&self) -> bool {
        match self.goal {
            Goal::Bytes(bytes) => {
                let to_come = self.payload_planned.saturating_sub(self.payload_written);
                self.capture.written_bytes() + to_come < bytes
            }
            Goal::Exchanges(exchanges) => self.exchanges_planned < exchanges,
        }
    }

    /// An exchange with so many bytes will be there.
    pub(super) fn planned(&mut self, bytes: u64) {
        self.exchanges_planned += 1;
        self.payload_planned += bytes;
    }

    /// The capture sees a segment.
    pub(super) fn show(&mut self, segment: &Segment) -> Result<()> {
        self.payload_written += self.payload.len() as u64;
        self.capture.write(self.now_ns, segment, &self.payload)
    }
}

/// Makes all of it.
pub(super) fn run(mut shared: Shared, rng: &mut Rng) -> Result<Summary> {
    let mut flows = HashMap::new();
    let mut opened = 0;
    let mut open = |shared: &mut Shared, rng: &mut Rng, flows: &mut HashMap<_, _>, delay_ns| {
        let flow = Flow::new(opened, rng.fork(), shared.planner.mix.segment_bytes);
        shared.after(delay_ns, opened, What::Handshake(0));
        flows.insert(opened, flow);
        opened += 1;
    };
    for _ in 0..shared.planner.mix.flows {
        let delay_ns = rng.u64(..BEGINNINGS_NS);
        open(&mut shared, rng, &mut flows, delay_ns);
    }
    while let Some(Reverse(event)) = shared.queue.pop() {
        // What is late for a flow that is over.
        let Some(flow) = flows.get_mut(&event.flow) else { continue };
        shared.now_ns = event.time_ns;
        flow.handle(event.what, &mut shared)?;
        if flow.is_over() {
            flows.remove(&event.flow);
            if shared.plans_more() {
                open(&mut shared, rng, &mut flows, 1_000_000);
            }
        }
    }
    let Shared { mut summary, capture, truths, now_ns, .. } = shared;
    summary.bytes = capture.written_bytes();
    summary.frames = capture.frames();
    summary.flows = opened;
    summary.span_ns = now_ns - START_NS;
    capture.end()?;
    truths.end()?;
    Ok(summary)
}
