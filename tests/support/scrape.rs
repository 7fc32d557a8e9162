//! What a scraper gets of the agent, and what Prometheus' own parsers make of it.
#![allow(dead_code, reason = "each test target uses a part")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

/// Asks for Prometheus' text format.
pub(crate) const TEXT: &str = "text/plain; version=0.0.4";
/// Asks for OpenMetrics.
pub(crate) const OPEN: &str = "application/openmetrics-text; version=1.0.0";

/// Reads samples by the official parsers, which refuse what is not well-formed.
const PARSE: &str = r"
import json, sys
from prometheus_client import openmetrics, parser
from prometheus_client.openmetrics import parser as open_parser
parse = {'text': parser, 'open': open_parser}[sys.argv[1]].text_string_to_metric_families
for family in parse(sys.stdin.read()):
    for sample in family.samples:
        print(json.dumps({'kind': family.type, 'name': sample.name,
                          'labels': sample.labels, 'value': sample.value}))
";

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// GETs a path. Goes out from the namespace of the calling thread.
#[track_caller]
pub(crate) fn get(address: SocketAddr, path: &str, accept: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: agent\r\nAccept: {accept}\r\n\r\n");
    let mut stream = TcpStream::connect(address).expect("the agent listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("time-outs can be set");
    stream.write_all(request.as_bytes()).expect("the agent reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the agent answers in text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.expect("a status"), head: head.to_owned(), body: body.to_owned() }
}

/// Where the agent says that its metrics are.
pub(crate) fn address(stderr: &str) -> Option<SocketAddr> {
    let said = stderr.lines().find_map(|line| line.strip_prefix("metrics at http://"));
    said?.strip_suffix("/metrics")?.parse().ok()
}

/// One sample.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sample {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// The samples of an exposition.
#[derive(Clone, Debug)]
pub(crate) struct Samples(pub(crate) Vec<Sample>);

impl Samples {
    /// Parsed by the system's Python, as `text` or as `open` metrics.
    #[track_caller]
    pub(crate) fn parse(exposition: &str, kind: &str) -> Self {
        let mut python = Command::new("/usr/bin/python3")
            .args(["-c", PARSE, kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut stdin = python.stdin.take().expect("its input is piped");
        stdin.write_all(exposition.as_bytes()).expect("it reads all of it");
        drop(stdin);
        let output = python.wait_with_output().expect("it ends");
        assert!(output.status.success(), "refused: {exposition}");
        let lines = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        Self(lines.lines().map(|line| serde_json::from_str(line).expect("as written")).collect())
    }

    /// The sum of the series of this name that have these labels.
    #[track_caller]
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let has = |sample: &&Sample| {
            let has =
                |(key, value): &(&str, &str)| sample.labels.get(*key).is_some_and(|it| it == value);
            sample.name == name && labels.iter().all(has)
        };
        let found: Vec<_> = self.0.iter().filter(has).collect();
        assert!(!found.is_empty(), "{name} {labels:?} is not there");
        let sum: f64 = found.iter().map(|sample| sample.value).sum();
        assert!(sum >= 0.0 && sum.fract() == 0.0, "{name}: {sum}");
        sum as u64
    }
}
