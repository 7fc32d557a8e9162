//! `--metrics`: what a scraper gets is the ledger of the same run, and Prometheus itself reads it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::lab::{Lab, Namespace};
use crate::support::ledger::{number, sum_but};
use crate::support::live::{self, Agent};
use crate::support::nginx::Nginx;
use crate::support::process::{Process, run};
use crate::support::scrape::{self, Answer, OPEN, Samples, TEXT};
use crate::support::wait;

const DIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist");

fn lab_with_nginx() -> (Lab, Nginx) {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page", &[b'x'; 2_000]);
    (lab, nginx)
}

fn get(namespace: &Namespace, address: SocketAddr, path: &str, accept: &str) -> Answer {
    namespace.enter(|| scrape::get(address, path, accept))
}

fn address(agent: &Agent) -> SocketAddr {
    scrape::address(&agent.stderr()).expect("it says where")
}

/// Makes exchanges of several methods and classes; how many.
fn talk(lab: &Lab) -> u64 {
    let mut made = 0;
    for (options, path, count) in [
        ("", "page", 20),
        ("", "missing", 3),
        ("--head", "page", 2),
        ("--request DELETE", "page", 2),
        ("--request PURGE", "page", 1),
    ] {
        let mut curl = lab.client.command("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*", "--output", "/dev/null"]);
        curl.args(options.split_whitespace());
        run(curl.arg(format!("http://10.77.0.1/{path}?[1-{count}]")));
        made += count;
    }
    made
}

/// What the agent says once it has counted so many exchanges, and written them.
fn settled(namespace: &Namespace, address: SocketAddr, format: (&str, &str), made: u64) -> Samples {
    let mut samples = None;
    wait::until("all exchanges are counted", || {
        let answer = get(namespace, address, "/metrics", format.0);
        assert_eq!(answer.status, 200, "{answer:?}");
        let media_type =
            if format.1 == "open" { "application/openmetrics-text" } else { "text/plain" };
        assert!(answer.head.contains(&format!("content-type: {media_type}; version=")));
        let now = Samples::parse(&answer.body, format.1);
        let written = [("event", "exchange"), ("result", "written")];
        let is_settled = now.sum("capture_http_exchanges_total", &[]) == made
            && now.sum("capture_output_events_total", &written) == made;
        samples = Some(now);
        is_settled
    });
    samples.expect("it was asked")
}

/// What must add up at any time.
fn assert_adds_up(now: &Samples) {
    let sum = |name: &str, labels: &[(&str, &str)]| now.sum(name, labels);
    assert_eq!(sum("capture_packets_seen_total", &[]), sum("capture_packets_total", &[]));
    assert_eq!(sum("capture_segments_received_total", &[]), sum("capture_segments_total", &[]));
    let flows = sum("capture_flows_active", &[]) + sum("capture_flows_closed_total", &[]);
    assert_eq!(sum("capture_flows_opened_total", &[]), flows);
    let made = sum("capture_events_made_total", &[("event", "exchange")]);
    let counted = sum("capture_http_exchanges_total", &[])
        + sum("capture_http_exchanges_left_out_total", &[]);
    assert_eq!(made, counted);
}

