//! The way from the capture to the outputs when it is live: a queue that never pushes back, until
//! the capture is over and nobody is held up by that.
//!
//! Invariants: an event is written, or counted as dropped; what is queued takes no more than
//! [`MAX_QUEUED_EVENTS`] and [`MAX_QUEUED_BYTES`], beside the batches that are being gathered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvError, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::batch::Batch;
use super::{OutputError, Outputs};
use crate::event::{Dropped, Event};

/// Most events in the queue.
pub const MAX_QUEUED_EVENTS: usize = 64 << 10;
/// Most bytes of events in the queue: bodies are what fills memory when a disk is slow.
pub const MAX_QUEUED_BYTES: usize = 256 << 20;

/// How often a sender that waits for room looks for some.
const LOOK: Duration = Duration::from_millis(1);

/// What is in the queue.
#[derive(Debug, Default)]
struct Queued {
    events: AtomicUsize,
    bytes: AtomicUsize,
    /// Whether the writer has gone: there will be no more room.
    is_closed: AtomicBool,
}

impl Queued {
    /// Takes room for a batch, if there is some.
    fn take(&self, batch: &Batch) -> bool {
        let events = self.events.fetch_add(batch.events.len(), Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(batch.bytes, Ordering::Relaxed);
        let fits = events + batch.events.len() <= MAX_QUEUED_EVENTS
            && bytes + batch.bytes <= MAX_QUEUED_BYTES;
        if !fits {
            self.give_back(batch.events.len(), batch.bytes);
        }
        fits
    }

    /// Takes room for a batch, and waits for it unless there will never be enough.
    fn wait(&self, batch: &Batch) -> bool {
        while !self.take(batch) {
            if batch.bytes > MAX_QUEUED_BYTES || self.is_closed.load(Ordering::Acquire) {
                return false;
            }
            thread::sleep(LOOK);
        }
        true
    }

    fn give_back(&self, events: usize, bytes: usize) {
        self.events.fetch_sub(events, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The end that a worker of the capture holds; each has its own.
///
/// Events are gathered, and queued when there are many, or when [`Self::flush`] is called: that is
/// to be done as often as those who watch shall see something.
#[derive(Debug)]
pub struct Sender {
    channel: mpsc::Sender<Batch>,
    queued: Arc<Queued>,
    batch: Batch,
    dropped: Dropped,
    waits: bool,
}

impl Sender {
    /// One more end of the same queue, for another worker.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::new(self.channel.clone(), Arc::clone(&self.queued))
    }

    fn new(channel: mpsc::Sender<Batch>, queued: Arc<Queued>) -> Self {
        Self { channel, queued, batch: Batch::default(), dropped: Dropped::default(), waits: false }
    }

    /// Sends an event.
    pub fn send(&mut self, event: Event) {
        self.batch.push(event);
        if self.batch.is_full() {
            self.flush();
        }
    }

    /// From now on waits for room instead of dropping what finds none: nothing is seen any more that
    /// could be missed meanwhile.
    pub fn wait_for_room(&mut self) {
        self.waits = true;
    }

    /// Queues what was sent, or counts it as dropped where there is no room.
    pub fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let has_room = if self.waits { self.queued.wait(&batch) } else { self.queued.take(&batch) };
        if !has_room {
            self.drop_events(&batch.events);
        } else if let Err(mpsc::SendError(batch)) = self.channel.send(batch) {
            // The writer has gone; its own result says why.
            self.drop_events(&batch.events);
        }
    }

    fn drop_events(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Exchange(_) => self.dropped.exchanges += 1,
                Event::WebSocket(_) => self.dropped.messages += 1,
                Event::Flow(_) => self.dropped.flows += 1,
                Event::Stats(_) => {}
            }
        }
    }

    /// Sends the last event, however long that takes.
    pub fn send_last(mut self, event: Event) {
        self.wait_for_room();
        self.send(event);
        self.flush();
    }

    /// What was left out so far.
    #[must_use]
    pub const fn dropped(&self) -> Dropped {
        self.dropped
    }
}

/// Starts the thread that writes what is queued. It ends when all senders are gone and everything
/// is written, or when an output can't be written.
///
/// # Errors
/// If there can be no thread.
pub fn spawn(
    outputs: Outputs,
) -> std::io::Result<(Sender, JoinHandle<Result<Outputs, OutputError>>)> {
    let (channel, receiver) = mpsc::channel();
    let queued = Arc::new(Queued::default());
    let sender = Sender::new(channel, Arc::clone(&queued));
    let writer = thread::Builder::new().name("writer".to_owned()).spawn(move || {
        let _closes = Closes(&queued);
        write_all(outputs, &receiver, &queued)
    })?;
    Ok((sender, writer))
}

/// Tells those who wait for room that the writer has gone, however it went.
struct Closes<'a>(&'a Queued);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::Release);
    }
}

