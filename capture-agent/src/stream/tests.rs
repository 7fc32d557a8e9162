mod left_out;

use super::*;
use crate::segment::{Endpoint, IfaceId, Missing, TcpFlags};

/// A stream and what came out of it.
struct Bench {
    stream: Stream,
    out: Vec<String>,
    rules: Rules,
}

impl Bench {
    /// A stream whose SYN has the sequence number `isn`.
    fn opened(isn: u32) -> Self {
        let mut bench = Self::midstream();
        bench.segment(0, isn, TcpFlags::SYN, b"");
        bench
    }

    fn midstream() -> Self {
        Self { stream: Stream::default(), out: Vec::new(), rules: Rules::default() }
    }

    fn segment(&mut self, time: u64, seq: u32, flags: TcpFlags, payload: &[u8]) {
        let segment =
            Segment { time: Timestamp(time), flags, ..segment(seq, payload.len() as u32, payload) };
        let mark = Mark { time: segment.time, ..Mark::default() };
        let out = &mut self.out;
        self.stream.accept(&segment, mark, &self.rules, &mut |chunk| out.push(show(chunk)));
    }

    fn data(&mut self, seq: u32, payload: &str) {
        self.segment(0, seq, TcpFlags::ACK, payload.as_bytes());
    }

    fn ack(&mut self, ack: u32) {
        let out = &mut self.out;
        self.stream.acknowledged(SeqNum(ack), &self.rules, &mut |chunk| out.push(show(chunk)));
    }

    #[track_caller]
    fn came_out(&mut self, expected: &[&str]) {
        assert_eq!(self.out, expected);
        self.out.clear();
    }
}

/// A segment with data, of which the capture has the first part.
fn segment(seq: u32, wire_len: u32, payload: &[u8]) -> Segment<'_> {
    Segment {
        time: Timestamp(0),
        iface: IfaceId(0),
        src: Endpoint::v4([10, 0, 0, 1], 1),
        dst: Endpoint::v4([10, 0, 0, 2], 2),
        seq: SeqNum(seq),
        ack: SeqNum(0),
        flags: TcpFlags::ACK,
        window: 0,
        payload,
        wire_len,
        missing: Missing::Unseen,
        cgroup: 0,
    }
}

fn show(chunk: Chunk<'_>) -> String {
    match chunk {
        Chunk::Data { offset, bytes, .. } => {
            format!("{offset}:{}", String::from_utf8_lossy(bytes))
        }
        Chunk::Gap { offset, len, missing: Missing::Unseen, .. } => format!("{offset}:gap {len}"),
        Chunk::Gap { offset, len, missing, time, .. } => {
            format!("{offset}:{missing:?} {len} at {}", time.unwrap().as_nanos())
        }
    }
}

#[test]
fn bytes_in_order_go_up_at_once() {
    let mut bench = Bench::opened(99);
    bench.data(100, "abc");
    bench.data(103, "de");
    bench.came_out(&["0:abc", "3:de"]);
    assert_eq!(bench.stream.counters().bytes, 5);
}

#[test]
fn reordered_segments_wait_for_the_one_before_them() {
    let mut bench = Bench::opened(99);
    bench.data(103, "def");
    bench.data(109, "jkl");
    bench.data(106, "ghi");
    bench.came_out(&[]);
    bench.data(100, "abc");
    bench.came_out(&["0:abc", "3:def", "6:ghi", "9:jkl"]);
    // The last two were late; those before them only left holes.
    assert_eq!(bench.stream.counters().out_of_order, 2);
    assert_eq!(bench.stream.held_bytes(), 0);
    assert_eq!(bench.stream.hole_since(), None);
}

#[test]
fn a_retransmission_comes_up_once_and_is_counted() {
    let mut bench = Bench::opened(99);
    bench.data(100, "abc");
    bench.data(100, "abc");
    bench.data(101, "bcde");
    bench.came_out(&["0:abc", "3:de"]);
    assert_eq!(bench.stream.counters().retransmitted_bytes, 5);
    assert_eq!(bench.stream.counters().retransmitted_segments, 2);
    assert_eq!(bench.stream.counters().bytes, 5);
}

#[test]
fn a_segment_that_repeats_what_has_gone_up_and_what_is_held_counts_once() {
    let mut bench = Bench::opened(99);
    bench.data(100, "abc");
    bench.data(106, "ghi");
    bench.data(107, "h");
    bench.data(102, "cdefg");
    bench.came_out(&["0:abc", "3:def", "6:ghi"]);
    let counters = bench.stream.counters();
    assert_eq!((counters.retransmitted_segments, counters.retransmitted_bytes), (2, 3));
    assert_eq!(counters.out_of_order, 1);
}

