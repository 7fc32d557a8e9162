//! Peers over bad networks, watched from the middle: what both ends know to have been said comes
//! out, and what the tap missed is named.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use capture_agent::engine::Settings;
use capture_agent::flow::CloseReason;
use capture_agent::http::State;
use capture_agent::segment::{Endpoint, Missing, Timestamp};
use capture_agent::stream::Counters;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::budget::within;
use crate::support::fuzz::warden::{Heard, Record, Warden};
use crate::support::network::{Conditions, Connection, Dice, Script, Tapped};
use crate::support::pcap::{ACK, FIN};
use crate::support::peers::{MS, START, Seen, line, settings};

/// Nothing is given up by time: only acknowledgements tell of a loss.
fn patient() -> Settings {
    let mut settings = Settings { flow_timeout_ns: u64::MAX, ..settings() };
    settings.stream.hole_ns = u64::MAX;
    settings
}

fn conditions(unseen: u64) -> impl Strategy<Value = Conditions> {
    let jitter_ns = prop_oneof![Just(0), Just(MS), Just(50 * MS), Just(150 * MS)];
    let unseen = if unseen == 0 { Just(0).boxed() } else { (0..=unseen).boxed() };
    (0..30_u64, 0..30_u64, 0..20_u64, unseen, jitter_ns).prop_map(
        |(lost_before_tap, lost_after_tap, doubled, unseen, jitter_ns)| Conditions {
            lost_before_tap,
            lost_after_tap,
            doubled,
            unseen,
            jitter_ns,
        },
    )
}

/// Exchanges by the lengths of their bodies, and what they look like from outside.
fn script(exchanges: &[(usize, usize)]) -> (Script, Vec<String>) {
    let body = |len: usize, salt: usize| -> String {
        (0..len).map(|n| char::from(b'a' + ((n * 7 + n / 26 + salt) % 26) as u8)).collect()
    };
    let (mut script, mut lines) = (Script::new(), Vec::new());
    for (number, (asked, answered)) in exchanges.iter().enumerate() {
        let (question, answer) = (body(*asked, number), body(*answered, number + 1));
        let head = format!("POST /{number} HTTP/1.1\r\nContent-Length: {asked}\r\n\r\n");
        script.push([head, question.clone()].concat().into_bytes());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {answered}\r\n\r\n");
        script.push([head, answer.clone()].concat().into_bytes());
        let space = |text: &str| if text.is_empty() { "" } else { " " };
        let (before, behind) = (space(&question), space(&answer));
        lines.push(format!("POST /{number}{before}{question} -> 200{behind}{answer}"));
    }
    (script, lines)
}

fn exchanges() -> impl Strategy<Value = Vec<(usize, usize)>> {
    vec((prop_oneof![Just(0), 0..2_000_usize], prop_oneof![Just(0), 0..6_000_usize]), 1..4)
}

fn tap(number: u16, script: &Script, conditions: Conditions, seed: u64) -> Tapped {
    let client = SocketAddr::from(([10, 0, 0, 5], 50_000 + number));
    let server = SocketAddr::from(([10, 0, 0, 1], 80));
    let start = START + u64::from(number) * 70 * MS;
    let dice = Dice(seed.wrapping_add(u64::from(number)));
    Connection::new(client, server, script, conditions, dice).run(start)
}

fn guard<'a>(settings: Settings, seen: impl IntoIterator<Item = &'a Seen>) -> Record {
    let mut warden = Warden::keeping(settings);
    for seen in seen {
        warden.segment(&seen.segment());
    }
    warden.finish()
}

fn end(addr: SocketAddr) -> Endpoint {
    Endpoint::new(addr.ip(), addr.port())
}

