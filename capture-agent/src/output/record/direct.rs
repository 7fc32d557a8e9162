//! Exchanges as JSON, written from what they are made of.
//!
//! They are nearly all that is written. To make a record of each first, and then to ask it for its
//! fields one by one, costs three times as much as to write them down; so here are the names once
//! more. Invariant: what is written is [`ExchangeRecord`](super::ExchangeRecord), byte for byte;
//! each line of a build with debug assertions, so of each test, is compared with it.

use std::net::IpAddr;

use super::from::{content, encoding, gaps, place};
use super::parts::FlowName;
use super::{FieldRecord, InterimRecord, StateRecord, owner};
use crate::event::{Exchange, FlowInfo};
use crate::http::head::{Fields, Head, RequestHead, ResponseHead, Version};
use crate::http::{self, Message, State};
use crate::output::json::Json;
use crate::output::time::Rfc3339;
use crate::segment::{Endpoint, Missing};

/// Room for what is in each exchange beside its heads and bodies, so that it is made at most once.
const FIXED_BYTES: usize = 2 << 10;

/// Adds an exchange.
///
/// # Errors
/// A part of it is something that JSON is not written of.
pub(in crate::output) fn write(exchange: &Exchange, json: &mut Json<'_>) -> std::fmt::Result {
    let http = &exchange.http;
    json.reserve(FIXED_BYTES + text_bytes(http));
    json.raw(br#"{"type":"exchange","time":""#);
    json.raw(&Rfc3339(http.time()).text());
    json.raw(br#"","flow":""#);
    json.raw(&FlowName(exchange.flow.id).text());
    json.raw(br#"","index":"#);
    json.number(http.index.into());
    flow(&exchange.flow, json)?;
    json.raw(br#","request":"#);
    match &http.request {
        Some(message) => request(message, json)?,
        None => json.null(),
    }
    json.raw(br#","response":"#);
    match &http.response {
        Some(message) => response(message, json)?,
        None => json.null(),
    }
    if !http.informational.is_empty() {
        json.raw(br#","informational":"#);
        json.list(http.informational.iter().map(InterimRecord::from))?;
    }
    timing(&http.timing, json);
    let (to_server, to_client) = (http.network.to_server, http.network.to_client);
    json.raw(br#","retransmitted":{"to_server":"#);
    json.number(to_server.retransmitted.into());
    json.raw(br#","to_client":"#);
    json.number(to_client.retransmitted.into());
    json.raw(br#"},"out_of_order":{"to_server":"#);
    json.number(to_server.out_of_order.into());
    json.raw(br#","to_client":"#);
    json.number(to_client.out_of_order.into());
    json.raw(br#"},"anomalies":"#);
    if http.anomalies.is_empty() {
        json.raw(b"[]}");
        return Ok(());
    }
    json.list(http.anomalies.iter())?;
    json.raw(b"}");
    Ok(())
}

/// About how many bytes of text there are.
fn text_bytes(http: &http::Exchange) -> usize {
    let of = |head: &Head, body: &http::Body| 2 * head.len() as usize + body.content.len();
    http.request.as_ref().map_or(0, |message| of(message.head.head(), &message.body))
        + http.response.as_ref().map_or(0, |message| of(message.head.head(), &message.body))
}

fn flow(flow: &FlowInfo, json: &mut Json<'_>) -> std::fmt::Result {
    let (iface, ifindex, netns) = place(flow);
    json.raw(br#","iface":"#);
    json.text_or_null(iface);
    json.raw(br#","ifindex":"#);
    json.number_or_null(ifindex.map(u64::from));
    json.raw(br#","netns":"#);
    json.text_or_null(netns);
    json.raw(br#","client":{"ip":""#);
    end(flow.client, json)?;
    json.raw(br#","server":{"ip":""#);
    end(flow.server, json)?;
    if flow.owner.is_none() {
        json.raw(br#","local":null,"cgroup":null,"container":null,"process":null"#);
        return Ok(());
    }
    json.raw(br#","local":"#);
    json.record(&owner::local(flow))?;
    json.raw(br#","cgroup":"#);
    json.text_or_null(owner::cgroup(flow));
    json.raw(br#","container":"#);
    json.text_or_null(owner::container(flow));
    json.raw(br#","process":"#);
    json.record(&owner::process(flow))
}

/// An end, from its address on.
pub(in crate::output) fn end(end: Endpoint, json: &mut Json<'_>) -> std::fmt::Result {
    ip(end.ip(), json)?;
    json.raw(br#"","port":"#);
    json.number(end.port.into());
    json.raw(b"}");
    Ok(())
}

/// An address.
pub(in crate::output) fn ip(ip: IpAddr, json: &mut Json<'_>) -> std::fmt::Result {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            json.number(a.into());
            for part in [b, c, d] {
                json.raw(b".");
                json.number(part.into());
            }
        }
        ip @ IpAddr::V6(_) => std::fmt::Write::write_fmt(json, format_args!("{ip}"))?,
    }
    Ok(())
}

fn request(message: &Message<RequestHead>, json: &mut Json<'_>) -> std::fmt::Result {
    let head = message.head.head();
    json.raw(br#"{"method":""#);
    json.bytes(message.head.method());
    json.raw(br#"","target":""#);
    json.bytes(message.head.target());
    json.raw(br#"","host":"#);
    json.bytes_or_null(head.value("host"));
    match message.head.url() {
        Some(parts) => {
            json.raw(br#","url":""#);
            // No character is begun in one part and ended in the next: they meet at a slash.
            parts.iter().for_each(|part| json.bytes(part));
            json.raw(br#"","version":"#);
        }
        None => json.raw(br#","url":null,"version":"#),
    }
    rest(head, message, json)
}

fn response(message: &Message<ResponseHead>, json: &mut Json<'_>) -> std::fmt::Result {
    json.raw(br#"{"status":"#);
    json.number_or_null(message.head.status().map(u64::from));
    json.raw(br#","reason":""#);
    json.bytes(message.head.reason());
    json.raw(br#"","version":"#);
    rest(message.head.head(), message, json)
}

/// What requests and responses have in common, from the version on.
fn rest<H>(head: &Head, message: &Message<H>, json: &mut Json<'_>) -> std::fmt::Result {
    match head.version() {
        None => json.null(),
        Some(Version::HTTP_11) => json.raw(br#""1.1""#),
        Some(Version { major, minor }) => {
            let digits = [major, minor].map(u64::from);
            json.raw(b"\"");
            json.number(digits[0]);
            json.raw(b".");
            json.number(digits[1]);
            json.raw(b"\"");
        }
    }
    json.raw(br#","headers":"#);
    headers(head.fields(), json);
    json.raw(br#","head_bytes":"#);
    json.number(head.len().into());
    body(head, &message.body, json)?;
    if !message.trailers.is_empty() {
        json.raw(br#","trailers":"#);
        headers(&message.trailers, json);
    }
    if message.state == State::Complete {
        json.raw(br#","state":"complete""#);
    } else {
        json.raw(br#","state":"#);
        json.record(&StateRecord::from(message.state))?;
    }
    for (key, bytes) in [
        (&br#","lost_bytes":"#[..], message.lost_bytes),
        (br#","dropped_bytes":"#, message.dropped_bytes),
        (br#","elided_bytes":"#, message.elided_bytes),
    ] {
        if bytes > 0 {
            json.raw(key);
            json.number(bytes);
        }
    }
    if !message.gaps.is_empty() {
        let lost = gaps(message, |missing| missing != Missing::Elided);
        let elided = gaps(message, |missing| missing == Missing::Elided);
        for (key, gaps) in [(&br#","gaps":"#[..], lost), (br#","elided":"#, elided)] {
            if !gaps.is_empty() {
                json.raw(key);
                json.list(gaps)?;
            }
        }
    }
    json.raw(b"}");
    Ok(())
}

pub(in crate::output) fn headers(fields: &Fields, json: &mut Json<'_>) {
    let mut before: &[u8] = br#"[{"name":""#;
    let has_plain_names = fields.has_plain_names();
    for (name, value) in fields.iter() {
        json.raw(before);
        if has_plain_names {
            json.raw(name);
        } else {
            json.bytes(name);
        }
        json.raw(br#"","value":""#);
        json.bytes(value);
        before = br#""},{"name":""#;
    }
    json.raw(if fields.is_empty() { b"[]" } else { br#""}]"# });
}

fn body(head: &Head, body: &http::Body, json: &mut Json<'_>) -> std::fmt::Result {
    json.raw(br#","body":{"wire_bytes":"#);
    match body.length {
        http::Length::Counted => json.number(body.wire_bytes),
        http::Length::InStream(bytes) => {
            json.raw(br#"null,"sequence_bytes":"#);
            json.number(bytes);
        }
        http::Length::Unknown => json.null(),
    }
    json.raw(br#","bytes":"#);
    json.number_or_null(body.bytes);
    json.raw(br#","content_type":"#);
    json.bytes_or_null(head.value("content-type"));
    json.raw(br#","encoding":"#);
    match encoding(head) {
        Some(encoding) => json.record(&encoding)?,
        None => json.null(),
    }
    json.raw(if body.decoded { br#","decoded":true"# } else { br#","decoded":false"# });
    if body.content.is_empty() {
        json.raw(br#","text":null,"base64":null"#);
    } else {
        let (text, base64) = content(&body.content, body.truncated);
        json.raw(br#","text":"#);
        json.text_or_null(text.as_deref());
        json.raw(br#","base64":"#);
        json.text_or_null(base64.as_deref());
    }
    json.raw(if body.truncated { br#","truncated":true"# } else { br#","truncated":false"# });
    if let Some(fields) = &body.form {
        json.raw(br#","form":"#);
        json.list(fields.iter().map(FieldRecord::from))?;
    }
    json.raw(b"}");
    Ok(())
}

fn timing(timing: &http::Timing, json: &mut Json<'_>) {
    let micros = |nanos: Option<u64>| nanos.map(|nanos| nanos / 1_000);
    json.raw(br#","timing":{"connect_us":"#);
    json.number_or_null(micros(timing.connect_ns));
    json.raw(br#","request_us":"#);
    json.number_or_null(micros(timing.request_ns));
    json.raw(br#","wait_us":"#);
    json.number_or_null(micros(timing.wait_ns));
    json.raw(br#","response_us":"#);
    json.number_or_null(micros(timing.response_ns));
    json.raw(br#","total_us":"#);
    json.number_or_null(micros(timing.total_ns));
    json.raw(b"}");
}
