//! One ring's worker: the ring, an engine of its own, and an end of the queue to the outputs.
//!
//! Invariants: workers share nothing on a segment's way; what a worker has done is published
//! after each look at its ring, and exactly once it has ended; what the ring holds when the
//! programs are off their hooks is taken before that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use capture_agent::engine::Engine;
use capture_agent::event::Endpoints;
use capture_agent::output::queue::Sender;
use capture_agent::output::recording::Recorder;
use capture_agent::segment::Timestamp;
use capture_agent::source::Item;
use capture_agent::source::live::{LiveError, RingReader};

use super::ledger::Tally;
use super::sink::Sink;

/// How long a worker waits for segments before it looks at the clock and at whether to stop.
pub(super) const PATIENCE: Duration = Duration::from_millis(200);
/// What a worker and the thread that conducts the capture share.
#[derive(Debug, Default)]
struct Shared {
    tally: Mutex<Tally>,
    /// Whether the programs are off their hooks: what is in the ring is all there will be.
    is_last_round: AtomicBool,
}

/// A worker at work.
pub(super) struct Worker {
    shared: Arc<Shared>,
    thread: JoinHandle<(Option<Endpoints>, Result<(), LiveError>)>,
}

impl Worker {
    /// Starts a worker; `conductor` is woken when it has what is wanted, or has ended.
    pub(super) fn start(
        reader: RingReader,
        engine: Engine,
        sink: Sink<Sender>,
        recorder: Option<Recorder>,
        conductor: Thread,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let work = Work { reader, engine, sink, recorder, shared: Arc::clone(&shared), conductor };
        let thread = thread::Builder::new().name("worker".to_owned()).spawn(|| work.run())?;
        Ok(Self { shared, thread })
    }

    /// Whether it has ended by itself: it has failed then.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// What it has done until its last look at the ring.
    pub(super) fn tally(&self) -> Tally {
        *self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it take what is left in the ring, and end.
    pub(super) fn finish(&self) {
        self.shared.is_last_round.store(true, Ordering::Release);
    }

    /// What it has done, once it has ended, and what it failed of.
    pub(super) fn join(self) -> (Tally, Option<Endpoints>, Result<(), LiveError>) {
        let joined = self.thread.join();
        let (endpoints, result) = joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let tally = *self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner);
        (tally, endpoints, result)
    }
}

/// What a worker works with.
struct Work {
    reader: RingReader,
    engine: Engine,
    sink: Sink<Sender>,
    recorder: Option<Recorder>,
    shared: Arc<Shared>,
    conductor: Thread,
}

impl Work {
    fn run(mut self) -> (Option<Endpoints>, Result<(), LiveError>) {
        let captured = self.capture();
        // Nothing is seen any more that could be missed while the outputs catch up.
        self.sink.way.wait_for_room();
        self.recorder.iter_mut().for_each(Recorder::wait_for_room);
        // A reader that has failed has nothing more to give.
        let worked = captured.and_then(|()| self.drain());
        self.engine.finish(&mut self.sink);
        self.hand_over();
        self.publish();
        self.conductor.unpark();
        (self.sink.take_endpoints(), worked)
    }

    fn capture(&mut self) -> Result<(), LiveError> {
        let mut patience = PATIENCE;
        while !self.shared.is_last_round.load(Ordering::Acquire) {
            if self.read(patience)? == 0 {
                // The line is silent: time goes on all the same.
                let more_to_evict = self.engine.advance(now(), &mut self.sink);
                patience = if more_to_evict { Duration::ZERO } else { PATIENCE };
            }
            // The reader waits for many segments at a time: what came of them is queued together.
            self.hand_over();
            self.publish();
            if self.sink.is_full() {
                self.conductor.unpark();
            }
        }
        Ok(())
    }

    /// Takes what was seen before the programs went off their hooks, wanted or not: so what they
    /// handed over was taken, to the segment.
    fn drain(&mut self) -> Result<(), LiveError> {
        while self.read(Duration::ZERO)? > 0 {}
        Ok(())
    }

    fn read(&mut self, timeout: Duration) -> Result<usize, LiveError> {
        let Self { reader, engine, sink, recorder, .. } = self;
        reader.read(timeout, |item| {
            recorder.iter_mut().for_each(|recorder| recorder.item(&item));
            match item {
                Item::Interface(iface, name) => engine.name_interface(iface, name),
                Item::Segment(segment) => engine.segment(&segment, sink),
            }
        })
    }

    fn hand_over(&mut self) {
        self.sink.way.flush();
        self.recorder.iter_mut().for_each(Recorder::flush);
    }

    fn publish(&self) {
        let tally = Tally::of(&self.engine, &self.sink, self.recorder.as_ref());
        *self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner) = tally;
    }
}

/// The time on the clock that the source dates segments by.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}
