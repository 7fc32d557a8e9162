//! Parts of records that are put together as they are written, so that nothing is kept of them.

use serde::{Serialize, Serializer};

use super::HeaderRecord;
use crate::http::head::Fields;
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
