//! Two ends of a TCP connection over a network that loses, delays, doubles and reorders, on a
//! virtual clock, with a tap in the middle that sees what passes, or most of it.
//!
//! The ends are as small as RFC 9293 lets them be: a window, cumulative acknowledgements, what is
//! early is kept, and what is not acknowledged in time is sent again, cut anew. So they converge
//! whatever the network does, and what was said on both sides is known.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;

use super::pcap::{ACK, FIN, SYN, Tcp};
use super::peers::{MS, START, Seen};

/// What is not acknowledged for so long is sent again.
const TIMEOUT_NS: u64 = 200 * MS;
const WINDOW_BYTES: u64 = 4_000;
const LARGEST_SEGMENT: u64 = 600;

/// How the network treats a packet, in chances of 100.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) lost_before_tap: u64,
    pub(crate) lost_after_tap: u64,
    pub(crate) doubled: u64,
    /// Passes the tap, which does not see it.
    pub(crate) unseen: u64,
    /// Longest delay on either side of the tap.
    pub(crate) jitter_ns: u64,
}

/// Chance that can be repeated: a linear congruential generator.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What the two ends say, in turns, the client first; each is said when the one before is there.
pub(crate) type Script = Vec<Vec<u8>>;

/// One end. Positions count sequence numbers from SYN, which is 0; they never wrap.
struct End {
    addr: SocketAddr,
    isn: u32,
    /// What it will say in all.
    says: Vec<u8>,
    /// Up to where it has sent, and up to where that was acknowledged.
    sent: u64,
    acked: u64,
    /// Up to where it has what the other says, and what of that came early.
    has: u64,
    early: BTreeMap<u64, u64>,
    /// Grows with each time that it waits for an acknowledgement.
    timer: u64,
}

impl End {
    /// Position after FIN.
    fn end(&self) -> u64 {
        1 + self.says.len() as u64 + 1
    }

    fn take(&mut self, from: u64, to: u64) {
        let until = self.early.entry(from).or_insert(to);
        *until = (*until).max(to);
        while let Some((&from, &to)) = self.early.first_key_value()
            && from <= self.has
        {
            self.has = self.has.max(to);
            self.early.pop_first();
        }
    }
}

struct Packet {
    to: usize,
    from: u64,
    until: u64,
    ack: Option<u64>,
}

enum What {
    Arrives(Packet),
    TimesOut { end: usize, timer: u64 },
}

/// A connection from SYN to FIN.
pub(crate) struct Connection {
    ends: [End; 2],
    turns: Vec<u64>,
    conditions: Conditions,
    dice: Dice,
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    what: BTreeMap<u64, What>,
    seen: Vec<Seen>,
    /// Whether both ends are done.
    converged: bool,
}

/// What the tap saw of a connection, in order, and what was said.
pub(crate) struct Tapped {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) seen: Vec<Seen>,
    pub(crate) said: [Vec<u8>; 2],
    pub(crate) isn: [u32; 2],
}

impl Connection {
    pub(crate) fn new(
        client: SocketAddr,
        server: SocketAddr,
        script: &Script,
        conditions: Conditions,
        mut dice: Dice,
    ) -> Self {
        let mut isn = || {
            let near_the_wrap = u32::MAX - dice.roll(2_000) as u32;
            if dice.roll(2) == 0 { near_the_wrap } else { dice.roll(1 << 32) as u32 }
        };
        let mut end = |addr| End {
            addr,
            isn: isn(),
            says: Vec::new(),
            sent: 0,
            acked: 0,
            has: 0,
            early: BTreeMap::new(),
            timer: 0,
        };
        let mut ends = [end(client), end(server)];
        for (turn, says) in script.iter().enumerate() {
            ends[turn % 2].says.extend(says);
        }
        Self {
            ends,
            turns: script.iter().map(|says| says.len() as u64).collect(),
            conditions,
            dice,
            now: START,
            queue: BinaryHeap::new(),
            what: BTreeMap::new(),
            seen: Vec::new(),
            converged: false,
        }
    }

    /// Runs until both ends have all, from this time on.
    pub(crate) fn run(mut self, start: u64) -> Tapped {
        self.now = start;
        self.say(0);
        while !self.converged {
            let Reverse((time, id)) = self.queue.pop().expect("somebody waits for something");
            self.now = time;
            match self.what.remove(&id).unwrap() {
                What::Arrives(packet) => self.arrives(&packet),
                What::TimesOut { end, timer } if self.ends[end].timer == timer => {
                    // Everything again, maybe cut at other places.
                    self.ends[end].sent = self.ends[end].acked;
                    self.say(end);
                }
                What::TimesOut { .. } => {}
            }
            let [client, server] = &self.ends;
            self.converged = client.acked == client.end() && server.acked == server.end();
            assert!(self.now < start + 3_600_000 * MS, "the ends converge");
        }
        self.seen.sort_by_key(|seen| seen.time);
        let [client, server] = self.ends;
        Tapped {
            client: client.addr,
            server: server.addr,
            seen: self.seen,
            isn: [client.isn, server.isn],
            said: [client.says, server.says],
        }
    }

