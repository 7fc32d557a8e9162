//! A process that makes files whole when the agent is gone amid a write, however it went.
//!
//! It is a fork of the agent that holds a copy of each descriptor, and waits for the end of a socket
//! whose other end is the agent's. How much of a file was committed, and what is to stand behind
//! that, the agent keeps in memory that both have, in a place for each file; the guardian looks
//! there once, at the end. So a commit costs one short call more, and wakes nobody.
//!
//! Invariants: a place is written by one call within one page, and aligned to it, so there is no
//! half of one; a file that the agent has closed is forgotten, and so is its descriptor.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, fstat, ftruncate, memfd_create};
use rustix::io::{Errno, pread, pwrite};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::guardian;

/// Most files at a time: more than one agent has outputs. They lie on the stack of a thread.
const MAX_FILES: usize = 128;

/// How long the agent waits for a guardian that takes no word.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long between two looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(2);

/// Bytes of a file's place.
const PLACE_BYTES: usize = 1024;

/// Bytes of a place before the tail.
const NUMBERS_BYTES: usize = 16;

/// The agent's side of it.
#[derive(Debug)]
pub(in crate::output) struct Guardian {
    process: Pid,
    /// `None` once there is no more to guard.
    socket: Option<OwnedFd>,
    places: File,
    /// Whether it takes no word any more: someone has killed it, or stopped it.
    is_lost: AtomicBool,
    /// Which places are taken.
    taken: Mutex<[bool; MAX_FILES]>,
}

/// A file's place in what both know; dropping it says that the file is closed, and whole.
#[derive(Debug)]
pub(super) struct Guarded {
    guardian: Arc<Guardian>,
    number: u8,
}

/// What a file holds, as of a commit: aligned, so that it lies in one page.
#[repr(align(1024))]
struct Place([u8; PLACE_BYTES]);

impl Guardian {
    /// Starts the process.
    pub(in crate::output) fn start() -> io::Result<Self> {
        let (ours, its) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let places = memfd_create("capture-files", MemfdFlags::CLOEXEC)?;
        ftruncate(&places, (MAX_FILES * PLACE_BYTES) as u64)?;
        let keep = [its.as_fd(), places.as_fd()];
        let process = guardian::start(c"capture-files", keep, || guard(&its, &places))?;
        let taken = Mutex::new([false; MAX_FILES]);
        set_socket_timeout(&ours, Timeout::Send, Some(PATIENCE))?;
        let is_lost = AtomicBool::new(false);
        Ok(Self { process, socket: Some(ours), places: places.into(), is_lost, taken })
    }

