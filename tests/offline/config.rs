//! Options from files and variables: how strong each is, what is refused, and what is shown of it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::agent::{Agent, Output};
use crate::support::pcap::{Conversation, pcap_of};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn file(folder: &TempDir, text: impl AsRef<[u8]>) -> PathBuf {
    let file = folder.path().join("settings.toml");
    fs::write(&file, text).unwrap();
    file
}

/// A call of `config` with this file and these variables.
fn config(file: &Path, variables: &[(&str, &str)], call: &[&str]) -> Output {
    let agent = Agent::new().variables(variables.iter().copied());
    agent.args(["config", "--format", "jsonl", "--config"]).args([file]).args(call).run()
}

/// What `config` shows of one option.
#[track_caller]
fn of(output: &Output, name: &str) -> Value {
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    let lines = output.json_lines();
    let line = lines.into_iter().find(|line| line["name"] == name);
    line.unwrap_or_else(|| panic!("no {name} in {}", output.stdout))
}

#[track_caller]
fn refuses(text: impl AsRef<[u8]>, call: &[&str], says: &[&str]) {
    let folder = folder();
    let output = config(&file(&folder, text), &[], call);
    for says in says {
        output.assert_fails(2, says);
    }
    assert_eq!(output.stdout, "");
}

#[test]
fn arguments_are_stronger_than_variables_than_the_file_than_defaults() {
    let folder = folder();
    let text = "max-flows = 1\ncount = 1\nport = 1\n\n[run]\ncount = 2\nport = 2\n";
    let file = file(&folder, text);
    let variables = [("CAPTURE_AGENT_PORT", "3"), ("CAPTURE_AGENT_SAMPLE", "1/3")];
    let output = config(&file, &variables, &["run", "--sample", "1/4"]);
    let place = |line: u64| json!({"source": "file", "file": file.to_str(), "line": line, "variable": null});
    let other = |source: &str, variable: Value| json!({"source": source, "file": null, "line": null, "variable": variable});
    let cases = [
        ("sample", json!("1/4"), other("argument", Value::Null)),
        ("port", json!("3"), other("environment", "CAPTURE_AGENT_PORT".into())),
        ("count", json!(2), place(6)),
        ("max-flows", json!(1), place(1)),
        ("latency", json!("5ms"), other("default", Value::Null)),
        ("record", Value::Null, other("default", Value::Null)),
    ];
    for (name, value, source) in cases {
        let line = of(&output, name);
        assert_eq!((&line["type"], &line["command"]), (&json!("setting"), &json!("run")));
        assert_eq!(line["value"], value, "{line}");
        for (field, expected) in source.as_object().unwrap() {
            assert_eq!(&line[field], expected, "{field} of {line}");
        }
    }
    assert_eq!(of(&config(&file, &[], &["read"]), "count")["value"], 1);
}

#[test]
fn what_holds_is_what_the_agent_does() {
    let folder = folder();
    let request = b"GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let response = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
    let conversation = Conversation::new("10.0.0.5:51234", "10.0.0.1:80").open();
    let segments = (0..5)
        .fold(conversation, |it, _| it.client_sends(request).server_sends(response))
        .close()
        .segments();
    let capture = folder.path().join("-capture.pcap");
    fs::write(&capture, pcap_of(&segments)).unwrap();
    let file = file(
        &folder,
        "format = 'jsonl'\nquiet = true\nbodies = true\n\n[read]\ncount = 4\nevents = ['exchange', 'stats']\n",
    );
    let call = |variables: &[(&str, &str)], args: &[&str]| {
        let agent = Agent::read(&capture).variables(variables.iter().copied());
        agent.args(["--config"]).args([&file]).args(args).run()
    };
    let output = call(&[], &[]);
    assert_eq!((output.status, output.stderr.as_str()), (Some(0), ""));
    let lines = output.json_lines();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0]["response"]["body"]["text"], "hello");
    assert_eq!(lines[4]["type"], "stats");

    let named = [("CAPTURE_AGENT_CONFIG", file.to_str().unwrap()), ("CAPTURE_AGENT_COUNT", "3")];
    let output = Agent::read(&capture).variables(named).run();
    assert_eq!(output.json_lines().len(), 4, "{output:?}");
    // An empty variable sets nothing, a flag can be taken back, and a list is replaced as a whole.
    let variables = [("CAPTURE_AGENT_COUNT", ""), ("CAPTURE_AGENT_BODIES", "off")];
    let output = call(&variables, &["--quiet=false", "--events", "exchange"]);
    let lines = output.json_lines();
    assert_eq!((lines.len(), output.stderr.is_empty()), (4, false), "{output:?}");
    assert!(lines[0]["response"]["body"]["text"].is_null());
    // A name that begins as an option does.
    let output = Agent::new()
        .args(["read", "--config"])
        .args([&file])
        .args(["--count=1", "--", "-capture.pcap"])
        .current_dir(folder.path())
        .run();
    assert_eq!(output.json_lines().len(), 2, "{output:?}");
}

