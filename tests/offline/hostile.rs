//! Attacks, beside a flow that has nothing to do with them: memory stays bounded, the work grows
//! with the bytes and no faster, and what the quiet flow says comes out at once and unchanged.

use std::io::Write;
use std::time::Duration;

use capture_agent::engine::Settings;
use capture_agent::event::Exchange;
use capture_agent::http::form::ListRules;
use capture_agent::http::{Anomaly, State};

use crate::support::agent::Agent;
use crate::support::pcap::ACK;
use crate::support::peers::{MS, Peers, Seen, Watch, capture_of, line};

const MIB: usize = 1 << 20;

/// What a flow may hold that is up to no good.
const MOST_MEMORY: usize = 24 * MIB;

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const FULL_SEGMENT: usize = 1_448;
/// As hosts merge them.
const MERGED: usize = 60_000;

/// An engine that watches an attack, and beside it a flow whose exchange comes now and then.
struct Arena {
    watch: Watch,
    attacker: Peers,
    quiet: Peers,
    most_memory: usize,
    segments: u64,
    quiet_exchanges: usize,
    /// What came of the attack, as far as it is of interest.
    exchanges: Vec<Exchange>,
    messages: u64,
}

impl Arena {
    fn new() -> Self {
        let mut settings = Settings::default();
        settings.http.keep_body_bytes = 64 << 10;
        settings.http.list_forms = Some(ListRules::default());
        // Less than what an attack could hold that nothing stopped.
        settings.memory_limit = 4 * MOST_MEMORY;
        let mut arena = Self {
            watch: Watch::new(settings),
            attacker: Peers::open(),
            quiet: Peers::between("10.0.0.6:40000", "10.0.0.1:80"),
            most_memory: 0,
            segments: 0,
            quiet_exchanges: 0,
            exchanges: Vec::new(),
            messages: 0,
        };
        arena.quiet.handshake();
        arena.see();
        arena.quiet_speaks();
        arena
    }

    fn client(&mut self, bytes: impl AsRef<[u8]>, segment: usize) {
        for part in bytes.as_ref().chunks(segment) {
            self.attacker.client_says(ACK, part);
            self.see();
        }
    }

    fn client_hurries(&mut self, bytes: impl AsRef<[u8]>, segment: usize) {
        for part in bytes.as_ref().chunks(segment) {
            self.attacker.client_hurries(ACK, part);
            self.see();
        }
    }

    fn server(&mut self, bytes: impl AsRef<[u8]>, segment: usize) {
        for part in bytes.as_ref().chunks(segment) {
            self.attacker.server_says(ACK, part);
            self.see();
        }
    }

    /// What was said is seen, and now and then the quiet flow speaks.
    fn see(&mut self) {
        let Self { watch, attacker, quiet, .. } = self;
        self.segments += attacker.seen.len() as u64;
        watch.see(&quiet.seen);
        watch.see(&attacker.seen);
        quiet.seen.clear();
        attacker.seen.clear();
        self.exchanges.append(&mut self.watch.exchanges);
        self.messages += std::mem::take(&mut self.watch.messages).len() as u64;
        self.most_memory = self.most_memory.max(self.watch.engine.memory());
        if self.segments.is_multiple_of(1_000) {
            self.quiet_speaks();
        }
    }

    #[track_caller]
    fn quiet_speaks(&mut self) {
        self.segments += 1;
        let number = self.quiet_exchanges;
        self.quiet_exchanges += 1;
        self.quiet.clock = self.quiet.clock.max(self.attacker.clock);
        self.quiet.client(&format!("GET /quiet/{number} HTTP/1.1\r\nHost: q\r\n\r\n"));
        self.quiet.server(&format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{number:04}"));
        let last = self.quiet.seen.split_off(self.quiet.seen.len() - 2);
        self.watch.see(&last);
        let lines = self.watch.exchanges.drain(..).map(|it| (it.http.index, line(&it)));
        let lines: Vec<_> = lines.collect();
        let expected = format!("GET /quiet/{number} -> 200 {number:04}");
        assert_eq!(lines, [(number as u32, expected)], "the quiet flow");
    }

    /// Everything ends, and all was well.
    #[track_caller]
    fn end(mut self) -> Vec<Exchange> {
        self.quiet_speaks();
        self.watch.finish();
        self.exchanges.append(&mut self.watch.exchanges);
        let most = self.most_memory;
        assert!(most < MOST_MEMORY, "{} MiB", most / MIB);
        assert_eq!(self.watch.engine.memory(), 0, "all is given back");
        assert_eq!(self.watch.flows.len(), 2);
        for (number, exchange) in self.exchanges.iter().enumerate() {
            assert_eq!(exchange.http.index as usize, number, "none is left out");
        }
        self.exchanges
    }
}

/// What an attack takes of the processor: others use the machine, too.
fn processor_time(attack: impl FnOnce() -> Vec<Exchange>) -> Duration {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::try_from(time).unwrap()
    };
    let begin = now();
    attack();
    now() - begin
}

