//! The coding `zstd` (RFC 8878), with the window that RFC 9659 allows: frames one after the other,
//! skippable ones among them. A block comes out when it is there to its end: its bytes are coded
//! backwards.

use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::{DecodeError, Out};

/// The largest window, as a power of two: a frame may ask for 3.75 TiB.
const MAX_WINDOW_LOG: u32 = 23;
/// Bytes before a block, which the decoder asks for along with the block before it.
const BLOCK_HEADER_BYTES: usize = 3;
const OUT_BYTES: usize = 16 << 10;

/// Decodes `zstd`.
pub(super) struct Zstd {
    context: DCtx<'static>,
    /// How many bytes the decoder asks for next; 0 between frames.
    wanted: usize,
    out: Vec<u8>,
}

impl std::fmt::Debug for Zstd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Zstd {{ wanted: {}, .. }}", self.wanted)
    }
}

impl Zstd {
    pub(super) fn new() -> Result<Self, DecodeError> {
        // It fails where there is no memory.
        let mut context = DCtx::try_create().ok_or(DecodeError::Limit)?;
        context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(error)?;
        Ok(Self { context, wanted: 0, out: Vec::with_capacity(OUT_BYTES) })
    }

    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Out<'_>) -> Result<(), DecodeError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            // One block at a time: where a later one is malformed, the decoder would keep both.
            let step = self.wanted.saturating_sub(BLOCK_HEADER_BYTES).max(1).min(rest.len());
            let (piece, after) = rest.split_at(step);
            rest = after;
            self.step(piece, out)?;
        }
        Ok(())
    }

    fn step(&mut self, bytes: &[u8], out: &mut Out<'_>) -> Result<(), DecodeError> {
        let mut input = InBuffer::around(bytes);
        loop {
            self.out.clear();
            let mut output = OutBuffer::around(&mut self.out);
            self.wanted = self.context.decompress_stream(&mut output, &mut input).map_err(error)?;
            if !self.out.is_empty() {
                out(&self.out)?;
            }
            let is_full = self.out.len() == self.out.capacity();
            let is_read = input.pos == bytes.len();
            if is_read && (!is_full || self.wanted == 0) {
                return Ok(());
            }
        }
    }

    pub(super) fn may_end(&self) -> bool {
        self.wanted == 0
    }

    pub(super) fn memory(&self) -> usize {
        self.context.sizeof() + self.out.capacity()
    }
}

/// What the library's code means; it counts down from 0.
fn error(code: usize) -> DecodeError {
    let too_large = [
        ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge,
        ZSTD_ErrorCode::ZSTD_error_memory_allocation,
    ];
    let is_too_large = too_large.iter().any(|error| *error as usize == code.wrapping_neg());
    if is_too_large { DecodeError::Limit } else { DecodeError::Malformed }
}
