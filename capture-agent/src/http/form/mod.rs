//! Bodies that are forms, as their bytes come in: secret fields hidden on the way, fields listed.
//!
//! Follows the URL standard (section 5) for `application/x-www-form-urlencoded`, RFC 7578 and
//! RFC 2046 section 5.1 for `multipart/form-data`. Takes what is left when transfer and content
//! coding were undone. Invariants: the same bytes come out however the body is cut; what is not
//! secret comes out as it went in; of a secret field no byte of the value comes out, and where it
//! cannot be told what a byte belongs to (after a gap, in a part without a sound head, before the
//! first part and after the last, in a multipart without a sound boundary) it is hidden;
//! memory is bounded.

mod delimiter;
mod list;
mod multipart;
mod params;
mod part_head;
mod percent;
mod urlencoded;

use std::borrow::Cow;

use super::head::REDACTED;
use super::redact::Redaction;
use list::List;
pub use list::{Field, ListRules};
use multipart::Multipart;
use params::Params;
use percent::Unescape;
use urlencoded::UrlEncoded;

/// Longest boundary that is taken for one. RFC 2046 allows 70 bytes; more would be held back at
/// each line that looks like it.
const MAX_BOUNDARY_BYTES: usize = 256;

/// What a name or a value stands for that is encoded as those of forms and of queries are.
#[must_use]
pub fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut unescape = Unescape::of_form();
    let mut out = Vec::with_capacity(text.len());
    unescape.push(text, |bytes| out.extend_from_slice(bytes));
    unescape.finish(|bytes| out.extend_from_slice(bytes));
    Cow::Owned(out)
}
/// What stands for the bytes of a secret where they are masked one by one.
const MASK: &[u8] = &[b'*'; 256];

/// A body that is a form.
#[derive(Debug)]
pub struct Form {
    syntax: Syntax,
    list: List,
    /// Whether secrets are masked byte by byte.
    masks: bool,
}

#[derive(Debug)]
enum Syntax {
    UrlEncoded(UrlEncoded),
    Multipart(Multipart),
    /// Where its fields lie cannot be told.
    Unknown {
        hidden: bool,
    },
}

impl Form {
    /// A body of this type whose fields are listed by these rules; `None` where it is no form.
    #[must_use]
    pub fn of(content_type: &[u8], list: Option<ListRules>) -> Option<Self> {
        let ends = |byte: &u8| matches!(byte, b';' | b',') || byte.is_ascii_whitespace();
        let content_type = content_type.trim_ascii();
        let len = content_type.iter().position(ends).unwrap_or(content_type.len());
        let (media_type, params) = content_type.split_at(len);
        let syntax = if media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            Syntax::UrlEncoded(UrlEncoded::new())
        } else if media_type.eq_ignore_ascii_case(b"multipart/form-data") {
            match boundary(params) {
                Some(boundary) => Syntax::Multipart(Multipart::new(&boundary)),
                None => Syntax::Unknown { hidden: false },
            }
        } else {
            return None;
        };
        Some(Self { syntax, list: List::new(list), masks: false })
    }

    /// The same, with a `*` for each byte of what is secret: as many bytes come out as went in.
    #[must_use]
    pub fn masked(content_type: &[u8]) -> Option<Self> {
        Some(Self { masks: true, ..Self::of(content_type, None)? })
    }

    /// Takes the next bytes of the body, and gives `sink` what may be shown of them, secrets as
    /// [`REDACTED`]. What may yet turn out to be something else is held back for the next call.
    pub fn push(&mut self, bytes: &[u8], redaction: &Redaction, sink: &mut dyn FnMut(&[u8])) {
        if !redaction.hides_fields() && !self.list.is_wanted() {
            return sink(bytes);
        }
        let mut out = Out { redaction, sink, masks: self.masks };
        match &mut self.syntax {
            Syntax::UrlEncoded(form) => form.push(bytes, &mut self.list, &mut out),
            Syntax::Multipart(form) => form.push(bytes, &mut self.list, &mut out),
            Syntax::Unknown { hidden } => out.hide(bytes, hidden),
        }
    }

    /// Bytes of the body were lost here: what follows is hidden to the end of its field.
    pub fn gap(&mut self, redaction: &Redaction, sink: &mut dyn FnMut(&[u8])) {
        let mut out = Out { redaction, sink, masks: self.masks };
        match &mut self.syntax {
            Syntax::UrlEncoded(form) => form.gap(&mut self.list),
            Syntax::Multipart(form) => form.gap(&mut self.list, &mut out),
            Syntax::Unknown { .. } => {}
        }
    }

    /// Nothing more comes; `whole` where that is the end of the body, and not of what was seen.
    pub fn finish(&mut self, whole: bool, redaction: &Redaction, sink: &mut dyn FnMut(&[u8])) {
        let mut out = Out { redaction, sink, masks: self.masks };
        match &mut self.syntax {
            Syntax::UrlEncoded(form) => form.finish(whole, &mut self.list),
            Syntax::Multipart(form) => form.finish(&mut self.list, &mut out),
            Syntax::Unknown { .. } => {}
        }
    }

    /// The fields that were found, in the order they came; the last one may still grow.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        self.list.fields()
    }

    /// The fields that were found, in the order they came.
    #[must_use]
    pub fn into_fields(self) -> Vec<Field> {
        self.list.into_fields()
    }

    /// Fields that were found and not listed, for there were more than [`ListRules::max_fields`].
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.list.left_out()
    }

    /// Bytes of memory that the form takes beyond its own size.
    #[must_use]
    pub fn memory(&self) -> usize {
        let syntax = match &self.syntax {
            Syntax::UrlEncoded(form) => form.memory(),
            Syntax::Multipart(form) => form.memory(),
            Syntax::Unknown { .. } => 0,
        };
        syntax + self.list.memory()
    }
}

/// The boundary among the parameters of a multipart's type, if there is no doubt about it.
fn boundary(params: &[u8]) -> Option<Vec<u8>> {
    let params = Params::of(params);
    let mut boundaries = params.values("boundary");
    let boundary = boundaries.next()?;
    let is_sound = !params.doubtful
        && (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len())
        && !boundary.iter().any(u8::is_ascii_control)
        && boundaries.all(|other| other == boundary);
    is_sound.then(|| boundary.to_vec())
}

/// Where the body goes, and what of it is hidden.
struct Out<'a> {
    redaction: &'a Redaction,
    sink: &'a mut dyn FnMut(&[u8]),
    masks: bool,
}

impl Out<'_> {
    fn show(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            (self.sink)(bytes);
        }
    }

    /// Bytes that are, or may be, of a secret. `hidden`: whether some before them were.
    fn hide(&mut self, bytes: &[u8], hidden: &mut bool) {
        if !self.redaction.hides_fields() {
            self.show(bytes);
        } else if self.masks {
            *hidden = true;
            bytes
                .chunks(MASK.len())
                .for_each(|part| self.show(MASK.get(..part.len()).unwrap_or_default()));
        } else if !bytes.is_empty() && !*hidden {
            *hidden = true;
            self.show(REDACTED);
        }
    }

    fn hides(&self, name: &[u8]) -> bool {
        self.redaction.hides_field(name)
    }

    /// Whether what is not known is hidden.
    fn hides_unknown(&self) -> bool {
        self.redaction.hides_fields()
    }
}

#[cfg(test)]
mod tests;
