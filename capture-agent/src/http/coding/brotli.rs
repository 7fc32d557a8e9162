//! The coding `br` (RFC 7932). The larger windows of brotli's own extension are no part of it.

use brotli_decompressor::{
    Allocator, BrotliDecoderErrorCode, BrotliDecoderTakeOutput, BrotliDecompressStream,
    BrotliResult, BrotliState, SliceWrapper, SliceWrapperMut,
};

use super::{DecodeError, Out};

type State = BrotliState<Counted, Counted, Counted>;

/// Decodes `br`.
pub(super) struct Brotli {
    state: Box<State>,
    done: bool,
}

impl std::fmt::Debug for Brotli {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Brotli {{ done: {}, .. }}", self.done)
    }
}

impl Default for Brotli {
    fn default() -> Self {
        let [a, b, c] = [Counted::default(), Counted::default(), Counted::default()];
        Self { state: Box::new(BrotliState::new_strict(a, b, c)), done: false }
    }
}

impl Brotli {
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Out<'_>) -> Result<(), DecodeError> {
        let (mut left, mut read) = (bytes.len(), 0);
        while !self.done {
            let result = BrotliDecompressStream(
                &mut left,
                &mut read,
                bytes,
                // No room for output: it is taken from the window, uncopied.
                &mut 0,
                &mut 0,
                &mut [],
                &mut 0,
                &mut self.state,
            );
            if matches!(result, BrotliResult::ResultFailure) {
                // What was decoded before the error is still to come out.
                self.state.error_code = BrotliDecoderErrorCode::BROTLI_DECODER_SUCCESS;
            }
            let gave = self.take(out)?;
            match result {
                BrotliResult::ResultSuccess => self.done = true,
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::NeedsMoreOutput if gave => {}
                BrotliResult::NeedsMoreOutput | BrotliResult::ResultFailure => {
                    return Err(DecodeError::Malformed);
                }
            }
        }
        if left == 0 { Ok(()) } else { Err(DecodeError::Malformed) }
    }

    /// Passes on what was decoded; returns whether there was anything.
    fn take(&mut self, out: &mut Out<'_>) -> Result<bool, DecodeError> {
        let mut gave = false;
        loop {
            let mut all = 0;
            let piece = BrotliDecoderTakeOutput(&mut self.state, &mut all);
            if piece.is_empty() {
                return Ok(gave);
            }
            gave = true;
            out(piece)?;
        }
    }

    pub(super) fn may_end(&self) -> bool {
        self.done
    }

    pub(super) fn memory(&self) -> usize {
        let State { alloc_u8, alloc_u32, alloc_hc, .. } = &*self.state;
        size_of::<State>() + alloc_u8.bytes + alloc_u32.bytes + alloc_hc.bytes
    }
}

/// Allocates, and knows how much it has.
#[derive(Debug, Default)]
struct Counted {
    bytes: usize,
}

#[derive(Debug)]
struct Cells<T>(Vec<T>);

impl<T> Default for Cells<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> SliceWrapper<T> for Cells<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Cells<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Clone + Default> Allocator<T> for Counted {
    type AllocatedMemory = Cells<T>;

    fn alloc_cell(&mut self, len: usize) -> Cells<T> {
        self.bytes += len * size_of::<T>();
        Cells(vec![T::default(); len])
    }

    fn free_cell(&mut self, cells: Cells<T>) {
        self.bytes = self.bytes.saturating_sub(cells.0.len() * size_of::<T>());
    }
}
