//! Cookies, taken apart (RFC 6265 sections 5.2 and 5.4) as far as HAR has a place for them.
//!
//! Those that are hidden are not there to be taken apart: where a header is, `_cookies` says so
//! beside the list. An `Expires` that is no date is left to the header.

use jiff::fmt::rfc2822::DateTimeParser;

use crate::http::head::{Head, REDACTED};
use crate::output::json::Json;

/// Adds the cookies that a client sends back.
pub(super) fn sent(head: &Head, json: &mut Json<'_>) {
    list(head, "cookie", json, |value, add| {
        let cookies = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        cookies.filter(|cookie| !cookie.is_empty()).for_each(|cookie| add(cookie, &[]));
    });
}

/// Adds the cookies that a server sets.
pub(super) fn set(head: &Head, json: &mut Json<'_>) {
    list(head, "set-cookie", json, |value, add| {
        let (cookie, attributes) = split_at_byte(value, b';');
        add(cookie, attributes);
    });
}

/// Adds the list `cookies`, of what `each` finds in the values of a header: a pair, and attributes.
fn list(
    head: &Head,
    header: &str,
    json: &mut Json<'_>,
    each: impl Fn(&[u8], &mut dyn FnMut(&[u8], &[u8])),
) {
    let (mut before, mut is_hidden) = (&b""[..], false);
    json.raw(br#","cookies":["#);
    for value in head.values(header) {
        if value == REDACTED {
            is_hidden = true;
            continue;
        }
        each(value, &mut |cookie, attributes| {
            json.raw(std::mem::replace(&mut before, b","));
            let (name, value) = split_at_byte(cookie, b'=');
            json.raw(br#"{"name":"#);
            json.quoted(name);
            json.raw(br#","value":"#);
            json.quoted(value);
            attributes_of(attributes, json);
            json.raw(b"}");
        });
    }
    json.raw(b"]");
    if is_hidden {
        json.raw(br#","_cookies":"#);
        json.quoted(REDACTED);
    }
}

/// Adds what HAR knows of a cookie's attributes, each as it was given last.
fn attributes_of(attributes: &[u8], json: &mut Json<'_>) {
    if attributes.is_empty() {
        return;
    }
    let find = |wanted: &str| {
        let attributes = attributes.split(|byte| *byte == b';');
        let mut attributes = attributes.map(|attribute| split_at_byte(attribute, b'=')).rev();
        attributes
            .find_map(|(name, value)| name.eq_ignore_ascii_case(wanted.as_bytes()).then_some(value))
    };
    for (key, name) in [(&br#","path":"#[..], "path"), (br#","domain":"#, "domain")] {
        if let Some(value) = find(name) {
            json.raw(key);
            json.quoted(value);
        }
    }
    if let Some(date) = find("expires").and_then(date) {
        json.raw(br#","expires":"#);
        json.quoted(date.to_string().as_bytes());
    }
    for (key, name) in [(&br#","httpOnly":"#[..], "httponly"), (br#","secure":"#, "secure")] {
        json.raw(key);
        json.raw(if find(name).is_some() { b"true" } else { b"false" });
    }
}

/// A date as servers write it, with hyphens as Netscape had it too.
fn date(text: &[u8]) -> Option<jiff::Timestamp> {
    let text = std::str::from_utf8(text).ok()?.replace('-', " ");
    DateTimeParser::new().relaxed_weekday(true).parse_timestamp(&text).ok()
}

/// What comes before a byte and after it, without the white space around.
fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], &[u8]) {
    let end = memchr::memchr(byte, text).unwrap_or(text.len());
    let (before, after) = text.split_at(end);
    (before.trim_ascii(), after.get(1..).unwrap_or_default().trim_ascii())
}
