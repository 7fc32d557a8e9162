//! Heads of responses (RFC 9112 section 4).

use std::mem::MaybeUninit;

use super::fields::{Builder, Span};
use super::{
    Head, HeadRules, HeaderRoom, Malformed, Parse, STRICT_HEADERS, Version, is_whole, lenient,
    oddities,
};
use crate::http::anomaly::Anomalies;
use crate::http::recognise;

/// Head of a response (RFC 9112 section 4).
#[derive(Clone, Debug, Eq)]
pub struct ResponseHead {
    head: Head,
    status: Option<u16>,
    reason: Span,
}

impl PartialEq for ResponseHead {
    fn eq(&self, other: &Self) -> bool {
        self.status == other.status && self.reason() == other.reason() && self.head == other.head
    }
}

impl ResponseHead {
    /// Version and header fields.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The status code; `None` where the response has no head, or it was not seen.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        self.status
    }

    /// The reason phrase, often empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.head.fields.slice(&self.reason)
    }

    /// Whether a final response is still to come (RFC 9110 section 15.2). 101 is the last one of
    /// its connection.
    #[must_use]
    pub const fn is_interim(&self) -> bool {
        matches!(self.status, Some(100 | 102..=199))
    }

    /// That of an answer in HTTP/0.9, which is a body and nothing else.
    pub(in crate::http) fn headless() -> Self {
        Self { head: Head::absent(Some(Version::HTTP_09)), status: None, reason: 0..0 }
    }

    /// That of a response whose start was not seen.
    pub(in crate::http) fn unseen() -> Self {
        Self { head: Head::absent(None), status: None, reason: 0..0 }
    }
}

impl Parse for ResponseHead {
    fn parse_strictly(text: &[u8], rules: &HeadRules) -> Result<Self, Malformed> {
        let mut room: HeaderRoom<'_> = [const { MaybeUninit::uninit() }; STRICT_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        is_whole(config.parse_response_with_uninit_headers(&mut response, text, &mut room))?;
        let headers = &*response.headers;
        if headers.len() > rules.max_headers || response.code.is_none_or(|code| code < 100) {
            return Err(Malformed);
        }
        let mut builder = Builder::of_head(rules, text, headers.len());
        // What httparse gives is empty where it has other bytes than ASCII.
        let reason = recognise::first_line(text).get("HTTP/1.1 200 ".len()..).unwrap_or_default();
        let reason = builder.part(recognise::trim(reason));
        headers.iter().for_each(|header| builder.field(header.name.as_bytes(), header.value));
        let version = response.version.map(Version::http_1);
        let head = Head::new(builder, version, oddities(text, headers), text.len());
        Ok(Self { head, status: response.code, reason })
    }

    fn parse_leniently(text: &[u8], rules: &HeadRules) -> Result<Self, Malformed> {
        let lines = lenient::Lines::new(text);
        let mut anomalies = Anomalies::default();
        let line = lenient::status_line(lines.first(), &mut anomalies)?;
        let mut builder = Builder::new(rules, text.len(), 16);
        let reason = builder.part(line.reason);
        lines.fields(&mut builder, &mut anomalies);
        let head = Head::new(builder, Some(line.version), anomalies, text.len());
        Ok(Self { head, status: Some(line.status), reason })
    }

    fn simple_len(_: &[u8]) -> Option<usize> {
        None
    }

    fn parse_simple(_: &[u8], _: &HeadRules) -> Option<Self> {
        None
    }

    fn parse_part_of_line(_: &[u8], _: &HeadRules) -> Option<Self> {
        None
    }

    fn may_begin(text: &[u8], line_is_there: bool) -> bool {
        recognise::may_begin_response(text, line_is_there)
    }

    fn is_partial(&self) -> bool {
        self.status == Some(206)
    }

    fn may_follow(_: &[u8]) -> bool {
        false
    }

    fn find(text: &[u8], at_start: bool) -> recognise::Found {
        recognise::find_response(text, at_start)
    }

    fn common(&self) -> &Head {
        &self.head
    }

    fn common_mut(&mut self) -> &mut Head {
        &mut self.head
    }
}
