//! The folder that payload files are in: the only place where any is made, written or removed.
//!
//! Invariants: the folder is opened once, and names in it have no `/`; no symbolic link is followed;
//! nothing that is there is written over or removed but what was made here; files are their
//! owner's alone.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, linkat, openat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

const MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// A name may lead to what is not a regular file: that is neither followed nor waited for.
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Names that are tried for a file: other than by accident, each of the first few is free.
const MAX_NAMES: u64 = 1000;

/// A folder.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
}

/// Which file it is, whatever its name is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Folder {
    /// Opens a folder; one that is not there is made.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        match made {
            // What is there need not be a folder: that is told when it is opened.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: rustix::fs::open(path, flags, Mode::empty())? })
    }

    /// Makes a file under the first of these names that is free.
    pub(super) fn create(
        &self,
        name: impl Fn(u64) -> String,
    ) -> io::Result<(String, File, Identity)> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | SAFELY;
        for number in 1..=MAX_NAMES {
            let name = name(number);
            match openat(&self.fd, &name, flags, MODE) {
                Ok(fd) => {
                    let stat = rustix::fs::fstat(&fd)?;
                    let identity = Identity { device: stat.st_dev, inode: stat.st_ino };
                    return Ok((name, File::from(fd), identity));
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::EXIST.into())
    }

    /// Opens a file again that was made here.
    pub(super) fn reopen(&self, name: &str, identity: Identity) -> io::Result<File> {
        let file = File::from(openat(&self.fd, name, OFlags::WRONLY | SAFELY, Mode::empty())?);
        let stat = rustix::fs::fstat(&file)?;
        if (Identity { device: stat.st_dev, inode: stat.st_ino }) != identity {
            return Err(io::Error::other("another file has its name"));
        }
        Ok(file)
    }

    /// Opens a file to add to, for as many as do so; one that is not there is made. Whether it
    /// ends amid a line.
    pub(super) fn append(&self, name: &str) -> io::Result<(File, bool)> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | SAFELY;
        let file = File::from(openat(&self.fd, name, flags, MODE)?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other(format!("{name} is no regular file")));
        }
        let mut last = *b"\n";
        if let Some(at) = metadata.len().checked_sub(1) {
            file.read_exact_at(&mut last, at)?;
        }
        Ok((file, last != *b"\n"))
    }

    /// Gives a file that was made here the first of these names that is free; returns that.
    pub(super) fn rename(
        &self,
        from: &str,
        identity: Identity,
        name: impl Fn(u64) -> String,
    ) -> io::Result<String> {
        self.check(from, identity)?;
        for number in 1..=MAX_NAMES {
            let to = name(number);
            match self.rename_to(from, &to) {
                Ok(()) => return Ok(to),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::EXIST.into())
    }

    fn rename_to(&self, from: &str, to: &str) -> Result<(), Errno> {
        match renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE) {
            // Not each file system can. A link is never made over what is there, either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                linkat(&self.fd, from, &self.fd, to, AtFlags::empty())?;
                unlinkat(&self.fd, from, AtFlags::empty())
            }
            renamed => renamed,
        }
    }

    /// Removes a file that was made here.
    pub(super) fn remove(&self, name: &str, identity: Identity) -> io::Result<()> {
        self.check(name, identity)?;
        Ok(unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    fn check(&self, name: &str, identity: Identity) -> io::Result<()> {
        let stat = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (Identity { device: stat.st_dev, inode: stat.st_ino }) != identity {
            return Err(io::Error::other("another file has its name"));
        }
        Ok(())
    }
}
