//! The cases of the table as bad input: whatever is in them, memory stays bounded, the output stays
//! well-formed and harmless, secrets stay hidden, and other flows don't notice.

use std::fs;
use std::path::Path;

use capture_agent::engine::Settings;
use capture_agent::stream::{Deliver, Rules};
use serde_json::Value;

use super::cases::files;
use crate::support::agent::Agent;
use crate::support::events::events_of;
use crate::support::fuzz::warden::Warden;
use crate::support::peers::{Peers, Seen, capture_of, settings};
use crate::support::script::{cases_in, play};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/output.schema.json");

/// What is seen in every case, by its title.
fn all() -> Vec<(String, Vec<Seen>)> {
    let cases = |file: &Path| cases_in(&fs::read_to_string(file).unwrap()).1;
    let seen = files().iter().flat_map(|file| cases(file)).collect::<Vec<_>>();
    seen.into_iter().map(|case| (case.title, play(&case.dialogue))).collect()
}

#[test]
fn no_case_breaks_a_promise_of_the_engine_however_little_memory_it_has() {
    let acked =
        Settings { stream: Rules { deliver: Deliver::Acked, ..Rules::default() }, ..settings() };
    let in_memory = |memory_limit| Settings { memory_limit, ..settings() };
    let mut on_the_wire = settings();
    on_the_wire.http.keep_wire = true;
    for (title, seen) in all() {
        eprintln!("{title}");
        let limited = [in_memory(100_000), in_memory(4_000)];
        for settings in [settings(), acked.clone(), on_the_wire.clone()].into_iter().chain(limited)
        {
            let mut warden = Warden::new(settings);
            seen.iter().for_each(|seen| warden.segment(&seen.segment()));
            warden.finish();
        }
    }
}

#[test]
fn every_event_of_every_case_is_valid_by_the_schema() {
    let schema: Value = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut events = 0;
    for (title, seen) in all() {
        for event in events_of(&seen) {
            let errors: Vec<_> =
                validator.iter_errors(&event).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{title}: {errors:#?} in {event}");
            events += 1;
        }
    }
    assert!(events > 400, "{events}");
}

#[test]
fn nothing_in_any_case_reaches_the_terminal_that_steers_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.pcap");
    let mut captures = Vec::new();
    for (n, (_, mut seen)) in all().into_iter().enumerate() {
        for segment in &mut seen {
            let client = if segment.tcp.src.port() == 80 {
                &mut segment.tcp.dst
            } else {
                &mut segment.tcp.src
            };
            client.set_port(10_000 + n as u16);
        }
        captures.extend(seen);
    }
    fs::write(&file, capture_of(&captures)).unwrap();
    let output = Agent::read(&file).args(["--format", "text", "-vv", "--bodies"]).run();
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    assert!(output.stdout.contains("GET "));
    let steers = |char: &char| char.is_control() && !matches!(char, '\n' | '\t');
    for line in output.stdout.lines().chain(output.stderr.lines()) {
        assert_eq!(line.chars().find(steers), None, "{line:?}");
    }
    for format in [&["--format", "text", "-vv"][..], &["--format", "jsonl"]] {
        let output = Agent::read(&file).args(["--bodies"]).args(format).run();
        assert!(output.stdout.contains("[redacted]"));
        for secret in ["secret", "dXNlcjpzZWNyZXQ"] {
            let line = output.stdout.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} in {format:?}");
        }
    }
}

#[test]
fn other_flows_do_not_notice() {
    let mut quiet = Peers::between("10.0.0.9:40000", "10.0.0.1:80");
    quiet.handshake();
    for _ in 0..3 {
        quiet.client("GET /quiet HTTP/1.1\r\nHost: h\r\n\r\n");
        quiet.server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    }
    quiet.close();
    let of_it = |seen: &[&Seen]| -> Vec<Value> {
        let mut events = events_of(seen.iter().copied());
        events.retain(|event| event["client"]["port"] == 40_000);
        for event in &mut events {
            // How many came before is no matter of its own.
            event.as_object_mut().unwrap().remove("number");
        }
        events
    };
    let alone = of_it(&quiet.seen.iter().collect::<Vec<_>>());
    assert_eq!(alone.len(), 4);
    for (title, seen) in all() {
        let mut together: Vec<_> = seen.iter().chain(&quiet.seen).collect();
        together.sort_by_key(|seen| seen.time);
        assert_eq!(of_it(&together), alone, "{title}");
    }
}
