//! Heads of HTTP/1 messages: start line and header fields, kept as the bytes they were.
//!
//! Follows RFC 9112 sections 2 to 5 by httparse. Invariants: spans lie inside `text`; the value of
//! a secret header is overwritten before the head is stored, unless it was asked for.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::recognise;
use super::redact::Redaction;

/// Bounds on a head, and what is kept of it.
#[derive(Clone, Debug)]
pub struct HeadRules {
    /// Longest head, in bytes: stops a head that never ends.
    pub max_bytes: usize,
    /// Most header fields, at most [`MAX_HEADERS`].
    pub max_headers: usize,
    /// What is hidden of it.
    pub redaction: Redaction,
}

/// The most header fields that can be asked for: what is laid out for them costs stack.
pub const MAX_HEADERS: usize = 256;

impl Default for HeadRules {
    fn default() -> Self {
        Self { max_bytes: 64 << 10, max_headers: MAX_HEADERS, redaction: Redaction::default() }
    }
}

/// What stands in place of a secret.
pub const REDACTED: &[u8] = b"[redacted]";

/// Why bytes are not a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// Not HTTP/1 by its syntax.
    Malformed,
    /// More header fields than [`HeadRules::max_headers`].
    TooManyHeaders,
}

type Span = Range<u32>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: Span,
    /// `None` where it was a secret.
    value: Option<Span>,
}

/// What requests and responses have in common: version and header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    text: Box<[u8]>,
    minor_version: u8,
    fields: Box<[Field]>,
    len: u32,
}

impl Head {
    /// Bytes of the head on the wire, with the empty line that ends it.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether the head has no bytes: never.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory that the head takes beyond its own size.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.text.len() + self.fields.len() * size_of::<Field>()
    }

    /// `x` of `HTTP/1.x`.
    #[must_use]
    pub const fn minor_version(&self) -> u8 {
        self.minor_version
    }

    /// Names and values in the order they were sent, secrets as [`REDACTED`].
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| {
            let value = field.value.as_ref().map_or(REDACTED, |value| self.slice(value));
            (self.slice(&field.name), value)
        })
    }

    /// Values of every header field of this name, in the order they were sent.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Value of the first header field of this name.
    #[must_use]
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// Whether a comma-separated header has this member, in any case (RFC 9110 section 5.6.1).
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|member| member.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    fn slice(&self, span: &Span) -> &[u8] {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    fn build(
        text: &[u8],
        minor_version: Option<u8>,
        headers: &[httparse::Header<'_>],
        rules: &HeadRules,
    ) -> Self {
        let mut owned: Box<[u8]> = text.into();
        let fields = headers
            .iter()
            .map(|header| {
                let value = span_in(text, header.value);
                let secret = rules.redaction.hides_header(header.name.as_bytes());
                if secret {
                    wipe(&mut owned, &value);
                }
                Field {
                    name: span_in(text, header.name.as_bytes()),
                    value: (!secret).then_some(value),
                }
            })
            .collect();
        Self {
            text: owned,
            minor_version: minor_version.unwrap_or_default(),
            fields,
            len: text.len() as u32,
        }
    }
}

fn wipe(text: &mut [u8], span: &Span) {
    if let Some(bytes) = text.get_mut(span.start as usize..span.end as usize) {
        bytes.fill(b'*');
    }
}

/// Where `part`, a slice of `text`, lies in it.
fn span_in(text: &[u8], part: &[u8]) -> Span {
    let start = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    if start > text.len() {
        return 0..0; // httparse's empty slices may be its own
    }
    start as u32..(start + part.len()) as u32
}

/// Head of a request (RFC 9112 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    head: Head,
    method: Span,
    target: Span,
}

impl RequestHead {
    /// Version and header fields.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The method as it was sent.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.head.slice(&self.method)
    }

    /// The request target as it was sent, in any of its four forms (RFC 9112 section 3.2).
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.head.slice(&self.target)
    }
}

/// Head of a response (RFC 9112 section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    head: Head,
    status: u16,
    reason: Span,
}

impl ResponseHead {
    /// Version and header fields.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, often empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.head.slice(&self.reason)
    }

    /// Whether a final response is still to come (RFC 9110 section 15.2). 101 is the last one of
    /// its connection.
    #[must_use]
    pub const fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }
}

/// What requests and responses are parsed to.
pub trait Parse: Sized {
    /// Parses a whole head: start line, header fields, empty line.
    ///
    /// # Errors
    /// What keeps the bytes from being a head.
    fn parse(text: &[u8], rules: &HeadRules) -> Result<Self, HeadError>;

    /// Whether a head can begin like this. Only the start line is looked at, and only as far as
    /// it is there.
    fn may_begin(text: &[u8]) -> bool;

    /// Whether bytes in the middle of a stream are taken for the start of a head: stricter than
    /// [`Parse::may_begin`], because anything may stand there.
    fn plausibly_begins(text: &[u8]) -> bool;
}

