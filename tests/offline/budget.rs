//! What the kernel half leaves out, by its budget or because it can't keep up: the exchanges are
//! those of a capture that has everything, with their times and lengths, and say what is not there.

use std::collections::BTreeMap;
use std::ops::Range;

use capture_agent::flow::Direction::{self, ToClient, ToServer};
use capture_agent::segment::Missing;
use serde_json::Value;

use super::losses::{both_ways, is_of_one, line, token_of_request, token_of_response};
use crate::support::budget::within;
use crate::support::dialogues::{Dialogue, Place, in_turns, pipelined, span};
use crate::support::events::{differing, events_of, of_type};
use crate::support::peers::Seen;

const BUDGETS: [u32; 8] = [0, 1, 60, 100, 150, 1_000, 4 << 10, 256 << 10];

/// A dialogue as it was, and what of it was handed over.
struct Bench<'a> {
    dialogue: &'a Dialogue,
    why: Missing,
    whole: BTreeMap<usize, Value>,
    found: Vec<Value>,
    /// What is there of each direction, by stream offset.
    there: [Vec<Range<u64>>; 2],
    untimed: usize,
    failures: Vec<String>,
}

/// How many exchanges were looked at, and how many of them had something left out.
#[derive(Debug, Default)]
struct Tally {
    exchanges: usize,
    touched: usize,
    /// Times that are not known, because a message ended amid what was left out.
    untimed: usize,
    failures: Vec<String>,
}

impl<'a> Bench<'a> {
    fn new(dialogue: &'a Dialogue, budget: u32, why: Missing) -> Self {
        let seen = within(budget, why, &dialogue.seen);
        let by_token = exchanges(&dialogue.seen).into_iter();
        let by_token = by_token.map(|one| (token_of_request(&one["request"]).unwrap(), one));
        let mut there = [Vec::new(), Vec::new()];
        for seen in &seen {
            let (direction, range) = span(seen);
            let len = seen.tcp.payload.len() as u64;
            there[direction as usize].push(range.start..range.start + len);
        }
        let whole = by_token.collect();
        Self {
            dialogue,
            why,
            whole,
            found: exchanges(&seen),
            there,
            untimed: 0,
            failures: Vec::new(),
        }
    }

    fn is_there(&self, direction: Direction, range: Range<u64>) -> bool {
        let mut at = range.start;
        // They are in order, and each byte is there once.
        for there in &self.there[direction as usize] {
            if there.contains(&at) {
                at = there.end;
            }
        }
        at >= range.end
    }

    fn check(mut self, tally: &mut Tally) {
        for found in std::mem::take(&mut self.found) {
            let found_one = found.as_object().unwrap();
            if !is_of_one(found_one) {
                self.failures.push(format!("mispaired: {}", line(found_one)));
            }
            self.found.push(found);
        }
        for place in &self.dialogue.places {
            let touched = self.exchange(place);
            tally.exchanges += 1;
            tally.touched += usize::from(touched);
        }
        tally.untimed += self.untimed;
        tally.failures.append(&mut self.failures);
    }

    /// Looks for an exchange; returns whether something of it was left out.
    fn exchange(&mut self, place: &Place) -> bool {
        let whole = self.whole[&place.token].clone();
        let head = |side: &str, range: &Range<u64>| {
            range.start..range.start + whole[side]["head_bytes"].as_u64().unwrap()
        };
        let asked = self.is_there(ToServer, head("request", &place.request));
        let answered = self.is_there(ToClient, head("response", &place.response));
        let whole_request = self.is_there(ToServer, place.request.clone());
        let whole_response = self.is_there(ToClient, place.response.clone());
        if !asked {
            return true;
        }
        let is_it = |found: &&Value| token_of_request(&found["request"]) == Some(place.token);
        let of_it: Vec<_> = self.found.iter().filter(is_it).cloned().collect();
        let [found] = &of_it[..] else {
            self.fail(place, &format!("{} times", of_it.len()));
            return true;
        };
        let mut problems = String::new();
        self.message(
            &whole["request"],
            &found["request"],
            whole_request,
            &place.request,
            &mut problems,
        );
        // Where heads of a pipeline are not there, nothing may tell whose a response is.
        if answered && (!self.dialogue.pipelined || self.has_all_heads()) {
            let (one, other) = (&whole["response"], &found["response"]);
            if token_of_response(other) == Some(place.token) {
                self.message(one, other, whole_response, &place.response, &mut problems);
                for field in ["time", "anomalies", "informational", "retransmitted"] {
                    differing(field, &whole[field], &found[field], &mut problems);
                }
                for (name, time) in whole["timing"].as_object().unwrap() {
                    let found = &found["timing"][name];
                    let may_be_unknown = !(whole_request && whole_response);
                    if found.is_null() && !time.is_null() && may_be_unknown {
                        self.untimed += 1;
                    } else {
                        differing(name, time, found, &mut problems);
                    }
                }
            } else {
                problems += " without its response";
            }
        }
        if !problems.is_empty() {
            self.fail(place, &format!("{}:{problems}", line(found.as_object().unwrap())));
        }
        !(whole_request && whole_response)
    }

