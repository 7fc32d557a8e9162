//! What is said of exchanges, messages and flows, in a word or a few.

use std::borrow::Cow;

use crate::event::{End, Owner};
use crate::flow::CloseReason;
use crate::http::websocket::{self, Opcode};
use crate::http::{Body, Length, Message, Network, State};
use crate::notation::escape::visible;
use crate::output::Screen;
use crate::output::terminal::width;
use crate::segment::Endpoint;
use crate::stream::{self, Disorder};

/// What a message of a WebSocket is.
pub(super) fn opcode(opcode: Opcode) -> Cow<'static, str> {
    Cow::Borrowed(match opcode {
        Opcode::Continuation => "continuation",
        Opcode::Text => "text",
        Opcode::Binary => "binary",
        Opcode::Close => "close",
        Opcode::Ping => "ping",
        Opcode::Pong => "pong",
        Opcode::Reserved(bits) => return Cow::Owned(format!("opcode {bits}")),
    })
}

/// The content of a message, as far as it is there.
pub(super) fn quoted(message: &websocket::Message, screen: Screen) -> Option<String> {
    let (content, len) = (&message.content, message.content.len());
    if content.is_empty() {
        return None;
    }
    let cut = if message.truncated { screen.ellipsis() } else { "" };
    Some(match message.opcode {
        Opcode::Text | Opcode::Close => format!("\"{}{cut}\"", visible(content)),
        _ if std::str::from_utf8(content).is_ok() => format!("\"{}{cut}\"", visible(content)),
        _ => format!("({len} bytes that are not text)"),
    })
}

/// Whose socket the local end is: `server: nginx (1234) in /system.slice/nginx.service`.
pub(super) fn owned(owner: &Owner) -> String {
    let end = match owner.end {
        End::Client => "client",
        End::Server => "server",
    };
    let process = owner.process.as_ref().map_or_else(
        || "process not known".to_owned(),
        |process| {
            let pid = process.pid.map(|pid| format!(" ({pid})")).unwrap_or_default();
            format!("{}{pid}", visible(process.name.as_bytes()))
        },
    );
    let cgroup = owner.cgroup.as_ref().map(|path| format!(" in {}", visible(path.as_bytes())));
    format!("{end}: {process}{}", cgroup.unwrap_or_default())
}

/// A media type without its parameters.
pub(super) fn media_type(content_type: &[u8]) -> String {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    visible(essence.trim_ascii()).into_owned()
}

/// One end in so many columns: its address is cut before its port is.
pub(in crate::output) fn end(end: Endpoint, screen: Screen, columns: usize) -> String {
    let text = end.to_string();
    if text.len() <= columns {
        return text;
    }
    let port = format!("{}]:{}", screen.ellipsis(), end.port);
    match columns.checked_sub(width(&port)) {
        Some(room) => format!("{}{port}", text.get(..room).unwrap_or_default()),
        None => screen.cut(&text, columns).into_owned(),
    }
}

/// Why a flow ended.
pub(in crate::output) const fn closed(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Fin => "closed",
        CloseReason::Rst => "reset",
        CloseReason::Idle => "idle",
        CloseReason::Pressure => "pushed out",
        CloseReason::Reused => "reused",
        CloseReason::End => "still open",
    }
}

pub(in crate::output) fn milliseconds(nanos: u64) -> String {
    format!("{}.{:02} ms", nanos / 1_000_000, nanos / 10_000 % 100)
}

/// A time in seven columns, or more where it is very long: `0.41 ms`, `12.3 ms`, `1.05 s`.
pub(in crate::output) fn duration(nanos: u64) -> String {
    match nanos / 1_000 {
        us @ ..10_000 => format!("{}.{:02} ms", us / 1_000, us / 10 % 100),
        us @ ..100_000 => format!("{}.{} ms", us / 1_000, us / 100 % 10),
        us @ ..1_000_000 => format!("{} ms", us / 1_000),
        us @ ..10_000_000 => format!("{}.{:02} s", us / 1_000_000, us / 10_000 % 100),
        us @ ..100_000_000 => format!("{}.{} s", us / 1_000_000, us / 100_000 % 10),
        us => format!("{} s", us / 1_000_000),
    }
}

