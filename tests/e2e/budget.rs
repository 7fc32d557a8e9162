//! What a flow's budget keeps in the kernel: counted to the byte, and nothing else is missing.

use serde_json::Value;

use crate::support::fetch::{fetch, fetch_all};
use crate::support::lab::{Family, Lab};
use crate::support::ledger::{assert_balances, number};
use crate::support::live::Agent;
use crate::support::nginx::Nginx;

const KIB: u64 = 1 << 10;
const LARGE: u64 = 20 << 20;

#[test]
fn a_long_download_by_tc() {
    downloads_keep_their_length(&Lab::new(), "--iface eth0");
}

#[test]
fn a_long_download_by_xdp() {
    downloads_keep_their_length(&Lab::new(), "--iface eth0 --hook xdp");
}

#[test]
fn a_long_download_in_single_segments() {
    downloads_keep_their_length(&Lab::unmerged(), "--iface eth0");
}

/// Small and large ones in turn on one connection: each is there, with its true length, and the
/// large ones say what was left out of them.
fn downloads_keep_their_length(lab: &Lab, arguments: &str) {
    let nginx = Nginx::start(&lab.server);
    nginx.serve("small", &[7; 1_000]);
    nginx.serve("large", &vec![7; LARGE as usize]);
    let agent = Agent::run(&lab.server, &format!("{arguments} --events exchange,flow,stats"));
    let names = ["small", "large", "small", "large", "small"];
    let urls = names.map(|name| Lab::url(Family::V4, &format!("/{name}")));
    fetch_all(&lab.client, &urls, "");

    let ended = agent.stop();
    let exchanges = ended.objects("exchange");
    assert_eq!(exchanges.len(), names.len());
    let mut elided = 0;
    for (exchange, name) in exchanges.iter().zip(names) {
        let (request, response) = (&exchange["request"], &exchange["response"]);
        assert_eq!(request["target"], format!("/{name}"));
        assert_eq!(request["state"], "complete");
        assert_eq!(exchange["anomalies"], Value::Array(Vec::new()));
        let length = number(response, "/body/wire_bytes");
        if name == "small" {
            assert_eq!((length, &response["state"]), (1_000, &"complete".into()), "{response}");
            continue;
        }
        assert_eq!((length, &response["state"]), (LARGE, &"elided".into()), "{response}");
        assert!(response["lost_bytes"].is_null(), "{response}");
        let left_out = number(response, "/elided_bytes");
        // The budget is for the turn: head and body, to the byte.
        assert_eq!(LARGE + number(response, "/head_bytes") - left_out, 256 * KIB);
        elided += left_out;
        let timing = &exchange["timing"];
        assert!(number(timing, "/response_us") > 0, "{timing}");
    }
    let stats = &ended.objects("stats")[0];
    assert_balances(stats, true);
    assert_eq!(number(stats, "/gap_bytes"), 0);
    let of_hooks = stats["packets"].as_array().expect("packets of each hook").iter();
    let kept: u64 = of_hooks.map(|hook| number(hook, "/records/elided_bytes")).sum();
    let [flow] = &ended.objects("flow")[..] else { panic!("one connection is one flow") };
    // What was sent again counts again.
    assert!(kept >= elided, "{kept} of {elided}");
    assert_eq!(number(flow, "/to_client/elided_bytes"), elided, "{flow}");
    assert_eq!(flow["close"], "fin", "the end of a flow is always seen");
}

#[test]
fn without_a_length_in_the_head_that_of_the_stream_is_given() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page", &vec![7; LARGE as usize]);
    let agent = Agent::run(&lab.server, "--iface eth0");
    let url = |path: &str| Lab::url(Family::V4, path);
    // Chunked, and something after it on the same connection.
    fetch_all(&lab.client, &[url("/chunked/page"), url("/moved")], "");
    fetch(&lab.client, &url("/chunked/page"), "--http1.0");

    let ended = agent.stop();
    let exchanges = ended.objects("exchange");
    let [chunked, moved, until_close] = &exchanges[..] else { panic!("not three: {exchanges:?}") };
    for exchange in [chunked, until_close] {
        let response = &exchange["response"];
        assert_eq!(response["state"], "elided", "{response}");
        assert!(response["body"]["wire_bytes"].is_null(), "{response}");
    }
    let length = |exchange: &Value| number(exchange, "/response/body/sequence_bytes");
    assert_eq!(length(until_close), LARGE);
    // Chunks have frames of their own: some bytes for each.
    assert!((LARGE..LARGE + 64 * KIB).contains(&length(chunked)), "{}", length(chunked));
    assert_eq!(
        (&moved["response"]["status"], &moved["response"]["state"]),
        (&301.into(), &"complete".into())
    );
}

#[test]
fn an_upload_keeps_its_length() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    let path = nginx.path("upload.bin");
    std::fs::write(&path, vec![7; LARGE as usize]).expect("file can be written");
    let agent = Agent::run(&lab.server, "--iface eth0 --budget 64KiB");
    let url = Lab::url(Family::V6, "/upload/file");
    fetch(&lab.client, &url, &format!("--data-binary @{}", path.display()));

    let exchanges = agent.stop().objects("exchange");
    let [exchange] = &exchanges[..] else { panic!("not one: {exchanges:?}") };
    let request = &exchange["request"];
    assert_eq!(request["state"], "elided", "{request}");
    assert_eq!(number(request, "/body/wire_bytes"), LARGE);
    assert_eq!(
        (&exchange["response"]["status"], &exchange["response"]["state"]),
        (&201.into(), &"complete".into())
    );
}

#[test]
fn bodies_that_are_asked_for_are_within_the_budget() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page", &vec![b'x'; 1 << 20]);
    let kept = |arguments: &str| {
        let agent = Agent::run(&lab.server, &format!("--iface eth0 {arguments}"));
        fetch(&lab.client, &Lab::url(Family::V4, "/chunked/page"), "");
        let exchanges = agent.stop().objects("exchange");
        let [exchange] = &exchanges[..] else { panic!("not one: {exchanges:?}") };
        let response = &exchange["response"];
        let text = response["body"]["text"].as_str().map_or(0, str::len);
        (response["state"].as_str().map(str::to_owned), text)
    };
    let complete = Some("complete".to_owned());
    assert_eq!(kept("--bodies=1MiB --budget 1KiB"), (complete.clone(), 1 << 20));
    assert_eq!(kept("--budget off"), (complete, 0));
    assert_eq!(kept("--bodies=100KiB"), (Some("elided".to_owned()), 100 << 10));
}
