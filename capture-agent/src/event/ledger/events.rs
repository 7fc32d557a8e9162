//! How many events there were, and how many of them did not reach the outputs.

use std::fmt;

use crate::event::Event;

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
    /// Those of them that came when no more exchanges were asked for.
    pub beyond_count: u64,
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
            beyond_count,
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
        self.beyond_count += beyond_count;
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
