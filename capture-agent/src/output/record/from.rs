//! Events as records.

use super::*;
use crate::event::{self, Event};
use crate::flow::{CloseReason, Direction};
use crate::http::head::{Head, RequestHead, ResponseHead};
use crate::http::{self, Message, form};
use crate::notation::escape::lossless;
use crate::notation::version;
pub(super) use crate::notation::{content, encoding};
use crate::segment::{Endpoint, Missing};
use crate::stream::{self, Disorder};

impl<'a> Record<'a> {
    /// The record of an event, if it has one.
    #[must_use]
    pub fn of(event: &'a Event) -> Option<Self> {
        Some(match event {
            Event::Exchange(exchange) => Self::Exchange(ExchangeRecord::from(&**exchange)),
            Event::WebSocket(message) => Self::WebSocket(WebSocketRecord::from(&**message)),
            Event::Flow(summary) => Self::Flow(FlowRecord::from(&**summary)),
            Event::Stats(stats) => Self::Stats(StatsRecord::from(&**stats)),
            Event::Content(_) | Event::Opened(_) | Event::Data(_) => return None,
        })
    }
}

impl<'a> From<&'a event::Exchange> for ExchangeRecord<'a> {
    fn from(exchange: &'a event::Exchange) -> Self {
        let http = &exchange.http;
        Self {
            request: http.request.as_ref().map(RequestRecord::from),
            response: http.response.as_ref().map(ResponseRecord::from),
            ..Self::outline(exchange)
        }
    }
}

impl<'a> ExchangeRecord<'a> {
    /// All but the two messages.
    pub(crate) fn outline(exchange: &'a event::Exchange) -> Self {
        let (flow, http) = (&exchange.flow, &exchange.http);
        let (iface, ifindex, netns) = place(flow);
        Self {
            time: Rfc3339(http.time()),
            flow: FlowName(flow.id),
            index: http.index,
            iface,
            ifindex,
            netns,
            client: flow.client.into(),
            server: flow.server.into(),
            local: owner::local(flow),
            cgroup: owner::cgroup(flow),
            container: owner::container(flow),
            process: owner::process(flow),
            request: None,
            response: None,
            informational: http.informational.iter().map(InterimRecord::from).collect(),
            timing: (&http.timing).into(),
            retransmitted: TroubleRecord::new(http.network, |disorder| disorder.retransmitted),
            out_of_order: TroubleRecord::new(http.network, |disorder| disorder.out_of_order),
            anomalies: http.anomalies.iter().collect(),
        }
    }
}

/// Name, index and network namespace of the interface where a flow was first seen.
pub(in crate::output) fn place(
    flow: &event::FlowInfo,
) -> (Option<&str>, Option<u32>, Option<&str>) {
    flow.iface.as_ref().map_or((None, None, None), |iface| {
        (Some(&*iface.name), iface.ifindex, iface.netns.as_deref())
    })
}

impl From<Endpoint> for EndRecord {
    fn from(end: Endpoint) -> Self {
        Self { ip: end.ip(), port: end.port }
    }
}

impl<'a> From<&'a Message<RequestHead>> for RequestRecord<'a> {
    fn from(message: &'a Message<RequestHead>) -> Self {
        let head = message.head.head();
        Self {
            method: lossless(message.head.method()),
            target: lossless(message.head.target()),
            host: head.value("host").map(lossless),
            url: Url::of(&message.head),
            version: version(head),
            headers: Headers(head.fields()),
            head_bytes: head.len(),
            body: BodyRecord::new(head, &message.body),
            trailers: Headers(&message.trailers),
            state: message.state.into(),
            lost_bytes: some(message.lost_bytes),
            dropped_bytes: some(message.dropped_bytes),
            elided_bytes: some(message.elided_bytes),
            gaps: gaps(message, |missing| missing != Missing::Elided),
            elided: gaps(message, |missing| missing == Missing::Elided),
        }
    }
}

impl<'a> From<&'a Message<ResponseHead>> for ResponseRecord<'a> {
    fn from(message: &'a Message<ResponseHead>) -> Self {
        let head = message.head.head();
        Self {
            status: message.head.status(),
            reason: lossless(message.head.reason()),
            version: version(head),
            headers: Headers(head.fields()),
            head_bytes: head.len(),
            body: BodyRecord::new(head, &message.body),
            trailers: Headers(&message.trailers),
            state: message.state.into(),
            lost_bytes: some(message.lost_bytes),
            dropped_bytes: some(message.dropped_bytes),
            elided_bytes: some(message.elided_bytes),
            gaps: gaps(message, |missing| missing != Missing::Elided),
            elided: gaps(message, |missing| missing == Missing::Elided),
        }
    }
}

impl<'a> From<&'a ResponseHead> for InterimRecord<'a> {
    fn from(response: &'a ResponseHead) -> Self {
        let head = response.head();
        Self {
            status: response.status(),
            reason: lossless(response.reason()),
            version: version(head),
            headers: Headers(head.fields()),
            head_bytes: head.len(),
        }
    }
}

/// A count that is left out where it is nothing.
pub(super) fn some(bytes: u64) -> Option<u64> {
    (bytes > 0).then_some(bytes)
}

pub(in crate::output) fn gaps<H>(
    message: &Message<H>,
    are_listed: impl Fn(Missing) -> bool,
) -> Vec<GapRecord> {
    let gaps = message.gaps.iter().filter(|gap| are_listed(gap.missing));
    gaps.map(GapRecord::from).collect()
}

