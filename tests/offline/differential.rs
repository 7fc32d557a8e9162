//! However the same bytes were cut into segments, the same events come out: every case of the
//! table and every dialogue, whole or not, as it is, a byte at a time, and in cuts by chance. What
//! a segment is cut into keeps its time and its acknowledgement.

use std::fs;

use serde_json::Value;

use super::cases::files;
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

fn cut(seen: &[Seen], next: Cut<'_>) -> Vec<Seen> {
    let mut pieces = Vec::new();
    for whole in seen {
        let (mut rest, mut flags, mut seq) =
            (&whole.tcp.payload[..], whole.tcp.flags, whole.tcp.seq);
        loop {
            let (payload, left) = rest.split_at(next().clamp(1, rest.len().max(1)).min(rest.len()));
            let mut piece = whole.clone();
            piece.tcp.payload = payload.to_vec();
            piece.tcp.seq = seq;
            // SYN is on the first of them, FIN on the last.
            piece.tcp.flags = if left.is_empty() { flags } else { flags & !FIN };
            seq = seq.wrapping_add(payload.len() as u32 + u32::from(flags & SYN != 0));
            flags &= !SYN;
            pieces.push(piece);
            rest = left;
            if rest.is_empty() {
                break;
            }
        }
    }
    pieces
}

/// Events without what counts segments, and bytes seen again: a copy of a single byte passes for a
/// keep-alive probe.
fn events(seen: &[Seen]) -> Vec<Value> {
    let mut events = events_of(seen);
    for event in &mut events {
        let event = event.as_object_mut().unwrap();
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
    let whole = events(seen);
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
        let found = events(&cut(seen, next));
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
