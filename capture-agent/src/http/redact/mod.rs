//! What is hidden before anything is stored or printed: header values, parameters of URLs, fields
//! of forms.
//!
//! Where a name is often that of a secret it is hidden: a value that was hidden for nothing is got
//! back by `--show-secrets`, one that leaked is not got back. Invariants: a secret is hidden to
//! its last byte or not at all; where a syntax leaves doubt about its end, the farther one counts;
//! time is linear in what is looked at; where there is nothing to hide nothing is allocated.
//!
//! Not looked into: JSON and other bodies that are no forms, URLs that are values of form fields,
//! and secrets that stand in the path of a URL.

mod names;
mod url;

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use super::head::REDACTED;
use names::Folded;

/// What is hidden. By default the usual secrets; cheap to clone.
#[derive(Clone, Debug)]
pub struct Redaction {
    usual: bool,
    added: Arc<Added>,
}

/// What becomes of the value of a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It is shown as it is.
    Shown,
    /// What is hidden of it is what URLs in it hold: see [`Redaction::url`].
    LookedThrough,
    /// It is hidden.
    Hidden,
}

/// Names that the user added, folded.
#[derive(Clone, Debug, Default)]
struct Added {
    headers: Vec<Box<[u8]>>,
    query: Vec<Box<[u8]>>,
    form: Vec<Box<[u8]>>,
}

impl Default for Redaction {
    fn default() -> Self {
        Self { usual: true, added: Arc::default() }
    }
}

impl Redaction {
    /// Nothing is hidden but what is added.
    #[must_use]
    pub fn none() -> Self {
        Self { usual: false, ..Self::default() }
    }

    /// Hides this too.
    pub fn add(&mut self, what: Hidden) {
        let Hidden { place, name } = what;
        let added = Arc::make_mut(&mut self.added);
        if matches!(place, Place::Header | Place::Anywhere) {
            added.headers.push(name.clone());
        }
        if matches!(place, Place::Query | Place::Anywhere) {
            added.query.push(name.clone());
        }
        if matches!(place, Place::Form | Place::Anywhere) {
            added.form.push(name);
        }
    }

    /// Whether the values of header fields of this name are hidden. The name may be as odd as
    /// lenient servers take it: with white space around it, or `_` for `-`.
    #[must_use]
    pub fn hides_header(&self, name: &[u8]) -> bool {
        if self.usual && names::is_usual_header(name) {
            return true;
        }
        let added = &self.added.headers;
        !added.is_empty() && {
            let folded = Folded::of(names::without_edges(name));
            added.iter().any(|name| folded.whole() == &**name)
        }
    }

    /// What becomes of the values of header fields of this name, where that is known at once: of the
    /// fields in most messages.
    #[inline]
    pub(super) fn of_usual_header(&self, name: &[u8]) -> Option<Treatment> {
        let usual = names::usual_header(name).filter(|_| self.added.headers.is_empty())?;
        Some(match usual {
            names::Usual::Harmless => Treatment::Shown,
            names::Usual::Secret if self.usual => Treatment::Hidden,
            names::Usual::Secret | names::Usual::Text => Treatment::LookedThrough,
        })
    }

    /// Whether the value of this query parameter is hidden; the name as it stands in the URL.
    #[must_use]
    pub fn hides_parameter(&self, name: &[u8]) -> bool {
        self.hides(&self.added.query, name)
    }

    /// Whether the value of this form field is hidden; the name as it stands in the body, or
    /// decoded.
    #[must_use]
    pub fn hides_field(&self, name: &[u8]) -> bool {
        self.hides(&self.added.form, name)
    }

    /// Whether there are form fields to hide.
    #[must_use]
    pub fn hides_fields(&self) -> bool {
        self.usual || !self.added.form.is_empty()
    }

    fn hides(&self, added: &[Box<[u8]>], name: &[u8]) -> bool {
        if !self.usual && added.is_empty() {
            return false;
        }
        let folded = Folded::of(name);
        (self.usual && names::is_usual_parameter(&folded))
            || added.iter().any(|name| folded.is(name))
    }

