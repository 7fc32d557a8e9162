//! What listeners and outputs receive.

mod content;
pub mod endpoints;
mod http_counters;
mod ledger;

use std::sync::Arc;

use crate::flow::{CloseReason, Direction, FlowId};
use crate::http;
use crate::segment::{Endpoint, Interface, Timestamp};
use crate::stream;
pub use content::{BodyKey, Content, News};
pub use endpoints::Endpoints;
pub use http_counters::{Histogram, HttpCounters, Method, StatusClass};
pub use ledger::{
    Counts, Dropped, EngineCounters, FilesWritten, OwnerCounters, RawCounts, Recorded,
    SourcePackets, Stats, Written,
};

/// Which flow an event is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowInfo {
    /// Its name, the same whenever a capture is replayed.
    pub id: FlowId,
    /// Counts flows from 0 in the order in which they were first seen. Where several engines have a
    /// part of the flows each, it is only one that no other flow has.
    pub number: u64,
    /// When its first segment was seen.
    pub start: Timestamp,
    /// Who asks.
    pub client: Endpoint,
    /// Who answers.
    pub server: Endpoint,
    /// Where it was first seen; `None` where the source knows no name.
    pub iface: Option<Arc<Interface>>,
    /// The end that segments showed to be a socket of this host: the server's where both are.
    pub local: Option<Local>,
    /// Whose socket that is. The engine does not know; it is looked up on the way to the outputs.
    pub owner: Option<Arc<Owner>>,
}

/// An end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Who asks.
    Client,
    /// Who answers.
    Server,
}

/// An end of a flow that is a socket of this host, by what its segments tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Which.
    pub end: End,
    /// The id of its control group (version 2).
    pub cgroup: u64,
}

/// Who on this host is an end of a flow, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Which end; the server's where both are of this host.
    pub end: End,
    /// Path of the socket's control group (version 2).
    pub cgroup: Option<Arc<str>>,
    /// The container's id, where that path tells it.
    pub container: Option<Arc<str>>,
    /// The process that holds the socket.
    pub process: Option<Process>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id; `None` where the socket may be of any of several of that name.
    pub pid: Option<u32>,
    /// What it calls itself (`/proc/PID/comm`).
    pub name: Arc<str>,
}

/// An exchange and the flow it was on.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The flow it was on.
    pub flow: FlowInfo,
    /// What was asked and answered.
    pub http: http::Exchange,
}

/// A message of a WebSocket, and the flow it was on.
#[derive(Clone, Debug)]
pub struct WebSocketMessage {
    /// The flow it was on.
    pub flow: FlowInfo,
    /// What was sent.
    pub http: http::WebSocketMessage,
}

/// What became of a flow.
#[derive(Clone, Debug)]
pub struct FlowSummary {
    /// The flow.
    pub flow: FlowInfo,
    /// When its first segment was seen.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// When its last segment was seen.
    pub last_activity: Timestamp,
    /// Why it ended.
    pub close: CloseReason,
    /// What the client sent.
    pub to_server: stream::Counters,
    /// What the server sent.
    pub to_client: stream::Counters,
    /// Exchanges that came out of it.
    pub exchanges: u32,
    /// What HTTP gave way to on it, if it did.
    pub tunnel: Option<http::Tunnel>,
}

/// Bytes of a flow, in order, as they were on the wire: secrets are not taken away.
#[derive(Clone, Debug)]
pub struct FlowData {
    /// The flow.
    pub flow: FlowInfo,
    /// Who has sent them.
    pub direction: Direction,
    /// Stream offset of the first one.
    pub offset: u64,
    /// When their segment was seen.
    pub time: Timestamp,
    /// The bytes: never empty, and all of one segment.
    pub bytes: Vec<u8>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// An exchange is over.
    Exchange(Box<Exchange>),
    /// A message of a WebSocket is over.
    WebSocket(Box<WebSocketMessage>),
    /// A flow is gone.
    Flow(Box<FlowSummary>),
    /// Something has come of a body. Only consumers are told, where bodies are handed on.
    Content(Box<Content>),
    /// The ledger was drawn up.
    Stats(Box<Stats>),
    /// A flow was seen for the first time. For consumers alone: no format has it.
    Opened(Box<FlowInfo>),
    /// Something was said on a flow. For consumers alone: no format has it.
    Data(Box<FlowData>),
}

impl Event {
    /// The flow that it is about, if it is about one.
    pub const fn flow_mut(&mut self) -> Option<&mut FlowInfo> {
        match self {
            Self::Exchange(exchange) => Some(&mut exchange.flow),
            Self::WebSocket(message) => Some(&mut message.flow),
            Self::Flow(summary) => Some(&mut summary.flow),
            Self::Content(_) | Self::Stats(_) => None,
            Self::Opened(flow) => Some(flow),
            Self::Data(data) => Some(&mut data.flow),
        }
    }

    /// Whether it is for consumers alone: outputs write nothing of it.
    #[must_use]
    pub const fn is_for_consumers(&self) -> bool {
        matches!(self, Self::Content(_) | Self::Opened(_) | Self::Data(_))
    }
}
