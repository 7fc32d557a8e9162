//! Parts of records that are put together as they are written, so that nothing is kept of them.

use std::fmt::{self, Display};

use serde::{Serialize, Serializer};

use super::HeaderRecord;
use crate::flow::FlowId;
use crate::http::head::{Fields, RequestHead};
use crate::output::escape::{lossless, shown};

/// A flow's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowName(pub(super) FlowId);

impl FlowName {
    /// Its sixteen digits.
    pub(super) fn text(self) -> [u8; 16] {
        let nibble = |at: usize| (self.0.0 >> (60 - 4 * at)) as u8 & 15;
        std::array::from_fn(|at| match nibble(at) {
            digit @ 0..=9 => b'0' + digit,
            digit => b'a' + digit - 10,
        })
    }
}

impl Serialize for FlowName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// A list of header fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers<'a>(pub(super) &'a Fields);

impl Headers<'_> {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let texts = self.0.texts();
        serializer.collect_seq(
            texts.map(|(name, value)| HeaderRecord { name: shown(name), value: shown(value) }),
        )
    }
}

/// The URL of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Url<'a>([&'a [u8]; 3]);

impl<'a> Url<'a> {
    pub(super) fn of(head: &'a RequestHead) -> Option<Self> {
        head.url().map(Self)
    }
}

impl Display for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No character is begun in one part and ended in the next: they meet at a slash.
        self.0.iter().try_for_each(|part| f.write_str(&lossless(part)))
    }
}

impl Serialize for Url<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