type HeaderRoom<'a> = [MaybeUninit<httparse::Header<'a>>; MAX_HEADERS];

fn header_room<'a, 'b>(
    room: &'b mut HeaderRoom<'a>,
    rules: &HeadRules,
) -> &'b mut [MaybeUninit<httparse::Header<'a>>] {
    room.get_mut(..rules.max_headers).unwrap_or_default()
}

fn checked(result: httparse::Result<usize>) -> Result<(), HeadError> {
    match result {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyHeaders),
        Ok(httparse::Status::Partial) | Err(_) => Err(HeadError::Malformed),
    }
}

impl Parse for RequestHead {
    fn parse(text: &[u8], rules: &HeadRules) -> Result<Self, HeadError> {
        let mut room: HeaderRoom<'_> = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let config = httparse::ParserConfig::default();
        checked(config.parse_request_with_uninit_headers(
            &mut request,
            text,
            header_room(&mut room, rules),
        ))?;
        Ok(Self {
            method: span_in(text, request.method.unwrap_or_default().as_bytes()),
            target: span_in(text, request.path.unwrap_or_default().as_bytes()),
            head: Head::build(text, request.version, request.headers, rules),
        })
    }

    fn may_begin(text: &[u8]) -> bool {
        recognise::may_begin_request(text)
    }

    fn plausibly_begins(text: &[u8]) -> bool {
        recognise::plausibly_begins_request(text)
    }
}

impl Parse for ResponseHead {
    fn parse(text: &[u8], rules: &HeadRules) -> Result<Self, HeadError> {
        let mut room: HeaderRoom<'_> = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let mut config = httparse::ParserConfig::default();
        config
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true);
        checked(config.parse_response_with_uninit_headers(
            &mut response,
            text,
            header_room(&mut room, rules),
        ))?;
        Ok(Self {
            status: response.code.unwrap_or_default(),
            reason: span_in(text, response.reason.unwrap_or_default().as_bytes()),
            head: Head::build(text, response.version, response.headers, rules),
        })
    }

    fn may_begin(text: &[u8]) -> bool {
        recognise::may_begin_response(text)
    }

    fn plausibly_begins(text: &[u8]) -> bool {
        recognise::plausibly_begins_response(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<RequestHead, HeadError> {
        RequestHead::parse(text.as_bytes(), &HeadRules::default())
    }

    #[test]
    fn a_request_head_gives_its_parts() {
        let text = "GET /a?b HTTP/1.1\r\nHost: example.com\r\nX: 1\r\nx: 2\r\n\r\n";
        let head = request(text).unwrap();
        assert_eq!(head.method(), b"GET");
        assert_eq!(head.target(), b"/a?b");
        assert_eq!(head.head().minor_version(), 1);
        assert_eq!(head.head().len() as usize, text.len());
        assert_eq!(head.head().value("host"), Some(&b"example.com"[..]));
        assert_eq!(head.head().values("x").collect::<Vec<_>>(), [b"1", b"2"]);
    }

    #[test]
    fn a_response_head_gives_its_parts() {
        let text = b"HTTP/1.0 404 Not Found\r\nConnection: close, X\r\n\r\n";
        let head = ResponseHead::parse(text, &HeadRules::default()).unwrap();
        assert_eq!(head.status(), 404);
        assert_eq!(head.reason(), b"Not Found");
        assert_eq!(head.head().minor_version(), 0);
        assert!(head.head().has_token("connection", "CLOSE"));
        assert!(!head.head().has_token("connection", "clo"));
        let bare = ResponseHead::parse(b"HTTP/1.1 200\r\n\r\n", &HeadRules::default()).unwrap();
        assert_eq!((bare.status(), bare.reason()), (200, &b""[..]));
    }

    #[test]
    fn secrets_are_not_in_the_stored_head() {
        let text = "GET / HTTP/1.1\r\nauthorization: Basic c2VjcmV0\r\nCookie: s=c2VjcmV0\r\n\r\n";
        let head = request(text).unwrap();
        assert_eq!(head.head().value("Authorization"), Some(REDACTED));
        assert_eq!(head.head().value("cookie"), Some(REDACTED));
        assert!(memchr::memmem::find(&head.head().text, b"c2VjcmV0").is_none());
        let rules = HeadRules { redaction: Redaction::none(), ..HeadRules::default() };
        let shown = RequestHead::parse(text.as_bytes(), &rules).unwrap();
        assert_eq!(shown.head().value("cookie"), Some(&b"s=c2VjcmV0"[..]));
    }

    #[test]
    fn more_headers_than_allowed_are_refused() {
        let rules = HeadRules { max_headers: 2, ..HeadRules::default() };
        let head = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(RequestHead::parse(head(2).as_bytes(), &rules).is_ok());
        assert_eq!(RequestHead::parse(head(3).as_bytes(), &rules), Err(HeadError::TooManyHeaders));
    }
}
