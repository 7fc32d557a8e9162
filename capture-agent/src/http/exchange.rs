//! An exchange: a request, the response to it, and what is known of both.
//!
//! Follows RFC 9110 section 3.4 and, for interim responses, section 15.2.

use super::head::{RequestHead, ResponseHead};
use crate::segment::Timestamp;

/// How much of a message was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All of it.
    Complete,
    /// All but bytes that were sent and not seen.
    Gap,
    /// What came before the flow ended, or before the message broke its own framing.
    Cut,
    /// What came before the capture ended.
    Open,
}

/// What is odd about an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Anomaly {
    /// Content-Length beside Transfer-Encoding (RFC 9112 section 6.1): the latter stands.
    LengthAndTransferEncoding,
    /// Content-Length that is no number, or several that differ (RFC 9112 section 6.3).
    InvalidContentLength,
    /// A request whose last transfer coding is not chunked: where it ends, nobody can tell.
    UnknownTransferCoding,
    /// Bytes that break the chunked coding (RFC 9112 section 7.1).
    MalformedChunk,
    /// Copies of a TCP segment that differ: the two ends may not have read what is shown.
    ConflictingCopies,
}

impl Anomaly {
    const ALL: [Self; 5] = [
        Self::LengthAndTransferEncoding,
        Self::InvalidContentLength,
        Self::UnknownTransferCoding,
        Self::MalformedChunk,
        Self::ConflictingCopies,
    ];
}

/// A set of anomalies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anomalies(u32);

impl Anomalies {
    /// Adds one.
    pub fn add(&mut self, anomaly: Anomaly) {
        self.0 |= 1 << anomaly as u32;
    }

    /// Those in the set, each once.
    pub fn iter(self) -> impl Iterator<Item = Anomaly> {
        Anomaly::ALL.into_iter().filter(move |anomaly| self.0 & (1 << *anomaly as u32) != 0)
    }
}

/// What was sent as a message's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Bytes that were seen, after the transfer coding was undone.
    pub wire_bytes: u64,
    /// The first of those bytes, as many as were to be kept.
    pub content: Vec<u8>,
    /// Whether `content` ends before the body does.
    pub truncated: bool,
}

impl Body {
    /// Counts bytes, and keeps as many as `keep` allows in all; returns how many those are.
    pub(super) fn push(&mut self, bytes: &[u8], keep: usize) -> usize {
        self.wire_bytes += bytes.len() as u64;
        let room = keep.saturating_sub(self.content.len()).min(bytes.len());
        self.content.extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.truncated |= keep > 0 && room < bytes.len();
        room
    }
}

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<H> {
    /// Start line and header fields.
    pub head: H,
    /// Content.
    pub body: Body,
    /// How much of it was seen.
    pub state: State,
    /// Bytes of it that were sent and not seen; what followed them may have been another message.
    pub lost_bytes: u64,
    /// When its first byte was seen.
    pub first_byte: Timestamp,
    /// When the last of its bytes was seen.
    pub last_byte: Timestamp,
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
        let head = &self.request.as_ref()?.head;
        let target = head.target();
        if head.method() == b"CONNECT" {
            return Some(target.to_vec());
        }
        if !target.starts_with(b"/") && target != b"*" {
            return Some(target.to_vec()); // absolute-form
        }
        let host = head.head().value("host").filter(|host| !host.is_empty())?;
        let path = if target == b"*" { &b""[..] } else { target };
        Some([b"http://", host, path].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_keeps_as_much_as_it_may() {
        let mut body = Body::default();
        body.push(b"abc", 4);
        assert!(!body.truncated);
        body.push(b"def", 4);
        body.push(b"g", 4);
        assert_eq!((body.wire_bytes, &body.content[..], body.truncated), (7, &b"abcd"[..], true));
        let mut counted = Body::default();
        counted.push(b"abc", 0);
        assert_eq!((counted.wire_bytes, counted.content.len(), counted.truncated), (3, 0, false));
    }

    #[test]
    fn anomalies_are_a_set() {
        let mut anomalies = Anomalies::default();
        anomalies.add(Anomaly::MalformedChunk);
        anomalies.add(Anomaly::InvalidContentLength);
        anomalies.add(Anomaly::MalformedChunk);
        let all: Vec<_> = anomalies.iter().collect();
        assert_eq!(all, [Anomaly::InvalidContentLength, Anomaly::MalformedChunk]);
    }
}
