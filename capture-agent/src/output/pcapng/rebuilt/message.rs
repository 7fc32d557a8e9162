//! Messages as they are said again: heads as they were kept, bodies framed as their heads say.
//!
//! Follows RFC 9112 sections 6 and 7. Invariants: lengths that heads tell stay true, for what is not
//! here is left out in its place; a message that broke off breaks off, and one that ended ends.

use super::UNSEEN_BYTES;
use super::talk::Talk;
use crate::http::framing::{BodyFraming, Framing, of_request, of_response};
use crate::http::head::Parse;
use crate::http::{Anomalies, Anomaly, Body, Exchange, Length, Message, Place, State};
use crate::segment::{TcpFlags, Timestamp};

/// What the client says in an exchange, and what the server does.
pub(super) fn of_exchange(exchange: &Exchange) -> (Talk, Talk) {
    let (mut to_server, mut to_client) = (Talk::default(), Talk::default());
    let Exchange { request, response, informational, anomalies, .. } = exchange;
    if let Some(request) = request {
        let framing = of_request(&request.head, &mut Anomalies::default());
        let again = Again { message: request, framing, anomalies: *anomalies };
        again.say(|out| request.head.write_again(out), &mut to_server);
    }
    // When they came is not known: before the response, which they say is to come.
    let first_byte = response.as_ref().map(|response| response.first_byte);
    let time = first_byte.or(request.as_ref().map(|request| request.last_byte));
    for head in informational {
        let mut text = Vec::new();
        head.write_again(&mut text);
        to_client.say(time.unwrap_or_default(), &text);
    }
    if let Some(response) = response {
        let method = request.as_ref().map(|request| request.head.method());
        let framing = of_response(&response.head, method, &mut Anomalies::default());
        let again = Again { message: response, framing, anomalies: *anomalies };
        again.say(|out| response.head.write_again(out), &mut to_client);
    }
    (to_server, to_client)
}

/// A message that is said again.
struct Again<'a, H> {
    message: &'a Message<H>,
    framing: Framing,
    anomalies: Anomalies,
}

