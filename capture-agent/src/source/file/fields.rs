//! Integers in the byte order of whoever wrote the file.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

/// A header, field by field; `None` where the bytes are used up.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    order: ByteOrder,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8], order: ByteOrder) -> Self {
        Self { rest: bytes, order }
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    pub(super) fn part(&mut self, len: usize) -> Option<Self> {
        Some(Self { rest: self.bytes(len)?, order: self.order })
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        let bytes = self.array()?;
        Some(match self.order {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        })
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = self.array()?;
        Some(match self.order {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        })
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        let bytes = self.array()?;
        Some(match self.order {
            ByteOrder::Little => i64::from_le_bytes(bytes),
            ByteOrder::Big => i64::from_be_bytes(bytes),
        })
    }

    /// The options of a pcapng block, as code and value; what runs past the block is an error.
    pub(super) fn options(mut self) -> impl Iterator<Item = Result<(u16, Self), OptionTooLong>> {
        const END: u16 = 0;
        std::iter::from_fn(move || {
            let (code, len) = self.u16().zip(self.u16()).filter(|(code, _)| *code != END)?;
            let len = usize::from(len);
            let padded = self.part(len.next_multiple_of(4));
            let value = padded.and_then(|mut padded| padded.part(len));
            if value.is_none() {
                // Nothing that comes after it can be told from it.
                self.rest = &[];
            }
            Some(value.map(|value| (code, value)).ok_or(OptionTooLong))
        })
    }
}

/// An option runs past its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OptionTooLong;