/// Runs an attack of a size and of four times that: the second takes about four times as long as
/// the first, where work that grows with the square would take sixteen times as long.
#[track_caller]
fn assert_linear(size: usize, attack: impl Fn(usize) -> Vec<Exchange>) {
    let time = |size| processor_time(|| attack(size));
    // The shortest of some tries counts.
    let mut least = [Duration::MAX; 2];
    for _ in 0..5 {
        least = [least[0].min(time(size)), least[1].min(time(4 * size))];
        if least[1] < 8 * least[0] {
            return;
        }
    }
    panic!("{least:?}");
}

/// Runs an attack of so many segments of a byte: each takes no longer than some of those of a
/// body, which is what costs least.
#[track_caller]
fn assert_cheap(segments: usize, attack: impl Fn(usize) -> Vec<Exchange>) {
    let time = |attack: &dyn Fn(usize) -> Vec<Exchange>| processor_time(|| attack(segments));
    let body = |n: usize| server_says("HTTP/1.1 200 OK\r\n\r\n", "b", n, 1);
    let mut least = [Duration::MAX; 2];
    for _ in 0..5 {
        least = [least[0].min(time(&body)), least[1].min(time(&attack))];
        if least[1] < 4 * least[0] {
            return;
        }
    }
    panic!("{least:?}");
}

/// An attack by a client with one sort of bytes.
fn client_says(head: &str, unit: &str, times: usize, segment: usize) -> Vec<Exchange> {
    let mut arena = Arena::new();
    arena.client(head, MERGED);
    arena.client(unit.repeat(times), segment);
    arena.end()
}

fn server_says(head: &str, unit: &str, times: usize, segment: usize) -> Vec<Exchange> {
    let mut arena = Arena::new();
    arena.client(GET, MERGED);
    arena.server(head, MERGED);
    arena.server(unit.repeat(times), segment);
    arena.end()
}

#[test]
fn heads_that_never_end() {
    for segment in [50, FULL_SEGMENT, MERGED] {
        for unit in ["A: b\r\n", "a", "\r\n", "a: \x1b[2J\r\n b\r\n", "GET / HTTP/1.1\r\n"] {
            let times = 150_000 / unit.len();
            assert_linear(times, |n| client_says("GET /a HTTP/1.1\r\n", unit, n, segment));
            assert_linear(times, |n| server_says("HTTP/1.1 200 OK\r\n", unit, n, segment));
        }
    }
}

#[test]
fn heads_that_never_end_byte_by_byte() {
    let long_line = format!("GET /{} HTTP/1.1\r\n", "a".repeat(30_000));
    let heads = [("", "GET /a"), ("GET /", "a"), ("GET /a HTTP/1.1\r\n", "A: b\r\n")];
    for (head, unit) in heads.into_iter().chain([(&*long_line, "A: b\r\n"), (&long_line, "a")]) {
        assert_cheap(60_000, |n| client_says(head, &unit.repeat(n / unit.len()), 1, 1));
    }
    for (head, unit) in [("", "HTTP/1.1 200 "), ("HTTP/1.1 200 ", "a"), ("HTTP/1.1 200\r\nA:", "a")]
    {
        assert_cheap(60_000, |n| server_says(head, &unit.repeat(n / unit.len()), 1, 1));
        let begin = format!("{OK}\0\r\n{head}");
        assert_cheap(60_000, |n| server_says(&begin, &unit.repeat(n / unit.len()), 1, 1));
    }
}

