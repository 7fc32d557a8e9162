//! The messages of a WebSocket: what follows the 101 that answers `Upgrade: websocket`.
//!
//! Follows RFC 6455, and RFC 7692 for compression. Each direction is read by itself. Invariants:
//! cuts change nothing but times; a message keeps no more than it may; where a frame's end is not
//! known, nothing that follows is taken for a frame.

mod assembly;
mod extension;
mod frame;
mod inflater;
mod message;
#[cfg(test)]
mod tests;
mod utf8;

use super::State;
use super::coding::Limits;
use crate::flow::Direction;
use crate::segment::{Missing, Timestamp};
use assembly::Assembly;
pub use extension::{Deflate, negotiated};
pub use frame::Opcode;
use frame::{Frame, Header};
use inflater::Inflater;
pub use message::{Anomalies, Anomaly, Message};

/// What is kept, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How many bytes of each message are kept; 0 for none.
    pub keep_bytes: usize,
    /// How much may be decompressed: the ratio counts for all messages of a direction together,
    /// the rest for each.
    pub limits: Limits,
}

/// A payload that is not over.
#[derive(Debug)]
struct Payload {
    frame: Frame,
    /// Bytes of it that have passed, seen or not.
    at: u64,
}

impl Payload {
    const fn left(&self) -> u64 {
        self.frame.len - self.at
    }
}

/// Reads one direction.
#[derive(Debug)]
pub struct Receiver {
    direction: Direction,
    /// Whether messages may be compressed.
    may_deflate: bool,
    inflater: Inflater,
    header: Header,
    payload: Option<Payload>,
    /// The data message that is not over; control messages may come between its fragments.
    data: Option<Assembly>,
    control: Option<Assembly>,
    is_deaf: bool,
}

impl Receiver {
    /// Reads a direction from its first frame on. `deflate` is what the response agreed to.
    #[must_use]
    pub fn new(direction: Direction, deflate: Option<Deflate>) -> Self {
        Self {
            direction,
            may_deflate: deflate.is_some(),
            inflater: Inflater::new(deflate.is_some_and(|deflate| deflate.is_by_itself(direction))),
            header: Header::default(),
            payload: None,
            data: None,
            control: None,
            is_deaf: false,
        }
    }

    /// Takes bytes that follow those before; finished messages go to `sink`.
    pub fn data(
        &mut self,
        bytes: &[u8],
        time: Timestamp,
        rules: &Rules,
        sink: &mut dyn FnMut(Message),
    ) {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first().filter(|_| !self.is_deaf) {
            if self.payload.is_some() {
                rest = self.payload(rest, time, rules);
            } else {
                rest = after;
                if let Some(frame) = self.header.push(*byte, time) {
                    self.begin(frame, time, sink);
                }
            }
            self.end_frame(rules, sink);
        }
    }

    /// Bytes that were sent and are not here, the last of them seen then if it was. Inside a payload
    /// they are passed over; elsewhere the direction is out of step, and what was not over comes out.
    pub fn gap(
        &mut self,
        len: u64,
        missing: Missing,
        time: Option<Timestamp>,
        rules: &Rules,
        sink: &mut dyn FnMut(Message),
    ) {
        let left = self.payload.as_ref().map(Payload::left);
        if left.is_some_and(|left| left >= len) {
            if let Some(message) = current(&self.payload, &mut self.data, &mut self.control) {
                message.lost(len, missing, &mut self.inflater, rules);
                message.seen(time.unwrap_or_default());
            }
            if let Some(payload) = &mut self.payload {
                payload.at += len;
            }
            self.end_frame(rules, sink);
        } else {
            let is_elided = missing == Missing::Elided;
            // How much of a frame was left out, its length says.
            let of_message = if is_elided { left.unwrap_or(0) } else { len };
            for message in [&mut self.data, &mut self.control].into_iter().flatten() {
                message.lost(of_message, missing, &mut self.inflater, rules);
            }
            self.turn_deaf(if is_elided { State::Elided } else { State::Gap }, sink);
        }
    }

    /// Nothing more comes: what is not over comes out with this state.
    pub fn finish(&mut self, seen: State, sink: &mut dyn FnMut(Message)) {
        self.turn_deaf(seen, sink);
    }

    /// Whether nothing that follows will be a message.
    #[must_use]
    pub const fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    /// Bytes of memory that it takes beside its own size.
    #[must_use]
    pub fn memory(&self) -> usize {
        let messages = [&self.data, &self.control].into_iter().flatten();
        messages.map(Assembly::memory).sum::<usize>() + self.inflater.memory()
    }

    fn begin(&mut self, frame: Frame, time: Timestamp, sink: &mut dyn FnMut(Message)) {
        let Self { direction, inflater, header, .. } = self;
        let slot = if frame.opcode.is_control() { &mut self.control } else { &mut self.data };
        let before = slot.take();
        let (mut message, is_first) = match before {
            Some(message) if frame.opcode == Opcode::Continuation => (message, false),
            before => {
                if let Some(mut message) = before {
                    message.note_if(true, Anomaly::InterruptedMessage);
                    sink(message.break_off(State::Cut, inflater));
                }
                (Assembly::new(&frame, header.first_byte), true)
            }
        };
        let is_data = matches!(frame.opcode, Opcode::Text | Opcode::Binary);
        let may_deflate = self.may_deflate && is_first && is_data;
        message.frame(&frame, *direction, may_deflate);
        message.seen(time);
        if may_deflate && frame.rsv1 {
            message.compressed(inflater.begin());
        }
        *slot = Some(message);
        if frame.is_possible() {
            self.payload = Some(Payload { frame, at: 0 });
        } else {
            self.turn_deaf(State::Cut, sink);
        }
    }

    /// Takes what there is of the payload; returns what comes after.
    fn payload<'a>(&mut self, bytes: &'a [u8], time: Timestamp, rules: &Rules) -> &'a [u8] {
        let message = current(&self.payload, &mut self.data, &mut self.control);
        let (Some(message), Some(payload)) = (message, &mut self.payload) else { return &[] };
        let len = usize::try_from(payload.left()).unwrap_or(usize::MAX);
        let (piece, after) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
        message.seen(time);
        message.payload(piece, payload.frame.mask, payload.at, &mut self.inflater, rules);
        payload.at += piece.len() as u64;
        after
    }

    /// Ends the frame where all of it has passed, and the message with its last one.
    fn end_frame(&mut self, rules: &Rules, sink: &mut dyn FnMut(Message)) {
        let Some(payload) = self.payload.take_if(|payload| payload.left() == 0) else { return };
        let is_control = payload.frame.opcode.is_control();
        let slot = if is_control { &mut self.control } else { &mut self.data };
        let message = slot.take_if(|_| is_control || payload.frame.fin);
        if let Some(message) = message {
            sink(message.end(&mut self.inflater, rules));
        }
    }

    fn turn_deaf(&mut self, seen: State, sink: &mut dyn FnMut(Message)) {
        for message in [self.data.take(), self.control.take()].into_iter().flatten() {
            sink(message.break_off(seen, &mut self.inflater));
        }
        self.inflater = Inflater::default();
        self.payload = None;
        self.is_deaf = true;
    }
}

/// The message that the payload is of.
fn current<'a>(
    payload: &Option<Payload>,
    data: &'a mut Option<Assembly>,
    control: &'a mut Option<Assembly>,
) -> Option<&'a mut Assembly> {
    let is_control = payload.as_ref()?.frame.opcode.is_control();
    if is_control { control.as_mut() } else { data.as_mut() }
}