/// Each count of a ledger, and the metrics that say the same.
fn assert_equal(stats: &Value, now: &Samples) {
    for (pointer, name, labels) in [
        ("/segments/received", "capture_segments_received_total", &[][..]),
        ("/segments/received", "capture_records_total", &[]),
        ("/segments/in_flows", "capture_segments_total", &[("place", "in_flow")]),
        ("/bytes", "capture_stream_bytes_total", &[]),
        ("/gap_bytes", "capture_stream_missing_bytes_total", &[("reason", "unseen")]),
        ("/elided_bytes", "capture_stream_missing_bytes_total", &[("reason", "elided")]),
        ("/flows/opened", "capture_flows_opened_total", &[]),
        ("/exchanges/made", "capture_events_made_total", &[("event", "exchange")]),
        ("/exchanges/dropped", "capture_events_dropped_total", &[("event", "exchange")]),
        ("/exchanges/filtered", "capture_http_exchanges_left_out_total", &[("reason", "filtered")]),
        ("/http/total/count", "capture_http_exchange_duration_seconds_count", &[]),
        ("/http/wait/count", "capture_http_response_wait_seconds_count", &[]),
        ("/owners/looked_up", "capture_owner_lookups_total", &[("result", "asked")]),
    ] {
        assert_eq!(number(stats, pointer), now.sum(name, labels), "{pointer} {stats}");
    }
    let exchanges = "capture_http_exchanges_total";
    for (label, by) in [("status", "status"), ("method", "method")] {
        for (value, count) in stats["http"][by].as_object().expect("counters") {
            assert_eq!(*count, now.sum(exchanges, &[(label, value)]), "{value}");
        }
    }
    for source in stats["packets"].as_array().expect("hooks") {
        let labels = [("source", source["source"].as_str().expect("a name"))];
        assert_eq!(number(source, "/records/made"), now.sum("capture_records_total", &labels));
        for verdict in ["handed_over", "pure_ack"] {
            let labels = [labels[0], ("verdict", verdict)];
            assert_eq!(source[verdict], now.sum("capture_packets_total", &labels), "{verdict}");
        }
    }
    for (bucket, sample) in buckets(stats, now) {
        assert_eq!(bucket, sample);
    }
}

/// Each bucket of a ledger in sum with those before it, and what the metrics say of it.
fn buckets(stats: &Value, now: &Samples) -> Vec<((String, u64), (String, u64))> {
    let mut sum = 0;
    let of_ledger = stats["http"]["total"]["buckets"].as_array().expect("buckets").iter();
    let of_ledger = of_ledger.map(|bucket| {
        sum += number(bucket, "/count");
        let bound = bucket["le_us"].as_u64().map_or("+Inf".to_owned(), |us| {
            let seconds = format!("{:.5}", us as f64 / 1e6);
            seconds.trim_end_matches('0').to_owned()
        });
        (bound, sum)
    });
    let samples =
        now.0.iter().filter(|it| it.name == "capture_http_exchange_duration_seconds_bucket");
    let of_metrics = samples.map(|it| {
        let bound = it.labels["le"].trim_end_matches('0').to_owned();
        (bound, it.value as u64)
    });
    let both: Vec<_> = of_ledger.zip(of_metrics).collect();
    assert!(both.len() > 10);
    both
}

#[test]
fn both_formats_are_the_ledger_of_the_same_run() {
    let (lab, _nginx) = lab_with_nginx();
    let agent = Agent::run(
        &lab.server,
        "--iface eth0 --workers 2 --events exchange,flow,stats --metrics :0 \
         --where response.status!=204",
    );
    let address = address(&agent);
    assert!(address.ip().is_loopback(), "{address}");
    let made = talk(&lab);
    let open = settled(&lab.server, address, (OPEN, "open"), made);
    let text = settled(&lab.server, address, (TEXT, "text"), made);
    let ended = agent.stop();
    let stats = &ended.objects("stats")[0];
    for now in [&open, &text] {
        assert_adds_up(now);
        assert_equal(stats, now);
        assert_eq!(now.sum("capture_healthy", &[]), 1);
        assert_eq!(now.sum("capture_interfaces", &[]), 1);
        assert_eq!(now.sum("capture_queue_events", &[]), 0);
        assert!(now.sum("capture_ring_size_bytes", &[]) >= 2 << 20);
        assert_eq!(now.sum("capture_ring_used_bytes", &[]), 0);
    }
    assert_eq!(sum_but(&stats["http"]["status"], &[]), made);
    // Of a name, both formats say the same kind of thing.
    let kinds = |samples: &Samples| {
        let kind = |it: &scrape::Sample| (it.name.clone(), it.kind.clone());
        let mut kinds: Vec<_> = samples.0.iter().map(kind).collect();
        kinds.dedup();
        kinds.retain(|(_, kind)| kind != "info");
        kinds
    };
    let mut of_text = kinds(&text);
    of_text.retain(|(name, _)| name != "capture_build_info");
    assert_eq!(kinds(&open), of_text);
}