/// What is no head costs no more to look at than its bytes, whatever it resembles.
#[test]
fn what_resembles_heads() {
    let units = [
        "HTTP/1.",
        "HTTP/1.1 200 ",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1\r\nA: b\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
        "GET /a HTTP/1.1\r\nA\x01: b\r\n\r\n\0",
        "\0\r\n\r\n",
    ];
    for segment in [50, FULL_SEGMENT, MERGED] {
        for unit in units {
            assert_linear(200_000 / unit.len(), |n| client_says(GET, unit, n, segment));
            let begin = format!("{OK}\0\r\n");
            assert_linear(200_000 / unit.len(), |n| server_says(&begin, unit, n, segment));
        }
    }
}

/// A merged segment costs about as much as its bytes in as many small ones.
#[test]
fn large_segments_cost_no_more_than_small_ones() {
    let time = |unit: &str, segment| {
        processor_time(|| {
            server_says(&format!("{OK}\0\r\n"), unit, 600_000 / unit.len(), segment);
            client_says(GET, unit, 600_000 / unit.len(), segment)
        })
    };
    for unit in ["HTTP/1.", "HTTP/1.1 200 OK\r\n", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nx\r\n"]
    {
        let least = |segment| (0..3).map(|_| time(unit, segment)).min().unwrap();
        let (small, large) = (least(FULL_SEGMENT), least(MERGED));
        assert!(large < 4 * small, "{unit:?}: {small:?}, {large:?}");
    }
}

#[test]
fn garbage_and_heads_in_turns() {
    let unit = format!("\0\x01garbage\r\n\r\n{GET}");
    assert_linear(2_000, |n| client_says(GET, &unit, n, 100));
    let exchanges = client_says(GET, &unit, 5_000, FULL_SEGMENT);
    assert_eq!(exchanges.len(), 5_001, "heads are found");
    let passed_over =
        exchanges.iter().filter(|it| it.http.anomalies.contains(Anomaly::BytesPassedOver)).count();
    assert_eq!(passed_over, 5_000);
}

#[test]
fn a_million_chunks_of_a_byte() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for segment in [FULL_SEGMENT, MERGED] {
        let exchanges = server_says(head, "1\r\na\r\n", 1_000_000, segment);
        assert_eq!(exchanges[0].http.response.as_ref().unwrap().body.wire_bytes, 1_000_000);
    }
    assert_linear(20_000, |n| server_says(head, "1\r\na\r\n", n, 1));
}

#[test]
fn chunk_extensions_and_trailers_without_end() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for segment in [20, MERGED] {
        for end in ["1;", "ffffffffffffffff1", "0\r\n", "0\r\nA: "] {
            for unit in ["a", "a: b\r\n", "0", ";", "\r\n\r\n\r"] {
                let head = format!("{head}{end}");
                assert_linear(150_000 / unit.len(), |n| server_says(&head, unit, n, segment));
            }
        }
        // In each line, and none of them too long.
        let unit = format!("1;{}\r\na\r\n", "b".repeat(16_000));
        let exchanges = server_says(head, &unit, 20, segment);
        assert_eq!(exchanges[0].http.response.as_ref().unwrap().body.wire_bytes, 20);
    }
}

