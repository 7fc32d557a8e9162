//! Bytes as what two HTTP peers say to each other, cut into segments in two ways.
//!
//! Half of the inputs are descriptions of valid messages, whose exchanges are known beforehand;
//! the others are what is said, byte for byte. Of some valid ones segments are lost: then no
//! response may be on a request that it does not answer. Where nothing is lost or malformed, the
//! cuts must make no difference: after malformed bytes they may, because the parser then looks
//! for the next head at the start of a segment.

use capture_agent::engine::Settings;
use capture_agent::event::Exchange;
use capture_agent::http::{Message, State};
use capture_agent::segment::{Endpoint, IfaceId, Segment, SeqNum, TcpFlags, Timestamp};

use super::cursor::Cursor;
use super::warden::Warden;

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// Who says what, in turns: each has all that was said before.
type Turns = Vec<(usize, Vec<u8>)>;

pub(crate) fn run(data: &[u8]) {
    let mut cursor = Cursor(data);
    let kind = cursor.u8();
    let (valid, lossy) = (kind & 1 == 0, kind & 2 != 0);
    let seed = cursor.u16();
    let ends_well = cursor.u8() & 1 == 0;
    if valid {
        let (turns, expected) = valid_dialogue(&mut cursor);
        let whole = exchanges_of(&turns, None, true);
        assert_eq!(whole.iter().map(line).collect::<Vec<_>>(), expected);
        let mut way = Way { dice: Dice(u64::from(seed)), lossy };
        let cut = exchanges_of(&turns, Some(&mut way), true);
        if lossy {
            cut.iter().for_each(assert_not_mispaired);
        } else {
            assert_same(&whole, &cut);
        }
    } else {
        let turns = raw_dialogue(cursor.0);
        let whole = exchanges_of(&turns, None, ends_well);
        let mut way = Way { dice: Dice(u64::from(seed)), lossy: false };
        let cut = exchanges_of(&turns, Some(&mut way), ends_well);
        if is_all(&turns, &whole) {
            assert_same(&whole, &cut);
        }
    }
}

fn assert_same(whole: &[Exchange], cut: &[Exchange]) {
    let lines = |all: &[Exchange]| all.iter().map(line).collect::<Vec<_>>();
    assert_eq!(lines(whole), lines(cut), "cuts make no difference");
    for (whole, cut) in whole.iter().zip(cut) {
        let (whole, cut) = (&whole.http, &cut.http);
        assert_eq!(whole.request, cut.request, "cuts make no difference");
        assert_eq!(whole.response, cut.response, "cuts make no difference");
        assert_eq!(whole.informational, cut.informational, "cuts make no difference");
        assert_eq!(whole.timing, cut.timing, "cuts make no difference");
        assert_eq!(whole.anomalies, cut.anomalies, "cuts make no difference");
    }
}

/// Where both have their token, it is the same.
fn assert_not_mispaired(Exchange { http, .. }: &Exchange) {
    let digit = |text: &[u8]| text.iter().copied().find(u8::is_ascii_digit);
    let asked = http.request.as_ref().and_then(|request| digit(request.head.target()));
    let answered = http.response.as_ref();
    let answered = answered.and_then(|response| digit(response.head.head().value("x-of")?));
    let of_one = asked.is_none() || answered.is_none() || asked == answered;
    assert!(of_one, "{asked:?} is answered with {answered:?}");
}

/// 0xff: the client goes on; 0xfe: the server does. Neither is a byte of text.
fn raw_dialogue(bytes: &[u8]) -> Turns {
    let mut turns: Turns = vec![(CLIENT, Vec::new())];
    for byte in bytes {
        match byte {
            0xff => turns.push((CLIENT, Vec::new())),
            0xfe => turns.push((SERVER, Vec::new())),
            _ => turns.last_mut().expect("there is one").1.push(*byte),
        }
    }
    turns
}

