//! Arguments for what is written where.

use std::path::PathBuf;

use capture_agent::output::{Format, Target};
use clap::Args;

/// Arguments for what is written where.
#[derive(Clone, Debug, Args)]
pub(crate) struct OutputArgs {
    /// Write to a file instead of standard output, in the format its name ends in (.jsonl, .har,
    /// .pcapng, .txt) or in the one named before a colon, as in 'jsonl:/dev/stderr'; may be given several times, '-' is
    /// standard output
    #[arg(long, value_name = "[FORMAT:]PATH", value_parser = OutputArg::parse)]
    pub(crate) output: Vec<OutputArg>,
}

impl OutputArgs {
    /// Whether one of the outputs has this format.
    pub(crate) fn has(&self, format: Format) -> bool {
        self.output.iter().any(|output| output.format == Some(format))
    }
}

/// An output: where to, and in which format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutputArg {
    /// Where to.
    pub(crate) target: Target,
    /// `None` for standard output in the format of `--format`.
    pub(crate) format: Option<Format>,
}

impl OutputArg {
    /// Only what names a format is one: other colons are the path's own.
    fn parse(text: &str) -> Result<Self, String> {
        let named =
            text.split_once(':').and_then(|(name, rest)| Some((Format::named(name)?, rest)));
        let (format, path) = named.map_or((None, text), |(format, path)| (Some(format), path));
        match path {
            "" => return Err("there is no path".to_owned()),
            "-" => return Ok(Self { target: Target::Stdout, format }),
            _ => {}
        }
        let path = PathBuf::from(path);
        let of_name = || Format::of_path(&path).map_err(|error| error.to_string());
        let format = format.map_or_else(of_name, Ok)?;
        Ok(Self { target: Target::File(path), format: Some(format) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_named_before_a_colon_or_told_by_the_end_of_the_name() {
        let file = |path: &str, format| {
            Ok(OutputArg { target: Target::File(path.into()), format: Some(format) })
        };
        let standard = |format| Ok(OutputArg { target: Target::Stdout, format });
        let cases = [
            ("x.jsonl", file("x.jsonl", Format::Jsonl)),
            ("x.jsonl.gz", file("x.jsonl.gz", Format::Jsonl)),
            ("jsonl:/dev/stderr", file("/dev/stderr", Format::Jsonl)),
            ("text:x", file("x", Format::Text)),
            ("text:x.jsonl", file("x.jsonl", Format::Text)),
            ("10:30.txt", file("10:30.txt", Format::Text)),
            ("./text:x.jsonl", file("./text:x.jsonl", Format::Jsonl)),
            ("-", standard(None)),
            ("jsonl:-", standard(Some(Format::Jsonl))),
        ];
        for (text, expected) in cases {
            assert_eq!(OutputArg::parse(text), expected, "{text}");
        }
        for bad in ["", "x", "x.doc", "nope:x", "text:", "jsonl.gz:x"] {
            assert!(OutputArg::parse(bad).is_err(), "{bad}");
        }
    }
}
