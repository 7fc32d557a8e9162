//! Exchanges written as frames, `--output x.pcapng`: what is read from them again is what was
//! written.

use std::fs;
use std::path::Path;

use capture_agent::engine::{Engine, Settings};
use capture_agent::event::Event;
use capture_agent::http::HttpRules;
use capture_agent::output::record::Record;
use capture_agent::output::{Format, Output, Target, Verbosity};
use capture_agent::segment::Missing;
use capture_agent::selection::{PortSet, Sample, Selection};
use capture_agent::source::Item;
use capture_agent::source::file::FileSource;
use serde_json::Value;

use super::cases::files;
use crate::support::dialogues::{dice, in_turns, pipelined};
use crate::support::events::{differing, of_type};
use crate::support::peers::{MS, Peers, Seen, settings};
use crate::support::script::{cases_in, play};

fn keeping() -> Settings {
    let settings = settings();
    Settings { http: HttpRules { keep_wire: true, ..settings.http }, ..settings }
}

/// The exchanges of what was seen, and what is read again of the frames that they were written as.
fn twice<'a>(seen: impl IntoIterator<Item = &'a Seen>, to: &Path) -> (Vec<Value>, Vec<Value>) {
    twice_if(seen, to, |_| true)
}

/// The same of those exchanges that are chosen.
fn twice_if<'a>(
    seen: impl IntoIterator<Item = &'a Seen>,
    to: &Path,
    mut is_chosen: impl FnMut(&Event) -> bool,
) -> (Vec<Value>, Vec<Value>) {
    let mut engine = Engine::new(keeping());
    let target = Target::File(to.to_owned());
    let mut output = Output::open(Format::Pcapng, target, Verbosity::Line).unwrap();
    let mut before = Vec::new();
    let mut write = |event: Event| {
        if !is_chosen(&event) {
            return;
        }
        output.write(&event).unwrap();
        before.push(serde_json::to_value(Record::of(&event)).unwrap());
    };
    for seen in seen {
        engine.segment(&seen.segment(), &mut write);
    }
    engine.finish(&mut write);
    output.finish().unwrap();
    (before, read(to))
}

fn read(path: &Path) -> Vec<Value> {
    let selection = Selection {
        ports: "any".parse::<PortSet>().unwrap(),
        hosts: Vec::new(),
        sample: "1/1".parse::<Sample>().unwrap(),
    };
    let file = Box::new(fs::File::open(path).unwrap());
    let mut source = FileSource::from_reader(file, "it", selection).unwrap().verify_checksums(true);
    let mut engine = Engine::new(settings());
    let mut after = Vec::new();
    let mut keep = |event: Event| after.push(serde_json::to_value(Record::of(&event)).unwrap());
    while let Some(item) = source.next_item().unwrap() {
        match item {
            Item::Interface(id, name) => engine.name_interface(id, name),
            Item::Segment(segment) => engine.segment(&segment, &mut keep),
        }
    }
    engine.finish(&mut keep);
    after
}

/// What is odd about how a head or a chunk was written, or about how the network carried it: what
/// is written again has it no more.
const OF_SYNTAX: [&str; 14] = [
    "bare_line_feed",
    "empty_line_before_head",
    "folded_header",
    "folded_framing_header",
    "space_before_colon",
    "invalid_header",
    "odd_start_line",
    "odd_chunk_line",
    "too_many_headers",
    "head_too_long",
    "too_many_interim_responses",
    "bytes_passed_over",
    "conflicting_copies",
    "control_characters",
];

