//! What the engine did with segments.

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
