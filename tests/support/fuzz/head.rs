//! Bytes as a head: as one that stands where a head has to, and as what is heard of a connection
//! that may have been picked up midway.
//!
//! What is by the grammar is read the same strictly and leniently, what is not leaves a mark, no
//! secret is left, and cuts make no difference.

use std::fmt::Debug;

use capture_agent::flow::Direction;
use capture_agent::http::framing::{self, BodyFraming, Framing};
use capture_agent::http::head::{
    HeadRules, Malformed, Parse, REDACTED, RequestHead, ResponseHead, Version,
};
use capture_agent::http::redact::Redaction;
use capture_agent::http::{
    Anomalies, Anomaly, Connection, Context, Ending, Exchange, HttpRules, Resting, Said, State,
};
use capture_agent::segment::{Missing, Timestamp};
use capture_agent::stream::{Chunk, Disorder, Mark};

use super::cursor::{Cursor, lengths, pieces};

/// What is put where secrets are.
const SECRET: &str = "c3VwZXJzZWNyZXQ";

/// Fields that are hidden, as clients write them and as nobody should.
const FIELDS: [&str; 8] = [
    "Cookie: a=S; b=S",
    "AUTHORIZATION: Bearer S",
    "set-cookie : id=S; Path=/",
    "X-Api-Key:S",
    "Proxy-Authorization:\r\n\tBasic S",
    "Cookie S",
    "Referer: http://u:S@h/?token=S",
    "Location:\t/cb?x=1&code=S#access_token=S",
];

/// Endings of targets that hold one.
const QUERIES: [&str; 4] = ["?token=S", "?x=1&password=S", ";jsessionid=S", "#access_token=S"];

/// The most fields for which the strict parser has room.
const STRICT_FIELDS: usize = 64;

pub(crate) fn run(data: &[u8]) {
    let mut cursor = Cursor(data);
    let bits = cursor.u8();
    let redaction = if bits & 2 == 0 { Redaction::default() } else { Redaction::none() };
    let rules = HeadRules {
        max_bytes: cursor.choice(&[64 << 10, 100, 16]),
        max_headers: cursor.choice(&[256, 3, 0]),
        redaction,
    };
    let seed = cursor.u16();
    let is_response = bits & 1 == 1;
    if bits & 4 != 0 {
        let stream = Stream {
            direction: if is_response { Direction::ToClient } else { Direction::ToServer },
            from_start: bits & 8 != 0,
            seed,
            lost: if bits & 16 == 0 { None } else { Some(usize::from(cursor.u8())) },
            http: HttpRules { head: rules, keep_body_bytes: 1 << 16, ..HttpRules::default() },
        };
        return stream.check(cursor.0);
    }
    let text = one_head(cursor.0);
    if is_response {
        check::<ResponseHead>(text, &rules, seed);
    } else {
        check::<RequestHead>(text, &rules, seed);
    }
}

/// Up to the first empty line, without those before the head: so it comes to the parsers.
fn one_head(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let text = &text[start.unwrap_or(text.len())..];
    let ends = |rest: &[u8]| rest.starts_with(b"\n\n") || rest.starts_with(b"\n\r\n");
    let end = (0..text.len()).find(|at| ends(&text[*at..]));
    let end = end.map(|at| at + if text[at + 1] == b'\n' { 2 } else { 3 });
    &text[..end.unwrap_or(text.len())]
}

/// What this harness asks of requests and responses beside [`Parse`].
trait Parsed: Parse + Clone + PartialEq + Debug {
    /// Whether its start line has a target.
    const HAS_TARGET: bool;
    /// What the start line says, but for the version.
    fn start_line(&self) -> Vec<&[u8]>;
    /// What follows it, and what is odd about that.
    fn framing(&self, seed: u16) -> (Framing, Anomalies);
}

impl Parsed for RequestHead {
    const HAS_TARGET: bool = true;

    fn start_line(&self) -> Vec<&[u8]> {
        vec![self.method(), self.target()]
    }

    fn framing(&self, _seed: u16) -> (Framing, Anomalies) {
        let mut anomalies = Anomalies::default();
        (framing::of_request(self, &mut anomalies), anomalies)
    }
}

impl Parsed for ResponseHead {
    const HAS_TARGET: bool = false;

    fn start_line(&self) -> Vec<&[u8]> {
        assert!(self.status().is_some_and(|status| (100..=999).contains(&status)));
        vec![self.reason()]
    }

