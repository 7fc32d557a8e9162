//! What the kernel half has left out.

use super::*;

impl Bench {
    /// So many bytes from `seq` on were left out, after these.
    fn left_out(&mut self, time: u64, seq: u32, payload: &str, len: u32, missing: Missing) {
        let wire_len = payload.len() as u32 + len;
        let segment = Segment { missing, ..segment(seq, wire_len, payload.as_bytes()) };
        let mark = Mark { time: Timestamp(time), ..Mark::default() };
        let out = &mut self.out;
        self.stream.accept(&segment, mark, &self.rules, &mut |chunk| out.push(show(chunk)));
    }

    fn elided(&mut self, time: u64, seq: u32, len: u32) {
        self.left_out(time, seq, "", len, Missing::Elided);
    }
}

#[test]
fn what_was_left_out_takes_its_place_at_once() {
    let mut bench = Bench::opened(99);
    bench.left_out(5, 100, "abc", 7, Missing::Elided);
    bench.elided(6, 110, 10);
    bench.left_out(7, 120, "", 10, Missing::Dropped);
    bench.data(130, "d");
    bench.came_out(&[
        "0:abc",
        "3:Elided 7 at 5",
        "10:Elided 10 at 6",
        "20:Dropped 10 at 7",
        "30:d",
    ]);
    let counters = bench.stream.counters();
    assert_eq!((counters.bytes, counters.elided_bytes), (4, 17));
    assert_eq!((counters.gap_bytes, counters.dropped_bytes), (10, 10));
}

#[test]
fn what_was_left_out_is_no_gap_for_its_acknowledgement() {
    let mut bench = Bench::opened(99);
    bench.elided(5, 100, 1_000);
    bench.ack(1_100);
    bench.data(1_100, "next");
    bench.came_out(&["0:Elided 1000 at 5", "1000:next"]);
    assert_eq!(bench.stream.counters().gap_bytes, 0);
}

#[test]
fn what_was_left_out_waits_behind_a_hole_and_for_its_acknowledgement() {
    let mut bench = Bench::opened(99);
    bench.elided(5, 103, 1_000_000_000);
    bench.came_out(&[]);
    assert!(bench.stream.memory() < 1_000);
    assert_eq!(bench.stream.unacknowledged(), 1_000_000_000);
    bench.data(100, "abc");
    bench.came_out(&["0:abc", "3:Elided 1000000000 at 5"]);
    let mut bench = Bench::opened(99);
    bench.rules.deliver = Deliver::Acked;
    bench.left_out(5, 100, "abc", 7, Missing::Elided);
    bench.came_out(&[]);
    bench.ack(105);
    bench.came_out(&["0:abc", "3:Elided 2 at 5"]);
    bench.ack(110);
    bench.came_out(&["5:Elided 5 at 5"]);
}

#[test]
fn bytes_stand_before_the_word_that_they_were_left_out() {
    let mut bench = Bench::opened(99);
    bench.elided(5, 103, 7);
    bench.data(105, "FG");
    bench.data(112, "M");
    bench.elided(6, 106, 8);
    bench.data(100, "abc");
    let after = ["10:Elided 2 at 6", "12:M", "13:Elided 1 at 6"];
    bench
        .came_out(&[&["0:abc", "3:Elided 2 at 5", "5:FG", "7:Elided 3 at 5"], &after[..]].concat());
    // What has gone up stays.
    bench.data(103, "de");
    bench.elided(7, 100, 14);
    bench.elided(8, 113, 2);
    bench.came_out(&["14:Elided 1 at 8"]);
    assert_eq!(bench.stream.counters().elided_bytes, 9);
}

#[test]
fn a_byte_that_was_left_out_is_no_probe() {
    let mut bench = Bench::opened(99);
    bench.elided(5, 100, 1);
    bench.elided(6, 101, 1);
    bench.came_out(&["0:Elided 1 at 5", "1:Elided 1 at 6"]);
    // This one is.
    bench.elided(7, 101, 1);
    bench.came_out(&[]);
    assert_eq!(bench.stream.counters().retransmitted_bytes, 0);
}

#[test]
fn fin_ends_what_was_left_out() {
    let mut bench = Bench::opened(99);
    bench.elided(5, 100, 10);
    bench.segment(6, 110, TcpFlags::FIN.with(TcpFlags::ACK), b"");
    assert!(bench.stream.is_finished());
    let mut bench = Bench::opened(99);
    bench.segment(6, 110, TcpFlags::FIN.with(TcpFlags::ACK), b"");
    assert!(!bench.stream.is_finished());
    bench.elided(5, 100, 10);
    assert!(bench.stream.is_finished());
    bench.came_out(&["0:Elided 10 at 5"]);
}

#[test]
fn very_much_can_be_left_out_at_a_time() {
    for len in [(1 << 31) - 1, 1 << 31, (1 << 31) + 1, u32::MAX] {
        let mut bench = Bench::opened(u32::MAX - 50);
        let first = u32::MAX - 49;
        bench.data(first, "abc");
        bench.came_out(&["0:abc"]);
        let mut seq = first.wrapping_add(3);
        let mut offset = 3;
        for time in 0..5 {
            bench.elided(time, seq, len);
            bench.came_out(&[&*format!("{offset}:Elided {len} at {time}")]);
            seq = seq.wrapping_add(len);
            offset += u64::from(len);
            let place = bench.stream.place_of(SeqNum(seq), SeqNum(seq.wrapping_add(4)));
            assert_eq!(place, Place::Near, "{len}");
            bench.ack(seq);
            assert_eq!(bench.stream.unacknowledged(), 0);
        }
        bench.data(seq, "next");
        bench.came_out(&[&*format!("{offset}:next")]);
        assert_eq!(bench.stream.counters().elided_bytes, 5 * u64::from(len));
    }
}

#[test]
fn a_stray_that_tells_of_a_part_still_does_when_it_is_believed() {
    let part = Segment { missing: Missing::Elided, ..segment(100, 10, b"abc") };
    let stray = Stray::new(&part, false, 1);
    let kept = stray.segment();
    assert_eq!((kept.payload, kept.wire_len, kept.missing), (&b"abc"[..], 10, Missing::Elided));
}
