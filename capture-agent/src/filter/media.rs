//! `--content-type`: media types as patterns.
//!
//! Follows RFC 9110 section 8.3. What is compared is type and subtype, without parameters and
//! without regard to case. A body whose type is not stated has none that a pattern could match.

use std::fmt;
use std::str::FromStr;

use glob::{MatchOptions, Pattern};

use crate::event::Exchange;
use crate::http::Body;
use crate::http::head::Head;

/// Longest type and subtype that are looked at (RFC 6838 section 4.2 allows 127 for each): a
/// header can be as long as a whole head, and matching must not be.
const LONGEST: usize = 255;

const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: false,
    require_literal_separator: false,
    require_literal_leading_dot: false,
};

/// What was wrong with the text of a pattern.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MediaError {
    /// Not a type and a subtype.
    #[error(
        "'{0}' is not a media type like application/json, or a pattern like 'audio/*' or '*/*'"
    )]
    Type(String),
    /// Not a pattern.
    #[error("'{0}' is not a pattern: {1}")]
    Pattern(String, &'static str),
}

/// One pattern: a media type in which `*` stands for any text, `?` for a character and `[ab]` for
/// one of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPattern(Pattern);

impl MediaPattern {
    fn matches(&self, essence: &str) -> bool {
        self.0.matches_with(essence, OPTIONS)
    }
}

impl FromStr for MediaPattern {
    type Err = MediaError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let wrong = || MediaError::Type(text.to_owned());
        let (main, sub) = text.split_once('/').ok_or_else(wrong)?;
        let is_part = |part: &str| {
            let may_stand = |byte: u8| byte.is_ascii_graphic() && !b"/;,\"".contains(&byte);
            !part.is_empty() && part.bytes().all(may_stand)
        };
        if !is_part(main) || !is_part(sub) || text.len() > LONGEST {
            return Err(wrong());
        }
        let pattern = Pattern::new(text);
        pattern.map(Self).map_err(|error| MediaError::Pattern(text.to_owned(), error.msg))
    }
}

impl fmt::Display for MediaPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Patterns, any of which may match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaPatterns(Vec<MediaPattern>);

impl MediaPatterns {
    /// These patterns.
    #[must_use]
    pub const fn new(patterns: Vec<MediaPattern>) -> Self {
        Self(patterns)
    }

    /// Whether there are none, so that nothing is asked of a type.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the value of a Content-Type header names a type that one of the patterns matches.
    #[must_use]
    pub fn matches(&self, content_type: &[u8]) -> bool {
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
        let essence = essence.trim_ascii();
        if essence.is_empty() || essence.len() > LONGEST {
            return false;
        }
        let text = std::str::from_utf8(essence);
        text.is_ok_and(|essence| self.0.iter().any(|pattern| pattern.matches(essence)))
    }

    /// Whether the request or the response of an exchange has a body of such a type.
    #[must_use]
    pub fn pick(&self, exchange: &Exchange) -> bool {
        let http = &exchange.http;
        let request = http.request.as_ref();
        let response = http.response.as_ref();
        request.is_some_and(|message| self.pick_body(message.head.head(), &message.body))
            || response.is_some_and(|message| self.pick_body(message.head.head(), &message.body))
    }

    /// Whether there is a body, or may be one that was not observed, and it is of such a type.
    fn pick_body(&self, head: &Head, body: &Body) -> bool {
        let is_there = body.wire_bytes > 0 || body.bytes != Some(0);
        is_there && head.value("content-type").is_some_and(|value| self.matches(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(list: &str) -> MediaPatterns {
        MediaPatterns::new(list.split(',').map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn types_match_without_parameters_and_case() {
        let cases = [
            ("audio/*", "audio/mpeg", true),
            ("audio/*", "Audio/OGG; codecs=opus", true),
            ("audio/*", "video/audio", false),
            ("audio/*", "application/audio/x", false),
            ("application/json", "application/json;charset=utf-8", true),
            ("Application/JSON", " application/json ", true),
            ("application/json", "application/json5", false),
            ("application/*json", "application/problem+json", true),
            ("image/png,image/jpeg", "image/jpeg", true),
            ("image/[pj]*", "image/gif", false),
            ("*/*", "x/y", true),
            ("*/*", "", false),
            ("*/*", ";charset=utf-8", false),
            ("*/*", "x/\u{fc}", true),
        ];
        for (list, content_type, expected) in cases {
            let matches = patterns(list).matches(content_type.as_bytes());
            assert_eq!(matches, expected, "{list}: {content_type}");
        }
        assert!(!patterns("*/*").matches(b"x/\xff"));
        assert!(!MediaPatterns::default().matches(b"text/plain"));
    }

    #[test]
    fn a_header_as_long_as_a_head_costs_nothing() {
        let long = [b"a/".as_slice(), &vec![b'a'; 1 << 20]].concat();
        assert!(!patterns("*a*a*a*a*a*a*a*a*/*a*a*a*a*a*a*b").matches(&long));
        let longest = [b"a/".as_slice(), &vec![b'a'; LONGEST - 2]].concat();
        assert!(!patterns("*a*a*a*a*a*a*a*a*/*a*a*a*a*a*a*b").matches(&longest));
        assert!(patterns("*/*a*a*a*a").matches(&longest));
    }

    #[test]
    fn what_is_no_type_is_refused() {
        let error = |text: &str| text.parse::<MediaPattern>().unwrap_err().to_string();
        for text in ["json", "", "a/", "/b", "a/b/c", "text/html;charset=utf-8", "a b/c"] {
            assert!(error(text).contains("is not a media type like application/json"), "{text}");
        }
        assert!(error("a/[b").starts_with("'a/[b' is not a pattern: "), "{}", error("a/[b"));
    }
}
