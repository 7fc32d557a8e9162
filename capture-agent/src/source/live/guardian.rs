//! A process that removes clsact filters when the agent is gone, however it went.
//!
//! It is a fork of the agent that reads a pipe. The agent writes to it what will have to be
//! removed; the pipe's end is the agent's end. Removing at the end is the guardian's in every case,
//! so the way that matters most is the one that is always taken. It acts in the network namespace
//! of the thread that started it.
//!
//! Invariants: the guardian keeps no descriptor but the pipe and its netlink socket, so it holds
//! nothing else of the agent alive; it ignores the signals that end a session or a service; after
//! the fork it allocates nothing and takes no lock, for other threads may have held them.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::process::{Pid, WaitOptions, setsid, waitpid};
use rustix::thread::set_name;

use super::netlink::{self, Leftover, REQUEST_LEN, Request, ifindex, is_none, remove};

/// What the guardian can be entrusted with: two thousand interfaces, with a queueing discipline and
/// two filters each, and some attempts. It lies on the stack of a thread.
const MAX_LEFTOVERS: usize = 8192;

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
        let netlink = netlink::socket()?;
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
        self.tell(&leftover)?;
        self.leftovers.push(leftover);
        Ok(())
    }

    /// Removes what it was entrusted with of an interface; of one that is gone there is nothing.
    pub(super) fn release(&mut self, ifindex: u32) -> io::Result<()> {
        let of_it = |leftover: &Leftover| leftover.ifindex() == ifindex;
        if !self.leftovers.iter().any(of_it) {
            return Ok(());
        }
        // The guardian uses the socket at the end alone.
        let requests = self.leftovers.iter().filter(|leftover| of_it(leftover));
        remove(&self.netlink, requests.map(Leftover::request));
        self.leftovers.retain(|leftover| !of_it(leftover));
        self.tell(&Leftover::none(ifindex))
    }

    /// No more at a time than a pipe takes whole or not at all.
    fn tell(&mut self, leftover: &Leftover) -> io::Result<()> {
        self.pipe.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(leftover.request())
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
    // One more, for the word that some of them are settled.
    let mut entrusted = [[0; REQUEST_LEN]; MAX_LEFTOVERS + 1];
    let mut count = 0;
    while let Some(free) = entrusted.get_mut(count) {
        match rustix::io::read(pipe.as_fd(), free.as_mut_slice()) {
            // What the agent writes comes whole.
            Ok(REQUEST_LEN) => count = settle(&mut entrusted, count + 1),
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => break,
        }
    }
    remove(netlink, entrusted.get(..count).unwrap_or_default().iter());
    // SAFETY: ends the process without the agent's exit handlers.
    unsafe { libc::_exit(0) }
}

/// Where the last of so many says that an interface has nothing left, takes it and what was there
/// of that interface out. Returns how many there are then.
fn settle(entrusted: &mut [Request], count: usize) -> usize {
    let Some((last, before)) = entrusted.get(..count).and_then(<[Request]>::split_last) else {
        return count;
    };
    if !is_none(last) {
        return count;
    }
    let (ifindex, before) = (ifindex(last), before.len());
    let mut kept = 0;
    for at in 0..before {
        if entrusted.get(at).is_some_and(|request| self::ifindex(request) != ifindex) {
            entrusted.swap(kept, at);
            kept += 1;
        }
    }
    kept
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_is_forgotten_and_the_rest_stays_in_order() {
        let said = [
            Leftover::qdisc(1),
            Leftover::qdisc(2),
            Leftover::qdisc(3),
            Leftover::none(2),
            Leftover::none(9),
            Leftover::qdisc(2),
            Leftover::none(1),
        ];
        let mut entrusted = [[0; REQUEST_LEN]; 8];
        let mut count = 0;
        for leftover in said {
            entrusted[count] = *leftover.request();
            count = settle(&mut entrusted, count + 1);
        }
        assert_eq!(entrusted[..count].iter().map(ifindex).collect::<Vec<_>>(), [3, 2]);
    }
}
