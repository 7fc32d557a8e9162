//! The ledger: where every packet, segment, exchange and message went.
//!
//! Invariant: what one stage hands on, the next one has taken, or it is counted with a reason.

use std::fmt;

use capture_ebpf::{Governor, Hook, Verdict};

use super::Event;
use crate::segment::Timestamp;
use crate::source::{HandedOver, Packets, Verdicts};

/// What the engine did with the segments it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineCounters {
    /// Segments it was given. Each is one of the next four.
    pub segments: u64,
    /// Segments that belong to a flow.
    pub segments_in_flows: u64,
    /// Segments that had been seen on another interface.
    pub segments_shown_again: u64,
    /// Segments of a flow that had ended.
    pub segments_after_close: u64,
    /// Segments that open nothing and belong to nothing, as resets and acknowledgements do when
    /// their flow is not known.
    pub segments_without_flow: u64,
    /// Payload bytes that are here, each once.
    pub bytes: u64,
    /// Bytes that were sent and are lost: not seen, or dropped.
    pub gap_bytes: u64,
    /// Those of them that were seen, and dropped by the agent itself.
    pub dropped_bytes: u64,
    /// Bytes that were seen and left in the kernel on purpose; not among `bytes`.
    pub elided_bytes: u64,
    /// Resets out of the window, which were not believed.
    pub resets_ignored: u64,
    /// Flows that were opened.
    pub flows_opened: u64,
    /// Flows that are in the table.
    pub flows_active: u64,
    /// Flows that are gone, by reason: FIN, RST, idle, pressure, reused, end.
    pub flows_closed: [u64; 6],
    /// Exchanges that came out.
    pub exchanges: u64,
    /// Messages of WebSockets that came out.
    pub messages: u64,
    /// Bytes of bodies that were handed on as they came in.
    pub content_bytes: u64,
}

impl EngineCounters {
    /// Adds what another engine did.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            segments,
            segments_in_flows,
            segments_shown_again,
            segments_after_close,
            segments_without_flow,
            bytes,
            gap_bytes,
            dropped_bytes,
            elided_bytes,
            resets_ignored,
            flows_opened,
            flows_active,
            flows_closed,
            exchanges,
            messages,
            content_bytes,
        } = other;
        self.segments += segments;
        self.segments_in_flows += segments_in_flows;
        self.segments_shown_again += segments_shown_again;
        self.segments_after_close += segments_after_close;
        self.segments_without_flow += segments_without_flow;
        self.bytes += bytes;
        self.gap_bytes += gap_bytes;
        self.dropped_bytes += dropped_bytes;
        self.elided_bytes += elided_bytes;
        self.resets_ignored += resets_ignored;
        self.flows_opened += flows_opened;
        self.flows_active += flows_active;
        for (sum, count) in self.flows_closed.iter_mut().zip(flows_closed) {
            *sum += count;
        }
        self.exchanges += exchanges;
        self.messages += messages;
        self.content_bytes += content_bytes;
    }
}

/// Packets that a source saw, and what it did with them.
#[derive(Clone, Debug)]
pub struct SourcePackets {
    /// The hook, or `file`.
    pub source: &'static str,
    /// All of them.
    pub packets: Packets,
    /// Of a hook, those on each CPU.
    pub cpus: Vec<Packets>,
    /// Whether all of them ended at the hook: on a mirror port where they are to.
    pub consumed: bool,
}

impl SourcePackets {
    /// The packets of capture files, which are handed over as one segment each.
    #[must_use]
    pub fn of_files(verdicts: Verdicts) -> Self {
        let records = verdicts.count(Verdict::HandedOver);
        let handed_over = HandedOver { records, ..HandedOver::default() };
        let packets = Packets { seen: verdicts.sum(), verdicts, handed_over };
        Self { source: "file", packets, cpus: Vec::new(), consumed: false }
    }

    /// The packets of a hook, those on each CPU, and whether they end there.
    #[must_use]
    pub fn of_hook(hook: Hook, cpus: Vec<Packets>, consumed: bool) -> Self {
        let source = match hook {
            Hook::TcIngress => "tc_ingress",
            Hook::TcEgress => "tc_egress",
            Hook::XdpIngress => "xdp_ingress",
        };
        let mut packets = Packets::default();
        cpus.iter().for_each(|cpu| packets.merge(cpu));
        Self { source, packets, cpus, consumed }
    }
}

/// Events that did not reach the outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Exchanges left out because the outputs could not keep up.
    pub exchanges: u64,
    /// Flow summaries left out for the same reason.
    pub flows: u64,
    /// Messages of WebSockets left out for the same reason.
    pub messages: u64,
    /// Exchanges that were not asked for.
    pub unwanted: u64,
    /// Messages of WebSockets that were not asked for.
    pub unwanted_messages: u64,
    /// Flow summaries that were not asked for.
    pub unwanted_flows: u64,
    /// What consumers alone get and was left out because they could not keep up.
    pub raw: RawCounts,
    /// Bytes of bodies left out because the outputs could not keep up.
    pub content_bytes: u64,
    /// Bytes of bodies that came when no more exchanges were asked for.
    pub unwanted_content_bytes: u64,
    /// Exchanges that `--where` or `--content-type` left out.
    pub filtered: u64,
    /// Those of them that the expression has no value for.
    pub undecided: u64,
}

