//! What was asked and answered: as curl saw it, and as the agent reported it.

use serde_json::Value;

use super::lab::Namespace;

/// An exchange, by what both sides can tell of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fetch {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) status: u64,
    /// Bytes of the request's body.
    pub(crate) sent: u64,
    /// Bytes of the response's body.
    pub(crate) received: u64,
}

/// Has curl, in `client`, ask for `url`; `options` are separated by spaces.
#[track_caller]
pub(crate) fn fetch(client: &Namespace, url: &str, options: &str) -> Fetch {
    let fetches = fetch_all(client, &[url.to_owned()], options);
    let [fetch] = &fetches[..] else { panic!("not one answer: {fetches:?}") };
    fetch.clone()
}

/// As [`fetch`] for several URLs in one run of curl, which keeps its connection.
#[track_caller]
pub(crate) fn fetch_all(client: &Namespace, urls: &[String], options: &str) -> Vec<Fetch> {
    const REPORT: &str =
        "%{stderr}%{method} %{url_effective} %{http_code} %{size_upload} %{size_download}\n";
    let mut curl = client.command("curl");
    curl.args(["--silent", "--show-error", "--globoff", "--noproxy", "*", "--max-time", "60"]);
    curl.args(["--write-out", REPORT]).args(options.split_whitespace());
    for url in urls {
        curl.args([url, "--output", "/dev/null"]);
    }
    let output = curl.output().expect("curl starts");
    let report = String::from_utf8(output.stderr).expect("curl writes text");
    assert!(output.status.success(), "{curl:?}: {report}");
    report.lines().map(parse_report).collect()
}

fn parse_report(line: &str) -> Fetch {
    let fields: Vec<_> = line.split(' ').collect();
    let &[method, url, status, sent, received] = &fields[..] else { panic!("curl: {line}") };
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("curl: {line}"));
    Fetch {
        method: method.to_owned(),
        url: url.to_owned(),
        status: number(status),
        sent: number(sent),
        received: number(received),
    }
}

impl Fetch {
    /// What an `exchange` object says. Panics unless both sides are complete and nothing was odd.
    #[track_caller]
    pub(crate) fn reported(exchange: &Value) -> Self {
        let text = |pointer| exchange.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let number = |pointer| exchange.pointer(pointer).and_then(Value::as_u64);
        let fetch = || {
            Some(Self {
                method: text("/request/method")?,
                url: text("/request/url")?,
                status: number("/response/status")?,
                sent: number("/request/body/wire_bytes")?,
                received: number("/response/body/wire_bytes")?,
            })
        };
        let whole = exchange["request"]["state"] == "complete"
            && exchange["response"]["state"] == "complete"
            && exchange["anomalies"] == Value::Array(Vec::new());
        assert!(whole, "not whole: {exchange}");
        fetch().unwrap_or_else(|| panic!("not as the contract has it: {exchange}"))
    }
}

/// Panics unless `exchanges` are those that curl made: each once, and no other.
#[track_caller]
pub(crate) fn assert_captured(exchanges: &[Value], mut made: Vec<Fetch>) {
    let mut reported: Vec<_> = exchanges.iter().map(Fetch::reported).collect();
    reported.sort();
    made.sort();
    assert_eq!(reported, made, "left: the agent's, right: curl's");
}
