//! Network namespaces: found by what the user calls them, entered by a thread.
//!
//! namespaces(7), network_namespaces(7), and ip-netns(8) for names. A thread that has entered one
//! keeps it alive, and so does each socket made there. So a namespace is left once what the user
//! called it by is no more: then it ends as it would have without us.
//!
//! Invariant: only threads that were started for it enter a namespace; the others stay where the
//! process is.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::LiveError;

/// Where `ip netns add` puts names.
const NAMES: &str = "/run/netns";
/// The namespace that the calling thread is in.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace that the user named.
#[derive(Debug)]
pub struct Namespace {
    /// As the user named it.
    pub(super) name: Arc<str>,
    path: PathBuf,
    id: Id,
    handle: File,
}

/// What tells namespaces apart: device and inode of their file.
type Id = (u64, u64);

impl Namespace {
    /// The namespaces of these names, process ids or paths, each once, in order.
    ///
    /// # Errors
    /// The first one that is not there, or is none.
    pub fn find(names: &[String]) -> Result<Vec<Self>, LiveError> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for name in names {
            let namespace = Self::open(name)?;
            if seen.insert(namespace.id) {
                found.push(namespace);
            }
        }
        Ok(found)
    }

    fn open(name: &str) -> Result<Self, LiveError> {
        let path = path(name);
        let opened = File::open(&path).and_then(|file| Ok((id(&file.metadata()?), file)));
        let (id, handle) = opened.map_err(|error| LiveError::namespace(name, &error))?;
        Ok(Self { name: name.into(), path, id, handle })
    }

    /// Has the calling thread enter it, and stay.
    ///
    /// # Errors
    /// If that is not allowed.
    pub fn enter(&self) -> Result<(), LiveError> {
        // Entering takes CAP_SYS_ADMIN also where one is already.
        if fs::metadata(OWN).is_ok_and(|own| id(&own) == self.id) {
            return Ok(());
        }
        move_into_link_name_space(self.handle.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| LiveError::namespace(&self.name, &error.into()))
    }

    /// As the user named it.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its file.
    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Whether it is still there under its name: the process runs, the file is this namespace's.
    #[must_use]
    pub fn is_there(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|now| id(&now) == self.id)
    }
}

fn id(metadata: &fs::Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

/// A path as it is; a name where there is one; else a process by its id.
fn path(name: &str) -> PathBuf {
    if name.contains('/') {
        return name.into();
    }
    let named = Path::new(NAMES).join(name);
    let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && !named.exists() {
        return Path::new("/proc").join(name).join("ns/net");
    }
    named
}

/// The names that `ip netns` knows, for who is told that there is no such one.
pub(super) fn names() -> Vec<String> {
    let entries = fs::read_dir(NAMES).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

impl LiveError {
    /// What it means that a namespace could not be opened or entered.
    fn namespace(name: &str, error: &io::Error) -> Self {
        let name = name.to_owned();
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH) => Self::NoSuchNamespace { name, there: names() },
            Some(libc::EPERM | libc::EACCES) => Self::NamespaceRefused(name),
            Some(libc::EINVAL) => Self::NotANamespace(name),
            _ => Self::Namespace { name, reason: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_a_process_and_a_path_are_told_apart() {
        assert_eq!(path("no-such-blue"), Path::new("/run/netns/no-such-blue"));
        assert_eq!(path("4194305"), Path::new("/proc/4194305/ns/net"));
        assert_eq!(path("./blue"), Path::new("./blue"));
        assert_eq!(path(""), Path::new("/run/netns"));
    }

    #[test]
    fn one_namespace_under_two_names_is_one() {
        let names = [std::process::id().to_string(), "/proc/self/ns/net".to_owned()];
        let found = Namespace::find(&names).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(*found[0].name, *names[0]);
        assert!(found[0].is_there());
        found[0].enter().unwrap();
    }

    #[test]
    fn what_is_no_namespace_is_named() {
        let told = |name: &str| {
            let found = Namespace::find(&[name.to_owned()]);
            let entered = found.and_then(|found| found.iter().try_for_each(Namespace::enter));
            entered.unwrap_err().to_string()
        };
        assert!(told("no-such-blue").starts_with("there is no network namespace 'no-such-blue'"));
        assert!(told("4194305").starts_with("there is no network namespace '4194305'"));
        // Where that takes privileges, they are asked for first.
        let file = told("/proc/self/exe");
        assert!(file.contains("'/proc/self/exe'"), "{file}");
    }
}
