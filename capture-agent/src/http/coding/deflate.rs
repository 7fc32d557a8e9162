//! The coding `deflate`: zlib (RFC 1950), as RFC 9110 section 8.4.1.2 wants it, or bare DEFLATE
//! (RFC 1951), as some servers have always sent it.
//!
//! The two first bytes tell: those of zlib are a multiple of 31. A bare stream may begin like that
//! too, so what gives an error before it gives anything else is tried again as a bare one.

use super::inflate::{Inflate, Wrapping};
use super::{DecodeError, Out};

/// Most bytes that are kept to be tried again: the longest description of a block's codes is 322.
const MAX_HELD_BYTES: usize = 512;

/// Decodes `deflate`.
#[derive(Debug)]
pub(super) struct Deflate {
    inflate: Inflate,
    /// What came in, as long as it is not known for certain which of the two it is.
    held: Option<Vec<u8>>,
}

impl Default for Deflate {
    fn default() -> Self {
        Self { inflate: Inflate::new(Wrapping::Zlib), held: Some(Vec::new()) }
    }
}

impl Deflate {
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Out<'_>) -> Result<(), DecodeError> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            let Some(held) = &mut self.held else {
                let after_end = self.inflate.push(rest, out)?;
                return if after_end.is_empty() { Ok(()) } else { Err(DecodeError::Malformed) };
            };
            held.push(*byte);
            rest = after;
            self.try_byte(*byte, out)?;
        }
        Ok(())
    }

    /// Decodes a byte that has been put with those held.
    fn try_byte(&mut self, byte: u8, out: &mut Out<'_>) -> Result<(), DecodeError> {
        let mut gave = false;
        let byte = [byte];
        let tried = self.inflate.push(&byte, &mut |piece| {
            gave = true;
            out(piece)
        });
        let certain = gave || self.inflate.is_done();
        match tried {
            Err(DecodeError::Malformed) if !certain => {
                let held = self.held.take().unwrap_or_default();
                self.inflate.reset(Wrapping::Raw);
                self.push(&held, out)
            }
            tried => {
                if certain || self.held.as_ref().is_some_and(|held| held.len() >= MAX_HELD_BYTES) {
                    self.held = None;
                }
                tried.map(|_| ())
            }
        }
    }

    pub(super) fn may_end(&self) -> bool {
        self.inflate.is_done()
    }

    pub(super) fn memory(&self) -> usize {
        self.inflate.memory() + self.held.as_ref().map_or(0, Vec::capacity)
    }
}