#[test]
fn each_kind_of_option_is_set_in_its_own_words() {
    let folder = folder();
    let file = file(
        &folder,
        "iface = ['eth0', 'veth*']\nport = [80, '8000-8999', 0x1F90]\nhost = '10.0.0.0/8,::1'\n\
         verbose = 2\nforms = true\nbodies = '1MiB'\nflow-timeout = 60\nbudget = 'off'\n\
         where = 'response.status == 500'\nredact = []\noutput = ['a.jsonl', 'har:b']\n",
    );
    let output = config(&file, &[], &[]);
    let cases = [
        ("iface", json!(["eth0", "veth*"])),
        ("port", json!("80,8000-8999,8080")),
        ("host", json!(["10.0.0.0/8", "::1"])),
        ("verbose", json!(2)),
        ("forms", json!(true)),
        ("bodies", json!("1MiB")),
        ("flow-timeout", json!("60")),
        ("budget", json!("off")),
        ("where", json!("response.status == 500")),
        ("redact", json!([])),
        ("output", json!(["a.jsonl", "har:b"])),
    ];
    for (name, value) in &cases {
        assert_eq!(of(&output, name)["value"], *value);
        assert_eq!(of(&output, name)["source"], "file");
    }
    let variables = [
        ("CAPTURE_AGENT_IFACE", "eth0, veth*"),
        ("CAPTURE_AGENT_PORT", "80,8000-8999,8080"),
        ("CAPTURE_AGENT_HOST", "10.0.0.0/8,::1"),
        ("CAPTURE_AGENT_VERBOSE", "2"),
        ("CAPTURE_AGENT_FORMS", "1"),
        ("CAPTURE_AGENT_BODIES", "1MiB"),
        ("CAPTURE_AGENT_FLOW_TIMEOUT", "60"),
        ("CAPTURE_AGENT_BUDGET", "off"),
        ("CAPTURE_AGENT_WHERE", "response.status == 500"),
        ("CAPTURE_AGENT_OUTPUT", "a.jsonl,har:b"),
    ];
    let output = Agent::new().variables(variables).args(["config", "--format", "jsonl"]).run();
    for (name, value) in cases.iter().filter(|(name, _)| *name != "redact") {
        assert_eq!(of(&output, name)["value"], *value);
        assert_eq!(of(&output, name)["source"], "environment");
    }
}

#[test]
fn what_is_wrong_in_a_file_is_named_by_line_and_key_all_at_once() {
    let cases = [
        ("\n\nprot = 80\n", "settings.toml:3:1: unknown key 'prot': did you mean 'port'?"),
        ("flow_timeout = 3", "settings.toml:1:1: unknown key 'flow_timeout': did you mean 'flow-t"),
        ("[rum]", "settings.toml:1:2: unknown key 'rum': did you mean 'run'?"),
        (
            "[read]\niface = 'x'",
            "settings.toml:2:1: unknown key 'iface': 'read' has no such option",
        ),
        ("config = 'x'", "settings.toml:1:1: 'config' has no place here"),
        ("quiet = 'yes'", "settings.toml:1:9: quiet: takes true or false; this is text"),
        ("count = '5'", "settings.toml:1:9: count: takes a number; this is text"),
        ("verbose = true", "settings.toml:1:11: verbose: takes a number"),
        ("verbose = 256", "settings.toml:1:11: --verbose takes a number from 0 to 255"),
        ("record = 5", "settings.toml:1:10: record: takes text in quotes; this is a number"),
        ("host = ['::1', true]", "settings.toml:1:16: host: takes text"),
        (
            "iface = { a = 1 }",
            "settings.toml:1:9: iface: takes text in quotes or a number; this is a t",
        ),
        ("run = 5", "settings.toml:1:7: [run] is a table"),
        ("count = -1", "settings.toml:1:9: invalid value '-1' for '--count"),
        (
            "count = 99999999999999999999",
            "settings.toml:1:9: invalid value '99999999999999999999' for '--count",
        ),
        (
            "count = -99999999999999999999",
            "settings.toml:1:9: invalid value '-99999999999999999999' for '--count",
        ),
        ("[read]\nport = '80,x'", "settings.toml:2:8: invalid value '80,x' for '--port"),
        ("where = 'nope == 1'", "settings.toml:1:9: invalid value 'nope == 1' for '--where"),
        ("format = 'no'", "possible values: text, jsonl, har, pcapng"),
        ("count = 1\ncount = 2", "settings.toml:2:1: duplicate key"),
        ("x = ", "settings.toml:1:5: "),
    ];
    for (text, says) in cases {
        refuses(text, &["run"], &[says]);
    }
    refuses(b"\nquiet = \"\xff\"", &["run"], &["settings.toml: line 2 is not UTF-8"]);
    let all = "nope = 1\nquiet = 5\n[run]\nthreads = 3\n";
    refuses(all, &["run"], &["toml:1:1: unknown", "toml:2:9: quiet", "toml:4:1: unknown key 'thr"]);
    // What only other commands take.
    refuses("format = 'har'", &["flows"], &["'flows' does not take this, so put it into [run]"]);
    let missing = config(Path::new("/nonexistent/file"), &[], &[]);
    missing.assert_fails(2, "/nonexistent/file: can't read this file of settings: No such file");
    config(Path::new("/dev/zero"), &[], &[]).assert_fails(2, "too large");
}

