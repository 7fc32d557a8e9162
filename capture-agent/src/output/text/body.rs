//! Bodies as lines: JSON with its structure, other text as it is, the rest in hexadecimal.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::http::Body;
use crate::notation::escape::visible_lines;
use crate::output::hex;

/// Bytes that are shown of a body that is not text: people look at its start.
const HEX_BYTES: usize = 512;
/// A level of JSON is indented by this, and so many levels are.
const INDENT: &str = "  ";
const LEVELS: usize = 24;

/// A body as lines.
pub(super) struct Shown {
    pub(super) lines: Vec<String>,
    /// How many bytes of it those are.
    pub(super) of_bytes: usize,
}

/// A body as lines, for a terminal of so many columns if for one.
pub(super) fn shown(body: &Body, media_type: Option<&str>, columns: Option<usize>) -> Shown {
    let content = body.content.as_slice();
    let Some(text) = text_of(body) else {
        let first = content.get(..HEX_BYTES).unwrap_or(content);
        let row_bytes = hex::bytes_in(columns);
        let rows = first.chunks(row_bytes).zip((0..).step_by(row_bytes));
        let lines = rows.map(|(row, offset)| hex::row(offset, row, row_bytes)).collect();
        return Shown { lines, of_bytes: first.len() };
    };
    let json = std::str::from_utf8(text).ok().filter(|_| media_type.is_none_or(is_json));
    let pretty = json.filter(|text| is_valid(text, body.truncated)).map(pretty);
    let text = pretty.map_or(Cow::Borrowed(text), |pretty| Cow::Owned(pretty.into_bytes()));
    let shown = visible_lines(&text);
    // A terminal's tab stops would have rows that are wider than they seem.
    let line =
        |line: &str| if columns.is_some() { line.replace('\t', "    ") } else { line.to_owned() };
    Shown { lines: shown.lines().map(line).collect(), of_bytes: content.len() }
}

/// What was kept of a body, if it is text: up to the character in whose midst it was cut.
fn text_of(body: &Body) -> Option<&[u8]> {
    let content = body.content.as_slice();
    let is_odd = |byte: &u8| matches!(byte, 0..=6 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f);
    if content.iter().any(is_odd) {
        return None;
    }
    match std::str::from_utf8(content) {
        Ok(_) => Some(content),
        Err(error) if body.truncated && error.error_len().is_none() => {
            content.get(..error.valid_up_to())
        }
        // Another character set, as of Western languages: most of it is ASCII.
        Err(_) => {
            let others = content.iter().filter(|byte| !byte.is_ascii()).count();
            (others < content.len() / 10).then_some(content)
        }
    }
}

fn is_json(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    media_type.ends_with("/json") || media_type.ends_with("+json")
}

/// Whether this is an object or an array in JSON, or the start of one where it was cut.
fn is_valid(text: &str, is_cut: bool) -> bool {
    text.trim_start().starts_with(['{', '['])
        && match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => true,
            Err(error) => is_cut && error.is_eof(),
        }
}

/// JSON with a line for each member. Spaces between tokens alone are changed: numbers, names and their
/// order stay what they are.
fn pretty(text: &str) -> String {
    let mut pretty = String::with_capacity(text.len() * 2);
    let mut level = 0_usize;
    let line = |pretty: &mut String, level: usize| {
        pretty.push('\n');
        (0..level.min(LEVELS)).for_each(|_| pretty.push_str(INDENT));
    };
    let mut in_string = false;
    let mut is_escaped = false;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if in_string {
            pretty.push(char);
            in_string = is_escaped || char != '"';
            is_escaped = char == '\\' && !is_escaped;
            continue;
        }
        match char {
            '"' => {
                in_string = true;
                pretty.push(char);
            }
            '{' | '[' => {
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                pretty.push(char);
                match chars.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => pretty.push(end),
                    None => {
                        level += 1;
                        line(&mut pretty, level);
                    }
                }
            }
            '}' | ']' => {
                level = level.saturating_sub(1);
                line(&mut pretty, level);
                pretty.push(char);
            }
            ',' => {
                pretty.push(char);
                line(&mut pretty, level);
            }
            ':' => pretty.push_str(": "),
            _ if char.is_ascii_whitespace() => {}
            _ => pretty.push(char),
        }
    }
    pretty
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(content: &[u8], truncated: bool) -> Body {
        let wire_bytes = content.len() as u64;
        Body { content: content.to_vec(), truncated, wire_bytes, ..Body::default() }
    }

    fn lines(content: &[u8], media_type: &str) -> Vec<String> {
        shown(&body(content, false), Some(media_type), None).lines
    }

    #[test]
    fn json_has_a_line_for_each_member_and_loses_nothing() {
        let json = br#"{"b":[1,2.50e400,{}],"a":"x {,\"y\\","b":[ ],"c" : {"d":null}}"#;
        let expected = [
            "{",
            "  \"b\": [",
            "    1,",
            "    2.50e400,",
            "    {}",
            "  ],",
            "  \"a\": \"x {,\\\"y\\\\\",",
            "  \"b\": [],",
            "  \"c\": {",
            "    \"d\": null",
            "  }",
            "}",
        ];
        assert_eq!(lines(json, "application/problem+json"), expected);
    }

    #[test]
    fn what_only_calls_itself_json_stays_as_it_is() {
        for text in ["{not json}", "[1, 2", "hello  world"] {
            assert_eq!(lines(text.as_bytes(), "application/json"), [text]);
        }
        assert_eq!(lines(b"{\"a\":1}", "text/plain"), ["{\"a\":1}"]);
        let cut = shown(&body(b"[1,{\"a\":\"x", true), Some("application/json"), None);
        assert_eq!(cut.lines, ["[", "  1,", "  {", "    \"a\": \"x"]);
    }

    #[test]
    fn json_of_any_depth_is_shown_in_rows_of_bounded_width() {
        let deep = shown(&body("[".repeat(100_000).as_bytes(), true), None, None).lines;
        assert_eq!(deep.iter().map(|line| line.trim_start().len()).sum::<usize>(), 100_000);
        assert_eq!(deep.iter().map(String::len).max(), Some(LEVELS * INDENT.len() + 1));
    }

    #[test]
    fn what_is_no_text_is_shown_in_hexadecimal_as_far_as_one_looks() {
        let zeros = shown(&body(&[0; 10_000], false), None, None);
        assert_eq!((zeros.lines.len(), zeros.of_bytes), (HEX_BYTES / 16, HEX_BYTES));
        let png = lines(b"\x89PNG\r\n\x1a\n", "image/png");
        assert_eq!(png, ["00000000  89 50 4e 47 0d 0a 1a 0a                           .PNG...."]);
        assert_eq!(lines(b"gr\xfcn, and much more that is ASCII", "text/plain").len(), 1);
    }

    #[test]
    fn a_character_that_was_cut_does_not_make_text_binary() {
        let cut = "grün".as_bytes().get(..3).unwrap_or_default();
        let shown = shown(&body(cut, true), None, None);
        assert_eq!((shown.lines.as_slice(), shown.of_bytes), (["gr".to_owned()].as_slice(), 3));
    }
}
