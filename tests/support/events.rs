//! What the engine makes of segments, as the JSON that a user gets.
#![allow(dead_code, reason = "each test target uses a part")]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use capture_agent::engine::{Engine, Settings};
use capture_agent::event::Event;
use capture_agent::output::record::Record;
use serde_json::Value;

use super::peers::{Seen, settings};

/// Exchanges, messages and flows from the first segment to the end of the capture, bodies kept.
pub(crate) fn events_of<'a>(seen: impl IntoIterator<Item = &'a Seen>) -> Vec<Value> {
    events_with(seen, settings())
}

pub(crate) fn events_with<'a>(
    seen: impl IntoIterator<Item = &'a Seen>,
    settings: Settings,
) -> Vec<Value> {
    let mut engine = Engine::new(settings);
    let mut events = Vec::new();
    let mut keep = |event: Event| {
        let value = serde_json::to_value(Record::of(&event)).unwrap();
        if value["type"] != "stats" {
            events.push(value);
        }
    };
    for seen in seen {
        engine.segment(&seen.segment(), &mut keep);
    }
    engine.finish(&mut keep);
    events
}

/// Those of a type, in the order in which they came out.
pub(crate) fn of_type<'a>(events: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["type"] == kind)
}

/// The fields that are not the same.
pub(crate) fn differing(path: &str, one: &Value, other: &Value, report: &mut String) {
    match (one, other) {
        (Value::Object(ones), Value::Object(others)) => {
            let names: BTreeSet<_> = ones.keys().chain(others.keys()).collect();
            for name in names {
                differing(&format!("{path}.{name}"), &one[name], &other[name], report);
            }
        }
        _ if one == other => {}
        _ => {
            let shorten = |value: &Value| value.to_string().chars().take(200).collect::<String>();
            let _ = write!(report, "\n  {path}: {} or {}", shorten(one), shorten(other));
        }
    }
}
