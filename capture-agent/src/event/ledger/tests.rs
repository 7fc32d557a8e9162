use capture_ebpf::Verdict;

use super::*;
use crate::source::Verdicts;

/// A ledger that balances, with something in every part of it.
fn stats() -> Stats {
    let mut verdicts = Verdicts::default();
    verdicts.add(Verdict::HandedOver, 30);
    verdicts.add(Verdict::PureAck, 5);
    let engine = EngineCounters {
        segments: 30,
        segments_in_flows: 20,
        segments_shown_again: 5,
        segments_after_close: 3,
        segments_without_flow: 2,
        flows_opened: 9,
        flows_active: 3,
        flows_closed: [1, 0, 2, 0, 0, 3],
        exchanges: 14,
        messages: 7,
        content_bytes: 1_000,
        ..EngineCounters::default()
    };
    let dropped = Dropped {
        exchanges: 3,
        flows: 1,
        messages: 2,
        unwanted: 4,
        beyond_count: 1,
        unwanted_messages: 1,
        unwanted_flows: 2,
        raw: RawCounts { opened: 1, data_bytes: 100 },
        content_bytes: 30,
        unwanted_content_bytes: 10,
        filtered: 2,
        undecided: 1,
    };
    let written = |output: &str| Written {
        output: output.to_owned(),
        exchanges: 5,
        flows: 3,
        messages: 4,
        bytes: 9_999,
        ..Written::default()
    };
    let script = Written {
        raw: Some(RawCounts { opened: 6, data_bytes: 700 }),
        left_out: Counts {
            exchanges: 5,
            flows: 2,
            messages: 4,
            raw: RawCounts { opened: 2, data_bytes: 200 },
            ..Counts::default()
        },
        exchanges: 0,
        flows: 1,
        messages: 0,
        ..written("x.lua")
    };
    let files = FilesWritten { content_bytes: 900, failed_bytes: 60, ..FilesWritten::default() };
    let saved = Written { files: Some(files), ..written("bodies") };
    let losing = Written {
        exchanges: 2,
        lost: Counts { exchanges: 3, ..Counts::default() },
        ..written("y")
    };
    Stats {
        packets: vec![SourcePackets::of_files(verdicts)],
        engine,
        http: HttpCounters::of_any(11),
        dropped,
        raw: RawCounts { opened: 9, data_bytes: 1_000 },
        written: vec![written("-"), written("x.jsonl"), script, saved, losing],
        recorded: Some(Recorded {
            output: "x.pcapng".to_owned(),
            segments: 21,
            dropped: 5,
            failed: 4,
        }),
        ..Stats::default()
    }
}

#[test]
fn a_ledger_balances_or_says_where_it_does_not() {
    assert_eq!(stats().imbalances(), Vec::<String>::new());
    type Break = fn(&mut Stats);
    let broken: [(&str, Break); 17] = [
        ("14 exchanges in sum, 13 booked", |it| it.dropped.beyond_count -= 1),
        ("36 packets of file, 35 booked", |it| it.packets[0].packets.seen += 1),
        ("29 segments handed over, 30 booked", |it| {
            it.packets[0].packets.handed_over.records -= 1;
        }),
        ("30 segments, 29 booked", |it| it.engine.segments_after_close -= 1),
        ("9 flows, 10 booked", |it| it.engine.flows_active += 1),
        ("14 exchanges for x.jsonl, 13 booked", |it| it.written[1].exchanges -= 1),
        ("14 exchanges for -, 13 booked", |it| it.dropped.filtered -= 1),
        ("14 exchanges for y, 13 booked", |it| it.written[4].lost.exchanges -= 1),
        ("7 messages for -, 8 booked", |it| it.written[0].messages += 1),
        ("6 flow summaries for -, 7 booked", |it| it.written[0].flows += 1),
        ("6 flow summaries for x.jsonl, 5 booked", |it| it.dropped.flows -= 1),
        ("14 exchanges for x.lua, 13 booked", |it| it.written[2].left_out.exchanges -= 1),
        ("9 opened flows for x.lua, 8 booked", |it| it.dropped.raw.opened -= 1),
        ("1001 bytes of flows for x.lua, 1000 booked", |it| it.raw.data_bytes += 1),
        ("1000 bytes of bodies for bodies, 999 booked", |it| it.dropped.content_bytes -= 1),
        ("1001 bytes of bodies for bodies, 1000 booked", |it| it.engine.content_bytes += 1),
        ("30 segments for x.pcapng, 29 booked", |it| {
            it.recorded.as_mut().unwrap().dropped -= 1;
        }),
    ];
    for (says, break_it) in broken {
        let mut stats = stats();
        break_it(&mut stats);
        assert!(stats.imbalances().iter().any(|it| it == says), "{:?}", stats.imbalances());
    }
}

#[test]
fn the_sum_of_two_ledgers_balances_too() {
    let mut sum = stats();
    let other = stats();
    sum.engine.merge(&other.engine);
    sum.http.merge(&other.http);
    sum.dropped.merge(&other.dropped);
    sum.raw.merge(&other.raw);
    let [source] = &mut sum.packets[..] else { panic!("one source") };
    source.packets.merge(&other.packets[0].packets);
    let recorded = sum.recorded.as_mut().unwrap();
    recorded.segments *= 2;
    recorded.dropped *= 2;
    recorded.failed *= 2;
    for written in &mut sum.written {
        written.exchanges *= 2;
        written.flows *= 2;
        written.messages *= 2;
        let (left_out, raw) = (written.left_out, written.raw);
        written.left_out.merge(&left_out);
        if let Some(files) = &mut written.files {
            files.content_bytes *= 2;
            files.failed_bytes *= 2;
        }
        let lost = written.lost;
        written.lost.merge(&lost);
        if let (Some(sum), Some(raw)) = (&mut written.raw, raw) {
            sum.merge(&raw);
        }
    }
    assert_eq!(sum.imbalances(), Vec::<String>::new());
}