fn names(anomalies: &Value) -> Vec<&str> {
    let names = anomalies.as_array().into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

/// What can't be read again is taken out of both: this is all there is of that.
fn without_exceptions(before: &Value, after: &Value) -> (Value, Value) {
    let (mut before, mut after) = (before.clone(), after.clone());
    let was = before.clone();
    let odd = names(&was["anomalies"]);
    // Copies of segments and their order are the network's.
    for exchange in [&mut before, &mut after] {
        let exchange = exchange.as_object_mut().unwrap();
        exchange.remove("retransmitted");
        exchange.remove("out_of_order");
        let anomalies = exchange["anomalies"].as_array_mut().unwrap();
        anomalies.retain(|name| !OF_SYNTAX.contains(&name.as_str().unwrap()));
    }
    let is_syntax_odd = odd.iter().any(|name| OF_SYNTAX.contains(name));
    let is_holed = |side: &str| {
        let side = &was[side];
        !side["gaps"].is_null() || !side["elided"].is_null() || odd.contains(&"head_too_long")
    };
    let is_redacted = |side: &str| was[side].to_string().contains("[redacted]");
    for side in ["request", "response"] {
        let (is_holed, is_redacted) = (is_holed(side), is_redacted(side));
        for exchange in [&mut before, &mut after] {
            let Some(message) = exchange[side].as_object_mut() else { continue };
            // A secret is longer or shorter than what stands for it, and so is odd syntax; a line
            // that was cut off is not kept.
            let is_cut = ["cut", "open"].iter().any(|state| was[side]["state"] == *state);
            if is_syntax_odd || is_redacted || is_holed || is_cut {
                message.remove("head_bytes");
            }
            // What the kernel or the agent left out is not here either.
            if is_holed {
                let holes = ["elided", "elided_bytes", "gaps", "lost_bytes", "dropped_bytes"];
                holes.iter().for_each(|hole| drop(message.remove(*hole)));
                let body = message["body"].as_object_mut().unwrap();
                let counts = ["wire_bytes", "sequence_bytes", "truncated"];
                counts.iter().for_each(|count| drop(body.remove(*count)));
                message.remove("state");
            }
        }
    }
    // When bytes came that are not here is not told.
    if is_holed("request") || is_holed("response") {
        for exchange in [&mut before, &mut after] {
            exchange.as_object_mut().unwrap().remove("timing");
        }
    }
    // What was decoded up to a hole goes on after it where that was left out on purpose.
    for side in ["request", "response"] {
        if !was[side]["elided"].is_null() {
            let text = before[side]["body"]["text"].as_str().unwrap_or_default().to_owned();
            let again = after[side]["body"]["text"].as_str().unwrap_or_default();
            assert!(again.starts_with(&text), "{again:?}");
            after[side]["body"]["text"] = before[side]["body"]["text"].clone();
        }
    }
    (before, after)
}

/// How what is read again differs from what was written.
fn differences(before: &[Value], after: &[Value]) -> String {
    let (before, after): (Vec<_>, Vec<_>) =
        (of_type(before, "exchange").collect(), of_type(after, "exchange").collect());
    let mut differences = String::new();
    if before.len() != after.len() {
        differences += &format!("\n  {} or {} exchanges", before.len(), after.len());
    }
    for (number, (before, after)) in before.into_iter().zip(after).enumerate() {
        let (before, after) = without_exceptions(before, after);
        differing(&number.to_string(), &before, &after, &mut differences);
    }
    differences
}

#[test]
fn every_case_comes_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    let (mut report, mut count) = (String::new(), 0);
    for file in files() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for case in cases_in(&fs::read_to_string(&file).unwrap()).1 {
            let (mut before, after) = twice(&play(&case.dialogue), &path);
            // Of a response whose start was not seen, there is nothing that could be read.
            before.retain(|event| event["response"]["state"] != "midstream");
            let starts_midway = case.dialogue.contains("! midstream");
            let (before, after) =
                if starts_midway { (unplaced(before), unplaced(after)) } else { (before, after) };
            let differences = differences(&before, &after);
            count += 1;
            if !differences.is_empty() {
                report += &format!("\n{name}: {}{differences}", case.title);
            }
        }
    }
    assert!(report.is_empty(), "{report}");
    assert!(count > 200, "{count}");
}

/// Without their places in their flows.
fn unplaced(events: Vec<Value>) -> Vec<Value> {
    let unplace = |mut event: Value| {
        event.as_object_mut().unwrap().remove("index");
        event
    };
    events.into_iter().map(unplace).collect()
}

#[test]
fn every_dialogue_comes_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    for dialogue in in_turns().into_iter().chain(pipelined()) {
        let (before, after) = twice(&dialogue.seen, &path);
        assert_eq!(of_type(&before, "exchange").count(), dialogue.places.len());
        assert_eq!(differences(&before, &after), "", "{}", dialogue.name);
    }
}

