//! Parameters of `Content-Type` and `Content-Disposition`.
//!
//! Follows RFC 9110 section 5.6.6, RFC 8187 for `name*`, and RFC 2231 for parameters in pieces.
//! Where servers differ in what they would read, so that a name may be hidden from this reader
//! alone, the parameters are doubtful.

use super::percent::Unescape;

/// The parameters that follow a value.
#[derive(Debug, Default)]
pub(super) struct Params {
    /// Names in lower case, and values.
    list: Vec<(Vec<u8>, Vec<u8>)>,
    /// Not everything is a parameter, or something may be another one.
    pub(super) doubtful: bool,
}

impl Params {
    /// Reads what follows the value: `;` and parameters.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut params = Self::default();
        let mut rest = text.trim_ascii();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(b";") {
                rest = after.trim_ascii_start();
            } else {
                params.doubtful = true;
            }
            if !matches!(rest.first(), None | Some(b';')) {
                rest = params.take_one(rest);
            }
        }
        params
    }

    /// Reads the parameter at the front; returns what follows it.
    fn take_one<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        let end = memchr::memchr2(b'=', b';', text).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let Some(value) = rest.strip_prefix(b"=") else {
            self.doubtful = true;
            return rest;
        };
        let value = value.trim_ascii_start();
        let (value, rest) = match value.strip_prefix(b"\"") {
            Some(quoted) => self.quoted(quoted),
            None => {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                let (token, rest) = value.split_at(end);
                (token.trim_ascii().to_vec(), rest)
            }
        };
        self.list.push((name.trim_ascii().to_ascii_lowercase(), value));
        rest
    }

    /// Reads a quoted string behind its first quote. Of what may be escaped only the quote is:
    /// in file names a backslash is one.
    fn quoted<'a>(&mut self, text: &'a [u8]) -> (Vec<u8>, &'a [u8]) {
        let mut value = Vec::new();
        let mut rest = text;
        loop {
            rest = match rest {
                [b'\\', b'"', after @ ..] => {
                    value.push(b'"');
                    after
                }
                [b'"', after @ ..] => {
                    let after = after.trim_ascii_start();
                    self.doubtful |= !matches!(after.first(), None | Some(b';'));
                    // To who knows no escapes, a parameter may begin in there.
                    self.doubtful |= value.contains(&b'"') && value.contains(&b';');
                    return (value, after);
                }
                [byte, after @ ..] => {
                    value.push(*byte);
                    after
                }
                [] => {
                    self.doubtful = true;
                    return (value, rest);
                }
            };
        }
    }

    /// Values of the parameters of this name, in the order they stand.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.list
            .iter()
            .filter(move |(other, _)| other == name.as_bytes())
            .map(|(_, value)| value.as_slice())
    }

    /// The values of `name*`, and of pieces of it (`name*0`, `name*1*`).
    pub(super) fn extensions(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.list.iter().filter_map(move |(other, value)| {
            other.strip_prefix(name.as_bytes())?.strip_prefix(b"*").map(|_| value.as_slice())
        })
    }
}

/// What a value of `name*` stands for (RFC 8187 section 3.2): the charset is said to be one in
/// which ASCII stands for itself.
pub(super) fn decode_extended(value: &[u8]) -> Option<Vec<u8>> {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (charset, _language, text) = (parts.next()?, parts.next()?, parts.next()?);
    let known: [&[u8]; 4] = [b"", b"utf-8", b"iso-8859-1", b"us-ascii"];
    known.iter().any(|known| charset.eq_ignore_ascii_case(known)).then(|| Unescape::whole(text))
}
