//! `multipart/form-data`, a slice at a time.
//!
//! Follows RFC 7578 and RFC 2046 section 5.1. The head of a part is held until it is whole, for
//! before that it cannot be told whether it is one. A part that is itself a multipart is one value.

use super::Out;
use super::delimiter::{Delimiter, Delimiters};
use super::list::{Field, List};
use super::part_head::PartHead;

/// Longest head of a part: stops one that never ends. The part is then hidden.
const MAX_HEAD_BYTES: usize = 16 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before the first part or after the last, where nothing should stand.
    Outside { hidden: bool },
    /// In the head of a part, the last line of which begins there.
    Head { line: usize },
    /// In the value of a part.
    Value,
    /// In the value of a part that is secret, or not known.
    Secret { hidden: bool },
}

/// The form so far.
#[derive(Debug)]
pub(super) struct Multipart {
    at: At,
    delimiters: Delimiters,
    head: Vec<u8>,
}

impl Multipart {
    pub(super) fn new(boundary: &[u8]) -> Self {
        let delimiters = Delimiters::new(boundary);
        Self { at: At::Outside { hidden: false }, delimiters, head: Vec::new() }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], list: &mut List, out: &mut Out<'_>) {
        while !bytes.is_empty() {
            if let At::Head { line } = self.at {
                bytes = self.take_head(line, bytes, list, out);
                continue;
            }
            let at = &mut self.at;
            let found = self.delimiters.take(bytes, |bytes| take_value(at, bytes, list, out));
            let Some((delimiter, rest)) = found else { return };
            self.end_part(delimiter, list, out);
            bytes = rest;
        }
    }

    /// The delimiter that is held ends what came before it.
    fn end_part(&mut self, delimiter: Delimiter, list: &mut List, out: &mut Out<'_>) {
        list.close(true);
        out.show(&self.delimiters.held());
        self.at = match delimiter {
            Delimiter::Open => At::Head { line: 0 },
            Delimiter::Close => At::Outside { hidden: false },
        };
    }

    fn take_head<'a>(
        &mut self,
        line: usize,
        bytes: &'a [u8],
        list: &mut List,
        out: &mut Out<'_>,
    ) -> &'a [u8] {
        let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |newline| newline + 1);
        // One byte more than a head may have, to see that it is longer.
        let room = (MAX_HEAD_BYTES + 1).saturating_sub(self.head.len()).min(end);
        let (part, rest) = bytes.split_at(room);
        self.head.extend_from_slice(part);
        if self.head.len() > MAX_HEAD_BYTES {
            self.give_up_head(out);
            return rest;
        }
        if !self.head.ends_with(b"\n") {
            return rest;
        }
        let text = self.head.get(line..).unwrap_or_default();
        if text == b"\r\n" || text == b"\n" {
            self.end_head(list, out);
        } else if let Some(delimiter) = self.delimiters.of_line(text) {
            // A part without an end of its head: any line may have been meant as its value.
            let delimiter_line = self.head.split_off(line);
            self.give_up_head(out);
            out.show(&delimiter_line);
            self.delimiters.begin_line();
            self.end_part(delimiter, list, out);
        } else {
            self.at = At::Head { line: self.head.len() };
        }
        rest
    }

    fn end_head(&mut self, list: &mut List, out: &mut Out<'_>) {
        let head = std::mem::take(&mut self.head);
        let mut part = PartHead::of(&head, out.redaction);
        let mut hidden = false;
        if part.doubtful {
            out.hide(&head, &mut hidden);
            if hidden {
                part.field = Field::default();
            }
        } else {
            out.show(&head);
        }
        list.open(part.field);
        self.at = if part.doubtful || part.secret { At::Secret { hidden } } else { At::Value };
        self.delimiters.begin_line();
    }

    /// What is held of a head is none: it is hidden, and so is what follows.
    fn give_up_head(&mut self, out: &mut Out<'_>) {
        let mut hidden = false;
        out.hide(&self.head, &mut hidden);
        self.head = Vec::new();
        self.at = At::Secret { hidden };
        self.delimiters.give_up(|_| {});
    }

    pub(super) fn gap(&mut self, list: &mut List, out: &mut Out<'_>) {
        self.give_up_held(list, out);
        list.close(false);
        // Behind it may be the rest of any part.
        if let At::Value | At::Outside { .. } = self.at {
            self.at = At::Secret { hidden: false };
        }
        self.delimiters.begin_line();
    }

    pub(super) fn finish(&mut self, list: &mut List, out: &mut Out<'_>) {
        if let Some(delimiter) = self.delimiters.finish() {
            self.end_part(delimiter, list, out);
        }
        self.give_up_held(list, out);
        list.close(false);
    }

    fn give_up_held(&mut self, list: &mut List, out: &mut Out<'_>) {
        if let At::Head { .. } = self.at {
            self.give_up_head(out);
        }
        let at = &mut self.at;
        self.delimiters.give_up(|bytes| take_value(at, bytes, list, out));
    }

    pub(super) fn memory(&self) -> usize {
        self.delimiters.memory() + self.head.capacity()
    }
}

fn take_value(at: &mut At, bytes: &[u8], list: &mut List, out: &mut Out<'_>) {
    match at {
        At::Secret { hidden } => {
            out.hide(bytes, hidden);
            list.push(bytes, out.hides_unknown());
        }
        At::Outside { hidden } => {
            // Empty lines are nothing to hide.
            let empty = bytes.iter().take_while(|byte| !*hidden && b"\r\n".contains(byte));
            let (empty, rest) = bytes.split_at(empty.count());
            out.show(empty);
            out.hide(rest, hidden);
        }
        At::Value | At::Head { .. } => {
            out.show(bytes);
            list.push(bytes, false);
        }
    }
}
