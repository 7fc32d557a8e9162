//! Parts of records that are put together as they are written, so that nothing is kept of them.

use serde::{Serialize, Serializer};

use super::HeaderRecord;
use crate::http::head::Fields;
use crate::notation::content;
use crate::notation::escape::shown;
pub(super) use crate::notation::{FlowName, Url};

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

/// What was kept of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether the body goes on.
    pub(super) truncated: bool,
}

/// A body as text, where it is UTF-8.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptText<'a>(pub(super) Kept<'a>);

impl Serialize for KeptText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        content(self.0.bytes, self.0.truncated).0.serialize(serializer)
    }
}

/// A body in base64, where it is not UTF-8.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptBase64<'a>(pub(super) Kept<'a>);

impl Serialize for KeptBase64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        content(self.0.bytes, self.0.truncated).1.serialize(serializer)
    }
}
