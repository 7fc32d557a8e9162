//! Dialogues in which every message carries the token of its exchange, and what is where in them:
//! a response on a request that it does not answer can be told, whatever was lost.
#![allow(dead_code, reason = "each test target uses a part")]

use std::ops::Range;

use capture_agent::flow::Direction::{self, ToClient, ToServer};

use super::pcap::{ACK, FIN, SYN};
use super::peers::{Peers, Seen};

/// Where the messages of an exchange are, by stream offset.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) token: usize,
    pub(crate) request: Range<u64>,
    pub(crate) interim: Range<u64>,
    pub(crate) response: Range<u64>,
    /// The FIN that ends the response, where that lasts until the end.
    pub(crate) fin: Range<u64>,
}

/// What was seen of a connection, and what was said.
pub(crate) struct Dialogue {
    pub(crate) name: String,
    /// Whether requests were sent before the ones before them were answered.
    pub(crate) pipelined: bool,
    pub(crate) seen: Vec<Seen>,
    pub(crate) places: Vec<Place>,
}

/// What a request brings with it.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Get,
    Head,
    Post(usize),
    PostChunked(usize),
}

/// What it is answered with.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Length(usize),
    Chunked(usize),
    Close(usize),
    NotModified,
    NoContent,
    /// An interim response before the final one.
    Hinted(usize),
}

/// Content that says whose it is, wherever one looks.
fn content(token: usize, bytes: usize) -> String {
    format!("[t{token:03}]").chars().cycle().take(bytes).collect()
}

fn chunked(content: &str) -> String {
    let chunks = content
        .as_bytes()
        .chunks(1_000)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
    chunks.collect::<String>() + "0\r\n\r\n"
}

fn request(token: usize, ask: Ask) -> String {
    let head = |method, more: &str, body: &str| {
        format!("{method} /t{token:03} HTTP/1.1\r\nHost: h\r\n{more}\r\n{body}")
    };
    match ask {
        Ask::Get => head("GET", "", ""),
        Ask::Head => head("HEAD", "", ""),
        Ask::Post(bytes) => {
            head("POST", &format!("Content-Length: {bytes}\r\n"), &content(token, bytes))
        }
        Ask::PostChunked(bytes) => {
            head("POST", "Transfer-Encoding: chunked\r\n", &chunked(&content(token, bytes)))
        }
    }
}

fn response(token: usize, ask: Ask, answer: Answer) -> String {
    let head = |status, more: &str, body: &str| {
        let body = if matches!(ask, Ask::Head) { "" } else { body };
        format!("HTTP/1.1 {status}\r\nX-Of: t{token:03}\r\n{more}\r\n{body}")
    };
    match answer {
        Answer::Length(bytes) | Answer::Hinted(bytes) => {
            head("200 OK", &format!("Content-Length: {bytes}\r\n"), &content(token, bytes))
        }
        Answer::Chunked(bytes) => {
            head("200 OK", "Transfer-Encoding: chunked\r\n", &chunked(&content(token, bytes)))
        }
        Answer::Close(bytes) => head("200 OK", "Connection: close\r\n", &content(token, bytes)),
        Answer::NotModified => head("304 Not Modified", "Content-Length: 5000\r\n", ""),
        Answer::NoContent => head("204 No Content", "", ""),
    }
}

/// Two peers, and what they have said so far.
struct Talk {
    name: String,
    peers: Peers,
    said: [u64; 2],
    places: Vec<Place>,
    segment_bytes: usize,
}

impl Talk {
    fn new(name: &str, segment_bytes: usize) -> Self {
        let name = format!("{name}, {segment_bytes} bytes a segment");
        Self { name, peers: Peers::open(), said: [0; 2], places: Vec::new(), segment_bytes }
    }

    /// Says something; returns where it is.
    fn say(&mut self, direction: Direction, text: &str) -> Range<u64> {
        self.send(direction, text);
        self.mark(direction, text)
    }

    /// Sends as many segments as it takes. Every other one is acknowledged as it comes.
    fn send(&mut self, direction: Direction, text: &str) {
        for (n, part) in text.as_bytes().chunks(self.segment_bytes).enumerate() {
            match direction {
                ToServer => self.peers.client_says(ACK, part),
                ToClient => self.peers.server_says(ACK, part),
            }
            match direction {
                ToServer if n % 2 == 1 => self.peers.server_says(ACK, b""),
                ToClient if n % 2 == 1 => self.peers.client_says(ACK, b""),
                _ => {}
            }
        }
    }