#[test]
fn a_hole_that_nobody_fills_is_no_matter_of_order() {
    let mut bench = Bench::opened(99);
    bench.data(103, "def");
    bench.ack(106);
    bench.came_out(&["0:gap 3", "3:def"]);
    assert_eq!(bench.stream.disorder(), Disorder::default());
}

#[test]
fn bytes_know_what_disorder_there_was_when_they_came_out() {
    let mut bench = Bench::opened(99);
    let mut stood = Vec::new();
    for (seq, payload) in [(103, "def"), (103, "def"), (100, "abc"), (100, "abcdefg")] {
        let segment = segment(seq, payload.len() as u32, payload.as_bytes());
        bench.stream.accept(&segment, Mark::default(), &bench.rules, &mut |chunk| {
            if let Chunk::Data { mark: Mark { disorder, .. }, .. } = chunk {
                stood.push((disorder.retransmitted, disorder.out_of_order));
            }
        });
    }
    assert_eq!(stood, [(1, 1), (1, 1), (2, 1)]);
    let later = Disorder { retransmitted: 1, out_of_order: 4 };
    let earlier = Disorder { retransmitted: u32::MAX, out_of_order: 1 };
    assert_eq!(later.since(earlier), Disorder { retransmitted: 2, out_of_order: 3 });
}

#[test]
fn of_overlapping_copies_the_first_stands() {
    let mut bench = Bench::opened(99);
    bench.data(104, "EF");
    bench.data(108, "IJ");
    bench.data(102, "cdefghijkl");
    bench.data(100, "abcd");
    bench.came_out(&["0:ab", "2:cd", "4:EF", "6:gh", "8:IJ", "10:kl"]);
    assert_eq!(bench.stream.counters().retransmitted_bytes, 6);
    assert_eq!(bench.stream.counters().bytes, 12);
}

#[test]
fn sequence_numbers_wrap() {
    let mut bench = Bench::opened(0xffff_fffd);
    bench.data(0, "cd");
    bench.data(0xffff_fffe, "ab");
    bench.data(2, "e");
    bench.came_out(&["0:ab", "2:cd", "4:e"]);
}

#[test]
fn a_stream_longer_than_4_gib_keeps_its_offsets() {
    let mut bench = Bench::opened(0);
    let block = vec![0_u8; 1 << 20];
    let blocks = (1_u64 << 32) / (1 << 20) + 2;
    for n in 0..blocks {
        bench.segment(0, ((n << 20) + 1) as u32, TcpFlags::ACK, &block);
        bench.out.clear();
    }
    bench.data(((blocks << 20) + 1) as u32, "end");
    bench.came_out(&[&format!("{}:end", blocks << 20)]);
}

#[test]
fn an_acknowledgement_counts_however_long_none_was_seen() {
    let mut bench = Bench::opened(0);
    let block = vec![0_u8; 1 << 20];
    let blocks = (3_u64 << 30) / (1 << 20);
    for n in 0..blocks {
        bench.segment(0, ((n << 20) + 1) as u32, TcpFlags::ACK, &block);
        bench.out.clear();
    }
    bench.ack(((blocks << 20) + 4) as u32);
    bench.came_out(&[&format!("{}:gap 3", blocks << 20)]);
}

#[test]
fn what_the_receiver_acknowledged_unseen_is_a_gap_at_once() {
    let mut bench = Bench::opened(99);
    bench.data(100, "abc");
    bench.data(106, "ghi");
    bench.ack(104);
    bench.came_out(&["0:abc", "3:gap 1"]);
    bench.ack(112);
    bench.came_out(&["4:gap 2", "6:ghi", "9:gap 3"]);
    assert_eq!(bench.stream.counters().gap_bytes, 6);
}

#[test]
fn an_acknowledgement_of_fin_is_not_a_lost_byte() {
    let mut bench = Bench::opened(99);
    bench.segment(0, 100, TcpFlags::FIN.with(TcpFlags::ACK), b"abc");
    assert!(bench.stream.is_finished());
    bench.ack(104);
    bench.came_out(&["0:abc"]);
}

