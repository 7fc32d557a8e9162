//! The objects of JSON Lines. Their JSON Schema is generated from these types.
//!
//! Invariants: names once given stay; `null` is what is not known, never an invented value; times
//! are RFC 3339 UTC with nanoseconds, durations whole microseconds.

mod direct;
mod from;
mod http_counters;
mod open_flow;
pub(super) mod owner;
mod parts;
mod payload;
mod stats;
mod websocket;

use std::borrow::Cow;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use super::time::Rfc3339;
use crate::http::Anomaly;
pub(super) use direct::{
    end as write_end, headers as write_headers, ip as write_ip, write as write_exchange,
};
pub(super) use from::{gaps, place};
pub(crate) use open_flow::OpenFlowRecord;
pub use owner::{LocalRecord, ProcessRecord};
use parts::{FlowName, Headers, Kept, KeptBase64, KeptText, Url};
pub(super) use payload::Payload;
pub use payload::{HoleRecord, PayloadRecord, PayloadStateRecord, SideRecord};
pub use stats::StatsRecord;
pub use websocket::{OpcodeRecord, WebSocketRecord};

/// A line of output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "lives for the writing of one line")]
pub enum Record<'a> {
    /// A request and the response to it.
    Exchange(ExchangeRecord<'a>),
    /// A message of a WebSocket.
    #[serde(rename = "websocket")]
    WebSocket(WebSocketRecord<'a>),
    /// A flow that is gone.
    Flow(FlowRecord<'a>),
    /// A body that was saved, in the index of its folder.
    Payload(PayloadRecord<'a>),
    /// The ledger: where every packet, segment, exchange and message went.
    Stats(StatsRecord<'a>),
}

/// The JSON Schema of a line of output.
#[must_use]
pub fn schema() -> schemars::Schema {
    let settings = schemars::generate::SchemaSettings::default().for_serialize();
    settings.into_generator().into_root_schema_for::<Record<'_>>()
}

/// A request and the response to it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExchangeRecord<'a> {
    /// First byte of the request, or of the response where the request was not observed.
    #[schemars(with = "String")]
    time: Rfc3339,
    /// The flow's name, the same whenever a capture is replayed.
    #[schemars(with = "String")]
    flow: FlowName,
    /// Counts exchanges of the flow from 0.
    index: u32,
    /// Name of the interface where the flow was first seen.
    iface: Option<&'a str>,
    /// Its index in its network namespace; `null` in a capture file.
    ifindex: Option<u32>,
    /// Its network namespace as `--netns` named it; `null` for the agent's own, and in a file.
    netns: Option<&'a str>,
    client: EndRecord,
    server: EndRecord,
    /// Which end `cgroup`, `container` and `process` are of: one that is a socket of this host, the
    /// server's where both are. `null` where neither is known to be.
    local: Option<LocalRecord>,
    /// Path of the socket's control group (version 2).
    cgroup: Option<&'a str>,
    /// Id of the container, or its name where it has none, as the control group's path tells it.
    container: Option<&'a str>,
    /// The process that holds the socket, or the one that listens.
    process: Option<ProcessRecord<'a>>,
    /// `null` where it was not observed, or is not known to be what the response answers.
    request: Option<RequestRecord<'a>>,
    /// `null` where it was not observed, or is not known to answer the request.
    response: Option<ResponseRecord<'a>>,
    /// Interim (1xx) responses that came before the final one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    informational: Vec<InterimRecord<'a>>,
    timing: TimingRecord,
    /// Segments that carried bytes which had been sent before, from the first byte of the exchange
    /// to its last.
    retransmitted: TroubleRecord,
    /// Segments that came late: after one that was sent after them.
    out_of_order: TroubleRecord,
    /// What is odd about it: see docs/anomalies.md.
    anomalies: Vec<Anomaly>,
}

/// Segments, by their direction.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TroubleRecord {
    to_server: u32,
    to_client: u32,
}

/// One end of a flow.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EndRecord {
    ip: IpAddr,
    port: u16,
}

/// A request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RequestRecord<'a> {
    method: Cow<'a, str>,
    /// The request target as it was sent.
    target: Cow<'a, str>,
    /// Value of the Host header.
    host: Option<Cow<'a, str>>,
    /// Absolute URL, where host and target make one.
    #[schemars(with = "Option<String>")]
    url: Option<Url<'a>>,
    /// As it was sent; `0.9` where none was.
    version: Option<Cow<'static, str>>,
    #[schemars(with = "Vec<HeaderRecord<'a>>")]
    headers: Headers<'a>,
    head_bytes: u32,
    body: BodyRecord<'a>,
    /// Fields after the body.
    #[serde(skip_serializing_if = "Headers::is_empty")]
    #[schemars(with = "Vec<HeaderRecord<'a>>")]
    trailers: Headers<'a>,
    state: StateRecord,
    /// Bytes of it that were sent and are lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_bytes: Option<u64>,
    /// Those of them that were observed, and lost by the agent itself: it could not keep up.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_bytes: Option<u64>,
    /// Bytes of it that were left in the kernel on purpose: the flow's budget was used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    elided_bytes: Option<u64>,
    /// Where the lost bytes were, up to 64 places with those of the elided ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<GapRecord>,
    /// Where the elided bytes were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    elided: Vec<GapRecord>,
}

