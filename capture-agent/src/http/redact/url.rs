//! Finds what is secret in URLs, and in texts that hold URLs.
//!
//! Follows RFC 3986, leniently: every `name=value` counts, wherever it stands. A value lasts to
//! the next `&`, whatever else is in it, so that a secret with odd characters is hidden whole; a
//! parameter after `;` ends at the next `;` too. What is percent-encoded counts as what it stands
//! for, to any depth: URLs travel inside of URLs (`next=%2Fcallback%3Ftoken%3D…`), and there a
//! value ends at a delimiter that is encoded no more often than the `=` before it.

use std::borrow::Cow;
use std::ops::Range;

use crate::http::head::REDACTED;

/// How often the authority of a URL may be encoded to be looked into: at each depth the text is
/// looked through once more.
const DEEPEST_AUTHORITY: usize = 4;

/// A character of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// What it stands for.
    pub(super) byte: u8,
    /// How many bytes it takes.
    len: usize,
    /// How often it is percent-encoded.
    depth: usize,
}

/// The first character of `text`.
fn unit(text: &[u8]) -> Option<Unit> {
    let (&byte, mut rest) = text.split_first()?;
    let plain = Unit { byte, len: 1, depth: 0 };
    if byte != b'%' {
        return Some(plain);
    }
    let mut depth = 1;
    loop {
        let [high, low, after @ ..] = rest else { return Some(plain) };
        let (Some(high), Some(low)) = (hex(*high), hex(*low)) else { return Some(plain) };
        let byte = high << 4 | low;
        let encodes_more = matches!(after, [a, b, ..] if hex(*a).is_some() && hex(*b).is_some());
        if byte != b'%' || !encodes_more {
            return Some(Unit { byte, len: 1 + 2 * depth, depth });
        }
        depth += 1;
        rest = after;
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

/// Whether a byte means nothing but itself, wherever it stands.
fn is_plain(byte: u8) -> bool {
    PLAIN.get(usize::from(byte)) == Some(&true)
}

/// [`is_plain`] of each byte: asked of most bytes of each URL.
#[expect(clippy::indexing_slicing, reason = "when this is compiled")]
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < plain.len() {
        plain[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(byte as u8, b'-' | b'_' | b'.' | b'+' | b'*' | b'(' | b')');
        byte += 1;
    }
    plain
};

/// The characters of a text.
pub(super) fn units(text: &[u8]) -> impl Iterator<Item = Unit> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let unit = unit(rest)?;
        rest = rest.get(unit.len..).unwrap_or_default();
        Some(unit)
    })
}

/// The text with [`REDACTED`] for the values of parameters that `hides`, and for passwords of
/// users where they are wanted hidden.
pub(super) fn hide(text: &[u8], passwords: bool, hides: impl Fn(&[u8]) -> bool) -> Cow<'_, [u8]> {
    if memchr::memchr3(b'=', b'@', b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut scan = Scan::new(text);
    if passwords {
        scan.password = scan.password_of_authority_form();
    }
    while let Some(unit) = scan.unit() {
        if let Some(password) = scan.password.take_if(|password| password.start <= scan.at) {
            // A parameter may have covered it.
            if password.start == scan.at {
                scan.replace(password);
                continue;
            }
        }
        let next = scan.at + unit.len;
        match unit.byte {
            byte if is_plain(byte) && unit.depth == 0 => {
                scan.skip_plain();
                continue;
            }
            b'=' => {
                let name = text.get(scan.name..scan.at).unwrap_or_default();
                if !name.is_empty() && hides(name) {
                    scan.replace(next..scan.value_end(next, unit.depth));
                    continue;
                }
                scan.delimiter(unit, next);
            }
            b'/' if scan.last == b'/' => {
                scan.delimiter(unit, next);
                if passwords && unit.depth <= DEEPEST_AUTHORITY && scan.password.is_none() {
                    scan.password = scan.password_in(next, unit.depth);
                }
            }
            b'?' | b'&' | b';' | b'#' => scan.delimiter(unit, next),
            b'/' if !scan.in_query => scan.delimiter(unit, next),
            b',' | b'"' | b'\'' | b'<' | b'>' if scan.parts_urls(unit) => {
                scan.delimiter(unit, next)
            }
            byte if byte.is_ascii_whitespace() && scan.parts_urls(unit) => scan.name = next,
            _ => {}
        }
        scan.last = unit.byte;
        scan.at = next;
    }
    scan.finish()
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    /// Where a name begins.
    name: usize,
    /// What stands before it.
    before: u8,
    /// The character before `at`.
    last: u8,
    in_query: bool,
    /// The text is a URL; else URLs may stand in it.
    is_url: bool,
    /// The text is a list of URLs in `<>` (RFC 8288).
    is_list: bool,
    /// A password that is to come.
    password: Option<Range<usize>>,
    /// What was written, and how much of `text` that was made of.
    out: Vec<u8>,
    done: usize,
}

