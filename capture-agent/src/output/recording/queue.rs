//! The way from recorders to a thread that writes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use super::parcel::Parcel;
use super::recorder::Recorder;
use super::{Keeper, Outcome, Recording};
use crate::output::{OutputError, QueueDepth};

/// Bytes in the queue at most where it never pushes back: what a disk that pauses for a moment
/// costs in memory rather than in segments.
const MAX_BYTES: usize = 128 << 20;
/// The same where it pushes back: enough to keep the thread busy.
const MAX_BYTES_WAITING: usize = 8 << 20;
/// How often who waits for room looks for some.
const LOOK: Duration = Duration::from_millis(1);
/// Written parcels that are kept for their room.
const MAX_SPARE: usize = 32;

/// A recorder's end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    channel: mpsc::Sender<Parcel>,
    room: Arc<Room>,
    waits: bool,
}

/// What becomes of a parcel.
pub(super) enum Sent {
    Queued,
    /// There was no room.
    Dropped(Parcel),
    /// The recording has failed.
    Failed(Parcel),
}

#[derive(Debug)]
struct Room {
    max_bytes: usize,
    bytes: AtomicUsize,
    /// Nothing more can be written.
    is_closed: AtomicBool,
    spare: Mutex<Vec<Parcel>>,
}

impl Queue {
    pub(super) fn another(&self) -> Self {
        let (channel, room) = (self.channel.clone(), Arc::clone(&self.room));
        Self { channel, room, waits: self.waits }
    }

    pub(super) fn wait_for_room(&mut self) {
        self.waits = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.room.is_closed.load(Ordering::Acquire)
    }

    /// Whether it may be worth to fill a parcel.
    pub(super) fn may_have_room(&self) -> bool {
        self.waits || self.room.bytes.load(Ordering::Relaxed) < self.room.max_bytes
    }

    /// An empty parcel.
    pub(super) fn parcel(&self) -> Parcel {
        self.room.spares().pop().unwrap_or_default()
    }

    pub(super) fn send(&self, parcel: Parcel) -> Sent {
        let weight = parcel.weight();
        while !self.room.take(weight) {
            if self.is_closed() {
                return Sent::Failed(parcel);
            }
            if !self.waits {
                return Sent::Dropped(parcel);
            }
            thread::sleep(LOOK);
        }
        match self.channel.send(parcel) {
            Ok(()) => Sent::Queued,
            Err(mpsc::SendError(parcel)) => Sent::Failed(parcel),
        }
    }
}

impl Room {
    /// Takes room, if there is some: the last one who finds any may take more.
    fn take(&self, bytes: usize) -> bool {
        let take = |taken: usize| (taken < self.max_bytes).then(|| taken.saturating_add(bytes));
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Parcel>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back the room of a parcel, and keeps it for its memory.
    fn recycle(&self, mut parcel: Parcel) {
        self.bytes.fetch_sub(parcel.weight(), Ordering::Relaxed);
        parcel.clear();
        let mut spare = self.spares();
        if spare.len() < MAX_SPARE {
            spare.push(parcel);
        }
    }
}

/// The thread that writes a recording.
pub struct Writer {
    thread: JoinHandle<Outcome>,
    room: Arc<Room>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    /// What is in its queue.
    #[must_use]
    pub fn depth(&self) -> QueueDepth {
        let bytes = self.room.bytes.load(Ordering::Relaxed) as u64;
        let (events, max_events, max_bytes) = (None, None, self.room.max_bytes as u64);
        QueueDepth { name: "recording", events, max_events, bytes, max_bytes }
    }

    /// What it has done, once all recorders are gone.
    #[must_use]
    pub fn join(self) -> Outcome {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Starts a thread that writes what recorders give it, and ends once all of them are gone. Where it
/// can't go on, `on_failure` is told at once. A recorder waits for room if it `pushes_back`, and
/// counts as dropped what finds none if not.
///
/// # Errors
/// If there can be no thread.
pub fn spawn(
    recording: Recording,
    pushes_back: bool,
    on_failure: fn(&OutputError),
) -> io::Result<(Recorder, Writer)> {
    let (channel, receiver) = mpsc::channel();
    let room = Arc::new(Room {
        max_bytes: if pushes_back { MAX_BYTES_WAITING } else { MAX_BYTES },
        bytes: AtomicUsize::new(0),
        is_closed: AtomicBool::new(false),
        spare: Mutex::default(),
    });
    let queue = Queue { channel, room: Arc::clone(&room), waits: pushes_back };
    let written = Arc::clone(&room);
    let keeper = Keeper::new(recording, on_failure);
    let thread = thread::Builder::new().name("recorder".to_owned());
    let thread = thread.spawn(move || {
        let closes = Closes(written);
        write_all(keeper, &receiver, &closes.0)
    })?;
    Ok((Recorder::to_queue(queue), Writer { thread, room }))
}

/// Tells those who wait for room that there will be none, however the thread went.
struct Closes(Arc<Room>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::Release);
    }
}

fn write_all(mut keeper: Keeper, receiver: &Receiver<Parcel>, room: &Room) -> Outcome {
    loop {
        let mut parcel = match receiver.try_recv() {
            Ok(parcel) => parcel,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                keeper.flush();
                // What is left waits for others, but not for ever.
                let received = match keeper.patience() {
                    Some(patience) => receiver.recv_timeout(patience),
                    None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                };
                match received {
                    Ok(parcel) => parcel,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        };
        if !keeper.take(&mut parcel) {
            room.is_closed.store(true, Ordering::Release);
        }
        room.recycle(parcel);
    }
    keeper.end()
}
