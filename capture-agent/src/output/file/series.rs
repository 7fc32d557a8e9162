//! The files of an output that goes from one to the next: `out_00001_20261122T152431Z.jsonl` and so
//! on for `out.jsonl`.
//!
//! Invariants: a file has its name from its beginning to its end; no file is ever overwritten, and
//! no symbolic link followed to make one; what is removed has a name of exactly this pattern.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::notation::time::compact;
use crate::segment::Timestamp;

/// Digits of a number at least.
const DIGITS: usize = 5;

/// What a time looks like.
const TIME_SHAPE: &[u8] = b"00000000T000000Z";

/// How many numbers are tried where someone else makes files of this pattern too.
const MAX_TRIES: usize = 1000;

#[derive(Debug)]
pub(super) struct Series {
    folder: PathBuf,
    /// What names begin with.
    stem: Vec<u8>,
    /// What they end in, with its dot.
    extension: Vec<u8>,
    next: u64,
    keep: Option<usize>,
}

impl Series {
    /// The files after those that are there.
    pub(super) fn new(path: &Path, keep: Option<usize>) -> io::Result<Self> {
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.as_bytes();
        let (stem, extension) = split(name);
        let (stem, extension) = (stem.to_vec(), extension.to_vec());
        let mut series = Self { folder, stem, extension, next: 1, keep };
        series.next = series.there()?.last().map_or(1, |(number, _)| number + 1);
        accessat(CWD, &series.folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
        Ok(series)
    }

    /// Makes the next file, and removes those that are too many then.
    pub(super) fn begin(&mut self, time: Timestamp) -> io::Result<File> {
        let mut result = Err(io::ErrorKind::AlreadyExists.into());
        for _ in 0..MAX_TRIES {
            let mut new = OpenOptions::new();
            result = new.write(true).create_new(true).mode(0o600).open(self.path(time));
            match &result {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.next += 1,
                _ => break,
            }
        }
        if result.is_ok() {
            self.next += 1;
            self.remove_oldest();
        }
        result
    }

    fn path(&self, time: Timestamp) -> PathBuf {
        let middle = format!("_{:0DIGITS$}_{}", self.next, compact(time));
        let name = [&self.stem, middle.as_bytes(), &self.extension].concat();
        self.folder.join(OsString::from_vec(name))
    }

    /// What can't be removed stays, and is tried again with the next file.
    fn remove_oldest(&self) {
        let Some(keep) = self.keep else { return };
        let there = self.there().unwrap_or_default();
        let too_many = there.len().saturating_sub(keep);
        for (_, name) in there.into_iter().take(too_many) {
            let _ = fs::remove_file(self.folder.join(name));
        }
    }

    /// The files of this pattern, the oldest first.
    fn there(&self) -> io::Result<Vec<(u64, OsString)>> {
        let mut there = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(number) = self.number(name.as_bytes())
                && entry.file_type().is_ok_and(|kind| kind.is_file())
            {
                there.push((number, name));
            }
        }
        there.sort_unstable();
        Ok(there)
    }

    /// The number of a file of this pattern.
    fn number(&self, name: &[u8]) -> Option<u64> {
        let rest = name.strip_prefix(&self.stem[..])?.strip_suffix(&self.extension[..])?;
        let rest = rest.strip_prefix(b"_")?;
        let (digits, time) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'_')?)?;
        let shape = |byte: &u8| if byte.is_ascii_digit() { b'0' } else { *byte };
        let is_time = time.iter().skip(1).map(shape).eq(TIME_SHAPE.iter().copied());
        let is_number = digits.len() >= DIGITS && digits.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        (is_time && is_number && number < u64::MAX).then_some(number)
    }
}

/// What comes before the number, and after it: what tells the format, and that it is compressed.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    let format = name.strip_suffix(b".gz").or(name.strip_suffix(b".zst")).unwrap_or(name);
    match format.iter().rposition(|byte| *byte == b'.') {
        Some(at) if at > 0 => name.split_at(at),
        _ => name.split_at(format.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const TIME: Timestamp = Timestamp(1_700_000_000_000_000_000);

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn begin(path: &Path, keep: Option<usize>, times: usize) {
        let mut series = Series::new(path, keep).unwrap();
        (0..times).for_each(|_| drop(series.begin(TIME).unwrap()));
    }

    #[test]
    fn numbers_go_on_after_earlier_runs_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl.gz");
        begin(&path, None, 2);
        let name = |number| format!("out_{number}_20231114T221320Z.jsonl.gz");
        assert_eq!(names(folder.path()), [name("00001"), name("00002")]);
        fs::write(folder.path().join(name("99999")), "kept").unwrap();
        begin(&path, None, 1);
        assert!(folder.path().join(name("100000")).exists());
        assert_eq!(fs::read(folder.path().join(name("99999"))).unwrap(), b"kept");
    }

    #[test]
    fn a_planted_link_is_neither_followed_nor_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let mut series = Series::new(&folder.path().join("out.txt"), None).unwrap();
        let victim = folder.path().join("victim");
        symlink(&victim, folder.path().join("out_00001_20231114T221320Z.txt")).unwrap();
        drop(series.begin(TIME).unwrap());
        assert!(!victim.exists());
        assert!(folder.path().join("out_00002_20231114T221320Z.txt").is_file());
    }

    #[test]
    fn only_so_many_of_this_pattern_are_kept_and_all_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let others = [
            "out.jsonl",
            "out_00001_20231114T221320Z.txt",
            "out_00001_20231114T221320Z.jsonl.gz",
            "out_00001_2023-11-14.jsonl",
            "out_0001_20231114T221320Z.jsonl",
            "out_00001_20231114T221320Z_x.jsonl",
            "about_00001_20231114T221320Z.jsonl",
            "out__20231114T221320Z.jsonl",
        ];
        for other in others {
            fs::write(folder.path().join(other), "").unwrap();
        }
        fs::create_dir(folder.path().join("out_00000_20231114T221320Z.jsonl")).unwrap();
        begin(&folder.path().join("out.jsonl"), Some(3), 2);
        begin(&folder.path().join("out.jsonl"), Some(3), 5);
        let ours = ["00005", "00006", "00007"].map(|n| format!("out_{n}_20231114T221320Z.jsonl"));
        for name in others.iter().map(ToString::to_string).chain(ours) {
            assert!(folder.path().join(&name).exists(), "{name}");
        }
        assert_eq!(names(folder.path()).len(), others.len() + 3 + 1);
    }

    #[test]
    fn names_are_split_before_what_tells_the_format() {
        let cases = [
            ("out.jsonl", ("out", ".jsonl")),
            ("out.jsonl.zst", ("out", ".jsonl.zst")),
            ("a.b.har.gz", ("a.b", ".har.gz")),
            ("x", ("x", "")),
            ("x.gz", ("x", ".gz")),
            (".x", (".x", "")),
        ];
        for (name, (stem, extension)) in cases {
            assert_eq!(split(name.as_bytes()), (stem.as_bytes(), extension.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Series::new(&folder.path().join("missing/x.txt"), None).is_err());
        assert!(Series::new(&folder.path().join(".."), None).is_err());
    }
}
