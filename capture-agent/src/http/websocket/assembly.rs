//! One message while it is put together from its frames.

use super::frame::{Frame, Opcode};
use super::inflater::Inflater;
use super::message::{Anomalies, Anomaly, Message};
use super::utf8::Utf8;
use super::{Rules, State};
use crate::flow::Direction;
use crate::http::coding::{DecodeError, GRAIN_BYTES};
use crate::segment::{Missing, Timestamp};

/// Control messages are this short (RFC 6455 section 5.5).
const MAX_CONTROL_BYTES: u64 = 125;

/// How payload becomes content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As it is.
    Plain,
    Inflated,
    /// Not at all any more.
    Blocked,
}

/// A message that is not over.
#[derive(Debug)]
pub(super) struct Assembly {
    message: Message,
    way: Way,
    /// Bytes that became content, kept or not.
    decoded_bytes: u64,
    /// The code of a close, as far as it is there.
    code: u16,
    utf8: Utf8,
}

impl Assembly {
    /// The message that a frame begins.
    pub(super) fn new(frame: &Frame, first_byte: Timestamp) -> Self {
        let message = Message {
            opcode: frame.opcode,
            frames: 0,
            wire_bytes: 0,
            bytes: None,
            content: Vec::new(),
            truncated: false,
            compressed: false,
            masked: frame.mask.is_some(),
            close_code: None,
            state: State::Open,
            lost_bytes: 0,
            dropped_bytes: 0,
            elided_bytes: 0,
            first_byte,
            last_byte: first_byte,
            anomalies: Anomalies::default(),
        };
        let utf8 = Utf8::default();
        Self { message, way: Way::Plain, decoded_bytes: 0, code: 0, utf8 }
    }

    /// Its payload is compressed, by an inflater that is able to read it or not.
    pub(super) fn compressed(&mut self, is_able: bool) {
        self.message.compressed = true;
        self.way = if is_able { Way::Inflated } else { Way::Blocked };
        self.note_if(!is_able, Anomaly::ContextLost);
    }

    /// A frame of it begins. `rsv1` says whether the frame may have that bit set.
    pub(super) fn frame(&mut self, frame: &Frame, direction: Direction, rsv1: bool) {
        self.message.frames = self.message.frames.saturating_add(1);
        let opcode = self.message.opcode;
        let control = opcode.is_control();
        match (direction, frame.mask) {
            (Direction::ToServer, None) => self.note_if(true, Anomaly::UnmaskedClientFrame),
            (Direction::ToClient, Some(_)) => self.note_if(true, Anomaly::MaskedServerFrame),
            _ => {}
        }
        self.note_if(frame.rsv23 || frame.rsv1 && !rsv1, Anomaly::ReservedBits);
        self.note_if(matches!(opcode, Opcode::Reserved(_)), Anomaly::ReservedOpcode);
        self.note_if(opcode == Opcode::Continuation, Anomaly::UnexpectedContinuation);
        self.note_if(frame.is_wordy, Anomaly::NonMinimalLength);
        self.note_if(!frame.is_possible(), Anomaly::ImpossibleLength);
        self.note_if(control && !frame.fin, Anomaly::FragmentedControl);
        self.note_if(control && frame.len > MAX_CONTROL_BYTES, Anomaly::LongControl);
    }

    pub(super) fn note_if(&mut self, holds: bool, anomaly: Anomaly) {
        self.message.anomalies.add_if(holds, anomaly);
    }

    /// When a byte of it was seen, of a header or of payload.
    pub(super) fn seen(&mut self, time: Timestamp) {
        self.message.last_byte = self.message.last_byte.max(time);
    }

    /// Takes payload as it was sent, from this place in its frame on.
    pub(super) fn payload(
        &mut self,
        bytes: &[u8],
        mask: Option<[u8; 4]>,
        at: u64,
        inflater: &mut Inflater,
        rules: &Rules,
    ) {
        self.message.wire_bytes += bytes.len() as u64;
        let mut mask = mask.map(|mask| rotated(mask, at));
        let mut buffer = [0; GRAIN_BYTES];
        let mut rest = bytes;
        while !rest.is_empty() && self.wants_bytes(rules) {
            let step = if self.way == Way::Inflated { inflater.to_grain() } else { GRAIN_BYTES };
            let (piece, after) = rest.split_at(step.min(rest.len()));
            rest = after;
            let piece = match &mut mask {
                Some(mask) => {
                    let unmasked = unmask(piece, *mask, &mut buffer);
                    *mask = rotated(*mask, unmasked.len() as u64);
                    unmasked
                }
                None => piece,
            };
            match self.way {
                Way::Inflated => self.inflate(piece, inflater, rules),
                Way::Plain | Way::Blocked => self.text(piece, rules.keep_bytes),
            }
        }
        if self.way == Way::Plain {
            self.decoded_bytes += rest.len() as u64;
            self.message.truncated |= rules.keep_bytes > 0 && !rest.is_empty();
        }
    }

