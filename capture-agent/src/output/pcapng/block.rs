//! Blocks and their options.
//!
//! Follows draft-ietf-opsawg-pcapng sections 3.1 and 3.5.
//!
//! Invariants: blocks and options begin at multiples of four bytes from where the first block
//! does; numbers are little-endian.

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
pub(super) const ENHANCED_PACKET: u32 = 6;

/// Codes of options; most mean something in one kind of block alone.
pub(super) mod option {
    pub(in super::super) const END: u16 = 0;
    pub(in super::super) const COMMENT: u16 = 1;
    pub(in super::super) const SECTION_OS: u16 = 3;
    pub(in super::super) const SECTION_APPLICATION: u16 = 4;
    pub(in super::super) const INTERFACE_NAME: u16 = 2;
    pub(in super::super) const INTERFACE_DESCRIPTION: u16 = 3;
    pub(in super::super) const INTERFACE_TIME_RESOLUTION: u16 = 9;
    pub(in super::super) const PACKETS_DROPPED: u16 = 4;
}

/// Adds a block of this kind around what `body` adds.
pub(super) fn add(bytes: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    const LEN_BYTES: usize = 4;
    let start = bytes.len();
    bytes.extend(kind.to_le_bytes());
    let len_at = bytes.len();
    bytes.extend([0; LEN_BYTES]);
    body(bytes);
    pad(bytes, bytes.len() - start);
    let len = ((bytes.len() + LEN_BYTES - start) as u32).to_le_bytes();
    bytes.extend(len);
    if let Some(place) = bytes.get_mut(len_at..len_at + LEN_BYTES) {
        place.copy_from_slice(&len);
    }
}

/// Fills up what is `len` bytes long.
pub(super) fn pad(bytes: &mut Vec<u8>, len: usize) {
    bytes.resize(bytes.len() + len.next_multiple_of(4) - len, 0);
}

/// The options of a block, one after the other.
pub(super) struct Options<'a> {
    bytes: &'a mut Vec<u8>,
    any: bool,
}

impl<'a> Options<'a> {
    pub(super) const fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, any: false }
    }

    /// Adds one; nothing but a text can be longer than an option can say.
    pub(super) fn bytes(mut self, code: u16, value: &[u8]) -> Self {
        let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
        let value = value.get(..usize::from(len)).unwrap_or(value);
        self.bytes.extend(code.to_le_bytes());
        self.bytes.extend(len.to_le_bytes());
        self.bytes.extend_from_slice(value);
        pad(self.bytes, value.len());
        self.any = true;
        self
    }

    /// Adds a text, as far as there is room for one.
    pub(super) fn text(self, code: u16, text: &str) -> Self {
        let end = text.floor_char_boundary(text.len().min(usize::from(u16::MAX)));
        self.bytes(code, text.get(..end).unwrap_or_default().as_bytes())
    }

    pub(super) fn text_if_any(self, code: u16, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(code, text),
            None => self,
        }
    }

    /// Ends them; where there is none, nothing is to be ended.
    pub(super) fn end(self) {
        if self.any {
            self.bytes(option::END, &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = vec![0xee; 3];
        add(&mut bytes, 7, body);
        bytes.split_off(3)
    }

    #[test]
    fn a_block_says_its_length_at_both_ends_wherever_it_begins() {
        assert_eq!(block(|_| {}), [7, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0]);
        let padded = block(|bytes| bytes.extend(b"abcde"));
        assert_eq!(padded, *b"\x07\0\0\0\x14\0\0\0abcde\0\0\0\x14\0\0\0");
    }

    #[test]
    fn options_are_padded_and_ended_where_there_are_any() {
        let none = block(|bytes| Options::new(bytes).text_if_any(2, None).end());
        assert_eq!(none.len(), 12);
        let some = block(|bytes| Options::new(bytes).text(2, "eth0.1").bytes(9, &[9]).end());
        assert_eq!(some[8..28], *b"\x02\0\x06\0eth0.1\0\0\x09\0\x01\0\x09\0\0\0");
        assert_eq!(some[28..], [0, 0, 0, 0, 36, 0, 0, 0]);
    }

    #[test]
    fn a_text_longer_than_an_option_is_cut_between_characters() {
        let text = format!("x{}", "ä".repeat(40_000));
        let block = block(|bytes| Options::new(bytes).text(1, &text).end());
        assert_eq!(block[8..12], [1, 0, 0xff, 0xff]);
        assert!(std::str::from_utf8(&block[12..12 + 0xffff]).is_ok());
        let text = text[1..].to_owned();
        let block = self::block(|bytes| Options::new(bytes).text(1, &text).end());
        assert_eq!(block[8..12], [1, 0, 0xfe, 0xff]);
    }
}
