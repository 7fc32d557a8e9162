//! Arguments for the recording.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
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
    /// A file that is to be read must not be written over, and what rotates is a file.
    pub(super) fn check(
        &self,
        outputs: &OutputArgs,
        inputs: &[PathBuf],
    ) -> Result<(), clap::Error> {
        let Some(record) = &self.record else {
            if outputs.rotate.is_empty() || !outputs.output.is_empty() {
                return Ok(());
            }
            let message = "--rotate is for the files of --output and --record: name one\n";
            return Err(clap::Error::raw(ErrorKind::MissingRequiredArgument, message));
        };
        if !inputs.iter().any(|input| is_same(input, record)) {
            return Ok(());
        }
        let message = format!("--record {}: that is a file to be read\n", record.display());
        Err(clap::Error::raw(ErrorKind::ValueValidation, message))
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    identity(one).is_ok_and(|one| identity(other).is_ok_and(|other| one == other))
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
