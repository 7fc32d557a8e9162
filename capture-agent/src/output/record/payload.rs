//! A payload file as an object of its folder's index.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use super::parts::{FlowName, Url};
use crate::event::Exchange;
use crate::flow::Direction;
use crate::output::escape::lossless;
use crate::output::time::Rfc3339;

/// A body that was saved: a line of `index.jsonl` in the folder of `--save-bodies`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PayloadRecord<'a> {
    /// First byte of the exchange.
    #[schemars(with = "String")]
    time: Rfc3339,
    /// Name of the file, in the folder that the index is in; `null` where none could be made.
    file: Option<&'a str>,
    /// The flow's name, and the index of the exchange on it; `null` where the agent could not keep
    /// up, and left the exchange out.
    #[schemars(with = "Option<String>")]
    flow: Option<FlowName>,
    index: Option<u32>,
    /// The message that it is the body of.
    side: SideRecord,
    method: Option<Cow<'a, str>>,
    /// Absolute URL, where host and target make one.
    #[schemars(with = "Option<String>")]
    url: Option<Url<'a>>,
    /// Of the response.
    status: Option<u16>,
    /// Value of the Content-Type header.
    content_type: Option<Cow<'a, str>>,
    /// The type that the first bytes show, where they do.
    detected_type: Option<&'static str>,
    /// Length of the file, holes included.
    bytes: u64,
    /// Of the file; `null` where it has holes, or could not be written.
    sha256: Option<String>,
    state: PayloadStateRecord,
    /// Whether the file is less than the body: it ends early, or has holes.
    truncated: bool,
    /// Whether it is what is left when the content codings are undone.
    decoded: bool,
    /// Bytes that are missing and have been left out of the file, which has zeros there; the first
    /// 64 places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    holes: Vec<HoleRecord>,
}

/// A message of an exchange.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SideRecord {
    /// What was asked.
    Request,
    /// What was answered.
    Response,
}

/// Bytes that a file does not have.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct HoleRecord {
    /// Bytes of the file before it.
    pub(in crate::output) offset: u64,
    pub(in crate::output) bytes: u64,
}

/// How much of a body is in its file. Files that are not `complete` have names that end in `.part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayloadStateRecord {
    /// All of it.
    Complete,
    /// All but bytes that were lost, or those before the first that were, where what follows can't
    /// be placed.
    Gap,
    /// The same of bytes that were left in the kernel on purpose.
    Elided,
    /// What came before the flow ended, or before the message broke its own framing.
    Cut,
    /// Its end: it had begun before the flow was picked up.
    Midstream,
    /// What came before the capture ended.
    Open,
    /// What could be decoded: the rest breaks its content coding, or exceeds its limits.
    Undecoded,
    /// What could be kept: the agent could not keep up.
    Dropped,
    /// What could be written.
    Failed,
}

/// What is known of a payload file when it is over.
#[derive(Debug)]
pub(in crate::output) struct Payload<'a> {
    pub(in crate::output) time: crate::segment::Timestamp,
    pub(in crate::output) file: Option<&'a str>,
    pub(in crate::output) exchange: Option<&'a Exchange>,
    pub(in crate::output) direction: Direction,
    pub(in crate::output) detected_type: Option<&'static str>,
    pub(in crate::output) bytes: u64,
    pub(in crate::output) sha256: Option<String>,
    pub(in crate::output) state: PayloadStateRecord,
    pub(in crate::output) holes: Vec<HoleRecord>,
}

impl<'a> From<Payload<'a>> for PayloadRecord<'a> {
    fn from(payload: Payload<'a>) -> Self {
        let Payload { exchange, direction, state, .. } = payload;
        let http = exchange.map(|exchange| &exchange.http);
        let request = http.and_then(|http| http.request.as_ref());
        let response = http.and_then(|http| http.response.as_ref());
        let (head, body) = match direction {
            Direction::ToServer => (request.map(|it| it.head.head()), request.map(|it| &it.body)),
            Direction::ToClient => (response.map(|it| it.head.head()), response.map(|it| &it.body)),
        };
        Self {
            time: Rfc3339(http.map_or(payload.time, crate::http::Exchange::time)),
            file: payload.file,
            flow: exchange.map(|exchange| FlowName(exchange.flow.id)),
            index: http.map(|http| http.index),
            side: match direction {
                Direction::ToServer => SideRecord::Request,
                Direction::ToClient => SideRecord::Response,
            },
            method: request.map(|request| lossless(request.head.method())),
            url: request.and_then(|request| Url::of(&request.head)),
            status: response.and_then(|response| response.head.status()),
            content_type: head.and_then(|head| head.value("content-type")).map(lossless),
            detected_type: payload.detected_type,
            bytes: payload.bytes,
            sha256: payload.sha256,
            state,
            truncated: state != PayloadStateRecord::Complete,
            decoded: body.is_some_and(|body| body.decoded),
            holes: payload.holes,
        }
    }
}
