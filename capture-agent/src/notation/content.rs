//! What heads and bodies say, as it is written.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::escape::lossless;
use crate::http::head::{Head, Version};

/// The version as it was sent.
pub(crate) fn version(head: &Head) -> Option<Cow<'static, str>> {
    Some(match head.version()? {
        Version::HTTP_11 => Cow::Borrowed("1.1"),
        Version::HTTP_10 => Cow::Borrowed("1.0"),
        other => Cow::Owned(other.to_string()),
    })
}

/// Content codings as they were sent, in one list.
pub(crate) fn encoding(head: &Head) -> Option<Cow<'_, str>> {
    let mut values = head.values("content-encoding");
    let first = lossless(values.next()?);
    let text = values.fold(first, |list, value| format!("{list}, {}", lossless(value)).into());
    Some(text)
}

/// Content as text where it is UTF-8, else in base64.
pub(crate) fn content(bytes: &[u8], truncated: bool) -> (Option<Cow<'_, str>>, Option<String>) {
    let text = text(bytes, truncated);
    let is_binary = text.is_none() && !bytes.is_empty();
    (text, is_binary.then(|| BASE64.encode(bytes)))
}

/// Content as text where there is some, and it is UTF-8. A character that the limit cut in two does
/// not make binary of a text.
pub(crate) fn text(bytes: &[u8], truncated: bool) -> Option<Cow<'_, str>> {
    if bytes.is_empty() {
        return None;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(Cow::Borrowed(text)),
        Err(error) if truncated && error.error_len().is_none() && error.valid_up_to() > 0 => {
            let text = bytes.get(..error.valid_up_to()).unwrap_or_default();
            Some(String::from_utf8_lossy(text))
        }
        Err(_) => None,
    }
}
