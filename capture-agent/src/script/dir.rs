//! The folder that a script may use, and nothing beside it.
//!
//! A path is walked part by part, each opened in the one before, so that what others do to the
//! folder meanwhile leads nowhere else. Invariants: no `..`, no absolute path, no symbolic link is
//! followed; only plain files are opened, so that none waits for somebody; new ones are their
//! owner's alone.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

/// A folder.
#[derive(Debug)]
pub(super) struct ScriptDir(OwnedFd);

/// How each folder on the way is opened.
const FOLDER: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// How the file at its end is: at once, even where it should be a FIFO, and never as a terminal of ours.
const FILE: OFlags =
    OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

impl ScriptDir {
    /// Opens the folder; how it is reached is the user's affair.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, path, flags, Mode::empty())?))
    }

    /// Opens a file beneath the folder.
    pub(super) fn open_file(&self, path: &[u8], flags: OFlags) -> io::Result<File> {
        let is_outside =
            path.starts_with(b"/") || path.split(|byte| *byte == b'/').any(|it| it == b"..");
        if is_outside || path.contains(&0) {
            let text = "a path leads from the script's folder (--script-dir) downwards";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let mut parts = path.split(|byte| *byte == b'/').filter(|it| !matches!(*it, b"" | b"."));
        let Some(mut name) = parts.next() else { return Err(io::ErrorKind::IsADirectory.into()) };
        let mut folder = None;
        for next in parts {
            let at = folder.as_ref().unwrap_or(&self.0);
            folder = Some(openat(at, name, FOLDER, Mode::empty())?);
            name = next;
        }
        let at = folder.as_ref().unwrap_or(&self.0);
        let file = openat(at, name, flags | FILE, Mode::RUSR | Mode::WUSR)?;
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            let text = "it is no plain file";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(file.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn open(dir: &ScriptDir, path: &str, flags: OFlags) -> io::Result<File> {
        dir.open_file(path.as_bytes(), flags)
    }

    #[test]
    fn files_beneath_are_opened_and_new_ones_are_their_owner_s() {
        let folder = tempfile::tempdir().unwrap();
        let dir = ScriptDir::open(folder.path()).unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for path in ["x", "./sub//y"] {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            open(&dir, path, flags).unwrap().write_all(b"hello").unwrap();
            let path = folder.path().join(path);
            assert_eq!(std::fs::read(&path).unwrap(), b"hello");
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let dir = ScriptDir::open(folder.path()).unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        symlink(outside.path().join("secret"), folder.path().join("link")).unwrap();
        symlink(outside.path(), folder.path().join("away")).unwrap();
        symlink("sub", folder.path().join("near")).unwrap();
        std::fs::write(folder.path().join("sub/y"), "y").unwrap();
        let name = outside.path().file_name().unwrap().to_str().unwrap();
        let absolute = outside.path().join("secret");
        let up = format!("../{name}/secret");
        let around = format!("sub/../../{name}/secret");
        let paths = [
            absolute.to_str().unwrap(),
            &up,
            &around,
            "link",
            "away/secret",
            "near/y",
            "..",
            "",
            ".",
            "sub",
            "/proc/self/environ",
            "link\0x",
        ];
        for path in paths {
            for flags in [OFlags::RDONLY, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC] {
                assert!(open(&dir, path, flags).is_err(), "{path:?} with {flags:?}");
            }
        }
        assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"x");
    }

    #[test]
    fn a_fifo_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let dir = ScriptDir::open(folder.path()).unwrap();
        rustix::fs::mknodat(
            CWD,
            folder.path().join("fifo"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        for flags in [OFlags::RDONLY, OFlags::WRONLY, OFlags::RDWR] {
            assert!(open(&dir, "fifo", flags).is_err());
        }
    }
}
