//! Heads of HTTP/1 messages: start line and header fields.
//!
//! Follows RFC 9112 sections 2 to 5, by httparse. What that refuses and a lenient recipient would
//! still take is parsed by [`lenient`], with a mark for each thing that is odd. Invariant: secrets
//! are replaced before a head is stored, unless they were asked for.

mod again;
mod fields;
mod lenient;
mod request;
mod response;

use std::fmt;
use std::mem::MaybeUninit;

use super::anomaly::{Anomalies, Anomaly};
use super::recognise;
use super::redact::Redaction;
use fields::{Builder, offset_in};
pub use fields::{Fields, Text};
pub use request::RequestHead;
pub use response::ResponseHead;

/// Bounds on a head, and what is kept of it.
#[derive(Clone, Debug)]
pub struct HeadRules {
    /// Longest head, in bytes: stops a head that never ends.
    pub max_bytes: usize,
    /// Most header fields that are kept: stops a head of very many tiny ones.
    pub max_headers: usize,
    /// What is hidden of it.
    pub redaction: Redaction,
}

impl Default for HeadRules {
    fn default() -> Self {
        Self { max_bytes: 64 << 10, max_headers: 256, redaction: Redaction::default() }
    }
}

/// What stands in place of a secret.
pub const REDACTED: &[u8] = b"[redacted]";

/// The bytes are no head, not even to a lenient recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A version of HTTP as a message has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The digit before the dot.
    pub major: u8,
    /// The digit after it.
    pub minor: u8,
}

impl Version {
    /// HTTP/0.9, which has neither version nor head.
    pub const HTTP_09: Self = Self { major: 0, minor: 9 };
    /// HTTP/1.0.
    pub const HTTP_10: Self = Self { major: 1, minor: 0 };
    /// HTTP/1.1.
    pub const HTTP_11: Self = Self { major: 1, minor: 1 };

    const fn http_1(minor: u8) -> Self {
        Self { major: 1, minor }
    }

    /// Whether it is one that is in use with this syntax.
    const fn is_usual(self) -> bool {
        matches!(self, Self { major: 1, minor: 0 | 1 } | Self::HTTP_09)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What requests and responses have in common: version and header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    fields: Fields,
    version: Option<Version>,
    anomalies: Anomalies,
    len: u32,
    is_cut: bool,
}

impl Head {
    /// Bytes of the head on the wire, with the empty line that ends it; 0 where a message has none.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether the message has no head.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether only the first part of it was seen.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Bytes of memory that the head takes beyond its own size.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.fields.memory()
    }

    /// The version that its sender gave; `None` where it was not seen.
    #[must_use]
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// What is odd about the head.
    #[must_use]
    pub const fn anomalies(&self) -> Anomalies {
        self.anomalies
    }

    /// Header fields in the order they were sent.
    #[must_use]
    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Names and values in the order they were sent, secrets as [`REDACTED`].
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter()
    }

    /// Values of every header field of this name, in the order they were sent.
    #[inline]
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.values(name)
    }

    /// Value of the first header field of this name.
    #[must_use]
    #[inline]
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// Members of a comma-separated header, in the order they were sent (RFC 9110 section 5.6.1).
    #[inline]
    pub fn members<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.values(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(recognise::trim)
            .filter(|member| !member.is_empty())
    }

    /// Whether a comma-separated header has this member, in any case.
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.members(name).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Only the first part of the head was seen, this many bytes: what is not there may follow.
    pub(super) const fn is_cut_to(&mut self, len: u32) {
        self.len = len;
        self.is_cut = true;
        self.anomalies.remove(Anomaly::MissingHost);
    }

    /// Something is odd about where the head stands.
    pub(super) const fn note(&mut self, anomaly: Anomaly) {
        self.anomalies.add(anomaly);
    }

    fn new(
        builder: Builder<'_, '_>,
        version: Option<Version>,
        mut anomalies: Anomalies,
        len: usize,
    ) -> Self {
        if version.is_some_and(|version| !version.is_usual()) {
            anomalies.add(Anomaly::OddVersion);
        }
        Self { fields: builder.build(), version, anomalies, len: len as u32, is_cut: false }
    }

    /// That of a message that has none, or whose head was not seen.
    fn absent(version: Option<Version>) -> Self {
        Self {
            fields: Fields::default(),
            version,
            anomalies: Anomalies::default(),
            len: 0,
            is_cut: false,
        }
    }
}

/// What requests and responses are parsed to.
pub trait Parse: Sized {
    /// Parses a head as the grammar has it: start line, header fields, empty line.
    ///
    /// # Errors
    /// If the grammar does not have it.
    fn parse_strictly(text: &[u8], rules: &HeadRules) -> Result<Self, Malformed>;

    /// Parses what a lenient recipient would still take for a head, and says what is odd about it.
    ///
    /// # Errors
    /// If not even that is one.
    fn parse_leniently(text: &[u8], rules: &HeadRules) -> Result<Self, Malformed>;

    /// Parses a head that stands where one has to.
    ///
    /// # Errors
    /// If it is none.
    fn parse(text: &[u8], rules: &HeadRules) -> Result<Self, Malformed> {
        // What was let go by its first bytes is none either when it comes at once.
        if !Self::may_begin(text, true) {
            return Err(Malformed);
        }
        Self::parse_strictly(text, rules).or_else(|_| Self::parse_leniently(text, rules))
    }

    /// How long a message of one line is, as of HTTP/0.9, where `text` begins with one.
    fn simple_len(text: &[u8]) -> Option<usize>;

    /// That message.
    fn parse_simple(text: &[u8], rules: &HeadRules) -> Option<Self>;

    /// What can be made of the first part of a start line.
    fn parse_part_of_line(text: &[u8], rules: &HeadRules) -> Option<Self>;

    /// Whether a head can begin like this. Only the start line is looked at, all of it if it is
    /// there, and else no more than its first bytes.
    fn may_begin(text: &[u8], line_is_there: bool) -> bool;

    /// Whether its body is a part of something, which can't be decoded by itself.
    fn is_partial(&self) -> bool;

    /// Whether bytes that are no head can come before the first one.
    fn may_follow(preamble: &[u8]) -> bool;

    /// The first head that bytes can hold of which nothing is known.
    fn find(text: &[u8], at_start: bool) -> recognise::Found;

    /// Version, header fields, and what is odd.
    fn common(&self) -> &Head;

    /// The same, to be changed.
    fn common_mut(&mut self) -> &mut Head;
}

/// Header fields laid out for httparse on the stack; a head with more is for [`lenient`].
const STRICT_HEADERS: usize = 64;

type HeaderRoom<'a> = [MaybeUninit<httparse::Header<'a>>; STRICT_HEADERS];

fn is_whole(result: httparse::Result<usize>) -> Result<(), Malformed> {
    match result {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Ok(httparse::Status::Partial) | Err(_) => Err(Malformed),
    }
}

/// What a head that is by the grammar can still be odd about.
fn oddities(text: &[u8], headers: &[httparse::Header<'_>]) -> Anomalies {
    let mut anomalies = Anomalies::default();
    let follows_line_end = |header: &httparse::Header<'_>| {
        let before = text.get(..offset_in(text, header.name.as_bytes()));
        before.is_some_and(|before| before.ends_with(b"\r\n"))
    };
    // The last two lines end where the head does.
    if !text.ends_with(b"\r\n\r\n") || !headers.iter().all(follows_line_end) {
        anomalies.add(Anomaly::BareLineFeed);
    }
    anomalies
}

#[cfg(test)]
mod tests;