    /// The text with [`REDACTED`] for the secrets of the URLs in it: values of parameters (in
    /// query, fragment or path, in URLs inside parameters too) and the password of a user. For a
    /// request target in any form, and for any header value.
    #[must_use]
    pub fn url<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.usual && self.added.query.is_empty() {
            return Cow::Borrowed(text);
        }
        url::hide(text, self.usual, |name| self.hides_parameter(name))
    }

    /// A line of a head that is no header field, for want of a colon: what follows the name of a
    /// hidden header is hidden; else as [`Redaction::url`].
    #[must_use]
    pub fn line<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'=';
        let start = line.iter().position(|byte| !is_space(byte)).unwrap_or(line.len());
        let (indent, rest) = line.split_at(start);
        let (word, rest) = rest.split_at(rest.iter().position(is_space).unwrap_or(rest.len()));
        if rest.len() > 1 && self.hides_header(word) {
            return [indent, word, b" ", REDACTED].concat().into();
        }
        self.url(line)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Query,
    Form,
    Anywhere,
}

/// What the user wants hidden: `header:NAME`, `query:NAME`, `form:NAME`, or `NAME` for all three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    place: Place,
    name: Box<[u8]>,
}

/// Headers by which a message is told from what follows it, and its body is understood: hidden,
/// they would make secrets of other places show.
const NEEDED_HEADERS: [&str; 7] = [
    "connection",
    "contentencoding",
    "contentlength",
    "contenttype",
    "te",
    "transferencoding",
    "upgrade",
];

/// Why a text does not say what to hide.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HiddenError {
    /// What stands before the colon is no place where secrets are hidden.
    #[error("'{0}' is not where something can be hidden: write header:, query:, form: or no place")]
    UnknownPlace(String),
    /// Without the values of these headers no message is understood.
    #[error("the header '{0}' is needed to understand messages: it can't be hidden")]
    Needed(String),
    /// The name has no letter and no digit.
    #[error("'{0}' names nothing to hide: a letter or a digit is needed")]
    NoName(String),
}

impl FromStr for Hidden {
    type Err = HiddenError;

