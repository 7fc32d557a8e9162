//! Tells heads by their bytes: whether one begins here, where one can be found, and where it ends.
//!
//! Follows RFC 9112 sections 2.2, 3 and 4. Invariants: what cannot become a head any more is told
//! from what only is not whole yet; what is found does not depend on how the bytes were cut.

/// Longest start line of a head that is looked for amid unknown bytes: bounds what is kept of them.
const MAX_START_LINE: usize = 16 << 10;

/// Longest status line of such a head.
const MAX_STATUS_LINE: usize = 1 << 10;

/// Longest method: none that is in use is longer, and what is not HTTP shall show soon.
const MAX_METHOD: usize = 32;

/// Methods that clients use, most of them of the IANA registry, for finding a request amid unknown
/// bytes.
const METHODS: [&[u8]; 35] = [
    b"GET",
    b"POST",
    b"PUT",
    b"HEAD",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"UNLOCK",
    b"LOCK",
    b"REPORT",
    b"SEARCH",
    b"MKCALENDAR",
    b"CHECKOUT",
    b"MERGE",
    b"QUERY",
    b"ACL",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"NOTIFY",
    b"PURGE",
    b"M-SEARCH",
    b"BIND",
    b"UNBIND",
    b"REBIND",
    b"LINK",
    b"UNLINK",
    b"VERSION-CONTROL",
    b"BASELINE-CONTROL",
];

/// What was found amid bytes of which nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A head begins there, by its start line.
    At(usize),
    /// None does; from there on one may, when more is seen.
    NotBefore(usize),
}

/// What was found of a head that is being looked at line by line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// The head is there, so many bytes long.
    Whole(usize),
    /// So far it may be one; lines up to there have been looked at.
    Until(usize),
    /// It is none: the line that begins there is no header field.
    BrokenAt(usize),
}

/// A character of a token (RFC 9110 section 5.6.2).
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// White space inside a line (RFC 9110 section 5.6.3).
pub(super) const fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Without the white space around it.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The first line, without its end.
pub(super) fn first_line(text: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    let line = text.get(..end).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Version 2 of the PROXY protocol begins with this, and with empty lines before it.
const PROXY_V2: &[u8] = b"\0\r\nQUIT\n";

/// Bytes by which such a preamble is told from what is none.
pub(super) const PREAMBLE_BYTES: usize = PROXY_V2.len();

/// Whether bytes before the first request say for whom a proxy has opened the connection (the PROXY
/// protocol, versions 1 and 2): HTTP follows.
pub(super) fn is_proxy_preamble(text: &[u8]) -> bool {
    text.starts_with(b"PROXY ") || text.starts_with(PROXY_V2)
}

/// Whether a request's head can begin like this: by its method alone, until its start line is there.
pub(super) fn may_begin_request(text: &[u8], line_is_there: bool) -> bool {
    let line = if line_is_there { first_line(text) } else { text };
    if text.len() < PROXY_V2.len() && PROXY_V2.starts_with(text) {
        return true; // what it is shows when more of it is there
    }
    let start = line.get(..=MAX_METHOD).unwrap_or(line);
    let method = start.split(is_space).next().unwrap_or_default();
    let token = method.len() <= MAX_METHOD && method.iter().all(|byte| is_token(*byte));
    if !token || !line_is_there {
        return token;
    }
    // The preface of HTTP/2 looks like a request on purpose (RFC 9113 section 3.4).
    let known = !method.is_empty() && method != b"PRI";
    let rest = line.get(method.len()..).unwrap_or_default();
    known && (has_version(rest) || simple_request(text).is_some())
}

/// Whether the last word is a version.
fn has_version(text: &[u8]) -> bool {
    let text = trim(text);
    let word = text.rsplit(is_space).next().unwrap_or_default();
    word.len() < text.len() && word.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP/"))
}

/// A method that clients use, at the start of a line, and what comes after it.
pub(super) fn known_method(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (method, rest) = line.split_at(line.iter().position(is_space)?);
    METHODS.contains(&method).then_some((method, rest))
}

/// The target of a request of HTTP/0.9, which is one whole line, with one method and no version;
/// and how long the line is.
pub(super) fn simple_request(text: &[u8]) -> Option<(&[u8], usize)> {
    let target = first_line(text).strip_prefix(b"GET ")?;
    let graphic = target.iter().all(|byte| byte.is_ascii_graphic() || *byte >= 0x80);
    let newline = memchr::memchr(b'\n', text).filter(|_| target.starts_with(b"/") && graphic)?;
    Some((target, newline + 1))
}

/// Whether a response's head can begin like this: by its version alone, until its start line is
/// there.
pub(super) fn may_begin_response(text: &[u8], line_is_there: bool) -> bool {
    let http = text.iter().zip(b"HTTP/d.").all(|(byte, pattern)| match pattern {
        b'd' => byte.is_ascii_digit(),
        _ => byte.eq_ignore_ascii_case(pattern),
    });
    http && (!line_is_there || first_line(text).len() >= "HTTP/1.1 200".len())
}

/// Whether bytes where a body may be are the start of a response's head, as far as they are there.
pub(super) fn looks_like_status_line(text: &[u8]) -> bool {
    text.iter().zip(b"HTTP/1.d ddde").all(|(byte, pattern)| match pattern {
        b'd' => byte.is_ascii_digit(),
        b'e' => matches!(byte, b' ' | b'\r' | b'\n'),
        _ => byte == pattern,
    })
}

/// Bytes that [`looks_like_status_line`] needs to be sure.
pub(super) const STATUS_LINE_BYTES: usize = "HTTP/1.1 200".len();

/// The first request line, by the grammar, that ends in these bytes. `at_start` says whether they
/// begin where a head may: then, and after an end of line, a method need not be a known one.
pub(super) fn find_request(text: &[u8], at_start: bool) -> Found {
    let mut line_start = 0;
    for newline in memchr::memchr_iter(b'\n', text) {
        let line = text.get(line_start..newline).unwrap_or_default();
        if let Some(at) = request_line_in(line, line_start > 0 || at_start) {
            return Found::At(line_start + at);
        }
        line_start = newline + 1;
    }
    Found::NotBefore(line_start.max(text.len().saturating_sub(MAX_START_LINE)))
}

/// Where a request line begins that ends with the line; what is before it may be a body.
fn request_line_in(line: &[u8], fresh: bool) -> Option<usize> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let tail = line.len().saturating_sub(MAX_START_LINE);
    let (fresh, line) = (fresh && tail == 0, line.get(tail..)?);
    let rest = line.strip_suffix(b" HTTP/1.1").or_else(|| line.strip_suffix(b" HTTP/1.0"))?;
    let target_at = memchr::memrchr(b' ', rest)? + 1;
    let target = rest.get(target_at..)?;
    if target.is_empty() || !target.iter().all(|byte| byte.is_ascii_graphic() || *byte >= 0x80) {
        return None;
    }
    let before = rest.get(..target_at - 1)?;
    let name = before.iter().position(|byte| !is_token(*byte)).unwrap_or(before.len());
    // The rest of a head whose start was lost may quote a request.
    if fresh && name > 0 && before.get(name) == Some(&b':') {
        return None;
    }
    // What is glued to a known method is the end of a body.
    let known = METHODS.iter().filter(|method| before.ends_with(method)).max_by_key(|m| m.len());
    let method = known.map(|method| method.len());
    // After a loss the end of a known one is no method of its own.
    let is_end = || METHODS.iter().any(|method| method.ends_with(before));
    let is_token = fresh && before.len() == name && name <= MAX_METHOD;
    let token = || Some(name).filter(|_| is_token && !is_end());
    let len = method.or_else(token).filter(|len| *len > 0)?;
    Some(tail + before.len() - len)
}

