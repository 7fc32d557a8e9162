//! `application/x-www-form-urlencoded`, a slice at a time.
//!
//! Follows the URL standard, section 5.1. Fields end at `&`. Some servers end them at `;` too, so
//! what follows a `;` in a value may be a field of its own: where its name is secret, so it is
//! hidden; in the list it stays part of the value that it stands in.

use super::Out;
use super::list::{Field, List};
use super::percent::Unescape;

/// Longest name, as it was sent: what has a longer one is hidden, for it is not kept to be compared.
const MAX_NAME_BYTES: usize = 1 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a name.
    Name,
    Value,
    /// In a value, after a `;`: what may be a name.
    InnerName,
    /// In a value that is secret; `inner` where its name stood after a `;`.
    Secret {
        inner: bool,
        hidden: bool,
    },
    /// In what may be a name or a value.
    Lost {
        hidden: bool,
    },
}

/// The form so far.
#[derive(Debug)]
pub(super) struct UrlEncoded {
    at: At,
    /// The name, or what may be one.
    name: Vec<u8>,
    name_too_long: bool,
    unescape: Unescape,
}

impl UrlEncoded {
    pub(super) const fn new() -> Self {
        let unescape = Unescape::of_form();
        Self { at: At::Name, name: Vec::new(), name_too_long: false, unescape }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], list: &mut List, out: &mut Out<'_>) {
        while !bytes.is_empty() {
            let end = match self.at {
                At::Name => memchr::memchr2(b'=', b'&', bytes),
                At::Value | At::Secret { inner: true, .. } => memchr::memchr2(b'&', b';', bytes),
                At::InnerName => memchr::memchr3(b'=', b'&', b';', bytes),
                At::Secret { .. } | At::Lost { .. } => memchr::memchr(b'&', bytes),
            };
            let (run, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.take_run(run, list, out);
            let Some((delimiter, rest)) = rest.split_first() else { return };
            match delimiter {
                b'&' => self.end_field(list),
                b'=' => self.end_name(list, out),
                _ => {
                    self.end_escape(list);
                    list.push(b";", false);
                    self.begin_name(At::InnerName);
                }
            }
            out.show(std::slice::from_ref(delimiter));
            bytes = rest;
        }
    }

    fn take_run(&mut self, run: &[u8], list: &mut List, out: &mut Out<'_>) {
        if matches!(self.at, At::Name | At::InnerName) {
            let room = MAX_NAME_BYTES - self.name.len();
            self.name.extend_from_slice(run.get(..room).unwrap_or(run));
            self.name_too_long |= run.len() > room;
        }
        let secret = match &mut self.at {
            At::Secret { hidden, .. } | At::Lost { hidden } => {
                out.hide(run, hidden);
                true
            }
            At::Name | At::Value | At::InnerName => {
                out.show(run);
                false
            }
        };
        if self.at != At::Name && list.is_growing() {
            self.unescape.push(run, |bytes| list.push(bytes, secret));
        }
    }

    fn begin_name(&mut self, at: At) {
        self.at = at;
        self.name.clear();
        self.name_too_long = false;
    }

    fn end_name(&mut self, list: &mut List, out: &Out<'_>) {
        let name = self.name.as_slice();
        let inner = memchr::memrchr(b';', name).and_then(|at| name.get(at + 1..));
        let too_long = self.name_too_long && out.hides_unknown();
        let at = match self.at {
            At::InnerName if too_long || out.hides(name) => {
                At::Secret { inner: true, hidden: false }
            }
            At::Name if too_long || out.hides(name) => At::Secret { inner: false, hidden: false },
            At::Name if inner.is_some_and(|name| out.hides(name)) => {
                At::Secret { inner: true, hidden: false }
            }
            _ => At::Value,
        };
        if self.at == At::InnerName {
            self.end_escape(list);
            list.push(b"=", false);
        } else {
            self.open(list);
        }
        self.begin_name(at);
    }

    fn open(&mut self, list: &mut List) {
        let mut name = Vec::new();
        self.unescape = Unescape::of_form();
        self.unescape.push(&self.name, |bytes| name.extend_from_slice(bytes));
        self.unescape.finish(|bytes| name.extend_from_slice(bytes));
        list.open(Field { name, ..Field::default() });
    }

    fn end_field(&mut self, list: &mut List) {
        if self.at == At::Name && !self.name.is_empty() {
            self.open(list);
        }
        self.close(true, list);
        self.begin_name(At::Name);
    }

    fn close(&mut self, complete: bool, list: &mut List) {
        self.end_escape(list);
        list.close(complete);
    }

    fn end_escape(&mut self, list: &mut List) {
        let secret = matches!(self.at, At::Secret { .. });
        self.unescape.finish(|bytes| list.push(bytes, secret));
    }

    pub(super) fn gap(&mut self, list: &mut List) {
        self.close(false, list);
        let hidden = match self.at {
            At::Secret { hidden, .. } | At::Lost { hidden } => hidden,
            At::Name | At::Value | At::InnerName => false,
        };
        self.begin_name(At::Lost { hidden });
    }

    pub(super) fn finish(&mut self, whole: bool, list: &mut List) {
        if self.at == At::Name && !self.name.is_empty() {
            self.open(list);
        }
        self.close(whole, list);
        self.begin_name(At::Name);
    }

    pub(super) fn memory(&self) -> usize {
        self.name.capacity()
    }
}
