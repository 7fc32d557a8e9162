//! What an exchange's endpoint is called: method, host and path (RFC 9110 section 4.2.1), where
//! what names one thing out of many stands as `{id}`.

use super::Exchange;
use crate::http::head::RequestHead;

/// Longest name: stops paths of any length from filling the table.
const MAX_BYTES: usize = 200;
/// Bytes of a word from which on it is told from a token that somebody rolled.
const TOKEN_BYTES: usize = 16;
/// Digits of base 16 from which on they are taken for a number.
const HEX_DIGITS: usize = 8;
/// Longest extension of a file's name, with its dot.
const EXTENSION_BYTES: usize = 6;
/// What stands for what names one thing.
const ID: &[u8] = b"{id}";

/// Writes the name of an exchange's endpoint over `name`.
pub(super) fn write(exchange: &Exchange, name: &mut Vec<u8>) {
    name.clear();
    // A request of which only the end was seen has no start line.
    let seen = exchange.http.request.as_ref().filter(|request| !request.head.method().is_empty());
    let Some(request) = seen else {
        let server = exchange.flow.server;
        return name.extend_from_slice(format!("(request not seen) {server}").as_bytes());
    };
    let head = &request.head;
    name.extend_from_slice(head.method());
    name.push(b' ');
    let (authority, path) = parts(head);
    let start = name.len();
    match authority {
        Some(authority) => name.extend_from_slice(authority),
        None => name.extend_from_slice(exchange.flow.server.to_string().as_bytes()),
    }
    if let Some(authority) = name.get_mut(start..) {
        authority.make_ascii_lowercase();
    }
    if name.ends_with(b":80") {
        name.truncate(name.len() - b":80".len());
    }
    write_path(path, name);
    if name.len() > MAX_BYTES {
        name.truncate(MAX_BYTES);
        name.extend_from_slice(b"...");
    }
}

/// Authority and path of a request's URL, as far as they are known.
fn parts(head: &RequestHead) -> (Option<&[u8]>, &[u8]) {
    let Some([_, authority, rest]) = head.url() else { return (None, head.target()) };
    if !authority.is_empty() {
        return (Some(authority), rest);
    }
    // Absolute form, authority form, or nonsense.
    let is_http = rest.get(..7).is_some_and(|it| it.eq_ignore_ascii_case(b"http://"));
    let rest = if is_http { rest.get(7..).unwrap_or_default() } else { rest };
    // Of other schemes the slashes before the authority are passed over.
    let scheme = memchr::memmem::find(rest, b"://").map_or(0, |at| at + 3);
    let path = rest.iter().skip(scheme).position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let (authority, path) = rest.split_at(path.map_or(rest.len(), |at| scheme + at));
    (Some(authority), path)
}

fn write_path(path: &[u8], name: &mut Vec<u8>) {
    // Most segments are words, and stay as they are.
    let is_odd = |byte: &u8| matches!(byte, b'0'..=b'9' | b'@' | b';' | b'?' | b'#');
    let (words, rest) = path.split_at(path.iter().position(is_odd).unwrap_or(path.len()));
    let whole = if rest.is_empty() { words.len() } else { after_slash(words) };
    let (words, rest) = path.split_at(whole);
    name.extend_from_slice(words.get(..MAX_BYTES).unwrap_or(words));
    let end = memchr::memchr2(b'?', b'#', rest).unwrap_or(rest.len());
    let segments = rest.get(..end).unwrap_or_default().split(|byte| *byte == b'/');
    for (at, segment) in segments.enumerate() {
        // No more of it is kept.
        if name.len() > MAX_BYTES {
            return;
        }
        if at > 0 {
            name.push(b'/');
        }
        // What follows are parameters of the segment (RFC 3986 section 3.3), as `;jsessionid=…`.
        let parameters = memchr::memchr(b';', segment);
        write_segment(parameters.and_then(|at| segment.get(..at)).unwrap_or(segment), name);
    }
}

fn after_slash(path: &[u8]) -> usize {
    memchr::memrchr(b'/', path).map_or(0, |at| at + 1)
}

