//! Requests and responses of entries.

use std::fmt;

use super::{cookies, url};
use crate::http::form::Field;
use crate::http::head::{Fields, Head, RequestHead, ResponseHead, Version};
use crate::http::{self, Body, Length, Message, State};
use crate::notation::{content, encoding};
use crate::output::json::Json;
use crate::output::record::{StateRecord, gaps, write_headers};
use crate::segment::{Endpoint, Missing};

/// Type of a body whose sender gave none, as Chromium and Playwright call it.
const UNKNOWN_TYPE: &[u8] = b"x-unknown";

/// About how many bytes of text there are.
pub(super) fn text_bytes(http: &http::Exchange) -> usize {
    let of = |head: &Head, body: &Body| 3 * head.len() as usize + body.content.len();
    http.request.as_ref().map_or(0, |message| of(message.head.head(), &message.body))
        + http.response.as_ref().map_or(0, |message| of(message.head.head(), &message.body))
}

pub(super) fn request(
    message: &Message<RequestHead>,
    server: Endpoint,
    json: &mut Json<'_>,
) -> fmt::Result {
    let head = message.head.head();
    json.raw(br#"{"method":"#);
    json.quoted(message.head.method());
    json.raw(br#","url":""#);
    url::url(&message.head, server, json)?;
    json.raw(br#"","httpVersion":"#);
    version(head, json);
    cookies::sent(head, json);
    json.raw(br#","headers":"#);
    write_headers(head.fields(), json);
    url::query(message.head.target(), json);
    post_data(head, &message.body, json);
    sizes(head, &message.body, json);
    url::what_was_sent(&message.head, json);
    rest(message, json)
}

/// A request that was not seen, or of which it is not known that it is the one: its server is known.
pub(super) fn no_request(server: Endpoint, json: &mut Json<'_>) -> fmt::Result {
    json.raw(br#"{"method":"","url":""#);
    url::of_address(server, json)?;
    json.raw(
        br#"/","httpVersion":"","cookies":[],"headers":[],"queryString":[],"headersSize":-1,"bodySize":-1,"comment":"not observed","_state":null}"#,
    );
    Ok(())
}

pub(super) fn response(message: &Message<ResponseHead>, json: &mut Json<'_>) -> fmt::Result {
    let head = message.head.head();
    json.raw(br#"{"status":"#);
    json.number(message.head.status().unwrap_or_default().into());
    json.raw(br#","statusText":"#);
    json.quoted(message.head.reason());
    json.raw(br#","httpVersion":"#);
    version(head, json);
    cookies::set(head, json);
    json.raw(br#","headers":"#);
    write_headers(head.fields(), json);
    content_of(head, &message.body, json);
    json.raw(br#","redirectURL":"#);
    json.quoted(head.value("location").unwrap_or_default());
    sizes(head, &message.body, json);
    if message.head.status().is_none() {
        json.raw(br#","_status":null"#);
    }
    rest(message, json)
}

/// A response that was not seen, or of which it is not known that it is the one: as browsers tell of
/// none.
pub(super) fn no_response(json: &mut Json<'_>) {
    json.raw(
        br#"{"status":0,"statusText":"","httpVersion":"","cookies":[],"headers":[],"content":{"size":-1,"mimeType":"x-unknown"},"redirectURL":"","headersSize":-1,"bodySize":-1,"comment":"not observed","_state":null}"#,
    );
}

fn version(head: &Head, json: &mut Json<'_>) {
    match head.version() {
        None => json.raw(br#""""#),
        Some(Version::HTTP_11) => json.raw(br#""HTTP/1.1""#),
        Some(Version { major, minor }) => {
            json.raw(br#""HTTP/"#);
            json.number(major.into());
            json.raw(b".");
            json.number(minor.into());
            json.raw(b"\"");
        }
    }
}

/// Adds how long head and body are, as far as that is known.
fn sizes(head: &Head, body: &Body, json: &mut Json<'_>) {
    json.raw(br#","headersSize":"#);
    match head.len() {
        // Of HTTP/0.9 it is known that there is none.
        0 if head.version().is_none() => json.raw(b"-1"),
        len => json.number(len.into()),
    }
    json.raw(br#","bodySize":"#);
    number_or_unknown(body_size(body), json);
    if let Length::InStream(bytes) = body.length {
        json.raw(br#","_sequence_bytes":"#);
        json.number(bytes);
    }
}

fn body_size(body: &Body) -> Option<u64> {
    (body.length == Length::Counted).then_some(body.wire_bytes)
}

fn number_or_unknown(number: Option<u64>, json: &mut Json<'_>) {
    match number {
        Some(number) => json.number(number),
        None => json.raw(b"-1"),
    }
}

/// Adds the body of a request. HAR has a place for text and for fields of forms: what is neither is
/// in `_base64`.
fn post_data(head: &Head, body: &Body, json: &mut Json<'_>) {
    let (text, base64) = content(&body.content, body.truncated);
    if text.is_some() || body.form.is_some() {
        json.raw(br#","postData":{"mimeType":"#);
        json.quoted(head.value("content-type").unwrap_or(UNKNOWN_TYPE));
        if let Some(text) = &text {
            json.raw(br#","text":"#);
            json.quoted(text.as_bytes());
        }
        if let Some(fields) = &body.form {
            params(fields, json);
        }
        json.raw(b"}");
    }
    if let Some(base64) = &base64 {
        json.raw(br#","_base64":"#);
        json.quoted(base64.as_bytes());
    }
    not_whole(head, body, json);
}

fn params(fields: &[Field], json: &mut Json<'_>) {
    json.raw(br#","params":["#);
    let mut before = &b""[..];
    for field in fields {
        json.raw(std::mem::replace(&mut before, b","));
        json.raw(br#"{"name":"#);
        json.quoted(&field.name);
        let (text, base64) = content(&field.value, field.truncated);
        match base64 {
            None => {
                json.raw(br#","value":"#);
                json.quoted(text.unwrap_or_default().as_bytes());
            }
            Some(base64) => {
                json.raw(br#","_base64":"#);
                json.quoted(base64.as_bytes());
            }
        }
        let optional = [
            (&br#","fileName":"#[..], &field.filename),
            (br#","contentType":"#, &field.content_type),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                json.raw(key);
                json.quoted(value);
            }
        }
        if field.truncated {
            json.raw(br#","_truncated":true"#);
        }
        if !field.complete {
            json.raw(br#","_complete":false"#);
        }
        json.raw(b"}");
    }
    json.raw(b"]");
}

/// Adds the body of a response.
fn content_of(head: &Head, body: &Body, json: &mut Json<'_>) {
    let is_coded = head.value("content-encoding").is_some();
    // Content that is left as it was sent is as long as it was sent.
    let size = if is_coded && body.decoded { body.bytes } else { body_size(body) };
    json.raw(br#","content":{"size":"#);
    number_or_unknown(size, json);
    if let (true, Some(size), Some(sent)) = (is_coded && body.decoded, size, body_size(body)) {
        json.raw(br#","compression":"#);
        json.raw(if sent > size { b"-" } else { b"" });
        json.number(size.abs_diff(sent));
    }
    json.raw(br#","mimeType":"#);
    json.quoted(head.value("content-type").unwrap_or(UNKNOWN_TYPE));
    let (text, base64) = content(&body.content, body.truncated);
    if let Some(text) = text.as_deref().or(base64.as_deref()) {
        json.raw(br#","text":"#);
        json.quoted(text.as_bytes());
    }
    if base64.is_some() {
        json.raw(br#","encoding":"base64""#);
    }
    not_whole(head, body, json);
    json.raw(b"}");
}

/// Adds in which way what is here of a body is not what its sender meant.
fn not_whole(head: &Head, body: &Body, json: &mut Json<'_>) {
    if body.truncated {
        json.raw(br#","_truncated":true"#);
    }
    if !body.decoded
        && let Some(encoding) = encoding(head)
    {
        json.raw(br#","_encoding":"#);
        json.quoted(encoding.as_bytes());
    }
}

/// What requests and responses have in common, from their state on.
fn rest<H>(message: &Message<H>, json: &mut Json<'_>) -> fmt::Result {
    if message.state == State::Complete {
        json.raw(br#","_state":"complete""#);
    } else {
        json.raw(br#","_state":"#);
        json.record(&StateRecord::from(message.state))?;
    }
    for (key, bytes) in [
        (&br#","_lost_bytes":"#[..], message.lost_bytes),
        (br#","_dropped_bytes":"#, message.dropped_bytes),
        (br#","_elided_bytes":"#, message.elided_bytes),
    ] {
        if bytes > 0 {
            json.raw(key);
            json.number(bytes);
        }
    }
    if !message.gaps.is_empty() {
        let lost = gaps(message, |missing| missing != Missing::Elided);
        let elided = gaps(message, |missing| missing == Missing::Elided);
        for (key, gaps) in [(&br#","_gaps":"#[..], lost), (br#","_elided":"#, elided)] {
            if !gaps.is_empty() {
                json.raw(key);
                json.list(gaps)?;
            }
        }
    }
    trailers(&message.trailers, json);
    json.raw(b"}");
    Ok(())
}

fn trailers(trailers: &Fields, json: &mut Json<'_>) {
    if !trailers.is_empty() {
        json.raw(br#","_trailers":"#);
        write_headers(trailers, json);
    }
}
