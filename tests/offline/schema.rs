//! The output holds to its JSON Schema, and the schema in the repository is that of the types.

use std::path::Path;
use std::{env, fs};

use capture_agent::doctor;
use capture_agent::output::record::schema;
use serde_json::Value;

use crate::support::agent::Agent;
use crate::support::pcap::{ACK, Conversation, pcap_of};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/output.schema.json");
const DOCTOR_SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/doctor.schema.json");

#[test]
fn the_schema_in_the_repository_is_that_of_the_types() {
    assert_kept(SCHEMA, &schema());
    assert_kept(DOCTOR_SCHEMA, &doctor::schema());
}

/// Holds what is kept in a file to a schema.
fn assert_kept(file: &str, schema: &schemars::Schema) {
    let generated = format!("{:#}\n", schema.as_value());
    if env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(file, &generated).unwrap();
    }
    let kept = fs::read_to_string(file).unwrap_or_default();
    assert!(
        generated == kept,
        "run UPDATE_SCHEMA=1 cargo test --test offline schema, and look at the difference"
    );
}

#[test]
fn every_line_of_output_is_valid_by_the_schema() {
    let schema: Value = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.pcap");
    write_capture(&file);
    let output = Agent::read(&file)
        .args(["--format", "jsonl", "--events", "exchange,websocket,flow,stats", "--bodies"])
        .run();
    let lines = output.json_lines();
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    for kind in ["exchange", "websocket", "flow", "stats"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    for line in &lines {
        let errors: Vec<_> = validator.iter_errors(line).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?} in {line}");
    }
    let mut broken = lines[0].clone();
    broken["client"]["port"] = Value::from("80");
    assert!(!validator.is_valid(&broken));
}

/// One of each: complete, gap, cut, one-sided, with interim responses, bodies that are text, binary
/// and too long, and a WebSocket.
fn write_capture(file: &Path) {
    let mut segments = Conversation::new("10.0.0.5:50001", "10.0.0.1:80")
        .open()
        .client_sends(b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Encoding: br\r\n\r\n\xff\xfe\x00")
        .server_sends(b"HTTP/1.1 100 Continue\r\n\r\n")
        .server_sends(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi")
        .close()
        .segments();
    let long =
        [&b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"[..], &[b'x'; 90_000]].concat();
    let mut lossy = Conversation::new("10.0.0.5:50002", "10.0.0.1:80")
        .open()
        .client_sends(b"GET /long HTTP/1.1\r\nHost: h\r\n\r\n")
        .server_sends(&long)
        .close()
        .segments();
    lossy.remove(9);
    let one_sided = Conversation::new("10.0.0.5:50003", "10.0.0.1:80")
        .server_sends(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        .segments()
        .into_iter()
        .filter(|segment| segment.flags & ACK != 0 && segment.src.port() == 80);
    let socket = Conversation::new("10.0.0.5:50004", "10.0.0.1:80")
        .open()
        .client_sends(b"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n")
        .server_sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x83\x02hi")
        .close()
        .segments();
    segments.extend(lossy);
    segments.extend(socket);
    segments.extend(one_sided);
    fs::write(file, pcap_of(&segments)).unwrap();
}
