//! Events on their way to the writers, many at a time: to wake a thread costs more than an event.

use crate::event::Event;

/// Events that go together at most: some hundred microseconds of a writer's work.
const MAX_EVENTS: usize = 128;
/// Bytes of events that go together at most: bodies shall not wait for many others of their kind.
const MAX_BYTES: usize = 1 << 20;
/// Bytes of a body that are put together at most.
const MAX_PART_BYTES: usize = 64 << 10;

/// Events in their order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    /// About how many bytes they take in memory.
    pub(super) bytes: usize,
}

impl Batch {
    pub(super) fn push(&mut self, event: Event) {
        let Some(event) = join(self.events.last_mut(), event, &mut self.bytes) else { return };
        if self.events.capacity() == 0 {
            self.events.reserve_exact(MAX_EVENTS);
        }
        self.bytes += weight(&event);
        self.events.push(event);
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= MAX_EVENTS || self.bytes >= MAX_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// Adds what follows the last part of a body to it, while that is not much, and its length to
/// `bytes`; gives back what does not.
pub(super) fn join(last: Option<&mut Event>, event: Event, bytes: &mut usize) -> Option<Event> {
    match (last, event) {
        (Some(Event::Content(last)), Event::Content(next)) => {
            let len = next.len();
            let left = last.join(next, MAX_PART_BYTES).err();
            *bytes += if left.is_none() { len } else { 0 };
            left.map(Event::Content)
        }
        (_, event) => Some(event),
    }
}

/// About how many bytes an event takes in memory.
pub(crate) fn weight(event: &Event) -> usize {
    const BASE: usize = 512;
    let exchange = match event {
        Event::Exchange(exchange) => exchange,
        Event::WebSocket(message) => return BASE + message.http.message.content.len(),
        Event::Flow(_) | Event::Stats(_) | Event::Opened(_) => return BASE,
        Event::Data(data) => return BASE + data.bytes.len(),
        Event::Content(content) => return BASE + content.len(),
    };
    let request = exchange.http.request.as_ref();
    let response = exchange.http.response.as_ref();
    let requested = request.map_or(0, |m| m.head.head().len() as usize + m.body.weight());
    let responded = response.map_or(0, |m| m.head.head().len() as usize + m.body.weight());
    BASE + requested + responded
}