#[test]
fn exchanges_that_were_chosen_come_out_without_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    let mut count = 0;
    for dialogue in in_turns().into_iter().chain(pipelined()) {
        for every in [2, 3] {
            for first in 0..every {
                let is_chosen = |event: &Event| match event {
                    Event::Exchange(exchange) => exchange.http.index % every == first,
                    _ => true,
                };
                let (before, after) = twice_if(&dialogue.seen, &path, is_chosen);
                let (before, after) = (unplaced(before), unplaced(after));
                count += of_type(&before, "exchange").count();
                assert_eq!(differences(&before, &after), "", "{} {first}", dialogue.name);
            }
        }
    }
    assert!(count > 300, "{count}");
}

/// The token in a request or a response, wherever it stands.
fn token(message: &Value) -> Option<String> {
    let text = message.to_string();
    let at = text.find("/t").or(text.find("[t")).map(|at| at + 2)?;
    let digits = text.get(at..at + 3)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.to_owned())
}

#[test]
fn no_loss_makes_a_response_one_to_another_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    let mut paired = 0;
    for dialogue in in_turns().into_iter().chain(pipelined()) {
        let mut dice = dice(7, dialogue.seen.len());
        for _ in 0..8 {
            let (one, other) = (dice(), dice());
            let left = dialogue.seen.iter().enumerate().filter(|(n, _)| *n != one && *n != other);
            let (before, after) = twice(left.map(|(_, seen)| seen), &path);
            let pairs = |events: &[Value]| -> Vec<_> {
                let both =
                    |event: &Value| Some((token(&event["request"])?, token(&event["response"])?));
                of_type(events, "exchange").filter_map(both).collect()
            };
            let mispaired = |events: &[Value]| {
                pairs(events).into_iter().filter(|(asked, answered)| asked != answered).count()
            };
            paired += pairs(&after).len();
            assert!(
                mispaired(&after) <= mispaired(&before),
                "{} without {one} and {other}: {:?} and then {:?}",
                dialogue.name,
                pairs(&before),
                pairs(&after),
            );
        }
    }
    assert!(paired > 1_000, "{paired}");
}

#[test]
fn what_took_long_is_read_again_though_others_were_written_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    const SECOND: u64 = 1_000 * MS;
    let mut long = Peers::between("10.0.0.5:5000", "10.0.0.1:80");
    long.handshake();
    long.client("GET /long HTTP/1.1\r\nHost: h\r\n\r\n");
    long.server("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n");
    let mut seen = Vec::new();
    for number in 0..100 {
        long.wait(20 * SECOND);
        long.server("xy");
        let mut short = Peers::between(&format!("10.0.0.6:{}", 5_000 + number), "10.0.0.1:80");
        short.wait(20 * SECOND * (number + 1));
        short.handshake();
        short.client("GET /short HTTP/1.1\r\nHost: h\r\n\r\n");
        short.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        if number % 2 == 0 {
            short.close();
        }
        seen.extend(short.seen);
    }
    seen.extend(long.seen);
    seen.sort_by_key(|seen| seen.time);
    let (before, after) = twice(&seen, &path);
    assert_eq!(of_type(&before, "exchange").count(), 101);
    assert_eq!(differences(&before, &after), "");
}

#[test]
fn bytes_that_were_left_out_keep_their_number_however_many_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    // Up to more than there are sequence numbers.
    for (times, len) in [(1, 1), (1, 64_000), (1, 20 << 20), (5, 900 << 20)] {
        let mut peers = Peers::open();
        let whole = u64::from(len) * times;
        for number in 0..2 {
            peers.client(&format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n"));
            peers.server(&format!("HTTP/1.1 200 OK\r\nContent-Length: {whole}\r\n\r\n"));
            for _ in 0..times {
                peers.server_leaves_out(len, Missing::Elided);
            }
        }
        peers.client("HEAD /last HTTP/1.1\r\nHost: h\r\n\r\n");
        peers.server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
        let (before, after) = twice(&peers.seen, &path);
        assert_eq!(differences(&before, &after), "", "{whole}");
        let lost: Vec<_> =
            of_type(&after, "exchange").map(|it| it["response"]["lost_bytes"].as_u64()).collect();
        assert_eq!(lost, [Some(whole), Some(whole), None]);
        let written = fs::metadata(&path).unwrap().len();
        assert!(written < 10_000 + whole / 10_000, "{written} bytes for {whole}");
    }
}
