//! Properties of one direction of a flow: any segments in any order against a plain model, which
//! counts in bytes and in positions that never wrap.

use std::collections::BTreeMap;

use capture_agent::segment::{Endpoint, IfaceId, Missing, Segment, SeqNum, TcpFlags, Timestamp};
use capture_agent::stream::{Chunk, Counters, Deliver, Mark, Overlap, Rules, Stream};
use proptest::collection::vec;
use proptest::prelude::*;

/// Position of SYN. Sequence numbers are positions, shifted and modulo 2^32.
const ISN: u64 = 1 << 40;
/// Streams are about so long.
const LEN: u64 = 400;
const HOLE_NS: u64 = 1_000;

/// A byte that was sent: as it is, or why it is not here.
type Heard = Result<u8, Missing>;

/// What a stream should do, byte by byte.
#[derive(Debug)]
struct Model {
    overlap: Overlap,
    deliver: Deliver,
    /// Position that is expected next, and the first one.
    next: Option<u64>,
    first: u64,
    acked: u64,
    fin: Option<u64>,
    held: BTreeMap<u64, (Heard, u64)>,
    since: u64,
    counters: Counters,
    heard: Vec<Heard>,
}

impl Model {
    fn anchor(&mut self, position: u64) -> u64 {
        if self.next.is_none() {
            (self.next, self.first, self.acked) = (Some(position), position, position);
        }
        self.next.unwrap()
    }

    /// `left` bytes after the payload were left out.
    fn accept(&mut self, time: u64, at: u64, flags: TcpFlags, payload: &[u8], left: Left) {
        if flags.rst() {
            self.counters.segments += 1;
            return;
        }
        let at = at + u64::from(flags.syn());
        let next = self.anchor(at);
        let wire_len = payload.len() as u64 + left.len;
        let says = wire_len > 0 || flags.syn() || flags.fin();
        self.counters.segments += u64::from(says);
        if at + 1 == next && wire_len <= 1 && !flags.syn() && !flags.fin() {
            return; // a keep-alive probe
        }
        let end = at + wire_len;
        if flags.fin() && (end >= next || (end + 1 == next && self.acked == next)) {
            if self.fin.is_none() && at > next && self.held.is_empty() {
                self.since = time;
            }
            self.fin.get_or_insert(end);
        }
        let was_late = self.held.last_key_value().is_some_and(|(last, _)| at.max(next) <= *last);
        if self.held.is_empty() && end > next && wire_len > 0 {
            self.since = time;
        }
        let before = self.counters;
        for (position, byte) in (at..).zip(payload) {
            if position < next {
                self.counters.retransmitted_bytes += 1;
            } else if let Some((Ok(held), _)) = self.held.get_mut(&position) {
                self.counters.retransmitted_bytes += 1;
                self.counters.conflicting_bytes += u64::from(held != byte);
                if self.overlap == Overlap::Last {
                    *held = *byte;
                }
            } else {
                // It may have been left out before.
                self.held.insert(position, (Ok(*byte), time));
                self.counters.bytes += 1;
            }
        }
        for position in end - left.len..end {
            if position < next || self.held.contains_key(&position) {
                self.counters.retransmitted_bytes += 1;
            } else {
                self.held.insert(position, (Err(left.why), time));
            }
        }
        let counters = &mut self.counters;
        let is_news = counters.bytes > before.bytes;
        let is_repeated = counters.retransmitted_bytes > before.retransmitted_bytes;
        counters.out_of_order += u64::from(was_late && is_news);
        counters.retransmitted_segments += u64::from(is_repeated);
        self.release();
        self.pass_over_acknowledged();
    }

    fn acknowledged(&mut self, ack: u64) {
        if self.next.is_none() {
            self.anchor(ack);
        } else if ack > self.acked {
            self.acked = ack;
            self.release();
            self.pass_over_acknowledged();
        }
    }

    /// What is acknowledged goes up, but for a byte at the end that may be a FIN.
    fn pass_over_acknowledged(&mut self) {
        let may_be_fin = self.fin.is_none() && self.held.is_empty();
        if may_be_fin && self.acked == self.next.unwrap() + 1 {
            return;
        }
        let until = self.fin.map_or(self.acked, |fin| fin.min(self.acked));
        while self.next.unwrap() < until {
            self.go_up();
            self.release();
        }
    }

