//! What the outputs wrote, and what waits for them.

use std::fmt;

use prometheus_client::registry::Unit;

use super::exchanges::{EXCHANGE, FLOW, OPENED, WEBSOCKET};
use super::{Families, Snapshot};
use crate::event::{Counts, Written};
use crate::output::QueueDepth;

pub(super) fn write(snapshot: &Snapshot, families: &mut Families<'_>) -> fmt::Result {
    let written = &snapshot.stats.written;
    let events = written.iter().flat_map(events);
    let help = "Events that came to an output: written, left out as not for it, or lost as it could \
                not be written.";
    families.counters("output_events", help, None, events)?;
    let bytes = written.iter().map(|it| ([("output", it.output.as_str())], it.bytes));
    families.counters("output", "What was written.", Some(Unit::Bytes), bytes)?;
    let errors = written.iter().filter_map(|it| Some((it, it.errors?)));
    let errors = errors.map(|(it, errors)| ([("output", it.output.as_str())], errors));
    families.counters("script_errors", "How often a script has failed.", None, errors)?;
    files(written, families)?;
    let recorded = snapshot.stats.recorded.iter().flat_map(|it| {
        let results = [("written", it.segments), ("dropped", it.dropped), ("failed", it.failed)];
        results.map(|(result, count)| ([("output", it.output.as_str()), ("result", result)], count))
    });
    let help = "Segments that a recording was given: written, dropped as it could not keep up, or failed as \
                it could not be written.";
    families.counters("recording_segments", help, None, recorded)?;
    queues(&snapshot.queues, families)
}

fn events(written: &Written) -> impl Iterator<Item = ([(&'static str, &str); 3], u64)> {
    let Written { exchanges, flows, messages, raw, left_out, lost, .. } = written;
    let done = Counts {
        exchanges: *exchanges,
        flows: *flows,
        messages: *messages,
        raw: raw.unwrap_or_default(),
        ..Counts::default()
    };
    let results = [("written", done), ("left_out", *left_out), ("lost", *lost)];
    results.into_iter().flat_map(move |(result, counts)| {
        let opened = raw.map(|_| (OPENED, counts.raw.opened));
        let all =
            [(EXCHANGE, counts.exchanges), (WEBSOCKET, counts.messages), (FLOW, counts.flows)];
        all.into_iter().chain(opened).map(move |(event, count)| {
            ([("output", written.output.as_str()), ("event", event), ("result", result)], count)
        })
    })
}

fn files(written: &[Written], families: &mut Families<'_>) -> fmt::Result {
    let saved = || written.iter().filter_map(|it| Some((it.output.as_str(), it.files?)));
    let files = saved().flat_map(|(output, files)| {
        let states =
            [("whole", files.whole), ("partial", files.partial), ("removed", files.removed)];
        states.map(|(state, count)| ([("output", output), ("state", state)], count))
    });
    families.counters("payload_files", "Files of --save-bodies.", None, files)?;
    let bytes = saved().flat_map(|(output, files)| {
        let results = [("written", files.content_bytes), ("failed", files.failed_bytes)];
        results.map(|(result, count)| ([("output", output), ("result", result)], count))
    });
    families.counters("payload_file", "What they were given.", Some(Unit::Bytes), bytes)
}

fn queues(queues: &[QueueDepth], families: &mut Families<'_>) -> fmt::Result {
    let name = |queue: &QueueDepth| [("queue", queue.name)];
    let events = queues.iter().filter_map(|it| Some((name(it), it.events?)));
    families.gauges("queue_events", "Events that wait to be written.", None, events)?;
    let limit = queues.iter().filter_map(|it| Some((name(it), it.max_events?)));
    families.gauges("queue_events_limit", "How many may.", None, limit)?;
    let bytes = queues.iter().map(|it| (name(it), it.bytes));
    families.gauges("queue", "What waits to be written.", Some(Unit::Bytes), bytes)?;
    let limit = queues.iter().map(|it| (name(it), it.max_bytes));
    families.gauges("queue_limit", "How much may.", Some(Unit::Bytes), limit)
}