/// A file may come from elsewhere, and a variable be made by an orchestrator.
#[test]
fn what_is_refused_does_not_steer_the_terminal() {
    refuses("port = \"\\u009b31m\"", &["run"], &["invalid value '\\u{9b}31m' for '--port"]);
    refuses("host = \"\\u202ex\\r\"", &["run"], &["invalid value '\\u{202e}x\\r' for '--host"]);
    let agent = Agent::new().variables([("CAPTURE_AGENT_FORMAT", "\u{9b}31m")]);
    agent.args(["config"]).run().assert_fails(2, "invalid value '\\u{9b}31m' for '--format");
}

#[test]
fn what_is_wrong_in_a_variable_is_named() {
    let folder = folder();
    let file = file(&folder, "");
    let variables =
        [("CAPTURE_AGENT_PORT", "tcp://10.0.0.1:80"), ("CAPTURE_AGENT_QUIET", "perhaps")];
    let output = config(&file, &variables, &["run"]);
    output.assert_fails(2, "CAPTURE_AGENT_PORT: invalid value 'tcp://10.0.0.1:80'");
    output.assert_fails(2, "CAPTURE_AGENT_QUIET: takes true or false, not 'perhaps'");
    // What nobody asks for changes nothing; what is all but known is said.
    let variables = [("CAPTURE_AGENT_SERVICE_HOST", "10.0.0.1"), ("CAPTURE_AGENT_PROT", "80")];
    let output = config(&file, &variables, &["run"]);
    assert_eq!(output.status, Some(0));
    assert_eq!(
        output.stderr,
        "capture-agent: CAPTURE_AGENT_PROT is not known and changes nothing: CAPTURE_AGENT_PORT is\n"
    );
}

#[test]
fn what_does_not_go_together_is_refused_with_its_place() {
    refuses("consume = true", &["run"], &["--sensor", "--consume is set by", "settings.toml:1"]);
    let content = "where = 'size(request.body.text) > 0'";
    refuses(content, &["read"], &["add --bodies", "--where is set by"]);
    let folder = folder();
    let file = file(&folder, "sensor = true\n[follow]\nraw = true\n");
    // What the file brings may be what an argument needs.
    assert_eq!(of(&config(&file, &[], &["run", "--consume"]), "consume")["value"], true);
    // What goes against something stronger gives way.
    let output = config(&file, &[], &["follow", "--hex"]);
    assert_eq!(of(&output, "raw")["value"], false);
    assert_eq!(of(&output, "hex")["value"], true);
    assert_eq!(of(&config(&file, &[], &["follow"]), "raw")["value"], true);
}

#[test]
fn an_argument_takes_back_what_a_file_or_a_variable_turned_on() {
    let folder = folder();
    let file = file(&folder, "quiet = true\nbodies = '1MiB'\n");
    let back = |variables: &[(&str, &str)]| {
        let output = config(&file, variables, &["run", "--quiet=false", "--bodies=false"]);
        for (name, value) in [("quiet", json!(false)), ("bodies", Value::Null)] {
            let shown = of(&output, name);
            assert_eq!((&shown["value"], &shown["source"]), (&value, &json!("argument")), "{name}");
        }
    };
    back(&[]);
    back(&[("CAPTURE_AGENT_QUIET", "true"), ("CAPTURE_AGENT_BODIES", "2MiB")]);
    // What is neither is refused as ever, and a value is one.
    let output = config(&file, &[], &["run", "--bodies=nope"]);
    output.assert_fails(
        2,
        "invalid value 'nope' for '--bodies[=<LIMIT>]': 'nope' is not a size like",
    );
    assert_eq!(of(&config(&file, &[], &["run", "--bodies=5"]), "bodies")["value"], "5");
    assert_eq!(of(&config(&file, &[], &["run", "--bodies"]), "bodies")["value"], "64KiB");
}

