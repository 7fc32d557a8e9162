//! Heads that are not by the grammar, as lenient recipients take them all the same.
//!
//! Follows what RFC 9112 sections 2.2, 3, 4 and 5 let a recipient do with them, and beyond that
//! what servers in use do. Invariant: every departure from the grammar leaves a mark.

use std::borrow::Cow;

use super::fields::{Builder, Fields};
use super::{HeadRules, Malformed, Version};
use crate::http::anomaly::{Anomalies, Anomaly};
use crate::http::recognise::{is_space, is_token, trim};

/// The lines of a head, or of a trailer section.
pub(super) struct Lines<'a> {
    text: &'a [u8],
}

/// A field, as it is put together from its lines.
struct Draft<'a> {
    /// `None` where the line has no colon.
    name: Option<&'a [u8]>,
    value: Cow<'a, [u8]>,
}

pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) version: Version,
}

pub(super) struct StatusLine<'a> {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) reason: &'a [u8],
}

/// The request line (RFC 9112 section 3): the method is the first word, the version the last one.
pub(super) fn request_line<'a>(
    line: &'a [u8],
    anomalies: &mut Anomalies,
) -> Result<RequestLine<'a>, Malformed> {
    let line = without_line_end(line, anomalies);
    let (method, rest) = line.split_at(line.iter().position(is_space).ok_or(Malformed)?);
    let rest = trim(rest);
    let at = rest.iter().rposition(is_space).ok_or(Malformed)?;
    let (target, version) = rest.split_at(at);
    let target = trim(target);
    let version = parse_version(trim(version), anomalies).ok_or(Malformed)?;
    // The preface of HTTP/2 is no request (RFC 9113 section 3.4).
    if method.is_empty()
        || method == b"PRI"
        || !method.iter().all(|byte| is_token(*byte))
        || target.is_empty()
    {
        return Err(Malformed);
    }
    let exact = line.len() == method.len() + target.len() + 10 && !line.contains(&b'\t');
    if !exact || !target.iter().all(u8::is_ascii_graphic) {
        anomalies.add(Anomaly::OddStartLine);
    }
    note_controls(line, anomalies);
    Ok(RequestLine { method, target, version })
}

/// The status line (RFC 9112 section 4).
pub(super) fn status_line<'a>(
    line: &'a [u8],
    anomalies: &mut Anomalies,
) -> Result<StatusLine<'a>, Malformed> {
    let line = without_line_end(line, anomalies);
    let (version, rest) = line.split_at_checked("HTTP/1.1".len()).ok_or(Malformed)?;
    let version = parse_version(version, anomalies).ok_or(Malformed)?;
    let digits = rest.trim_ascii_start();
    let (digits, reason) = digits.split_at_checked(3).ok_or(Malformed)?;
    let status = parse_status(digits).ok_or(Malformed)?;
    let one_space = rest.len() == 1 + digits.len() + reason.len() && rest.starts_with(b" ");
    if !one_space || !(reason.is_empty() || reason.starts_with(b" ")) {
        anomalies.add(Anomaly::OddStartLine);
    }
    note_controls(line, anomalies);
    Ok(StatusLine { version, status, reason: trim(reason) })
}

/// Three digits, the first of which is none too small.
fn parse_status(digits: &[u8]) -> Option<u16> {
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (status >= 100 && digits.iter().all(u8::is_ascii_digit)).then_some(status)
}

/// `HTTP/1.1`, in any case and with any two digits.
fn parse_version(text: &[u8], anomalies: &mut Anomalies) -> Option<Version> {
    let [b'H' | b'h', b'T' | b't', b'T' | b't', b'P' | b'p', b'/', major, b'.', minor] = text
    else {
        return None;
    };
    if !text.starts_with(b"HTTP") {
        anomalies.add(Anomaly::OddStartLine);
    }
    let digit = |byte: u8| byte.is_ascii_digit().then(|| byte - b'0');
    Some(Version { major: digit(*major)?, minor: digit(*minor)? })
}