/// Whether every byte that was said is in an exchange that is complete.
fn is_all(turns: &Turns, exchanges: &[Exchange]) -> bool {
    fn whole<H>(message: &Message<H>, head_len: u32) -> Option<u64> {
        let complete = message.state == State::Complete;
        complete.then_some(u64::from(head_len) + message.body.wire_bytes)
    }
    let mut said = [0_u64; 2];
    for (speaker, bytes) in turns {
        said[*speaker] += bytes.len() as u64;
    }
    let mut seen = [0_u64; 2];
    for Exchange { http, .. } in exchanges {
        let request = http.request.as_ref().map_or(Some(0), |m| whole(m, m.head.head().len()));
        let response = http.response.as_ref().map_or(Some(0), |m| whole(m, m.head.head().len()));
        let (Some(request), Some(response)) = (request, response) else { return false };
        seen[CLIENT] += request;
        seen[SERVER] += response;
        let interim = http.informational.iter().map(|head| u64::from(head.head().len()));
        seen[SERVER] += interim.sum::<u64>();
    }
    said == seen
}

/// Messages that are valid, and the exchanges that they are.
fn valid_dialogue(cursor: &mut Cursor<'_>) -> (Turns, Vec<String>) {
    let (mut turns, mut expected) = (Turns::new(), Vec::new());
    while !cursor.is_empty() && expected.len() < 6 {
        let pipelined = cursor.u8() % 3 + 1;
        let (mut requests, mut responses) = (Vec::new(), Vec::new());
        for _ in 0..pipelined {
            let method = cursor.choice(&["GET", "POST", "HEAD", "PUT", "OPTIONS"]);
            let token = expected.len();
            let target = format!("/{token}{}", "x".repeat(usize::from(cursor.u8()) * 4));
            requests.extend(format!("{method} {target} HTTP/1.1\r\n").bytes());
            let asked = message(cursor, &mut requests, true);
            for _ in 0..cursor.u8() % 3 {
                responses.extend(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
            }
            let status = cursor.choice(&[200, 204, 304, 404]);
            responses.extend(format!("HTTP/1.1 {status} X\r\nX-Exchange: {token}\r\n").bytes());
            let bodiless = method == "HEAD" || status == 204 || status == 304;
            let answered = message(cursor, &mut responses, !bodiless);
            expected.push(format!("{method} {target} {asked} -> {status} {answered}"));
        }
        turns.push((CLIENT, requests));
        turns.push((SERVER, responses));
    }
    (turns, expected)
}

/// Adds the rest of a message; returns the length of its body.
fn message(cursor: &mut Cursor<'_>, text: &mut Vec<u8>, has_body: bool) -> usize {
    for _ in 0..cursor.u8() % 4 {
        text.extend(format!("X-Filler: {}\r\n", "y".repeat(cursor.u8().into())).bytes());
    }
    let mut body = 0;
    if !has_body || cursor.u8() & 1 == 0 {
        let len = usize::from(cursor.u16() & 0x0fff) >> (cursor.u8() % 16);
        text.extend(format!("Content-Length: {len}\r\n\r\n").bytes());
        if has_body {
            text.extend((0..len).map(|n| b'a' + (n % 26) as u8));
            body = len;
        }
        return body;
    }
    text.extend(b"Transfer-Encoding: chunked\r\n\r\n");
    for _ in 0..cursor.u8() % 5 {
        let len = usize::from(cursor.u8()) + 1;
        let extension = cursor.choice(&["", ";a=b", "  "]);
        text.extend(format!("{len:x}{extension}\r\n").bytes());
        text.extend((0..len).map(|n| b"\r\n0aHTP/"[n % 8]));
        text.extend(b"\r\n");
        body += len;
    }
    text.extend(cursor.choice(&[&b"0\r\n\r\n"[..], b"00;x\r\nTrailer: t\r\n\r\n"]));
    body
}

fn line(exchange: &Exchange) -> String {
    fn rest<H>(message: &Message<H>) -> String {
        let state = match message.state {
            State::Complete => String::new(),
            state => format!(" {state:?}"),
        };
        format!("{}{state}", message.body.wire_bytes)
    }
    let request = exchange.http.request.as_ref().map_or("?".to_owned(), |message| {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let head = &message.head;
        format!("{} {} {}", text(head.method()), text(head.target()), rest(message))
    });
    let response = exchange.http.response.as_ref().map_or("?".to_owned(), |message| {
        format!("{} {}", message.head.status().unwrap_or_default(), rest(message))
    });
    format!("{request} -> {response}")
}

/// How what is said is cut, and what becomes of the segments.
struct Way {
    dice: Dice,
    /// Whether some are lost.
    lossy: bool,
}

/// What the engine makes of it. In its own way each turn is cut, and its segments come twice or in
/// another order here and there, or not at all.
fn exchanges_of(turns: &Turns, mut way: Option<&mut Way>, ends_well: bool) -> Vec<Exchange> {
    let mut settings = Settings::default();
    settings.http.keep_body_bytes = 1 << 20;
    let mut wire = Wire { warden: Warden::keeping(settings), next: [0xffff_ff00, 77], time: 0 };
    wire.say(CLIENT, TcpFlags::SYN, &[b""], &[0]);
    wire.say(SERVER, TcpFlags::SYN.with(TcpFlags::ACK), &[b""], &[0]);
    for (speaker, bytes) in turns {
        let (parts, order) = match &mut way {
            None => (vec![&bytes[..]], vec![0]),
            Some(Way { dice, lossy }) => {
                let parts = dice.cut(bytes);
                let mut order = dice.order(parts.len());
                if *lossy {
                    order.retain(|_| dice.roll(5) > 0);
                }
                (parts, order)
            }
        };
        wire.say(*speaker, TcpFlags::ACK, &parts, &order);
    }
    if ends_well {
        for speaker in [SERVER, CLIENT] {
            wire.say(speaker, TcpFlags::FIN.with(TcpFlags::ACK), &[b""], &[0]);
        }
    }
    wire.warden.finish().exchanges
}

/// A connection whose segments are watched.
struct Wire {
    warden: Warden,
    /// Sequence number of what each end says next.
    next: [u32; 2],
    time: u64,
}

impl Wire {
    /// A turn: these parts, seen in this order.
    fn say(&mut self, speaker: usize, flags: TcpFlags, parts: &[&[u8]], order: &[usize]) {
        self.time += 1_000_000;
        let ends = [Endpoint::v4([10, 0, 0, 5], 51_234), Endpoint::v4([10, 0, 0, 1], 80)];
        let mut starts = vec![self.next[speaker]];
        for part in parts {
            let start = starts.last().map_or(0, |start| start.wrapping_add(part.len() as u32));
            starts.push(start);
        }
        for &part in order {
            let payload = parts[part];
            self.warden.segment(&Segment {
                time: Timestamp(self.time),
                iface: IfaceId(0),
                src: ends[speaker],
                dst: ends[1 - speaker],
                seq: SeqNum(starts[part]),
                ack: SeqNum(self.next[1 - speaker]),
                flags,
                window: 0,
                payload,
                wire_len: payload.len() as u32,
            });
        }
        let taken = u32::from(flags.syn()) + u32::from(flags.fin());
        self.next[speaker] = starts.last().map_or(0, |end| end.wrapping_add(taken));
    }
}

/// Chance that can be repeated: a linear congruential generator.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn cut<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let longest = [1, 7, 100, 1_448][self.roll(4)];
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            // So that a long body does not make thousands of segments of a byte.
            let longest = if parts.len() > 200 { 1_448 } else { longest };
            let (part, rest) = bytes.split_at((1 + self.roll(longest)).min(bytes.len()));
            parts.push(part);
            bytes = rest;
        }
        parts
    }

    /// All of them, some twice, some sooner or later than they should.
    fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for _ in 0..self.roll(4).min(count) {
            let (from, to) = (self.roll(order.len()), self.roll(order.len()));
            order.insert(to, order[from]);
        }
        for _ in 0..self.roll(4).min(count) {
            let (one, other) = (self.roll(order.len()), self.roll(order.len()));
            order.swap(one, other);
        }
        order
    }
}