#[test]
fn a_call_says_what_is_wrong_with_it_as_before() {
    let folder = folder();
    let file = file(&folder, "quiet = true\n");
    let call = |args: &[&str]| Agent::new().args(["--config"]).args([&file]).args(args).run();
    call(&["read"]).assert_fails(2, "<FILE>...");
    call(&["read", "x", "--coutn", "3"]).assert_fails(2, "'--count'");
    call(&["read", "x", "--count", "0"]).assert_fails(2, "invalid value '0' for '--count <N>'");
    call(&["read", "x", "--quiet=5"]).assert_fails(2, "--quiet");
    call(&["follow", "x"]).assert_fails(2, "--stream <N>|--flow <A:P-B:P>");
    call(&["config", "nope"]).assert_fails(2, "unrecognized subcommand 'nope'");
    call(&["config", "man"]).assert_fails(2, "'man' has no options");
    let help = call(&["read", "--help"]);
    assert_eq!(help.status, Some(0));
    assert!(help.stdout.contains("--quiet\n"), "{}", help.stdout);
}

#[test]
fn what_is_shown_as_a_file_says_the_same_as_a_file() {
    let folder = folder();
    let variables = [("CAPTURE_AGENT_HOST", "10.0.0.0/8,::1")];
    let call = [
        "run",
        "--iface",
        "eth0",
        "--bodies",
        "-vv",
        "--count=18446744073709551615",
        "--forms",
        "--where",
        "request.target == \"\\\\\\u00e9'\" && true",
        "--port",
        "80,8000-8080",
    ];
    let agent = || Agent::new().variables(variables).args(["config"]);
    let shown = agent().args(["--format", "toml"]).args(call).run();
    assert_eq!(shown.status, Some(0), "{}", shown.stderr);
    let first = agent().args(["--format", "jsonl"]).args(call).run();
    let file = file(&folder, &shown.stdout);
    let values = |output: &Output| -> Vec<_> {
        let lines = output.json_lines();
        lines.iter().map(|line| (line["name"].clone(), line["value"].clone())).collect()
    };
    let again = config(&file, &[], &["run"]);
    assert_eq!(values(&again), values(&first), "{}", shown.stdout);
    assert_eq!(of(&again, "host")["source"], "file");
    // Defaults that are spelt out change nothing either; those of scripts go with one alone.
    let set = first.json_lines().into_iter().filter(|line| !line["value"].is_null());
    let set: Vec<_> = set.map(|line| line["name"].as_str().unwrap().to_owned()).collect();
    let spelt_out = |line: &str| {
        let name = line.strip_prefix('#').and_then(|line| line.split_once(" = ")).map(|it| it.0);
        name.is_some_and(|name| !name.starts_with("script") && set.iter().any(|set| set == name))
    };
    let lines = shown.stdout.lines();
    let lines = lines.map(|line| if spelt_out(line) { &line[1..] } else { line });
    let uncommented = lines.fold(String::new(), |text, line| text + line + "\n");
    assert!(uncommented.contains("\nlatency = \"5ms\"\n"), "{uncommented}");
    let file = self::file(&folder, uncommented);
    let whole = config(&file, &[], &["run"]);
    assert_eq!(values(&whole), values(&first), "{}", shown.stdout);
}

#[test]
fn what_holds_is_shown_in_columns() {
    let folder = folder();
    let file = file(&folder, "[run]\niface = 'eth0'\n");
    let agent = Agent::new().args(["config", "--config"]).args([&file]);
    let output = agent.args(["run", "--count", "5"]).run();
    let line = |name: &str| {
        let lines = output.stdout.lines();
        let line =
            lines.map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()));
        line.map(Iterator::collect::<Vec<_>>).find(|cells| cells[0] == name).unwrap()
    };
    let place = format!("{}:2", file.display());
    assert_eq!(line("iface"), ["iface", "eth0", &place]);
    assert_eq!(line("count"), ["count", "5", "argument"]);
    assert_eq!(line("netns"), ["netns", "-", "default"]);
}
