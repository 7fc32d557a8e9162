//! A process that removes clsact filters when the agent is gone, however it went.
//!
//! It is a fork of the agent that reads a pipe. The agent writes to it what will have to be
//! removed; the pipe's end is the agent's end. Removing at the end is the guardian's in every case,
//! so the way that matters most is the one that is always taken. It acts in the network namespace
//! of the thread that started it.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{Pid, WaitOptions, waitpid};

use super::netlink::{self, Leftover, REQUEST_LEN, Request, ifindex, is_none, remove};
use crate::guardian;

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
        let netlink = netlink::socket()?;
        let keep = [reader.as_fd(), netlink.as_fd()];
        let process = guardian::start(c"capture-guard", keep, || guard(&reader, &netlink))?;
        Ok(Self { process, pipe: Some(writer), netlink, leftovers: Vec::new() })
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
fn guard(pipe: &PipeReader, netlink: &OwnedFd) {
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