impl From<&http::Gap> for GapRecord {
    fn from(gap: &http::Gap) -> Self {
        let place = match gap.place {
            http::Place::Head => PlaceRecord::Head,
            http::Place::Body => PlaceRecord::Body,
        };
        Self { place, offset: gap.offset, bytes: gap.bytes }
    }
}

impl<'a> BodyRecord<'a> {
    fn new(head: &'a Head, body: &'a http::Body) -> Self {
        let kept = Kept { bytes: &body.content, truncated: body.truncated };
        Self {
            wire_bytes: (body.length == http::Length::Counted).then_some(body.wire_bytes),
            sequence_bytes: match body.length {
                http::Length::InStream(bytes) => Some(bytes),
                http::Length::Counted | http::Length::Unknown => None,
            },
            bytes: body.bytes,
            content_type: head.value("content-type").map(lossless),
            encoding: encoding(head),
            decoded: body.decoded,
            text: KeptText(kept),
            base64: KeptBase64(kept),
            truncated: body.truncated,
            form: body.form.as_ref().map(|fields| fields.iter().map(FieldRecord::from).collect()),
        }
    }
}

impl<'a> From<&'a form::Field> for FieldRecord<'a> {
    fn from(field: &'a form::Field) -> Self {
        let (text, base64) = content(&field.value, field.truncated);
        Self {
            name: lossless(&field.name),
            filename: field.filename.as_deref().map(lossless),
            content_type: field.content_type.as_deref().map(lossless),
            bytes: field.bytes,
            text,
            base64,
            truncated: field.truncated,
            complete: field.complete,
        }
    }
}

impl From<http::State> for StateRecord {
    fn from(state: http::State) -> Self {
        match state {
            http::State::Complete => Self::Complete,
            http::State::Gap => Self::Gap,
            http::State::Elided => Self::Elided,
            http::State::Cut => Self::Cut,
            http::State::Midstream => Self::Midstream,
            http::State::Open => Self::Open,
        }
    }
}

impl From<&http::Timing> for TimingRecord {
    fn from(timing: &http::Timing) -> Self {
        let micros = |nanos: Option<u64>| nanos.map(|nanos| nanos / 1_000);
        Self {
            connect_us: micros(timing.connect_ns),
            request_us: micros(timing.request_ns),
            wait_us: micros(timing.wait_ns),
            response_us: micros(timing.response_ns),
            total_us: micros(timing.total_ns),
        }
    }
}

impl TroubleRecord {
    fn new(network: http::Network, count: impl Fn(Disorder) -> u32) -> Self {
        Self { to_server: count(network.to_server), to_client: count(network.to_client) }
    }
}

impl<'a> From<&'a http::Tunnel> for TunnelRecord<'a> {
    fn from(tunnel: &'a http::Tunnel) -> Self {
        let unread = [
            (tunnel.to_server_unread, WayRecord::ToServer),
            (tunnel.to_client_unread, WayRecord::ToClient),
        ];
        Self {
            protocol: lossless(&tunnel.protocol),
            to_server_bytes: tunnel.to_server_bytes,
            to_client_bytes: tunnel.to_client_bytes,
            messages: tunnel.messages,
            unread: unread.into_iter().filter_map(|(is, way)| is.then_some(way)).collect(),
        }
    }
}

impl From<Direction> for WayRecord {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::ToServer => Self::ToServer,
            Direction::ToClient => Self::ToClient,
        }
    }
}

impl<'a> From<&'a event::FlowSummary> for FlowRecord<'a> {
    fn from(summary: &'a event::FlowSummary) -> Self {
        let (iface, ifindex, netns) = place(&summary.flow);
        Self {
            flow: FlowName(summary.flow.id),
            number: summary.flow.number,
            iface,
            ifindex,
            netns,
            client: summary.flow.client.into(),
            server: summary.flow.server.into(),
            local: owner::local(&summary.flow),
            cgroup: owner::cgroup(&summary.flow),
            container: owner::container(&summary.flow),
            process: owner::process(&summary.flow),
            start: Rfc3339(summary.start),
            end: Rfc3339(summary.end),
            last_activity: Rfc3339(summary.last_activity),
            close: summary.close.into(),
            to_server: (&summary.to_server).into(),
            to_client: (&summary.to_client).into(),
            exchanges: summary.exchanges,
            tunnel: summary.tunnel.as_ref().map(TunnelRecord::from),
        }
    }
}

impl From<CloseReason> for CloseRecord {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Fin => Self::Fin,
            CloseReason::Rst => Self::Rst,
            CloseReason::Idle => Self::Idle,
            CloseReason::Pressure => Self::Pressure,
            CloseReason::Reused => Self::Reused,
            CloseReason::End => Self::End,
        }
    }
}

impl From<&stream::Counters> for DirectionRecord {
    fn from(counters: &stream::Counters) -> Self {
        Self {
            segments: counters.segments,
            bytes: counters.bytes,
            retransmitted_bytes: counters.retransmitted_bytes,
            conflicting_bytes: counters.conflicting_bytes,
            out_of_order: counters.out_of_order,
            gap_bytes: counters.gap_bytes,
            dropped_bytes: counters.dropped_bytes,
            elided_bytes: counters.elided_bytes,
        }
    }
}
