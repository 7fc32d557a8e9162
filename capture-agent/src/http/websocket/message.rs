//! A message, and what is odd about it.

use super::Opcode;
use crate::http::State;
use crate::http::anomaly::anomalies;
use crate::segment::Timestamp;

anomalies! {
    /// What is odd about a message.
    #[schemars(rename = "WebSocketAnomaly")]
    ;
    /// The client did not mask it (RFC 6455 section 5.1).
    UnmaskedClientFrame,
    /// The server masked it (RFC 6455 section 5.1).
    MaskedServerFrame,
    /// Bits are set that no extension known to be agreed on gives a meaning (section 5.2).
    ReservedBits,
    /// RFC 6455 gives the opcode no meaning.
    ReservedOpcode,
    /// A length in more bytes than it takes (section 5.2).
    NonMinimalLength,
    /// A length of 2^63 and more: where the frame ends, nobody can tell.
    ImpossibleLength,
    /// A control message in fragments (section 5.5).
    FragmentedControl,
    /// A control message of more than 125 bytes (section 5.5).
    LongControl,
    /// A fragment of a message whose beginning was not there (section 5.4).
    UnexpectedContinuation,
    /// Another message began before this one had ended (section 5.4).
    InterruptedMessage,
    /// Text, or the reason of a close, is no UTF-8 (sections 5.6 and 5.5.1).
    #[serde(rename = "invalid_utf8")]
    InvalidUtf8,
    /// A close with half a code, or a code that must not be sent (section 7.4).
    InvalidClose,
    /// The compressed bytes are not DEFLATE, or end early (RFC 7692 section 7.2).
    MalformedDeflate,
    /// A decoder bomb was stopped.
    DecodingLimit,
    /// It can't be decompressed without an earlier message, of which not all was seen or decoded.
    ContextLost,
}

impl Anomalies {
    pub(super) fn add_if(&mut self, holds: bool, anomaly: Anomaly) {
        if holds {
            self.add(anomaly);
        }
    }
}

/// A message: data, maybe in several frames, or control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub opcode: Opcode,
    /// In how many frames it came.
    pub frames: u32,
    /// Bytes of payload that were seen, as they were sent, those that were left in the kernel
    /// included.
    pub wire_bytes: u64,
    /// Bytes of payload after decompression; `None` where that was not done to the end.
    pub bytes: Option<u64>,
    /// The first of those, unmasked and decompressed, as many as were to be kept; of a close, the
    /// reason. It ends where bytes were lost, and is empty where it can't be decompressed.
    pub content: Vec<u8>,
    /// Whether `content` ends before the message does because it has as much as was to be kept, or
    /// because the rest was lost or can't be decompressed.
    pub truncated: bool,
    /// Whether it was sent compressed.
    pub compressed: bool,
    /// Whether it was sent masked.
    pub masked: bool,
    /// Why the sender closes (RFC 6455 section 7.4).
    pub close_code: Option<u16>,
    /// How much of it was seen.
    pub state: State,
    /// Bytes that were sent and are lost; some of them may have been of other messages.
    pub lost_bytes: u64,
    /// Those of them that the agent itself has lost.
    pub dropped_bytes: u64,
    /// Bytes of payload that were left in the kernel on purpose.
    pub elided_bytes: u64,
    /// When its first byte was seen.
    pub first_byte: Timestamp,
    /// When the last of its bytes was seen.
    pub last_byte: Timestamp,
    /// What is odd.
    pub anomalies: Anomalies,
}