    fn arrives(&mut self, packet: &Packet) {
        let end = &mut self.ends[packet.to];
        if packet.from < packet.until {
            end.take(packet.from, packet.until);
        }
        if let Some(ack) = packet.ack
            && ack > end.acked
        {
            end.acked = ack;
            end.sent = end.sent.max(ack);
        }
        let must_acknowledge = packet.from < packet.until;
        if !self.say(packet.to) && must_acknowledge {
            self.send(packet.to, self.ends[packet.to].sent, self.ends[packet.to].sent);
        }
    }

    /// How far an end may go: SYN alone first, then what its turns allow, FIN at last.
    fn limit(&self, who: usize) -> u64 {
        let me = &self.ends[who];
        if me.has == 0 {
            return u64::from(who == 0); // the server waits for the client's SYN
        }
        if me.acked == 0 {
            return 1;
        }
        let (mut mine, mut its) = (1, 1);
        for (turn, len) in self.turns.iter().enumerate() {
            if turn % 2 == who {
                mine += len;
            } else {
                its += len;
                if me.has < its {
                    return mine;
                }
            }
        }
        me.end()
    }

    /// Sends what may be sent; returns whether that was anything.
    fn say(&mut self, who: usize) -> bool {
        let limit = self.limit(who).min(self.ends[who].acked + WINDOW_BYTES);
        let mut said = false;
        while self.ends[who].sent < limit {
            let from = self.ends[who].sent;
            let largest = 1 + self.dice.roll(LARGEST_SEGMENT);
            // SYN goes alone.
            let until = if from == 0 { 1 } else { limit.min(from + largest) };
            self.ends[who].sent = until;
            self.send(who, from, until);
            said = true;
        }
        let end = &mut self.ends[who];
        end.timer += 1;
        if end.sent > end.acked {
            let timer = end.timer;
            self.after(TIMEOUT_NS, What::TimesOut { end: who, timer });
        }
        said
    }

    fn send(&mut self, who: usize, from: u64, until: u64) {
        let ack = (self.ends[who].has > 0).then_some(self.ends[who].has);
        let copies = 1 + u64::from(self.dice.roll(100) < self.conditions.doubled);
        for _ in 0..copies {
            let Conditions { lost_before_tap, lost_after_tap, unseen, jitter_ns, .. } =
                self.conditions;
            if self.dice.roll(100) < lost_before_tap {
                continue;
            }
            let to_tap = 1 + self.dice.roll(jitter_ns + 1);
            let from_tap = 1 + self.dice.roll(jitter_ns + 1);
            // Where a stream begins is always seen: midstream is another story.
            let opens = from == 0 && until > 0;
            if self.dice.roll(100) >= unseen || opens {
                let tcp = self.tcp(who, from, until, ack);
                self.seen.push(Seen::whole(self.now + to_tap, tcp));
            }
            if self.dice.roll(100) >= lost_after_tap {
                let packet = Packet { to: 1 - who, from, until, ack };
                self.after(to_tap + from_tap, What::Arrives(packet));
            }
        }
    }

    fn tcp(&self, who: usize, from: u64, until: u64, ack: Option<u64>) -> Tcp {
        let [me, other] = [&self.ends[who], &self.ends[1 - who]];
        let (syn, fin) = (from == 0 && until > 0, until == me.end() && from < until);
        let first = from.max(1) as usize - 1;
        let payload = &me.says[first.min(me.says.len())..];
        let len = (until - from - u64::from(syn) - u64::from(fin)) as usize;
        Tcp {
            src: me.addr,
            dst: other.addr,
            seq: me.isn.wrapping_add(from as u32),
            ack: ack.map_or(0, |ack| other.isn.wrapping_add(ack as u32)),
            flags: [(syn, SYN), (fin, FIN), (ack.is_some(), ACK)]
                .iter()
                .filter(|(is_set, _)| *is_set)
                .fold(0, |flags, (_, flag)| flags | flag),
            window: 64_240,
            options: Vec::new(),
            payload: payload[..len].to_vec(),
        }
    }

    fn after(&mut self, nanos: u64, what: What) {
        let id = self.what.last_key_value().map_or(0, |(last, _)| last + 1);
        self.queue.push(Reverse((self.now + nanos, id)));
        self.what.insert(id, what);
    }
}
