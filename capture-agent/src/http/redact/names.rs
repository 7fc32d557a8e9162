//! The names by which secrets go, and how names are compared.
//!
//! Names are compared by their letters and digits alone, in any case, after percent-decoding to
//! any depth: servers and frameworks differ in what else tells names apart (`api_key`, `Api-Key`
//! and `apiKey`; CGI and PHP make `_` of `-` and `.`), and a secret is one by any spelling. Of a
//! nested name (`user[password]`, `Input.Password`) the innermost part counts as well.

use super::url::units;

/// Endings of the names of headers whose values let somebody act as somebody else.
///
/// `WWW-Authenticate` and `Authentication-Info` (RFC 9110, RFC 7615) are not among them: what they
/// say is a challenge, or a proof that is worth nothing to others. Nor is `Signature` (RFC 9421).
const USUAL_HEADERS: [&str; 15] = [
    "authorization", // RFC 9110 section 11.6.2, and what proxies rename it to
    "cookie",        // RFC 6265: Cookie, Set-Cookie
    "cookie2",       // RFC 2965
    "token",         // X-Auth-Token, X-Amz-Security-Token, X-CSRF-Token, …
    "apikey",        // X-Api-Key, Api-Key, …
    "authkey",
    "accesskey",
    "privatekey",
    "subscriptionkey",       // Azure API Management
    "functionskey",          // Azure Functions
    "encryptionkey",         // object stores: keys of the customer
    "encryptioncustomerkey", // S3, the same
    "secret",
    "password",
    "jwtassertion", // identity-aware proxies
];

/// What is known of the values of a header by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usual {
    /// Neither secret, nor do they hold a URL: what need not be looked through costs nothing.
    Harmless,
    /// They can hold URLs.
    Text,
    /// One of [`USUAL_HEADERS`].
    Secret,
}

/// What is known of a header in most messages. `None`: its name has to be looked at.
///
/// Asked of each header of each message: length and first letter leave one or two to compare with,
/// and most are written as here.
#[inline]
pub(super) fn usual_header(name: &[u8]) -> Option<Usual> {
    let first = name.first().map_or(0, |first| first | 0x20);
    let is_harmless = match (name.len(), first) {
        (3, b'a') => is(name, b"Age"),
        (4, b'd') => is(name, b"Date"),
        (4, b'e') => is(name, b"ETag"),
        (4, b'v') => is(name, b"Vary"),
        (5, b'r') => is(name, b"Range"),
        (6, b'a') => is(name, b"Accept"),
        (6, b'e') => is(name, b"Expect"),
        (6, b'p') => is(name, b"Pragma"),
        (6, b's') => is(name, b"Server"),
        (7, b'e') => is(name, b"Expires"),
        (10, b'c') => is(name, b"Connection"),
        (10, b'k') => is(name, b"Keep-Alive"),
        (12, b'c') => is(name, b"Content-Type"),
        (13, b'a') => is(name, b"Accept-Ranges"),
        (13, b'c') => is(name, b"Cache-Control") || is(name, b"Content-Range"),
        (13, b'i') => is(name, b"If-None-Match"),
        (13, b'l') => is(name, b"Last-Modified"),
        (14, b'c') => is(name, b"Content-Length"),
        (15, b'a') => is(name, b"Accept-Encoding") || is(name, b"Accept-Language"),
        (16, b'c') => is(name, b"Content-Encoding") || is(name, b"Content-Language"),
        (17, b'i') => is(name, b"If-Modified-Since"),
        (17, b't') => is(name, b"Transfer-Encoding"),
        (22, b'x') => is(name, b"X-Content-Type-Options"),
        (25, b's') => is(name, b"Strict-Transport-Security"),
        (25, b'u') => is(name, b"Upgrade-Insecure-Requests"),

        (6, b'c') => return is(name, b"Cookie").then_some(Usual::Secret),
        (10, b's') => return is(name, b"Set-Cookie").then_some(Usual::Secret),
        (4, b'h') => return is(name, b"Host").then_some(Usual::Text),
        (7, b'r') => return is(name, b"Referer").then_some(Usual::Text),
        (8, b'l') => return is(name, b"Location").then_some(Usual::Text),
        (10, b'u') => return is(name, b"User-Agent").then_some(Usual::Text),
        (12, b'x') => return is(name, b"X-Request-Id").then_some(Usual::Text),
        _ => false,
    };
    is_harmless.then_some(Usual::Harmless)
}

/// Whether a name is this one, in any case. As the length is known, no call is made to compare.
#[inline(always)]
fn is<const N: usize>(name: &[u8], usual: &[u8; N]) -> bool {
    <&[u8; N]>::try_from(name).is_ok_and(|name| name == usual || is_in_any_case(name, usual))
}

#[cold]
fn is_in_any_case(name: &[u8], usual: &[u8]) -> bool {
    name.eq_ignore_ascii_case(usual)
}