#[test]
fn one_more_than_was_seen_may_be_a_fin_until_something_follows() {
    let mut bench = Bench::opened(99);
    bench.data(100, "abc");
    bench.ack(104);
    bench.came_out(&["0:abc"]);
    bench.data(103, "");
    bench.came_out(&[]);
    bench.data(104, "e");
    bench.came_out(&["3:gap 1", "4:e"]);
    bench.ack(106);
    assert!(bench.stream.end_at_acknowledgement() && bench.stream.is_finished());
    assert_eq!(bench.stream.counters().gap_bytes, 1);

    let mut bench = Bench::opened(99);
    assert!(!bench.stream.end_at_acknowledgement());
    bench.ack(101);
    bench.data(100, "late");
    assert!(!bench.stream.end_at_acknowledgement());
    bench.came_out(&["0:late"]);
}

#[test]
fn an_acknowledgement_from_nowhere_is_not_believed() {
    let mut bench = Bench::opened(99);
    bench.ack(100 + (1 << 30) + 1);
    bench.came_out(&[]);
}

#[test]
fn fin_before_a_hole_does_not_end_the_stream() {
    let mut bench = Bench::opened(99);
    bench.segment(0, 103, TcpFlags::FIN.with(TcpFlags::ACK), b"def");
    assert!(!bench.stream.is_finished());
    bench.data(100, "abc");
    assert!(bench.stream.is_finished());
    bench.came_out(&["0:abc", "3:def"]);
}

#[test]
fn a_hole_is_given_up_after_its_time_or_beyond_its_bytes() {
    let mut bench = Bench::opened(99);
    bench.segment(1_000, 103, TcpFlags::ACK, b"def");
    let rules = bench.rules;
    let mut out = Vec::new();
    bench.stream.expire(Timestamp(999 + rules.hole_ns), &rules, &mut |c| out.push(show(c)));
    assert_eq!(out, [""; 0]);
    bench.stream.expire(Timestamp(1_000 + rules.hole_ns), &rules, &mut |c| out.push(show(c)));
    assert_eq!(out, ["0:gap 3", "3:def"]);

    bench.rules.held_bytes = 1_000;
    bench.segment(0, 110, TcpFlags::ACK, &[b'x'; 600]);
    bench.came_out(&[]);
    bench.segment(0, 1_110, TcpFlags::ACK, &[b'y'; 600]);
    assert!(bench.out[0].starts_with("6:gap 4"), "{:?}", bench.out[0]);
    assert!(bench.stream.held_bytes() <= 1_000);
}

#[test]
fn tiny_pieces_are_charged_for_what_they_cost() {
    let mut bench = Bench::opened(99);
    bench.rules.held_bytes = 10_000;
    for n in 0..10_000 {
        bench.data(102 + 2 * n, "x");
        assert!(bench.stream.held_bytes() <= 10_000);
    }
}

#[test]
fn keep_alive_probes_are_not_data() {
    let mut bench = Bench::opened(99);
    bench.data(100, "abc");
    bench.data(102, "?");
    bench.data(102, "");
    bench.came_out(&["0:abc"]);
    assert_eq!(bench.stream.counters().retransmitted_bytes, 0);
    assert_eq!(bench.stream.disorder(), Disorder::default());
}

#[test]
fn a_stream_picked_up_midway_begins_with_its_first_segment() {
    let mut bench = Bench::midstream();
    bench.data(5_000, "abc");
    bench.came_out(&["0:abc"]);
}

#[test]
fn what_was_acknowledged_before_any_byte_was_seen_is_where_a_stream_begins() {
    let mut bench = Bench::midstream();
    bench.ack(5_000);
    bench.data(5_003, "def");
    bench.came_out(&[]);
    bench.ack(5_006);
    bench.came_out(&["0:gap 3", "3:def"]);
}

#[test]
fn a_cut_capture_leaves_a_gap() {
    let mut bench = Bench::opened(99);
    let segment = segment(100, 10, b"abc");
    let out = &mut bench.out;
    let mark = Mark { time: Timestamp(0), ..Mark::default() };
    bench.stream.accept(&segment, mark, &bench.rules, &mut |chunk| out.push(show(chunk)));
    bench.data(110, "k");
    bench.ack(111);
    bench.came_out(&["0:abc", "3:gap 7", "10:k"]);
}

#[test]
fn data_on_syn_is_the_first_of_the_stream() {
    let mut bench = Bench::midstream();
    bench.segment(0, 99, TcpFlags::SYN, b"abc");
    bench.data(103, "d");
    bench.came_out(&["0:abc", "3:d"]);
}

