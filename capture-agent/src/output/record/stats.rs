//! The ledger as an object of JSON Lines.

use capture_ebpf::{Governor, Verdict};
use schemars::JsonSchema;
use serde::Serialize;

use super::http_counters::HttpRecord;
use crate::event;
use crate::output::time::Rfc3339;
use crate::source::{HandedOver, Packets};

/// The ledger.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StatsRecord<'a> {
    /// When it was drawn up, by packet time.
    #[schemars(with = "String")]
    time: Rfc3339,
    packets: Vec<PacketsRecord>,
    /// Live, the ring of each worker.
    rings: Vec<RingRecord>,
    segments: SegmentsRecord,
    /// Payload bytes observed, each once, without those left in the kernel.
    bytes: u64,
    /// Bytes that were sent and are lost.
    gap_bytes: u64,
    /// Those of them that were observed, and lost by the agent itself: it could not keep up.
    dropped_bytes: u64,
    /// Bytes that were left in the kernel on purpose: the budget of their flow was used up.
    elided_bytes: u64,
    flows: FlowsRecord,
    exchanges: ExchangesRecord<'a>,
    http: HttpRecord,
    messages: MessagesRecord,
    /// Bodies that are saved as they come in; `null` where none are.
    content: Option<ContentRecord>,
    /// Flows whose owners were asked for; `null` where none are.
    owners: Option<OwnersRecord>,
    /// What scripts get beside exchanges and flow summaries; absent where none asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<RawRecord>,
    /// The recording; `null` where there is none.
    record: Option<RecordedRecord<'a>>,
}

/// What scripts get beside exchanges and flow summaries: of each, what was made is the sum of what was
/// dropped and what each script was given, as `exchanges.outputs` says.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RawRecord {
    /// Flows told of when they opened.
    opened: MadeRecord,
    /// Bytes said on flows.
    data_bytes: MadeRecord,
}

/// What was made, and what of it was left out because scripts could not keep up.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct MadeRecord {
    made: u64,
    dropped: u64,
}

/// The recording: the segments that were `received` are `segments`, `dropped` and `failed`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RecordedRecord<'a> {
    /// A path.
    output: &'a str,
    /// Segments in it.
    segments: u64,
    /// Left out because it could not keep up.
    dropped: u64,
    /// Left out because the file could not be written any more.
    failed: u64,
}

/// Flows whose owners were asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OwnersRecord {
    /// Flows that the kernel was asked about.
    looked_up: u64,
    /// Flows that it was not, because there were too many at a time.
    skipped: u64,
}

/// Packets of one source. What was done with them adds up to `seen`, which is counted apart.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PacketsRecord {
    /// `tc_ingress`, `tc_egress`, `xdp_ingress` or `file`.
    source: &'static str,
    #[serde(flatten)]
    counts: CountsRecord,
    /// Those that ended at the hook instead of passing: all of a mirror port with `--consume`.
    consumed: u64,
    /// What was made of those that were selected; `null` for a file, each of whose packets that was
    /// handed over is a segment.
    records: Option<RecordsRecord>,
    /// Of a hook, the same for each CPU.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cpus: Vec<CpuRecord>,
}

/// What a hook put into the rings, and what it kept of what was selected.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RecordsRecord {
    /// Records, each of which is a segment to the engine: of a packet there is one, or several where
    /// it is long, and there are notices.
    made: u64,
    /// Those that only say what was left out.
    notices: u64,
    /// Payload bytes in them.
    bytes: u64,
    /// Payload bytes left in the kernel because a flow's budget was used up.
    elided_bytes: u64,
    /// Payload bytes that were selected and lost.
    dropped_bytes: u64,
}

/// Packets that a hook saw on one CPU.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CpuRecord {
    cpu: usize,
    #[serde(flatten)]
    counts: CountsRecord,
}

/// What was done with packets: `seen` is the sum of the others.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CountsRecord {
    seen: u64,
    handed_over: u64,
    not_ip: u64,
    not_tcp: u64,
    fragment: u64,
    malformed: u64,
    other_port: u64,
    other_host: u64,
    not_sampled: u64,
    pure_ack: u64,
    elided: u64,
    shed: u64,
    ring_full: u64,
    load_failed: u64,
    reassembled: u64,
    bad_checksum: u64,
}

/// What the ring of one worker has been through.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RingRecord {
    /// How much is left out now: 0 nothing, 1 to 3 ever more of bodies, 4 half of the flows, 5 all
    /// but an eighth of them.
    level: u64,
    /// How often each level, from 1 on, was entered from below.
    raised: Vec<u64>,
    /// How often each level, from 0 on, was entered from above.
    lowered: Vec<u64>,
}

/// Segments that the engine was given: `received` is the sum of the next four, and of the `records`
/// of all sources once the rings are empty.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SegmentsRecord {
    received: u64,
    in_flows: u64,
    /// Seen before, on another interface.
    duplicates: u64,
    after_close: u64,
    without_flow: u64,
    /// Resets out of the window, of those in flows.
    resets_ignored: u64,
}

