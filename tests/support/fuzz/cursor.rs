//! A fuzzer's bytes as decisions: past their end everything is 0, so that every input means
//! something.

/// What is left of the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from(self.u8()) << 8 | u16::from(self.u8())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    /// As many of so many bytes as there are.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// One of these.
    pub(crate) fn choice<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.u8()) % of.len()]
    }

    /// A time or a number from all orders of magnitude: 0, or a power of 2 below 2^`bits`.
    pub(crate) fn magnitude(&mut self, bits: u8) -> u64 {
        let exponent = self.u8() % (bits + 1);
        if exponent == 0 { 0 } else { 1 << (exponent - 1) }
    }
}

/// Lengths of pieces, by chance.
pub(crate) fn lengths(seed: u16) -> impl Iterator<Item = usize> {
    let mut state = u32::from(seed) + 1;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + ((state >> 8) % (1 << (state >> 28))) as usize
    })
}

/// The bytes in pieces of these lengths.
pub(crate) fn pieces(
    bytes: &[u8],
    mut lengths: impl Iterator<Item = usize>,
) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = lengths.next().filter(|_| !rest.is_empty())?;
        let (piece, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        Some(piece)
    })
}
