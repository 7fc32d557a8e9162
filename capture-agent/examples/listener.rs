//! A program of its own on top of the engine: everything that a [`Listener`] is told, as text.
//!
//! ```text
//! cargo run --example listener -- capture.pcap
//! ```
//!
//! A live capture works the same way: its segments come from `source::live::RingReader::read`,
//! and while the line is silent `Engine::advance` has to be called with the time of the clock.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context as _;
use capture_agent::engine::{Engine, Settings};
use capture_agent::event::{Exchange, FlowSummary, WebSocketMessage};
use capture_agent::flow::{CloseReason, Direction};
use capture_agent::listener::{Data, FlowView, Listener};
use capture_agent::selection::{PortSet, Sample, Selection};
use capture_agent::source::Item;
use capture_agent::source::file::FileSource;

/// A flow that has been silent for so long counts as stale.
const STALE_NS: u64 = 30_000_000_000;

fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).context("usage: listener FILE")?;
    listen(Path::new(&file), &mut io::stdout().lock())
}

/// Reads a capture file, and writes what happens to `out`.
pub(crate) fn listen(file: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let everything = Selection { ports: PortSet::any(), hosts: Vec::new(), sample: Sample::ALL };
    let mut source = FileSource::open(file, everything)?;
    // A flow goes by itself after a minute of silence; a direction of which the receiver leaves
    // 64 KiB unacknowledged is worth a warning. A file shows every acknowledgement, a live capture
    // only those that ride on data.
    let mut engine = Engine::new(Settings {
        flow_timeout_ns: 60_000_000_000,
        unacknowledged_bytes: Some(64 << 10),
        ..Settings::default()
    });
    let mut teller = Teller { out, result: Ok(()) };
    while let Some(item) = source.next_item()? {
        match item {
            Item::Interface(iface, name) => engine.name_interface(iface, name),
            Item::Segment(segment) => engine.segment(&segment, &mut teller),
        }
        if teller.result.is_err() {
            break;
        }
    }
    // What is in the table now: all that is there, and of it what has been silent for long.
    for flow in engine.flows() {
        teller.tell(&flow, format_args!("is {:?}", flow.state));
    }
    for flow in engine.stale_flows(STALE_NS) {
        let seconds = flow.idle_ns() / 1_000_000_000;
        teller.tell(&flow, format_args!("is stale: silent for {seconds} s"));
    }
    // The flows that are left end with the capture.
    engine.finish(&mut teller);
    teller.result.map_err(Into::into)
}

/// Writes a line for each thing that it is told.
struct Teller<'a> {
    out: &'a mut dyn Write,
    /// The first thing that went wrong: callbacks return nothing.
    result: io::Result<()>,
}

impl Teller<'_> {
    fn tell(&mut self, flow: &FlowView<'_>, what: std::fmt::Arguments<'_>) {
        let ms = flow.last_activity.nanos_since(flow.start) / 1_000_000;
        self.line(format_args!("flow {} at {ms} ms: {what}", flow.number));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        if self.result.is_ok() {
            self.result = writeln!(self.out, "{line}");
        }
    }
}

impl Listener for Teller<'_> {
    fn opened(&mut self, flow: &FlowView<'_>) {
        self.tell(flow, format_args!("opened, {} → {}", flow.client, flow.server));
    }

    fn sent(&mut self, flow: &FlowView<'_>, data: Data<'_>) {
        self.tell(flow, format_args!("client sent {} bytes", data.bytes.len()));
    }

    fn received(&mut self, flow: &FlowView<'_>, data: Data<'_>) {
        self.tell(flow, format_args!("client received {} bytes", data.bytes.len()));
    }

    fn gap(&mut self, flow: &FlowView<'_>, direction: Direction, offset: u64, len: u64) {
        self.tell(flow, format_args!("{direction:?}: {len} bytes at {offset} were not seen"));
    }

    fn elided(&mut self, flow: &FlowView<'_>, direction: Direction, offset: u64, len: u64) {
        self.tell(flow, format_args!("{direction:?}: {len} bytes at {offset} were left out"));
    }

    fn unacknowledged(&mut self, flow: &FlowView<'_>, direction: Direction, bytes: u64) {
        self.tell(flow, format_args!("{direction:?}: {bytes} bytes are not acknowledged"));
    }

    fn exchange(&mut self, exchange: Exchange) {
        // What came from the network may steer a terminal: `Debug` escapes it.
        let request = exchange.http.request.as_ref();
        let target = request.map(|request| String::from_utf8_lossy(request.head.target()));
        let response = exchange.http.response.as_ref();
        let status = response.and_then(|response| response.head.status());
        let media = response.and_then(|response| response.head.head().value("content-type"));
        let media = media.map(String::from_utf8_lossy);
        let number = exchange.flow.number;
        self.line(format_args!("flow {number}: exchange {target:?} {status:?} {media:?}"));
    }

    fn websocket(&mut self, message: WebSocketMessage) {
        let number = message.flow.number;
        let (direction, message) = (message.http.direction, message.http.message);
        let (opcode, bytes) = (message.opcode, message.wire_bytes);
        self.line(format_args!("flow {number}: WebSocket {direction:?} {opcode:?} {bytes} bytes"));
    }

    fn closed(&mut self, flow: &FlowView<'_>, reason: CloseReason) {
        self.tell(flow, format_args!("closed: {reason:?}"));
    }

    fn gone(&mut self, summary: FlowSummary) {
        let (up, down) = (summary.to_server, summary.to_client);
        let number = summary.flow.number;
        self.line(format_args!(
            "flow {number}: gone; sent {} bytes, received {} bytes, {} exchanges",
            up.bytes, down.bytes, summary.exchanges
        ));
    }
}