    fn expire(&mut self, now: u64) {
        while self.hole_since().is_some_and(|since| now.saturating_sub(since) >= HOLE_NS) {
            self.give_way();
            self.release();
        }
    }

    fn finish(&mut self) {
        while !self.held.is_empty() {
            self.give_way();
        }
        while self.fin.is_some_and(|fin| self.next.unwrap() < fin) {
            self.go_up();
        }
    }

    /// The first hole is a gap, and what follows it in one piece goes up.
    fn give_way(&mut self) {
        while self.hole_end().is_some_and(|end| end > self.next.unwrap()) {
            self.go_up();
        }
        while self.next.is_some_and(|next| self.held.contains_key(&next)) {
            self.go_up();
        }
    }

    fn release(&mut self) {
        while let Some(next) = self.next
            && self.held.contains_key(&next)
            && (self.deliver == Deliver::InOrder || next < self.acked)
        {
            self.go_up();
        }
    }

    /// The next byte goes up, seen or not.
    fn go_up(&mut self) {
        let next = self.next.unwrap();
        let byte = self.held.remove(&next);
        if let Some((_, time)) = byte {
            self.since = self.since.max(time);
        }
        let byte = byte.map_or(Err(Missing::Unseen), |(byte, _)| byte);
        let Counters { gap_bytes, dropped_bytes, elided_bytes, .. } = &mut self.counters;
        *gap_bytes += u64::from(matches!(byte, Err(Missing::Unseen | Missing::Dropped)));
        *dropped_bytes += u64::from(byte == Err(Missing::Dropped));
        *elided_bytes += u64::from(byte == Err(Missing::Elided));
        self.heard.push(byte);
        self.next = Some(next + 1);
    }

    fn hole_since(&self) -> Option<u64> {
        (self.hole_end()? > self.next.unwrap()).then_some(self.since)
    }

    fn hole_end(&self) -> Option<u64> {
        self.held.first_key_value().map(|(first, _)| *first).or(self.fin)
    }

    fn is_finished(&self) -> bool {
        self.fin.is_some_and(|fin| fin <= self.next.unwrap())
    }
}

/// So many bytes that were left out, and why.
#[derive(Clone, Copy, Debug)]
struct Left {
    len: u64,
    why: Missing,
}

const NOTHING: Left = Left { len: 0, why: Missing::Unseen };

/// What happens to a stream. Positions count from the first byte after SYN.
#[derive(Clone, Debug)]
enum Op {
    Data {
        at: u64,
        len: usize,
        flags: TcpFlags,
        salt: u8,
        left: Left,
    },
    Syn {
        len: usize,
    },
    Ack {
        at: u64,
    },
    /// The byte before the one that is expected, or none, with garbage for it.
    KeepAlive {
        len: usize,
    },
    Expire,
    Wait {
        nanos: u64,
    },
}

fn op(differ: bool) -> impl Strategy<Value = Op> {
    let salt =
        if differ { prop_oneof![3 => Just(0), 1 => Just(1)].boxed() } else { Just(0).boxed() };
    let flags = prop_oneof![
        20 => Just(TcpFlags::ACK),
        1 => Just(TcpFlags::ACK.with(TcpFlags::FIN)),
        1 => Just(TcpFlags::ACK.with(TcpFlags(0x20))),
        1 => Just(TcpFlags::RST),
    ];
    let len = prop_oneof![3 => 0..80_usize, 1 => Just(0)];
    prop_oneof![
        12 => (0..LEN, len, flags, salt, left())
            .prop_map(|(at, len, flags, salt, left)| Op::Data { at, len, flags, salt, left }),
        1 => (0..20_usize).prop_map(|len| Op::Syn { len }),
        3 => (0..LEN + 40).prop_map(|at| Op::Ack { at }),
        1 => (0..2_usize).prop_map(|len| Op::KeepAlive { len }),
        1 => Just(Op::Expire),
        2 => (0..HOLE_NS).prop_map(|nanos| Op::Wait { nanos }),
    ]
}

/// Where in the sequence space a stream is: anywhere, more often than not around the wrap.
fn shift() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), (u32::MAX - 500..=u32::MAX), Just(0), Just(1 << 31)]
}

/// Most segments are whole.
fn left() -> impl Strategy<Value = Left> {
    let some = |why| (1..120_u64).prop_map(move |len| Left { len, why });
    prop_oneof![6 => Just(NOTHING), 1 => some(Missing::Elided), 1 => some(Missing::Dropped)]
}

