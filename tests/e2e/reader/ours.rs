//! What the agent says, in the terms in which it is compared.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Fields, Reading};
use crate::support::live::objects;

pub(super) fn reading(lines: &[u8]) -> Reading {
    let flows = objects(lines, "flow");
    let numbers: HashMap<_, _> = flows
        .iter()
        .map(|flow| (text(&flow["flow"]).unwrap(), flow["number"].as_u64().unwrap()))
        .collect();
    let stream_of = |object: &Value| numbers[&text(&object["flow"]).unwrap()];
    let mut reading = Reading::default();
    let mut exchanges = objects(lines, "exchange");
    exchanges.sort_by_key(|exchange| (stream_of(exchange), exchange["index"].as_u64()));
    for exchange in &exchanges {
        add_exchange(&mut reading, stream_of(exchange), exchange);
    }
    for message in objects(lines, "websocket") {
        let upgraded = |exchange: &&Value| {
            ["flow", "index"].iter().all(|name| exchange[name] == message[name])
        };
        let upgrade = exchanges.iter().find(upgraded).expect("messages follow their upgrade");
        let target = text(&upgrade["request"]["target"]).unwrap();
        let label = format!("{target} message {}", message["number"]);
        reading.add(stream_of(&message), "message", label, fields_of(&message));
    }
    for flow in flows.iter().filter(|flow| flow["tunnel"]["protocol"] == "connect") {
        let mut fields = Fields::new();
        for way in ["to_server_bytes", "to_client_bytes"] {
            put(&mut fields, way, flow["tunnel"][way].as_u64().map(|bytes| bytes.to_string()));
        }
        reading.add(stream_of(flow), "tunnel", "tunnel".to_owned(), fields);
    }
    reading
}

/// What the agent says of an exchange beyond what was said on it: anomalies, and what is not whole.
pub(super) fn oddities(lines: &[u8]) -> Vec<String> {
    let mut oddities = Vec::new();
    for exchange in objects(lines, "exchange") {
        let states = ["request", "response"].map(|side| (side, text(&exchange[side]["state"])));
        let states = states.into_iter().filter(|(_, state)| state.as_deref() != Some("complete"));
        let states = states.map(|(side, state)| format!("{side} {}", state.unwrap_or_default()));
        let anomalies = exchange["anomalies"].as_array().into_iter().flatten().filter_map(text);
        oddities
            .extend(states.chain(anomalies).map(|what| format!("{}: {what}", label(&exchange))));
    }
    oddities
}

/// What people call it.
fn label(exchange: &Value) -> String {
    let word = |name| text(&exchange["request"][name]).unwrap_or_else(|| "?".to_owned());
    format!("{} {}", word("method"), word("target"))
}

fn add_exchange(reading: &mut Reading, stream: u64, exchange: &Value) {
    let request = &exchange["request"];
    let label = label(exchange);
    if !request.is_null() {
        let mut fields = message(request);
        for name in ["method", "target", "host", "url"] {
            put(&mut fields, name, text(&request[name]));
        }
        reading.add(stream, "request", label.clone(), fields);
    }
    // What is asked for without a URL is asked for by what stands there.
    let answers = text(&request["url"]).or_else(|| text(&request["target"]));
    let interim = exchange["informational"].as_array().into_iter().flatten();
    for response in interim.chain(Some(&exchange["response"]).filter(|it| !it.is_null())) {
        let mut fields = message(response);
        put(&mut fields, "status", response["status"].as_u64().map(|status| status.to_string()));
        put(&mut fields, "reason", text(&response["reason"]));
        put(&mut fields, "answers", answers.clone());
        if response == &exchange["response"] {
            let span = |name| exchange["timing"][name].as_u64();
            let us = span("wait_us").zip(span("response_us")).map(|(wait, rest)| wait + rest);
            put(&mut fields, "us", us.map(|us| us.to_string()));
        }
        let status = fields.get("status").map_or("?", |status| status);
        reading.add(stream, "response", format!("{label} -> {status}"), fields);
    }
}

/// What requests and responses have in common.
fn message(message: &Value) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "version", text(&message["version"]));
    for name in ["headers", "trailers"] {
        let lines = message[name].as_array().into_iter().flatten().map(|header| {
            format!("{}: {}\n", text(&header["name"]).unwrap(), text(&header["value"]).unwrap())
        });
        put(&mut fields, name, Some(lines.collect()));
    }
    put(&mut fields, "body", Some(hex(&content(&message["body"]))));
    fields
}

fn fields_of(message: &Value) -> Fields {
    let mut fields = Fields::new();
    for name in ["direction", "opcode"] {
        put(&mut fields, name, text(&message[name]));
    }
    for name in ["frames", "wire_bytes", "close_code", "masked", "compressed"] {
        let value = Some(&message[name]).filter(|value| !value.is_null());
        put(&mut fields, name, value.map(Value::to_string));
    }
    put(&mut fields, "payload", Some(hex(&content(message))));
    fields
}

fn content(body: &Value) -> Vec<u8> {
    let decoded = body["base64"].as_str().map(|text| STANDARD.decode(text).unwrap());
    let content = text(&body["text"]).map(String::into_bytes).or(decoded).unwrap_or_default();
    // The limit is larger than any of them; a coding that was cut ends early by itself.
    assert!(body["truncated"] != true || body["bytes"].is_null(), "{body}");
    content
}

/// Keeps a field that says something.
pub(super) fn put(fields: &mut Fields, name: &'static str, value: Option<String>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        fields.insert(name, value);
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
