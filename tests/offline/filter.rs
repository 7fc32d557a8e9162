//! `--where`: what expressions say of exchanges, which of them are refused, and what the worst of
//! them cost.

use std::collections::BTreeMap;
use std::fs;

use capture_agent::engine::{Engine, Settings};
use capture_agent::event::{Event, Exchange};
use capture_agent::filter::{Filter, Verdict};
use capture_agent::http::HttpRules;
use capture_agent::http::form::ListRules;
use capture_agent::output::record::Record;
use serde_json::Value;

use crate::support::peers::{Seen, settings};
use crate::support::script::{cases_in, play};

/// Exchanges, bodies and forms kept, each with what is written of it.
fn exchanges_of(seen: &[Seen]) -> Vec<(Exchange, Value)> {
    let http = HttpRules { list_forms: Some(ListRules::default()), ..settings().http };
    let mut engine = Engine::new(Settings { http, ..settings() });
    let mut exchanges = Vec::new();
    let mut keep = |event: Event| {
        let value = serde_json::to_value(Record::of(&event)).unwrap();
        if let Event::Exchange(exchange) = event {
            exchanges.push((*exchange, value));
        }
    };
    seen.iter().for_each(|seen| engine.segment(&seen.segment(), &mut keep));
    engine.finish(&mut keep);
    exchanges
}

/// Those of all dialogues by section of the RFCs.
fn all_cases() -> Vec<(Exchange, Value)> {
    let files = super::cases::files();
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    texts
        .flat_map(|text| cases_in(&text).1)
        .flat_map(|case| exchanges_of(&play(&case.dialogue)))
        .collect()
}

/// Says of each field of a record what it is.
fn conditions(path: &str, value: &Value, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().filter(|(name, _)| *name != "type").for_each(|(name, value)| match path {
                "" => conditions(name, value, all),
                _ => conditions(&format!("{path}[\"{name}\"]"), value, all),
            })
        }
        Value::Array(elements) => {
            all.push(format!("size({path}) == {}", elements.len()));
            for (at, element) in elements.iter().enumerate() {
                conditions(&format!("{path}[{at}]"), element, all);
            }
        }
        _ if value.to_string().len() < 500 => all.push(format!("{path} == {value}")),
        _ => {}
    }
}

#[test]
fn each_field_has_the_value_that_is_written() {
    let mut filters = BTreeMap::new();
    let mut count = 0;
    for (exchange, record) in all_cases() {
        let mut all = Vec::new();
        conditions("", &record, &mut all);
        for condition in all {
            let filter = filters.entry(condition.clone()).or_insert_with(|| {
                Filter::compile(&condition).unwrap_or_else(|error| panic!("{error}"))
            });
            count += 1;
            assert_eq!(filter.verdict(&exchange), Verdict::Matches, "{condition}\n{record:#}");
        }
    }
    println!("{count} {}", filters.len());
}