fn rules() -> impl Strategy<Value = Rules> {
    let overlap = prop_oneof![Just(Overlap::First), Just(Overlap::Last)];
    let deliver = prop_oneof![Just(Deliver::InOrder), Just(Deliver::Acked)];
    (overlap, deliver).prop_map(|(overlap, deliver)| Rules {
        held_bytes: 16 << 20,
        hole_ns: HOLE_NS,
        overlap,
        deliver,
    })
}

/// What the sender says at a position.
fn byte_at(position: u64) -> u8 {
    (position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// A stream and what came out of it.
struct Bench {
    stream: Stream,
    rules: Rules,
    shift: u32,
    now: u64,
    heard: Vec<Heard>,
}

impl Bench {
    fn new(rules: Rules, shift: u32) -> Self {
        Self { stream: Stream::default(), rules, shift, now: 1_000_000, heard: Vec::new() }
    }

    fn seq(&self, position: u64) -> SeqNum {
        SeqNum((position as u32).wrapping_add(self.shift))
    }

    fn act(&mut self, act: impl FnOnce(&mut Stream, &Rules, &mut dyn FnMut(Chunk<'_>))) {
        let heard = &mut self.heard;
        act(&mut self.stream, &self.rules, &mut |chunk| match chunk {
            Chunk::Data { offset, bytes, .. } => {
                assert_eq!(offset, heard.len() as u64, "chunks follow each other");
                assert!(!bytes.is_empty());
                heard.extend(bytes.iter().copied().map(Ok));
            }
            Chunk::Gap { offset, len, missing, time, .. } => {
                assert_eq!(offset, heard.len() as u64, "chunks follow each other");
                assert!(len > 0);
                assert_eq!(time.is_none(), missing == Missing::Unseen);
                heard.extend(std::iter::repeat_n(Err(missing), len as usize));
            }
        });
    }

    fn accept(&mut self, at: u64, flags: TcpFlags, payload: &[u8]) {
        self.accept_part(at, flags, payload, NOTHING);
    }

    fn accept_part(&mut self, at: u64, flags: TcpFlags, payload: &[u8], left: Left) {
        let end = Endpoint::v4([10, 0, 0, 1], 80);
        let segment = Segment {
            time: Timestamp(self.now),
            iface: IfaceId(0),
            src: end,
            dst: end,
            seq: self.seq(at),
            ack: SeqNum(0),
            flags,
            window: 0,
            payload,
            wire_len: payload.len() as u32 + left.len as u32,
            missing: left.why,
            cgroup: 0,
        };
        let mark = Mark { time: segment.time, ..Mark::default() };
        self.act(|stream, rules, sink| stream.accept(&segment, mark, rules, sink));
    }

    fn acknowledged(&mut self, at: u64) {
        let ack = self.seq(at);
        self.act(|stream, rules, sink| stream.acknowledged(ack, rules, sink));
    }

    fn expire(&mut self) {
        let now = Timestamp(self.now);
        self.act(|stream, rules, sink| stream.expire(now, rules, sink));
    }

    fn finish(&mut self) {
        self.act(|stream, _, sink| stream.finish(sink));
    }
}

/// A stream beside its model.
struct Pair {
    bench: Bench,
    model: Model,
}

impl Pair {
    fn new(rules: Rules, shift: u32) -> Self {
        let model = Model {
            overlap: rules.overlap,
            deliver: rules.deliver,
            next: None,
            first: 0,
            acked: 0,
            fin: None,
            held: BTreeMap::new(),
            since: 0,
            counters: Counters::default(),
            heard: Vec::new(),
        };
        Self { bench: Bench::new(rules, shift), model }
    }

    fn play(&mut self, op: &Op) {
        let Self { bench, model } = self;
        match *op {
            Op::Data { at, len, flags, salt, left } => {
                let at = ISN + 1 + at;
                let payload: Vec<u8> =
                    (at..at + len as u64).map(|position| byte_at(position) ^ salt).collect();
                bench.accept_part(at, flags, &payload, left);
                model.accept(bench.now, at, flags, &payload, left);
            }
            Op::Syn { len } => {
                let payload: Vec<u8> = (ISN + 1..).take(len).map(byte_at).collect();
                bench.accept(ISN, TcpFlags::SYN, &payload);
                model.accept(bench.now, ISN, TcpFlags::SYN, &payload, NOTHING);
            }
            Op::Ack { at } => {
                bench.acknowledged(ISN + 1 + at);
                model.acknowledged(ISN + 1 + at);
            }
            Op::KeepAlive { len } => {
                if model.next.is_none() {
                    return;
                }
                let at = model.first + bench.stream.offset() - 1;
                bench.accept(at, TcpFlags::ACK, &b"?"[..len]);
                model.accept(bench.now, at, TcpFlags::ACK, &b"?"[..len], NOTHING);
            }
            Op::Expire => {
                bench.expire();
                model.expire(bench.now);
            }
            Op::Wait { nanos } => bench.now += nanos,
        }
    }

    fn compare(&self) {
        let Self { bench: Bench { stream, heard, .. }, model } = self;
        assert_eq!(*heard, model.heard);
        assert_eq!(stream.counters(), model.counters);
        let Some(next) = model.next else { return };
        assert_eq!(stream.offset(), next - model.first);
        assert_eq!(stream.hole_since(), model.hole_since().map(Timestamp));
        assert_eq!(stream.is_finished(), model.is_finished());
        let sent = next.saturating_sub(model.acked);
        assert_eq!(stream.unacknowledged(), sent + model.held.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_does_what_its_model_does(
        rules in rules(),
        shift in shift(),
        opened in any::<bool>(),
        ops in vec(op(true), 0..60),
    ) {
        let mut pair = Pair::new(rules, shift);
        if opened {
            pair.play(&Op::Syn { len: 0 });
        }
        for op in &ops {
            pair.play(op);
            pair.compare();
        }
        pair.bench.finish();
        if pair.model.next.is_some() {
            pair.model.finish();
        }
        pair.compare();
    }

    /// The limit is on what is held; what it makes a stream give up is a gap, and nothing else is
    /// different from what was sent.
    #[test]
    fn what_a_stream_holds_stays_under_its_limit(
        rules in rules(),
        held_bytes in prop_oneof![Just(0_usize), 1..4_000_usize],
        shift in shift(),
        ops in vec(op(false), 0..100),
    ) {
        let mut pair = Pair::new(Rules { held_bytes, ..rules }, shift);
        pair.play(&Op::Syn { len: 0 });
        for op in &ops {
            pair.play(op);
            let stream = &pair.bench.stream;
            // What a stream needs to hold anything at all is small.
            assert!(stream.memory() <= held_bytes + 160, "{}", stream.memory());
            let counters = stream.counters();
            let heard = &pair.bench.heard;
            assert_eq!(stream.offset(), heard.len() as u64);
            let missing = heard.iter().filter(|byte| byte.is_err()).count() as u64;
            assert_eq!(counters.gap_bytes + counters.elided_bytes, missing);
            assert_eq!(counters.conflicting_bytes, 0);
            for (position, byte) in (ISN + 1..).zip(heard) {
                assert!(byte.is_err() || *byte == Ok(byte_at(position)));
            }
        }
    }

    /// Whatever way a stream is cut, sent twice and mixed up: it comes out as it was said.
    #[test]
    fn all_that_was_seen_comes_out_as_it_was_said(
        shift in shift(),
        pieces in vec((0..LEN, 1..60_usize), 0..30).prop_flat_map(|more| {
            let cover = (0..LEN).step_by(20).map(|at| (at, 20));
            Just(cover.chain(more).collect::<Vec<_>>()).prop_shuffle()
        }),
    ) {
        let mut bench = Bench::new(Rules::default(), shift);
        bench.accept(ISN, TcpFlags::SYN, b"");
        let mut sent = 0;
        for (at, len) in pieces {
            let end = (at + len as u64).min(LEN);
            let payload: Vec<u8> = (at..end).map(byte_at).collect();
            sent += payload.len() as u64;
            // A byte that is the last of those known could be a probe; those are not counted.
            prop_assume!(payload.len() > 1);
            bench.accept(ISN + 1 + at, TcpFlags::ACK, &payload);
        }
        let said: Vec<Heard> = (0..LEN).map(|at| Ok(byte_at(at))).collect();
        prop_assert_eq!(&bench.heard, &said);
        let counters = bench.stream.counters();
        prop_assert_eq!((counters.bytes, counters.gap_bytes), (LEN, 0));
        prop_assert_eq!(counters.retransmitted_bytes, sent - LEN);
        prop_assert_eq!(bench.stream.hole_since(), None);
    }
}
