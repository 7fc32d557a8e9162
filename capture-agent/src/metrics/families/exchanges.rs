//! Exchanges by class and method, how long they took, and what was made of events.

use std::fmt;

use prometheus_client::registry::Unit;

use super::{Families, Labels};
use crate::event::Stats;

pub(super) fn write(stats: &Stats, families: &mut Families<'_>) -> fmt::Result {
    let exchanges = stats.http.exchanges().map(|(class, method, count)| {
        let labels: Labels<'_, 2> = [("method", method.name()), ("status", class.name())];
        (labels, count)
    });
    let help = "Exchanges that filters and --count let through, by method and status class.";
    families.counters("http_exchanges", help, None, exchanges)?;
    let help = "From the first byte of the request to the last one of the response.";
    families.histogram("http_exchange_duration", help, &stats.http.total)?;
    let help = "From the last byte of the request to the first one of the response.";
    families.histogram("http_response_wait", help, &stats.http.wait)?;
    let left_out =
        [("filtered", stats.dropped.filtered), ("beyond_count", stats.dropped.beyond_count)];
    let left_out = left_out.map(|(why, count)| ([("reason", why)], count));
    let help = "Exchanges that filters or --count left out.";
    families.counters("http_exchanges_left_out", help, None, left_out)?;
    let help = "Of those filtered out, those that --where has no value for.";
    families.counter("http_exchanges_undecided", help, stats.dropped.undecided)?;
    events(stats, families)
}

/// What was made, and what of it was kept from the outputs.
fn events(stats: &Stats, families: &mut Families<'_>) -> fmt::Result {
    let (engine, dropped) = (&stats.engine, &stats.dropped);
    let has_raw = stats.written.iter().any(|written| written.raw.is_some());
    let opened = |count: u64| has_raw.then_some((OPENED, count));
    let gone = engine.flows_closed.iter().sum();
    let made = [(EXCHANGE, engine.exchanges), (WEBSOCKET, engine.messages), (FLOW, gone)];
    let made = made.into_iter().chain(opened(stats.raw.opened));
    let made = made.map(|(event, count)| ([("event", event)], count));
    families.counters("events_made", "Events that came out of the engine.", None, made)?;
    let unwanted = [
        (EXCHANGE, dropped.unwanted + dropped.filtered),
        (WEBSOCKET, dropped.unwanted_messages),
        (FLOW, dropped.unwanted_flows),
    ];
    let unwanted = unwanted.map(|(event, count)| ([("event", event)], count));
    let help = "Those that were not asked for: not among --events, filtered out, beyond --count.";
    families.counters("events_unwanted", help, None, unwanted)?;
    let lost =
        [(EXCHANGE, dropped.exchanges), (WEBSOCKET, dropped.messages), (FLOW, dropped.flows)];
    let lost = lost.into_iter().chain(opened(dropped.raw.opened));
    let lost = lost.map(|(event, count)| ([("event", event)], count));
    let help = "Those that were dropped because the outputs could not keep up.";
    families.counters("events_dropped", help, None, lost)?;
    let script = has_raw.then_some([
        ([("result", "made")], stats.raw.data_bytes),
        ([("result", "dropped")], dropped.raw.data_bytes),
    ]);
    let help =
        "What was said on flows, for scripts: all of it, and what they could not keep up with.";
    families.counters("script_data", help, Some(Unit::Bytes), script.into_iter().flatten())?;
    let saves = stats.written.iter().any(|written| written.files.is_some());
    let bodies = saves.then_some([
        ([("result", "made")], engine.content_bytes),
        ([("result", "dropped")], dropped.content_bytes),
        ([("result", "unwanted")], dropped.unwanted_content_bytes),
    ]);
    let help = "Bodies for --save-bodies: all of them, and what was dropped or not asked for.";
    families.counters("saved_bodies", help, Some(Unit::Bytes), bodies.into_iter().flatten())
}

pub(super) const EXCHANGE: &str = "exchange";
pub(super) const WEBSOCKET: &str = "websocket";
pub(super) const FLOW: &str = "flow";
pub(super) const OPENED: &str = "opened_flow";
