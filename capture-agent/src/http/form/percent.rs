//! Percent-decoding (RFC 3986 section 2.1), a slice at a time. What is no escape stays.

/// A decoder of percent-encoded text.
#[derive(Debug)]
pub(super) struct Unescape {
    /// `+` is a space (URL standard section 5.1).
    plus: bool,
    /// `%`, and the digit after it.
    held: [u8; 2],
    len: usize,
}

impl Unescape {
    /// For names and values of forms.
    pub(super) const fn of_form() -> Self {
        Self { plus: true, held: [0; 2], len: 0 }
    }

    /// The whole of a text in which `+` is itself.
    pub(super) fn whole(text: &[u8]) -> Vec<u8> {
        let mut unescape = Self { plus: false, ..Self::of_form() };
        let mut out = Vec::with_capacity(text.len());
        unescape.push(text, |bytes| out.extend_from_slice(bytes));
        unescape.finish(|bytes| out.extend_from_slice(bytes));
        out
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], mut out: impl FnMut(&[u8])) {
        while let Some((&byte, rest)) = bytes.split_first() {
            let digit = char::from(byte).to_digit(16);
            bytes = match (self.len, digit) {
                (0, _) if byte == b'%' => {
                    (self.held[0], self.len) = (byte, 1);
                    rest
                }
                (0, _) if byte == b'+' && self.plus => {
                    out(b" ");
                    rest
                }
                (0, _) => {
                    let special = memchr::memchr2(b'%', b'+', rest).unwrap_or(rest.len());
                    let (run, rest) = bytes.split_at(1 + special);
                    out(run);
                    rest
                }
                (1, Some(_)) => {
                    (self.held[1], self.len) = (byte, 2);
                    rest
                }
                (_, Some(low)) => {
                    let high = char::from(self.held[1]).to_digit(16).unwrap_or_default();
                    out(&[(high << 4 | low) as u8]);
                    self.len = 0;
                    rest
                }
                (_, None) => {
                    self.finish(&mut out);
                    bytes
                }
            };
        }
    }

    /// No more comes: what was held is no escape.
    pub(super) fn finish(&mut self, mut out: impl FnMut(&[u8])) {
        let held = std::mem::take(&mut self.len);
        if held > 0 {
            out(self.held.get(..held).unwrap_or_default());
        }
    }
}
