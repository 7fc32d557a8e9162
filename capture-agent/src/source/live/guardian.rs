//! A process that removes clsact filters when the agent is gone, however it went.
//!
//! It is a fork of the agent that reads a pipe. The agent writes to it what will have to be
//! removed; the pipe's end is the agent's end. Removing is the guardian's in every case, so the
//! way that matters most is the one that is always taken.
//!
//! Invariants: the guardian keeps no descriptor but the pipe and its netlink socket, so it holds
//! nothing else of the agent alive; it ignores the signals that end a session or a service; after
//! the fork it allocates nothing and takes no lock, for other threads may have held them.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, WaitOptions, setsid, waitpid};
use rustix::thread::set_name;

use super::netlink::{Leftover, REQUEST_LEN, remove};

/// What the guardian can be entrusted with: many interfaces, two hooks each, some attempts.
const MAX_LEFTOVERS: usize = 1024;
/// The kernel answers at once; this is for the case that it does not.
const NETLINK_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// The agent's side of it. Dropping it has everything removed that it was entrusted with.
#[derive(Debug)]
pub(super) struct Guardian {
    process: Pid,
    /// `None` once it was told to act.
    pipe: Option<PipeWriter>,
    netlink: OwnedFd,
    leftovers: Vec<Leftover>,
}

impl Guardian {
    /// Starts the process, and waits until it is out of reach of what may end the agent.
    pub(super) fn start() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        // The child has the only end that is left to write; it closes that when it is ready.
        let (mut ready, not_ready) = io::pipe()?;
        let netlink = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None, // NETLINK_ROUTE
        )?;
        set_socket_timeout(&netlink, Timeout::Recv, Some(NETLINK_TIMEOUT))?;
        // SAFETY: the child calls `guard` alone, which keeps to what is allowed after a fork of a
        // process with several threads, and never returns.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => guard(&reader, &netlink),
            process => {
                let process = Pid::from_raw(process).ok_or(io::ErrorKind::Other)?;
                drop(not_ready);
                ready.read_to_end(&mut Vec::new())?;
                Ok(Self { process, pipe: Some(writer), netlink, leftovers: Vec::new() })
            }
        }
    }

    /// Has `leftover` removed when the agent is gone.
    pub(super) fn entrust(&mut self, leftover: Leftover) -> io::Result<()> {
        if self.leftovers.len() == MAX_LEFTOVERS {
            return Err(io::Error::other("too many filters"));
        }
        // No more than a pipe takes whole or not at all.
        self.pipe.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(leftover.request())?;
        self.leftovers.push(leftover);
        Ok(())
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let done = waitpid(Some(self.process), WaitOptions::empty())
            .is_ok_and(|ended| ended.is_some_and(|(_, status)| status.exit_status() == Some(0)));
        // Someone may have killed it.
        if !done {
            remove(&self.netlink, self.leftovers.iter().map(Leftover::request));
        }
    }
}

/// The guardian's life.
fn guard(pipe: &PipeReader, netlink: &OwnedFd) -> ! {
    let _ = setsid();
    // SAFETY: the path is a C string. It keeps no file system busy from here on.
    let _ = unsafe { libc::chdir(c"/".as_ptr()) };
    let _ = set_name(c"capture-guard");
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
        // SAFETY: ignoring a signal runs no code.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    close_all_but(pipe.as_raw_fd(), netlink.as_raw_fd());
    let mut entrusted = [0; MAX_LEFTOVERS * REQUEST_LEN];
    let mut filled = 0;
    while let Some(free @ [_, ..]) = entrusted.get_mut(filled..) {
        match rustix::io::read(pipe.as_fd(), free) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    let (requests, _) = entrusted.get(..filled).unwrap_or_default().as_chunks();
    remove(netlink, requests.iter());
    // SAFETY: ends the process without the agent's exit handlers.
    unsafe { libc::_exit(0) }
}

/// Closes the descriptors that came along in the fork, but these two.
fn close_all_but(one: i32, other: i32) {
    let (low, high) = (one.min(other).cast_unsigned(), one.max(other).cast_unsigned());
    let gaps =
        [(0, low.checked_sub(1)), (low + 1, high.checked_sub(1)), (high + 1, Some(u32::MAX))];
    for (first, last) in gaps {
        let Some(last) = last.filter(|last| first <= *last) else { continue };
        // SAFETY: nothing of this process uses the descriptors any more.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
            // Before 5.9 there is no such call.
            for fd in first..=last.min(65_535) {
                // SAFETY: as above.
                unsafe { libc::close(fd.cast_signed()) };
            }
        }
    }
}
