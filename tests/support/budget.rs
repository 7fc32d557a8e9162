//! What the kernel half's budget makes of segments: past so many bytes of a direction since the
//! other side last spoke they stay, and a notice tells of them before anything else is handed over.
#![allow(dead_code, reason = "each test target uses a part")]

use capture_agent::segment::Missing;

use super::pcap::{ACK, FIN, RST, SYN};
use super::peers::{MS, Seen};

/// While it lasts, what is left out is told this often.
const HEARTBEAT_NS: u64 = 1_000 * MS;

/// One direction, by the port that sends.
#[derive(Default)]
struct Side {
    /// Sequence number of the first new byte since the other side last spoke.
    turn: Option<u32>,
    /// Sequence number after the last byte that was seen, or after SYN.
    end: Option<u32>,
    /// What was left out and not told yet: a notice.
    left_out: Option<Seen>,
    told_at: u64,
}

/// What is handed over of these segments, of one flow, where a turn may take up so many bytes.
pub(crate) fn within(budget: u32, why: Missing, seen: &[Seen]) -> Vec<Seen> {
    let client = seen.first().map(|seen| seen.tcp.src);
    let mut sides = [Side::default(), Side::default()];
    let mut out = Vec::new();
    let mut handshake_ack = false;
    for seen in seen {
        let who = usize::from(Some(seen.tcp.src) != client);
        let (flags, len) = (seen.tcp.flags, seen.tcp.payload.len() as u32);
        let end = seen.tcp.seq.wrapping_add(len);
        if len == 0 && flags & (SYN | FIN | RST) == 0 {
            let owed = sides[1 - who].left_out.as_ref();
            let has_all = |notice: &Seen| seen.tcp.ack == end_of(notice);
            if owed.is_some_and(has_all) {
                out.extend(sides[1 - who].left_out.take());
            }
            if who == 0 && std::mem::take(&mut handshake_ack) {
                out.push(seen.clone());
            }
            continue;
        }
        // The one that completes it, and no later one in its place.
        handshake_ack = flags & (SYN | ACK) == SYN | ACK || (handshake_ack && who == 1);
        let mut seen = seen.clone();
        if len > 0 {
            sides[1 - who].turn = None;
            let side = &mut sides[who];
            // What is sent again is of an earlier turn.
            let first = side.end.filter(|end| end.wrapping_sub(seen.tcp.seq).cast_signed() > 0);
            let turn = *side.turn.get_or_insert(first.unwrap_or(seen.tcp.seq));
            let is_news = |known: &u32| end.wrapping_sub(*known).cast_signed() > 0;
            side.end = Some(side.end.filter(|known| !is_news(known)).unwrap_or(end));
            let spent = seen.tcp.seq.wrapping_sub(turn).cast_signed();
            let allowed = (i64::from(budget) - i64::from(spent)).clamp(0, len.into()) as usize;
            if allowed < len as usize {
                seen.leave_out(allowed, why);
            }
            if allowed == 0 && flags & (SYN | FIN | RST) == 0 {
                let side = &mut sides[who];
                match &mut side.left_out {
                    Some(notice) if end_of(notice) == seen.tcp.seq => {
                        notice.left_out = end.wrapping_sub(notice.tcp.seq);
                        (notice.time, notice.tcp.ack) = (seen.time, seen.tcp.ack);
                    }
                    // The kernel half tells of both as one; where there is a hole, that is two.
                    notice => {
                        out.extend(notice.take());
                        side.told_at = seen.time;
                        seen.tcp.flags = ACK;
                        *notice = Some(seen.clone());
                    }
                }
                if seen.time >= side.told_at + HEARTBEAT_NS {
                    side.told_at = seen.time;
                    out.extend(side.left_out.take());
                }
                continue;
            }
        }
        let mut notices: Vec<_> =
            sides.iter_mut().filter_map(|side| side.left_out.take()).collect();
        notices.sort_by_key(|notice| notice.time);
        out.extend(notices);
        out.push(seen);
    }
    let mut notices: Vec<_> = sides.into_iter().filter_map(|side| side.left_out).collect();
    notices.sort_by_key(|notice| notice.time);
    out.extend(notices);
    out
}

fn end_of(seen: &Seen) -> u32 {
    seen.tcp.seq.wrapping_add(seen.tcp.payload.len() as u32).wrapping_add(seen.left_out)
}