    fn framing(&self, seed: u16) -> (Framing, Anomalies) {
        let mut anomalies = Anomalies::default();
        let methods = [Some(&b"GET"[..]), Some(b"HEAD"), Some(b"CONNECT"), None];
        let method = methods[usize::from(seed) % methods.len()];
        (framing::of_response(self, method, &mut anomalies), anomalies)
    }
}

fn check<H: Parsed>(text: &[u8], rules: &HeadRules, seed: u16) {
    let (strict, lenient) = (H::parse_strictly(text, rules), H::parse_leniently(text, rules));
    match (&strict, &lenient) {
        (Ok(strict), Ok(lenient)) => assert_eq!(strict, lenient, "one head, two readings"),
        (Ok(strict), Err(Malformed)) => panic!("only by the grammar: {strict:?}"),
        (Err(Malformed), Ok(lenient)) => {
            let odd = lenient.common().anomalies().iter().next().is_some();
            let fields = lenient.common().headers().count();
            let too_many = fields > STRICT_FIELDS.min(rules.max_headers);
            // The first part of a head is for those that were broken off.
            let whole = text.ends_with(b"\n\n") || text.ends_with(b"\n\r\n");
            assert!(odd || too_many || !whole, "nothing is odd about {lenient:?}");
        }
        (Err(Malformed), Err(Malformed)) => {}
    }
    let Ok(head) = H::parse(text, rules) else { return };
    assert_eq!(Ok(&head), strict.as_ref().or(lenient.as_ref()));
    let mut prefixes = (0..=text.len()).take(300).chain([text.len()]);
    let impossible = prefixes.find(|len| !may_begin::<H>(&text[..*len]));
    assert_eq!(impossible, None, "so many bytes of a head begin none");
    check_parts(&head, text, rules);
    check_framing(&head, seed);
    check_secrets::<H>(text, rules, seed);
}

fn may_begin<H: Parse>(text: &[u8]) -> bool {
    H::may_begin(text, text.contains(&b'\n'))
}

