//! Header fields, in one piece of memory.
//!
//! Follows RFC 9110 section 5. Invariant: spans lie inside `text`.

use std::borrow::Cow;
use std::ops::Range;

use super::{HeadRules, REDACTED, lenient};
use crate::http::anomaly::Anomalies;

pub(super) type Span = Range<u32>;

/// Bytes from the network: text if they are UTF-8.
pub type Text<'a> = Result<&'a str, &'a [u8]>;

/// Headers without which it can't be told where a message ends, what comes after it, or where in
/// its body secrets are: kept however many others there are.
const FRAMING_HEADERS: [&str; 5] =
    ["content-length", "transfer-encoding", "upgrade", "content-encoding", "content-type"];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: Span,
    value: Span,
}

/// Header fields in the order they were sent, or those of a trailer section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    text: Vec<u8>,
    fields: Vec<Field>,
}

impl Fields {
    /// Those of a trailer section (RFC 9112 section 7.1.2).
    pub(in crate::http) fn of_trailers(text: &[u8], rules: &HeadRules) -> Self {
        lenient::trailers(text, rules, &mut Anomalies::default())
    }

    /// Names and values, secrets as [`REDACTED`].
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (self.slice(&field.name), self.slice(&field.value)))
    }

    /// The same, each as text if it is UTF-8, which is looked into once for all of them.
    pub fn texts(&self) -> impl Iterator<Item = (Text<'_>, Text<'_>)> {
        let text = std::str::from_utf8(&self.text).unwrap_or_default();
        // Where a part ends inside a character it is no text, though together with the next it is.
        let part = |span: &Span| text.get(range(span)).ok_or_else(|| self.slice(span));
        self.fields.iter().map(move |field| (part(&field.name), part(&field.value)))
    }

    /// Values of every field of this name.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Bytes of memory that they take beyond their own size.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.text.capacity() + self.fields.capacity() * size_of::<Field>()
    }

    pub(super) fn slice(&self, span: &Span) -> &[u8] {
        self.text.get(range(span)).unwrap_or_default()
    }
}

const fn range(span: &Span) -> Range<usize> {
    span.start as usize..span.end as usize
}

/// Puts the parts of a head together, without what is secret.
pub(super) struct Builder<'r> {
    rules: &'r HeadRules,
    built: Fields,
}

impl<'r> Builder<'r> {
    /// Room for `text_bytes`, and for so many fields before more is needed.
    pub(super) fn new(rules: &'r HeadRules, text_bytes: usize, fields: usize) -> Self {
        let built =
            Fields { text: Vec::with_capacity(text_bytes), fields: Vec::with_capacity(fields) };
        Self { rules, built }
    }

    /// Adds a part that is no field and no secret.
    pub(super) fn part(&mut self, bytes: &[u8]) -> Span {
        let start = self.built.text.len() as u32;
        self.built.text.extend_from_slice(bytes);
        start..self.built.text.len() as u32
    }

    /// Adds a URL, or what can hold one.
    pub(super) fn url(&mut self, bytes: &[u8]) -> Span {
        let shown = self.rules.redaction.url(bytes);
        self.part(&shown)
    }

    /// Adds a line that is no field, in place of one.
    pub(super) fn line(&mut self, line: &[u8]) {
        let shown = self.rules.redaction.line(line);
        let name = self.part(&shown);
        let value = self.part(b"");
        self.built.fields.push(Field { name, value });
    }

    /// Adds a field.
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) {
        if self.rules.redaction.leaves_header(name) {
            let (name, value) = (self.part(name), self.part(value));
            return self.built.fields.push(Field { name, value });
        }
        // A colon may be missing and another one stand in the value; most are names and no more.
        let is_plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        let shown = if is_plain { Cow::Borrowed(name) } else { self.rules.redaction.line(name) };
        let secret = matches!(shown, Cow::Owned(_)) || self.rules.redaction.hides_header(name);
        let name = self.part(&shown);
        let value = if secret { self.part(REDACTED) } else { self.url(value) };
        self.built.fields.push(Field { name, value });
    }

    /// Whether a field of this name is still kept, after so many others.
    pub(super) fn has_room_for(&self, name: &[u8]) -> bool {
        self.built.fields.len() < self.rules.max_headers || is_one_of(&FRAMING_HEADERS, name)
    }

    pub(super) fn build(self) -> Fields {
        self.built
    }
}

fn is_one_of(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}