/// Bytes of a message that were sent and are not here.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GapRecord {
    /// The part of the message.
    #[serde(rename = "in")]
    place: PlaceRecord,
    /// Bytes of that part before the gap: of the head as it was sent, or of the body when the
    /// transfer coding is undone.
    offset: u64,
    /// The last ones may have been of the next message; in a chunked body, sizes of chunks count too.
    bytes: u64,
}

/// A part of a message.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlaceRecord {
    /// Start line and header fields.
    Head,
    /// Content.
    Body,
}

/// A response.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ResponseRecord<'a> {
    /// `null` where it has no head, or its head was not observed.
    status: Option<u16>,
    reason: Cow<'a, str>,
    /// As it was sent; `0.9` where none was.
    version: Option<Cow<'static, str>>,
    #[schemars(with = "Vec<HeaderRecord<'a>>")]
    headers: Headers<'a>,
    head_bytes: u32,
    body: BodyRecord<'a>,
    /// Fields after the body.
    #[serde(skip_serializing_if = "Headers::is_empty")]
    #[schemars(with = "Vec<HeaderRecord<'a>>")]
    trailers: Headers<'a>,
    state: StateRecord,
    /// Bytes of it that were sent and are lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_bytes: Option<u64>,
    /// Those of them that were observed, and lost by the agent itself: it could not keep up.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_bytes: Option<u64>,
    /// Bytes of it that were left in the kernel on purpose: the flow's budget was used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    elided_bytes: Option<u64>,
    /// Where the lost bytes were, up to 64 places with those of the elided ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<GapRecord>,
    /// Where the elided bytes were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    elided: Vec<GapRecord>,
}

/// An interim response.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InterimRecord<'a> {
    status: Option<u16>,
    reason: Cow<'a, str>,
    version: Option<Cow<'static, str>>,
    #[schemars(with = "Vec<HeaderRecord<'a>>")]
    headers: Headers<'a>,
    head_bytes: u32,
}

/// A header field. Bytes that are not UTF-8 are written as `\xNN`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HeaderRecord<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
}

/// The content of a message.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BodyRecord<'a> {
    /// Bytes observed, after the transfer coding is undone and before the content coding is; those
    /// that were left in the kernel included where a Content-Length tells how many they were, and
    /// `null` where none does.
    wire_bytes: Option<u64>,
    /// In place of `wire_bytes`, where that is `null`: bytes that the body took up in the stream, by
    /// its sequence numbers, chunk sizes and the like included. Absent where its end is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_bytes: Option<u64>,
    /// Bytes after both are undone; `null` where that was not done to the end, as where a part was
    /// left in the kernel.
    bytes: Option<u64>,
    /// Value of the Content-Type header.
    content_type: Option<Cow<'a, str>>,
    /// Value of the Content-Encoding header.
    encoding: Option<Cow<'a, str>>,
    /// Whether the content given is what is left when the content codings are undone.
    decoded: bool,
    /// The content, where it was asked for and is UTF-8.
    #[schemars(with = "Option<String>")]
    text: KeptText<'a>,
    /// The content in base64, where it was asked for and is not UTF-8.
    #[schemars(with = "Option<String>")]
    base64: KeptBase64<'a>,
    /// Whether the content given is shorter than what was observed.
    truncated: bool,
    /// Fields and parts of a form, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<Vec<FieldRecord<'a>>>,
}

