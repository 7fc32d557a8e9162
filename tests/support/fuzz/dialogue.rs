//! Bytes as what two HTTP peers say to each other, cut into segments in two ways.
//!
//! Half of the inputs are descriptions of valid messages, whose exchanges are known beforehand;
//! the others are what is said, byte for byte. Of some, segments are lost: then no response may be
//! on a request that it does not answer. What was seen may be cut once more in any way, and
//! valid or not, lossy or not, the same comes out.

use capture_agent::engine::Settings;
use capture_agent::event::Exchange;
use capture_agent::flow::Direction;
use capture_agent::http::form::ListRules;
use capture_agent::http::{HttpRules, Message, State, direction_of};
use capture_agent::segment::{Endpoint, IfaceId, Missing, Segment, SeqNum, TcpFlags, Timestamp};

use super::cursor::Cursor;
use super::warden::{Record, Warden};

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// Who says what, in turns.
type Turns = Vec<Turn>;

struct Turn {
    speaker: usize,
    /// Said before what the other one said last has reached the speaker.
    hurried: bool,
    bytes: Vec<u8>,
}

pub(crate) fn run(data: &[u8]) {
    let mut cursor = Cursor(data);
    let kind = cursor.u8();
    let has = |bit: u8| kind & bit != 0;
    let seed = cursor.u16();
    let ending = cursor.u8();
    let (valid, lossy) = (!has(1), has(2));
    let mut way = Way {
        dice: Dice(u64::from(seed)),
        lossy,
        reordered: !has(4),
        midway: has(8) && !valid,
        ends_well: ending & 1 == 0,
        rules: rules(if valid { 0 } else { ending }),
    };
    let (turns, expected) = if valid {
        let (turns, expected) = valid_dialogue(&mut cursor);
        (turns, Some(expected))
    } else {
        (raw_dialogue(cursor.0), None)
    };
    let segments = way.segments(&turns);
    let whole = way.told_of(&segments);
    match expected {
        Some(_) if lossy => whole.exchanges.iter().for_each(assert_not_mispaired),
        Some(expected) => assert_eq!(lines(&whole), expected),
        None => {}
    }
    let cut = way.cut_again(&segments);
    if way.midway && [&segments, &cut].iter().any(|sent| sent.iter().any(Sent::contradicts)) {
        return;
    }
    assert_same(&whole, &way.told_of(&cut));
}

fn rules(bits: u8) -> HttpRules {
    let mut rules = HttpRules { keep_body_bytes: 1 << 20, ..HttpRules::default() };
    if bits & 2 != 0 {
        rules.head.max_bytes = 100;
    }
    if bits & 4 != 0 {
        rules.list_forms = Some(ListRules::default());
    }
    rules
}

fn lines(told: &Record) -> Vec<String> {
    told.exchanges.iter().map(line).collect()
}

fn assert_same(whole: &Record, cut: &Record) {
    assert_eq!(lines(whole), lines(cut), "cuts make no difference");
    for (whole, cut) in whole.exchanges.iter().zip(&cut.exchanges) {
        let (whole, cut) = (&whole.http, &cut.http);
        assert_eq!(whole.request, cut.request, "cuts make no difference");
        assert_eq!(whole.response, cut.response, "cuts make no difference");
        assert_eq!(whole.informational, cut.informational, "cuts make no difference");
        assert_eq!(whole.timing, cut.timing, "cuts make no difference");
        assert_eq!(whole.anomalies, cut.anomalies, "cuts make no difference");
    }
    let messages = |told: &Record| {
        told.messages.iter().map(|message| message.http.clone()).collect::<Vec<_>>()
    };
    assert_eq!(messages(whole), messages(cut), "cuts make no difference");
    let tunnels =
        |told: &Record| told.flows.iter().map(|flow| flow.tunnel.clone()).collect::<Vec<_>>();
    assert_eq!(tunnels(whole), tunnels(cut), "cuts make no difference");
}

/// Where both have their token, it is the same.
fn assert_not_mispaired(Exchange { http, .. }: &Exchange) {
    let digit = |text: &[u8]| text.iter().copied().find(u8::is_ascii_digit);
    let asked = http.request.as_ref().and_then(|request| digit(request.head.target()));
    let answered = http.response.as_ref();
    let answered = answered.and_then(|response| digit(response.head.head().value("x-exchange")?));
    let of_one = asked.is_none() || answered.is_none() || asked == answered;
    assert!(of_one, "{asked:?} is answered with {answered:?}");
}

/// 0xff: the client goes on; 0xfe: the server does; 0xfd and 0xfc: they hurry. None is a byte of
/// text.
fn raw_dialogue(bytes: &[u8]) -> Turns {
    let turn = |speaker, hurried| Turn { speaker, hurried, bytes: Vec::new() };
    let mut turns: Turns = vec![turn(CLIENT, false)];
    for byte in bytes {
        match byte {
            0xff => turns.push(turn(CLIENT, false)),
            0xfe => turns.push(turn(SERVER, false)),
            0xfd => turns.push(turn(CLIENT, true)),
            0xfc => turns.push(turn(SERVER, true)),
            _ => turns.last_mut().expect("there is one").bytes.push(*byte),
        }
    }
    turns
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
        turns.push(Turn { speaker: CLIENT, hurried: false, bytes: requests });
        turns.push(Turn { speaker: SERVER, hurried: false, bytes: responses });
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

/// A segment that was seen.
#[derive(Clone)]
struct Sent<'a> {
    speaker: usize,
    seq: u32,
    ack: u32,
    flags: TcpFlags,
    bytes: &'a [u8],
    time: u64,
}