impl<H: Parse> Again<'_, H> {
    fn say(&self, write_head: impl FnOnce(&mut Vec<u8>), talk: &mut Talk) {
        let Message { head, first_byte, last_byte, .. } = self.message;
        let mut text = Vec::new();
        write_head(&mut text);
        let missing = self.missing();
        if self.is_bare() && last_byte > first_byte && missing.head == 0 {
            // Its end is all that came later.
            let last = text.split_off(text.len().saturating_sub(1));
            talk.say(*first_byte, &text);
            talk.say(*last_byte, &last);
        } else {
            talk.say(*first_byte, &text);
        }
        if head.common().is_cut() {
            return self.break_head_off(missing.head, talk);
        }
        match self.framing {
            Framing::Body(BodyFraming::Chunked) => self.say_chunks(talk),
            Framing::PerhapsBody(BodyFraming::Chunked) => self.say_chunks(talk),
            Framing::Body(_) | Framing::PerhapsBody(_) => self.say_body(talk),
            Framing::Tunnel | Framing::Interim | Framing::Unknown => return,
        }
        self.end(talk);
    }

    /// Whether it is a head and nothing else.
    fn is_bare(&self) -> bool {
        let has_chunks = matches!(
            self.framing,
            Framing::Body(BodyFraming::Chunked) | Framing::PerhapsBody(BodyFraming::Chunked)
        );
        !has_chunks && self.body_bytes() == 0
    }

    /// What follows the first part of a head is not here, unless nothing does.
    fn break_head_off(&self, missing: u64, talk: &mut Talk) {
        let time = self.message.last_byte;
        let was_too_long = self.anomalies.contains(Anomaly::HeadTooLong);
        match self.message.state {
            _ if missing > 0 => talk.leave_out(time, missing),
            State::Cut if !was_too_long => talk.end(time, TcpFlags::FIN),
            State::Open => {}
            _ => talk.leave_out(time, u64::from(UNSEEN_BYTES)),
        }
    }

    /// What is not here of the head and of the body.
    fn missing(&self) -> Missing {
        let Message { gaps, lost_bytes, elided_bytes, .. } = self.message;
        let of_head = gaps.iter().filter(|gap| gap.place == Place::Head);
        let head = of_head.map(|gap| gap.bytes).sum::<u64>();
        Missing { head, body: (lost_bytes + elided_bytes).saturating_sub(head) }
    }

    /// Bytes of the body, those that are not here included.
    fn body_bytes(&self) -> u64 {
        let Message { body, elided_bytes, .. } = self.message;
        let Body { wire, wire_bytes, length, .. } = body;
        let seen = match (wire, length) {
            (Some(wire), _) => wire.seen_bytes,
            (None, Length::Counted) => wire_bytes.saturating_sub(*elided_bytes),
            (None, _) => *wire_bytes,
        };
        seen + self.missing().body
    }

    /// Has each part of the body taken, and what lies between them left out, each as so many bytes.
    fn each(&self, mut take: impl FnMut(Timestamp, Result<&[u8], u64>)) {
        let mut done = 0;
        let mut time = self.message.first_byte;
        let parts = self.message.body.wire.iter().flat_map(|wire| wire.parts());
        for (piece, bytes) in parts {
            if piece.offset > done {
                take(piece.time, Err(piece.offset - done));
            }
            take(piece.time, Ok(bytes));
            done = piece.offset + piece.len as u64;
            time = time.max(piece.time);
        }
        let rest = self.body_bytes().saturating_sub(done);
        if rest > 0 {
            take(self.message.last_byte.max(time), Err(rest));
        }
    }

    fn say_body(&self, talk: &mut Talk) {
        self.each(|time, part| match part {
            Ok(bytes) => talk.say(time, bytes),
            Err(left_out) => talk.leave_out(time, left_out),
        });
    }

    /// A chunk for each part, and the last one.
    fn say_chunks(&self, talk: &mut Talk) {
        self.each(|time, part| {
            match part {
                Ok(bytes) => {
                    talk.say(time, format!("{:x}\r\n", bytes.len()).as_bytes());
                    talk.say(time, bytes);
                }
                Err(left_out) => {
                    // With what is there before, so that nobody waits for more of that.
                    let before = talk.last_time().unwrap_or(time);
                    talk.say(before, format!("{left_out:x}\r\n").as_bytes());
                    talk.leave_out(time, left_out);
                }
            }
            talk.say(time, b"\r\n");
        });
        let has_ended = matches!(self.message.state, State::Complete | State::Gap | State::Elided);
        if has_ended {
            let mut last = b"0\r\n".to_vec();
            self.message.trailers.write_lines(&mut last);
            last.extend(b"\r\n");
            talk.say(self.message.last_byte, &last);
        } else if self.has_broken_chunk() {
            // No size of a chunk.
            talk.say(self.message.last_byte, b"\r\n");
        }
    }

    fn has_broken_chunk(&self) -> bool {
        self.message.state == State::Cut && self.anomalies.contains(Anomaly::MalformedChunk)
    }

    /// The sender's end where it ended the message: as it should, or before its time. How that was
    /// is not known; it was no FIN where that would have been in time.
    fn end(&self, talk: &mut Talk) {
        let is_closed = matches!(
            self.framing,
            Framing::Body(BodyFraming::Close) | Framing::PerhapsBody(BodyFraming::Close)
        );
        let time = self.message.last_byte;
        match self.message.state {
            State::Complete | State::Gap | State::Elided if is_closed => {
                talk.end(time, TcpFlags::FIN);
            }
            State::Cut if is_closed => talk.end(time, TcpFlags::RST),
            State::Cut if !self.has_broken_chunk() => talk.end(time, TcpFlags::FIN),
            _ => {}
        }
    }
}

/// Bytes that are not here.
struct Missing {
    head: u64,
    body: u64,
}