#[test]
fn health_tells_what_is_not_captured_or_written() {
    let lab = Lab::new();
    let folder = TempDir::new().unwrap();
    let full = folder.path().join("full.jsonl");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let (good, full) = (folder.path().join("good.jsonl"), full.display().to_string());
    let arguments =
        format!("--iface wire* --metrics :0 --output {} --output {full}", good.display());
    let agent = Agent::run(&lab.server, &arguments);
    let address = address(&agent);
    let health = || get(&lab.server, address, "/healthz", "*/*");
    let becomes = |status: u16, says: &str| {
        wait::until(says, || {
            let answer = health();
            answer.status == status && answer.body.contains(says)
        });
    };
    becomes(503, "no interface is captured on");
    lab.server.ip("link set eth0 down");
    lab.server.ip("link set eth0 name wire0");
    lab.server.ip("link set wire0 up");
    becomes(200, "ok");
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page", b"x");
    // A kill of the interface's link has taken its addresses of IPv6, not of IPv4.
    let mut curl = lab.client.command("curl");
    run(curl.args(["--silent", "--fail", "--noproxy", "*", "http://10.77.0.1/page"]));
    becomes(503, &full);
    let answer = get(&lab.server, address, "/metrics", TEXT);
    let now = Samples::parse(&answer.body, "text");
    assert_eq!(now.sum("capture_healthy", &[]), 0);
    let lost = [("output", full.as_str()), ("event", "exchange"), ("result", "lost")];
    assert_eq!(now.sum("capture_output_events_total", &lost), 1);
    lab.server.ip("link set wire0 down");
    lab.server.ip("link set wire0 name eth0");
    becomes(503, "no interface is captured on");
    let unknown = get(&lab.server, address, "/", "*/*");
    assert_eq!(unknown.status, 404);
    agent.signal(rustix::process::Signal::INT);
    agent.wait();
}

/// A reader that stands still, and segments that wait for others.
#[test]
fn what_waits_in_rings_and_queues_is_told() {
    let (lab, _nginx) = lab_with_nginx();
    let folder = TempDir::new().unwrap();
    let [fifo, recording] = ["x.jsonl", "x.pcapng"].map(|name| folder.path().join(name));
    run(Command::new("mkfifo").arg(&fifo));
    // Open both ways, so that nobody waits for the other end.
    let mut reader = fs::File::options().read(true).write(true).open(&fifo).unwrap();
    let agent = Agent::run(
        &lab.server,
        &format!(
            "--iface eth0 --workers 1 --latency 1s --metrics :0 --output {} --record {}",
            fifo.display(),
            recording.display()
        ),
    );
    let address = address(&agent);
    let waits = |what: &str, labels: &[(&str, &str)]| {
        wait::until(what, || {
            let mut curl = lab.client.command("curl");
            curl.args(["--silent", "--noproxy", "*", "--output", "/dev/null"]);
            run(curl.arg("http://10.77.0.1/page?[1-200]"));
            let answer = get(&lab.server, address, "/metrics", TEXT);
            Samples::parse(&answer.body, "text").sum(what, labels) > 0
        });
    };
    waits("capture_ring_used_bytes", &[("ring", "0")]);
    waits("capture_queue_events", &[("queue", "outputs")]);
    waits("capture_queue_bytes", &[("queue", "outputs")]);
    let answer = get(&lab.server, address, "/metrics", TEXT);
    let now = Samples::parse(&answer.body, "text");
    assert!(now.sum("capture_queue_limit_bytes", &[("queue", "recording")]) > 0);
    let recorded = [("output", recording.to_str().unwrap()), ("result", "written")];
    assert!(now.sum("capture_recording_segments_total", &recorded) > 0);
    let drain = std::thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        while !all.ends_with(b"the end") {
            let count = reader.read(&mut buffer).unwrap();
            all.extend_from_slice(&buffer[..count]);
        }
    });
    agent.stop();
    // It has ended, and nothing more comes of it.
    fs::File::options().write(true).open(&fifo).unwrap().write_all(b"the end").unwrap();
    drain.join().unwrap();
}