/// What can be known at best of what one end said: each byte that passed the tap before its
/// receiver's acknowledgement did. Where that tells of one byte more than all that was seen, and
/// nothing else tells that it is no FIN, it may still pass.
fn knowable(tapped: &Tapped, who: usize) -> Vec<Heard> {
    let addr = [tapped.client, tapped.server][who];
    let said = &tapped.said[who];
    let mut known: BTreeMap<u32, bool> = BTreeMap::new();
    let (mut acknowledged, mut fin_seen) = (0, false);
    for Seen { tcp, .. } in &tapped.seen {
        if tcp.src == addr {
            let first = tcp.seq.wrapping_sub(tapped.isn[who]).max(1) - 1;
            for at in first..first + tcp.payload.len() as u32 {
                known.entry(at).or_insert(true);
            }
            fin_seen |= tcp.flags & FIN != 0;
        } else if tcp.flags & ACK != 0 {
            let ack = tcp.ack.wrapping_sub(tapped.isn[who]).max(1) - 1;
            acknowledged = acknowledged.max(ack);
        }
        let mut missed = (0..acknowledged).filter(|at| !known.contains_key(at));
        let may_be_fin = missed.next().is_some_and(|first| first + 1 == acknowledged)
            && !fin_seen
            && known.range(acknowledged..).next().is_none();
        for at in 0..acknowledged - u32::from(may_be_fin) {
            known.entry(at).or_insert(false);
        }
    }
    let byte = |(at, byte): (usize, &u8)| {
        known.get(&(at as u32)).is_some_and(|known| *known).then_some(*byte)
    };
    said.iter().enumerate().map(byte).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the network lost was sent again, and passed the tap.
    #[test]
    fn what_both_ends_have_was_heard(
        exchanges in exchanges(),
        conditions in conditions(0),
        seed in any::<u64>(),
    ) {
        let (script, lines) = script(&exchanges);
        let tapped = tap(0, &script, conditions, seed);
        let record = guard(patient(), &tapped.seen);
        prop_assert_eq!(record.exchanges.iter().map(line).collect::<Vec<_>>(), lines);
        prop_assert_eq!(record.flows.len(), 1);
        prop_assert_eq!(record.flows[0].close, CloseReason::Fin);
        for (who, addr) in [tapped.client, tapped.server].into_iter().enumerate() {
            let said: Vec<Heard> = tapped.said[who].iter().copied().map(Some).collect();
            prop_assert_eq!(&record.heard[&(0, end(addr))], &said);
        }
    }

    /// A tap that misses packets: each byte that could be known is heard, the others are gaps.
    #[test]
    fn what_the_tap_missed_is_named(
        exchanges in exchanges(),
        conditions in conditions(30),
        seed in any::<u64>(),
    ) {
        let (script, lines) = script(&exchanges);
        let tapped = tap(0, &script, conditions, seed);
        let record = guard(patient(), &tapped.seen);
        prop_assert_eq!(record.flows.len(), 1);
        let flow = &record.flows[0];
        for (who, addr) in [tapped.client, tapped.server].into_iter().enumerate() {
            let counters = if who == 0 { flow.to_server } else { flow.to_client };
            let heard = record.heard.get(&(0, end(addr))).cloned().unwrap_or_default();
            // What nobody has acknowledged at the end is not known to have been said.
            let mut knowable = knowable(&tapped, who);
            // Nor does an acknowledgement tell a FIN that was missed from a byte.
            knowable.push(None);
            prop_assert_eq!(&heard[..], &knowable[..heard.len()]);
            let gaps = heard.iter().filter(|byte| byte.is_none()).count() as u64;
            prop_assert_eq!(counters.gap_bytes, gaps);
        }
        // Both ends said FIN; where both were seen the flow knows.
        let said_fin = |addr| {
            let mut seen = tapped.seen.iter();
            seen.any(|seen| seen.tcp.src == addr && seen.tcp.flags & FIN != 0)
        };
        if said_fin(tapped.client) && said_fin(tapped.server) {
            prop_assert_eq!(flow.close, CloseReason::Fin);
        }
        // No request is paired with what does not answer it, whatever was missed.
        for line in record.exchanges.iter().map(line) {
            let is_pair = line.starts_with("POST") && line.contains("-> 200");
            if is_pair && !line.contains('[') {
                prop_assert!(lines.contains(&line), "{} of {:?}", line, lines);
            }
        }
    }

    /// What the kernel half leaves out of a bad network's segments costs content and nothing else:
    /// whatever was sent again, each byte is there, or known to have been left out.
    #[test]
    fn a_budget_costs_content_and_nothing_else(
        exchanges in exchanges(),
        conditions in conditions(0),
        seed in any::<u64>(),
        budget in prop_oneof![Just(100_u32), 100..3_000_u32],
        why in prop_oneof![Just(Missing::Elided), Just(Missing::Dropped)],
    ) {
        let (script, _) = script(&exchanges);
        let tapped = tap(0, &script, conditions, seed);
        let record = guard(patient(), &within(budget, why, &tapped.seen));
        prop_assert_eq!(record.flows.len(), 1);
        let flow = &record.flows[0];
        prop_assert_eq!(flow.close, CloseReason::Fin);
        for (said, counters) in tapped.said.iter().zip([flow.to_server, flow.to_client]) {
            let Counters { bytes, gap_bytes, dropped_bytes, elided_bytes, .. } = counters;
            prop_assert_eq!(bytes + gap_bytes + elided_bytes, said.len() as u64);
            prop_assert_eq!(gap_bytes, dropped_bytes);
        }
        let all: Vec<_> = (0..).zip(exchanges).collect();
        let found = record.exchanges.iter().map(|exchange| &exchange.http);
        let found: Vec<_> = found.map(|http| (http.request.as_ref(), http.response.as_ref())).collect();
        prop_assert_eq!(found.len(), all.len());
        for ((number, (asked, answered)), (request, response)) in all.into_iter().zip(found) {
            let (request, response) = (request.unwrap(), response.unwrap());
            let target = format!("/{number}");
            prop_assert_eq!(request.head.target(), target.as_bytes());
            let bodies = [
                (&request.body, request.state, request.dropped_bytes, asked),
                (&response.body, response.state, response.dropped_bytes, answered),
            ];
            for (body, state, dropped_bytes, length) in bodies {
                prop_assert_eq!(body.wire_bytes + dropped_bytes, length as u64);
                let part = if why == Missing::Elided { State::Elided } else { State::Gap };
                prop_assert!(state == State::Complete || state == part, "{:?}", state);
            }
        }
    }

    /// Flows side by side are what each of them is alone, and time that passes in between changes
    /// nothing.
    #[test]
    fn flows_do_not_touch_each_other(
        scripts in vec(exchanges(), 1..6),
        conditions in conditions(10),
        seed in any::<u64>(),
        hole_ms in prop_oneof![Just(u64::MAX / MS), 1..400_u64],
    ) {
        let mut settings = patient();
        settings.stream.hole_ns = hole_ms * MS;
        let taps: Vec<Tapped> = (0_u16..)
            .zip(&scripts)
            .map(|(number, exchanges)| tap(number, &script(exchanges).0, conditions, seed))
            .collect();
        let mut together: Vec<&Seen> = taps.iter().flat_map(|tapped| &tapped.seen).collect();
        together.sort_by_key(|seen| seen.time);
        let all = guard(settings.clone(), together.iter().copied());
        let mut warden = Warden::keeping(settings.clone());
        let mut dice = Dice(seed);
        for (number, seen) in together.iter().enumerate() {
            warden.segment(&seen.segment());
            let until = together.get(number + 1).map_or(seen.time, |next| next.time);
            for _ in 0..dice.roll(3) {
                let now = seen.time + dice.roll(until - seen.time + 1);
                warden.advance(Timestamp(now));
            }
        }
        let ticking = warden.finish();
        let last = together.last().map_or(0, |seen| seen.time);
        for tapped in &taps {
            let mut warden = Warden::keeping(settings.clone());
            tapped.seen.iter().for_each(|seen| warden.segment(&seen.segment()));
            // Until then, holes may have been open for too long.
            warden.advance(Timestamp(last));
            let alone = warden.finish();
            let client = end(tapped.client);
            let expected = alone.of(client);
            prop_assert_eq!(&all.of(client), &expected);
            prop_assert_eq!(&ticking.of(client), &expected);
        }
    }

    /// Limits that are too small for what goes on: they hold, and the ledger balances.
    #[test]
    fn limits_hold_under_pressure(
        scripts in vec(exchanges(), 2..8),
        conditions in conditions(20),
        seed in any::<u64>(),
        max_flows in 1..4_usize,
        memory_limit in 0..20_000_usize,
    ) {
        let mut seen: Vec<Seen> = (0_u16..)
            .zip(&scripts)
            .flat_map(|(number, exchanges)| tap(number, &script(exchanges).0, conditions, seed).seen)
            .collect();
        seen.sort_by_key(|seen| seen.time);
        let limits = Settings { max_flows, memory_limit, ..settings() };
        // The warden looks at the limits after each segment.
        let record = guard(limits.clone(), &seen);
        let again = guard(limits, &seen);
        prop_assert_eq!(record.told, again.told);
    }
}

/// The last byte of a request's head was missed, which an acknowledgement does not tell from a FIN: the
/// answer to it is none to the request before, whose own was lost.
#[test]
fn an_answer_to_a_request_that_is_not_whole_is_none_to_the_one_before() {
    let conditions =
        Conditions { lost_before_tap: 6, lost_after_tap: 5, doubled: 11, unseen: 14, jitter_ns: 0 };
    let (script, _) = script(&[(0, 394), (0, 0)]);
    let tapped = tap(0, &script, conditions, 7_511_302_402_709_959_197);
    let record = guard(patient(), &tapped.seen);
    let lines: Vec<_> = record.exchanges.iter().map(line).collect();
    assert_eq!(lines, ["POST /0 -> ?", "? -> 200", "POST /1 [cut] -> ?"]);
}
