//! The callbacks for those who embed the library.

use std::sync::Arc;

use crate::event::{Event, Exchange, FlowInfo, FlowSummary, Local, WebSocketMessage};
use crate::flow::{CloseReason, Direction, FlowId, FlowKey, FlowState};
use crate::http::BodyPart;
use crate::segment::{Endpoint, Interface, Timestamp};

/// A flow as it is now.
#[derive(Clone, Copy, Debug)]
pub struct FlowView<'a> {
    /// Counts flows from 0 in the order in which they were first seen.
    pub number: u64,
    /// Who asks.
    pub client: Endpoint,
    /// Who answers.
    pub server: Endpoint,
    /// Where it was first seen; `None` where the source knows no name.
    pub iface: Option<&'a Arc<Interface>>,
    /// The end that segments showed to be a socket of this host.
    pub local: Option<Local>,
    /// What it is at.
    pub state: FlowState,
    /// When its first segment was seen.
    pub start: Timestamp,
    /// When its last segment was seen.
    pub last_activity: Timestamp,
    /// Now, by packet time.
    pub now: Timestamp,
}

impl FlowView<'_> {
    /// Its name, the same whenever a capture is replayed.
    #[must_use]
    pub fn id(&self) -> FlowId {
        FlowId::new(&FlowKey::new(self.client, self.server), self.start)
    }

    /// Which flow it is, to keep.
    #[must_use]
    pub fn info(&self) -> FlowInfo {
        FlowInfo {
            id: self.id(),
            number: self.number,
            start: self.start,
            client: self.client,
            server: self.server,
            iface: self.iface.cloned(),
            local: self.local,
            owner: None,
        }
    }

    /// Nanoseconds since its last segment.
    #[must_use]
    pub const fn idle_ns(&self) -> u64 {
        self.now.nanos_since(self.last_activity)
    }
}

/// Bytes of a flow, in order.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// Stream offset of the first one.
    pub offset: u64,
    /// The bytes: never empty, and all of one segment.
    pub bytes: &'a [u8],
    /// When their segment was seen.
    pub time: Timestamp,
}

/// Told of what happens, in the order it happens. What is not wanted need not be written.
///
/// For one flow the order is: `opened`; `sent`, `received`, `gap`, `elided`, `unacknowledged`, `content`, `exchange`
/// and, after the exchange that upgraded it, which is its last with a response, `websocket`; `closed`;
/// `gone`. Who is client and who is server can change until something was said, where
/// the start of a flow was not seen. `examples/listener.rs` is a program that listens.
#[expect(unused_variables, reason = "the names document what is passed")]
pub trait Listener {
    /// Whether it looks at what `sent` and `received` tell. Where it does not, most segments
    /// need not be shown to it.
    fn wants_data(&self) -> bool {
        true
    }

    /// The first segment of a flow was seen.
    fn opened(&mut self, flow: &FlowView<'_>) {}

    /// The client has sent these bytes.
    fn sent(&mut self, flow: &FlowView<'_>, data: Data<'_>) {}

    /// The server has sent these bytes.
    fn received(&mut self, flow: &FlowView<'_>, data: Data<'_>) {}

    /// From this stream offset on so many bytes were sent and are lost: not seen, or dropped.
    fn gap(&mut self, flow: &FlowView<'_>, direction: Direction, offset: u64, len: u64) {}

    /// From this stream offset on so many bytes were seen and left in the kernel on purpose.
    fn elided(&mut self, flow: &FlowView<'_>, direction: Direction, offset: u64, len: u64) {}

    /// So many bytes in this direction have not been acknowledged: more than
    /// the settings of the engine call worth a warning.
    fn unacknowledged(&mut self, flow: &FlowView<'_>, direction: Direction, bytes: u64) {}

    /// Bytes of a body have come, where [`HttpRules::stream`](crate::http::HttpRules::stream) asks
    /// for them: codings undone, secrets of forms hidden. All of a body come in their order, before
    /// the exchange that it is of; the message there has the same direction and
    /// [`offset`](crate::http::Message::offset).
    fn content(&mut self, flow: &FlowView<'_>, part: BodyPart) {}

    /// An exchange is over.
    fn exchange(&mut self, exchange: Exchange) {}

    /// A message of a WebSocket is over.
    fn websocket(&mut self, message: WebSocketMessage) {}

    /// A flow has ended; it stays for strays for a while.
    fn closed(&mut self, flow: &FlowView<'_>, reason: CloseReason) {}

    /// A flow is gone.
    fn gone(&mut self, summary: FlowSummary) {}
}

/// A function that takes events is a listener.
impl<F: FnMut(Event)> Listener for F {
    fn wants_data(&self) -> bool {
        false
    }

    fn exchange(&mut self, exchange: Exchange) {
        self(Event::Exchange(Box::new(exchange)));
    }

    fn websocket(&mut self, message: WebSocketMessage) {
        self(Event::WebSocket(Box::new(message)));
    }

    fn gone(&mut self, summary: FlowSummary) {
        self(Event::Flow(Box::new(summary)));
    }
}
