//! `--where`: what expressions say of exchanges, which of them are refused, and what the worst of
//! them cost.
//!
//! `UPDATE_CASES=1` writes down what is said of expressions that are refused; read the difference
//! before it is kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::{env, fs, thread};

use capture_agent::engine::{Engine, Settings};
use capture_agent::event::{Event, Exchange};
use capture_agent::filter::{Filter, Verdict};
use capture_agent::http::HttpRules;
use capture_agent::http::form::ListRules;
use capture_agent::output::record::Record;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::support::agent::Agent;
use crate::support::network::Dice;
use crate::support::pcap::{Conversation, pcap_of};
use crate::support::peers::{Peers, Seen, settings};
use crate::support::script::{cases_in, play};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/output.schema.json");
const REFUSED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/filter/refused.txt");

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
    for (exchange, record) in all_cases() {
        let mut all = Vec::new();
        conditions("", &record, &mut all);
        for condition in all {
            let filter = filters.entry(condition.clone()).or_insert_with(|| filter(&condition));
            assert_eq!(filter.verdict(&exchange), Verdict::Matches, "{condition}\n{record:#}");
        }
    }
    assert!(filters.len() > 1_000, "{} conditions", filters.len());
}

/// The fields of a part, as the message says them that refuses another one.
fn fields_said(expression: &str) -> Vec<String> {
    let refused = Filter::compile(expression).unwrap_err().to_string();
    let (_, names) = refused.lines().next().unwrap().split_once("there are ").unwrap();
    let mut names: Vec<_> = names.split(", ").map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn there_is_each_field_of_the_schema_and_no_other() {
    let schema: Value = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
    for (definition, expression) in [
        ("ExchangeRecord", "nothing == 1"),
        ("EndRecord", "client.nothing == 1"),
        ("ProcessRecord", "process.nothing == 1"),
        ("RequestRecord", "request.nothing == 1"),
        ("ResponseRecord", "response.nothing == 1"),
        ("InterimRecord", "informational[0].nothing == 1"),
        ("HeaderRecord", "request.headers[0].nothing == 1"),
        ("BodyRecord", "request.body.nothing == 1"),
        ("FieldRecord", "request.body.form[0].nothing == 1"),
        ("GapRecord", "request.gaps[0].nothing == 1"),
        ("TimingRecord", "timing.nothing == 1"),
        ("TroubleRecord", "retransmitted.nothing == 1"),
    ] {
        let fields = schema["$defs"][definition]["properties"].as_object().unwrap();
        let fields: Vec<_> = fields.keys().cloned().collect();
        assert_eq!(fields_said(expression), fields, "{definition}");
    }
}

fn filter(expression: &str) -> Filter {
    Filter::compile(expression).unwrap_or_else(|error| panic!("{error}"))
}

/// One exchange in which all is there, and one that is not answered.
fn two_exchanges() -> [Exchange; 2] {
    let mut peers = Peers::open();
    peers.client(
        "POST /api/v1?a=b HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: curl/8\r\nX-A: 1\r\n\
         X-A: 2\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    );
    peers.server("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nRetry-After: 120\r\n\r\nno");
    peers.client("GET /silence HTTP/1.1\r\n\r\n");
    let exchanges = exchanges_of(&peers.seen).into_iter().map(|(exchange, _)| exchange);
    exchanges.collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn expressions_say_of_an_exchange_what_they_mean() {
    let (yes, no, open) = (Verdict::Matches, Verdict::DoesNot, Verdict::Undecided);
    let exchanges = two_exchanges();
    for (expression, expected) in [
        (r#"response.status >= 500 && request.host.endsWith("example.com")"#, [yes, open]),
        ("timing.total_us > 200000", [no, open]),
        ("timing.total_us >= 0", [yes, open]),
        (r#"request.url.matches("^http://www")"#, [yes, open]),
        (r#"matches(request.target, "(?i)^/SILENCE$")"#, [no, yes]),
        (r#"request.method in ["POST", "PUT"]"#, [yes, no]),
        (r#"request.headers.exists(h, h.name == "X-A" && h.value == "2")"#, [yes, no]),
        ("size(request.headers) == 6", [yes, no]),
        ("response == null", [no, yes]),
        ("response != null && response.status == 503", [yes, no]),
        ("size(request.body.text) > 0", [yes, open]),
        (r#"request.body.text == "hello""#, [yes, no]),
        (r#""missing_host" in anomalies"#, [no, yes]),
        ("has(response.status)", [yes, no]),
        ("has(response.body.content_type)", [no, no]),
        ("has(request.host)", [yes, no]),
        ("has(request.method)", [yes, yes]),
        ("has(timing.total_us) ? timing.total_us < 0 : true", [no, yes]),
        (r#"header(request, "user-agent").startsWith("curl/")"#, [yes, open]),
        (r#"header(request, "USER-AGENT") == null"#, [no, yes]),
        (r#"int(header(response, "retry-after")) > 60"#, [yes, open]),
        (r#"int(header(request, "user-agent")) > 60"#, [open, open]),
        (r#"header(request, "x-a") == "1""#, [yes, no]),
        ("client.port == 50000 || server.port == 80", [yes, yes]),
        (r#"client.ip.startsWith("10.")"#, [yes, yes]),
        ("index == 0", [yes, no]),
        ("index > 0 || response.status == 503", [yes, yes]),
        ("response.status == 503 || index > 0", [yes, yes]),
        ("response.status == 200 && index == 0", [no, no]),
        ("1 / index > 0", [open, yes]),
        ("index / 2 * 2 == index", [yes, no]),
        ("request.lost_bytes == 0 && size(request.trailers) == 0", [yes, yes]),
        ("request.headers.filter(h, h.name == \"X-A\").map(h, int(h.value)) == [1, 2]", [yes, no]),
        ("request.headers.all(h, size(h.value) > 0)", [yes, yes]),
        (r#"request.headers.exists_one(h, h.name == "X-A")"#, [no, no]),
        ("request.headers[1].value == \"curl/8\"", [yes, open]),
        (r#"request.method + " " + request.target == "GET /silence""#, [no, yes]),
        (r#"{"POST": 503, "GET": 200}[request.method] == response.status"#, [yes, open]),
        (r#"request["state"] == "complete""#, [yes, yes]),
        ("process == null && !has(process.name)", [yes, yes]),
        ("time > \"1970-01-01T00:00\"", [yes, yes]),
        ("true", [yes, yes]),
    ] {
        let filter = filter(expression);
        let verdicts = exchanges.each_ref().map(|exchange| filter.verdict(exchange));
        assert_eq!(verdicts, expected, "{expression}");
    }
}

#[test]
fn what_is_refused_is_marked_in_its_place() {
    let kept = fs::read_to_string(REFUSED).unwrap();
    let mut said = String::new();
    for case in format!("\n{kept}").split("\n== ").skip(1) {
        let (expression, _) = case.split_once("\n--\n").unwrap();
        let error = Filter::compile(expression).expect_err(expression);
        let _ = write!(said, "== {expression}\n--\n{error}\n\n");
    }
    if env::var_os("UPDATE_CASES").is_some() {
        fs::write(REFUSED, said.trim_end().to_owned() + "\n").unwrap();
        return;
    }
    assert_eq!(said.trim_end(), kept.trim_end());
}

/// Expressions that would take for ever, or all memory or stack, if they were let.
fn worst() -> Vec<String> {
    let nested = |open: &str, middle: &str, close: &str, times: usize| {
        [open.repeat(times), middle.to_owned(), close.repeat(times)].concat()
    };
    vec![
        nested("(", "true", ")", 2_000),
        nested("[", "", "]", 2_000),
        nested("{1:", "1", "}", 400),
        nested("!", "true", "", 4_000),
        nested("-", "1", "", 4_000),
        nested("", "1", "+1", 2_000) + " == 2",
        nested("", "true", "||true", 700),
        nested("", "request", ".body", 700),
        nested("", "request.headers", "[0]", 1_000),
        nested("true?", "true", ":true", 300),
        nested("request.headers.exists(a, ", "true", ")", 32),
        nested("request.headers.exists(a, ", "a.value == \"\"", ")", 3),
        format!("[1{}].all(a, true)", ",1".repeat(1_900)),
        nested("[1,1,1,1,1,1,1,1].all(a, ", "true", ")", 3),
        format!("\"x\"{} == \"\"", "+request.body.text".repeat(220)),
        "[\"x\"]".to_owned() + &".map(a, a + a)".repeat(60) + " == []",
        "[1]".to_owned() + &".map(a, [a, a])".repeat(60) + " == []",
        "[1]".to_owned() + &".map(a, request.headers)".repeat(60) + " == []",
        "request.headers".to_owned() + &".filter(a, true)".repeat(200) + " == []",
        "request.target.matches(\"(a{1000}){1000}\")".to_owned(),
        "request.target.matches(\"(a*)*(a*)*(a*)*(a*)*b\")".to_owned(),
        format!("request.target.matches(\"{}\")", nested("(", "", ")", 1_500)),
        "9223372036854775807 + index > 0".to_owned(),
        "\"".repeat(4_000),
        "\"\\".repeat(2_000),
        "\0".repeat(4_000),
        "?:".repeat(2_000),
        "x".repeat(1 << 20),
    ]
}

/// Each is refused, or says something of the most that an exchange can hold, on the stack that a
/// worker has. How long that takes is not looked at: that it ends is.
#[test]
fn no_expression_explodes() {
    let mut peers = Peers::open();
    let headers: String = (0..255).map(|n| format!("x{n}: {}\r\n", "v".repeat(200))).collect();
    let (target, body) = ("a".repeat(10_000), "b".repeat(60_000));
    peers.client(&format!(
        "POST /{target} HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let (exchange, _) = exchanges_of(&peers.seen).remove(0);
    let worker = thread::Builder::new().stack_size(2 << 20);
    let worker = worker.spawn(move || {
        let filters = worst().into_iter().map(|expression| Filter::compile(&expression));
        let (evaluated, refused): (Vec<_>, Vec<_>) = filters.partition(Result::is_ok);
        for error in refused.into_iter().filter_map(Result::err) {
            assert!(error.to_string().len() < 10_000, "{error}");
        }
        let verdicts = evaluated.into_iter().map(|filter| filter.unwrap().verdict(&exchange));
        let verdicts: Vec<_> = verdicts.collect();
        // Some of them get as far as the purse, or to what can't be computed.
        assert!(verdicts.contains(&Verdict::Undecided), "{verdicts:?}");
        assert!(verdicts.contains(&Verdict::Matches), "{verdicts:?}");
    });
    worker.unwrap().join().unwrap();
}

/// What a pattern costs is bounded by what of a text it looks through: that of ordinary ones is not
/// much, whatever the text, and of others the first is too much already.
#[test]
fn a_pattern_that_is_slow_on_a_text_has_no_value_for_it() {
    let mut dice = Dice(7);
    let letters: String = (0..400_000).map(|_| if dice.roll(2) == 0 { 'a' } else { 'b' }).collect();
    let words = "Über den 12 Brücken, at x@y: ".repeat(10_000);
    let exchanges = [letters, words].map(|body| {
        let mut peers = Peers::open();
        let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
        peers.client(&(head + &body));
        peers.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        exchanges_of(&peers.seen).remove(0).0
    });
    let asks = |pattern: &str| format!("request.body.text.matches(r\"{pattern}\")");
    let filter = |expression: &str| Filter::compile(expression).unwrap();
    let ordinary =
        ["(?i)password", "^a.*b$", r"(?-u)\w+@\w{2}", r"\bx\b", "x$", "(a|b)*c", r"[\p{Lu}]{3}"];
    for pattern in ordinary {
        let filter = filter(&asks(pattern));
        // What it has met before does not count.
        for text in [0, 1, 0] {
            let verdict = filter.verdict(&exchanges[text]);
            assert_ne!(verdict, Verdict::Undecided, "{pattern} in text {text}");
        }
    }
    for pattern in ["[ab]*a[ab]{300}c", "(a|b|ab|ba)*a[ab]{200}c"] {
        let one = asks(pattern);
        let many = [one.as_str(); 50].join(" || ");
        for expression in [&one, &many] {
            let filter = filter(expression);
            assert_eq!(filter.verdict(&exchanges[0]), Verdict::Undecided, "{pattern}");
            assert_eq!(filter.verdict(&exchanges[1]), Verdict::DoesNot, "{pattern}");
        }
    }
}

/// A capture of five exchanges: four answered, of these two with errors, and one not.
fn capture() -> NamedTempFile {
    let mut conversation = Conversation::new("10.0.0.5:51234", "10.0.0.1:80").open();
    for (n, (status, kind)) in [
        ("200 OK", "text/html; charset=utf-8"),
        ("500 No", "application/json"),
        ("200 OK", "Image/PNG"),
        ("503 Busy", "text/plain"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n");
        let response =
            format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: 1\r\n\r\nx");
        conversation =
            conversation.client_sends(request.as_bytes()).server_sends(response.as_bytes());
    }
    let conversation = conversation.client_sends(b"GET /4 HTTP/1.1\r\nHost: h\r\n\r\n");
    let file = NamedTempFile::new().unwrap();
    fs::write(&file, pcap_of(&conversation.segments())).unwrap();
    file
}

/// What is shown of it, and the ledger.
fn shown(args: &[&str]) -> (Vec<String>, Value, String) {
    let file = capture();
    let run = Agent::read(file.path())
        .args(["--format", "jsonl", "--events", "exchange,stats"])
        .args(args)
        .run();
    assert_eq!(run.status, Some(0), "{run:?}");
    let mut lines = run.json_lines();
    let ledger = lines.pop().unwrap()["exchanges"].take();
    let target = |line: &Value| line["request"]["target"].as_str().unwrap().to_owned();
    (lines.iter().map(target).collect(), ledger, run.stderr)
}

#[test]
fn what_is_filtered_out_is_in_the_ledger() {
    for threads in ["1", "3"] {
        let (targets, ledger, summary) =
            shown(&["--threads", threads, "--where", "response.status >= 500"]);
        assert_eq!(targets, ["/1", "/3"]);
        let number = |name: &str| ledger[name].as_u64().unwrap();
        assert_eq!((number("made"), number("filtered"), number("undecided")), (5, 3, 1));
        assert_eq!((number("unwanted"), number("dropped")), (0, 0));
        assert!(
            summary.contains("3 exchanges filtered out (1 without what --where asks for)"),
            "{summary}"
        );
        assert!(!summary.contains("does not balance"), "{summary}");
    }
}

#[test]
fn filters_decide_whatever_is_shown() {
    let file = capture();
    let args = ["--where", "response.status >= 500", "--events", "stats", "--format", "jsonl"];
    let ledger = Agent::read(file.path()).args(args).run().json_lines()[0]["exchanges"].take();
    let number = |name: &str| ledger[name].as_u64().unwrap();
    assert_eq!((number("made"), number("filtered"), number("unwanted")), (5, 3, 2));
    let none = ["--where", "false", "--count", "1", "--events", "stats", "--format", "jsonl"];
    let ledger = Agent::read(file.path()).args(none).run().json_lines()[0]["exchanges"].take();
    assert_eq!(ledger["made"], 5, "no exchange counts: {ledger}");
}

#[test]
fn contents_are_asked_for_beside_forms_too() {
    let asks = "request.body.form == null && response.body.text.contains('a')";
    let file = capture();
    let read = |more: &[&str]| {
        Agent::read(file.path()).args(["--forms", "--where", asks]).args(more).run()
    };
    read(&[]).assert_fails(2, "add --bodies");
    assert_eq!(read(&["--bodies"]).status, Some(0));
    let negative = Agent::read(file.path()).args(["--where", "-1 < index"]).run();
    assert_eq!(negative.status, Some(0), "{negative:?}");
}

#[test]
fn a_count_is_of_those_that_pass() {
    let (targets, ledger, _) = shown(&["--where", "response.status < 500", "--count", "2"]);
    assert_eq!(targets, ["/0", "/2"]);
    assert_eq!(ledger["filtered"], 1);
}

#[test]
fn content_types_are_those_of_bodies() {
    assert_eq!(shown(&["--content-type", "image/*"]).0, ["/2"]);
    assert_eq!(shown(&["--content-type", "text/*,application/json"]).0, ["/0", "/1", "/3"]);
    let both = ["--content-type", "*/*", "--where", "response.status == 200"];
    let (targets, ledger, _) = shown(&both);
    assert_eq!(targets, ["/0", "/2"]);
    assert_eq!((&ledger["filtered"], &ledger["undecided"]), (&3.into(), &0.into()));
}

#[test]
fn a_bad_expression_is_status_2_and_its_place_is_marked() {
    let file = capture();
    let run = Agent::read(file.path()).args(["--where", "response.statuss >= 500"]).run();
    run.assert_fails(2, "there is no 'statuss' in a response");
    assert!(run.stderr.contains("\n  response.statuss >= 500\n           ^^^^^^^\n"), "{run:?}");
    let run = Agent::read(file.path()).args(["--where", "has(request.body.text)"]).run();
    run.assert_fails(2, "add --bodies");
}