impl Dropped {
    /// Adds what did not reach the outputs elsewhere.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            exchanges,
            flows,
            messages,
            unwanted,
            unwanted_messages,
            unwanted_flows,
            raw,
            filtered,
            undecided,
            content_bytes,
            unwanted_content_bytes,
        } = other;
        self.content_bytes += content_bytes;
        self.unwanted_content_bytes += unwanted_content_bytes;
        self.exchanges += exchanges;
        self.flows += flows;
        self.messages += messages;
        self.unwanted += unwanted;
        self.unwanted_messages += unwanted_messages;
        self.unwanted_flows += unwanted_flows;
        self.raw.merge(raw);
        self.filtered += filtered;
        self.undecided += undecided;
    }
}

/// What consumers alone get: of flows that have just opened, and of what is said on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawCounts {
    /// Flows that were told of when they opened.
    pub opened: u64,
    /// Bytes that were said.
    pub data_bytes: u64,
}

impl RawCounts {
    /// Adds what there was elsewhere.
    pub const fn merge(&mut self, other: &Self) {
        let Self { opened, data_bytes } = other;
        self.opened += *opened;
        self.data_bytes += *data_bytes;
    }
}

/// How many events of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Exchanges.
    pub exchanges: u64,
    /// Messages of WebSockets.
    pub messages: u64,
    /// Flow summaries.
    pub flows: u64,
    /// What is for consumers alone.
    pub raw: RawCounts,
    /// Bytes of bodies that are handed on as they come in.
    pub content_bytes: u64,
}

impl Counts {
    /// Counts an event.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::Exchange(_) => self.exchanges += 1,
            Event::WebSocket(_) => self.messages += 1,
            Event::Flow(_) => self.flows += 1,
            Event::Stats(_) => {}
            Event::Opened(_) => self.raw.opened += 1,
            Event::Data(data) => self.raw.data_bytes += data.bytes.len() as u64,
            Event::Content(content) => self.content_bytes += content.len() as u64,
        }
    }

    /// Of one event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let mut one = Self::default();
        one.add(event);
        one
    }

    /// Adds what was counted elsewhere.
    pub const fn merge(&mut self, other: &Self) {
        let Self { exchanges, messages, flows, raw, content_bytes } = other;
        self.content_bytes += *content_bytes;
        self.exchanges += *exchanges;
        self.messages += *messages;
        self.flows += *flows;
        self.raw.merge(raw);
    }

    /// Counts them as dropped.
    pub const fn drop_into(&self, dropped: &mut Dropped) {
        dropped.exchanges += self.exchanges;
        dropped.messages += self.messages;
        dropped.flows += self.flows;
        dropped.raw.merge(&self.raw);
        dropped.content_bytes += self.content_bytes;
    }
}

impl fmt::Display for Counts {
    /// What outputs write of them, with the verb: `1 exchange is`, `3 flow summaries are`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { exchanges, messages, flows, .. } = *self;
        let kinds = [
            (exchanges, "exchange", "exchanges"),
            (messages, "WebSocket message", "WebSocket messages"),
            (flows, "flow summary", "flow summaries"),
        ];
        let mut before = "";
        for (count, one, many) in kinds.into_iter().filter(|(count, ..)| *count > 0) {
            write!(f, "{before}{count} {}", if count == 1 { one } else { many })?;
            before = ", ";
        }
        f.write_str(match exchanges + messages + flows {
            0 => "nothing is",
            1 => " is",
            _ => " are",
        })
    }
}

/// What one output has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Where to: a path, or `-`.
    pub output: String,
    /// Exchanges.
    pub exchanges: u64,
    /// Flow summaries.
    pub flows: u64,
    /// Messages of WebSockets.
    pub messages: u64,
    /// Bytes, in all.
    pub bytes: u64,
    /// What it was given of what is for consumers alone; `None` where it takes none of that.
    pub raw: Option<RawCounts>,
    /// Events that came to it and that it has no use for: a kind of which it shows nothing, or has
    /// no record, or after the end that a script has asked for.
    pub left_out: Counts,
    /// What it was to write, and could not.
    pub lost: Counts,
    /// Of a script, how often it has failed, where that does not end it.
    pub errors: Option<u64>,
    /// Payload files, where that is what it writes.
    pub files: Option<FilesWritten>,
}

