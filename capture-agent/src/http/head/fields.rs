//! Header fields, in one piece of memory.
//!
//! Follows RFC 9110 section 5. Invariant: spans lie inside `text`.

use std::borrow::Cow;
use std::ops::Range;

use super::{HeadRules, REDACTED, lenient};
use crate::http::anomaly::Anomalies;
use crate::http::redact::Treatment;

pub(super) type Span = Range<u32>;

/// Bytes from the network: text if they are UTF-8.
pub type Text<'a> = Result<&'a str, &'a [u8]>;

/// Headers without which it can't be told where a message ends, what comes after it, or where in
/// its body secrets are: kept however many others there are.
const FRAMING_HEADERS: [&str; 5] =
    ["content-length", "transfer-encoding", "upgrade", "content-encoding", "content-type"];

#[derive(Clone, Debug)]
struct Field {
    name: Span,
    value: Span,
}

/// Header fields in the order they were sent, or those of a trailer section.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    text: Vec<u8>,
    fields: Vec<Field>,
    names: NameSet,
    has_plain_names: bool,
}

/// Wherever they lie.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl Fields {
    /// Those of a trailer section (RFC 9112 section 7.1.2).
    pub(in crate::http) fn of_trailers(text: &[u8], rules: &HeadRules) -> Self {
        lenient::trailers(text, rules, &mut Anomalies::default())
    }

    /// Names and values, secrets as [`REDACTED`].
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (self.slice(&field.name), self.slice(&field.value)))
    }

    /// The same, each as text if it is UTF-8, which is looked into once for all of them.
    pub fn texts(&self) -> impl Iterator<Item = (Text<'_>, Text<'_>)> {
        let text = std::str::from_utf8(&self.text).unwrap_or_default();
        // Where a part ends inside a character it is no text, though together with the next it is.
        let part = |span: &Span| text.get(range(span)).ok_or_else(|| self.slice(span));
        self.fields.iter().map(move |field| (part(&field.name), part(&field.value)))
    }

    /// Values of every field of this name.
    #[inline]
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let fields = if self.names.may_have(name) { self.fields.as_slice() } else { &[] };
        let has_name = move |field: &&Field| {
            range(&field.name).len() == name.len()
                && self.slice(&field.name).eq_ignore_ascii_case(name.as_bytes())
        };
        fields.iter().filter(has_name).map(|field| self.slice(&field.value))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether all names are known to be tokens (RFC 9110 section 5.1), but for what is hidden.
    #[must_use]
    pub const fn has_plain_names(&self) -> bool {
        self.has_plain_names
    }

    /// Bytes of memory that they take beyond their own size.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.text.capacity() + self.fields.capacity() * size_of::<Field>()
    }

    /// The head that they are of as it was sent, but for secrets and its last line end, if it was by
    /// the grammar.
    pub(super) fn as_sent(&self) -> Option<Cow<'_, [u8]>> {
        let last = self.fields.last().filter(|_| self.has_plain_names)?;
        // Nothing is kept after the last part, and an empty one is none.
        Some(if last.value.is_empty() {
            [&self.text, &b":"[..]].concat().into()
        } else {
            self.text.as_slice().into()
        })
    }

    pub(super) fn slice(&self, span: &Span) -> &[u8] {
        self.text.get(range(span)).unwrap_or_default()
    }
}

const fn range(span: &Span) -> Range<usize> {
    span.start as usize..span.end as usize
}

/// Puts the parts of a head together, without what is secret.
///
/// Invariant: nothing of the head is kept but its parts, as they may be seen, and what is between
/// them.
pub(super) struct Builder<'r, 't> {
    rules: &'r HeadRules,
    /// The head if it is by the grammar: its parts are kept with what is between them, which takes
    /// one copy.
    head: &'t [u8],
    /// How much of it was copied, or replaced.
    done: usize,
    /// Where the last part of it ends.
    end: usize,
    built: Fields,
}

impl<'r, 't> Builder<'r, 't> {
    /// For parts of what is by the grammar, so that there is nothing but separators between them;
    /// with room for so many fields.
    pub(super) fn of_head(rules: &'r HeadRules, head: &'t [u8], fields: usize) -> Self {
        Self { head, ..Self::new(rules, head.len(), fields) }
    }

    /// For parts from anywhere: room for `text_bytes`, and for so many fields before more is needed.
    pub(super) fn new(rules: &'r HeadRules, text_bytes: usize, fields: usize) -> Self {
        let built = Fields {
            text: Vec::with_capacity(text_bytes),
            fields: Vec::with_capacity(fields),
            names: NameSet::default(),
            has_plain_names: false,
        };
        Self { rules, head: &[], done: 0, end: 0, built }
    }

    /// Adds a part that is no field and no secret.
    #[inline]
    pub(super) fn part(&mut self, bytes: &[u8]) -> Span {
        let Some(at) = self.place_of(bytes) else { return self.add(bytes) };
        self.end = at + bytes.len();
        let start = self.built.text.len() + (at - self.done);
        start as u32..(start + bytes.len()) as u32
    }

