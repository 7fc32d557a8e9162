//! The header of a frame (RFC 6455 section 5.2).

use crate::segment::Timestamp;

/// Flags and opcode, length, extended length, masking key.
const MAX_HEADER_BYTES: usize = 2 + 8 + 4;

/// What a frame or a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// Of a message: its beginning was not there.
    Continuation,
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
    /// The sender is about to close, or agrees to.
    Close,
    /// Are you there?
    Ping,
    /// I am.
    Pong,
    /// One that RFC 6455 leaves for later: data below 8, control from there.
    Reserved(u8),
}

impl Opcode {
    const fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => Self::Reserved(other),
        }
    }

    /// Whether it stands for itself, maybe between the fragments of a message.
    pub(super) const fn is_control(self) -> bool {
        match self {
            Self::Continuation | Self::Text | Self::Binary => false,
            Self::Close | Self::Ping | Self::Pong => true,
            Self::Reserved(bits) => bits >= 8,
        }
    }
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Last of its message.
    pub(super) fin: bool,
    /// RSV1, which permessage-deflate uses.
    pub(super) rsv1: bool,
    /// RSV2 or RSV3, which nobody uses.
    pub(super) rsv23: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub(super) len: u64,
    /// Whether `len` could have been said in fewer bytes.
    pub(super) is_wordy: bool,
}

impl Frame {
    /// The header at the start of these bytes, `None` while it is not all there.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let [flags, len, rest @ ..] = bytes else { return None };
        let (len, shortest, rest, is_masked) = match (len & 0x7f, len & 0x80 != 0) {
            (126, is_masked) => {
                let (len, rest) = rest.split_first_chunk()?;
                (u64::from(u16::from_be_bytes(*len)), 126, rest, is_masked)
            }
            (127, is_masked) => {
                let (len, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*len), 1 << 16, rest, is_masked)
            }
            (len, is_masked) => (u64::from(len), 0, rest, is_masked),
        };
        let mask = if is_masked { Some(*rest.first_chunk()?) } else { None };
        Some(Self {
            fin: flags & 0x80 != 0,
            rsv1: flags & 0x40 != 0,
            rsv23: flags & 0x30 != 0,
            opcode: Opcode::from_bits(flags & 0x0f),
            mask,
            len,
            is_wordy: len < shortest,
        })
    }

    /// Whether the payload has a length that can be: one of 2^63 and more can't.
    pub(super) const fn is_possible(&self) -> bool {
        self.len < 1 << 63
    }
}

/// A header while it is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    bytes: [u8; MAX_HEADER_BYTES],
    len: usize,
    /// When the first of its bytes was seen.
    pub(super) first_byte: Timestamp,
}

impl Header {
    /// Takes a byte; returns the frame that this was the last one of.
    pub(super) fn push(&mut self, byte: u8, time: Timestamp) -> Option<Frame> {
        if self.len == 0 {
            self.first_byte = time;
        }
        *self.bytes.get_mut(self.len)? = byte;
        self.len += 1;
        let frame = Frame::parse(self.bytes.get(..self.len)?)?;
        self.len = 0;
        Some(frame)
    }
}
