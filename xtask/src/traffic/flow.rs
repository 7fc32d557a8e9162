//! One connection: what its ends say to each other, and how the network treats it.
//!
//! The capture is taken between the ends, nearer to the server. A segment has at most one
//! misfortune, and what is sent again has none, so that every flow ends.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;

use anyhow::Result;
use fastrand::Rng;

use super::end::{Duty, End};
use super::message::Message;
use super::tap::Unseen;
use super::truth::Truth;
use super::world::Shared;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// As Linux has them; RFC 6298 would wait a second.
const DELAYED_ACK_NS: u64 = 40 * MS;
const TIMEOUT_NS: u64 = 200 * MS;
/// A gigabit a second.
const NS_PER_BYTE: u64 = 8;
/// A segment that is overtaken is by so many full ones.
const OVERTAKEN_BY: u64 = 3;
/// Most requests that are sent at once.
const LONGEST_PIPELINE: u32 = 5;
/// A server takes so long on average before it answers, and a client before it asks again.
const ANSWER_NS: f64 = 4e6;
const THINK_NS: f64 = 12e6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// A segment on its way.
#[derive(Clone)]
pub(super) struct Packet {
    pub(super) from: Side,
    pub(super) range: Range<u64>,
    pub(super) ack: u64,
    pub(super) push: bool,
    /// The capture does not see it.
    pub(super) unseen: bool,
    /// It gets lost behind the place of the capture.
    pub(super) lost: bool,
}

/// What happens to a flow at some time.
pub(super) enum What {
    /// A segment of the handshake, by how many SYNs were before it.
    Handshake(u32),
    Passes(Packet),
    Arrives(Packet),
    AckIsDue(Side),
    TimesOut {
        side: Side,
        acked: u64,
    },
    Asks,
    Answers,
}

/// An exchange under way, and where its messages lie in the two streams.
pub(super) struct Pending {
    pub(super) truth: Truth,
    pub(super) request: Range<u64>,
    /// Once the server has said it.
    pub(super) response: Option<Range<u64>>,
    answer: Option<Message>,
}

/// The way from one end to the other.
pub(super) struct Way {
    before_ns: u64,
    pub(super) after_ns: u64,
    /// When the line is free for the next segment.
    free_at_ns: u64,
    times_out: bool,
    ack_is_due: bool,
    pub(super) unseen: Unseen,
}

impl Way {
    /// With these delays before and after the place of the capture.
    fn new(before_ns: u64, after_ns: u64) -> Self {
        let unseen = Unseen::default();
        let (times_out, ack_is_due) = (false, false);
        Self { before_ns, after_ns, free_at_ns: 0, times_out, ack_is_due, unseen }
    }
}

pub(super) struct Flow {
    pub(super) number: u32,
    client_addr: SocketAddrV4,
    server_addr: SocketAddrV4,
    client: End,
    server: End,
    to_server: Way,
    to_client: Way,
    rng: Rng,
    next_index: u32,
    pub(super) pending: VecDeque<Pending>,
    /// Of those, how many the server has answered.
    pub(super) answered: usize,
    answering: bool,
    /// Where the last response ends that the client waits for.
    waits_for: Option<u64>,
    /// The server closes with its last answer.
    last: bool,
}

