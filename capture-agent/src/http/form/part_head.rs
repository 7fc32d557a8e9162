//! The head of a part of a multipart form.
//!
//! Follows RFC 7578 section 4, and RFC 8187 where clients use it all the same. A head is doubtful
//! where servers may read another name in it than is read here: then the whole part is hidden.

use super::list::Field;
use super::params::{Params, decode_extended};
use crate::http::redact::Redaction;

/// What a part says of itself.
#[derive(Debug, Default)]
pub(super) struct PartHead {
    /// The field that it is, yet without value.
    pub(super) field: Field,
    /// What its name is cannot be told.
    pub(super) doubtful: bool,
    /// Its value is secret.
    pub(super) secret: bool,
}

impl PartHead {
    /// Reads the lines of a head, with or without the empty one at its end.
    pub(super) fn of(head: &[u8], redaction: &Redaction) -> Self {
        let mut part = Self::default();
        let mut names = Vec::new();
        let (lines, sound) = unfold(head);
        part.doubtful = !sound;
        for line in &lines {
            let Some(colon) = memchr::memchr(b':', line) else {
                part.doubtful = true;
                continue;
            };
            let (name, value) = line.split_at(colon);
            let name = name.trim_ascii();
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
            part.doubtful |= !is_name || redaction.hides_header(name);
            if name.eq_ignore_ascii_case(b"content-disposition") {
                part.take_disposition(value, &mut names);
            } else if name.eq_ignore_ascii_case(b"content-type") {
                part.field.content_type.get_or_insert_with(|| value.to_vec());
            }
        }
        part.doubtful |= names.is_empty();
        part.secret = names.iter().any(|name| redaction.hides_field(name));
        part.field.name = names.into_iter().next().unwrap_or_default();
        part
    }

    fn take_disposition(&mut self, value: &[u8], names: &mut Vec<Vec<u8>>) {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let params = Params::of(value.get(end..).unwrap_or_default());
        self.doubtful |= params.doubtful;
        names.extend(params.values("name").map(unquoted));
        names.extend(self.extended(&params, "name"));
        // Pieces may come in any order.
        self.doubtful |= params.extensions("name").nth(1).is_some();
        let filename = params.values("filename").next().map(unquoted);
        let filename = filename.or_else(|| self.extended(&params, "filename"));
        self.field.filename = self.field.filename.take().or(filename);
        // Names of RFC 2047 (`=?utf-8?B?…?=`) are not read, so what they say is not known.
        self.doubtful |= names.iter().any(|name| memchr::memmem::find(name, b"=?").is_some());
    }

    fn extended(&mut self, params: &Params, name: &str) -> Option<Vec<u8>> {
        let value = params.extensions(name).collect::<Vec<_>>().concat();
        let decoded = decode_extended(&value);
        self.doubtful |= decoded.is_none() && value.contains(&b'\'');
        decoded.or_else(|| (!value.is_empty()).then_some(value))
    }
}

/// A name without the escapes of browsers (HTML standard, multipart/form-data encoding).
fn unquoted(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    loop {
        let (byte, after) = match rest {
            [b'%', b'2', b'2', after @ ..] => (b'"', after),
            [b'%', b'0', b'D' | b'd', after @ ..] => (b'\r', after),
            [b'%', b'0', b'A' | b'a', after @ ..] => (b'\n', after),
            [byte, after @ ..] => (*byte, after),
            [] => return out,
        };
        out.push(byte);
        rest = after;
    }
}

/// The lines of a head, those that were folded as one; and whether they are lines to everybody.
fn unfold(head: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut sound = true;
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        sound &= !line.iter().any(|byte| matches!(byte, b'\r' | 0));
        match (line.first(), lines.last_mut()) {
            (None, _) => {}
            (Some(b' ' | b'\t'), Some(last)) => last.extend_from_slice(line),
            (Some(b' ' | b'\t'), None) => sound = false,
            (Some(_), _) => lines.push(line.to_vec()),
        }
    }
    (lines, sound)
}
