//! The way from the capture to the outputs when it is live: a queue that never pushes back, until
//! the capture is over and nobody is held up by that.
//!
//! Invariants: an event is written, or counted as dropped; what is queued takes no more than
//! [`MAX_QUEUED_EVENTS`] and [`MAX_QUEUED_BYTES`], beside the parcels that are being gathered.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread::{self, JoinHandle};

use super::batch::weight;
use super::formats::Formatter;
use super::parcel::{self, Parcel};
use super::relay::Written;
use super::room::Queued;
pub use super::room::{MAX_QUEUED_BYTES, MAX_QUEUED_EVENTS};
use super::untold::Untold;
use super::{OutputError, Outputs, QueueDepth};
use crate::event::{Counts, Dropped, Event};
use crate::owner::Owners;

/// The end that a worker of the capture holds; each has its own.
///
/// Events are put into the formats of the outputs at once, so that the writer has but to write, and
/// queued when there are many, or when [`Self::flush`] is called: that is to be done as often as
/// those who watch shall see something.
#[derive(Debug)]
pub struct Sender {
    channel: mpsc::Sender<Parcel>,
    queued: Arc<Queued>,
    /// The formats of the outputs; none of them where the writer needs the events themselves.
    formats: Option<Vec<Formatter>>,
    owners: Option<Owners>,
    parcel: Parcel,
    dropped: Dropped,
    untold: Untold,
    waits: bool,
}

impl Sender {
    /// One more end of the same queue, for another worker.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            channel: self.channel.clone(),
            queued: Arc::clone(&self.queued),
            formats: self.formats.clone(),
            owners: self.owners.clone(),
            parcel: Parcel::default(),
            dropped: Dropped::default(),
            untold: Untold::default(),
            waits: false,
        }
    }

    /// Sends an event.
    pub fn send(&mut self, mut event: Event) {
        let weight = weight(&event);
        if !self.may_have_room(weight) {
            // What is thrown away need not be put into a format before.
            let mut one = Counts::default();
            one.add(&event);
            one.drop_into(&mut self.dropped);
            self.untold.add(&event);
            return;
        }
        self.begin_parcel();
        self.tell_untold();
        // A ledger tells what was written before. What is large would keep this worker from its
        // ring for too long; what can't be put into a format fails again, and is told, later.
        let is_late = matches!(event, Event::Stats(_)) || weight > parcel::MAX_BYTES;
        let is_formatted = !is_late && self.format(&mut event);
        if !is_formatted {
            self.parcel.add_late(event);
        }
        if self.parcel.is_full() {
            self.flush();
        }
    }

    fn begin_parcel(&mut self) {
        if self.parcel.is_empty() {
            let spare = self.queued.spare();
            let outputs = self.formats.as_ref().map_or(0, Vec::len);
            self.parcel = spare.unwrap_or_else(|| Parcel::new(outputs));
        }
    }

    fn tell_untold(&mut self) {
        if !self.untold.is_empty() {
            self.untold.take().for_each(|event| self.parcel.add_late(event));
        }
    }

    fn may_have_room(&self, weight: usize) -> bool {
        if self.waits {
            return weight <= MAX_QUEUED_BYTES && !self.queued.is_closed();
        }
        self.queued.has_room(weight)
    }

    /// Puts an event into the formats of the outputs, if that can be done here and now.
    fn format(&mut self, event: &mut Event) -> bool {
        self.formats.is_some()
            && self.knows_owner(event)
            && self.formats.as_mut().is_some_and(|formats| self.parcel.format(event, formats))
    }

    /// Whether it need not be waited for what the event's owner is.
    fn knows_owner(&self, event: &mut Event) -> bool {
        let (Some(owners), Some(flow)) = (&self.owners, event.flow_mut()) else { return true };
        let owner = owners.of_now(flow);
        let is_known = owner.is_ok();
        flow.owner = owner.unwrap_or_default();
        is_known
    }

    /// From now on waits for room instead of dropping what finds none: nothing is seen any more that
    /// could be missed meanwhile.
    pub fn wait_for_room(&mut self) {
        self.waits = true;
    }

    /// Queues what was sent, or counts it as dropped where there is no room.
    pub fn flush(&mut self) {
        if !self.untold.is_empty() && self.may_have_room(0) {
            self.begin_parcel();
            self.tell_untold();
        }
        if self.parcel.is_empty() {
            return;
        }
        let parcel = std::mem::take(&mut self.parcel);
        let (events, bytes) = (parcel.events(), parcel.bytes());
        let wait_or_take = if self.waits { Queued::wait } else { Queued::take };
        if !wait_or_take(&self.queued, events, bytes) {
            parcel.all().drop_into(&mut self.dropped);
            parcel.late.iter().for_each(|late| self.untold.add(&late.event));
            self.queued.recycle(parcel);
        } else if let Err(mpsc::SendError(parcel)) = self.channel.send(parcel) {
            // The writer has gone; its own result says why.
            parcel.all().drop_into(&mut self.dropped);
        }
    }

    /// Sends the last event, however long that takes.
    pub fn send_last(mut self, event: Event) {
        self.wait_for_room();
        self.send(event);
        self.flush();
    }

    /// What is in the queue, of all that share it.
    #[must_use]
    pub fn depth(&self) -> QueueDepth {
        self.queued.depth("outputs")
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
pub fn spawn(outputs: Outputs) -> std::io::Result<(Sender, JoinHandle<Written>)> {
    let (channel, receiver) = mpsc::channel();
    let queued = Arc::new(Queued::default());
    let sender = Sender {
        channel,
        queued: Arc::clone(&queued),
        formats: outputs.need_only_formats().then(|| outputs.formats().collect()),
        owners: outputs.owners().cloned(),
        parcel: Parcel::default(),
        dropped: Dropped::default(),
        untold: Untold::default(),
        waits: false,
    };
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
        self.0.close();
    }
}