    /// Adds something in place of a part.
    fn replaced(&mut self, bytes: &[u8], shown: &[u8]) -> Span {
        if let Some(at) = self.place_of(bytes) {
            self.copy_until(at);
            self.done = at + bytes.len();
            self.end = self.done;
        }
        self.add(shown)
    }

    /// Adds bytes of which nothing is known.
    fn add(&mut self, bytes: &[u8]) -> Span {
        self.copy_until(self.end);
        let start = self.built.text.len() as u32;
        self.built.text.extend_from_slice(bytes);
        start..self.built.text.len() as u32
    }

    fn copy_until(&mut self, end: usize) {
        self.built.text.extend_from_slice(self.head.get(self.done..end).unwrap_or_default());
        self.done = self.done.max(end);
    }

    /// Where bytes lie in the rest of the head, if they do.
    #[inline]
    fn place_of(&self, bytes: &[u8]) -> Option<usize> {
        let at = offset_in(self.head, bytes);
        let is_there = at >= self.end && at.checked_add(bytes.len())? <= self.head.len();
        (is_there && !bytes.is_empty()).then_some(at)
    }

    /// Adds a URL, or what can hold one.
    pub(super) fn url(&mut self, bytes: &[u8]) -> Span {
        match self.rules.redaction.url(bytes) {
            Cow::Borrowed(_) => self.part(bytes),
            Cow::Owned(shown) => self.replaced(bytes, &shown),
        }
    }

    /// Adds a line that is no field, in place of one.
    pub(super) fn line(&mut self, line: &[u8]) {
        let shown = self.rules.redaction.line(line);
        let name = self.add(&shown);
        self.push(&shown, Field { name, value: 0..0 });
    }

    /// Whether names are tokens: without white space, say.
    const fn is_by_grammar(&self) -> bool {
        !self.head.is_empty()
    }

    /// Adds a field.
    #[inline]
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) {
        let Some(treatment) = self.rules.redaction.of_usual_header(name) else {
            return self.unusual_field(name, value);
        };
        let name_at = self.part(name);
        self.value(name, name_at, value, treatment);
    }

    fn unusual_field(&mut self, name: &[u8], value: &[u8]) {
        // A colon may be missing and another one stand in the value; most are names and no more.
        let is_plain = self.is_by_grammar() && !name.iter().any(|byte| matches!(byte, b'%' | b'='));
        let shown = if is_plain { Cow::Borrowed(name) } else { self.rules.redaction.line(name) };
        let secret = matches!(shown, Cow::Owned(_)) || self.rules.redaction.hides_header(name);
        let name_at = match &shown {
            Cow::Borrowed(_) => self.part(name),
            Cow::Owned(shown) => self.replaced(name, shown),
        };
        let treatment = if secret { Treatment::Hidden } else { Treatment::LookedThrough };
        self.value(&shown, name_at, value, treatment);
    }

    #[inline]
    fn value(&mut self, name: &[u8], name_at: Span, value: &[u8], treatment: Treatment) {
        let value = match treatment {
            Treatment::Shown => self.part(value),
            Treatment::LookedThrough => self.url(value),
            Treatment::Hidden => self.replaced(value, REDACTED),
        };
        self.push(name, Field { name: name_at, value });
    }

    #[inline]
    fn push(&mut self, name: &[u8], field: Field) {
        self.built.names.add(name);
        self.built.fields.push(field);
    }

    /// Whether a field of this name is still kept, after so many others.
    pub(super) fn has_room_for(&self, name: &[u8]) -> bool {
        self.built.fields.len() < self.rules.max_headers || is_one_of(&FRAMING_HEADERS, name)
    }

    pub(super) fn build(mut self) -> Fields {
        self.copy_until(self.end);
        self.built.has_plain_names = self.is_by_grammar();
        self.built
    }
}

/// How far into a text a part of it begins; anything, and mostly much, if it is none.
pub(super) fn offset_in(text: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().wrapping_sub(text.as_ptr().addr())
}

fn is_one_of(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}

/// Names that may be among those of the fields: tells of most others, without a look at each
/// field, that they are not. Most questions are for what most messages do not have.
#[derive(Clone, Copy, Debug, Default)]
struct NameSet(u64);

impl NameSet {
    const fn add(&mut self, name: &[u8]) {
        self.0 |= Self::bit(name);
    }

    #[inline(always)]
    const fn may_have(self, name: &str) -> bool {
        self.0 & Self::bit(name.as_bytes()) != 0
    }

    /// The bit for a name, by its length and its first letter, in any case.
    #[inline(always)]
    const fn bit(name: &[u8]) -> u64 {
        let first = if let [first, ..] = name { *first | 0x20 } else { 0 };
        1 << ((5 * first as usize + name.len()) % 64)
    }
}