/// What has become of the bodies that were to be saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilesWritten {
    /// Files with a whole body.
    pub whole: u64,
    /// Files with a part of one.
    pub partial: u64,
    /// Files that were removed, because their exchanges were not among those that are shown.
    pub removed: u64,
    /// Bytes of bodies that were written, in files that were removed too.
    pub content_bytes: u64,
    /// Bytes of bodies that could not be written.
    pub failed_bytes: u64,
}

/// What became of the segments that a recording was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Where to: a path.
    pub output: String,
    /// Segments in the recording.
    pub segments: u64,
    /// Segments left out because it could not keep up.
    pub dropped: u64,
    /// Segments left out because the file could not be written any more.
    pub failed: u64,
}

/// Flows whose owners were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerCounters {
    /// Flows that the kernel was asked about.
    pub looked_up: u64,
    /// Flows that it was not, because there were too many at a time.
    pub skipped: u64,
}

/// The ledger: where every packet, segment, exchange and message went.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// When the ledger was drawn up, by packet time.
    pub time: Timestamp,
    /// What the sources saw.
    pub packets: Vec<SourcePackets>,
    /// How full the rings were, one for each worker; none for capture files.
    pub governors: Vec<Governor>,
    /// What the engine made of it.
    pub engine: EngineCounters,
    /// What was left out on the way to the outputs.
    pub dropped: Dropped,
    /// What was made for consumers alone.
    pub raw: RawCounts,
    /// Flows whose owners were looked up, where they are.
    pub owners: Option<OwnerCounters>,
    /// What the outputs wrote.
    pub written: Vec<Written>,
    /// What the recording has, where there is one.
    pub recorded: Option<Recorded>,
}

impl Stats {
    /// What does not add up, in words. There is nothing at the end of a capture whose outputs did
    /// not fail; before it, what is on its way from source to outputs is still missing.
    #[must_use]
    pub fn imbalances(&self) -> Vec<String> {
        let Self { packets, engine, dropped, raw: made, written, recorded, .. } = self;
        let mut sums = vec![
            (
                "segments".to_owned(),
                engine.segments,
                engine.segments_in_flows
                    + engine.segments_shown_again
                    + engine.segments_after_close
                    + engine.segments_without_flow,
            ),
            (
                "flows".to_owned(),
                engine.flows_opened,
                engine.flows_active + engine.flows_closed.iter().sum::<u64>(),
            ),
        ];
        let records = packets.iter().map(|source| source.packets.handed_over.records).sum();
        sums.push(("segments handed over".to_owned(), records, engine.segments));
        sums.extend(packets.iter().map(|SourcePackets { source, packets, .. }| {
            (format!("packets of {source}"), packets.seen, packets.verdicts.sum())
        }));
        if let Some(Recorded { output, segments, dropped, failed }) = recorded {
            let booked = segments + dropped + failed;
            sums.push((format!("segments for {output}"), engine.segments, booked));
        }
        for written in written {
            let Written { output, exchanges, flows, messages, raw, files, .. } = written;
            let mut left_out = written.left_out;
            left_out.merge(&written.lost);
            let not_written =
                dropped.exchanges + dropped.unwanted + dropped.filtered + left_out.exchanges;
            let name = |what| format!("{what} for {output}");
            sums.push((name("exchanges"), engine.exchanges, exchanges + not_written));
            let not_written = dropped.messages + dropped.unwanted_messages + left_out.messages;
            sums.push((name("messages"), engine.messages, messages + not_written));
            let gone = engine.flows_closed.iter().sum();
            let not_written = dropped.flows + dropped.unwanted_flows + left_out.flows;
            sums.push((name("flow summaries"), gone, flows + not_written));
            if let Some(files) = files {
                let taken = files.content_bytes + files.failed_bytes + left_out.content_bytes;
                let not_written = dropped.content_bytes + dropped.unwanted_content_bytes;
                let name = name("bytes of bodies");
                sums.push((name, engine.content_bytes, taken + not_written));
            }
            let Some(raw) = raw else { continue };
            let booked = raw.opened + dropped.raw.opened + left_out.raw.opened;
            sums.push((name("opened flows"), made.opened, booked));
            let booked = raw.data_bytes + dropped.raw.data_bytes + left_out.raw.data_bytes;
            sums.push((name("bytes of flows"), made.data_bytes, booked));
        }
        let differing = sums.into_iter().filter(|(_, made, booked)| made != booked);
        differing.map(|(what, made, booked)| format!("{made} {what}, {booked} booked")).collect()
    }
}

#[cfg(test)]
mod tests {
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
        let files =
            FilesWritten { content_bytes: 900, failed_bytes: 60, ..FilesWritten::default() };
        let saved = Written { files: Some(files), ..written("bodies") };
        let losing = Written {
            exchanges: 2,
            lost: Counts { exchanges: 3, ..Counts::default() },
            ..written("y")
        };
        Stats {
            packets: vec![SourcePackets::of_files(verdicts)],
            engine,
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
        let broken: [(&str, Break); 16] = [
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
}