impl<'a> Lines<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text }
    }

    /// The start line, with its end.
    pub(super) fn first(&self) -> &'a [u8] {
        self.text.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default()
    }

    /// The fields after the start line, as far as there is room for them.
    pub(super) fn fields(&self, builder: &mut Builder<'_, '_>, anomalies: &mut Anomalies) {
        let after = self.text.get(self.first().len()..).unwrap_or_default();
        add_fields(after, builder, anomalies);
    }
}

/// The fields of a trailer section (RFC 9112 section 7.1.2).
pub(super) fn trailers(text: &[u8], rules: &HeadRules, anomalies: &mut Anomalies) -> Fields {
    let mut builder = Builder::new(rules, text.len(), 4);
    add_fields(text, &mut builder, anomalies);
    builder.build()
}

fn add_fields(text: &[u8], builder: &mut Builder<'_, '_>, anomalies: &mut Anomalies) {
    let mut draft: Option<Draft<'_>> = None;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = without_line_end(line, anomalies);
        if line.is_empty() {
            break;
        }
        note_controls(line, anomalies);
        if line.first().is_some_and(is_space) {
            anomalies.add(Anomaly::FoldedHeader);
            match &mut draft {
                Some(draft) => draft.unfold(line, anomalies),
                // Before the first field: of what it is part, nobody can tell.
                None => anomalies.add(Anomaly::InvalidHeader),
            }
            continue;
        }
        add(builder, draft.replace(Draft::of(line, anomalies)), anomalies);
    }
    add(builder, draft, anomalies);
}

fn add(builder: &mut Builder<'_, '_>, draft: Option<Draft<'_>>, anomalies: &mut Anomalies) {
    let Some(Draft { name, value }) = draft else { return };
    match name {
        _ if !builder.has_room_for(name.unwrap_or_default()) => {
            anomalies.add(Anomaly::TooManyHeaders);
        }
        Some(name) => builder.field(name, &value),
        None => builder.line(&value),
    }
}

impl<'a> Draft<'a> {
    fn of(line: &'a [u8], anomalies: &mut Anomalies) -> Self {
        let Some(colon) = memchr::memchr(b':', line) else {
            anomalies.add(Anomaly::InvalidHeader);
            return Self { name: None, value: line.into() };
        };
        let (name, value) = line.split_at(colon);
        let trimmed = trim(name);
        if trimmed.len() < name.len() {
            anomalies.add(Anomaly::SpaceBeforeColon);
        }
        if trimmed.is_empty() || !trimmed.iter().all(|byte| is_token(*byte)) {
            anomalies.add(Anomaly::InvalidHeader);
        }
        let value = trim(value.get(1..).unwrap_or_default());
        Self { name: Some(trimmed), value: value.into() }
    }

    /// A folded line goes on after a space (RFC 9112 section 5.2).
    fn unfold(&mut self, line: &[u8], anomalies: &mut Anomalies) {
        let framing: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];
        let name = self.name.unwrap_or_default();
        if framing.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
            anomalies.add(Anomaly::FoldedFramingHeader);
        }
        let value = self.value.to_mut();
        if !value.is_empty() {
            value.push(b' ');
        }
        value.extend_from_slice(trim(line));
    }
}

fn without_line_end<'a>(line: &'a [u8], anomalies: &mut Anomalies) -> &'a [u8] {
    let Some(line) = line.strip_suffix(b"\n") else { return line };
    line.strip_suffix(b"\r").unwrap_or_else(|| {
        anomalies.add(Anomaly::BareLineFeed);
        line
    })
}

/// A tab is white space, and no control character here (RFC 9110 section 5.5).
fn note_controls(line: &[u8], anomalies: &mut Anomalies) {
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        anomalies.add(Anomaly::ControlCharacters);
    }
}
