//! A process that stays for a moment when the agent is gone, however it went, and puts in order
//! what that left behind.
//!
//! Invariants: it keeps no descriptor but those it is given, so it holds nothing else of the agent
//! alive; it ignores the signals that end a session or a service; after the fork nothing is
//! allocated and no lock is taken, for other threads may have held them.

use std::ffi::CStr;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::process::{Pid, setsid};
use rustix::thread::set_name;

/// Starts a process that calls `life` with its descriptors and then ends, and waits until it is out
/// of reach of what may end the agent. It has to be waited for.
///
/// `life` is to keep to what is allowed after a fork of a process with several threads.
pub(crate) fn start(
    name: &CStr,
    keep: [BorrowedFd<'_>; 2],
    life: impl FnOnce(),
) -> io::Result<Pid> {
    // The child has the only end that is left to write; it closes that when it is ready.
    let (mut ready, not_ready) = io::pipe()?;
    // SAFETY: the child does nothing but what is said above, and never returns.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            retire(name);
            close_all_but(keep[0].as_raw_fd(), keep[1].as_raw_fd());
            life();
            // SAFETY: ends the process without the agent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        process => {
            drop(not_ready);
            ready.read_to_end(&mut Vec::new())?;
            Pid::from_raw(process).ok_or_else(|| io::ErrorKind::Other.into())
        }
    }
}

/// Goes where nothing reaches it that is meant for the agent.
fn retire(name: &CStr) {
    let _ = setsid();
    // SAFETY: the path is a C string. It keeps no file system busy from here on.
    let _ = unsafe { libc::chdir(c"/".as_ptr()) };
    let _ = set_name(name);
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
        // SAFETY: ignoring a signal runs no code.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
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
