//! Losses: segments of captures are taken away, one by one, in pairs, from the start, a whole
//! direction. What was not touched comes out as it did, what was touched says so, and no response
//! is on a request that it does not answer.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use capture_agent::flow::Direction;
use serde_json::{Map, Value};

use crate::support::dialogues::{
    Dialogue, Place, dice, in_turns, pipelined, span, with_copies, without_pure_acks,
};
use crate::support::events::{differing, events_of, of_type};
use crate::support::peers::Seen;

/// About how many pairs are tried on one capture.
const PAIRS: usize = 120;

/// A response on a request that it does not answer.
const MISPAIRED: &str = "mispaired";
/// A body with bytes of another message.
const MIXED_UP: &str = "mixed up";

/// What became of the exchanges of all captures.
#[derive(Debug, Default)]
struct Tally {
    captures: usize,
    /// Exchanges that were not touched, and came out as they did.
    unchanged: usize,
    /// Exchanges that were not touched, and whose halves came out apart.
    apart: usize,
    /// Exchanges that were touched, and say so.
    touched: usize,
    /// Exchanges of which nothing but an interim response was lost.
    interim_lost: usize,
    /// Exchanges of clients that pipeline, paired as if they did not: no sign of it was left.
    unknowable: usize,
    failures: usize,
    /// How many failures there were of each kind and in which dialogues, and the shortest of them.
    examples: BTreeMap<(&'static str, String), (usize, String)>,
}

impl Tally {
    fn fail(&mut self, kind: &'static str, dialogue: &Dialogue, detail: impl FnOnce() -> String) {
        self.failures += 1;
        let group = dialogue.name.split(", ").next().unwrap_or_default().to_owned();
        let (count, example) = self.examples.entry((kind, group)).or_default();
        let detail = detail();
        if *count == 0 || detail.len() < example.len() {
            *example = detail;
        }
        *count += 1;
    }

    /// Forgets the failures of some kinds.
    fn forget(&mut self, of_no_interest: impl Fn(&str) -> bool) {
        self.examples.retain(|(kind, _), _| !of_no_interest(kind));
        self.failures = self.examples.values().map(|(count, _)| count).sum();
    }

    #[track_caller]
    fn report(&self, what: &str) {
        println!("{what}: {self}");
        assert!(self.captures > 0 && self.unchanged + self.touched > 0);
        let all = self.unchanged + self.apart + self.touched;
        assert!(self.unknowable * 100 <= all, "{what}: more than a hundredth");
        assert!(self.failures == 0, "{what}: {} failures; the tally is above", self.failures);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { captures, unchanged, apart, touched, interim_lost, failures, .. } = self;
        let unknowable = self.unknowable;
        write!(out, "{captures} captures, exchanges: {unchanged} unchanged, {apart} in halves, ")?;
        write!(out, "{touched} touched and say so, {interim_lost} without an interim response, ")?;
        write!(out, "{unknowable} unknowable, {failures} failures")?;
        for ((kind, group), (count, example)) in &self.examples {
            write!(out, "\n{count} times: {kind} ({group}), such as\n  {example}")?;
        }
        Ok(())
    }
}

/// A dialogue and what comes of it where nothing is lost.
struct Bench<'a> {
    dialogue: &'a Dialogue,
    whole: BTreeMap<usize, Map<String, Value>>,
    /// Fields that are not compared.
    left_out: &'a [&'a str],
}

