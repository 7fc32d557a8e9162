//! Whether bytes are UTF-8 (RFC 3629), in any cuts.

/// Looks at text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8 {
    invalid: bool,
    /// The beginning of a character that was cut.
    begun: [u8; 4],
    begun_len: usize,
}

impl Utf8 {
    pub(super) fn push(&mut self, text: &[u8]) {
        let mut rest = text;
        while self.begun_len > 0 && !self.invalid {
            let Some((byte, after)) = rest.split_first() else { return };
            rest = after;
            self.begin(&[*byte]);
            let begun = self.begun.get(..self.begun_len).unwrap_or_default();
            match std::str::from_utf8(begun) {
                Ok(_) => self.begun_len = 0,
                Err(error) => self.invalid = error.error_len().is_some(),
            }
        }
        if self.invalid {
            return;
        }
        if let Err(error) = std::str::from_utf8(rest) {
            self.invalid = error.error_len().is_some();
            self.begin(rest.get(error.valid_up_to()..).unwrap_or_default());
        }
    }

    fn begin(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(slot) = self.begun.get_mut(self.begun_len) {
                *slot = *byte;
                self.begun_len += 1;
            }
        }
    }

    /// Whether something is no UTF-8, whatever follows.
    pub(super) const fn is_invalid(&self) -> bool {
        self.invalid
    }

    /// Whether it would be none if nothing followed.
    pub(super) const fn is_broken_off(&self) -> bool {
        self.invalid || self.begun_len > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_make_no_difference() {
        let texts: [(&[u8], bool); 8] = [
            (b"", true),
            ("κόσμε €uro 🎉 a".as_bytes(), true),
            (b"\xc0\x80", false),
            (b"\xed\xa0\x80edited", false),
            (b"\xf4\x90\x80\x80", false),
            (b"a\xe2\x82", false),
            (b"\xe2\x82a", false),
            (b"\x80", false),
        ];
        for (text, is_valid) in texts {
            for step in 1..=text.len().max(1) {
                let mut utf8 = Utf8::default();
                text.chunks(step).for_each(|piece| utf8.push(piece));
                assert_eq!(!utf8.is_broken_off(), is_valid, "{text:?} by {step}");
            }
        }
    }
}