/// So many bytes in seven columns: `212 B`, `1.05 kB`, `123 MB`.
pub(in crate::output) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut unit = 1_000;
    let mut units = UNITS.iter();
    let mut name = units.next().unwrap_or(&"");
    while bytes / unit >= 1_000 {
        let Some(next) = units.next() else { break };
        (name, unit) = (next, unit * 1_000);
    }
    let (whole, thousandths) = (bytes / unit, bytes % unit / (unit / 1_000));
    match whole {
        ..10 => format!("{whole}.{:02} {name}", thousandths / 10),
        10..100 => format!("{whole}.{} {name}", thousandths / 100),
        _ => format!("{whole} {name}"),
    }
}

/// What was carried in one direction, as `count` writes numbers of bytes.
pub(super) fn carried(counters: &stream::Counters, count: fn(u64) -> String) -> String {
    let stream::Counters { bytes, gap_bytes, dropped_bytes, elided_bytes, .. } = *counters;
    let missed = Missed { lost_bytes: gap_bytes, dropped_bytes, elided_bytes };
    let notes: Vec<_> = [missed.elided(), missed.lost()].into_iter().flatten().collect();
    let seen = count(bytes + elided_bytes);
    if notes.is_empty() { seen } else { format!("{seen} ({})", notes.join(", ")) }
}

/// So many bytes, to the byte.
pub(super) fn exactly(bytes: u64) -> String {
    format!("{bytes} B")
}

/// How long a body is, as far as that is known.
pub(super) fn length(body: &Body) -> String {
    match body.length {
        Length::Counted => exactly(body.wire_bytes),
        Length::InStream(bytes) => format!("{bytes} B in the stream"),
        Length::Unknown => "? B".to_owned(),
    }
}

/// The same in seven columns, or eight with the mark of what is known roughly.
pub(super) fn short_length(body: &Body) -> String {
    match body.length {
        Length::Counted => size(body.wire_bytes),
        Length::InStream(bytes) => format!("~{}", size(bytes)),
        Length::Unknown => "? B".to_owned(),
    }
}

/// Bytes that are not here.
#[derive(Clone, Copy)]
pub(super) struct Missed {
    pub(super) lost_bytes: u64,
    pub(super) dropped_bytes: u64,
    pub(super) elided_bytes: u64,
}

impl Missed {
    pub(super) const fn of<H>(message: &Message<H>) -> Self {
        let Message { lost_bytes, dropped_bytes, elided_bytes, .. } = *message;
        Self { lost_bytes, dropped_bytes, elided_bytes }
    }

    fn lost(self) -> Option<String> {
        let Self { lost_bytes, dropped_bytes, .. } = self;
        match (lost_bytes - dropped_bytes, dropped_bytes) {
            (0, 0) => None,
            (unseen, 0) => Some(format!("{unseen} B not seen")),
            (0, dropped) => Some(format!("{dropped} B dropped")),
            (unseen, dropped) => Some(format!("{unseen} B not seen, {dropped} B dropped")),
        }
    }

    fn elided(self) -> Option<String> {
        (self.elided_bytes > 0).then(|| format!("{} B left in the kernel", self.elided_bytes))
    }
}

/// What the network did to an exchange, if it did anything.
pub(super) fn network(network: Network) -> Option<String> {
    let of = |count: fn(Disorder) -> u32| count(network.to_server) + count(network.to_client);
    let (again, late) = (of(|it| it.retransmitted), of(|it| it.out_of_order));
    (again + late > 0).then(|| format!("[{again} segments sent again, {late} late]"))
}

/// What is to be said of a message that was not seen whole.
pub(super) fn note(which: &str, state: State, missed: Missed) -> Option<String> {
    match state {
        State::Complete => None,
        State::Gap => Some(format!("[{which}: {}]", missed.lost().unwrap_or_default())),
        State::Elided => Some(format!("[{which}: {}]", missed.elided().unwrap_or_default())),
        State::Cut => Some(format!("[{which} cut off]")),
        State::Midstream => Some(format!("[{which} had begun before]")),
        State::Open => Some(format!("[{which} still going]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_take_seven_columns() {
        let sizes = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (9_999, "9.99 kB"),
            (10_000, "10.0 kB"),
            (123_456, "123 kB"),
            (999_999, "999 kB"),
            (1_000_000, "1.00 MB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
        let times = [
            (0, "0.00 ms"),
            (412_345, "0.41 ms"),
            (9_999_999, "9.99 ms"),
            (12_345_678, "12.3 ms"),
            (999_999_999, "999 ms"),
            (1_050_000_000, "1.05 s"),
            (61_500_000_000, "61.5 s"),
            (3_600_000_000_000, "3600 s"),
        ];
        for (nanos, text) in times {
            assert_eq!(duration(nanos), text);
        }
    }
}
