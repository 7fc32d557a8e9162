//! However the same bytes were cut into segments, the same events come out: every case of the
//! table and every dialogue, whole or not, as it is, a byte at a time, and in cuts by chance. What
//! a segment is cut into keeps its time and its acknowledgement. What was left out may be told all
//! at once or bit by bit, too; but how much was left out of a message whose end is not known, and
//! when a message ended that ends amid it, is told by where the words of it end.

use std::fs;

use capture_agent::segment::Missing;
use serde_json::Value;

use super::cases::files;
use crate::support::budget::within;
use crate::support::dialogues::{dice, in_turns, pipelined};
use crate::support::events::{differing, events_of};
use crate::support::pcap::{FIN, SYN};
use crate::support::peers::Seen;
use crate::support::script::{cases_in, play};

/// More bytes than this are not fed one at a time, and so on for longer pieces: it would take long,
/// and shows nothing more.
const MOST_SINGLE_BYTES: usize = 20_000;

/// A way to cut: how long the next piece is.
type Cut<'a> = &'a mut dyn FnMut() -> usize;

/// What was left out is cut too if so much of it is told bit by bit.
fn cut(seen: &[Seen], next: Cut<'_>, bit_by_bit: bool) -> Vec<Seen> {
    let mut pieces = Vec::new();
    for whole in seen {
        let (mut rest, mut flags, mut seq) =
            (&whole.tcp.payload[..], whole.tcp.flags, whole.tcp.seq);
        loop {
            let (payload, left) = rest.split_at(next().clamp(1, rest.len().max(1)).min(rest.len()));
            let mut piece = Seen::whole(whole.time, whole.tcp.clone());
            piece.tcp.payload = payload.to_vec();
            piece.tcp.seq = seq;
            // SYN is on the first of them, FIN on the last.
            let is_last = left.is_empty() && whole.left_out == 0;
            piece.tcp.flags = if is_last { flags } else { flags & !FIN };
            seq = seq.wrapping_add(payload.len() as u32 + u32::from(flags & SYN != 0));
            flags &= !SYN;
            if !payload.is_empty() || whole.left_out == 0 {
                pieces.push(piece);
            }
            rest = left;
            if rest.is_empty() {
                break;
            }
        }
        let mut left_out = whole.left_out;
        while left_out > 0 {
            // It may be much.
            let len = (next() as u32).saturating_mul(1 + whole.left_out / 40).clamp(1, left_out);
            let len = if bit_by_bit { len } else { left_out };
            left_out -= len;
            let mut piece = Seen { left_out: len, ..whole.clone() };
            piece.tcp.payload.clear();
            (piece.tcp.seq, seq) = (seq, seq.wrapping_add(len));
            piece.tcp.flags = if left_out == 0 { flags } else { flags & !FIN };
            pieces.push(piece);
        }
    }
    pieces
}

/// Events without what counts segments, and bytes seen again: a copy of a single byte passes for a
/// keep-alive probe.
fn events(seen: &[Seen], bit_by_bit: bool) -> Vec<Value> {
    let mut events = events_of(seen);
    for event in &mut events {
        let event = event.as_object_mut().unwrap();
        if bit_by_bit {
            event.remove("timing");
        }
        for side in ["request", "response"].iter().filter(|_| bit_by_bit) {
            let Some(Value::Object(message)) = event.get_mut(*side) else { continue };
            for name in ["lost_bytes", "dropped_bytes", "elided_bytes", "gaps", "elided"] {
                message.remove(name);
            }
        }
        event.remove("retransmitted");
        event.remove("out_of_order");
        for direction in ["to_server", "to_client"] {
            let Some(Value::Object(counters)) = event.get_mut(direction) else { continue };
            for name in ["segments", "retransmitted_bytes", "out_of_order"] {
                counters.remove(name);
            }
        }
    }
    events
}