/// What was asked too much of is not paired: the answers that come in the end could be to any.
#[test]
fn requests_without_an_answer_and_then_answers() {
    const MANY: usize = 100_000;
    let mut arena = Arena::new();
    for n in 0..MANY {
        arena.client(format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n"), MERGED);
    }
    for n in 0..MANY {
        let body = n.to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        arena.server(head + &body, MERGED);
    }
    let exchanges = arena.end();
    let (mut requests, mut responses) = (0, 0);
    for Exchange { http, .. } in &exchanges {
        requests += usize::from(http.request.is_some());
        responses += usize::from(http.response.is_some());
        if let (Some(request), Some(response)) = (&http.request, &http.response) {
            assert_eq!(request.head.target().strip_prefix(b"/"), Some(&*response.body.content));
        }
    }
    assert_eq!((requests, responses), (MANY, MANY));
}

/// While a response goes on, its client asks for more, and more again.
#[test]
fn requests_without_end_while_a_response_goes_on() {
    let attack = |n| {
        let mut arena = Arena::new();
        arena.client(GET, MERGED);
        arena.server(format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n"), MERGED);
        for _ in 0..n {
            arena.client(GET, MERGED);
            arena.server("b", MERGED);
        }
        let exchanges = arena.end();
        let paired: Vec<_> = exchanges.iter().filter(|it| it.http.response.is_some()).collect();
        let [Exchange { http, .. }] = &*paired else { panic!("{} of them", paired.len()) };
        let response = http.response.as_ref().unwrap();
        assert_eq!(response.state, State::Complete);
        assert_eq!(response.body.wire_bytes, n as u64);
        assert_eq!(exchanges.len(), n + 1);
        exchanges
    };
    assert_linear(10_000, attack);
}

/// A window of requests that is always full.
#[test]
fn a_thousand_requests_ahead_of_their_answers() {
    const AHEAD: usize = 1_000;
    let attack = |n| {
        let mut arena = Arena::new();
        arena.client(GET.repeat(AHEAD), MERGED);
        for _ in 0..n {
            arena.client(GET, MERGED);
            arena.server(OK, MERGED);
        }
        let exchanges = arena.end();
        assert_eq!(exchanges.len(), n + AHEAD);
        exchanges
    };
    assert_linear(5_000, attack);
}

/// Heads as long as they may be, none of them answered.
#[test]
fn long_requests_without_an_answer() {
    let request = format!("GET /a HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n", "a".repeat(60_000));
    assert_eq!(client_says("", &request, 2_000, MERGED).len(), 2_000);
    let body = "b".repeat(64 << 10);
    let request =
        format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(client_says("", &request, 2_000, MERGED).len(), 2_000);
}

#[test]
fn interim_responses_without_end() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    assert_linear(25_000, |n| server_says("", interim, n, 1_000));
    let mut arena = Arena::new();
    arena.client(GET, MERGED);
    arena.server(interim.repeat(100_000), FULL_SEGMENT);
    arena.server(OK, FULL_SEGMENT);
    let exchanges = arena.end();
    assert_eq!(exchanges.len(), 1);
    assert_eq!(line(&exchanges[0]), "GET /a -> 200 hi");
    let long = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "a".repeat(60_000));
    server_says("", &long, 2_000, MERGED);
}

#[test]
fn responses_without_requests() {
    assert_linear(10_000, |n| {
        let mut arena = Arena::new();
        arena.server(OK.repeat(n), 100);
        let exchanges = arena.end();
        assert_eq!(exchanges.len(), n);
        exchanges
    });
}

/// After a loss amid what was pipelined it can't be told what answers what; and it never can.
#[test]
fn answers_in_doubt_without_end() {
    let attack = |n: usize| {
        let mut arena = Arena::new();
        arena.client_hurries(GET.repeat(3), MERGED);
        arena.attacker.client_hurries(ACK, GET.as_bytes());
        arena.attacker.unseen();
        arena.client_hurries(GET.repeat(600), MERGED);
        for _ in 0..n {
            arena.client_hurries(GET, MERGED);
            arena.server(OK, MERGED);
        }
        arena.end()
    };
    assert_linear(5_000, attack);
}

#[test]
fn a_websocket_of_empty_frames() {
    let open = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                  Upgrade: websocket\r\n\r\n";
    // What comes, and how many messages each makes.
    let units: [(&[u8], u64); 5] = [
        (b"\x00\x00", 0),
        (b"\x00\x00\x89\x00", 1),
        (b"\x8a\x00", 1),
        (b"\x00\x7f\0\0\0\0\0\0\0\0", 0),
        (b"\x80\x00\x01\x00", 1),
    ];
    for (unit, messages) in units {
        for segment in [1, MERGED] {
            assert_linear(8_000, |n| {
                let mut arena = Arena::new();
                arena.client(open, MERGED);
                arena.server(agreed, MERGED);
                arena.server(b"\x01\x00", MERGED);
                arena.server(unit.repeat(n), segment);
                assert!(arena.messages >= messages * n as u64, "{}", arena.messages);
                arena.end()
            });
        }
    }
    for length in [u64::MAX, 1 << 63, (1 << 63) - 1] {
        let mut arena = Arena::new();
        arena.client(open, MERGED);
        arena.server(agreed, MERGED);
        arena.server([&b"\x82\x7f"[..], &length.to_be_bytes()].concat(), 1);
        arena.server("b".repeat(MIB), FULL_SEGMENT);
        arena.end();
    }
}

