//! Names that are put together as they are written, so that nothing is kept of them.

use std::fmt::{self, Display};

use serde::{Serialize, Serializer};

use super::escape::lossless;
use crate::flow::FlowId;
use crate::http::head::RequestHead;

/// A flow's name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlowName(pub(crate) FlowId);

impl FlowName {
    /// Its sixteen digits.
    pub(crate) fn text(self) -> [u8; 16] {
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

/// The URL of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Url<'a>([&'a [u8]; 3]);

impl<'a> Url<'a> {
    pub(crate) fn of(head: &'a RequestHead) -> Option<Self> {
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