/// What is different, if anything is.
fn difference(name: &str, seen: &[Seen]) -> Option<String> {
    let is_left_out = seen.iter().any(|seen| seen.left_out > 0);
    [false, true]
        .iter()
        .filter(|bit_by_bit| is_left_out || !*bit_by_bit)
        .find_map(|bit_by_bit| difference_of(name, seen, *bit_by_bit))
}

fn difference_of(name: &str, seen: &[Seen], bit_by_bit: bool) -> Option<String> {
    let whole = events(seen, bit_by_bit);
    let bytes: usize = seen.iter().map(|seen| seen.tcp.payload.len()).sum();
    let mut ways: Vec<(String, Box<dyn FnMut() -> usize>)> = Vec::new();
    if bytes <= MOST_SINGLE_BYTES {
        ways.push(("byte by byte".to_owned(), Box::new(|| 1)));
    }
    for (seed, longest) in [(1, 3), (2, 9), (3, 40), (4, 40), (5, 300), (6, 2_000)] {
        if bytes <= MOST_SINGLE_BYTES * longest {
            let way = format!("in pieces of up to {longest} bytes");
            ways.push((way, Box::new(dice(seed, longest))));
        }
    }
    for (way, next) in &mut ways {
        let found = events(&cut(seen, next, bit_by_bit), bit_by_bit);
        if found != whole {
            let place = found.iter().zip(&whole).position(|(one, other)| one != other);
            let place = place.unwrap_or(found.len().min(whole.len()));
            let event = |events: &[Value]| events.get(place).cloned().unwrap_or_default();
            let mut report = format!("{name}, {way}: event {place}");
            differing("", &event(&whole), &event(&found), &mut report);
            return Some(report);
        }
    }
    None
}

#[track_caller]
fn assert_none(fixtures: usize, differences: &[String]) {
    let count = differences.len();
    let first = differences.get(..count.min(20)).unwrap_or_default();
    assert!(count == 0, "{count} of {fixtures} fixtures differ, such as\n{}", first.join("\n"));
}

#[test]
fn cuts_make_no_difference_to_any_case() {
    let (mut fixtures, mut differences) = (0, Vec::new());
    for file in files() {
        let name = file.file_name().unwrap().to_string_lossy();
        for case in cases_in(&fs::read_to_string(&file).unwrap()).1 {
            fixtures += 1;
            let name = format!("{name}: {}", case.title);
            differences.extend(difference(&name, &play(&case.dialogue)));
        }
    }
    assert_none(fixtures, &differences);
}

#[test]
fn cuts_make_no_difference_to_any_dialogue_of_which_a_part_was_left_out() {
    let (mut fixtures, mut differences) = (0, Vec::new());
    for dialogue in in_turns().into_iter().chain(pipelined()) {
        for budget in [0, 60, 150, 1_000] {
            for why in [Missing::Elided, Missing::Dropped] {
                fixtures += 1;
                let name = format!("{}, {why:?} after {budget} bytes", dialogue.name);
                differences.extend(difference(&name, &within(budget, why, &dialogue.seen)));
            }
        }
    }
    assert_none(fixtures, &differences);
}

#[test]
fn cuts_make_no_difference_to_any_dialogue_with_or_without_a_loss() {
    let (mut fixtures, mut differences) = (0, Vec::new());
    for dialogue in in_turns().into_iter().chain(pipelined()) {
        let mut dice = dice(dialogue.seen.len() as u64, dialogue.seen.len());
        for losses in [0, 1, 2, 3] {
            let mut seen = dialogue.seen.clone();
            let mut lost: Vec<_> = (0..losses).map(|_| dice() - 1).collect();
            lost.sort_unstable();
            lost.dedup();
            lost.iter().rev().for_each(|index| drop(seen.remove(*index)));
            fixtures += 1;
            let name = format!("{}, without {lost:?}", dialogue.name);
            differences.extend(difference(&name, &seen));
        }
    }
    assert_none(fixtures, &differences);
}
