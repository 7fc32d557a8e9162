//! The URL of a request as HAR wants it, absolute and valid, and its query taken apart.
//!
//! Follows RFC 9110 section 7.1 and the URL standard. What a browser leaves as it is in a query stays
//! so here too, that the URL be the one by which a browser asks; what it encodes is encoded. Where
//! the URL is more than scheme, `Host` and target one after the other, `_target` has the target as it
//! was sent, and where there is no `Host`, `_host` is `null` and the server's address stands for it.

use std::fmt;

use crate::http::form::decoded;
use crate::http::head::RequestHead;
use crate::output::json::Json;
use crate::segment::Endpoint;

/// Adds the URL as the text of a field.
pub(super) fn url(head: &RequestHead, server: Endpoint, json: &mut Json<'_>) -> fmt::Result {
    let target = head.target();
    let is_origin_form = target.starts_with(b"/") || target == b"*";
    match head.url() {
        Some([scheme, host, path]) if is_origin_form && !scheme.is_empty() => {
            json.raw(scheme);
            encoded(host, json);
            encoded(path, json);
        }
        _ if head.method() == b"CONNECT" => {
            json.raw(b"http://");
            encoded(target, json);
        }
        _ if has_scheme(target) => encoded(target, json),
        _ => {
            match host(head) {
                Some(host) => {
                    json.raw(b"http://");
                    encoded(host, json);
                }
                None => of_address(server, json)?,
            }
            if target != b"*" {
                json.raw(if target.starts_with(b"/") { b"" } else { b"/" });
                encoded(target, json);
            }
        }
    }
    Ok(())
}

/// Adds the URL of a server of which no more is known than its address, but for the path.
pub(super) fn of_address(server: Endpoint, json: &mut Json<'_>) -> fmt::Result {
    json.raw(b"http://");
    json.display(format_args!("{server}"))
}

/// Adds what of the request the URL does not tell, or tells in another way.
pub(super) fn what_was_sent(head: &RequestHead, json: &mut Json<'_>) {
    let target = head.target();
    let is_usual = target.starts_with(b"/") && head.method() != b"CONNECT";
    if !is_usual || !target.iter().all(|byte| stays(*byte)) {
        json.raw(br#","_target":"#);
        json.quoted(target);
    }
    if host(head).is_none() {
        json.raw(br#","_host":null"#);
    }
}

/// Adds the list `queryString`, names and values decoded.
pub(super) fn query(target: &[u8], json: &mut Json<'_>) {
    json.raw(br#","queryString":["#);
    let start = memchr::memchr(b'?', target).map_or(target.len(), |at| at + 1);
    let query = target.get(start..).unwrap_or_default();
    let mut before = &b""[..];
    for pair in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (name, value) = pair.split_at(end);
        json.raw(std::mem::replace(&mut before, b","));
        json.raw(br#"{"name":"#);
        json.quoted(&decoded(name));
        json.raw(br#","value":"#);
        json.quoted(&decoded(value.get(1..).unwrap_or_default()));
        json.raw(b"}");
    }
    json.raw(b"]");
}

fn host(head: &RequestHead) -> Option<&[u8]> {
    head.head().value("host").filter(|host| !host.is_empty())
}

/// Whether it begins as an absolute URL does (RFC 3986 section 3.1).
fn has_scheme(target: &[u8]) -> bool {
    let end = memchr::memchr(b':', target).unwrap_or_default();
    let scheme = target.get(..end).unwrap_or_default();
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

/// Whether a byte of a request target stands in a browser's URL as it is: the query percent-encode
/// set of the URL standard has the others.
const fn stays(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

/// Adds a part of a URL.
fn encoded(part: &[u8], json: &mut Json<'_>) {
    if part.iter().all(|byte| stays(*byte)) {
        return json.bytes(part);
    }
    for byte in part {
        if stays(*byte) {
            json.bytes(&[*byte]);
        } else {
            const HEX: [u8; 16] = *b"0123456789ABCDEF";
            let hex = |digit: u8| HEX.get(usize::from(digit)).copied().unwrap_or_default();
            json.raw(&[b'%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
}
