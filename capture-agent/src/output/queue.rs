//! The way from the capture to the outputs when it is live: a queue that never pushes back.
//!
//! Invariants: an event is queued, or counted as dropped; what is queued takes no more than
//! [`MAX_QUEUED_BYTES`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvError, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};

use super::{OutputError, Outputs};
use crate::event::{Dropped, Event};

/// Most events in the queue.
const MAX_QUEUED_EVENTS: usize = 64 << 10;
/// Most bytes of events in the queue: bodies are what fills memory when a disk is slow.
pub const MAX_QUEUED_BYTES: usize = 256 << 20;

/// The end that the capture holds.
#[derive(Debug)]
pub struct Sender {
    channel: SyncSender<Event>,
    queued_bytes: Arc<AtomicUsize>,
    dropped: Dropped,
}

impl Sender {
    /// Queues an event, or counts it as dropped.
    pub fn send(&mut self, event: Event) {
        let dropped = match event {
            Event::Exchange(_) => Some(&mut self.dropped.exchanges),
            Event::WebSocket(_) => Some(&mut self.dropped.messages),
            Event::Flow(_) => Some(&mut self.dropped.flows),
            Event::Stats(_) => None,
        };
        let weight = weight(&event);
        let queued = self.queued_bytes.fetch_add(weight, Ordering::Relaxed);
        if queued + weight > MAX_QUEUED_BYTES || self.channel.try_send(event).is_err() {
            self.queued_bytes.fetch_sub(weight, Ordering::Relaxed);
            if let Some(dropped) = dropped {
                *dropped += 1;
            }
        }
    }

    /// Queues an event, however long that takes: for the last one, when the capture is over.
    pub fn send_last(self, event: Event) {
        // Nobody is left to be told that the writer has gone: its own result says so.
        let _ = self.channel.send(event);
    }

    /// What was left out so far.
    #[must_use]
    pub const fn dropped(&self) -> Dropped {
        self.dropped
    }
}

/// About how many bytes an event takes in memory.
fn weight(event: &Event) -> usize {
    const BASE: usize = 512;
    let exchange = match event {
        Event::Exchange(exchange) => exchange,
        Event::WebSocket(message) => return BASE + message.http.message.content.len(),
        Event::Flow(_) | Event::Stats(_) => return BASE,
    };
    let request = exchange.http.request.as_ref();
    let response = exchange.http.response.as_ref();
    let requested = request.map_or(0, |m| m.head.head().len() as usize + m.body.content.len());
    let responded = response.map_or(0, |m| m.head.head().len() as usize + m.body.content.len());
    BASE + requested + responded
}

/// Starts the thread that writes what is queued. It ends when the sender is gone and everything
/// is written, or when an output can't be written.
///
/// # Errors
/// If there can be no thread.
pub fn spawn(
    outputs: Outputs,
) -> std::io::Result<(Sender, JoinHandle<Result<Outputs, OutputError>>)> {
    let (channel, receiver) = sync_channel(MAX_QUEUED_EVENTS);
    let queued_bytes = Arc::new(AtomicUsize::new(0));
    let sender =
        Sender { channel, queued_bytes: Arc::clone(&queued_bytes), dropped: Dropped::default() };
    let writer = thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || write_all(outputs, &receiver, &queued_bytes))?;
    Ok((sender, writer))
}

fn write_all(
    mut outputs: Outputs,
    receiver: &Receiver<Event>,
    queued_bytes: &AtomicUsize,
) -> Result<Outputs, OutputError> {
    loop {
        let event = match receiver.try_recv() {
            Ok(event) => event,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                // Nothing waits: now is the time for those who watch.
                outputs.flush()?;
                match receiver.recv() {
                    Ok(event) => event,
                    Err(RecvError) => break,
                }
            }
        };
        let weight = weight(&event);
        let result = outputs.write(event);
        queued_bytes.fetch_sub(weight, Ordering::Relaxed);
        if let Err(error) = result {
            // One output that fails must not take from the others what they have.
            let _ = outputs.flush();
            return Err(error);
        }
    }
    outputs.flush()?;
    Ok(outputs)
}
