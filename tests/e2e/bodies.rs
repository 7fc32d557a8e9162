//! Bodies come out byte for byte, up to the limit that was asked for.

use std::fs;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::fetch::fetch;
use crate::support::lab::{Family, Lab};
use crate::support::live::Agent;
use crate::support::nginx::Nginx;

const MIB: usize = 1 << 20;

macro_rules! whole {
    ($($name:ident: $lab:ident, $hook:literal, $payload:expr;)*) => {
        $(#[test]
        fn $name() {
            large_bodies_are_whole(&Lab::$lab(), $hook, $payload);
        })*
    };
}

// Each with the mean payload of the packets that the server sends.
whole! {
    single_segments_by_tc: unmerged, "--iface eth0", 1000..=1460;
    single_segments_by_xdp: unmerged, "--iface eth0 --hook xdp", 1000..=1460;
    merged_segments_by_tc: new, "--iface eth0", 20_000..=65_535;
    merged_segments_by_xdp: new, "--iface eth0 --hook xdp", 20_000..=65_535;
    segments_merged_beyond_64_kib_by_tc: jumbo, "--iface eth0", 65_536..=500_000;
    segments_merged_beyond_64_kib_by_xdp: jumbo, "--iface eth0 --hook xdp", 65_536..=500_000;
}

fn large_bodies_are_whole(lab: &Lab, hook: &str, mean_payload: RangeInclusive<u64>) {
    let nginx = Nginx::start(&lab.server);
    let download = random(20 * MIB, 1);
    nginx.serve("download", &download);
    let upload = random(5 * MIB, 2);
    let upload_path = nginx.path("upload.bin");
    fs::write(&upload_path, &upload).expect("file can be written");
    let arguments = format!("{hook} --bodies=32MiB --events exchange,stats");
    let agent = Agent::run(&lab.server, &arguments);

    fetch(&lab.client, &Lab::url(Family::V6, "/download"), "");
    // Else curl calls it a form, and what looks like a secret in it is hidden.
    let kind = "-H Content-Type:application/octet-stream";
    let options = format!("{kind} --data-binary @{}", upload_path.display());
    fetch(&lab.client, &Lab::url(Family::V4, "/upload/file"), &options);

    let ended = agent.stop();
    let exchanges = ended.objects("exchange");
    let [downloaded, uploaded] = &exchanges[..] else { panic!("not two: {}", exchanges.len()) };
    assert_holds(&downloaded["response"], &download);
    assert_holds(&uploaded["request"], &upload);
    // curl asks before it sends so much.
    assert_eq!(uploaded["informational"][0]["status"], 100);
    let hooks = ended.objects("stats")[0]["packets"].as_array().cloned().unwrap_or_default();
    let egress = hooks.iter().find(|hook| hook["source"] == "tc_egress");
    let packets = egress.and_then(|hook| hook["handed_over"].as_u64()).expect("packets of egress");
    assert!(mean_payload.contains(&(download.len() as u64 / packets)), "{packets} packets");
}

#[test]
fn bodies_are_cut_at_the_limit_and_counted_whole() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    let binary = random(5000, 3);
    nginx.serve("binary", &binary);
    nginx.serve("text.html", "é".repeat(100).as_bytes());
    let agent = Agent::run(&lab.server, "--iface eth0 --bodies=1KiB");

    fetch(&lab.client, &Lab::url(Family::V4, "/binary"), "");
    fetch(&lab.client, &Lab::url(Family::V4, "/text.html"), "");

    let exchanges = agent.stop().objects("exchange");
    let [cut, whole] = [0, 1].map(|index| &exchanges[index]["response"]["body"]);
    assert_eq!(cut["wire_bytes"], 5000);
    assert_eq!(cut["truncated"], true);
    assert!(content(cut) == binary[..1024], "the first KiB: {cut}");
    assert_eq!(whole["truncated"], false);
    assert_eq!(whole["text"], "é".repeat(100));
    assert_eq!(whole["base64"], Value::Null);
}

#[test]
fn bodies_are_left_out_unless_asked_for() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("text.html", b"text");
    let agent = Agent::run(&lab.server, "--iface eth0");

    fetch(&lab.client, &Lab::url(Family::V4, "/text.html"), "");

    let exchanges = agent.stop().objects("exchange");
    let body = &exchanges[0]["response"]["body"];
    assert_eq!((&body["text"], &body["base64"]), (&Value::Null, &Value::Null));
    assert_eq!(body["wire_bytes"], 4);
}

/// Panics unless `message` is complete and its body is `expected`, of which every byte is
/// compared: what a checksum could only vouch for.
#[track_caller]
fn assert_holds(message: &Value, expected: &[u8]) {
    assert_eq!(message["state"], "complete");
    let body = &message["body"];
    assert_eq!(body["wire_bytes"], expected.len());
    assert_eq!(body["truncated"], false);
    let content = content(body);
    let differs = content.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!((content.len(), differs), (expected.len(), None), "length, first other byte");
}

fn content(body: &Value) -> Vec<u8> {
    let encoded = body["base64"].as_str().expect("a body that is no text is in base64");
    STANDARD.decode(encoded).expect("base64 is what it says")
}

/// Bytes without a pattern, the same for the same seed (xorshift64).
fn random(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}
