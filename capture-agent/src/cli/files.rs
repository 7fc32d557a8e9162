//! Which files a call reads and writes: none may be both, and none written by two.

use std::ffi::OsString;
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
    /// One that is to be made, or several that follow one another: by device and number of their
    /// folder, and their name there.
    Made(u64, u64, OsString),
    /// One whose folder is not there.
    Nowhere(PathBuf),
}

/// Links that are followed until there is something: as many as the kernel follows.
const MOST_LINKS: usize = 40;

/// Refuses what would write over what is read, or over what another output writes.
pub(super) fn check(args: &CommonArgs, inputs: &[PathBuf]) -> Result<(), clap::Error> {
    let named = args.outputs.output.iter().filter_map(|output| match &output.target {
        Target::File(path) => Some(path.clone()),
        Target::Stdout => None,
    });
    let rotates = !args.outputs.rotate.is_empty();
    let grown = named.chain(args.record.record.clone()).map(|path| (path, rotates));
    let index = args.payload.save_bodies.iter().map(|folder| (folder.join(INDEX), false));
    let written = grown.chain(index);
    let mut known = Vec::new();
    for (path, rotates) in written.filter(|(path, _)| !is_inherited(path)) {
        let Some(identity) = identity(&path, rotates) else { continue };
        let is_read = |input: &PathBuf| {
            let input = if input == Path::new("-") { Path::new("/dev/stdin") } else { input };
            self::identity(input, false).is_some_and(|input| input == identity)
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

/// `None` for what bytes of several writers may go to: terminals, pipes and other devices. Where files
/// follow one another, none has the name that was given, and no link is followed.
fn identity(path: &Path, rotates: bool) -> Option<Identity> {
    if let Ok(there) = fs::metadata(path) {
        if !there.is_file() {
            return None;
        }
        if !rotates {
            return Some(Identity::There(there.dev(), there.ino()));
        }
    }
    let path = if rotates { path.to_owned() } else { end_of_links(path) };
    let folder = folder(&path);
    let Ok(there) = fs::metadata(folder) else { return Some(Identity::Nowhere(path)) };
    Some(Identity::Made(there.dev(), there.ino(), path.file_name()?.to_owned()))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// Where links lead to from a path, whether something is there or not: that is made.
fn end_of_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(to) = fs::read_link(&path) else { break };
        path = folder(&path).join(to);
    }
    path
}