    /// Where what is said next is.
    fn mark(&mut self, direction: Direction, text: &str) -> Range<u64> {
        let said = &mut self.said[direction as usize];
        let start = *said;
        *said += text.len() as u64;
        start..*said
    }

    fn exchange(&mut self, ask: Ask, answer: Answer) {
        let token = self.places.len();
        let request = self.say(ToServer, &request(token, ask));
        let mut interim = 0..0;
        if matches!(answer, Answer::Hinted(_)) {
            interim = self.say(ToClient, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
        }
        let response = self.say(ToClient, &response(token, ask, answer));
        let mut fin = 0..0;
        if matches!(answer, Answer::Close(_)) {
            fin = response.end..response.end + 1;
            self.peers.close();
        }
        self.places.push(Place { token, request, interim, response, fin });
    }

    /// The client waits for 100 (Continue) before it sends the body.
    fn expectant(&mut self, bytes: usize) {
        let token = self.places.len();
        let text = request(token, Ask::Post(bytes));
        let text = text.replace("Host: h\r\n", "Host: h\r\nExpect: 100-continue\r\n");
        let body = text.len() - bytes;
        let head = self.say(ToServer, &text[..body]);
        let interim = self.say(ToClient, "HTTP/1.1 100 Continue\r\n\r\n");
        let rest = self.say(ToServer, &text[body..]);
        let response = self.say(ToClient, &response(token, Ask::Get, Answer::Length(30)));
        let request = head.start..rest.end;
        self.places.push(Place { token, request, interim, response, fin: 0..0 });
    }

    /// The server answers when it has half of the request.
    fn early(&mut self, bytes: usize) {
        let token = self.places.len();
        let text = request(token, Ask::Post(bytes));
        let half = text.len() - bytes / 2;
        let first = self.say(ToServer, &text[..half]);
        let response = self.say(ToClient, &response(token, Ask::Get, Answer::Length(30)));
        let rest = self.say(ToServer, &text[half..]);
        let request = first.start..rest.end;
        self.places.push(Place { token, request, interim: 0..0, response, fin: 0..0 });
    }

    /// So many requests at once, then their responses at once.
    fn pipeline(&mut self, depth: usize) {
        let (mut requests, mut responses) = (String::new(), String::new());
        for n in 0..depth {
            let token = self.places.len();
            let ask = [Ask::Get, Ask::Post(40), Ask::Get][n % 3];
            let answer = [Answer::Length(60), Answer::Chunked(90), Answer::NoContent][n % 3];
            let (asked, answered) = (request(token, ask), response(token, ask, answer));
            let request = self.mark(ToServer, &asked);
            let response = self.mark(ToClient, &answered);
            (requests, responses) = (requests + &asked, responses + &answered);
            self.places.push(Place { token, request, interim: 0..0, response, fin: 0..0 });
        }
        self.send(ToServer, &requests);
        self.send(ToClient, &responses);
    }

    /// Each request is sent while the response before it is on its way, unacknowledged.
    fn overlapping(&mut self, count: usize) {
        let first = self.places.len();
        for token in first..first + count {
            let text = request(token, Ask::Get);
            self.peers.client_hurries(ACK, text.as_bytes());
            let request = self.mark(ToServer, &text);
            let (interim, response, fin) = (0..0, 0..0, 0..0);
            self.places.push(Place { token, request, interim, response, fin });
            if token > first {
                self.answer(token - 1);
            }
        }
        self.answer(first + count - 1);
    }

    fn answer(&mut self, token: usize) {
        let text = response(token, Ask::Get, Answer::Length(60));
        self.places[token].response = self.say(ToClient, &text);
    }

    fn done(self, pipelined: bool) -> Dialogue {
        let Self { name, peers, places, .. } = self;
        Dialogue { name, pipelined, seen: peers.seen, places }
    }
}

/// One request after the other, each answered before the next.
pub(crate) fn in_turns() -> Vec<Dialogue> {
    use Answer::{Chunked, Close, Hinted, Length, NoContent, NotModified};
    let mut all = Vec::new();
    for segment_bytes in [1_448, 90, 23] {
        let mut add = |name: &str, exchanges: &[(Ask, Answer)]| {
            let mut talk = Talk::new(name, segment_bytes);
            exchanges.iter().for_each(|(ask, answer)| talk.exchange(*ask, *answer));
            all.push(talk.done(false));
        };
        let (get, head) = (|answer| (Ask::Get, answer), |answer| (Ask::Head, answer));
        add("lengths", &[get(Length(20)); 6]);
        add("chunks", &[get(Chunked(50)), (Ask::PostChunked(70), Chunked(10)), get(Chunked(0))]);
        add("no content", &[get(NotModified), get(NoContent), (Ask::Post(9), Length(0))]);
        add("hints", &[get(Hinted(40)), get(Length(9)), get(Hinted(0))]);
        add("until the end", &[get(Length(9)), (Ask::Post(30), Close(100))]);
        add("HEAD", &[head(Length(70)), get(Length(30)), head(Chunked(0)), get(Length(9))]);
        let mut talk = Talk::new("100-continue and early answers", segment_bytes);
        talk.expectant(50);
        talk.exchange(Ask::Get, Length(20));
        talk.early(60);
        talk.exchange(Ask::Get, Chunked(20));
        talk.expectant(10);
        all.push(talk.done(false));
    }
    let mut talk = Talk::new("big bodies", 1_448);
    talk.exchange(Ask::Get, Length(20_000));
    talk.exchange(Ask::Post(15_000), Length(10));
    talk.exchange(Ask::PostChunked(6_000), Chunked(12_000));
    talk.early(10_000);
    talk.exchange(Ask::Get, Close(9_000));
    all.push(talk.done(false));
    all
}

/// Several requests at a time, and everything in few segments or in many.
pub(crate) fn pipelined() -> Vec<Dialogue> {
    let mut all = Vec::new();
    for segment_bytes in [1_448, 150, 61] {
        for depth in 2..=8 {
            let mut talk = Talk::new(&format!("pipelined {depth} deep"), segment_bytes);
            talk.pipeline(depth);
            talk.exchange(Ask::Get, Answer::Length(20));
            talk.pipeline(depth);
            all.push(talk.done(true));
        }
        let mut talk = Talk::new("overlapping", segment_bytes);
        talk.overlapping(6);
        talk.exchange(Ask::Get, Answer::Length(20));
        all.push(talk.done(true));
    }
    all
}

/// The same without what only acknowledges: a hook need not pass that on.
pub(crate) fn without_pure_acks(mut dialogue: Dialogue) -> Dialogue {
    dialogue.name += ", no pure acknowledgements";
    dialogue.seen.retain(|seen| !seen.tcp.payload.is_empty() || seen.tcp.flags != ACK);
    dialogue
}

/// The same with a copy of each segment behind the last one of its turn, before any of them is
/// acknowledged. Returns where the originals are.
pub(crate) fn with_copies(dialogue: Dialogue) -> (Dialogue, Vec<usize>) {
    let mut dialogue = without_pure_acks(dialogue);
    dialogue.name += ", every segment twice";
    let (mut seen, mut originals) = (Vec::new(), Vec::new());
    for turn in dialogue.seen.chunk_by(|one, other| one.tcp.src == other.tcp.src) {
        originals.extend(seen.len()..seen.len() + turn.len());
        seen.extend_from_slice(turn);
        let time = turn.last().map_or(0, |last| last.time);
        seen.extend(turn.iter().map(|copied| Seen { time, ..copied.clone() }));
    }
    dialogue.seen = seen;
    (dialogue, originals)
}

/// Which way a segment goes, and the stream offsets that it takes: FIN has one.
pub(crate) fn span(seen: &Seen) -> (Direction, Range<u64>) {
    let from_client = seen.tcp.dst.port() == 80;
    let (direction, first) =
        if from_client { (ToServer, Peers::CLIENT_FIRST) } else { (ToClient, Peers::SERVER_FIRST) };
    let start = u64::from(seen.tcp.seq.wrapping_sub(first));
    let fin = u64::from(seen.tcp.flags & FIN != 0);
    // SYN comes before the first byte, and has none.
    let start = if seen.tcp.flags & SYN == 0 { start } else { 0 };
    (direction, start..start + seen.tcp.payload.len() as u64 + fin)
}

/// Chance that can be repeated, from 1 to `sides`: a linear congruential generator.
pub(crate) fn dice(seed: u64, sides: usize) -> impl FnMut() -> usize {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) as usize % sides + 1
    }
}
