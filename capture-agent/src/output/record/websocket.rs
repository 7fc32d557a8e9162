//! The record of a WebSocket's message.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use super::from::{content, place, some};
use super::parts::FlowName;
use super::{EndRecord, StateRecord, WayRecord};
use crate::event;
use crate::http::State;
use crate::http::websocket::{Anomaly, Message, Opcode};
use crate::output::time::Rfc3339;

/// A message of a WebSocket: data, maybe in several frames, or control.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WebSocketRecord<'a> {
    /// First byte of its first frame.
    #[schemars(with = "String")]
    time: Rfc3339,
    /// The flow's name, the same whenever a capture is replayed.
    #[schemars(with = "String")]
    flow: FlowName,
    /// The `index` of the exchange that upgraded the flow; `null` where it is not known.
    index: Option<u32>,
    /// Counts messages of the flow from 0, those of both directions together, as they end.
    number: u64,
    /// Name of the interface where the flow was first seen.
    iface: Option<&'a str>,
    /// Its index in its network namespace; `null` in a capture file.
    ifindex: Option<u32>,
    /// Its network namespace as `--netns` named it; `null` for the agent's own, and in a file.
    netns: Option<&'a str>,
    client: EndRecord,
    server: EndRecord,
    direction: WayRecord,
    opcode: OpcodeRecord,
    /// The opcode as it was sent, where it is a reserved one.
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved_opcode: Option<u8>,
    /// Frames that it came in.
    frames: u32,
    /// Bytes of payload observed, as they were sent, those left in the kernel included.
    wire_bytes: u64,
    /// Bytes of payload after decompression; `null` where that was not done to the end.
    bytes: Option<u64>,
    masked: bool,
    /// Whether it was sent compressed (permessage-deflate).
    compressed: bool,
    /// Why the sender closes; `null` where it does not, or does not say.
    close_code: Option<u16>,
    /// The content, or the reason of a close, where bodies were asked for and it is UTF-8.
    text: Option<Cow<'a, str>>,
    /// The content in base64, where bodies were asked for and it is not UTF-8.
    base64: Option<String>,
    /// Whether the content given is shorter than what was observed.
    truncated: bool,
    state: StateRecord,
    /// Bytes of it that were sent and are lost; the last ones may have been of other messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_bytes: Option<u64>,
    /// Those of them that were observed, and lost by the agent itself: it could not keep up.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_bytes: Option<u64>,
    /// Bytes of it that were left in the kernel on purpose: the flow's budget was used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    elided_bytes: Option<u64>,
    /// What is odd about it: see docs/anomalies.md.
    anomalies: Vec<Anomaly>,
}

/// What a message of a WebSocket is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpcodeRecord {
    /// A fragment of a message whose beginning was not there.
    Continuation,
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
    /// The sender is about to close, or agrees to.
    Close,
    /// Is anybody there?
    Ping,
    /// Somebody is.
    Pong,
    /// One to which RFC 6455 gives no meaning.
    Reserved,
}

impl From<Opcode> for OpcodeRecord {
    fn from(opcode: Opcode) -> Self {
        match opcode {
            Opcode::Continuation => Self::Continuation,
            Opcode::Text => Self::Text,
            Opcode::Binary => Self::Binary,
            Opcode::Close => Self::Close,
            Opcode::Ping => Self::Ping,
            Opcode::Pong => Self::Pong,
            Opcode::Reserved(_) => Self::Reserved,
        }
    }
}

impl<'a> From<&'a event::WebSocketMessage> for WebSocketRecord<'a> {
    fn from(event: &'a event::WebSocketMessage) -> Self {
        let (flow, http) = (&event.flow, &event.http);
        let (iface, ifindex, netns) = place(flow);
        let message @ Message { opcode, state, .. } = &http.message;
        // What breaks off may do so inside a character.
        let is_part = message.truncated || *state != State::Complete;
        let (text, base64) = content(&message.content, is_part);
        Self {
            time: Rfc3339(message.first_byte),
            flow: FlowName(flow.id),
            index: http.index,
            number: http.number,
            iface,
            ifindex,
            netns,
            client: flow.client.into(),
            server: flow.server.into(),
            direction: http.direction.into(),
            opcode: (*opcode).into(),
            reserved_opcode: match opcode {
                Opcode::Reserved(bits) => Some(*bits),
                _ => None,
            },
            frames: message.frames,
            wire_bytes: message.wire_bytes,
            bytes: message.bytes,
            masked: message.masked,
            compressed: message.compressed,
            close_code: message.close_code,
            text,
            base64,
            truncated: message.truncated,
            state: (*state).into(),
            lost_bytes: some(message.lost_bytes),
            dropped_bytes: some(message.dropped_bytes),
            elided_bytes: some(message.elided_bytes),
            anomalies: message.anomalies.iter().collect(),
        }
    }
}
