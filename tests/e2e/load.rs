//! Many connections at once, each used again and again.

use std::collections::BTreeMap;

use crate::support::fetch::{Fetch, assert_captured};
use crate::support::lab::Lab;
use crate::support::live::Agent;
use crate::support::nginx::Nginx;
use crate::support::process::run;

const CONNECTIONS: usize = 200;
const REQUESTS: usize = 2000;

#[test]
fn two_hundred_connections_with_keep_alive_by_tc() {
    nothing_is_missing_and_nothing_twice("--iface eth0");
}

#[test]
fn two_hundred_connections_with_keep_alive_by_xdp() {
    nothing_is_missing_and_nothing_twice("--iface eth0 --hook xdp");
}

fn nothing_is_missing_and_nothing_twice(hook: &str) {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    let content = vec![7; 20_000];
    nginx.serve("page.html", &content);
    let agent = Agent::run(&lab.server, &format!("{hook} --events exchange,flow"));

    let (made, requests_by_port) = fetch_in_parallel(&lab, content.len());
    assert_eq!(requests_by_port.len(), CONNECTIONS, "curl's connections");

    let ended = agent.stop();
    assert_captured(&ended.objects("exchange"), made);
    let flows = ended.objects("flow").into_iter().map(|flow| {
        let port = flow["client"]["port"].as_u64().expect("a flow names its client's port");
        (port, flow["exchanges"].as_u64().expect("a flow counts its exchanges"))
    });
    assert_eq!(flows.collect::<BTreeMap<_, _>>(), requests_by_port, "exchanges of each flow");
}

/// Has curl make [`REQUESTS`], each with a URL of its own, over [`CONNECTIONS`]; the requests,
/// and how many went over each connection, by its port.
fn fetch_in_parallel(lab: &Lab, length: usize) -> (Vec<Fetch>, BTreeMap<u64, u64>) {
    let mut curl = lab.client.command("curl");
    curl.args("--silent --show-error --fail --noproxy * --output /dev/null".split(' '));
    curl.args(["--parallel", "--parallel-immediate"]);
    curl.args(["--parallel-max", &CONNECTIONS.to_string()]);
    curl.args(["--write-out", "%{local_port} %{url}\n"]);
    curl.arg(format!("http://10.77.0.1/page.html?request=[1-{REQUESTS}]"));
    let report = run(&mut curl);

    let mut requests_by_port = BTreeMap::new();
    let made = report.lines().map(|line| {
        let (port, url) = line.split_once(' ').expect("curl reports as it was told");
        *requests_by_port.entry(port.parse().expect("ports are numbers")).or_default() += 1;
        Fetch {
            method: "GET".to_owned(),
            url: url.to_owned(),
            status: 200,
            sent: 0,
            received: length as u64,
        }
    });
    (made.collect(), requests_by_port)
}
