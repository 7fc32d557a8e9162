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
/// What stands for what names one thing.
const ID: &[u8] = b"{id}";

/// Writes the name of an exchange's endpoint over `name`.
pub(super) fn write(exchange: &Exchange, name: &mut Vec<u8>) {
    name.clear();
    let Some(request) = &exchange.http.request else {
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
    let end = memchr::memchr2(b'?', b'#', path).unwrap_or(path.len());
    for (at, segment) in path.get(..end).unwrap_or_default().split(|byte| *byte == b'/').enumerate()
    {
        if at > 0 {
            name.push(b'/');
        }
        // No more of it is kept.
        if name.len() > MAX_BYTES {
            return;
        }
        // What follows are parameters of the segment (RFC 3986 section 3.3), as `;jsessionid=…`.
        let segment =
            memchr::memchr(b';', segment).and_then(|at| segment.get(..at)).unwrap_or(segment);
        write_segment(segment, name);
    }
}

fn write_segment(segment: &[u8], name: &mut Vec<u8>) {
    // Without a digit it is a word, and mostly it is one; or somebody's address.
    let is_word = !segment.iter().any(|byte| byte.is_ascii_digit() || *byte == b'@');
    if is_word {
        return name.extend_from_slice(segment);
    }
    if is_id(segment) {
        return name.extend_from_slice(ID);
    }
    let dot = memchr::memrchr(b'.', segment).map(|at| segment.split_at(at));
    match dot.filter(|(stem, ext)| ext.len() <= 6 && is_id(stem)) {
        Some((_, extension)) => {
            name.extend_from_slice(ID);
            name.extend_from_slice(extension);
        }
        None => name.extend_from_slice(segment),
    }
}

/// Whether this names one thing out of many: a number, a UUID, a hash, a date, a token, an address.
fn is_id(segment: &[u8]) -> bool {
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number(segment) || is_hexadecimal(segment) || is_token(segment) || is_address(segment)
}

fn is_hexadecimal(segment: &[u8]) -> bool {
    let has_digit = segment.iter().any(u8::is_ascii_digit);
    let digits = segment.iter().filter(|byte| byte.is_ascii_hexdigit()).count();
    let all = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    has_digit && digits >= HEX_DIGITS && segment.iter().all(all)
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
    segment.iter().all(all) && segment.split(is_dash).any(rolled)
}

fn is_address(segment: &[u8]) -> bool {
    let Some((user, host)) = memchr::memchr(b'@', segment).map(|at| segment.split_at(at)) else {
        return false;
    };
    let top = host.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    !user.is_empty()
        && top.len() >= 2
        && top.len() < host.len()
        && top.iter().all(u8::is_ascii_alphabetic)
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
