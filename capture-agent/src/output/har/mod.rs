//! HAR 1.2: what browsers' network panels read and Playwright serves pages from.
//!
//! Follows the HAR 1.2 specification (Odvarko, 2012) and, where it is silent, what Chromium and
//! Playwright write. Each exchange is an entry; other events are none. What HAR has no place for is
//! in fields that begin with `_`, with the names and meanings of JSON Lines; those that would tell
//! of nothing are left out. Invariants: -1 is what is not known; where HAR wants a value and none
//! was seen, a field with `_` says so; what is secret is gone before it comes here.

mod cookies;
mod message;
mod timings;
mod url;

use std::fmt;
use std::io;

use super::json::Json;
use super::record::{InterimRecord, owner, place, write_end, write_ip};
use crate::event::{Event, Exchange, FlowInfo};
use crate::http::Network;
use crate::notation::FlowName;
use crate::notation::time::Rfc3339;
use timings::Timings;

/// What a file begins with.
pub(super) const START: &[u8] = concat!(
    r#"{"log":{"version":"1.2","creator":{"name":"capture-agent","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""},"entries":["#,
    "\n"
)
.as_bytes();

/// What each entry but the first of a file begins with.
pub(super) const BETWEEN: &[u8] = b",\n";

/// What a file ends with.
pub(super) const END: &[u8] = b"\n]}}\n";

/// Room for what is in each entry beside its heads and bodies, so that it is made at most once.
const FIXED_BYTES: usize = 2 << 10;

/// Adds an exchange as an entry, with [`BETWEEN`] before it; of another event nothing.
///
/// # Errors
/// If there is something in it that JSON is not written of; nothing is added then.
pub(super) fn write(event: &Event, bytes: &mut Vec<u8>) -> io::Result<()> {
    let Event::Exchange(exchange) = event else { return Ok(()) };
    let before = bytes.len();
    bytes.extend_from_slice(BETWEEN);
    entry(exchange, &mut Json(bytes)).map_err(|error| {
        bytes.truncate(before);
        io::Error::other(error)
    })
}

fn entry(exchange: &Exchange, json: &mut Json<'_>) -> fmt::Result {
    let (flow, http) = (&exchange.flow, &exchange.http);
    let timings = Timings::of(http);
    json.reserve(FIXED_BYTES + message::text_bytes(http));
    json.raw(br#"{"startedDateTime":""#);
    json.raw(&Rfc3339(timings.start).text_in_millis());
    json.raw(br#"","time":"#);
    timings::millis(timings.sum_us(), json);
    json.raw(br#","request":"#);
    match &http.request {
        Some(request) => message::request(request, flow.server, json)?,
        None => message::no_request(flow.server, json)?,
    }
    json.raw(br#","response":"#);
    match &http.response {
        Some(response) => message::response(response, json)?,
        None => message::no_response(json),
    }
    json.raw(br#","cache":{},"timings":"#);
    timings.write(json);
    json.raw(br#","serverIPAddress":""#);
    write_ip(flow.server.ip(), json)?;
    json.raw(br#"","connection":""#);
    json.number(flow.client.port.into());
    json.raw(br#"","_time":""#);
    json.raw(&Rfc3339(http.time()).text());
    json.raw(br#"","_flow":""#);
    json.raw(&FlowName(flow.id).text());
    json.raw(br#"","_index":"#);
    json.number(http.index.into());
    of_flow(flow, json)?;
    json.raw(br#","_timing_us":"#);
    timings.write_known(json);
    if !http.informational.is_empty() {
        json.raw(br#","_informational":"#);
        json.list(http.informational.iter().map(InterimRecord::from))?;
    }
    trouble(http.network, json);
    if !http.anomalies.is_empty() {
        json.raw(br#","_anomalies":"#);
        json.list(http.anomalies.iter())?;
    }
    json.raw(b"}");
    Ok(())
}

fn of_flow(flow: &FlowInfo, json: &mut Json<'_>) -> fmt::Result {
    let (iface, _, netns) = place(flow);
    for (key, text) in [(&br#","_iface":"#[..], iface), (br#","_netns":"#, netns)] {
        if text.is_some() {
            json.raw(key);
            json.text_or_null(text);
        }
    }
    json.raw(br#","_client":{"ip":""#);
    write_end(flow.client, json)?;
    json.raw(br#","_server":{"ip":""#);
    write_end(flow.server, json)?;
    if flow.owner.is_none() {
        return Ok(());
    }
    json.raw(br#","_local":"#);
    json.record(&owner::local(flow))?;
    json.raw(br#","_cgroup":"#);
    json.text_or_null(owner::cgroup(flow));
    json.raw(br#","_container":"#);
    json.text_or_null(owner::container(flow));
    json.raw(br#","_process":"#);
    json.record(&owner::process(flow))
}

/// What the network did, where it did something.
fn trouble(network: Network, json: &mut Json<'_>) {
    let (to_server, to_client) = (network.to_server, network.to_client);
    let kinds = [
        (&br#","_retransmitted":"#[..], to_server.retransmitted, to_client.retransmitted),
        (br#","_out_of_order":"#, to_server.out_of_order, to_client.out_of_order),
    ];
    for (key, to_server, to_client) in kinds {
        if (to_server, to_client) != (0, 0) {
            json.raw(key);
            json.raw(br#"{"to_server":"#);
            json.number(to_server.into());
            json.raw(br#","to_client":"#);
            json.number(to_client.into());
            json.raw(b"}");
        }
    }
}
