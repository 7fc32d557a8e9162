//! What fuzzing and simulated networks have found, each as the shortest story that shows it. Those
//! that are about what a listener is told are played before a warden, who knows what it may be.

use capture_agent::engine::Settings;

use crate::support::fuzz::warden::Warden;
use crate::support::peers::{Peers, settings};

const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// Everything from the first segment to the end of the capture, before a warden.
fn guarded(peers: &Peers, settings: Settings) {
    let mut warden = Warden::new(settings);
    for seen in &peers.seen {
        warden.segment(&seen.segment());
    }
    warden.finish();
}

#[test]
fn the_last_exchange_comes_before_the_end_of_its_flow() {
    let mut peers = Peers::open();
    peers.client(REQUEST);
    peers.server("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    peers.close();
    guarded(&peers, settings());
    peers.seen.truncate(4);
    guarded(&peers, settings());
}
