//! Several workers: each flow is with one of them, and together they are one capture.

use std::collections::BTreeSet;

use crate::support::fetch::{Fetch, assert_captured};
use crate::support::lab::Lab;
use crate::support::live::Agent;
use crate::support::nginx::Nginx;
use crate::support::process::run;

const REQUESTS: usize = 600;

/// Has curl make so many requests over sixty connections.
fn fetch_in_parallel(lab: &Lab, length: usize) -> Vec<Fetch> {
    let mut curl = lab.client.command("curl");
    curl.args("--silent --show-error --fail --noproxy * --output /dev/null".split(' '));
    curl.args(["--parallel", "--parallel-immediate", "--parallel-max", "60"]);
    curl.args(["--write-out", "%{url}\n"]);
    curl.arg(format!("http://10.77.0.1/page.html?request=[1-{REQUESTS}]"));
    let fetched = |url: &str| Fetch {
        method: "GET".to_owned(),
        url: url.to_owned(),
        status: 200,
        sent: 0,
        received: length as u64,
    };
    run(&mut curl).lines().map(fetched).collect()
}

fn lab_with_page() -> (Lab, Nginx, usize) {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    let content = vec![7; 3_000];
    nginx.serve("page.html", &content);
    (lab, nginx, content.len())
}

#[test]
fn nothing_is_missing_nothing_twice_and_all_is_in_one_ledger() {
    let (lab, _nginx, length) = lab_with_page();
    for workers in [1, 2, 5, 16] {
        let arguments = "--iface eth0 --events exchange,flow,stats --stats-interval 100ms";
        let agent = Agent::run(&lab.server, &format!("{arguments} --workers {workers}"));
        let made = fetch_in_parallel(&lab, length);
        let ended = agent.stop();
        assert_captured(&ended.objects("exchange"), made);
        let numbers: Vec<_> =
            ended.objects("flow").iter().filter_map(|flow| flow["number"].as_u64()).collect();
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len(), "{numbers:?}");

        let ledgers = ended.objects("stats");
        let exchanges_made: Vec<_> =
            ledgers.iter().filter_map(|stats| stats["exchanges"]["made"].as_u64()).collect();
        assert!(exchanges_made.is_sorted(), "{exchanges_made:?}");
        let last = ledgers.last().expect("a ledger at the end");
        assert_eq!(last["exchanges"]["made"], REQUESTS, "{last}");
        assert_eq!(last["exchanges"]["outputs"][0]["exchanges"], REQUESTS, "{last}");
        assert_eq!(last["exchanges"]["outputs"][0]["flows"], numbers.len(), "{last}");
        assert_eq!(last["rings"].as_array().map(Vec::len), Some(workers), "{last}");
    }
}

#[test]
fn a_count_is_exact_however_many_there_are() {
    let (lab, _nginx, length) = lab_with_page();
    let arguments = "--iface eth0 --workers 8 --count 100 --events exchange,stats";
    let agent = Agent::run(&lab.server, arguments);
    fetch_in_parallel(&lab, length);
    let ended = agent.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("does not balance"), "{}", ended.stderr);
    let exchanges = ended.objects("exchange");
    let urls: BTreeSet<_> =
        exchanges.iter().filter_map(|exchange| exchange["request"]["url"].as_str()).collect();
    assert_eq!((exchanges.len(), urls.len()), (100, 100));
    let stats = &ended.objects("stats")[0]["exchanges"];
    let number = |name: &str| stats[name].as_u64().expect("a number");
    assert_eq!(number("made"), 100 + number("unwanted") + number("dropped"), "{stats}");
}