impl<'a> Scan<'a> {
    fn new(text: &'a [u8]) -> Self {
        let scheme =
            text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
        let after_scheme = text.get(scheme.count()..).unwrap_or_default();
        Self {
            text,
            at: 0,
            name: 0,
            before: 0,
            last: 0,
            in_query: false,
            is_url: text.starts_with(b"/") || after_scheme.starts_with(b"://"),
            is_list: text.trim_ascii_start().starts_with(b"<"),
            password: None,
            out: Vec::new(),
            done: 0,
        }
    }

    fn unit(&self) -> Option<Unit> {
        unit(self.text.get(self.at..)?)
    }

    /// Goes on to the next character that may mean something.
    fn skip_plain(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| is_plain(**byte)).count();
        self.last = 0;
    }

    fn delimiter(&mut self, unit: Unit, next: usize) {
        self.in_query |= unit.depth == 0 && matches!(unit.byte, b'?' | b'#');
        self.before = unit.byte;
        self.name = next;
    }

    /// Whether the character, which has no place in a URL, stands between URLs or before names.
    fn parts_urls(&self, unit: Unit) -> bool {
        !self.is_url && unit.depth == 0
    }

    /// Characters from `start` on, each with where it stands.
    fn units_from(&self, start: usize) -> impl Iterator<Item = (usize, Unit)> {
        let mut at = start;
        units(self.text.get(start..).unwrap_or_default()).map(move |unit| {
            at += unit.len;
            (at - unit.len, unit)
        })
    }

    /// Where the value ends that begins at `start`, after a `=` that is encoded so often.
    fn value_end(&self, start: usize, depth: usize) -> usize {
        let is_quoted = self.text.get(start) == Some(&b'"');
        let after_semicolon = self.before == b';' && !is_quoted;
        let in_path = after_semicolon && self.is_url && !self.in_query;
        let ends = |unit: &Unit| match unit.byte {
            b'&' => unit.depth <= depth,
            b';' => unit.depth <= depth && after_semicolon,
            b'?' | b'#' => unit.depth <= depth && in_path,
            b'>' => unit.depth == 0 && self.is_list,
            _ => false,
        };
        self.units_from(start).find(|(_, unit)| ends(unit)).map_or(self.text.len(), |(at, _)| at)
    }

    /// The password in the authority that begins at `start` (RFC 3986 section 3.2.1), after
    /// slashes that are encoded so often.
    fn password_in(&self, start: usize, depth: usize) -> Option<Range<usize>> {
        let mut colon = None;
        let mut password = None;
        for (at, unit) in self.units_from(start) {
            match unit.byte {
                b'>' if unit.depth == 0 && self.is_list => break,
                byte if byte.is_ascii_whitespace() && unit.depth == 0 && !self.is_url => break,
                _ if unit.depth > depth => {}
                b'/' | b'?' | b'#' => break,
                b':' if colon.is_none() => colon = Some(at + unit.len),
                b'@' => password = colon.map(|colon| colon..at),
                _ => {}
            }
        }
        password
    }

    /// The password in a text that is an authority alone, as a target or a `Host` can be:
    /// `user:password@host:port`, with or without the port.
    fn password_of_authority_form(&self) -> Option<Range<usize>> {
        let at = memchr::memrchr(b'@', self.text)?;
        let (user, host) = self.text.split_at(at);
        let host = host.get(1..).filter(|host| !host.is_empty())?;
        let of_host = |byte: &u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(byte);
        let colon = memchr::memchr(b':', user)?;
        let is_alone = !self.text.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b'/');
        // What has an address of this form and no password (RFC 6068, RFC 3261, RFC 7565, RFC 5122).
        let has_scheme = [&b"mailto"[..], b"sip", b"sips", b"acct", b"xmpp"]
            .iter()
            .any(|scheme| user.get(..colon).is_some_and(|it| it.eq_ignore_ascii_case(scheme)));
        (host.iter().all(of_host) && is_alone && !has_scheme).then_some(colon + 1..at)
    }

    /// Writes [`REDACTED`] for these bytes, if there are some, and goes on behind them.
    fn replace(&mut self, secret: Range<usize>) {
        if !secret.is_empty() {
            self.out.extend_from_slice(self.text.get(self.done..secret.start).unwrap_or_default());
            self.out.extend_from_slice(REDACTED);
            self.done = secret.end;
        }
        (self.at, self.name) = (secret.end, secret.end);
        self.last = 0;
    }

    fn finish(mut self) -> Cow<'a, [u8]> {
        if self.done == 0 {
            return Cow::Borrowed(self.text);
        }
        self.out.extend_from_slice(self.text.get(self.done..).unwrap_or_default());
        Cow::Owned(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::redact::Redaction;

    #[track_caller]
    fn assert_hidden(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            let usual = Redaction::default();
            let hidden = usual.url(text.as_bytes());
            assert_eq!(String::from_utf8_lossy(&hidden), *expected, "{text:?}");
            assert_eq!(matches!(hidden, Cow::Borrowed(_)), text == expected, "{text:?}");
            assert_eq!(usual.url(&hidden), hidden, "{text:?}");
            assert_eq!(Redaction::none().url(text.as_bytes()), text.as_bytes());
        }
    }

    #[test]
    fn targets_without_secrets_stay_as_they_are() {
        assert_hidden(&[
            ("", ""),
            ("/", "/"),
            ("*", "*"),
            ("h:443", "h:443"),
            ("/a;v=1?b=2&c=%3d&d#e=f", "/a;v=1?b=2&c=%3d&d#e=f"),
            ("/?password", "/?password"),
            ("/?password=&x=1", "/?password=&x=1"),
            ("/?=a", "/?=a"),
            ("/?a,pin=b", "/?a,pin=b"),
            ("/signature/a=b", "/signature/a=b"),
            ("/a/b:c@d/", "/a/b:c@d/"),
            ("http://user@h/", "http://user@h/"),
            ("http://h:80/@", "http://h:80/@"),
            ("text/html; charset=utf-8", "text/html; charset=utf-8"),
            ("mailto:bob@example.com", "mailto:bob@example.com"),
        ]);
    }

    #[test]
    fn secrets_in_every_form_of_target_are_hidden() {
        assert_hidden(&[
            ("/a?x=1&token=abc&y=2", "/a?x=1&token=[redacted]&y=2"),
            ("/a?PASS%57ord=abc", "/a?PASS%57ord=[redacted]"),
            ("/a?user[pin]=1&user%5Bpin%5D=2", "/a?user[pin]=[redacted]&user%5Bpin%5D=[redacted]"),
            ("/a?my%20pin%2fpass%20word=1", "/a?my%20pin%2fpass%20word=[redacted]"),
            ("/a?x=1;token=abc;y=2", "/a?x=1;token=[redacted];y=2"),
            ("/a;jsessionid=abc?x=1", "/a;jsessionid=[redacted]?x=1"),
            ("/a#access_token=abc&x=1", "/a#access_token=[redacted]&x=1"),
            ("/a?x=token=abc", "/a?x=token=[redacted]"),
            ("http://u:abc@h/?token=abc", "http://u:[redacted]@h/?token=[redacted]"),
            ("http://u:a:b@c@h/", "http://u:[redacted]@h/"),
            ("http://u:a b@h/", "http://u:[redacted]@h/"),
            ("http://u:@h/", "http://u:@h/"),
            ("//u:abc@h/", "//u:[redacted]@h/"),
            ("http://u%3A%2F%2Fx%2Fy:abc@h/", "http://u%3A%2F%2Fx%2Fy:[redacted]@h/"),
            ("u:abc@h:443", "u:[redacted]@h:443"),
            ("*?token=abc", "*?token=[redacted]"),
        ]);
    }

    #[test]
    fn a_secret_is_hidden_to_its_end_whatever_is_in_it() {
        for secret in ["a;b", "a#b", "a?b", "a/b", "a,b", "a b", "a\"b", "\"a;b\"", "a'b", "<a>b"] {
            let target = format!("/?x=1&password={secret}&y=2");
            assert_hidden(&[(&target, "/?x=1&password=[redacted]&y=2")]);
            let target = format!("/?password={secret}");
            assert_hidden(&[(&target, "/?password=[redacted]")]);
        }
        assert_hidden(&[
            ("/?password=a%26b&y=2", "/?password=[redacted]&y=2"),
            ("/?password=a=b&y=2", "/?password=[redacted]&y=2"),
            ("; token=\"a;b\"", "; token=[redacted]"),
        ]);
    }

    #[test]
    fn secrets_of_urls_in_header_values_are_hidden() {
        assert_hidden(&[
            ("https://u:abc@h/p?token=abc", "https://u:[redacted]@h/p?token=[redacted]"),
            ("</a?token=abc>; rel=next, </b>", "</a?token=[redacted]>; rel=next, </b>"),
            ("<//u:abc@h>; rel=\"next\"", "<//u:[redacted]@h>; rel=\"next\""),
            ("0; url=/a?code=abc", "0; url=/a?code=[redacted]"),
            ("id=\"u\", token=\"abc\"", "id=\"u\", token=[redacted]"),
            ("a (http://b:80/; c@d)", "a (http://b:80/; c@d)"),
            ("a http://b:80 c@d", "a http://b:80 c@d"),
        ]);
    }

    #[test]
    fn secrets_of_urls_inside_of_urls_are_hidden() {
        assert_hidden(&[
            (
                "/?next=%2Fcb%3Fcode%3dabc%26x%3D1&y=2",
                "/?next=%2Fcb%3Fcode%3d[redacted]%26x%3D1&y=2",
            ),
            ("/?n=%252Fcb%253Fcode%253Dabc%26x", "/?n=%252Fcb%253Fcode%253D[redacted]%26x"),
            (
                "/?next=http%3A%2F%2Fu%3Aabc%40h%2F&y=2",
                "/?next=http%3A%2F%2Fu%3A[redacted]%40h%2F&y=2",
            ),
        ]);
    }

    #[test]
    fn hostile_texts_take_little_time() {
        let kib64 = |text: &str| text.repeat((64 << 10) / text.len());
        let texts = [
            kib64("?&=;"),
            kib64("="),
            kib64("%25"),
            ["%".to_owned(), kib64("25")].concat(),
            kib64("://"),
            kib64("://a:"),
            kib64("a:%2F%2F"),
            kib64("token="),
            kib64(";token="),
            kib64("&token=a"),
            kib64("password"),
            [kib64("password"), "=a".to_owned()].concat(),
            (0..180).map(|depth| format!(":%{0}2F%{0}2F", "25".repeat(depth))).collect(),
        ];
        for text in texts {
            let start = std::time::Instant::now();
            let hidden = Redaction::default().url(text.as_bytes()).len();
            // Some milliseconds in a build without optimisation; what is quadratic takes minutes.
            assert!(start.elapsed().as_secs() < 2, "{:.20} {:?}", text, start.elapsed());
            assert!(hidden > 0);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_byte_of_a_secret_is_left(
            before in "[a-z%?&;=#/:@<> ]{0,12}",
            // Capitals, which stand nowhere else.
            secret in "[A-Z][A-Z;#?/,<> \"'%:@=]{0,12}",
            after in "(&[a-z%?&;=#/:@<> ]{0,12})?",
        ) {
            let text = format!("/{before}?password={secret}{after}");
            let hidden = Redaction::default().url(text.as_bytes()).into_owned();
            proptest::prop_assert!(!hidden.iter().any(u8::is_ascii_uppercase), "{}", text);
        }
    }
}