#[test]
fn a_port_in_use_is_told_before_anything_is_written() {
    let lab = Lab::new();
    let taken = lab.server.enter(|| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("kept.jsonl");
    fs::write(&output, "kept").unwrap();
    let port = taken.local_addr().unwrap().port();
    for command in ["run --iface eth0", "read /dev/null"] {
        let arguments = format!("{command} --output {} --metrics {port}", output.display());
        let ended = Process::start(&mut live::command(&lab.server, &arguments)).wait();
        let complaint = ended.complaint(1);
        let says = format!("--metrics can't listen on 127.0.0.1:{port}; give another one");
        assert!(complaint.contains(&says) && complaint.contains("in use"), "{complaint}");
        assert_eq!(fs::read_to_string(&output).unwrap(), "kept");
    }
    let wrong = "run --metrics nowhere";
    let ended = Process::start(&mut live::command(&lab.server, wrong)).wait();
    assert!(ended.complaint(2).contains("nowhere"), "{ended:?}");
}

#[test]
fn silent_and_slow_scrapers_hold_nothing_up() {
    let (lab, _nginx) = lab_with_nginx();
    let agent = Agent::run(&lab.server, "--iface eth0 --metrics :0 --events exchange,stats");
    let address = address(&agent);
    let open_sockets = || {
        let files = fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap();
        let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    };
    let before = open_sockets();
    // More than are served at a time: some say nothing, some begin, some never end.
    let clients: Vec<_> = lab.server.enter(|| {
        let connect = |number: usize| {
            let mut stream = TcpStream::connect(address).unwrap();
            let said = ["", "GET /metr", "GET /metrics HTTP/1.1\r\nHost: h\r\nX: "][number % 3];
            stream.write_all(said.as_bytes()).unwrap();
            stream
        };
        (0..30).map(connect).collect()
    });
    wait::until("some of them are taken", || open_sockets() > before);
    assert!(open_sockets() <= before + 16);
    let made = talk(&lab);
    // They are sent away, and whoever asks properly is answered.
    let answer = get(&lab.server, address, "/metrics", TEXT);
    assert_eq!(answer.status, 200);
    drop(clients);
    let endless = lab.server.enter(|| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
        // It gives up before it has read all that.
        let written = (0..1_000).find(|_| stream.write_all(&[b'x'; 16 << 10]).is_err());
        written.is_some()
    });
    assert!(endless, "a head without end is read on");
    settled(&lab.server, address, (TEXT, "text"), made);
    let ended = agent.stop();
    assert_eq!(number(&ended.objects("stats")[0], "/exchanges/made"), made);
}

/// A Prometheus server that scrapes the agent, with its rules.
struct Prometheus<'a> {
    namespace: &'a Namespace,
    process: Process,
    _folder: TempDir,
}