impl Sent<'_> {
    /// Whether its bytes make a client of the server, or the reverse: where a flow was picked up
    /// midway, the first start line that came in one segment tells who is who.
    fn contradicts(&self) -> bool {
        let said = if self.speaker == CLIENT { Direction::ToServer } else { Direction::ToClient };
        direction_of(self.bytes).is_some_and(|told| told != said)
    }
}

/// How what is said becomes segments.
struct Way {
    dice: Dice,
    /// Whether some are lost, next to each other in one direction.
    lossy: bool,
    /// Whether, cut again, they come twice or in another order here and there: then those of a
    /// turn all come at one time, since time has to stay with the bytes.
    reordered: bool,
    /// Whether the flow is picked up midway.
    midway: bool,
    /// Whether both ends say that they have.
    ends_well: bool,
    rules: HttpRules,
}

impl Way {
    /// What is said, as segments of which some are lost.
    fn segments<'a>(&mut self, turns: &'a Turns) -> Vec<Sent<'a>> {
        let mut wire = Wire { next: [0xffff_ff00, 77], heard: [0; 2], time: 0, sent: Vec::new() };
        let syn_ack = TcpFlags::SYN.with(TcpFlags::ACK);
        for (speaker, flags) in [(CLIENT, TcpFlags::SYN), (SERVER, syn_ack)] {
            wire.time += 1_000_000;
            wire.say(speaker, false, flags, b"");
        }
        if self.midway {
            wire.sent.clear();
        }
        for Turn { speaker, hurried, bytes } in turns {
            wire.time += 1_000_000;
            // Most often a turn is one segment.
            let parts = if self.dice.roll(3) > 0 { vec![&bytes[..]] } else { self.dice.cut(bytes) };
            for part in parts {
                wire.time += u64::from(!self.reordered);
                wire.say(*speaker, *hurried, TcpFlags::ACK, part);
            }
        }
        let opened = wire.sent.iter().take_while(|sent| sent.flags.syn()).count();
        if self.lossy && wire.sent.len() > opened {
            let first = opened + self.dice.roll(wire.sent.len() - opened);
            let speaker = wire.sent[first].speaker;
            let turn = wire.sent[first..].iter().take_while(|sent| sent.speaker == speaker);
            let lost = first..first + turn.take(1 + self.dice.roll(4)).count();
            wire.sent.drain(lost);
        }
        if self.ends_well {
            for speaker in [SERVER, CLIENT] {
                wire.time += 1_000_000;
                wire.say(speaker, false, TcpFlags::FIN.with(TcpFlags::ACK), b"");
            }
        }
        wire.sent
    }

    /// The same bytes in other segments.
    fn cut_again<'a>(&mut self, segments: &[Sent<'a>]) -> Vec<Sent<'a>> {
        let mut cut = Vec::new();
        for turn in segments.chunk_by(|one, next| one.time == next.time) {
            let mut parts = Vec::new();
            for whole in turn {
                let mut seq = whole.seq;
                let bytes = self.dice.cut(whole.bytes);
                let empty = bytes.is_empty().then(|| whole.clone());
                parts.extend(empty.into_iter().chain(bytes.into_iter().map(|bytes| {
                    let part = Sent { seq, bytes, ..whole.clone() };
                    seq = seq.wrapping_add(bytes.len() as u32);
                    part
                })));
            }
            let count = parts.len();
            let order = if self.reordered { self.dice.order(count) } else { (0..count).collect() };
            cut.extend(order.into_iter().map(|part| parts[part].clone()));
        }
        cut
    }

    /// What the engine makes of them.
    fn told_of(&self, segments: &[Sent<'_>]) -> Record {
        let settings = Settings { http: self.rules.clone(), ..Settings::default() };
        let mut warden = Warden::keeping(settings);
        let ends = [Endpoint::v4([10, 0, 0, 5], 51_234), Endpoint::v4([10, 0, 0, 1], 80)];
        for &Sent { speaker, seq, ack, flags, bytes, time } in segments {
            warden.segment(&Segment {
                time: Timestamp(time),
                iface: IfaceId(0),
                src: ends[speaker],
                dst: ends[1 - speaker],
                seq: SeqNum(seq),
                ack: SeqNum(ack),
                flags,
                window: 0,
                payload: bytes,
                wire_len: bytes.len() as u32,
                missing: Missing::Unseen,
                cgroup: 0,
            });
        }
        warden.finish()
    }
}

/// A connection whose segments are watched.
struct Wire<'a> {
    /// Sequence number of what each end says next.
    next: [u32; 2],
    /// What each end has acknowledged.
    heard: [u32; 2],
    time: u64,
    sent: Vec<Sent<'a>>,
}

impl<'a> Wire<'a> {
    fn say(&mut self, speaker: usize, hurried: bool, flags: TcpFlags, bytes: &'a [u8]) {
        if !hurried {
            self.heard[speaker] = self.next[1 - speaker];
        }
        let (seq, ack) = (self.next[speaker], self.heard[speaker]);
        self.sent.push(Sent { speaker, seq, ack, flags, bytes, time: self.time });
        let taken = u32::from(flags.syn()) + u32::from(flags.fin());
        self.next[speaker] = seq.wrapping_add(bytes.len() as u32 + taken);
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
            let longest = if parts.len() > 50 { 1_448 } else { longest };
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