/// A field of a form, or a part of a multipart form.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FieldRecord<'a> {
    name: Cow<'a, str>,
    /// Name of the file that it is.
    filename: Option<Cow<'a, str>>,
    content_type: Option<Cow<'a, str>>,
    /// Bytes of the value, as far as they were observed.
    bytes: u64,
    /// The value, where it is UTF-8.
    text: Option<Cow<'a, str>>,
    /// The value in base64, where it is not UTF-8.
    base64: Option<String>,
    /// Whether the value given is shorter than what was observed.
    truncated: bool,
    /// Whether the value was observed from its first byte to its last.
    complete: bool,
}

/// How much of a message was observed.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateRecord {
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

/// Where the time went. `null` where an end of the span was not observed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TimingRecord {
    /// SYN to the acknowledgement of SYN-ACK; on a flow's first exchange alone.
    connect_us: Option<u64>,
    /// First to last byte of the request.
    request_us: Option<u64>,
    /// Last byte of the request to first byte of the response.
    wait_us: Option<u64>,
    /// First to last byte of the response.
    response_us: Option<u64>,
    /// First byte of the request to last byte of the response.
    total_us: Option<u64>,
}

/// A flow that is gone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FlowRecord<'a> {
    /// The flow's name, the same whenever a capture is replayed.
    #[schemars(with = "String")]
    flow: FlowName,
    /// Counts flows from 0 in the order in which they were first seen.
    number: u64,
    /// Name of the interface where the flow was first seen.
    iface: Option<&'a str>,
    /// Its index in its network namespace; `null` in a capture file.
    ifindex: Option<u32>,
    /// Its network namespace as `--netns` named it; `null` for the agent's own, and in a file.
    netns: Option<&'a str>,
    client: EndRecord,
    server: EndRecord,
    /// Which end `cgroup`, `container` and `process` are of: one that is a socket of this host, the
    /// server's where both are. `null` where neither is known to be.
    local: Option<LocalRecord>,
    /// Path of the socket's control group (version 2).
    cgroup: Option<&'a str>,
    /// Id of the container, or its name where it has none, as the control group's path tells it.
    container: Option<&'a str>,
    /// The process that holds the socket, or the one that listens.
    process: Option<ProcessRecord<'a>>,
    /// First segment.
    #[schemars(with = "String")]
    start: Rfc3339,
    /// When it ended.
    #[schemars(with = "String")]
    end: Rfc3339,
    /// Last segment, strays after the end included.
    #[schemars(with = "String")]
    last_activity: Rfc3339,
    close: CloseRecord,
    to_server: DirectionRecord,
    to_client: DirectionRecord,
    /// Exchanges that came out of it.
    exchanges: u32,
    /// What HTTP gave way to on it, by CONNECT or an upgrade.
    tunnel: Option<TunnelRecord<'a>>,
}

/// What was carried after HTTP had ended.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TunnelRecord<'a> {
    /// `connect`, or the protocol that was upgraded to.
    protocol: Cow<'a, str>,
    /// Bytes of it observed, those left in the kernel included.
    to_server_bytes: u64,
    to_client_bytes: u64,
    /// Messages of a WebSocket that came out of it.
    messages: u64,
    /// Directions of a WebSocket of which messages may be missing: where a frame begins was not
    /// known, or not any more after bytes were lost.
    unread: Vec<WayRecord>,
}

/// A direction of a flow.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WayRecord {
    /// What the client sends.
    ToServer,
    /// What the server sends.
    ToClient,
}

/// Why a flow ended.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseRecord {
    /// FIN both ways.
    Fin,
    /// A reset.
    Rst,
    /// Nothing was heard of it for the flow timeout.
    Idle,
    /// Its place in the table was needed.
    Pressure,
    /// Its ends opened a new connection.
    Reused,
    /// The capture ended.
    End,
}

/// One direction of a flow.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DirectionRecord {
    /// Segments with payload, SYN, FIN or RST; those left in the kernel count one a notice.
    segments: u64,
    /// Payload bytes observed, each once, without those left in the kernel.
    bytes: u64,
    /// Payload bytes observed again.
    retransmitted_bytes: u64,
    /// Payload bytes observed again with another value.
    conflicting_bytes: u64,
    /// Segments that were late: they fill a hole before what had come already.
    out_of_order: u64,
    /// Bytes that were sent and are lost.
    gap_bytes: u64,
    /// Those of them that were observed, and lost by the agent itself: it could not keep up.
    dropped_bytes: u64,
    /// Bytes that were left in the kernel on purpose: the flow's budget was used up.
    elided_bytes: u64,
}