impl Flow {
    /// The `number`th flow. No two have the same ends.
    pub(super) fn new(number: u32, mut rng: Rng, mss: u16) -> Self {
        let [_, high, middle, low] = (number / 16).to_be_bytes();
        let port = 40_000 + (number % 16) as u16 * 1_000 + rng.u16(..1_000);
        // From a neighbour to another continent, each order of magnitude as likely.
        let client_ns = (100_000.0 * 300.0_f64.powf(rng.f64())) as u64;
        let server_ns = rng.u64(10 * US..50 * US);
        Self {
            number,
            client_addr: SocketAddrV4::new(Ipv4Addr::new(10, 64 | high, middle, low), port),
            server_addr: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1 + (number % 4) as u8), 80),
            client: End::new(rng.u32(..), mss.into()),
            server: End::new(rng.u32(..), mss.into()),
            to_server: Way::new(client_ns, server_ns),
            to_client: Way::new(server_ns, client_ns),
            rng,
            next_index: 0,
            pending: VecDeque::new(),
            answered: 0,
            answering: false,
            waits_for: None,
            last: false,
        }
    }

    /// Whether both ends have said all, and know that the other has it.
    pub(super) fn is_over(&self) -> bool {
        let done = |end: &End| end.closing && end.acked == end.end();
        done(&self.client) && done(&self.server)
    }

    pub(super) fn handle(&mut self, what: What, shared: &mut Shared) -> Result<()> {
        match what {
            What::Handshake(syns) => return self.handshake(syns, shared),
            What::Passes(packet) => return self.passes(packet, shared),
            What::Arrives(packet) => self.arrives(&packet, shared),
            What::AckIsDue(side) => {
                self.way(side).ack_is_due = false;
                if self.end(side).unacknowledged > 0 {
                    self.acknowledge(side, shared);
                }
            }
            What::TimesOut { side, acked } => self.times_out(side, acked, shared),
            What::Asks => self.asks(shared),
            What::Answers => self.answers(shared),
        }
        Ok(())
    }

    pub(super) fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// The way of what this end says.
    pub(super) fn way(&mut self, side: Side) -> &mut Way {
        match side {
            Side::Client => &mut self.to_server,
            Side::Server => &mut self.to_client,
        }
    }

    /// Of a segment from this end: from and to.
    pub(super) fn addrs(&self, from: Side) -> (SocketAddrV4, SocketAddrV4) {
        match from {
            Side::Client => (self.client_addr, self.server_addr),
            Side::Server => (self.server_addr, self.client_addr),
        }
    }

    fn handshake(&mut self, syns: u32, shared: &mut Shared) -> Result<()> {
        self.show_handshake(syns, shared)?;
        let (far, near) = (self.to_server.before_ns, self.to_server.after_ns);
        let (delay_ns, next) = match syns {
            0 => (2 * near, What::Handshake(1)),
            1 => (2 * far, What::Handshake(2)),
            _ => (0, What::Asks),
        };
        shared.after(delay_ns, self.number, next);
        Ok(())
    }

    fn arrives(&mut self, packet: &Packet, shared: &mut Shared) {
        let side = packet.from.other();
        let pure = packet.range.is_empty();
        if let Some(again) = self.end_mut(side).acknowledged(packet.ack, pure) {
            self.send(side, again, false, shared);
        }
        let duty = self.end_mut(side).takes(&packet.range);
        if self.end(side).has > self.end(side.other()).outbox.end() {
            self.end_mut(side).closing = true; // so has the other
        }
        self.proceed(side, shared);
        if !self.send_all(side, shared) {
            match duty {
                Duty::Nothing => {}
                Duty::AtOnce => self.acknowledge(side, shared),
                Duty::Soon if self.way(side).ack_is_due => {}
                Duty::Soon => {
                    self.way(side).ack_is_due = true;
                    shared.after(DELAYED_ACK_NS, self.number, What::AckIsDue(side));
                }
            }
        }
    }

    /// What this end does now that it has more.
    fn proceed(&mut self, side: Side, shared: &mut Shared) {
        let has = self.end(side).has;
        match side {
            Side::Server => {
                let next = self.pending.get(self.answered);
                if !self.answering && next.is_some_and(|next| next.request.end <= has) {
                    self.answering = true;
                    let delay_ns = 200 * US + exponential(&mut self.rng, ANSWER_NS);
                    shared.after(delay_ns, self.number, What::Answers);
                }
            }
            Side::Client => {
                if self.waits_for.is_some_and(|end| end <= has) && !self.last {
                    self.waits_for = None;
                    let delay_ns = 100 * US + exponential(&mut self.rng, THINK_NS);
                    shared.after(delay_ns, self.number, What::Asks);
                }
            }
        }
    }

    fn asks(&mut self, shared: &mut Shared) {
        let share = shared.planner.mix.pipelining;
        // Of bursts, so that of requests it is `share`.
        let mean = f64::from(2 + LONGEST_PIPELINE) / 2.0;
        let bursts = share / (mean - (mean - 1.0) * share);
        let burst = if self.rng.f64() < bursts { self.rng.u32(2..=LONGEST_PIPELINE) } else { 1 };
        let keeps = self.rng.f64() < shared.planner.mix.keep_alive;
        for left in (0..burst).rev() {
            if shared.plans_more() {
                self.ask(burst > 1, left == 0 && !keeps, shared);
            }
        }
        self.client.closing = self.pending.len() == self.answered;
        self.send_all(Side::Client, shared);
    }

    fn ask(&mut self, pipelined: bool, last: bool, shared: &mut Shared) {
        let token = format!("{:06x}-{:06x}", self.number, self.next_index);
        let second = shared.now_ns / 1_000_000_000;
        let exchange = shared.planner.exchange(&mut self.rng, &token, second, last);
        shared.planned(exchange.request.message.len() + exchange.response.message.len());
        let truth = Truth {
            client: self.client_addr,
            server: self.server_addr,
            index: self.next_index,
            token,
            pipelined,
            method: exchange.method.to_owned(),
            target: exchange.target,
            status: exchange.status,
            request: exchange.request.part,
            response: exchange.response.part,
        };
        let request = self.client.outbox.push(exchange.request.message);
        let answer = Some(exchange.response.message);
        self.pending.push_back(Pending { truth, request, response: None, answer });
        self.next_index += 1;
        self.last = last;
    }

    fn answers(&mut self, shared: &mut Shared) {
        self.answering = false;
        let all = self.pending.len();
        let Some(pending) = self.pending.get_mut(self.answered) else { return };
        let Some(answer) = pending.answer.take() else { return };
        let response = self.server.outbox.push(answer);
        pending.response = Some(response.clone());
        self.answered += 1;
        if self.answered == all {
            self.waits_for = Some(response.end);
            self.server.closing = self.last;
        }
        self.send_all(Side::Server, shared);
        self.proceed(Side::Server, shared);
    }

    /// Sends what the window allows; whether that was anything.
    fn send_all(&mut self, side: Side, shared: &mut Shared) -> bool {
        let mut sent = false;
        while let Some(range) = self.end_mut(side).next() {
            self.send(side, range, true, shared);
            sent = true;
        }
        sent
    }

    fn acknowledge(&mut self, side: Side, shared: &mut Shared) {
        let at = self.end(side).sent;
        self.send(side, at..at, false, shared);
    }

    /// `first`: for the first time, when it may have a misfortune.
    fn send(&mut self, side: Side, range: Range<u64>, first: bool, shared: &mut Shared) {
        let end = self.end_mut(side);
        end.unacknowledged = 0;
        let last = end.outbox.end();
        let (push, ack, len) =
            (range.end == last && !range.is_empty(), end.has, range.end - range.start);
        let is_data = range.start < last && len > 0;
        let mut packet = Packet { from: side, range, ack, push, unseen: false, lost: false };
        let now_ns = shared.now_ns;
        let way = self.way(side);
        let departs_ns = way.free_at_ns.max(now_ns);
        way.free_at_ns = departs_ns + (len + 66) * NS_PER_BYTE;
        let mut passes_ns = departs_ns + way.before_ns - now_ns;
        if len > 0 && !way.times_out {
            way.times_out = true;
            let acked = self.end(side).acked;
            shared.after(TIMEOUT_NS, self.number, What::TimesOut { side, acked });
        }
        if first && is_data {
            let mix = &shared.planner.mix;
            let roll = self.rng.f64();
            if roll < mix.loss {
                packet.unseen = true;
            } else if roll < mix.loss + mix.retransmission {
                match self.rng.u8(..3) {
                    0 => return, // lost before
                    1 => packet.lost = true,
                    _ => {
                        shared.after(passes_ns + 10 * US, self.number, What::Passes(packet.clone()))
                    }
                }
            } else if roll < mix.loss + mix.retransmission + mix.reordering {
                let full = u64::from(mix.segment_bytes) + 66;
                passes_ns += OVERTAKEN_BY * full * NS_PER_BYTE + self.rng.u64(..full * NS_PER_BYTE);
            }
        }
        shared.after(passes_ns, self.number, What::Passes(packet));
    }

    fn times_out(&mut self, side: Side, acked: u64, shared: &mut Shared) {
        self.way(side).times_out = false;
        let end = self.end_mut(side);
        if end.sent <= end.acked {
            return;
        }
        if end.acked == acked {
            let again = end.recover();
            self.send(side, again, false, shared);
        } else {
            self.way(side).times_out = true;
            let acked = self.end(side).acked;
            shared.after(TIMEOUT_NS, self.number, What::TimesOut { side, acked });
        }
    }
}

/// Waiting times of what comes at random.
fn exponential(rng: &mut Rng, mean_ns: f64) -> u64 {
    (-(1.0 - rng.f64()).ln() * mean_ns) as u64
}
