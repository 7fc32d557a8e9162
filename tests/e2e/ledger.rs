//! The ledger adds up whatever happens, and what the agent itself lost is said to be its own.

use std::collections::{BTreeMap, BTreeSet};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::client::Connection;
use crate::support::fetch::Fetch;
use crate::support::lab::{Family, Lab};
use crate::support::ledger::{assert_balances, number};
use crate::support::live::Agent;
use crate::support::nginx::Nginx;
use crate::support::process::run;
use crate::support::wait;

const CONNECTIONS: usize = 50;

#[test]
fn under_load() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page", &[7; 3_000]);
    let agent = Agent::run(
        &lab.server,
        "--iface eth0 --workers 3 --events exchange,stats --stats-interval 20ms",
    );
    let mut made = fetch(&lab, 5_000);
    // However fast the machine is, the load lasts until there was a ledger beside it.
    wait::until("a ledger is drawn up while it runs", || {
        made.extend(fetch(&lab, 500));
        String::from_utf8_lossy(&agent.stdout()).contains(r#""type":"stats""#)
    });
    let ended = agent.stop();
    assert_eq!(whole(&ended.objects("exchange")), made);
    let stats = ended.objects("stats");
    let [between @ .., last] = &stats[..] else { panic!("no ledger") };
    between.iter().for_each(|stats| assert_balances(stats, false));
    assert_balances(last, true);
    assert_eq!(last["rings"].as_array().map(Vec::len), Some(3));
    assert_eq!(number(last, "/exchanges/made"), made.len() as u64);
    for lost in ["/gap_bytes", "/exchanges/dropped"] {
        assert_eq!(number(last, lost), 0, "{last}");
    }
}

/// The agent is stopped while the ring is filled many times over, and goes on.
#[test]
fn a_stopped_reader_and_a_small_ring() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page", &[7; 3_000]);
    let mut agent = Agent::run(
        &lab.server,
        "--iface eth0 --workers 2 --ring-size 1MiB --events exchange,flow,stats",
    );
    let mut made = fetch(&lab, 100);
    agent.signal(Signal::STOP);
    made.extend(fetch(&lab, 10_000));
    agent.signal(Signal::CONT);
    wait::until("it has caught up", || {
        assert!(!agent.has_ended());
        // Levels go down with packets.
        made.extend(fetch(&lab, 10));
        agent.stderr().contains("everything is taken again")
    });
    let after = fetch(&lab, 100);

    let ended = agent.stop();
    let exchanges = ended.objects("exchange");
    let seen = whole(&exchanges);
    assert!(seen.is_superset(&after), "what came afterwards is whole");
    made.extend(after);
    assert!(seen.is_subset(&made), "nothing is made up");
    assert!(seen.len() < made.len(), "a ring of 1 MiB can't have held it all");
    let stats = &ended.objects("stats")[0];
    assert_balances(stats, true);
    let hooks = stats["packets"].as_array().expect("packets of each hook");
    let packets = |verdict: &str| hooks.iter().map(|hook| number(hook, verdict)).sum::<u64>();
    assert!(packets("/shed") > 0 && packets("/records/dropped_bytes") > 0, "{stats}");
    for ring in stats["rings"].as_array().expect("rings") {
        let steps = |direction: &str| {
            let steps = ring[direction].as_array().expect("steps of each level").iter();
            steps.filter_map(Value::as_u64).sum::<u64>()
        };
        assert!(steps("raised") > 0 && steps("lowered") > 0, "{ring}");
        assert_eq!(number(ring, "/level"), 0, "{ring}");
    }
    // What it lost it says to be its own, exchange by exchange: the network lost nothing.
    for exchange in &exchanges {
        for side in ["request", "response"] {
            let message = &exchange[side];
            if !message["lost_bytes"].is_null() {
                assert_eq!(message["lost_bytes"], message["dropped_bytes"], "{exchange}");
            }
        }
    }
}

#[test]
fn a_sample_has_whole_flows() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page", &[7; 3_000]);
    let agent = Agent::run(&lab.server, "--iface eth0 --sample 1/2 --events exchange,flow,stats");
    // Of so many connections it is a fifth to four fifths, but in one of 10^9 runs.
    let mut made = BTreeSet::new();
    for number in 0..100 {
        let mut connection = Connection::open(&lab, Family::V4);
        for request in 0..10 {
            let fetch = connection.get(&format!("/page?{number}-{request}"), &[7; 3_000]);
            made.insert((u64::from(connection.port()), fetch.url));
        }
    }
    let ended = agent.stop();
    let seen = whole(&ended.objects("exchange"));
    assert!(seen.is_subset(&made));
    assert!((200..=800).contains(&seen.len()), "{} of 1000", seen.len());
    // Each connection is there with all of its requests, or not at all.
    let ports = |made: &BTreeSet<(u64, String)>| {
        let mut ports = BTreeMap::new();
        made.iter().for_each(|(port, _)| *ports.entry(*port).or_insert(0) += 1);
        ports
    };
    let all = ports(&made);
    for (port, count) in ports(&seen) {
        assert_eq!(all[&port], count, "port {port}");
    }
    let stats = &ended.objects("stats")[0];
    assert_balances(stats, true);
    let hooks = stats["packets"].as_array().expect("packets of each hook").iter();
    assert!(hooks.map(|hook| number(hook, "/not_sampled")).sum::<u64>() > 0);
}

/// Has curl make so many requests over [`CONNECTIONS`], each with a URL of its own: the client's
/// port and the URL of each.
fn fetch(lab: &Lab, requests: usize) -> BTreeSet<(u64, String)> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static ROUND: AtomicUsize = AtomicUsize::new(0);
    let round = ROUND.fetch_add(1, Ordering::Relaxed);
    let mut curl = lab.client.command("curl");
    curl.args("--silent --show-error --fail --noproxy * --output /dev/null".split(' '));
    curl.args(["--parallel", "--parallel-immediate"]);
    curl.args(["--parallel-max", &CONNECTIONS.to_string()]);
    curl.args(["--write-out", "%{local_port} %{url}\n"]);
    curl.arg(format!("http://10.77.0.1/page?{round}=[1-{requests}]"));
    let report = run(&mut curl);
    let line = |line: &str| {
        let (port, url) = line.split_once(' ').expect("curl reports as it was told");
        (port.parse().expect("ports are numbers"), url.to_owned())
    };
    report.lines().map(line).collect()
}

/// The client's port and the URL of each exchange that is whole.
fn whole(exchanges: &[Value]) -> BTreeSet<(u64, String)> {
    let is_whole = |exchange: &&Value| {
        ["request", "response"].iter().all(|side| exchange[side]["state"] == "complete")
    };
    let all: Vec<_> = exchanges
        .iter()
        .filter(is_whole)
        .map(|exchange| (number(exchange, "/client/port"), Fetch::reported(exchange).url))
        .collect();
    let once: BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!(once.len(), all.len(), "each comes once");
    once
}
