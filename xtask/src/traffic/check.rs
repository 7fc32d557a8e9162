//! Holds what the agent wrote to what must come out.
//!
//! An exchange of which the capture has all must be there to the byte. One of which bytes were lost
//! must say so on the side that lost them. No response may be on a request that it does not
//! answer. After a loss on a flow whose client does not wait for answers, whose answer is whose
//! can't always be known: there the halves of an exchange may come apart, which is counted.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Crc;
use serde::Deserialize;

use super::truth::{self, Part, Truth};

/// More differences than that are counted and not shown.
const SHOWN: usize = 20;

/// How far output and truth agree.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Exchanges that are there to the byte.
    pub(crate) exact: u64,
    /// Exchanges of which the capture lacks something, and which say so or are not there.
    pub(crate) touched: u64,
    /// Whole exchanges beside a loss whose halves came apart.
    pub(crate) apart: u64,
    /// Lines without anything that tells of which exchange they are.
    pub(crate) nameless: u64,
    /// Exchanges whose body was compared too.
    pub(crate) bodies: u64,
    pub(crate) differences: u64,
    pub(crate) shown: Vec<String>,
}

impl Report {
    pub(crate) fn holds(&self) -> bool {
        self.differences == 0
    }

    fn differs(&mut self, difference: String) {
        self.differences += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(difference);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.shown {
            writeln!(out, "{difference}")?;
        }
        let Self { exact, touched, apart, nameless, bodies, differences, .. } = self;
        write!(
            out,
            "{exact} exchanges exact ({bodies} bodies compared), {touched} touched by loss, "
        )?;
        write!(out, "{apart} apart, {nameless} nameless lines, {differences} differences")
    }
}

/// What is looked at of a line.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    index: u32,
    client: Option<EndLine>,
    server: Option<EndLine>,
    request: Option<SideLine>,
    response: Option<SideLine>,
    timing: Option<Timing>,
    #[serde(default)]
    anomalies: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
struct EndLine {
    ip: IpAddr,
    port: u16,
}

impl From<EndLine> for SocketAddr {
    fn from(end: EndLine) -> Self {
        Self::new(end.ip, end.port)
    }
}

#[derive(Deserialize)]
struct Timing {
    total_us: Option<u64>,
}

/// A request or a response.
#[derive(Deserialize)]
struct SideLine {
    method: Option<String>,
    target: Option<String>,
    status: Option<u16>,
    headers: Vec<Header>,
    head_bytes: u64,
    body: BodyLine,
    state: String,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct BodyLine {
    wire_bytes: Option<u64>,
    bytes: Option<u64>,
    text: Option<String>,
    base64: Option<String>,
    decoded: bool,
    truncated: bool,
}

impl SideLine {
    /// The name without its extension, in a target that ends in it.
    fn asked(&self) -> Option<String> {
        let path = self.target.as_deref()?.split('?').next()?;
        let (_, name) = path.rsplit_once('/')?;
        name.split_once('.').map(|(token, _)| token.to_owned())
    }

    fn answered(&self) -> Option<String> {
        let header = self.headers.iter().find(|header| header.name == "X-Request-Id")?;
        Some(header.value.clone())
    }

    /// How it is another than it must be.
    fn differences(&self, part: &Part) -> Vec<String> {
        if part.lost_bytes > 0 {
            let lost = part.lost_bytes;
            let lies = self.state == "complete";
            return lies
                .then(|| format!("complete, and {lost} bytes were lost"))
                .into_iter()
                .collect();
        }
        let Self { head_bytes, headers, body, state, .. } = self;
        let (wire, decoded) = (body.wire_bytes, body.bytes);
        let mut differences = Vec::new();
        let mut must = |is: bool, what: &dyn Fn() -> String| {
            if !is {
                differences.push(what());
            }
        };
        must(state == "complete", &|| format!("state {state}"));
        must(*head_bytes == part.head_bytes, &|| {
            format!("head of {head_bytes} bytes, not {}", part.head_bytes)
        });
        must(headers.len() == part.headers, &|| {
            format!("{} headers, not {}", headers.len(), part.headers)
        });
        must(wire == Some(part.wire_bytes), &|| {
            format!("body of {wire:?} bytes, not {}", part.wire_bytes)
        });
        must(decoded == Some(part.bytes), &|| {
            format!("decoded body of {decoded:?} bytes, not {}", part.bytes)
        });
        must(body.crc32().is_none_or(|crc| crc == part.crc32), &|| "another body".to_owned());
        differences
    }
}

impl BodyLine {
    /// Of the content, where all of it is given.
    fn crc32(&self) -> Option<u32> {
        let content = match (&self.text, &self.base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(base64)) => BASE64.decode(base64).ok()?,
            (None, None) => return None,
        };
        let mut crc = Crc::new();
        crc.update(&content);
        (self.decoded && !self.truncated).then(|| crc.sum())
    }
}

/// An exchange that must come out, and which of its sides did.
struct Expected {
    truth: Truth,
    request: bool,
    response: bool,
    /// Whether what came was all of what must come.
    exact: bool,
}