impl<'a> Bench<'a> {
    fn new(dialogue: &'a Dialogue, left_out: &'a [&'a str]) -> Self {
        let mut bench = Self { dialogue, whole: BTreeMap::new(), left_out };
        for exchange in bench.exchanges(&[]) {
            let token = token_of_request(&exchange["request"]).expect("every request has a token");
            assert_eq!(token_of_response(&exchange["response"]), Some(token), "{}", dialogue.name);
            for side in ["request", "response"] {
                assert_eq!(exchange[side]["state"], "complete", "{}: {exchange:?}", dialogue.name);
            }
            bench.whole.insert(token, exchange);
        }
        assert_eq!(bench.whole.len(), dialogue.places.len(), "{}", dialogue.name);
        bench
    }

    /// What comes out without these segments.
    fn exchanges(&self, removed: &[usize]) -> Vec<Map<String, Value>> {
        let seen = self.dialogue.seen.iter().enumerate();
        let left = seen.filter(|(n, _)| !removed.contains(n)).map(|(_, seen)| seen);
        let events = events_of(left);
        let exchange = |event: &Value| {
            let mut exchange = event.as_object().unwrap().clone();
            // What tells where it was, and not what it is.
            for field in ["index", "flow", "retransmitted", "out_of_order"] {
                exchange.remove(field);
            }
            exchange["timing"].as_object_mut().unwrap().remove("connect_us");
            self.left_out.iter().for_each(|field| drop(exchange.remove(*field)));
            exchange
        };
        of_type(&events, "exchange").map(exchange).collect()
    }

    /// Holds what comes out without these segments to the three promises.
    fn check(&self, removed: &[usize], tally: &mut Tally) {
        let dialogue = self.dialogue;
        tally.captures += 1;
        let found = self.exchanges(removed);
        let lost = lost_bytes(&dialogue.seen, removed);
        let show = |found: &[&Map<String, Value>]| {
            let lines: Vec<_> = found.iter().map(|exchange| line(exchange)).collect();
            format!("{}, without {removed:?}: {}", dialogue.name, lines.join("; "))
        };
        let (mispaired, paired): (Vec<_>, Vec<_>) = found.iter().partition(|one| !is_of_one(one));
        // With two requests gone, or the start of the flow, nothing may be left that tells.
        let hits = dialogue.places.iter().filter(|place| Hit::of(place, &lost).request).count();
        let knowable = !dialogue.pipelined || (hits < 2 && !removed.contains(&0));
        for exchange in &mispaired {
            if !knowable {
                tally.unknowable += 1;
                continue;
            }
            let heads = tokens_of_heads(exchange);
            let kind = if heads.first() == heads.last() { MIXED_UP } else { MISPAIRED };
            tally.fail(kind, dialogue, || show(&[exchange]));
        }
        let is_right = |place: &&Place| !mispaired.iter().any(|one| has_token(one, place.token));
        for place in dialogue.places.iter().filter(is_right) {
            let of_it = paired.iter().copied().filter(|found| has_token(found, place.token));
            let of_it: Vec<_> = of_it.collect();
            let hit = Hit::of(place, &lost);
            let whole = &self.whole[&place.token];
            let fail = |tally: &mut Tally, kind| {
                let mut detail = format!("{} of {}", place.token, show(&of_it));
                if let [only] = of_it[..] {
                    let [one, other] = [whole, only].map(|of| Value::Object(of.clone()));
                    differing("", &one, &other, &mut detail);
                }
                tally.fail(kind, dialogue, || detail);
            };
            let is_unchanged = of_it == [whole];
            if side_count(&of_it, "request") > 1 || side_count(&of_it, "response") > 1 {
                fail(tally, "twice");
            } else if hit.request || hit.response {
                let said = of_it.iter().all(|exchange| hit.is_said_by(exchange));
                tally.touched += usize::from(said);
                if !said {
                    fail(tally, "touched and does not say so");
                }
            } else if is_unchanged {
                tally.unchanged += 1;
            } else if hit.fin && of_it.iter().all(|one| one["response"]["state"] != "complete") {
                // It can be told from what the client acknowledges, but need not be.
                tally.touched += 1;
            } else if hit.interim {
                tally.interim_lost += 1;
            } else if dialogue.pipelined && self.are_halves(place.token, &of_it) {
                tally.apart += 1;
            } else {
                fail(tally, "not touched and changed");
            }
        }
    }

    /// Whether these are the two sides of the exchange, unchanged, each alone.
    fn are_halves(&self, token: usize, found: &[&Map<String, Value>]) -> bool {
        let is_half = |side: &str, other: &str| {
            let whole = &self.whole[&token][side];
            found.iter().any(|half| half[side] == *whole && half[other].is_null())
        };
        found.len() == 2 && is_half("request", "response") && is_half("response", "request")
    }
}

/// What of an exchange was lost.
#[derive(Debug)]
struct Hit {
    request: bool,
    interim: bool,
    response: bool,
    fin: bool,
}

impl Hit {
    fn of(place: &Place, lost: &[Vec<Range<u64>>; 2]) -> Self {
        let is_hit = |direction: Direction, range: &Range<u64>| {
            lost[direction as usize]
                .iter()
                .any(|lost| lost.start.max(range.start) < lost.end.min(range.end))
        };
        Self {
            request: is_hit(Direction::ToServer, &place.request),
            interim: is_hit(Direction::ToClient, &place.interim),
            response: is_hit(Direction::ToClient, &place.response),
            fin: is_hit(Direction::ToClient, &place.fin),
        }
    }

