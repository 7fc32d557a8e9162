//! Bytes as a body under content codings, or as what one side of a WebSocket says.
//!
//! However they are cut, the same comes out, and never more than the limits allow.

use capture_agent::flow::Direction;
use capture_agent::http::State;
use capture_agent::http::coding::{DecodeError, Decoder, Limits};
use capture_agent::http::websocket::{Deflate, Message, Opcode, Receiver, Rules};
use capture_agent::segment::{Missing, Timestamp};

use super::cursor::{Cursor, lengths, pieces};

/// Small, so that small inputs reach them.
const LIMITS: Limits =
    Limits { max_bytes: 300_000, max_ratio: 100, free_bytes: 10_000, max_codings: 4 };
/// How many bytes are decoded at a time, by which the ratio may be late.
const GRAIN_BYTES: u64 = 1024;
/// The largest window of any coding, a block, and what the decoder itself takes.
const MAX_CODEC_BYTES: usize = (16 << 20) + (1 << 20);

pub(crate) fn run(data: &[u8]) {
    let mut cursor = Cursor(data);
    let is_websocket = cursor.u8() & 1 == 1;
    let seed = cursor.u16();
    if is_websocket {
        websocket(&mut cursor, seed);
    } else {
        content(&mut cursor, seed);
    }
}

fn content(cursor: &mut Cursor<'_>, seed: u16) {
    let codings: &[u8] = cursor.choice(&[
        b"gzip",
        b"deflate",
        b"br",
        b"zstd",
        b"gzip, gzip",
        b"br, gzip",
        b"deflate, zstd, br",
    ]);
    let bytes = cursor.0;
    let whole = decode(codings, [bytes].into_iter());
    let by_byte = decode(codings, bytes.chunks(1));
    assert!(by_byte == whole, "cuts make no difference");
    let cut = decode(codings, pieces(bytes, lengths(seed)));
    assert!(cut == whole, "cuts make no difference");

    let (text, ended) = whole;
    let prefix = bytes.get(..usize::from(seed) % (bytes.len() + 1)).unwrap_or_default();
    let (before, _) = decode(codings, [prefix].into_iter());
    // A malformed end may keep back a little of what came before it.
    assert!(text.starts_with(&before) || before.starts_with(&text) && ended.is_err());
}

fn decode<'a>(
    codings: &[u8],
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<u8>, Result<(), DecodeError>) {
    let members = [codings].into_iter();
    let mut decoder =
        Decoder::new(members, LIMITS).expect("codings are known").expect("there are some");
    let most = 10 * 1024 + MAX_CODEC_BYTES * codings.split(|byte| *byte == b',').count();
    let (mut text, mut failed, mut wire_bytes) = (Vec::new(), None, 0);
    for piece in pieces {
        wire_bytes += piece.len() as u64;
        let before = text.len();
        let result = decoder.push(piece, &mut |text_piece| text.extend_from_slice(text_piece));
        if let Some(error) = failed {
            assert_eq!((result, text.len()), (Err(error), before), "an error is the last word");
        }
        failed = result.err();
        assert!(decoder.memory() <= if failed.is_some() { 0 } else { most });
        assert!(text.len() as u64 <= allowed(wire_bytes), "limits hold at any time");
    }
    let ended = decoder.finish(&mut |piece| text.extend_from_slice(piece));
    assert!(failed.is_none_or(|error| ended == Err(error)));
    assert!(ended.is_ok() || decoder.memory() == 0);
    assert!(text.len() as u64 <= allowed(wire_bytes));
    (text, ended)
}

fn allowed(wire_bytes: u64) -> u64 {
    let by_ratio = LIMITS.free_bytes + LIMITS.max_ratio * wire_bytes;
    by_ratio.min(LIMITS.max_bytes)
}

fn websocket(cursor: &mut Cursor<'_>, seed: u16) {
    let bits = cursor.u8();
    let direction = if bits & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
    let by_itself = bits & 2 != 0;
    let deflate =
        Deflate { server_no_context_takeover: by_itself, client_no_context_takeover: by_itself };
    let deflate = (bits & 4 == 0).then_some(deflate);
    let keep_bytes = if bits & 8 == 0 { 1 << 20 } else { 20 };
    let hole = if bits & 16 == 0 { 0 } else { usize::from(cursor.u8()) };
    let bytes = cursor.0;
    let (before, rest) = bytes.split_at(usize::from(seed) % (bytes.len() + 1));
    let (_, after) = rest.split_at(hole.min(rest.len()));
    let lost = rest.len() - after.len();

    let rules = Rules { keep_bytes, limits: LIMITS };
    let read = |lengths: &mut dyn Iterator<Item = usize>| {
        let mut listener = Listener { receiver: Receiver::new(direction, deflate), rules };
        let mut messages = Vec::new();
        pieces(before, &mut *lengths).for_each(|piece| listener.data(piece, &mut messages));
        if lost > 0 {
            let mut sink = |message| messages.push(message);
            listener.receiver.gap(lost as u64, Missing::Unseen, None, &rules, &mut sink);
        }
        pieces(after, lengths).for_each(|piece| listener.data(piece, &mut messages));
        listener.receiver.finish(State::Cut, &mut |message| messages.push(message));
        assert_eq!(listener.receiver.memory(), 0);
        messages
    };
    let whole = read(&mut std::iter::repeat(usize::MAX));
    assert!(read(&mut std::iter::repeat(1)) == whole, "cuts make no difference");
    assert!(read(&mut lengths(seed)) == whole, "cuts make no difference");

    let wire_bytes: u64 = whole.iter().map(|message| message.wire_bytes).sum();
    assert!(wire_bytes <= (before.len() + after.len()) as u64);
    let decoded: usize = whole
        .iter()
        .filter(|message| message.compressed)
        .map(|message| message.content.len())
        .sum();
    assert!(decoded as u64 <= LIMITS.free_bytes + LIMITS.max_ratio * (wire_bytes + GRAIN_BYTES));
    for message in &whole {
        check(message, keep_bytes);
    }
}

struct Listener {
    receiver: Receiver,
    rules: Rules,
}

impl Listener {
    fn data(&mut self, piece: &[u8], messages: &mut Vec<Message>) {
        let mut sink = |message| messages.push(message);
        self.receiver.data(piece, Timestamp(1), &self.rules, &mut sink);
        let most = 2 * (2 * self.rules.keep_bytes + 64) + (64 << 10);
        assert!(self.receiver.memory() <= most, "{}", self.receiver.memory());
    }
}

fn check(message: &Message, keep_bytes: usize) {
    assert!(message.content.len() <= keep_bytes && message.frames > 0);
    let complete = message.state == State::Complete;
    assert!(message.bytes.is_none() || complete);
    assert!(!complete || message.lost_bytes == 0);
    if let Some(bytes) = message.bytes {
        let code = if message.opcode == Opcode::Close { bytes.min(2) } else { 0 };
        let content = message.content.len() as u64 + code;
        assert!(if message.truncated { content < bytes } else { content == bytes });
        assert!(message.compressed || bytes == message.wire_bytes);
    }
}