/// Whether this is the name of a query parameter or form field that is a secret.
///
/// Among them are names of what is a secret often, not always: `code` is OAuth's (RFC 6749 section
/// 4.1.2), that of a second factor and that of Azure's functions, `key` that of many an API. Not
/// among them are names of who asks (`username`, `client_id`, `X-Amz-Credential`), and `state`.
pub(super) fn is_usual_parameter(name: &Folded) -> bool {
    let (whole, innermost) = (name.whole(), name.innermost());
    is_usual(whole)
        || (innermost.len() < whole.len() && is_usual(innermost))
        || (0..(whole.len() + 1).saturating_sub(SHORTEST_PART)).any(|at| {
            let rest = whole.get(at..).unwrap_or_default();
            USUAL_PARTS.iter().any(|part| rest.starts_with(part.as_bytes()))
        })
}

fn is_usual(name: &[u8]) -> bool {
    name.ends_with(b"token")
        || matches!(
            name,
            b"pwd"
                | b"pass"
                | b"pw"
                | b"pin"
                | b"otp"
                | b"totp"
                | b"code"
                | b"devicecode"
                | b"codeverifier"
                | b"key"
                | b"accesskey"
                | b"authkey"
                | b"sig"
                | b"hmac"
                | b"auth"
                | b"authorization"
                | b"bearer"
                | b"jwt"
                | b"samlresponse"
                | b"sid"
                | b"session"
                | b"cvv"
                | b"cvv2"
                | b"cvc"
                | b"csc"
                | b"cccsc"
                | b"ccnumber"
        )
}

/// What makes a secret of a name wherever it stands in it.
const USUAL_PARTS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "apikey",
    "privatekey",
    "signature",
    "assertion",
    "sessionid",
    "sessid",
    "cardnumber",
];

/// The length of the shortest of them: most names are shorter.
const SHORTEST_PART: usize = 6;

/// Longest folded name that takes no allocation.
const ROOM: usize = 64;

/// A name as it is compared.
pub(super) struct Folded {
    room: [u8; ROOM],
    /// The name, where it is longer than `room`.
    long: Vec<u8>,
    len: usize,
    /// Where the innermost part of a nested name lies.
    innermost: (usize, usize),
}

impl Folded {
    pub(super) fn of(name: &[u8]) -> Self {
        let mut folded = Self { room: [0; ROOM], long: Vec::new(), len: 0, innermost: (0, 0) };
        let mut start = 0;
        let mut is_number = true;
        for unit in units(name) {
            match unit.byte {
                b'[' | b']' | b'.' | b':' | b'$' | b'/' => {
                    if !is_number {
                        folded.innermost = (start, folded.len);
                    }
                    (start, is_number) = (folded.len, true);
                }
                byte if byte.is_ascii_alphanumeric() || !byte.is_ascii() => {
                    is_number &= byte.is_ascii_digit();
                    folded.push(byte.to_ascii_lowercase());
                }
                _ => {}
            }
        }
        if !is_number {
            folded.innermost = (start, folded.len);
        }
        folded
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.room.get_mut(self.len) {
            *place = byte;
        } else {
            if self.long.is_empty() {
                self.long.extend_from_slice(&self.room);
            }
            self.long.push(byte);
        }
        self.len += 1;
    }

    pub(super) fn whole(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or(&self.long)
    }

    fn innermost(&self) -> &[u8] {
        self.whole().get(self.innermost.0..self.innermost.1).unwrap_or_default()
    }

    /// Whether this is the name, or its innermost part.
    pub(super) fn is(&self, folded: &[u8]) -> bool {
        self.whole() == folded || self.innermost() == folded
    }
}

/// A header's name without what stands around it and is no letter or digit.
pub(super) fn without_edges(name: &[u8]) -> &[u8] {
    let Some(start) = name.iter().position(u8::is_ascii_alphanumeric) else { return &[] };
    let end = name.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |last| last + 1);
    name.get(start..end).unwrap_or_default()
}

/// Whether this is the name of a header that is hidden. Asked of most headers of each message: of
/// those, the last letter tells for most.
pub(super) fn is_usual_header(name: &[u8]) -> bool {
    if name.last().is_some_and(|last| last.is_ascii_lowercase() && LAST_LETTERS & 1 << last == 0) {
        return false;
    }
    let letters = || {
        let letters = name.iter().rev().filter(|byte| byte.is_ascii_alphanumeric());
        letters.map(u8::to_ascii_lowercase)
    };
    let Some(last) = letters().next().filter(|last| LAST_LETTERS & 1 << last != 0) else {
        return false;
    };
    USUAL_HEADERS.iter().any(|ending| {
        ending.as_bytes().last() == Some(&last) && {
            let mut letters = letters();
            ending.bytes().rev().all(|byte| letters.next() == Some(byte))
        }
    })
}

/// The last letters of [`USUAL_HEADERS`], a bit for each.
const LAST_LETTERS: u128 = {
    let mut bits = 0;
    let mut rest: &[&str] = &USUAL_HEADERS;
    while let [ending, others @ ..] = rest {
        if let [.., last] = ending.as_bytes() {
            bits |= 1 << *last;
        }
        rest = others;
    }
    bits
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_part_of_a_name_is_no_shorter_than_is_said() {
        let shortest = USUAL_PARTS.iter().map(|part| part.len()).min();
        assert_eq!(shortest, Some(SHORTEST_PART));
    }
}
