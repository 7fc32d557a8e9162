//! Heads of requests (RFC 9112 section 3).

use std::mem::MaybeUninit;

use super::fields::{Builder, Span};
use super::{
    Head, HeadRules, HeaderRoom, Malformed, Parse, STRICT_HEADERS, Version, is_whole, lenient,
    oddities,
};
use crate::http::anomaly::{Anomalies, Anomaly};
use crate::http::recognise;

/// Head of a request (RFC 9112 section 3).
#[derive(Clone, Debug, Eq)]
pub struct RequestHead {
    head: Head,
    method: Span,
    target: Span,
}

impl PartialEq for RequestHead {
    fn eq(&self, other: &Self) -> bool {
        self.method() == other.method()
            && self.target() == other.target()
            && self.head == other.head
    }
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
        self.head.fields.slice(&self.method)
    }

    /// The request target as it was sent but for secrets, in any of its four forms (RFC 9112
    /// section 3.2).
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.head.fields.slice(&self.target)
    }

    /// The URL that the request is for (RFC 9110 section 7.1), in parts that follow each other: its
    /// scheme, authority and path. `None` where its authority is not known.
    #[must_use]
    pub fn url(&self) -> Option<[&[u8]; 3]> {
        let target = self.target();
        let is_origin_form = target.starts_with(b"/") || target == b"*";
        if !is_origin_form || self.method() == b"CONNECT" {
            return Some([b"", b"", target]);
        }
        let host = self.head.value("host").filter(|host| !host.is_empty())?;
        let path = if target == b"*" { &b""[..] } else { target };
        Some([b"http://", host, path])
    }

    /// A request of HTTP/0.9: one line, a method and a target.
    fn simple(text: &[u8], rules: &HeadRules) -> Option<Self> {
        let (target, len) = recognise::simple_request(text)?;
        let mut builder = Builder::new(rules, len, 0);
        let (method, target) = (builder.part(b"GET"), builder.url(target));
        let head = Head::new(builder, Some(Version::HTTP_09), Anomalies::default(), len);
        Some(Self { head, method, target })
    }

    /// Hosts that contradict each other, or none, are what proxies and servers disagree about.
    fn check_host(&mut self) {
        let hosts = self.head.values("host").count();
        if hosts > 1 {
            self.head.anomalies.add(Anomaly::RepeatedHost);
        }
        if hosts == 0 && self.head.version == Some(Version::HTTP_11) {
            self.head.anomalies.add(Anomaly::MissingHost);
        }
    }
}

impl Parse for RequestHead {
    fn parse_strictly(text: &[u8], rules: &HeadRules) -> Result<Self, Malformed> {
        let mut room: HeaderRoom<'_> = [const { MaybeUninit::uninit() }; STRICT_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        is_whole(request.parse_with_uninit_headers(text, &mut room))?;
        let headers = &*request.headers;
        if headers.len() > rules.max_headers {
            return Err(Malformed);
        }
        let mut builder = Builder::of_head(rules, text, headers.len());
        let method = builder.part(request.method.unwrap_or_default().as_bytes());
        let target = builder.url(request.path.unwrap_or_default().as_bytes());
        headers.iter().for_each(|header| builder.field(header.name.as_bytes(), header.value));
        let mut anomalies = oddities(text, headers);
        if !request.path.unwrap_or_default().is_ascii() {
            anomalies.add(Anomaly::OddStartLine);
        }
        let version = request.version.map(Version::http_1);
        let head = Head::new(builder, version, anomalies, text.len());
        let mut request = Self { head, method, target };
        request.check_host();
        Ok(request)
    }

    fn parse_leniently(text: &[u8], rules: &HeadRules) -> Result<Self, Malformed> {
        let lines = lenient::Lines::new(text);
        let mut anomalies = Anomalies::default();
        let line = lenient::request_line(lines.first(), &mut anomalies)?;
        let mut builder = Builder::new(rules, text.len(), 16);
        let (method, target) = (builder.part(line.method), builder.url(line.target));
        lines.fields(&mut builder, &mut anomalies);
        let head = Head::new(builder, Some(line.version), anomalies, text.len());
        let mut request = Self { head, method, target };
        request.check_host();
        Ok(request)
    }

    fn simple_len(text: &[u8]) -> Option<usize> {
        recognise::simple_request(text).map(|(_, len)| len)
    }

    fn parse_simple(text: &[u8], rules: &HeadRules) -> Option<Self> {
        Self::simple(text, rules)
    }

    fn parse_part_of_line(text: &[u8], rules: &HeadRules) -> Option<Self> {
        let (method, target) = recognise::known_method(text)?;
        let mut builder = Builder::new(rules, text.len(), 0);
        let (method, target) = (builder.part(method), builder.url(recognise::trim(target)));
        let head = Head::new(builder, None, Anomalies::default(), text.len());
        Some(Self { head, method, target })
    }

    fn may_begin(text: &[u8], line_is_there: bool) -> bool {
        recognise::may_begin_request(text, line_is_there)
    }

    fn is_partial(&self) -> bool {
        false
    }

    fn may_follow(preamble: &[u8]) -> bool {
        recognise::is_proxy_preamble(preamble)
    }

    fn find(text: &[u8], at_start: bool) -> recognise::Found {
        recognise::find_request(text, at_start)
    }

    fn common(&self) -> &Head {
        &self.head
    }

    fn common_mut(&mut self) -> &mut Head {
        &mut self.head
    }
}
