//! Tells heads by their bytes: whether one begins here, and where it ends.
//!
//! Follows RFC 9112 sections 2.2, 3 and 4. Invariant: what cannot become a head any more is told
//! from what only is not whole yet.

/// Whether a request's head can begin like this, as far as its start line is there.
pub(super) fn may_begin_request(text: &[u8]) -> bool {
    let text = skip_empty_lines(text);
    let line = first_line(text);
    let method_end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let method = line.get(..method_end).unwrap_or_default();
    // A method is a token (RFC 9110 section 9.1); none that is in use is longer.
    let token = method.len() <= 32 && method.iter().all(|byte| is_token(*byte));
    let whole = line.len() < text.len();
    token && (!whole || (!method.is_empty() && memchr::memmem::find(line, b" HTTP/1.").is_some()))
}

/// Whether bytes in the middle of a stream are taken for the start of a request.
pub(super) fn plausibly_begins_request(text: &[u8]) -> bool {
    METHODS.iter().any(|method| {
        text.strip_prefix(method.as_bytes()).is_some_and(|rest| rest.first() == Some(&b' '))
    }) && may_begin_request(text)
}

/// Whether a response's head can begin like this, as far as its start line is there.
pub(super) fn may_begin_response(text: &[u8]) -> bool {
    let text = skip_empty_lines(text);
    let known = text.len().min(b"HTTP/1.".len());
    text.get(..known) == b"HTTP/1.".get(..known)
}

/// Whether bytes in the middle of a stream are taken for the start of a response.
pub(super) fn plausibly_begins_response(text: &[u8]) -> bool {
    text.starts_with(b"HTTP/1.") && may_begin_response(text)
}

/// Methods of the IANA registry that clients use, for finding a request amid unknown bytes.
const METHODS: [&str; 23] = [
    "GET",
    "POST",
    "PUT",
    "HEAD",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "CONNECT",
    "TRACE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "MKCALENDAR",
    "CHECKOUT",
    "MERGE",
    "QUERY",
    "ACL",
];

/// A character of a token (RFC 9110 section 5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Empty lines before a message are skipped (RFC 9112 section 2.2).
fn skip_empty_lines(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

fn first_line(text: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// How many bytes the first head in `text` takes up, the empty line that ends it included.
/// The first `scanned` bytes are known not to end one.
pub(super) fn head_len(text: &[u8], scanned: usize) -> Option<usize> {
    let first = text.len() - skip_empty_lines(text).len();
    // The end may straddle what was scanned: "\n\r" + "\n".
    let mut at = scanned.saturating_sub(2).max(first);
    while let Some(newline) = memchr::memchr(b'\n', text.get(at..)?) {
        at += newline + 1;
        match text.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_its_empty_line() {
        assert_eq!(head_len(b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody\r\n\r\n", 0), Some(24));
        assert_eq!(head_len(b"GET / HTTP/1.1\nA: b\n\nbody", 0), Some(21));
        assert_eq!(head_len(b"GET / HTTP/1.1\r\nA: b\r\n", 0), None);
        assert_eq!(head_len(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", 0), Some(22));
        let text = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";
        for scanned in 0..text.len() {
            assert_eq!(head_len(text, scanned), Some(text.len()), "{scanned}");
        }
    }

    #[test]
    fn http_is_told_apart_by_its_first_bytes() {
        for text in ["", "G", "GET", "GET ", "GET /long", "M-SEARCH * HTTP/1.1\r\n", "\r\nGET / HT"]
        {
            assert!(may_begin_request(text.as_bytes()), "{text:?}");
        }
        let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
        let texts: [&[u8]; 5] =
            [tls, b"SSH-2.0-OpenSSH_9.2\r\n", b"EHLO x\r\n", b"\0", b"GET / HTTP/2.0\r\n"];
        for text in texts {
            assert!(!may_begin_request(text), "{text:?}");
        }
        assert!(may_begin_response(b"HTT"));
        assert!(!may_begin_response(b"220 mail ESMTP"));
        assert!(plausibly_begins_request(b"POST /x HTTP/1.1\r\n"));
        assert!(!plausibly_begins_request(b"some text in a body"));
    }
}