    fn has_all_heads(&self) -> bool {
        self.dialogue.places.iter().all(|place| {
            let whole = &self.whole[&place.token];
            let head = |side: &str, range: &Range<u64>| {
                range.start..range.start + whole[side]["head_bytes"].as_u64().unwrap()
            };
            self.is_there(ToServer, head("request", &place.request))
                && self.is_there(ToClient, head("response", &place.response))
        })
    }

    /// A message whose head is there, beside what it is where all of it is.
    fn message(
        &self,
        whole: &Value,
        found: &Value,
        is_whole: bool,
        range: &Range<u64>,
        problems: &mut String,
    ) {
        if is_whole {
            return differing("whole", whole, found, problems);
        }
        let same = ["method", "target", "host", "url", "version", "status", "reason", "headers"];
        for field in same.iter().chain(&["head_bytes"]) {
            differing(field, &whole[*field], &found[*field], problems);
        }
        let (state, counts) = match self.why {
            Missing::Elided => ("elided", &found["elided_bytes"]),
            _ => ("gap", &found["dropped_bytes"]),
        };
        differing("state", &Value::from(state), &found["state"], problems);
        let count = counts.as_u64().unwrap_or_default();
        if count == 0 || (state == "gap" && found["lost_bytes"] != *counts) {
            *problems += &format!(" counts {counts}, {} lost", found["lost_bytes"]);
        }
        let mut headers = whole["headers"].as_array().unwrap().iter();
        let (whole_body, body) = (&whole["body"], &found["body"]);
        let wire_bytes = body["wire_bytes"].as_u64();
        let expected = whole_body["wire_bytes"].as_u64();
        let in_stream = range.end - range.start - whole["head_bytes"].as_u64().unwrap();
        if headers.any(|header| header["name"] == "Content-Length") {
            let lost = if state == "gap" { count } else { 0 };
            if wire_bytes.map(|bytes| bytes + lost) != expected {
                *problems += &format!(" {wire_bytes:?} bytes of {expected:?}");
            }
        } else if state == "elided" {
            differing("wire_bytes", &Value::Null, &body["wire_bytes"], problems);
            differing("in stream", &Value::from(in_stream), &body["sequence_bytes"], problems);
        }
    }

    fn fail(&mut self, place: &Place, what: &str) {
        let (name, why) = (&self.dialogue.name, self.why);
        self.failures.push(format!("{name}, {why:?}, exchange {}: {what}", place.token));
    }
}

fn exchanges(seen: &[Seen]) -> Vec<Value> {
    of_type(&events_of(seen), "exchange").cloned().collect()
}

#[track_caller]
fn check(dialogues: fn() -> Vec<Dialogue>, why: Missing) {
    let mut tally = Tally::default();
    for dialogue in both_ways(dialogues) {
        for budget in BUDGETS {
            let before = tally.failures.len();
            Bench::new(&dialogue, budget, why).check(&mut tally);
            for failure in &mut tally.failures[before..] {
                *failure = format!("budget {budget}, {failure}");
            }
        }
    }
    let Tally { exchanges, touched, untimed, failures } = &tally;
    println!("{exchanges} exchanges, {touched} with a part left out, {untimed} times not known");
    assert!(*touched > 0 && touched < exchanges && untimed < touched);
    let shown = failures.get(..failures.len().min(30)).unwrap_or_default();
    assert!(failures.is_empty(), "{} failures, such as\n{}", failures.len(), shown.join("\n"));
}

#[test]
fn budgets_cost_content_and_nothing_else() {
    check(in_turns, Missing::Elided);
}

#[test]
fn budgets_cost_pipelines_content_and_nothing_else() {
    check(pipelined, Missing::Elided);
}

#[test]
fn what_the_agent_drops_is_said_to_be_its_own_loss() {
    check(in_turns, Missing::Dropped);
}

#[test]
fn what_the_agent_drops_of_pipelines_is_said_to_be_its_own_loss() {
    check(pipelined, Missing::Dropped);
}
