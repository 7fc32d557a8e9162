//! Bytes as words of a POSIX shell (XCU 2.2).
//!
//! Invariant: whatever the bytes are, the shell takes what is written for one word, or for one format of
//! `printf`, and it is a single line in which nothing steers a terminal.

use std::fmt::Write as _;

use crate::notation::escape::steers;

/// A word that the shell takes for these bytes: in single quotes, within which only a single quote
/// means anything; control characters by `printf`. `None` where no word can be them: NUL is in none,
/// and what a command writes loses the line feeds at its end.
pub(super) fn word(bytes: &[u8], is_ascii: bool) -> Option<String> {
    if bytes.contains(&0) || bytes.contains(&b'\n') {
        return None;
    }
    let mut word = "'".to_owned();
    let mut in_printf = false;
    each(bytes, is_ascii, |piece| {
        let is_of_printf = matches!(piece, Piece::Bytes(_));
        if is_of_printf != std::mem::replace(&mut in_printf, is_of_printf) {
            word.push_str(if is_of_printf { BEGIN_PRINTF } else { END_PRINTF });
        }
        match piece {
            Piece::Char('\'') => word.push_str("'\\''"),
            Piece::Char(char) => word.push(char),
            Piece::Bytes(bytes) => octal(bytes, &mut word),
        }
    });
    word.push_str(if in_printf { END_PRINTF } else { "" });
    word.push('\'');
    Some(word)
}

/// Out of single quotes, into a format of `printf`, and back.
const BEGIN_PRINTF: &str = "'\"$(printf '";
const END_PRINTF: &str = "')\"'";

/// What `printf` is given to write these bytes, whichever they are.
pub(super) fn format(bytes: &[u8], is_ascii: bool) -> String {
    let mut format = "'".to_owned();
    each(bytes, is_ascii, |piece| match piece {
        Piece::Char('\'') => format.push_str("'\\''"),
        Piece::Char('%') => format.push_str("%%"),
        Piece::Char('\\') => format.push_str("\\\\"),
        // At the start it would be taken for an option.
        Piece::Char('-') if format.len() == 1 => octal(b"-", &mut format),
        Piece::Char(char) => format.push(char),
        Piece::Bytes(b"\n") => format.push_str("\\n"),
        Piece::Bytes(bytes) => octal(bytes, &mut format),
    });
    format.push('\'');
    format
}

enum Piece<'a> {
    /// What may be shown.
    Char(char),
    /// One character that may not, or bytes that are none.
    Bytes(&'a [u8]),
}

fn each(bytes: &[u8], is_ascii: bool, mut take: impl FnMut(Piece<'_>)) {
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if steers(char) || (is_ascii && !char.is_ascii()) {
                take(Piece::Bytes(char.encode_utf8(&mut [0; 4]).as_bytes()));
            } else {
                take(Piece::Char(char));
            }
        }
        if !chunk.invalid().is_empty() {
            take(Piece::Bytes(chunk.invalid()));
        }
    }
}

fn octal(bytes: &[u8], to: &mut String) {
    for byte in bytes {
        let _ = write!(to, "\\{byte:03o}");
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_what_one_would_write() {
        assert_eq!(word(b"a b$(c)", false).as_deref(), Some("'a b$(c)'"));
        assert_eq!(word(b"it's", false).as_deref(), Some("'it'\\''s'"));
        assert_eq!(word("grün".as_bytes(), false).as_deref(), Some("'grün'"));
        assert_eq!(word(b"\x1b[m", false).as_deref(), Some("''\"$(printf '\\033')\"'[m'"));
        assert_eq!(word(b"a\nb", false), None);
        assert_eq!(word(b"a\0b", false), None);
        assert_eq!(format(b"-5%\\\n\0", false), "'\\0555%%\\\\\\n\\000'");
    }

    /// What a shell makes of a line.
    fn shell(line: &str) -> Vec<u8> {
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{line:?}: {output:?}");
        output.stdout
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_shell_reads_the_bytes_that_were_quoted(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                "[-'\"`$(){};&|<>%\\\\*?\\[\\]#~= \\n\\r\\t\\x1b!a0]{0,40}".prop_map(String::into_bytes),
            ],
            is_ascii: bool,
        ) {
            let line = format!("printf {}", format(&bytes, is_ascii));
            prop_assert!(!line.contains(char::is_control), "{line:?}");
            prop_assert!(!is_ascii || line.is_ascii());
            prop_assert_eq!(shell(&line), bytes.clone());
            let word_bytes: Vec<_> = bytes.into_iter().filter(|it| !b"\0\n".contains(it)).collect();
            let word = word(&word_bytes, is_ascii).unwrap();
            prop_assert!(!word.contains(char::is_control), "{word:?}");
            prop_assert_eq!(shell(&format!("printf %s {word}")), word_bytes);
        }
    }
}