fn write_all(
    mut outputs: Outputs,
    receiver: &Receiver<Batch>,
    queued: &Queued,
) -> Result<Outputs, OutputError> {
    loop {
        let batch = match receiver.try_recv() {
            Ok(batch) => batch,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                // Nothing waits: now is the time for those who watch.
                outputs.flush()?;
                match receiver.recv() {
                    Ok(batch) => batch,
                    Err(RecvError) => break,
                }
            }
        };
        let Batch { events, bytes } = batch;
        let count = events.len();
        let result = events.into_iter().try_for_each(|event| outputs.write(event));
        queued.give_back(count, bytes);
        if let Err(error) = result {
            // One output that fails must not take from the others what they have.
            let _ = outputs.flush();
            return Err(error);
        }
    }
    outputs.flush()?;
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use super::*;
    use crate::event::{FlowInfo, FlowSummary};
    use crate::flow::{CloseReason, FlowId};
    use crate::output::{Format, Formatter, Output, Target, Verbosity};
    use crate::segment::{Endpoint, Timestamp};
    use crate::stream::Counters;

    /// A writer that keeps what it is given, but only once the gate is open.
    #[derive(Clone, Debug, Default)]
    struct Gated {
        gate: Arc<Mutex<()>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _passed = self.gate.lock();
            self.written.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn spawn_to(writer: &Gated) -> (Sender, JoinHandle<Result<Outputs, OutputError>>) {
        let format = Formatter::new(Format::Jsonl, Verbosity::Line, false);
        let output = Output::new(format, Target::File("x".into()), Box::new(writer.clone()));
        spawn(Outputs::new(vec![output])).unwrap()
    }

    fn flow(number: u64) -> FlowInfo {
        let end = Endpoint::v4([10, 0, 0, 1], 80);
        FlowInfo {
            id: FlowId(number),
            number,
            start: Timestamp::default(),
            client: end,
            server: end,
            iface: None,
            local: None,
            owner: None,
        }
    }

    fn summary(number: u64) -> Event {
        Event::Flow(Box::new(FlowSummary {
            flow: flow(number),
            start: Timestamp(0),
            end: Timestamp(0),
            last_activity: Timestamp(0),
            close: CloseReason::Fin,
            to_server: Counters::default(),
            to_client: Counters::default(),
            exchanges: 0,
            tunnel: None,
        }))
    }

    #[test]
    fn what_finds_no_room_is_counted_and_what_finds_some_is_written_in_order() {
        let writer = Gated::default();
        let closed = writer.gate.lock().unwrap();
        let (mut sender, thread) = spawn_to(&writer);
        let mut other = sender.another();
        let sent = 2 * MAX_QUEUED_EVENTS as u64;
        for number in 0..sent {
            [&mut sender, &mut other][usize::from(number % 3 == 0)].send(summary(number));
        }
        sender.flush();
        other.flush();
        let dropped = sender.dropped().flows + other.dropped().flows;
        assert!(dropped > 0, "the queue grew beyond its bound");
        drop((closed, other));
        sender.send_last(summary(sent));

        let written = thread.join().unwrap().unwrap().written().remove(0);
        assert_eq!(written.flows + dropped, sent + 1);
        let lines = String::from_utf8(writer.written.lock().unwrap().clone()).unwrap();
        assert_eq!(written.bytes, lines.len() as u64);
        let number =
            |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["number"].as_u64();
        let numbers: Vec<_> = lines.lines().map(|line| number(line).unwrap()).collect();
        assert_eq!((numbers.len() as u64, numbers.last()), (written.flows, Some(&sent)));
        for is_others in [false, true] {
            let of_one = numbers.iter().filter(|number| (*number % 3 == 0) == is_others);
            assert!(of_one.is_sorted(), "events of one sender change places");
        }
    }

    #[test]
    fn when_the_capture_is_over_nothing_is_dropped() {
        let writer = Gated::default();
        let closed = writer.gate.lock().unwrap();
        let (mut sender, thread) = spawn_to(&writer);
        sender.wait_for_room();
        let queued = Arc::clone(&sender.queued);
        let sent = 2 * MAX_QUEUED_EVENTS as u64;
        let sending = thread::spawn(move || {
            (0..sent).for_each(|number| sender.send(summary(number)));
            sender.flush();
            sender.dropped().flows
        });
        // All the room there is, but what is less than a batch.
        while queued.events.load(Ordering::Relaxed) < MAX_QUEUED_EVENTS - 200 {
            thread::yield_now();
        }
        drop(closed);
        assert_eq!(sending.join().unwrap(), 0);
        assert_eq!(thread.join().unwrap().unwrap().written()[0].flows, sent);
    }

    #[test]
    fn what_is_too_large_for_the_room_leaves_it_to_others() {
        let queued = Queued::default();
        let batch = |bytes| Batch { events: vec![summary(0)], bytes };
        assert!(queued.take(&batch(1)));
        assert!(!queued.take(&batch(MAX_QUEUED_BYTES)));
        assert!(queued.take(&batch(MAX_QUEUED_BYTES - 1)));
        assert!(!queued.take(&batch(1)));
        queued.give_back(1, 1);
        assert!(queued.take(&batch(1)));
    }

    #[test]
    fn a_writer_that_has_gone_is_no_hole_in_the_count_and_holds_nobody_up() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let format = Formatter::new(Format::Jsonl, Verbosity::Line, false);
        let output = Output::new(format, Target::File("/dev/full".into()), Box::new(full));
        let (mut sender, thread) = spawn(Outputs::new(vec![output])).unwrap();
        sender.send(summary(0));
        sender.flush();
        assert!(thread.join().unwrap().is_err());
        sender.wait_for_room();
        let sent = 2 * MAX_QUEUED_EVENTS as u64;
        (0..sent).for_each(|number| sender.send(summary(number)));
        sender.flush();
        assert_eq!(sender.dropped().flows, sent);
    }
}
