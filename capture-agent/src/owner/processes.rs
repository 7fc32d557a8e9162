//! Which process holds a socket: `/proc/PID/fd` links to its inode (proc_pid_fd(5)).
//!
//! Invariant: a process is known by its id and the time it started, so that one which was given the
//! id of another that is gone is not taken for it.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::segment::Timestamp;

/// A process, told from others that had or will have its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) name: Arc<str>,
    /// Clock ticks from the start of the host to its own.
    started_ticks: u64,
}

impl Holder {
    /// The process with this id now.
    pub(super) fn now(pid: u32) -> Option<Self> {
        let stat = fs::read(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
        let (name, started_ticks) = parse_stat(&stat)?;
        Some(Self { pid, name: Arc::from(name), started_ticks })
    }

    #[cfg(test)]
    pub(super) fn for_test(pid: u32, name: &str, started_ticks: u64) -> Self {
        Self { pid, name: Arc::from(name), started_ticks }
    }

    /// Whether it still is, and is still called so.
    pub(super) fn is_there(&self) -> bool {
        Self::now(self.pid).as_ref() == Some(self)
    }

    /// Whether it was there at that time, or may have been: ticks are coarse.
    pub(super) fn had_started(&self, time: Timestamp, host_start: Timestamp) -> bool {
        const TICK_NS: u64 = 10_000_000; // USER_HZ is 100 on every architecture we build for
        let started_ns = self.started_ticks.saturating_mul(TICK_NS);
        time.nanos_since(host_start).saturating_add(TICK_NS) >= started_ns
    }
}

/// Name and start: the name is in parentheses, and may have some itself.
fn parse_stat(stat: &[u8]) -> Option<(String, u64)> {
    let (open, close) = (memchr::memchr(b'(', stat)?, memchr::memrchr(b')', stat)?);
    let name = String::from_utf8_lossy(stat.get(open + 1..close)?).into_owned();
    let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    // The 22nd field; the first after the name is the third.
    let started = rest.split_whitespace().nth(22 - 3)?.parse().ok()?;
    Some((name, started))
}

/// The holders of sockets, by inode.
pub(super) type Held = HashMap<u64, Vec<Holder>>;

/// Looks among the open files of these processes for those sockets.
pub(super) fn search(pids: impl IntoIterator<Item = u32>, wanted: &HashSet<u64>, held: &mut Held) {
    for pid in pids {
        let Ok(files) = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")) else {
            continue; // gone, or not to be looked into
        };
        let mut found: Vec<(u64, PathBuf)> = Vec::new();
        for path in files.flatten().map(|file| file.path()) {
            let inode = socket_at(&path).filter(|inode| wanted.contains(inode));
            found.extend(inode.map(|inode| (inode, path)));
        }
        if found.is_empty() {
            continue;
        }
        let Some(holder) = Holder::now(pid) else { continue };
        for (inode, path) in found {
            // Still the same file: so it was of the process that was just named.
            let known = held.entry(inode).or_default();
            if socket_at(&path) == Some(inode) && !known.contains(&holder) {
                known.push(holder.clone());
            }
        }
    }
    held.retain(|_, holders| !holders.is_empty());
}

/// Every process there is.
pub(super) fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

fn socket_at(link: &Path) -> Option<u64> {
    inode(fs::read_link(link).ok()?.as_os_str())
}

/// `socket:[12345]`
fn inode(target: &OsStr) -> Option<u64> {
    let number = target.as_bytes().strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn name_and_start_are_told_whatever_a_process_calls_itself() {
        let rest = " S 1 2 2 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0 18446744073709551615";
        for name in ["nginx", "a b", "tmux: server", ") S 1 2", "((", ""] {
            let stat = format!("42 ({name}){rest}");
            assert_eq!(parse_stat(stat.as_bytes()), Some((name.to_owned(), 4711)));
        }
        for cut in ["", "42", "42 (nginx", "42 (nginx) S 1 2", "42 )("] {
            assert_eq!(parse_stat(cut.as_bytes()), None, "{cut}");
        }
    }

    #[test]
    fn the_holder_of_a_socket_is_found_and_no_other_socket_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours =
            socket_at(Path::new(&format!("/proc/self/fd/{}", listener.as_raw_fd()))).unwrap();
        let mut held = Held::new();
        search([std::process::id()], &HashSet::from([ours, u64::MAX]), &mut held);
        assert_eq!(held.len(), 1);
        assert_eq!(held[&ours], [Holder::now(std::process::id()).unwrap()]);
        assert!(all().contains(&std::process::id()));
    }

    #[test]
    fn a_later_process_of_the_same_id_is_another() {
        let holder = Holder::now(std::process::id()).unwrap();
        assert!(holder.is_there());
        let earlier = Holder { started_ticks: holder.started_ticks - 1, ..holder.clone() };
        assert!(!earlier.is_there());
        let renamed = Holder { name: "other".into(), ..holder };
        assert!(!renamed.is_there());
    }

    #[test]
    fn a_process_that_started_after_a_flow_is_not_its_owner() {
        let holder = Holder { pid: 1, name: "x".into(), started_ticks: 1_000 };
        let host_start = Timestamp(1_000_000_000_000);
        let after = |seconds: u64| Timestamp(host_start.0 + seconds * 1_000_000_000);
        assert!(holder.had_started(after(11), host_start));
        assert!(holder.had_started(after(10), host_start));
        assert!(!holder.had_started(after(9), host_start));
    }
}