    /// Has a file, which is empty, made whole with this tail when the agent is gone. Where that can't
    /// be, as when someone has killed the process, the file goes without.
    pub(super) fn guard(self: &Arc<Self>, file: &File, tail: &[u8]) -> Option<Guarded> {
        let number = {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let free = taken.iter_mut().enumerate().find(|(_, taken)| !**taken);
            let (number, taken) = free?;
            *taken = true;
            u8::try_from(number).ok()?
        };
        let guarded = Guarded { guardian: Arc::clone(self), number };
        guarded.publish(0, tail);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [file.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&files));
        self.tell(number, &mut control).ok()?;
        Some(guarded)
    }

    fn tell(&self, number: u8, control: &mut SendAncillaryBuffer<'_, '_, '_>) -> io::Result<()> {
        let socket = self.socket.as_ref().filter(|_| !self.is_lost.load(Ordering::Relaxed));
        let socket = socket.ok_or(io::ErrorKind::BrokenPipe)?;
        let sent = sendmsg(socket, &[IoSlice::new(&[number])], control, SendFlags::NOSIGNAL);
        self.is_lost.fetch_or(sent.is_err(), Ordering::Relaxed);
        sent.map_err(io::Error::from).map(|_| ())
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.socket.take());
        // Everything is whole by now: somebody who has stopped it does not stop the agent.
        let end = Instant::now() + PATIENCE;
        while matches!(waitpid(Some(self.process), WaitOptions::NOHANG), Ok(None)) {
            if Instant::now() >= end {
                break;
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Guarded {
    /// So much of the file stays, and this is to stand behind it. A tail that is too long for its
    /// place is left out.
    pub(super) fn publish(&self, committed: u64, tail: &[u8]) {
        let tail = if tail.len() > PLACE_BYTES - NUMBERS_BYTES { &[] } else { tail };
        let mut place = Place([0; PLACE_BYTES]);
        let (numbers, rest) = place.0.split_at_mut(NUMBERS_BYTES);
        for (to, from) in numbers.chunks_mut(8).zip([committed, tail.len() as u64]) {
            to.copy_from_slice(&from.to_ne_bytes());
        }
        for (to, from) in rest.iter_mut().zip(tail) {
            *to = *from;
        }
        let used = place.0.get(..NUMBERS_BYTES + tail.len()).unwrap_or_default();
        // There is room for it: what was written there before.
        let _ = self.guardian.places.write_all_at(used, offset(self.number));
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // A message without a descriptor says that the file is closed.
        let told = self.guardian.tell(self.number, &mut SendAncillaryBuffer::default());
        let mut taken = self.guardian.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Ok(()), Some(taken)) = (told, taken.get_mut(usize::from(self.number))) {
            *taken = false;
        }
    }
}

const fn offset(number: u8) -> u64 {
    number as u64 * PLACE_BYTES as u64
}

/// The guardian's life.
fn guard(socket: &OwnedFd, places: &OwnedFd) {
    let mut files = [const { None::<OwnedFd> }; MAX_FILES];
    loop {
        let mut number = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(&mut number)];
        match recvmsg(socket, slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) if message.bytes == 1 => {}
            Err(Errno::INTR) => continue,
            Ok(_) | Err(_) => break,
        }
        let file = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        if let Some(place) = files.get_mut(usize::from(number[0])) {
            *place = file;
        }
    }
    for (number, file) in (0..).zip(&files) {
        if let Some(file) = file {
            make_whole(file, places, number);
        }
    }
}

/// Cuts a file to what was committed, and its tail.
fn make_whole(file: &OwnedFd, places: &OwnedFd, number: u8) {
    let mut place = [0; PLACE_BYTES];
    if pread(places, &mut place, offset(number)) != Ok(PLACE_BYTES) {
        return;
    }
    let (numbers, rest) = place.split_at(NUMBERS_BYTES);
    let mut numbers = numbers
        .chunks_exact(8)
        .map(|bytes| <[u8; 8]>::try_from(bytes).map_or(0, u64::from_ne_bytes));
    let (committed, tail) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let tail = usize::try_from(tail).ok().and_then(|len| rest.get(..len)).unwrap_or_default();
    // Someone else may have cut it.
    if fstat(file).is_ok_and(|stat| stat.st_size.cast_unsigned() < committed) {
        return;
    }
    let is_whole = pwrite(file, tail, committed) == Ok(tail.len());
    let _ = ftruncate(file, committed + if is_whole { tail.len() as u64 } else { 0 });
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::net::{Shutdown, shutdown};

    use super::*;

    /// What becomes of a file when the agent is gone after `then`.
    fn left_behind(then: impl FnOnce(&File, &Guarded)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let file = File::create(&path).unwrap();
        let guardian = Arc::new(Guardian::start().unwrap());
        let guarded = guardian.guard(&file, b"[]").unwrap();
        then(&file, &guarded);
        // As the end of the process does.
        shutdown(guardian.socket.as_ref().unwrap(), Shutdown::Both).unwrap();
        drop((guarded, guardian));
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_file_that_was_not_closed_is_cut_to_what_was_committed_and_gets_its_tail() {
        let torn = left_behind(|file, guarded| {
            file.write_all_at(b"[1,2]", 0).unwrap();
            guarded.publish(4, b"]");
            file.write_all_at(b",3,45678901234", 4).unwrap();
        });
        assert_eq!(torn, "[1,2]");
        assert_eq!(left_behind(|file, _| file.write_all_at(b"[12345", 0).unwrap()), "[]");
        assert_eq!(left_behind(|_, _| {}), "[]");
    }

    #[test]
    fn a_file_that_was_closed_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let file = File::create(&path).unwrap();
        let guardian = Arc::new(Guardian::start().unwrap());
        for _ in 0..3 * MAX_FILES {
            drop(guardian.guard(&file, b"tail").unwrap());
        }
        file.write_all_at(b"all", 0).unwrap();
        drop(guardian);
        assert_eq!(fs::read_to_string(path).unwrap(), "all");
    }
}
