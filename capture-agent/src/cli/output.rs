//! Arguments for what is written where.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use capture_agent::output::{Clock, Format, Rotation, Rules, Stop, Target};
use clap::Args;

/// Arguments for what is written where.
#[derive(Clone, Debug, Args)]
pub(crate) struct OutputArgs {
    /// Write to a file instead of standard output, in the format its name ends in (.jsonl, .har,
    /// .pcapng, .txt) or in the one named before a colon, as in 'jsonl:/dev/stderr'; may be given
    /// several times, '-' is standard output
    ///
    /// A file is whole at any time, and is made so again where the agent is killed. A further .gz or
    /// .zst has it compressed.
    #[arg(long, value_name = "[FORMAT:]PATH", value_parser = OutputArg::parse,
          value_hint = clap::ValueHint::AnyPath)]
    pub(crate) output: Vec<OutputArg>,
    /// Go on in a new file, of --output and of --record, once a file has this size ('100MB'), or is this old ('1h', '1d'); given
    /// twice, whichever comes first
    ///
    /// The files of 'out.jsonl' are 'out_00001_20261122T152431Z.jsonl' and so on; the time is that at
    /// which the file was begun, that of packets where capture files are read. Numbers go on after
    /// those that are there. A file is larger than SIZE by one record at most, live by what is written
    /// at once (256 KiB, or one record), compressed by what 1 MiB of records comes to.
    #[arg(long, value_name = "SIZE|TIME", value_parser = RotateArg::parse)]
    pub(crate) rotate: Vec<RotateArg>,
    /// With --rotate: keep the last N files of an output, those of earlier runs included, and remove
    /// what is older
    #[arg(long, value_name = "N", requires = "rotate",
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) keep: Option<usize>,
}

impl OutputArgs {
    /// How files grow.
    pub(crate) fn rules(&self, clock: Clock, stop: Stop) -> Rules {
        let mut rotation = Rotation::default();
        for rotate in &self.rotate {
            match *rotate {
                RotateArg::Size(size) => {
                    rotation.size = Some(rotation.size.map_or(size, |other| other.min(size)));
                }
                RotateArg::Time(time) => {
                    rotation.time = Some(rotation.time.map_or(time, |other| other.min(time)));
                }
            }
        }
        Rules { rotation, keep: self.keep, clock, guarded: true, stop }
    }
}

/// When an output goes on in a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RotateArg {
    /// At this size.
    Size(u64),
    /// At this age.
    Time(Duration),
}

impl RotateArg {
    /// A number alone could be either.
    fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is neither a size like 100MB nor a time like 30m, 1h or 1d");
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        // Lower case tells minutes from megabytes.
        let has_capitals = text.bytes().any(|byte| byte.is_ascii_uppercase());
        let time = text.parse::<jiff::Span>().ok().filter(|_| !has_capitals);
        let Some(time) = time else {
            let size = text.parse::<ByteSize>().map_err(|_| bad())?.as_u64();
            return if size > 0 { Ok(Self::Size(size)) } else { Err(bad()) };
        };
        let days = jiff::SpanRelativeTo::days_are_24_hours();
        let time = time.to_duration(days).ok().and_then(|time| Duration::try_from(time).ok());
        time.filter(|time| !time.is_zero()).map(Self::Time).ok_or_else(bad)
    }
}

impl OutputArgs {
    /// Whether one of the outputs has this format, where standard output has that one.
    pub(crate) fn has(&self, format: Format, standard: Format) -> bool {
        let named = self.output.iter().any(|output| output.format.unwrap_or(standard) == format);
        named || (self.output.is_empty() && standard == format)
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

    #[test]
    fn files_are_rotated_by_size_or_by_time() {
        let (minutes, megabytes) =
            (|n: u64| RotateArg::Time(Duration::from_secs(60 * n)), 1_000_000_u64);
        let cases = [
            ("100MB", RotateArg::Size(100 * megabytes)),
            ("1M", RotateArg::Size(megabytes)),
            ("64KiB", RotateArg::Size(64 << 10)),
            ("10mb", RotateArg::Size(10 * megabytes)),
            ("1m", minutes(1)),
            ("30min", minutes(30)),
            ("1h", minutes(60)),
            ("1h 30m", minutes(90)),
            ("1d", minutes(24 * 60)),
            ("1w", minutes(7 * 24 * 60)),
        ];
        for (text, expected) in cases {
            assert_eq!(RotateArg::parse(text), Ok(expected), "{text}");
        }
        for bad in ["", "100", "0s", "0MB", "-1h", "soon", "1 parsec"] {
            assert!(RotateArg::parse(bad).is_err(), "{bad}");
        }
    }
}
