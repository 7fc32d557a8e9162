//! Which files a call reads and writes: none may be both, and none written by two.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use capture_agent::output::Target;
use clap::error::ErrorKind;

use super::CommonArgs;

/// The index of a folder of payload files.
const INDEX: &str = "index.jsonl";

/// What a file is, whatever it is called.
#[derive(PartialEq, Eq)]
enum Identity {
    /// One that is there, by device and number.
    There(u64, u64),
    /// One that is to be made.
    Made(PathBuf),
}

/// Refuses what would write over what is read, or over what another output writes.
pub(super) fn check(args: &CommonArgs, inputs: &[PathBuf]) -> Result<(), clap::Error> {
    let named = args.outputs.output.iter().filter_map(|output| match &output.target {
        Target::File(path) => Some(path.clone()),
        Target::Stdout => None,
    });
    let index = args.payload.save_bodies.iter().map(|folder| folder.join(INDEX));
    let written = named.chain(args.record.record.clone()).chain(index);
    let mut known = Vec::new();
    for path in written.filter(|path| !is_inherited(path)) {
        let Some(identity) = identity(&path) else { continue };
        let is_read = |input: &PathBuf| {
            let input = if input == Path::new("-") { Path::new("/dev/stdin") } else { input };
            self::identity(input).is_some_and(|input| input == identity)
        };
        if inputs.iter().any(is_read) {
            return Err(refused(&path, "is to be read, and would be written over"));
        }
        if known.contains(&identity) {
            return Err(refused(&path, "is written already by another output"));
        }
        known.push(identity);
    }
    Ok(())
}

fn refused(path: &Path, why: &str) -> clap::Error {
    let message = format!("{} {why}\n", path.display());
    clap::Error::raw(ErrorKind::ValueValidation, message)
}

/// What the agent was started with is not opened anew, and several may write there.
fn is_inherited(path: &Path) -> bool {
    let is_stream = |name: &str| ["stdout", "stderr"].contains(&name);
    let of_dev = path.strip_prefix("/dev").ok().and_then(Path::to_str);
    of_dev.is_some_and(|name| is_stream(name) || name.starts_with("fd/"))
        || path.starts_with("/proc/self/fd")
}

/// `None` for what bytes of several writers may go to: terminals, pipes and other devices.
fn identity(path: &Path) -> Option<Identity> {
    if let Ok(there) = fs::metadata(path) {
        return there.is_file().then(|| Identity::There(there.dev(), there.ino()));
    }
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    Some(Identity::Made(folder.join(path.file_name()?)))
}
