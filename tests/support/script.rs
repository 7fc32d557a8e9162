//! Dialogues as text: what two peers say to each other, line by line, and what is to come of it.
//!
//! ```text
//! # What the file is about, in as many lines as it takes.
//!
//! == What the case is about
//! > GET /a HTTP/1.1           the client says a line; it ends in CRLF
//! >                           an empty one
//!
//! < HTTP/1.1 200 OK\n         an escaped line feed at the end stands for CRLF
//! < Content-Length: 2\n
//! < \n
//! < hi\                       nothing after the last character
//! --
//! what is to come of it
//! ```
//! Lines of one kind are one segment, or several where they are too long for one; an empty line
//! begins the next. Escapes are `\r \n \t \0 \e \\ \xNN`, and `\s` for a space that one would not
//! see. Beside `>` and `<` there are
//! - `>x1000 TEXT`: the line a thousand times;
//! - `>> TEXT`: said before what the other one said last has reached the speaker;
//! - `>? TEXT`, `>? 17`: sent and received, but not seen, the second as so many bytes;
//! - `>~ TEXT`, `>~ 17`: seen, and left in the kernel on purpose; `>- TEXT`, `>- 17`: and dropped;
//! - `>! FIN`, `>! RST`: the end;
//! - `! midstream` (first of all): there is no handshake;
//! - `! again`, `! differs`: the last segment is seen once more, as it was, or other bytes in it;
//! - `! late 2`: the segment before the last two is seen after them;
//! - `! wait 5`: so many seconds pass.
#![allow(dead_code, reason = "each test target uses a part")]

use capture_agent::segment::Missing;

use super::pcap::{ACK, FIN, RST};
use super::peers::{MS, Peers, Seen};

/// What is longer than this goes in several segments, as it does where a host merges them.
const LONGEST_SEGMENT: usize = 60_000;

/// A dialogue and what is to come of it.
pub(crate) struct Case {
    pub(crate) title: String,
    pub(crate) dialogue: String,
    pub(crate) expected: String,
}

/// The cases of a file, and the lines before the first.
pub(crate) fn cases_in(file: &str) -> (String, Vec<Case>) {
    let mut parts = file.split("\n== ");
    let opening = parts.next().unwrap_or_default().trim_end().to_owned();
    let case = |part: &str| {
        let (title, rest) = part.split_once('\n').unwrap_or((part, ""));
        let (dialogue, expected) = rest.split_once("\n--\n").unwrap_or((rest, ""));
        Case {
            title: title.to_owned(),
            dialogue: dialogue.trim_end().to_owned(),
            expected: expected.trim().to_owned(),
        }
    };
    (opening, parts.map(case).collect())
}

/// A dialogue as what was seen of it.
pub(crate) fn play(dialogue: &str) -> Vec<Seen> {
    let mut stage = Stage::default();
    for line in dialogue.lines() {
        let (kind, text) = line.split_once(' ').unwrap_or((line, ""));
        let (marker, times) = kind.split_once('x').unwrap_or((kind, "1"));
        match marker {
            "" => stage.flush(),
            "!" => stage.happens(text),
            ">!" | "<!" => stage.ends(marker, text),
            _ => stage.line(marker, text, times.parse().expect("a number of times")),
        }
    }
    stage.flush();
    stage.peers.unwrap_or_else(Peers::open).seen
}

/// What a dialogue's lines come to, escapes undone and the end of each added.
pub(crate) fn said(dialogue: &str) -> impl Iterator<Item = Vec<u8>> {
    dialogue.lines().filter_map(|line| {
        let (marker, text) = line.split_once(' ')?;
        marker.starts_with(['>', '<']).then(|| bytes_of(text))
    })
}

#[derive(Default)]
struct Stage {
    /// There once something was said: until then it is open how they begin.
    peers: Option<Peers>,
    /// What is being said, and how.
    marker: String,
    text: Vec<u8>,
}

impl Stage {
    fn peers(&mut self) -> &mut Peers {
        self.peers.get_or_insert_with(Peers::open)
    }

    fn line(&mut self, marker: &str, text: &str, times: usize) {
        if self.marker != marker {
            self.flush();
            marker.clone_into(&mut self.marker);
        }
        match text.parse::<usize>() {
            Ok(count) if marker.ends_with(['?', '~', '-']) => {
                self.text.resize(self.text.len() + count, b'?')
            }
            _ => self.text.extend(bytes_of(text).repeat(times)),
        }
    }

    fn flush(&mut self) {
        let (marker, text) = (std::mem::take(&mut self.marker), std::mem::take(&mut self.text));
        for part in text.chunks(LONGEST_SEGMENT) {
            let peers = self.peers();
            match &*marker {
                ">" | ">?" | ">~" | ">-" => peers.client_says(ACK, part),
                ">>" => peers.client_hurries(ACK, part),
                "<" | "<?" | "<~" | "<-" => peers.server_says(ACK, part),
                "<<" => peers.server_hurries(ACK, part),
                other => panic!("{other:?} is no marker"),
            }
            match marker.get(1..) {
                Some("?") => peers.unseen(),
                Some("~") => peers.left_out(Missing::Elided),
                Some("-") => peers.left_out(Missing::Dropped),
                _ => {}
            }
        }
    }

    fn ends(&mut self, marker: &str, how: &str) {
        self.flush();
        let flags = match how {
            "FIN" => FIN | ACK,
            "RST" => RST | ACK,
            other => panic!("{other:?} is no end"),
        };
        match marker {
            ">!" => self.peers().client_says(flags, b""),
            _ => self.peers().server_says(flags, b""),
        }
    }

    fn happens(&mut self, what: &str) {
        self.flush();
        if what == "midstream" {
            assert!(self.peers.is_none(), "that is how it begins");
            self.peers = Some(Peers::new());
            return;
        }
        let peers = self.peers();
        let last = peers.seen.len() - 1;
        match what.split_once(' ').unwrap_or((what, "")) {
            ("again", _) => peers.seen.push(peers.seen[last].clone()),
            ("differs", _) => {
                let mut copy = peers.seen[last].clone();
                copy.tcp.payload.fill(b'#');
                peers.seen.push(copy);
            }
            ("late", count) => {
                let first = last - count.parse::<usize>().unwrap();
                let times: Vec<_> = peers.seen[first..].iter().map(|seen| seen.time).collect();
                peers.seen[first..].rotate_left(1);
                for (seen, time) in peers.seen[first..].iter_mut().zip(times) {
                    seen.time = time;
                }
            }
            ("wait", seconds) => peers.wait(seconds.parse::<u64>().unwrap() * 1_000 * MS),
            other => panic!("{other:?} does not happen"),
        }
    }
}

/// A line with its escapes undone, and its end.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let Some(escape) = rest.next() else { return bytes };
        bytes.push(match escape {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b's' => b' ',
            b'0' => 0,
            b'e' => 0x1b,
            b'\\' => b'\\',
            b'x' => {
                let mut digit = || char::from(rest.next().unwrap()).to_digit(16).unwrap() as u8;
                digit() << 4 | digit()
            }
            other => panic!("\\{} is no escape", char::from(other)),
        });
    }
    if !text.ends_with("\\n") {
        bytes.extend(b"\r\n");
    }
    bytes
}
