//! When an entry began, and where its time went.
//!
//! HAR's timings are milliseconds, one after the other from `startedDateTime` on, and `time` is their
//! sum. The connection is made before a request is sent, so an entry that has `connect` starts so
//! much before the first byte of its request. `send`, `wait` and `receive` are -1 where they are not
//! known, as Playwright has them, though HAR would have them be something else.

use crate::http::{self, Timing};
use crate::output::json::Json;
use crate::segment::Timestamp;

/// Durations in microseconds, `None` where they are not known.
pub(super) struct Timings {
    pub(super) start: Timestamp,
    connect: Option<u64>,
    send: Option<u64>,
    wait: Option<u64>,
    receive: Option<u64>,
    total: Option<u64>,
}

impl Timings {
    pub(super) fn of(exchange: &http::Exchange) -> Self {
        let Timing { connect_ns, request_ns, wait_ns, response_ns, total_ns } = exchange.timing;
        let micros = |nanos: Option<u64>| nanos.map(|nanos| nanos / 1_000);
        let before = connect_ns.unwrap_or_default();
        Self {
            start: Timestamp(exchange.time().as_nanos().saturating_sub(before)),
            connect: micros(connect_ns),
            send: micros(request_ns),
            wait: micros(wait_ns),
            receive: micros(response_ns),
            total: micros(total_ns),
        }
    }

    /// What is known of them together.
    pub(super) fn sum_us(&self) -> u64 {
        [self.connect, self.send, self.wait, self.receive].into_iter().flatten().sum()
    }

    /// Adds them as HAR has them.
    pub(super) fn write(&self, json: &mut Json<'_>) {
        json.raw(br#"{"blocked":-1,"dns":-1,"connect":"#);
        millis_or_unknown(self.connect, json);
        json.raw(br#","send":"#);
        millis_or_unknown(self.send, json);
        json.raw(br#","wait":"#);
        millis_or_unknown(self.wait, json);
        json.raw(br#","receive":"#);
        millis_or_unknown(self.receive, json);
        json.raw(br#","ssl":-1}"#);
    }

    /// Adds them as JSON Lines have them.
    pub(super) fn write_known(&self, json: &mut Json<'_>) {
        json.raw(br#"{"connect_us":"#);
        json.number_or_null(self.connect);
        json.raw(br#","request_us":"#);
        json.number_or_null(self.send);
        json.raw(br#","wait_us":"#);
        json.number_or_null(self.wait);
        json.raw(br#","response_us":"#);
        json.number_or_null(self.receive);
        json.raw(br#","total_us":"#);
        json.number_or_null(self.total);
        json.raw(b"}");
    }
}

fn millis_or_unknown(micros: Option<u64>, json: &mut Json<'_>) {
    match micros {
        Some(micros) => millis(micros, json),
        None => json.raw(b"-1"),
    }
}

/// Adds a time in milliseconds, to the microsecond.
pub(super) fn millis(micros: u64, json: &mut Json<'_>) {
    json.number(micros / 1_000);
    let fraction = (micros % 1_000) as u16;
    if fraction > 0 {
        let digit = |number: u16| b'0' + (number % 10) as u8;
        json.raw(&[b'.', digit(fraction / 100), digit(fraction / 10), digit(fraction)]);
    }
}