fn write_segment(segment: &[u8], name: &mut Vec<u8>) {
    if is_id(segment) {
        return name.extend_from_slice(ID);
    }
    let dot = memchr::memrchr(b'.', segment).map(|at| segment.split_at(at));
    match dot.filter(|(stem, extension)| extension.len() <= EXTENSION_BYTES && is_id(stem)) {
        Some((_, extension)) => {
            name.extend_from_slice(ID);
            name.extend_from_slice(extension);
        }
        None => name.extend_from_slice(segment),
    }
}

/// Whether this names one thing out of many: a number, a UUID, a hash, a date, a token, an address.
fn is_id(segment: &[u8]) -> bool {
    if is_web_token(segment) {
        return true;
    }
    let digits = segment.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return is_address(segment);
    }
    let is_number = digits == segment.len();
    is_number || is_hexadecimal(segment) || is_token(segment) || is_address(segment)
}

/// A JSON Web Token (RFC 7519) in its compact form, whose first part begins as an object in JSON does.
fn is_web_token(segment: &[u8]) -> bool {
    let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    segment.starts_with(b"eyJ")
        && segment.contains(&b'.')
        && segment.iter().all(|byte| is_base64url(byte) || *byte == b'.')
}

/// So it is if it has a digit of base 10, too.
fn is_hexadecimal(segment: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    segment.len() >= HEX_DIGITS
        && segment.iter().all(|byte| is_digit(byte) || *byte == b'-')
        && segment.iter().copied().filter(|byte| is_digit(byte)).count() >= HEX_DIGITS
}

/// Words between dashes are not that long, and have not both letters and several digits.
fn is_token(segment: &[u8]) -> bool {
    let rolled = |word: &[u8]| {
        let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
        let has_letter = word.iter().any(u8::is_ascii_alphabetic);
        word.len() >= TOKEN_BYTES && digits >= 2 && has_letter
    };
    let all = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'=');
    let is_dash = |byte: &u8| !byte.is_ascii_alphanumeric();
    segment.len() >= TOKEN_BYTES && segment.iter().all(all) && segment.split(is_dash).any(rolled)
}

fn is_address(segment: &[u8]) -> bool {
    let Some((user, host)) = memchr::memchr(b'@', segment).map(|at| segment.split_at(at)) else {
        return false;
    };
    let top = memchr::memrchr(b'.', host).and_then(|at| host.get(at + 1..)).unwrap_or_default();
    !user.is_empty() && top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str) -> String {
        let mut name = Vec::new();
        write_path(path.as_bytes(), &mut name);
        String::from_utf8(name).unwrap()
    }

    #[test]
    fn what_names_one_thing_out_of_many_is_not_told_apart() {
        for (written, endpoint) in [
            ("/users/42", "/users/{id}"),
            ("/users/42/posts/7?page=2", "/users/{id}/posts/{id}"),
            ("/o/123e4567-e89b-12d3-a456-426614174000/", "/o/{id}/"),
            ("/blob/9f86d081884c7d65#x", "/blob/{id}"),
            ("/images/1234.jpg", "/images/{id}.jpg"),
            ("/t/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/t/{id}"),
            ("/day/2026-11-22", "/day/{id}"),
            ("/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.sig-of_it/form", "/reset/{id}/form"),
            ("/mail/jo.public@example.com/inbox", "/mail/{id}/inbox"),
            ("/cart;jsessionid=1A530637289A03B07199A44E8D531427", "/cart"),
        ] {
            assert_eq!(path(written), endpoint);
        }
    }

    #[test]
    fn words_stay_words() {
        for same in [
            "/",
            "/api/v2/users",
            "/index.html",
            "/facade",
            "/deadbeef",
            "/iphone-15-pro-max-256gb",
            "/js/app.3f2.js",
            "/@scope/package",
            "/react@18.2.0",
            "/a//b",
            "/md5",
            "/%7Efoo",
            "/jquery-3.7.1.min.js",
            "/a-rather-long-title-of-the-year-2026",
        ] {
            assert_eq!(path(same), same);
        }
    }
}