/// Flows: `opened` is the sum of `active` and all of `closed`; the latter are summed up by
/// `dropped`, `unwanted` and what each output has written, left out or lost, as `exchanges.outputs`
/// says.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FlowsRecord {
    opened: u64,
    active: u64,
    closed: ClosedRecord,
    /// Summaries left out because the outputs could not keep up.
    dropped: u64,
    /// Summaries that are not among `--events`.
    unwanted: u64,
}

/// Flows that are gone, by reason.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ClosedRecord {
    fin: u64,
    rst: u64,
    idle: u64,
    pressure: u64,
    reused: u64,
    end: u64,
}

/// Exchanges: `made` is the sum of `dropped`, `unwanted`, `filtered`, what each output has written,
/// and what was `left_out` or `lost` there.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ExchangesRecord<'a> {
    made: u64,
    /// Left out because the outputs could not keep up.
    dropped: u64,
    /// Beyond `--count`, or not among `--events`.
    unwanted: u64,
    /// Those of them that came beyond `--count`: `made` is the sum of them, of `filtered`, and of what
    /// `http` counts.
    beyond_count: u64,
    /// Left out by `--where` or `--content-type`.
    filtered: u64,
    /// Those of them that the expression of `--where` has no value for: it asks for what was not
    /// observed, or for what can't be computed.
    undecided: u64,
    outputs: Vec<OutputRecord<'a>>,
}

/// Messages of WebSockets: `made` is the sum of `dropped`, `unwanted` and what each output has
/// written, left out or lost, as `exchanges.outputs` says.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct MessagesRecord {
    made: u64,
    /// Left out because the outputs could not keep up.
    dropped: u64,
    /// Beyond `--count`, or not among `--events`.
    unwanted: u64,
}

/// Bytes of bodies that are to be saved: `made` is the sum of `dropped`, `unwanted`, and what was and
/// what could not be written, as the `files` of `exchanges.outputs` say.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ContentRecord {
    made: u64,
    /// Left out because the outputs could not keep up.
    dropped: u64,
    /// Beyond `--count`.
    unwanted: u64,
}

/// Payload files.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FilesRecord {
    /// With a whole body.
    whole: u64,
    /// With a part of one.
    partial: u64,
    /// Removed, for their exchanges were not among those that are shown.
    removed: u64,
    /// Bytes of bodies that were written, in files that were removed too.
    content_bytes: u64,
    /// Bytes of bodies that could not be written.
    failed_bytes: u64,
}

/// What one output has written.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OutputRecord<'a> {
    /// A path, or `-`.
    output: &'a str,
    exchanges: u64,
    flows: u64,
    /// Messages of WebSockets.
    messages: u64,
    bytes: u64,
    /// Of a script: opened flows that it was told of.
    #[serde(skip_serializing_if = "Option::is_none")]
    opened: Option<u64>,
    /// Of a script: bytes of flows that it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_bytes: Option<u64>,
    /// Of a script: how often it has failed, with `--script-errors count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<u64>,
    /// What came to it and was not for it: of a kind that it does not show or has no record of, or
    /// after the end that a script has asked for. Absent where there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<LeftOutRecord>,
    /// Of the folder of `--save-bodies`, its files.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<FilesRecord>,
    /// What was to be written and could not be, as when a disk is full. Absent where there was
    /// nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<LostRecord>,
}

/// What an output could not write.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LostRecord {
    exchanges: u64,
    flows: u64,
    messages: u64,
}

/// What came to an output and was not for it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LeftOutRecord {
    exchanges: u64,
    flows: u64,
    messages: u64,
    opened: u64,
    data_bytes: u64,
}