#[test]
fn a_syn_opens_its_own_stream_again_and_no_other() {
    let mut bench = Bench::opened(99);
    bench.data(100, "abc");
    assert!(bench.stream.is_opened_by(SeqNum(99)));
    assert!(!bench.stream.is_opened_by(SeqNum(100)));
    assert!(!bench.stream.is_opened_by(SeqNum(777)));
}

#[test]
fn the_end_names_what_is_missing() {
    let mut bench = Bench::opened(99);
    bench.segment(0, 106, TcpFlags::FIN.with(TcpFlags::ACK), b"");
    bench.data(103, "d");
    let out = &mut bench.out;
    bench.stream.finish(&mut |chunk| out.push(show(chunk)));
    bench.came_out(&["0:gap 3", "3:d", "4:gap 2"]);
}

#[test]
fn of_overlapping_copies_the_last_stands_if_told_so() {
    let mut bench = Bench::opened(99);
    bench.rules.overlap = Overlap::Last;
    bench.data(104, "EF");
    bench.data(108, "IJ");
    bench.data(102, "cdefghijkl");
    bench.data(100, "ab");
    bench.came_out(&["0:ab", "2:cd", "4:ef", "6:gh", "8:ij", "10:kl"]);
}

#[test]
fn copies_that_differ_are_counted_and_marked() {
    let mut bench = Bench::opened(99);
    bench.data(104, "EF");
    bench.data(104, "eF");
    bench.data(106, "gh");
    bench.data(106, "gh");
    let mut conflicts = Vec::new();
    let missing = segment(100, 4, b"abcd");
    let mark = Mark { time: Timestamp(0), ..Mark::default() };
    bench.stream.accept(&missing, mark, &bench.rules, &mut |chunk| {
        if let Chunk::Data { mark, .. } = chunk {
            conflicts.push(mark.conflict);
        }
    });
    assert_eq!(conflicts, [false, true, false]);
    assert_eq!(bench.stream.counters().conflicting_bytes, 1);
}

#[test]
fn delivery_may_wait_for_the_acknowledgement() {
    let mut bench = Bench::opened(99);
    bench.rules.deliver = Deliver::Acked;
    bench.data(100, "abc");
    bench.data(103, "def");
    bench.came_out(&[]);
    assert_eq!(bench.stream.hole_since(), None);
    assert_eq!(bench.stream.unacknowledged(), 6);
    bench.ack(104);
    bench.came_out(&["0:abc", "3:d"]);
    bench.ack(106);
    bench.came_out(&["4:ef"]);
    assert_eq!(bench.stream.counters().out_of_order, 0);
}

#[test]
fn what_waits_for_its_acknowledgement_is_bounded_too() {
    let mut bench = Bench::opened(99);
    bench.rules.deliver = Deliver::Acked;
    bench.rules.held_bytes = 10_000;
    for n in 0..100 {
        bench.data(100 + 1_000 * n, &"x".repeat(1_000));
        assert!(bench.stream.held_bytes() <= 10_000);
    }
    assert!(bench.out.len() > 80);
}

#[test]
fn zero_window_probes_are_the_first_of_what_follows() {
    let mut bench = Bench::opened(99);
    bench.data(100, "abc");
    // The byte is sent again and again, until the window opens.
    bench.data(103, "d");
    bench.data(103, "d");
    bench.data(103, "def");
    bench.came_out(&["0:abc", "3:d", "4:ef"]);
}

#[test]
fn urgent_data_is_ordinary() {
    let mut bench = Bench::opened(99);
    bench.segment(0, 100, TcpFlags(0x20 | 0x10), b"abc");
    bench.came_out(&["0:abc"]);
}

#[test]
fn a_segment_beyond_any_window_is_not_believed() {
    let mut bench = Bench::opened(99);
    bench.data(100 + (1 << 30) + 1, "forged");
    bench.segment(0, 100 + (1 << 30), TcpFlags::FIN.with(TcpFlags::ACK), b"xx");
    bench.data(100, "abc");
    bench.came_out(&["0:abc"]);
    let out = &mut bench.out;
    bench.stream.finish(&mut |chunk| out.push(show(chunk)));
    assert!(bench.stream.counters().gap_bytes <= 1 << 30);
}

#[test]
fn a_quiet_stream_is_small() {
    assert!(size_of::<Stream>() <= 48, "{}", size_of::<Stream>());
}