impl<'a> Prometheus<'a> {
    fn start(namespace: &'a Namespace, agent: SocketAddr) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let configuration = format!(
            "global: {{ scrape_interval: 200ms, evaluation_interval: 200ms }}\n\
             rule_files: [ '{DIST}/prometheus/alerts.yml' ]\n\
             scrape_configs: [ {{ job_name: capture-agent, static_configs: [ {{ targets: \
             ['{agent}'] }} ] }} ]\n"
        );
        fs::write(path("prometheus.yml"), configuration).unwrap();
        let mut command = namespace.command("prometheus");
        command.args([
            format!("--config.file={}", path("prometheus.yml")),
            format!("--storage.tsdb.path={}", path("data")),
            "--web.listen-address=127.0.0.1:9090".to_owned(),
        ]);
        Self { namespace, process: Process::start(&mut command), _folder: folder }
    }

    /// What its API answers, once it does.
    fn ask(&mut self, path: &str, parameter: &str) -> Value {
        let mut answer = Value::Null;
        wait::until(&format!("Prometheus answers {parameter}"), || {
            assert!(!self.process.has_ended(), "{}", self.process.stderr());
            let mut curl = self.namespace.command("curl");
            curl.args(["--silent", "--noproxy", "*", "--get", "--data-urlencode", parameter]);
            let output = curl.arg(format!("http://127.0.0.1:9090/api/v1/{path}")).output().unwrap();
            answer = serde_json::from_slice(&output.stdout).unwrap_or_default();
            !answer.is_null()
        });
        assert_eq!(answer["status"], "success", "{parameter}: {answer}");
        answer["data"].take()
    }

    /// The values of a query.
    fn query(&mut self, query: &str) -> Vec<f64> {
        let data = self.ask("query", &format!("query={query}"));
        let results = data["result"].as_array().expect("series").iter();
        let value = |series: &Value| series["value"][1].as_str()?.parse().ok();
        results.map(|series| value(series).expect("a number")).collect()
    }
}

#[test]
fn a_prometheus_server_reads_it_and_answers() {
    let (lab, _nginx) = lab_with_nginx();
    let agent = Agent::run(&lab.server, "--iface eth0 --metrics :0 --events exchange,stats");
    let address = address(&agent);
    let mut prometheus = Prometheus::start(&lab.server, address);
    wait::until("it is scraped", || prometheus.query("up") == [1.0]);
    let made = talk(&lab);
    let sum = "sum(capture_http_exchanges_total)";
    wait::until("it has all exchanges", || prometheus.query(sum) == [made as f64]);
    let by_class = "capture_http_exchanges_total{method=\"GET\",status=\"4xx\"}";
    assert_eq!(prometheus.query(by_class), [3.0]);
    let rules = prometheus.ask("rules", "type=alert");
    let rules = rules["groups"][0]["rules"].as_array().expect("rules").clone();
    assert!(rules.len() > 3);
    wait::until("the rules are evaluated", || {
        let rules = prometheus.ask("rules", "type=alert");
        let rules = rules["groups"][0]["rules"].as_array().expect("rules").clone();
        rules.iter().all(|rule| rule["health"] == "ok" && rule["state"] == "inactive")
    });
    let dashboard = fs::read_to_string(format!("{DIST}/grafana/capture-agent.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let queries = expressions(&dashboard);
    assert!(queries.len() > 10, "{queries:?}");
    for query in queries {
        let query = query
            .replace("$__rate_interval", "1m")
            .replace("$job", "capture-agent")
            .replace("$instance", ".*");
        prometheus.query(&query);
    }
    let ended = agent.stop();
    let stats = &ended.objects("stats")[0];
    assert_eq!(number(stats, "/exchanges/made"), made);
}

/// The expressions of a dashboard's panels.
fn expressions(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("expr").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(expressions)).collect()
        }
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn its_own_tools_find_no_fault() {
    let (lab, _nginx) = lab_with_nginx();
    let agent = Agent::run(&lab.server, "--iface eth0 --metrics :0");
    let answer = get(&lab.server, address(&agent), "/metrics", TEXT);
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("metrics");
    fs::write(&text, &answer.body).unwrap();
    let lint = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(fs::File::open(&text).unwrap())
        .output()
        .unwrap();
    let said = [lint.stdout, lint.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(lint.status.success(), "{said:?}");
    assert_eq!(said.concat(), "");
    let alerts = Path::new(DIST).join("prometheus/alerts.yml");
    run(Command::new("promtool").args(["check", "rules"]).arg(alerts));
    agent.stop();
}