impl<'a> From<&'a event::Stats> for StatsRecord<'a> {
    fn from(stats: &'a event::Stats) -> Self {
        let engine = &stats.engine;
        let [fin, rst, idle, pressure, reused, end] = engine.flows_closed;
        Self {
            time: Rfc3339(stats.time),
            packets: stats.packets.iter().map(PacketsRecord::from).collect(),
            rings: stats.governors.iter().map(RingRecord::from).collect(),
            segments: SegmentsRecord {
                received: engine.segments,
                in_flows: engine.segments_in_flows,
                duplicates: engine.segments_shown_again,
                after_close: engine.segments_after_close,
                without_flow: engine.segments_without_flow,
                resets_ignored: engine.resets_ignored,
            },
            bytes: engine.bytes,
            gap_bytes: engine.gap_bytes,
            dropped_bytes: engine.dropped_bytes,
            elided_bytes: engine.elided_bytes,
            flows: FlowsRecord {
                opened: engine.flows_opened,
                active: engine.flows_active,
                closed: ClosedRecord { fin, rst, idle, pressure, reused, end },
                dropped: stats.dropped.flows,
                unwanted: stats.dropped.unwanted_flows,
            },
            exchanges: ExchangesRecord {
                made: engine.exchanges,
                dropped: stats.dropped.exchanges,
                unwanted: stats.dropped.unwanted,
                beyond_count: stats.dropped.beyond_count,
                filtered: stats.dropped.filtered,
                undecided: stats.dropped.undecided,
                outputs: stats.written.iter().map(OutputRecord::from).collect(),
            },
            http: HttpRecord::from(&stats.http),
            messages: MessagesRecord {
                made: engine.messages,
                dropped: stats.dropped.messages,
                unwanted: stats.dropped.unwanted_messages,
            },
            content: stats.written.iter().any(|it| it.files.is_some()).then_some(ContentRecord {
                made: engine.content_bytes,
                dropped: stats.dropped.content_bytes,
                unwanted: stats.dropped.unwanted_content_bytes,
            }),
            owners: stats.owners.map(|owners| OwnersRecord {
                looked_up: owners.looked_up,
                skipped: owners.skipped,
            }),
            raw: stats.written.iter().any(|written| written.raw.is_some()).then(|| {
                let (made, dropped) = (stats.raw, stats.dropped.raw);
                RawRecord {
                    opened: MadeRecord { made: made.opened, dropped: dropped.opened },
                    data_bytes: MadeRecord { made: made.data_bytes, dropped: dropped.data_bytes },
                }
            }),
            record: stats.recorded.as_ref().map(RecordedRecord::from),
        }
    }
}

impl From<&event::SourcePackets> for PacketsRecord {
    fn from(from: &event::SourcePackets) -> Self {
        let HandedOver { records: made, notices, bytes, elided_bytes, dropped_bytes } =
            from.packets.handed_over;
        let records = RecordsRecord { made, notices, bytes, elided_bytes, dropped_bytes };
        let cpu = |(cpu, packets)| CpuRecord { cpu, counts: CountsRecord::from(packets) };
        Self {
            source: from.source,
            counts: CountsRecord::from(&from.packets),
            consumed: if from.consumed { from.packets.seen } else { 0 },
            records: (!from.cpus.is_empty()).then_some(records),
            cpus: from.cpus.iter().enumerate().map(cpu).collect(),
        }
    }
}

impl From<&Packets> for CountsRecord {
    fn from(packets: &Packets) -> Self {
        let count = |verdict| packets.verdicts.count(verdict);
        Self {
            seen: packets.seen,
            handed_over: count(Verdict::HandedOver),
            not_ip: count(Verdict::NotIp),
            not_tcp: count(Verdict::NotTcp),
            fragment: count(Verdict::Fragment),
            malformed: count(Verdict::Malformed),
            other_port: count(Verdict::OtherPort),
            other_host: count(Verdict::OtherHost),
            not_sampled: count(Verdict::NotSampled),
            pure_ack: count(Verdict::PureAck),
            elided: count(Verdict::Elided),
            shed: count(Verdict::Shed),
            ring_full: count(Verdict::RingFull),
            load_failed: count(Verdict::LoadFailed),
            reassembled: count(Verdict::Reassembled),
            bad_checksum: count(Verdict::BadChecksum),
        }
    }
}

impl From<&Governor> for RingRecord {
    fn from(governor: &Governor) -> Self {
        Self {
            level: governor.level,
            raised: governor.raised.iter().skip(1).copied().collect(),
            lowered: governor.lowered.to_vec(),
        }
    }
}

impl<'a> From<&'a event::Recorded> for RecordedRecord<'a> {
    fn from(recorded: &'a event::Recorded) -> Self {
        let event::Recorded { output, segments, dropped, failed } = recorded;
        Self { output, segments: *segments, dropped: *dropped, failed: *failed }
    }
}

impl<'a> From<&'a event::Written> for OutputRecord<'a> {
    fn from(written: &'a event::Written) -> Self {
        let event::Written { output, exchanges, flows, messages, bytes, .. } = written;
        let event::Written { raw, left_out, lost, errors, files, .. } = written;
        let event::RawCounts { opened, data_bytes } = left_out.raw;
        Self {
            output,
            exchanges: *exchanges,
            flows: *flows,
            messages: *messages,
            bytes: *bytes,
            opened: raw.map(|raw| raw.opened),
            data_bytes: raw.map(|raw| raw.data_bytes),
            errors: *errors,
            files: files.as_ref().map(FilesRecord::from),
            left_out: (*left_out != event::Counts::default()).then_some(LeftOutRecord {
                exchanges: left_out.exchanges,
                flows: left_out.flows,
                messages: left_out.messages,
                opened,
                data_bytes,
            }),
            lost: (*lost != event::Counts::default()).then_some(LostRecord {
                exchanges: lost.exchanges,
                flows: lost.flows,
                messages: lost.messages,
            }),
        }
    }
}

impl From<&event::FilesWritten> for FilesRecord {
    fn from(written: &event::FilesWritten) -> Self {
        let event::FilesWritten { whole, partial, removed, content_bytes, failed_bytes } = *written;
        Self { whole, partial, removed, content_bytes, failed_bytes }
    }
}