fn write_all(mut outputs: Outputs, receiver: &Receiver<Parcel>, queued: &Queued) -> Written {
    let written = write_queued(&mut outputs, receiver, queued);
    // One output that fails must not take from the others what they have.
    let finished = outputs.finish();
    (outputs, written.and(finished))
}

fn write_queued(
    outputs: &mut Outputs,
    receiver: &Receiver<Parcel>,
    queued: &Queued,
) -> Result<(), OutputError> {
    loop {
        let mut parcel = match receiver.try_recv() {
            Ok(parcel) => parcel,
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => match wait(outputs, receiver)? {
                Some(parcel) => parcel,
                None => return Ok(()),
            },
        };
        let (events, bytes) = (parcel.events(), parcel.bytes());
        let result = outputs.write_parcel(&mut parcel);
        queued.give_back(events, bytes);
        result?;
        queued.recycle(parcel);
    }
}

/// Waits for the next parcel; `None` where there will be none. Nothing waits to be written: now is
/// the time for those who watch.
fn wait(outputs: &mut Outputs, receiver: &Receiver<Parcel>) -> Result<Option<Parcel>, OutputError> {
    loop {
        outputs.flush()?;
        let Some(patience) = outputs.patience() else { return Ok(receiver.recv().ok()) };
        match receiver.recv_timeout(patience) {
            Ok(parcel) => return Ok(Some(parcel)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use super::*;
    use crate::event::{FlowInfo, FlowSummary};
    use crate::flow::{CloseReason, FlowId};
    use crate::output::{Format, Output, Target, Verbosity};
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

    fn spawn_to(writer: &Gated) -> (Sender, JoinHandle<Written>) {
        let format = Formatter::new(Format::Jsonl, Verbosity::Line, false);
        let output = Output::of(format, Target::File("x".into()), Box::new(writer.clone()));
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

        let written = thread.join().unwrap().0.written().remove(0);
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
        while queued.events() < MAX_QUEUED_EVENTS - 2 * parcel::MAX_EVENTS {
            thread::yield_now();
        }
        drop(closed);
        assert_eq!(sending.join().unwrap(), 0);
        assert_eq!(thread.join().unwrap().0.written()[0].flows, sent);
    }

    #[test]
    fn a_ledger_stands_in_its_place_and_tells_what_is_written_before_it() {
        let writers = [Gated::default(), Gated::default()];
        let outputs = writers.iter().map(|writer| {
            let format = Formatter::new(Format::Jsonl, Verbosity::Line, false);
            Output::of(format, Target::File("x".into()), Box::new(writer.clone()))
        });
        let (mut sender, thread) = spawn(Outputs::new(outputs.collect())).unwrap();
        // Several parcels, so that some are used again.
        let sent = 4 * parcel::MAX_EVENTS as u64;
        for number in 0..sent {
            sender.send(summary(number));
            if number % 5 == 0 {
                sender.send(Event::Stats(Box::default()));
            }
            if number % 77 == 0 {
                sender.flush();
            }
        }
        sender.send_last(Event::Stats(Box::default()));
        let written = thread.join().unwrap().0.written();
        for (writer, written) in writers.iter().zip(written) {
            let lines = String::from_utf8(writer.written.lock().unwrap().clone()).unwrap();
            assert_eq!((written.flows, written.bytes), (sent, lines.len() as u64));
            let mut flows = 0;
            for line in lines.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                if line["type"] == "flow" {
                    assert_eq!(line["number"], flows);
                    flows += 1;
                } else {
                    assert_eq!(line["exchanges"]["outputs"][0]["flows"], flows);
                }
            }
            assert_eq!(flows, sent);
        }
    }

    #[test]
    fn a_writer_that_has_gone_is_no_hole_in_the_count_and_holds_nobody_up() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let format = Formatter::new(Format::Jsonl, Verbosity::Line, false);
        let output = Output::of(format, Target::File("/dev/full".into()), Box::new(full));
        let (mut sender, thread) = spawn(Outputs::new(vec![output])).unwrap();
        sender.send(summary(0));
        sender.flush();
        assert!(thread.join().unwrap().1.is_err());
        sender.wait_for_room();
        let sent = 2 * MAX_QUEUED_EVENTS as u64;
        (0..sent).for_each(|number| sender.send(summary(number)));
        sender.flush();
        assert_eq!(sender.dropped().flows, sent);
    }
}
