//! Bytes as operations on an engine: segments of a few flows, near what is expected next or far
//! from it, with time that passes, stands or goes back.

use capture_agent::engine::Settings;
use capture_agent::http::HttpRules;
use capture_agent::http::head::HeadRules;
use capture_agent::segment::{Endpoint, IfaceId, Missing, Segment, SeqNum, TcpFlags, Timestamp};
use capture_agent::selection::PortSet;
use capture_agent::stream::{Deliver, Overlap, Rules};

use super::cursor::Cursor;
use super::warden::Warden;

/// Pieces of HTTP, so that the fuzzer need not find them out.
const WORDS: [&[u8]; 12] = [
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
    b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HEAD /d HTTP/1.0\r\n\r\n",
    b"CONNECT h:443 HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\n\r\n",
    b"4\r\nabcd\r\n0\r\n\r\n",
    b"\r\n",
];

const START_NS: u64 = 1_000_000_000;

/// The longest payload that is made up.
const MAX_FILLER: usize = 4096;

pub(crate) fn run(data: &[u8]) {
    let told = play(data);
    // Only now and then: it costs as much again.
    if data.first().is_some_and(|byte| byte & 0x07 == 0x07) {
        assert_eq!(told, play(data), "the same segments give the same events");
    }
}

/// Plays the operations; returns a hash of all that was told.
pub(crate) fn play(data: &[u8]) -> u64 {
    let mut cursor = Cursor(data);
    cursor.u8();
    let mut warden = Warden::new(settings(&mut cursor));
    let mut players = [[End::default(); 2]; 4];
    let mut now = START_NS;
    while !cursor.is_empty() {
        let action = cursor.u8();
        if action & 0x0f == 0x0f {
            now = now.saturating_add(cursor.magnitude(40));
            warden.advance(Timestamp(now));
        } else {
            let [flow, speaker] = [action & 3, action >> 2 & 1].map(usize::from);
            say(&mut cursor, &mut warden, &mut players[flow], (flow, speaker), action, &mut now);
        }
    }
    warden.finish().told
}

/// What one end of a flow has said, so that the next may be near.
#[derive(Clone, Copy, Default)]
struct End {
    next: u32,
}

fn say(
    cursor: &mut Cursor<'_>,
    warden: &mut Warden,
    ends: &mut [End; 2],
    (flow, speaker): (usize, usize),
    action: u8,
    now: &mut u64,
) {
    let how = cursor.u8();
    let flags = cursor.u8();
    let next = ends[speaker].next;
    let seq = near(cursor, how & 7, next);
    let ack = near(cursor, how >> 3 & 7, ends[1 - speaker].next);
    let filler: Vec<u8>;
    let payload = match how >> 6 {
        0 => &[][..],
        1 => cursor.choice(&WORDS),
        2 => {
            let len = usize::from(cursor.u8()) % 64;
            cursor.bytes(len)
        }
        _ => {
            let (len, salt) = (usize::from(cursor.u16()) % MAX_FILLER, cursor.u8() & 1);
            // The same byte at the same place, unless a copy shall differ.
            filler = (0..len).map(|n| (seq as usize).wrapping_add(n) as u8 ^ salt).collect();
            &filler
        }
    };
    let unseen = if action & 0x80 == 0 { 0 } else { cursor.magnitude(18) as u32 };
    let time = if action & 0x40 == 0 {
        *now = now.saturating_add(u64::from(cursor.u8()) << 16);
        *now
    } else {
        now.saturating_sub(cursor.magnitude(36))
    };
    let addresses = [Endpoint::v4([10, 0, 0, 1], 80), Endpoint::v4([10, 0, 0, 2], 1_024)];
    let mut both = addresses;
    both[1].port += (flow / 2) as u16;
    // Flows that differ by their address alone, and by their port alone.
    both[1].addr = Endpoint::v4([10, 0, 0, 2 + (flow % 2) as u8], 0).addr;
    let wire_len = payload.len() as u32 + unseen;
    // By bits that mean nothing else here.
    let missing = match flags >> 6 {
        1 => Missing::Elided,
        2 => Missing::Dropped,
        _ => Missing::Unseen,
    };
    let flags = TcpFlags(flags);
    let segment = Segment {
        time: Timestamp(time),
        iface: IfaceId(u32::from(action >> 4 & 3).min(1)),
        src: both[speaker],
        dst: both[1 - speaker],
        seq: SeqNum(seq),
        ack: SeqNum(ack),
        flags,
        window: 0,
        payload,
        wire_len,
        missing,
        cgroup: 0,
    };
    ends[speaker].next = seq.wrapping_add(segment.seq_len());
    warden.segment(&segment);
}

fn near(cursor: &mut Cursor<'_>, how: u8, next: u32) -> u32 {
    match how {
        0 | 1 => next,
        2 => next.wrapping_sub(1),
        3 => next.wrapping_add(cursor.u8().into()),
        4 => next.wrapping_sub(cursor.u8().into()),
        5 => next.wrapping_add(cursor.u16().into()),
        6 => next.wrapping_sub(cursor.u16().into()),
        _ => next.wrapping_add(cursor.u32()),
    }
}

fn settings(cursor: &mut Cursor<'_>) -> Settings {
    Settings {
        flow_timeout_ns: cursor.magnitude(40),
        linger_ns: cursor.magnitude(36),
        max_flows: cursor.choice(&[1_000, 3, 2, 1]),
        memory_limit: cursor.choice(&[1 << 30, 1 << 20, 16 << 10, 4 << 10, 1 << 9, 0]),
        stream: Rules {
            held_bytes: cursor.choice(&[16 << 20, 64 << 10, 4 << 10, 512, 100, 0]),
            hole_ns: cursor.magnitude(36),
            overlap: cursor.choice(&[Overlap::First, Overlap::Last]),
            deliver: cursor.choice(&[Deliver::InOrder, Deliver::Acked]),
        },
        http: HttpRules {
            head: HeadRules {
                max_bytes: cursor.choice(&[64 << 10, 64, 16]),
                max_headers: cursor.choice(&[256, 1]),
                ..HeadRules::default()
            },
            keep_body_bytes: cursor.choice(&[0, 64 << 10, 3]),
            ..HttpRules::default()
        },
        server_ports: PortSet::any(),
        unacknowledged_bytes: cursor.choice(&[None, Some(1_000), Some(0)]),
    }
}
