//! Arguments for the recording.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::error::ErrorKind;

use super::OutputArgs;

/// Arguments for the recording.
#[derive(Clone, Debug, Args)]
pub(crate) struct RecordArgs {
    /// Record every segment that the capture is made from, before any filter, as pcapng: what a bug
    /// report needs; a further .gz or .zst compresses it
    ///
    /// `read` of it gives the same exchanges again, and so do Wireshark and others. It has what was on
    /// the wire, secrets included, and is for its owner's eyes alone. Live it has of bodies what the
    /// kernel hands over: all of them with --budget off. What can't be written in time is left out and
    /// counted; a disk that fills ends the recording, not the capture.
    #[arg(long, value_name = "FILE.pcapng", value_parser = parse)]
    pub(crate) record: Option<PathBuf>,
}

impl RecordArgs {
    /// What rotates is a file.
    pub(super) fn check(&self, outputs: &OutputArgs) -> Result<(), clap::Error> {
        if self.record.is_some() || outputs.rotate.is_empty() || !outputs.output.is_empty() {
            return Ok(());
        }
        let message = "--rotate is for the files of --output and --record: name one\n";
        Err(clap::Error::raw(ErrorKind::MissingRequiredArgument, message))
    }
}

fn parse(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let packed = path.extension().is_some_and(|end| end == "gz" || end == "zst");
    let name = if packed { path.file_stem().map(Path::new) } else { Some(path) };
    match name.and_then(Path::extension) {
        Some(end) if end == "pcapng" => Ok(path.to_owned()),
        _ => Err("a recording is a pcapng: end its name in .pcapng, or in .pcapng.gz or \
                  .pcapng.zst"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_recording_says_what_it_is() {
        for good in ["x.pcapng", "a.b/x.pcapng.gz", "/x.y.pcapng.zst"] {
            assert_eq!(parse(good), Ok(PathBuf::from(good)));
        }
        for bad in ["", "x", "x.pcap", ".pcapng", "x.gz", "x.pcapng.bz2", "x.pcapng/x", "-"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
