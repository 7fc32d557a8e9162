//! Which end of a flow its segments show to be a socket of this host.

use capture_agent::engine::Engine;
use capture_agent::event::{End, Event, Local};
use capture_agent::segment::Segment;

use crate::support::peers::{Peers, settings};

/// A request and its answer.
fn dialogue() -> Peers {
    let mut peers = Peers::open();
    peers.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    peers.close();
    peers
}

/// What the exchange says of its local end, when each segment from a port is of a control group.
fn local(peers: &Peers, skip: usize, cgroup_of: impl Fn(u16) -> u64) -> Option<Local> {
    let mut engine = Engine::new(settings());
    let mut exchanges = Vec::new();
    let mut keep = |event: Event| {
        if let Event::Exchange(exchange) = event {
            exchanges.push(exchange);
        }
    };
    for seen in peers.seen.iter().skip(skip) {
        let segment = seen.segment();
        let cgroup = cgroup_of(segment.src.port);
        engine.segment(&Segment { cgroup, ..segment }, &mut keep);
    }
    engine.finish(&mut keep);
    let [exchange] = &exchanges[..] else { panic!("{exchanges:?}") };
    assert_eq!(exchange.flow.owner, None);
    exchange.flow.local
}

const fn at(end: End, cgroup: u64) -> Option<Local> {
    Some(Local { end, cgroup })
}

#[test]
fn the_end_whose_control_group_is_known_is_local() {
    let peers = dialogue();
    let server = |group: u64| move |port| if port == 80 { group } else { 0 };
    let client = |group: u64| move |port| if port == 80 { 0 } else { group };
    assert_eq!(local(&peers, 0, server(u64::MAX)), at(End::Server, u64::MAX));
    assert_eq!(local(&peers, 0, client(7)), at(End::Client, 7));
    assert_eq!(local(&peers, 0, |_| 0), None);
}

#[test]
fn where_both_are_it_is_the_server() {
    let both = |port| if port == 80 { 7 } else { 8 };
    assert_eq!(local(&dialogue(), 0, both), at(End::Server, 7));
}

#[test]
fn a_flow_that_is_picked_up_midway_is_turned_with_what_is_known_of_it() {
    // The ports say that the client is the server, until the first answer is heard.
    let mut peers = Peers::between("10.0.0.5:80", "10.0.0.1:51000");
    peers.handshake();
    peers.client("the rest of a body");
    peers.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let only = |known: u16| move |port| if port == known { 7 } else { 0 };
    assert_eq!(local(&peers, 2, only(51_000)), at(End::Server, 7));
    assert_eq!(local(&peers, 2, only(80)), at(End::Client, 7));
}