#[test]
fn a_form_of_very_many_parts() {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n";
    let multipart = format!("{head}Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n");
    let part = "Content-Disposition: form-data; name=a\r\n\r\nv\r\n--b\r\n";
    client_says(&multipart, part, 200_000, MERGED);
    for unit in [part, "a", "\r\n", "\r\n--", "--b\r\n", "a: b\r\n\r\n"] {
        assert_linear(100_000 / unit.len(), |n| client_says(&multipart, unit, n, FULL_SEGMENT));
    }
    assert_linear(20_000 / part.len(), |n| client_says(&multipart, part, n, 1));
    let urlencoded = format!("{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n");
    for unit in ["&", "a=b&", "=", "a", "%41", "password=", "+"] {
        assert_linear(100_000 / unit.len(), |n| client_says(&urlencoded, unit, n, FULL_SEGMENT));
    }
}

/// Bodies that are small as they are sent and not when they are decoded.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let zeros = vec![0; 4 * MIB];
    let gzip = |bytes: &[u8], times| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        (0..times).for_each(|_| encoder.write_all(bytes).unwrap());
        encoder.finish().unwrap()
    };
    let once = gzip(&zeros, 8);
    let twice = gzip(&once.repeat(2), 1);
    let mut br = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut br, 4096, 9, 24);
    (0..4).for_each(|_| encoder.write_all(&zeros).unwrap());
    drop(encoder);
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    (0..8).for_each(|_| encoder.write_all(&zeros).unwrap());
    let zstd = encoder.finish().unwrap();
    vec![("gzip", once), ("gzip, gzip", twice), ("br", br), ("zstd", zstd)]
}

#[test]
fn bombs_do_not_go_off() {
    for (coding, bomb) in bombs() {
        let mut arena = Arena::new();
        for _ in 0..3 {
            arena.client(GET, MERGED);
            let length = bomb.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Encoding: {coding}\r\n\r\n"
            );
            arena.server(head, MERGED);
            arena.server(&bomb, FULL_SEGMENT);
        }
        for Exchange { http, .. } in arena.end() {
            assert!(http.anomalies.contains(Anomaly::DecodingLimit), "{coding}");
            let body = &http.response.unwrap().body;
            assert_eq!((body.wire_bytes, body.bytes), (bomb.len() as u64, None), "{coding}");
        }
    }
}

/// All of it in one file, by the command, which may not have more than so much memory.
#[test]
fn the_command_keeps_its_memory_and_its_format() {
    let mut seen: Vec<Seen> = Vec::new();
    let mut port = 20_000_u16;
    let mut flow = |says: &dyn Fn(&mut Peers)| {
        port += 1;
        let mut peers = Peers::between(&format!("10.0.0.5:{port}"), "10.0.0.1:80");
        peers.clock += u64::from(port) * MS;
        peers.handshake();
        says(&mut peers);
        seen.append(&mut peers.seen);
    };
    let in_segments = |peers: &mut Peers, text: &str, from_client: bool| {
        for part in text.as_bytes().chunks(FULL_SEGMENT) {
            match from_client {
                true => peers.client_says(ACK, part),
                false => peers.server_says(ACK, part),
            }
        }
    };
    for (coding, bomb) in bombs() {
        flow(&|peers| {
            peers.client(GET);
            peers.server(&format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n"));
            bomb.chunks(FULL_SEGMENT).for_each(|part| peers.server_says(ACK, part));
        });
    }
    let interim = "HTTP/1.1 103 \x1b[2J\r\nA: \"\\\x07\r\n\r\n".repeat(50_000);
    flow(&|peers| {
        peers.client(GET);
        in_segments(peers, &interim, false);
    });
    let head =
        format!("GET /\x1b]0;x\x07\u{202e} HTTP/1.1\r\n{}", "\x1b[31m: \"\r\n".repeat(100_000));
    flow(&|peers| in_segments(peers, &head, true));
    let requests = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "../".repeat(5_000));
    flow(&|peers| in_segments(peers, &requests.repeat(1_500), true));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hostile.pcap");
    std::fs::write(&file, capture_of(&seen)).unwrap();
    // As the shell has it, in KiB: what a process may write to.
    let args = ["read", "--format", "jsonl", "--bodies", "--forms"];
    let output = Agent::limited("ulimit -d 200000").args(args).args([&file]).run();
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    let exchanges = output.json_lines().iter().filter(|it| it["type"] == "exchange").count();
    assert!(exchanges >= 4 + 1 + 1 + 1_500, "{exchanges}");
    assert!(!output.stdout.bytes().any(|byte| byte.is_ascii_control() && byte != b'\n'));
}