    /// Whether anything but the number of bytes is of interest.
    fn wants_bytes(&self, rules: &Rules) -> bool {
        let is_full = self.message.content.len() >= rules.keep_bytes;
        match self.way {
            Way::Plain => !is_full || matches!(self.message.opcode, Opcode::Text | Opcode::Close),
            Way::Inflated => true,
            Way::Blocked => false,
        }
    }

    fn inflate(&mut self, piece: &[u8], inflater: &mut Inflater, rules: &Rules) {
        let result =
            inflater.push(piece, &rules.limits, &mut |text| self.text(text, rules.keep_bytes));
        if let Err(error) = result {
            self.block(error, inflater);
        }
    }

    fn block(&mut self, error: DecodeError, inflater: &mut Inflater) {
        let is_limit = error == DecodeError::Limit;
        self.note_if(is_limit, Anomaly::DecodingLimit);
        self.note_if(!is_limit, Anomaly::MalformedDeflate);
        self.way = Way::Blocked;
        inflater.lose();
    }

    /// Takes content.
    fn text(&mut self, text: &[u8], keep: usize) {
        let mut text = text;
        while self.message.opcode == Opcode::Close && self.decoded_bytes < 2 {
            let Some((byte, after)) = text.split_first() else { return };
            self.code = self.code << 8 | u16::from(*byte);
            self.decoded_bytes += 1;
            text = after;
            if self.decoded_bytes == 2 {
                self.message.close_code = Some(self.code);
            }
        }
        if matches!(self.message.opcode, Opcode::Text | Opcode::Close) {
            self.utf8.push(text);
        }
        self.decoded_bytes += text.len() as u64;
        let content = &mut self.message.content;
        let room = keep.saturating_sub(content.len()).min(text.len());
        content.extend_from_slice(text.get(..room).unwrap_or_default());
        self.message.truncated |= keep > 0 && room < text.len();
    }

    /// Bytes of it were sent and are not here.
    pub(super) fn lost(
        &mut self,
        len: u64,
        missing: Missing,
        inflater: &mut Inflater,
        rules: &Rules,
    ) {
        let message = &mut self.message;
        let count = match missing {
            Missing::Elided => {
                message.wire_bytes = message.wire_bytes.saturating_add(len);
                &mut message.elided_bytes
            }
            Missing::Unseen | Missing::Dropped => &mut message.lost_bytes,
        };
        *count = count.saturating_add(len);
        if missing == Missing::Dropped {
            message.dropped_bytes = message.dropped_bytes.saturating_add(len);
        }
        if self.way == Way::Inflated {
            inflater.lose();
        }
        if self.way != Way::Blocked {
            self.way = Way::Blocked;
            self.message.truncated |= rules.keep_bytes > 0;
        }
    }

    /// Its last frame has ended.
    pub(super) fn end(mut self, inflater: &mut Inflater, rules: &Rules) -> Message {
        if self.way == Way::Inflated
            && let Err(error) = inflater.end()
        {
            self.block(error, inflater);
        }
        self.message.state = match (self.message.lost_bytes, self.message.elided_bytes) {
            (0, 0) => State::Complete,
            (0, _) => State::Elided,
            _ => State::Gap,
        };
        if self.way == Way::Blocked {
            self.message.truncated |= rules.keep_bytes > 0;
        } else {
            self.message.bytes = Some(self.decoded_bytes);
            self.note_if(self.utf8.is_broken_off(), Anomaly::InvalidUtf8);
            let is_half = self.decoded_bytes == 1 && self.message.opcode == Opcode::Close;
            self.note_if(is_half, Anomaly::InvalidClose);
        }
        self.into_message()
    }

    /// It ends before its last frame does.
    pub(super) fn break_off(mut self, seen: State, inflater: &mut Inflater) -> Message {
        if self.way == Way::Inflated {
            inflater.lose();
        }
        let is_lossy = seen == State::Elided && self.message.lost_bytes > 0;
        self.message.state = if is_lossy { State::Gap } else { seen };
        self.into_message()
    }

    fn into_message(mut self) -> Message {
        self.note_if(self.utf8.is_invalid(), Anomaly::InvalidUtf8);
        let is_sendable =
            |code| (1000..5000).contains(&code) && !matches!(code, 1004 | 1005 | 1006 | 1015);
        let is_odd = self.message.close_code.is_some_and(|code| !is_sendable(code));
        self.note_if(is_odd, Anomaly::InvalidClose);
        self.message
    }

    pub(super) fn memory(&self) -> usize {
        self.message.content.capacity()
    }
}

/// The mask (RFC 6455 section 5.3) as it goes on after so many bytes.
fn rotated(mut mask: [u8; 4], after: u64) -> [u8; 4] {
    mask.rotate_left((after % 4) as usize);
    mask
}

/// These bytes without their mask, in as much of the buffer as they take.
fn unmask<'a>(bytes: &[u8], mask: [u8; 4], buffer: &'a mut [u8; GRAIN_BYTES]) -> &'a [u8] {
    for (slots, bytes) in buffer.chunks_mut(4).zip(bytes.chunks(4)) {
        for ((slot, byte), mask) in slots.iter_mut().zip(bytes).zip(mask) {
            *slot = byte ^ mask;
        }
    }
    buffer.get(..bytes.len()).unwrap_or_default()
}
