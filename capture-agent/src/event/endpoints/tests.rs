use std::sync::Arc;

use super::*;
use crate::event::FlowInfo;
use crate::flow::FlowId;
use crate::http::head::{HeadRules, Parse as _, RequestHead, ResponseHead};
use crate::http::{self, Anomalies, Body, Message, Network, State, Timing};
use crate::segment::{Endpoint as Address, Timestamp};

fn message<H>(head: H) -> Message<H> {
    Message {
        offset: 0,
        head,
        body: Body::default(),
        trailers: Default::default(),
        state: State::Complete,
        lost_bytes: 0,
        dropped_bytes: 0,
        elided_bytes: 0,
        gaps: Vec::new(),
        first_byte: Timestamp::default(),
        last_byte: Timestamp::default(),
        is_untimed: false,
    }
}

/// An exchange by its request line and host, its status, and how long it took.
fn exchange(request: &str, status: u16, total_ns: u64) -> Exchange {
    let rules = HeadRules::default();
    let request = RequestHead::parse(request.as_bytes(), &rules).unwrap();
    let response = format!("HTTP/1.1 {status} Yes\r\n\r\n");
    let response = ResponseHead::parse(response.as_bytes(), &rules).unwrap();
    let server = Address::v4([10, 0, 0, 1], 8080);
    Exchange {
        flow: FlowInfo {
            id: FlowId(0),
            number: 0,
            start: Timestamp::default(),
            client: server,
            server,
            iface: None::<Arc<_>>,
            local: None,
            owner: None,
        },
        http: http::Exchange {
            index: 0,
            request: Some(message(request)),
            response: Some(message(response)),
            informational: Vec::new(),
            timing: Timing { total_ns: Some(total_ns), ..Timing::default() },
            network: Network::default(),
            anomalies: Anomalies::default(),
        },
    }
}

fn get(path: &str, status: u16, total_ns: u64) -> Exchange {
    exchange(&format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n"), status, total_ns)
}

fn names(endpoints: &[Named<'_>]) -> Vec<String> {
    let shown =
        |(name, it): &Named<'_>| format!("{} {}", String::from_utf8_lossy(name), it.exchanges);
    endpoints.iter().map(shown).collect()
}

#[test]
fn an_endpoint_is_a_method_a_host_and_a_path() {
    for (request, name) in [
        ("GET /a/7?b=1 HTTP/1.1\r\nHost: A.Example:80\r\n\r\n", "GET a.example/a/{id}"),
        ("PUT /a HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", "PUT a.example:8080/a"),
        ("GET /a HTTP/1.0\r\n\r\n", "GET 10.0.0.1:8080/a"),
        (
            "GET HTTP://Proxied.example/Pa/th?q HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET proxied.example/Pa/th",
        ),
        ("GET https://s.example/7 HTTP/1.1\r\nHost: x\r\n\r\n", "GET https://s.example/{id}"),
        ("CONNECT s.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT s.example:443"),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS x"),
    ] {
        let mut written = Vec::new();
        name::write(&exchange(request, 200, 0), &mut written);
        assert_eq!(String::from_utf8_lossy(&written), name);
    }
    let mut unseen = get("/", 200, 0);
    unseen.http.request = None;
    let mut written = Vec::new();
    name::write(&unseen, &mut written);
    assert_eq!(String::from_utf8_lossy(&written), "(request not seen) 10.0.0.1:8080");
    name::write(&get(&format!("/{}", "long/".repeat(1_000)), 200, 0), &mut written);
    assert!(written.len() < 210 && written.ends_with(b"..."), "{}", written.len());
}

#[test]
fn few_endpoints_are_counted_exactly() {
    let (mut one, mut other) = (Endpoints::default(), Endpoints::default());
    for n in 0..100 {
        one.add(&get(&format!("/fast/{n}"), 200, 1_000_000));
        other.add(&get("/slow", if n < 5 { 503 } else { 404 }, 50_000_000 + n));
        other.add(&get("/fast/x", 200, if n == 50 { 9_000_000_000 } else { 1_000 }));
    }
    one.merge(&other);
    assert_eq!((one.len(), one.missed(), one.all().exchanges), (3, 0, 300));
    let frequent =
        ["GET a.example/fast/x 100", "GET a.example/fast/{id} 100", "GET a.example/slow 100"];
    assert_eq!(names(&one.most_frequent(5)), frequent);
    let slowest = one.slowest(2);
    // One that took long among many that did not makes none of the slowest.
    assert_eq!(names(&slowest), [frequent[2], frequent[1]]);
    let (_, slow) = slowest[0];
    assert_eq!((slow.client_errors, slow.server_errors), (95, 5));
    let median = slow.times.percentile_ns(50).unwrap();
    assert!((49_000_000..=51_000_000).contains(&median), "{median}");
    assert_eq!(slow.times.longest_ns(), Some(50_000_099));
}

#[test]
fn made_up_paths_push_out_neither_the_frequent_nor_the_slow() {
    const EXCHANGES: u64 = 100_000;
    let mut workers = [Endpoints::default(), Endpoints::default()];
    for n in 0..EXCHANGES {
        let worker = &mut workers[usize::try_from(n % 2).unwrap()];
        // Words, so that they are told apart.
        let letter =
            |place: u32| char::from(b'a' + u8::try_from(n / 26_u64.pow(place) % 26).unwrap());
        let path: String = (0..4).map(letter).collect();
        worker.add(&get(&format!("/{path}"), 404, 1_000));
        if n % 10 == 0 {
            worker.add(&get("/often", 200, 2_000));
        }
        if n == 777 {
            worker.add(&get("/seldom", 200, 3_000_000_000));
        }
        assert!(worker.len() <= MOST, "{}", worker.len());
    }
    let [mut sum, other] = workers;
    sum.merge(&other);
    assert!(sum.len() <= MOST, "{}", sum.len());
    let (often, seldom) = ("GET a.example/often 10000", "GET a.example/seldom 1");
    assert_eq!(names(&sum.most_frequent(1)), [often]);
    assert_eq!(names(&sum.slowest(1)), [seldom]);
    let bound = sum.all().exchanges / STAY as u64;
    assert!((1..=bound).contains(&sum.missed()), "{} of {bound}", sum.missed());
}

#[test]
fn of_few_times_a_percentile_is_one_that_was_taken() {
    let percentiles = |times: &[u64]| {
        let mut counted = Times::default();
        times.iter().for_each(|time| counted.add(*time));
        [50, 95].map(|percent| counted.percentile_ns(percent).map(|nanos| nanos / 100_000))
    };
    assert_eq!(percentiles(&[]), [None, None]);
    assert_eq!(percentiles(&[70_000_000]), [Some(700), Some(700)]);
    let [median, most] = percentiles(&[1_000_000, 5_000_000_000]);
    assert!(median.is_some_and(|it| (9..=11).contains(&it)), "{median:?}");
    assert_eq!(most, Some(50_000));
    assert_eq!(percentiles(&[0, 0, 0]), [Some(0), Some(0)]);
}