/// The first status line, by the grammar, that ends in these bytes.
pub(super) fn find_response(text: &[u8], _at_start: bool) -> Found {
    let finder = memchr::memmem::Finder::new(b"HTTP/1.");
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| finder.find(rest)) {
        at += next;
        let rest = text.get(at..).unwrap_or_default();
        // No more of it than counts: the end of a line may be far, and many begin before it.
        let line = first_line(rest.get(..MAX_STATUS_LINE + 2).unwrap_or(rest));
        let whole = line.len() < rest.len() && rest.get(line.len()..) != Some(b"\r");
        let fits = looks_like_status_line(rest)
            && line.len() <= MAX_STATUS_LINE
            && line.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
        match (fits, whole) {
            (true, true) => return Found::At(at),
            (true, false) => return Found::NotBefore(at),
            (false, _) => at += 1,
        }
    }
    // It may have begun: "HTT" and more to come.
    let begun = (1..finder.needle().len()).rev().find(|len| {
        *len <= text.len() - at && finder.needle().get(..*len).is_some_and(|n| text.ends_with(n))
    });
    Found::NotBefore(text.len() - begun.unwrap_or(0))
}

/// Looks at the lines of a head after its start line, from `from` on: each has to be a header field
/// by the grammar.
pub(super) fn header_lines(text: &[u8], from: usize) -> Lines {
    let mut at = from;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(newline) = memchr::memchr(b'\n', rest) else { break };
        let line = first_line(rest);
        if line.is_empty() && at > 0 {
            return Lines::Whole(at + newline + 1);
        }
        let name = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
        if at > 0 && (name == 0 || line.get(name) != Some(&b':')) {
            return Lines::BrokenAt(at);
        }
        at += newline + 1;
    }
    Lines::Until(at)
}