    /// A side is missing, or the one of which bytes were lost is not whole.
    fn is_said_by(&self, exchange: &Map<String, Value>) -> bool {
        let is_whole = |side: &str| exchange[side]["state"] == "complete";
        let is_silent =
            self.request && is_whole("request") || self.response && is_whole("response");
        exchange["request"].is_null() || exchange["response"].is_null() || !is_silent
    }
}

/// What was in the segments that are removed and in no other, for each direction.
fn lost_bytes(seen: &[Seen], removed: &[usize]) -> [Vec<Range<u64>>; 2] {
    let mut lost = [Vec::new(), Vec::new()];
    for index in removed {
        let (direction, range) = span(&seen[*index]);
        let is_there = seen.iter().enumerate().any(|(n, other)| {
            let (way, there) = span(other);
            let covers = there.start <= range.start && range.end <= there.end;
            way == direction && covers && !removed.contains(&n)
        });
        if !is_there {
            lost[direction as usize].push(range);
        }
    }
    lost
}

fn side_count(found: &[&Map<String, Value>], side: &str) -> usize {
    found.iter().filter(|exchange| !exchange[side].is_null()).count()
}

/// Whether all tokens in an exchange are one.
pub(crate) fn is_of_one(exchange: &Map<String, Value>) -> bool {
    let mut tokens = tokens_of(exchange);
    tokens.dedup();
    tokens.len() <= 1
}

fn has_token(exchange: &Map<String, Value>, token: usize) -> bool {
    tokens_of(exchange).contains(&token)
}

/// The tokens of both heads and in both bodies.
fn tokens_of(exchange: &Map<String, Value>) -> Vec<usize> {
    let mut tokens = Vec::new();
    for side in ["request", "response"] {
        let body = exchange[side]["body"]["text"].as_str().unwrap_or_default();
        tokens.extend(body.split('[').filter_map(|unit| token(unit.split_once(']')?.0)));
    }
    tokens.extend(tokens_of_heads(exchange));
    tokens
}

fn tokens_of_heads(exchange: &Map<String, Value>) -> Vec<usize> {
    let asked = token_of_request(&exchange["request"]);
    asked.into_iter().chain(token_of_response(&exchange["response"])).collect()
}

pub(crate) fn token_of_request(request: &Value) -> Option<usize> {
    token(request["target"].as_str()?.strip_prefix('/')?)
}

pub(crate) fn token_of_response(response: &Value) -> Option<usize> {
    let mut headers = response["headers"].as_array()?.iter();
    let header = headers.find(|header| header["name"] == "X-Of")?;
    token(header["value"].as_str()?)
}

/// `t` and three digits; where some were lost, whose it is cannot be told.
fn token(text: &str) -> Option<usize> {
    let digits = text.strip_prefix('t').filter(|digits| digits.len() == 3)?;
    digits.parse().ok()
}

pub(crate) fn line(exchange: &Map<String, Value>) -> String {
    let side = |side: &Value, start: String| {
        if side.is_null() {
            return "?".to_owned();
        }
        let body = &side["body"]["wire_bytes"];
        format!("{start} {body} {} {}", side["state"].as_str().unwrap(), side["lost_bytes"])
    };
    let (request, response) = (&exchange["request"], &exchange["response"]);
    let asked = side(request, format!("{} {}", request["method"], request["target"]));
    let token = token_of_response(response);
    let answered = side(response, format!("{} {token:?}", response["status"]));
    let anomalies = &exchange["anomalies"];
    format!("{asked} -> {answered} {anomalies}")
}

/// Pairs of these, about so many: of those side by side, and of all.
fn pairs(indices: &[usize], most: usize) -> impl Iterator<Item = [usize; 2]> {
    let count = indices.len() * indices.len().saturating_sub(1) / 2;
    let neighbours = indices.windows(2).map(|pair| [pair[0], pair[1]]);
    let all = indices.iter().enumerate();
    let all = all.flat_map(|(n, one)| indices[n + 1..].iter().map(|other| [*one, *other]));
    neighbours.step_by(2 * indices.len() / most + 1).chain(all.step_by(2 * count / most + 1))
}

/// With all acknowledgements, and with those alone that ride on something.
pub(crate) fn both_ways(dialogues: fn() -> Vec<Dialogue>) -> impl Iterator<Item = Dialogue> {
    dialogues().into_iter().chain(dialogues().into_iter().map(without_pure_acks))
}

#[track_caller]
fn each_segment_and_pair(dialogues: fn() -> Vec<Dialogue>) -> Tally {
    let mut tally = Tally::default();
    for dialogue in both_ways(dialogues) {
        let bench = Bench::new(&dialogue, &[]);
        let indices: Vec<usize> = (0..dialogue.seen.len()).collect();
        indices.iter().for_each(|index| bench.check(&[*index], &mut tally));
        pairs(&indices, PAIRS).for_each(|pair| bench.check(&pair, &mut tally));
    }
    tally
}

#[test]
fn losses_cost_what_they_touch_and_nothing_else() {
    let tally = each_segment_and_pair(in_turns);
    tally.report("in turns");
    assert_eq!(tally.apart, 0, "acknowledgements tell who answers whom");
}

#[test]
fn losses_in_pipelines_never_pair_what_does_not_belong_together() {
    let tally = each_segment_and_pair(pipelined);
    tally.report("pipelined");
    // Where a head is lost, nothing may tell whose a response is; mostly something does.
    assert!(tally.apart < tally.unchanged);
}

/// So much may be lost that nobody can tell what belongs together; then nothing is to be paired.
#[test]
fn however_much_is_lost_nothing_is_mispaired() {
    let mut tally = Tally::default();
    for dialogue in both_ways(in_turns).chain(both_ways(pipelined)) {
        let bench = Bench::new(&dialogue, &[]);
        let mut dice = dice(dialogue.seen.len() as u64, 10);
        for lost_of_ten in [1, 2, 3, 5].repeat(10) {
            let indices = 0..dialogue.seen.len();
            bench.check(&indices.filter(|_| dice() <= lost_of_ten).collect::<Vec<_>>(), &mut tally);
        }
    }
    // What was not touched may come out in halves then.
    tally.forget(|kind| kind != MISPAIRED);
    tally.report("much lost");
}

#[test]
fn captures_that_begin_midway_have_what_follows() {
    let mut tally = Tally::default();
    for dialogue in both_ways(in_turns).chain(both_ways(pipelined)) {
        let bench = Bench::new(&dialogue, &[]);
        for first in 1..dialogue.seen.len() {
            bench.check(&(0..first).collect::<Vec<_>>(), &mut tally);
        }
    }
    tally.report("from midway");
}

#[test]
fn captures_of_one_direction_have_its_half() {
    let mut tally = Tally::default();
    for dialogue in both_ways(in_turns).chain(both_ways(pipelined)) {
        let bench = Bench::new(&dialogue, &[]);
        for (direction, side) in
            [(Direction::ToServer, "request"), (Direction::ToClient, "response")]
        {
            let segments = dialogue.seen.iter().enumerate();
            let lost = segments.filter(|(_, seen)| span(seen).0 == direction).map(|(n, _)| n);
            let removed: Vec<_> = lost.collect();
            bench.check(&removed, &mut tally);
            for exchange in bench.exchanges(&removed) {
                assert!(exchange[side].is_null(), "{}: {}", dialogue.name, line(&exchange));
            }
        }
    }
    tally.report("one direction");
}

#[test]
fn a_segment_that_is_seen_again_is_no_loss() {
    let mut tally = Tally::default();
    for (dialogue, originals) in in_turns().into_iter().chain(pipelined()).map(with_copies) {
        // A copy comes later.
        let bench = Bench::new(&dialogue, &["time", "timing"]);
        originals.iter().for_each(|index| bench.check(&[*index], &mut tally));
        pairs(&originals, PAIRS / 4).for_each(|pair| bench.check(&pair, &mut tally));
    }
    tally.report("sent twice");
    assert_eq!((tally.apart, tally.touched), (0, 0));
}
