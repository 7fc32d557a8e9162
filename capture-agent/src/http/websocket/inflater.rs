//! permessage-deflate undone (RFC 7692 section 7.2).
//!
//! Messages share one history, unless the sides agreed otherwise: where one was not decoded to its
//! end, none after it can be.

use crate::http::coding::inflate::Inflate;
use crate::http::coding::{DecodeError, GRAIN_BYTES, Limits};

/// What every sender leaves out at the end of a message, and then an empty last block: one that
/// ends there shows that the message did end between two blocks.
const TAIL: [u8; 6] = [0x00, 0x00, 0xff, 0xff, 0x03, 0x00];

/// Decompresses the messages of one direction.
#[derive(Debug, Default)]
pub(super) struct Inflater {
    /// Whether each message is compressed by itself.
    by_itself: bool,
    /// None where no history is needed.
    inflate: Option<Inflate>,
    /// Whether a part of the history is missing.
    lost: bool,
    /// Bytes that have come in and out, of all messages: small bombs in a row are one.
    wire_bytes: u64,
    decoded_bytes: u64,
    /// Of the message that is read, `wire_bytes` before and bytes that have come out.
    began_at: u64,
    message_bytes: u64,
}

impl Inflater {
    pub(super) fn new(by_itself: bool) -> Self {
        Self { by_itself, ..Self::default() }
    }

    /// A message begins; returns whether it can be decompressed.
    pub(super) fn begin(&mut self) -> bool {
        self.began_at = self.wire_bytes;
        self.message_bytes = 0;
        !self.lost
    }

    /// How many bytes the next piece may have: the limits hold at the same places for all cuts.
    pub(super) fn to_grain(&self) -> usize {
        GRAIN_BYTES - self.wire_bytes as usize % GRAIN_BYTES
    }

    /// Decompresses a piece of a message.
    pub(super) fn push(
        &mut self,
        piece: &[u8],
        limits: &Limits,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), DecodeError> {
        self.wire_bytes += piece.len() as u64;
        let grains = self.wire_bytes.next_multiple_of(GRAIN_BYTES as u64);
        let by_ratio = limits.by_ratio(grains);
        let Self { inflate, decoded_bytes, message_bytes, .. } = self;
        let inflate = inflate.get_or_insert_with(Inflate::lasting);
        let mut rest = piece;
        while !rest.is_empty() {
            if inflate.is_done() {
                inflate.go_on(); // A last block may be followed by more (section 7.2.3.4).
            }
            rest = inflate.push(rest, &mut |text| {
                let allowed = by_ratio.saturating_sub(*decoded_bytes);
                let allowed = allowed.min(limits.max_bytes.saturating_sub(*message_bytes));
                let room = usize::try_from(allowed).unwrap_or(usize::MAX);
                let within = text.get(..room).unwrap_or(text);
                *decoded_bytes += within.len() as u64;
                *message_bytes += within.len() as u64;
                sink(within);
                if within.len() < text.len() { Err(DecodeError::Limit) } else { Ok(()) }
            })?;
        }
        Ok(())
    }

    /// The message has ended.
    pub(super) fn end(&mut self) -> Result<(), DecodeError> {
        if let Some(inflate) = &mut self.inflate {
            if !inflate.is_done() && self.wire_bytes > self.began_at {
                let after = inflate.push(&TAIL, &mut |_| Err(DecodeError::Malformed))?;
                if !inflate.is_done() || !after.is_empty() {
                    return Err(DecodeError::Malformed);
                }
            }
            inflate.go_on();
        }
        if self.by_itself {
            self.inflate = None;
        }
        Ok(())
    }

    /// Not all of the message can be decompressed.
    pub(super) fn lose(&mut self) {
        self.inflate = None;
        self.lost = !self.by_itself;
    }

    pub(super) fn memory(&self) -> usize {
        self.inflate.as_ref().map_or(0, Inflate::memory)
    }
}
