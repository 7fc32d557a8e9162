//! What extension a payload file's name has, by its type and its first bytes.

/// Types of which the registry's first extension is not what people expect.
const USUAL: [(&str, &str); 8] = [
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/aac", "aac"),
    ("audio/flac", "flac"),
    ("audio/vnd.wave", "wav"),
    ("application/x-ndjson", "ndjson"),
    ("application/x-www-form-urlencoded", "txt"),
    // As what message/rfc822 has: headers and parts.
    ("multipart/form-data", "mime"),
];

/// Types that say no more than that there are bytes.
const VAGUE: [&str; 4] = [
    "application/octet-stream",
    "binary/octet-stream",
    "application/x-download",
    "application/force-download",
];

/// Longest type that is looked at (RFC 6838 section 4.2).
const MAX_TYPE: usize = 255;

/// The extension for a body with this Content-Type, whose path ends in `own`, and which begins
/// with these bytes: the path's own one, or what the bytes call for, where that is one of the
/// type's; else what the type calls for. Without a type it is what the bytes call for, or its own.
pub(super) fn extension(content_type: Option<&[u8]>, own: Option<&str>, first: &[u8]) -> String {
    let stated = content_type.and_then(essence).filter(|stated| !VAGUE.contains(&stated.as_str()));
    let seen = infer::get(first);
    if let Some(stated) = &stated {
        let seen = seen.map(|seen| seen.extension());
        let fitting = [own, seen].into_iter().flatten().find(|it| is_of_type(it, stated));
        if let Some(extension) = fitting.or_else(|| of_type(stated)) {
            return extension.to_owned();
        }
    }
    if let Some(seen) = seen {
        return seen.extension().to_owned();
    }
    let own = own.filter(|own| *own != "part" && mime_guess::from_ext(own).first().is_some());
    own.unwrap_or(if is_text(first) { "txt" } else { "bin" }).to_owned()
}

/// The type that the first bytes of a body show.
pub(super) fn detect(first: &[u8]) -> Option<&'static str> {
    infer::get(first).map(|seen| seen.mime_type())
}

/// The extension of a content coding that was not undone.
pub(super) fn of_coding(coding: &[u8]) -> Option<&'static str> {
    Some(match coding.trim_ascii().to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => "gz",
        b"br" => "br",
        b"zstd" => "zst",
        b"deflate" => "zz",
        b"" | b"identity" => return None,
        _ => "coded",
    })
}

/// Type and subtype, in lower case.
fn essence(content_type: &[u8]) -> Option<String> {
    let essence = content_type.split(|byte| *byte == b';').next()?.trim_ascii();
    let text = std::str::from_utf8(essence).ok()?;
    (1..=MAX_TYPE).contains(&text.len()).then(|| text.to_ascii_lowercase())
}

fn is_of_type(extension: &str, stated: &str) -> bool {
    of_type(stated) == Some(extension)
        || mime_guess::from_ext(extension).iter_raw().any(|of_it| of_it == stated)
}

fn of_type(stated: &str) -> Option<&'static str> {
    let usual = USUAL.iter().find(|(of, _)| *of == stated).map(|(_, extension)| *extension);
    usual.or_else(|| mime2ext::mime2ext(stated)).or_else(|| match stated.rsplit_once('+') {
        Some((_, "json")) => Some("json"),
        Some((_, "xml")) => Some("xml"),
        Some((_, "zip")) => Some("zip"),
        _ => stated.starts_with("text/").then_some("txt"),
    })
}

fn is_text(first: &[u8]) -> bool {
    let is_utf8 = match std::str::from_utf8(first) {
        Ok(_) => true,
        // A character that is cut is none that is wrong.
        Err(error) => error.error_len().is_none(),
    };
    let is_control = |byte: &u8| byte.is_ascii_control() && !b"\t\r\n\x0c\x1b".contains(byte);
    !first.is_empty() && is_utf8 && !first.iter().any(is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_says_what_it_is_unless_it_says_nothing() {
        const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        let of = |stated: &str, own: Option<&str>, first: &[u8]| {
            extension((!stated.is_empty()).then_some(stated.as_bytes()), own, first)
        };
        assert_eq!(of("image/png", None, b""), "png");
        assert_eq!(of("image/png; q=1", Some("exe"), b"MZ"), "png");
        assert_eq!(of("IMAGE/JPEG", Some("jpeg"), b""), "jpeg");
        assert_eq!(of("image/jpeg", Some("png"), PNG), "jpg");
        assert_eq!(of("", None, PNG), "png");
        assert_eq!(of("application/octet-stream", Some("dat"), PNG), "png");
        assert_eq!(of("application/octet-stream", Some("iso"), b"\0"), "iso");
        assert_eq!(of("", Some("part"), b"\0\x01"), "bin");
        assert_eq!(of("x/unheard-of", Some("nonsense1"), b"\0\x01"), "bin");
        assert_eq!(of("", None, "häng".as_bytes().split_last().unwrap().1), "txt");
        assert_eq!(of("text/x-unheard-of", None, b""), "txt");
        assert_eq!(of("\u{202e}gnp/egami", None, b"\x01"), "bin");
    }

    #[test]
    fn all_usual_extensions_are_safe_in_a_name() {
        for stated in ["audio/wav", "audio/x-wav", "audio/mpeg", "audio/ogg", "audio/flac"] {
            let extension = extension(Some(stated.as_bytes()), None, b"");
            assert!(["wav", "mp3", "ogg", "flac"].contains(&extension.as_str()), "{stated}");
        }
    }
}