impl Expected {
    /// How a line about it is another than it must be.
    fn compare(&mut self, line: &Line, lossy: bool) -> Vec<String> {
        let Self { truth, request, response, exact } = self;
        let mut differences = Vec::new();
        let sides = [
            ("request", &line.request, &truth.request, request),
            ("response", &line.response, &truth.response, response),
        ];
        for (name, side, part, came) in sides {
            let Some(side) = side else { continue };
            if std::mem::replace(came, true) {
                differences.push(format!("{name} came twice"));
            }
            differences.extend(side.differences(part).iter().map(|it| format!("{name}: {it}")));
        }
        let (Some(request), Some(response)) = (&line.request, &line.response) else {
            return differences;
        };
        if truth.touched() {
            return differences;
        }
        let is_end = |end: Option<EndLine>, of: SocketAddrV4| {
            end.is_some_and(|end| SocketAddr::from(end) == SocketAddr::from(of))
        };
        let facts = [
            ("client", is_end(line.client, truth.client)),
            ("server", is_end(line.server, truth.server)),
            // What was lost wholly can't be counted.
            ("index", lossy || line.index == truth.index),
            ("method", request.method.as_ref() == Some(&truth.method)),
            ("target", request.target.as_ref() == Some(&truth.target)),
            ("status", response.status == Some(truth.status)),
            ("timing", line.timing.as_ref().is_some_and(|timing| timing.total_us.is_some())),
            ("anomalies", line.anomalies.is_empty()),
        ];
        let wrong = facts.iter().filter(|(_, holds)| !holds);
        differences.extend(wrong.map(|(name, _)| format!("another {name}")));
        *exact = differences.is_empty();
        differences
    }
}

struct Checker {
    expected: HashMap<String, Expected>,
    /// Clients of flows that lost something, and of flows with requests that did not wait.
    lossy: HashSet<SocketAddr>,
    pipelining: HashSet<SocketAddr>,
    report: Report,
}

/// Compares the agent's JSON Lines with the truth.
pub(crate) fn check(output: &Path, truth: &Path) -> Result<Report> {
    let mut checker = Checker::new(truth)?;
    let file = File::open(output).with_context(|| format!("can't read {}", output.display()))?;
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let (mut line, mut number) = (Vec::new(), 0);
    while lines.read_until(b'\n', &mut line)? > 0 {
        number += 1;
        let parsed = serde_json::from_slice(&line)
            .with_context(|| format!("line {number} of {}", output.display()))?;
        checker.line(number, parsed);
        line.clear();
    }
    Ok(checker.end())
}

impl Checker {
    fn new(file: &Path) -> Result<Self> {
        let mut expected = HashMap::new();
        let (mut lossy, mut pipelining) = (HashSet::new(), HashSet::new());
        for truth in truth::read(file)? {
            let truth = truth?;
            if truth.touched() {
                lossy.insert(truth.client.into());
            }
            if truth.pipelined {
                pipelining.insert(truth.client.into());
            }
            let token = truth.token.clone();
            let it = Expected { truth, request: false, response: false, exact: false };
            expected.insert(token, it);
        }
        Ok(Self { expected, lossy, pipelining, report: Report::default() })
    }

    fn line(&mut self, number: u64, line: Line) {
        if line.kind != "exchange" {
            return;
        }
        let asked = line.request.as_ref().and_then(SideLine::asked);
        let answered = line.response.as_ref().and_then(SideLine::answered);
        if let (Some(asked), Some(answered)) = (&asked, &answered)
            && asked != answered
        {
            let what = format!("line {number}: {answered} answers {asked}");
            return self.report.differs(what);
        }
        let lossy = line.client.is_some_and(|client| self.lossy.contains(&client.into()));
        let Some(token) = asked.or(answered) else {
            self.report.nameless += 1;
            if !lossy {
                self.report
                    .differs(format!("line {number}: of no exchange, on a flow without loss"));
            }
            return;
        };
        let Some(expected) = self.expected.get_mut(&token) else {
            return self.report.differs(format!("line {number}: {token} was never said"));
        };
        self.report.bodies +=
            line.response.as_ref().and_then(|it| it.body.crc32()).iter().count() as u64;
        for difference in expected.compare(&line, lossy) {
            self.report.differs(format!("line {number}: {token}: {difference}"));
        }
    }

    fn end(mut self) -> Report {
        let mut tokens: Vec<_> = self.expected.keys().collect();
        tokens.sort_unstable();
        for (token, expected) in tokens.into_iter().filter_map(|it| self.expected.get_key_value(it))
        {
            let Expected { truth, request, response, exact, .. } = expected;
            let client = truth.client.into();
            let unclear = self.lossy.contains(&client) && self.pipelining.contains(&client);
            if truth.touched() {
                self.report.touched += 1;
            } else if *exact {
                self.report.exact += 1;
            } else if *request && *response && unclear {
                self.report.apart += 1;
            } else {
                self.report.differs(format!("{token}: did not come out whole"));
            }
        }
        self.report
    }
}
