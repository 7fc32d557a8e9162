//! Bytes from the network as text that nothing happens to.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::http::head::Text;

/// Bytes as text: what is not UTF-8 becomes `\xNN`.
pub(crate) fn lossless(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    Cow::Owned(text)
}

/// As [`lossless`], of what was looked into before.
pub(crate) fn shown(text: Text<'_>) -> Cow<'_, str> {
    text.map_or_else(lossless, Cow::Borrowed)
}

/// Bytes as text for a terminal: what could steer it becomes `\xNN` or `\u{NNNN}`.
pub(crate) fn visible(bytes: &[u8]) -> Cow<'_, str> {
    visible_but(bytes, &[])
}

/// As [`visible`], but lines stay lines.
pub(crate) fn visible_lines(bytes: &[u8]) -> Cow<'_, str> {
    visible_but(bytes, &['\n', '\t'])
}

fn visible_but<'a>(bytes: &'a [u8], keep: &[char]) -> Cow<'a, str> {
    let text = lossless(bytes);
    if !text.chars().any(|char| steers(char) && !keep.contains(&char)) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if !steers(char) || keep.contains(&char) {
            shown.push(char);
        } else if char.is_ascii() {
            let _ = write!(shown, "\\x{:02x}", char as u32);
        } else {
            let _ = write!(shown, "\\u{{{:x}}}", char as u32);
        }
    }
    Cow::Owned(shown)
}

/// Control characters, line and paragraph separators, and what changes the direction of text, by
/// which one text can pass for another.
pub(crate) fn steers(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_and_other_bytes_are_spelt_out() {
        assert_eq!(lossless("grüß".as_bytes()), "grüß");
        assert_eq!(lossless(b"gr\xfc\xdf"), "gr\\xfc\\xdf");
    }

    #[test]
    fn nothing_reaches_the_terminal_that_steers_it() {
        assert_eq!(visible(b"a\x1b[31mb\r\nc"), "a\\x1b[31mb\\x0d\\x0ac");
        assert_eq!(visible("\u{9b}1m\u{202e}x".as_bytes()), "\\u{9b}1m\\u{202e}x");
        assert_eq!(visible("\u{61c}x\u{200f}".as_bytes()), "\\u{61c}x\\u{200f}");
        assert_eq!(visible_lines(b"a\r\n\tb\x07"), "a\\x0d\n\tb\\x07");
        assert_eq!(visible(b"/plain?q=1"), "/plain?q=1");
    }
}
