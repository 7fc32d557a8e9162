//! The formats there are: what they are called, and which names of files call for them.

use std::path::Path;

use super::OutputError;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line an exchange, for people.
    Text,
    /// An object a line, for programs.
    Jsonl,
    /// A log of exchanges as browsers keep it: HAR 1.2.
    Har,
    /// Frames that carry them, rebuilt, for Wireshark.
    Pcapng,
    /// Each request as a command of curl that sends it again.
    Curl,
}

/// Each format, what it is called, and what the names of its files end in.
const FORMATS: [(Format, &str, &[&str]); 5] = [
    (Format::Text, "text", &["txt", "log"]),
    (Format::Jsonl, "jsonl", &["jsonl", "ndjson"]),
    (Format::Har, "har", &["har"]),
    (Format::Pcapng, "pcapng", &["pcapng"]),
    (Format::Curl, "curl", &["sh", "curl"]),
];

/// What the name of a compressed file ends in, after what tells its format.
const COMPRESSED: [&str; 2] = ["gz", "zst"];

impl Format {
    /// The format that is called so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let known = FORMATS.iter().find(|(_, known, _)| *known == name);
        known.map(|(format, ..)| *format)
    }

    /// The format that the name of a file calls for; what tells that it is compressed comes after.
    ///
    /// # Errors
    /// If the name calls for none.
    pub fn of_path(path: &Path) -> Result<Self, OutputError> {
        let extension = |path: &Path| path.extension()?.to_str().map(str::to_owned);
        let mut last = extension(path);
        if last.as_deref().is_some_and(|last| COMPRESSED.contains(&last)) {
            last = path.file_stem().and_then(|stem| extension(Path::new(stem)));
        }
        let known = |(_, _, names): &&(_, _, &[&str])| {
            last.as_deref().is_some_and(|last| names.contains(&last))
        };
        let format = FORMATS.iter().find(known).map(|(format, ..)| *format);
        format.ok_or_else(|| OutputError::UnknownFormat(path.to_owned()))
    }

    /// What names of files end in, and what the formats are called.
    #[must_use]
    pub fn known() -> (String, String) {
        let ends = FORMATS.iter().filter_map(|(_, _, names)| names.first());
        let ends: Vec<_> = ends.map(|name| format!(".{name}")).collect();
        let names: Vec<_> = FORMATS.iter().map(|(_, name, _)| *name).collect();
        (ends.join(", "), names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_tells_the_format_and_compression_comes_after() {
        let format = |name: &str| Format::of_path(Path::new(name)).ok();
        for name in ["x.jsonl", "x.ndjson", "a/b.c/x.jsonl.gz", "x.jsonl.zst"] {
            assert_eq!(format(name), Some(Format::Jsonl), "{name}");
        }
        assert_eq!(format("x.txt"), Some(Format::Text));
        for name in ["x", "x.gz", ".jsonl", "x.jsonl.gz.gz", "x.jsonl/x", "x.JSONL.bz2"] {
            assert_eq!(format(name), None, "{name}");
        }
    }

    #[test]
    fn each_format_has_a_name() {
        for (format, name, _) in FORMATS {
            assert_eq!(Format::named(name), Some(format));
        }
        assert_eq!(Format::named("x"), None);
    }
}
