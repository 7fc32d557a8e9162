//! An exchange: a request, the response to it, and what is known of both.
//!
//! Follows RFC 9110 section 3.4 and, for interim responses, section 15.2.

use super::anomaly::Anomalies;
use super::form::Field;
use super::head::{Fields, RequestHead, ResponseHead};
use super::streamed::Streamed;
use super::wire::Wire;
use crate::segment::{Missing, Timestamp};
use crate::stream::Disorder;

/// How much of a message was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All of it.
    Complete,
    /// All but bytes that were lost.
    Gap,
    /// All but bytes that were left in the kernel on purpose.
    Elided,
    /// What came before the flow ended, or before the message broke its own framing.
    Cut,
    /// Its end: it had begun before the flow was picked up.
    Midstream,
    /// What came before the capture ended.
    Open,
}

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Start line and header fields.
    Head,
    /// Content, after the transfer coding was undone.
    Body,
}

/// Bytes that were sent and are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub missing: Missing,
    /// In which part of the message.
    pub place: Place,
    /// How many bytes of that part come before it, those that are not here included.
    pub offset: u64,
    /// How many there are; the last ones may have been of the next message.
    pub bytes: u64,
}

/// What the network has done to the segments of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// To those of the client.
    pub to_server: Disorder,
    /// To those of the server.
    pub to_client: Disorder,
}

impl Network {
    /// What it has done since it stood at `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            to_server: self.to_server.since(earlier.to_server),
            to_client: self.to_client.since(earlier.to_client),
        }
    }
}

/// What is known of how long a body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    /// It is [`Body::wire_bytes`], and what was lost.
    #[default]
    Counted,
    /// It took up so many bytes in the stream, those of its framing included: a part was left in
    /// the kernel, and no Content-Length says how much of that was content.
    InStream(u64),
    /// Nothing: a part was left in the kernel, and its end with it.
    Unknown,
}

/// What was sent as a message's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Bytes after the transfer coding was undone: those that were seen, and where `length` counts
    /// them those that were left in the kernel.
    pub wire_bytes: u64,
    /// What is known of its length.
    pub length: Length,
    /// Bytes after the content coding was undone too; `None` where that was not done to the end.
    pub bytes: Option<u64>,
    /// The first of those bytes, as many as were to be kept; as they were sent where the content
    /// coding is not known.
    pub content: Vec<u8>,
    /// Whether `content` ends before the body does.
    pub truncated: bool,
    /// Whether `content` is what is left when the content codings are undone.
    pub decoded: bool,
    /// Fields and parts of a form, where they were to be listed.
    pub form: Option<Vec<Field>>,
    /// What has been handed on of it as it came in, where it was to be.
    pub streamed: Option<Box<Streamed>>,
    /// The body as it was on the wire, where that was to be kept and `content` can't tell.
    pub wire: Option<Box<Wire>>,
}

impl Body {
    /// About how many bytes it takes in memory.
    pub(crate) fn weight(&self) -> usize {
        self.content.len() + self.wire.as_ref().map_or(0, |wire| wire.memory())
    }
}

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<H> {
    /// Stream offset of its first byte: with flow and direction the name of the message.
    pub offset: u64,
    /// Start line and header fields.
    pub head: H,
    /// Content.
    pub body: Body,
    /// Fields after the content (RFC 9112 section 7.1.2).
    pub trailers: Fields,
    /// How much of it was seen.
    pub state: State,
    /// Bytes of it that were sent and are lost; the last ones may have been of another message.
    pub lost_bytes: u64,
    /// Those of them that the agent itself has lost, and not the network or the capture.
    pub dropped_bytes: u64,
    /// Bytes of it that were left in the kernel on purpose.
    pub elided_bytes: u64,
    /// Where all those were: the first of them, if they are very many.
    pub gaps: Vec<Gap>,
    /// When its first byte was seen.
    pub first_byte: Timestamp,
    /// When the last of its bytes was seen.
    pub last_byte: Timestamp,
    /// Whether it ended amid bytes that the kernel half left out or dropped, or after them, so that
    /// when it did is not known.
    pub is_untimed: bool,
}

/// Where the time went, in nanoseconds. `None` where an end of the span was not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From SYN to the acknowledgement of SYN-ACK; of a flow's first exchange alone.
    pub connect_ns: Option<u64>,
    /// From the first to the last byte of the request.
    pub request_ns: Option<u64>,
    /// From the last byte of the request to the first byte of the response, 0 if it came earlier.
    pub wait_ns: Option<u64>,
    /// From the first to the last byte of the response.
    pub response_ns: Option<u64>,
    /// From the first byte of the request to the last byte of the response.
    pub total_ns: Option<u64>,
}

/// A request and the response to it. At least one of the two was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Counts exchanges of the flow from 0.
    pub index: u32,
    /// `None` where it was not seen, or is not known to be what the response answers.
    pub request: Option<Message<RequestHead>>,
    /// `None` where it was not seen, or is not known to answer the request.
    pub response: Option<Message<ResponseHead>>,
    /// Interim responses that came before.
    pub informational: Vec<ResponseHead>,
    /// Where the time went.
    pub timing: Timing,
    /// What the network did to the flow from its first byte to its last.
    pub network: Network,
    /// What is odd.
    pub anomalies: Anomalies,
}

impl Exchange {
    /// When the first byte of the request was seen, or of the response where that was not.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        match (&self.request, &self.response) {
            (Some(request), _) => request.first_byte,
            (None, Some(response)) => response.first_byte,
            (None, None) => Timestamp::default(),
        }
    }

    /// The URL that the request is for (RFC 9110 section 7.1), `None` where its authority is not
    /// known. Bytes are as they were sent.
    #[must_use]
    pub fn url(&self) -> Option<Vec<u8>> {
        Some(self.request.as_ref()?.head.url()?.concat())
    }
}