    fn from_str(text: &str) -> Result<Self, HiddenError> {
        let (place, name) = match text.split_once(':') {
            None => (Place::Anywhere, text),
            Some((place, name)) => match place.trim().to_ascii_lowercase().as_str() {
                "header" => (Place::Header, name),
                "query" => (Place::Query, name),
                "form" => (Place::Form, name),
                _ => return Err(HiddenError::UnknownPlace(place.to_owned())),
            },
        };
        let name: Box<[u8]> = Folded::of(name.as_bytes()).whole().into();
        if name.is_empty() {
            return Err(HiddenError::NoName(text.to_owned()));
        }
        let is_header = matches!(place, Place::Header | Place::Anywhere);
        if is_header && NEEDED_HEADERS.iter().any(|needed| *name == *needed.as_bytes()) {
            return Err(HiddenError::Needed(text.to_owned()));
        }
        Ok(Self { place, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hiding(what: &[&str]) -> Redaction {
        let mut redaction = Redaction::none();
        what.iter().for_each(|what| redaction.add(what.parse().unwrap()));
        redaction
    }

    #[test]
    fn usual_headers_are_hidden_however_they_are_written() {
        let usual = Redaction::default();
        for name in [
            "authorization",
            "Proxy-Authorization",
            "COOKIE",
            "set-cookie",
            "Set-Cookie2",
            "Cookie \t",
            "\x0bcookie\0",
            "Set_Cookie",
            "X-Api-Key",
            "apikey",
            "X-Auth-Token",
            "X-Amz-Security-Token",
            "X-CSRF-Token",
            "X-Amz-Server-Side-Encryption-Customer-Key",
            "X-Client-Secret",
        ] {
            assert!(usual.hides_header(name.as_bytes()), "{name:?}");
            assert!(!Redaction::none().hides_header(name.as_bytes()), "{name:?}");
        }
        assert!(usual.hides_header(b"Cookie\xa0"));
        for name in [
            "Host",
            "Content-Type",
            "ETag",
            "WWW-Authenticate",
            "Authentication-Info",
            "Sec-WebSocket-Key",
            "Idempotency-Key",
            "Access-Control-Allow-Credentials",
            "Cookie-Policy",
            "",
        ] {
            assert!(!usual.hides_header(name.as_bytes()), "{name:?}");
        }
    }

    #[test]
    fn usual_parameters_are_hidden_however_they_are_written() {
        let usual = Redaction::default();
        for name in [
            "password",
            "PASSWORD",
            "pass%77ord",
            "p%2561ssword",
            "password[]",
            "password%5B0%5D",
            "user[password]",
            "user[pin]",
            "pin[0]",
            "access_token[0]",
            "user%5bpin%5D",
            "ctl00$Main$Pin",
            "new_password_1",
            "j_password",
            "accessToken",
            "access+token",
            "csrfmiddlewaretoken",
            "client_secret",
            "api_key",
            "key",
            "sig",
            "X-Amz-Signature",
            "code",
            "code_verifier",
            "otp",
            "sid",
            "PHPSESSID",
            "jsessionid",
            "cc-number",
        ] {
            assert!(usual.hides_field(name.as_bytes()), "{name:?}");
            assert!(usual.hides_parameter(name.as_bytes()), "{name:?}");
            assert!(!Redaction::none().hides_field(name.as_bytes()), "{name:?}");
        }
        let padding = "a".repeat(1_000);
        for long in [format!("{padding}_password"), format!("password_{padding}")] {
            assert!(usual.hides_field(long.as_bytes()));
        }
        for name in [
            "",
            "q",
            "page",
            "session[email]",
            "keyboard",
            "pinned",
            "passenger",
            "tokenizer",
            "X-Amz-Credential",
            "state",
            "username",
            "zipcode",
        ] {
            assert!(!usual.hides_field(name.as_bytes()), "{name:?}");
        }
    }

    #[test]
    fn what_is_added_is_hidden_where_it_was_asked_for() {
        let redaction = hiding(&["header:X-Ssn", "query:q", "form:user[iban]", "пароль", "x_all"]);
        assert!(redaction.hides_header(b"x-ssn "));
        assert!(!redaction.hides_header(b"x-ssn-2"));
        assert!(!redaction.hides_parameter(b"x-ssn"));
        assert!(redaction.hides_parameter(b"Q"));
        assert!(!redaction.hides_field(b"q"));
        assert!(redaction.hides_field(b"user%5Biban%5D"));
        assert!(!redaction.hides_field(b"iban"));
        assert!(redaction.hides_field("пароль".as_bytes()));
        assert!(redaction.hides_field(b"%D0%BF%D0%B0%D1%80%D0%BE%D0%BB%D1%8C"));
        assert!(redaction.hides_header(b"X-All"));
        assert!(redaction.hides_parameter(b"xAll"));
        assert!(redaction.hides_field(b"a[x-all]"));
        assert!(!redaction.hides_header(b"Cookie"), "the usual ones were not asked for");
        let mut both = Redaction::default();
        both.add("q".parse().unwrap());
        assert!(both.hides_field(b"q") && both.hides_field(b"password"));
    }

    #[test]
    fn what_cannot_be_hidden_is_said() {
        let error = |text: &str| text.parse::<Hidden>().unwrap_err().to_string();
        assert!(error("cookie:a").contains("'cookie' is not where something can be hidden"));
        for text in ["header:Content-Type", "transfer_encoding"] {
            assert!(error(text).contains("it can't be hidden"), "{text:?}");
        }
        assert!("form:upgrade".parse::<Hidden>().is_ok());
        for text in ["", "header:", "query:--"] {
            assert!(error(text).contains("names nothing to hide"), "{text:?}");
        }
    }

    #[test]
    fn a_line_without_a_colon_hides_what_follows_a_secret_name() {
        let usual = Redaction::default();
        let line =
            |text: &str| String::from_utf8(usual.line(text.as_bytes()).into_owned()).unwrap();
        assert_eq!(line("Authorization Basic c2Vj"), "Authorization [redacted]");
        assert_eq!(line(" \tCookie=a b"), " \tCookie [redacted]");
        assert_eq!(line("Cookie"), "Cookie");
        assert_eq!(line("GET /?token=abc"), "GET /?token=[redacted]");
        assert_eq!(line(""), "");
    }
}