/// How many bytes the head in `text` takes up, the empty line that ends it included. The first
/// `scanned` bytes are known not to end one.
pub(super) fn head_len(text: &[u8], scanned: usize) -> Option<usize> {
    // The end may straddle what was scanned: "\n\r" + "\n".
    let mut at = scanned.saturating_sub(2);
    // No call for each line, of which heads have many.
    while let Some(window) = text.get(at..).and_then(<[u8]>::first_chunk)
        && !may_have_empty_line(window)
    {
        at += WINDOW - 2;
    }
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

/// Bytes that are looked at at once for the end of a head.
const WINDOW: usize = 34;

/// Whether an empty line ends in these bytes: a line feed after another one, with a carriage return
/// between them or nothing. The compiler makes comparisons of sixteen bytes of it.
#[inline(always)]
fn may_have_empty_line(window: &[u8; WINDOW]) -> bool {
    let [first @ .., _, _] = window;
    let [_, second @ .., _] = window;
    let [_, _, third @ ..] = window;
    let ends = |((first, second), third): ((&u8, &u8), &u8)| {
        u8::from(*first == b'\n')
            & (u8::from(*second == b'\n')
                | (u8::from(*second == b'\r') & u8::from(*third == b'\n')))
    };
    first.iter().zip(second).zip(third).map(ends).fold(0, |any, ends| any | ends) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_its_empty_line() {
        assert_eq!(head_len(b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody\r\n\r\n", 0), Some(24));
        assert_eq!(head_len(b"GET / HTTP/1.1\nA: b\n\nbody", 0), Some(21));
        assert_eq!(head_len(b"GET / HTTP/1.1\r\nA: b\r\n", 0), None);
        let text = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";
        for scanned in 0..text.len() {
            assert_eq!(head_len(text, scanned), Some(text.len()), "{scanned}");
        }
    }

    #[test]
    fn http_is_told_apart_by_its_first_bytes() {
        for text in ["", "G", "GET", "GET ", "GET /long", "M-SEARCH * HTTP/1.1\r\n", "GET /\r\n"] {
            assert!(may_begin_request(text.as_bytes(), text.contains('\n')), "{text:?}");
        }
        let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
        let texts: [&[u8]; 6] = [
            tls,
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"EHLO x\r\n",
            b"\0\0",
            b"PRI * HTTP/2.0\r\n",
            b"get key\r\n",
        ];
        for text in texts {
            assert!(!may_begin_request(text, text.contains(&b'\n')), "{text:?}");
        }
        assert!(may_begin_response(b"HTT", false));
        assert!(may_begin_response(b"http/2.0 200", false));
        assert!(may_begin_response(b"HTTP/1.1 200\r\n", true));
        assert!(!may_begin_response(b"HTTP/1.1\r\n", true));
        assert!(!may_begin_response(b"220 mail ESMTP", false));
    }

    #[test]
    fn a_request_is_found_amid_other_bytes_and_only_by_its_whole_line() {
        let found = |text: &[u8]| find_request(text, false);
        assert_eq!(found(b"a=1GET /x?y HTTP/1.1\r\nHost"), Found::At(3));
        assert_eq!(found(b"abc\nBREW /pot HTTP/1.1\n"), Found::At(4));
        assert_eq!(found(b"abcBREW /pot HTTP/1.1\n"), Found::NotBefore(22));
        assert_eq!(find_request(b"BREW /pot HTTP/1.0\r\n", true), Found::At(0));
        assert_eq!(find_request(b"ET /x HTTP/1.1\r\n", true), Found::NotBefore(16));
        assert_eq!(found(b"xPROPFIND * HTTP/1.1\r\n"), Found::At(1));
        assert_eq!(found(b"text\nGET /x HTTP/1.1"), Found::NotBefore(5));
        assert_eq!(found(b"say: GET /x\x01 HTTP/1.1\r\n"), Found::NotBefore(23));
    }

    #[test]
    fn a_response_is_found_amid_other_bytes_and_only_by_its_whole_line() {
        let found = |text: &[u8]| find_response(text, false);
        assert_eq!(found(b"abcHTTP/1.1 200 OK\r\n"), Found::At(3));
        assert_eq!(found(b"HTTP/1.x HTTP/1.0 404\r\n"), Found::At(9));
        assert_eq!(found(b"abcHTTP/1.1 20"), Found::NotBefore(3));
        assert_eq!(found(b"HTTP/1.1\n"), Found::NotBefore(9));
        assert_eq!(found(b"abcHTTP/1.1 200 OK\r"), Found::NotBefore(3));
        assert_eq!(found(b"abcHTT"), Found::NotBefore(3));
        assert_eq!(found(b"about HTTP/1.1 and more"), Found::NotBefore(23));
        assert_eq!(found(b"HTTP/1.1 200 \x1b[m\r\n"), Found::NotBefore(18));
    }

    #[test]
    fn lines_of_a_head_are_fields_until_the_empty_one() {
        let text = b"HTTP/1.1 200 OK\r\nA: b\r\nC:\r\n\r\nbody";
        assert_eq!(header_lines(text, 0), Lines::Whole(29));
        assert_eq!(header_lines(&text[..20], 0), Lines::Until(17));
        assert_eq!(header_lines(&text[..29], 17), Lines::Whole(29));
        assert_eq!(header_lines(b"HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\n", 0), Lines::BrokenAt(17));
    }
}