/// Nothing is made up, and nothing takes more room than it should.
fn check_parts<H: Parsed>(parsed: &H, text: &[u8], rules: &HeadRules) {
    let head = parsed.common();
    assert_eq!(head.len() as usize, text.len());
    assert!(head.memory() <= 64 * text.len() + 1_024, "{} bytes", head.memory());
    let Version { major, minor } = head.version().expect("it was sent");
    assert!(major <= 9 && minor <= 9);
    let is_framing = |name: &[u8]| {
        let framing =
            ["content-length", "transfer-encoding", "upgrade", "content-encoding", "content-type"];
        framing.iter().any(|framing| name.eq_ignore_ascii_case(framing.as_bytes()))
    };
    let others = head.headers().filter(|(name, _)| !is_framing(name)).count();
    assert!(others <= rules.max_headers);
    let is_part = |part: &[u8]| part.is_empty() || contains(text, part);
    let folded = head.anomalies().contains(Anomaly::FoldedHeader);
    for (name, value) in head.headers() {
        assert!(!name.contains(&b'\n') && !value.contains(&b'\n'));
        assert!(folded || contains(name, REDACTED) || is_part(name));
        assert!(folded || contains(value, REDACTED) || is_part(value));
        let name = String::from_utf8_lossy(name);
        let members = head.members(&name).all(|member| !member.is_empty() && member[0] != b' ');
        assert!(members);
    }
    for part in parsed.start_line() {
        assert!(contains(part, REDACTED) || is_part(part));
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// RFC 9112 section 6.3, by what the head says.
fn check_framing<H: Parsed>(parsed: &H, seed: u16) {
    let head = parsed.common();
    let (framing, anomalies) = parsed.framing(seed);
    let coded = head.value("transfer-encoding").is_some();
    match framing {
        Framing::Body(BodyFraming::Length(length))
        | Framing::PerhapsBody(BodyFraming::Length(length))
            if length > 0 =>
        {
            assert!(!coded, "a transfer coding stands before a length");
            let lengths = head.members("content-length");
            let number = |text: &[u8]| String::from_utf8_lossy(text).parse::<u64>();
            assert!(lengths.map(number).all(|number| number == Ok(length)));
        }
        Framing::Body(BodyFraming::Chunked) | Framing::PerhapsBody(BodyFraming::Chunked) => {
            assert!(head.has_token("transfer-encoding", "chunked"));
        }
        _ => {}
    }
    let both = anomalies.contains(Anomaly::LengthAndTransferEncoding);
    assert!(!both || (coded && head.value("content-length").is_some()));
}

/// A head in which somebody has put a secret says nothing of it, wherever it lies.
fn check_secrets<H: Parsed>(text: &[u8], rules: &HeadRules, seed: u16) {
    // What is kept of a head lies side by side.
    let letters: Vec<_> = text.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    if contains(&letters, SECRET.as_bytes()) {
        return;
    }
    let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let place = usize::from(seed) % lines.len().max(1);
    let which = usize::from(seed >> 8);
    if place == 0 && H::HAS_TARGET {
        let Some(first) = lines.first() else { return };
        let Some(at) = first.windows(6).rposition(|window| window == b" HTTP/") else { return };
        let (before, after) = first.split_at(at);
        let line = QUERIES[which % QUERIES.len()].replace('S', SECRET);
        let joined = [before, line.as_bytes(), after].concat();
        return assert_hidden::<H>(&[&joined, &text[first.len()..]].concat(), rules);
    }
    let place = place.max(1);
    if !lines[place - 1].ends_with(b"\n") {
        return;
    }
    let line = FIELDS[which % FIELDS.len()].replace('S', SECRET) + "\r\n";
    lines.insert(place, line.as_bytes());
    assert_hidden::<H>(&lines.concat(), rules);
}

fn assert_hidden<H: Parsed>(text: &[u8], rules: &HeadRules) {
    let Ok(parsed) = H::parse(text, rules) else { return };
    let head = parsed.common();
    let fields = head.headers().flat_map(|(name, value)| [name, value]);
    let shown = fields.chain(parsed.start_line()).any(|part| contains(part, SECRET.as_bytes()));
    if rules.redaction.hides_header(b"cookie") {
        assert!(!shown, "{:?}", String::from_utf8_lossy(text));
        // Of bytes, `Debug` shows numbers.
        let numbers = format!("{:?}", SECRET.as_bytes());
        let numbers = numbers.trim_matches(['[', ']']);
        assert!(!format!("{parsed:?}").contains(numbers), "kept, though not shown");
    } else {
        let left_out = head.anomalies().contains(Anomaly::TooManyHeaders);
        assert!(shown || left_out, "{:?}", String::from_utf8_lossy(text));
    }
}

/// What is heard in one direction of a connection.
struct Stream {
    direction: Direction,
    from_start: bool,
    seed: u16,
    /// Which segment was lost, if there are as many.
    lost: Option<usize>,
    http: HttpRules,
}

impl Stream {
    /// The segments that were sent, cut once more or not: what comes of them is the same.
    fn check(&self, text: &[u8]) {
        let segments: Vec<_> = pieces(text, lengths(self.seed)).collect();
        let whole = self.play(&segments, &mut std::iter::repeat(usize::MAX));
        let by_byte = self.play(&segments, &mut std::iter::repeat(1));
        assert_eq!(whole, by_byte, "cuts make no difference");
        let cut = self.play(&segments, &mut lengths(self.seed.rotate_left(5)));
        assert_eq!(whole, cut, "cuts make no difference");
    }

    fn play(&self, segments: &[&[u8]], lengths: &mut dyn Iterator<Item = usize>) -> Vec<Exchange> {
        let mut http = Connection::new(Resting::new([self.from_start; 2]));
        let mut said = Said::default();
        let mut offset = 0;
        for (number, segment) in segments.iter().enumerate() {
            let mark = Mark { time: Timestamp(1 + number as u64), ..Mark::default() };
            let mut take = |chunk| {
                http.take(self.direction, chunk, &self.http, Context::default(), &mut said);
            };
            if self.lost == Some(number) {
                take(Chunk::Gap {
                    offset,
                    len: segment.len() as u64,
                    missing: Missing::Unseen,
                    time: None,
                    disorder: Disorder::default(),
                });
                offset += segment.len() as u64;
                continue;
            }
            for bytes in pieces(segment, &mut *lengths) {
                take(Chunk::Data { offset, bytes, mark });
                offset += bytes.len() as u64;
            }
        }
        for direction in Direction::BOTH {
            http.finish(direction, Ending::Fin, &self.http, Context::default(), &mut said);
        }
        http.close(State::Cut, Context::default(), &mut said);
        said.exchanges
    }
}
