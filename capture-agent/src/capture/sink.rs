//! What is wanted of the events, on its way to the outputs.

use capture_agent::event::{Dropped, Event, Exchange, FlowSummary, WebSocketMessage};
use capture_agent::listener::Listener;
use capture_agent::output::queue::Sender;
use capture_agent::output::relay::{self, Relay};
use capture_agent::output::{OutputError, Outputs};

use crate::cli::{CommonArgs, EventArg};

/// Where wanted events go.
pub(super) trait Way {
    /// Takes an event.
    fn take(&mut self, event: Event);
    /// What was left out so far.
    fn dropped(&self) -> Dropped;
}

/// To outputs that push back: for files.
#[derive(Debug)]
pub(super) enum Writing {
    /// Straight there.
    Here(Direct),
    /// By threads of their own.
    Relay(Relay),
}

impl Writing {
    /// Whether an output has failed; nothing more is written then.
    pub(super) const fn has_failed(&self) -> bool {
        match self {
            Self::Here(direct) => direct.failed.is_some(),
            Self::Relay(relay) => relay.has_failed(),
        }
    }

    /// Hands everything to the system; what the outputs have written until now, and what went
    /// wrong first.
    pub(super) fn end(self) -> relay::Written {
        match self {
            Self::Here(direct) => direct.end(),
            Self::Relay(relay) => relay.end(),
        }
    }
}

impl Way for Writing {
    fn take(&mut self, event: Event) {
        match self {
            Self::Here(direct) => direct.take(event),
            Self::Relay(relay) => relay.send(event),
        }
    }

    fn dropped(&self) -> Dropped {
        Dropped::default()
    }
}

/// The outputs themselves.
#[derive(Debug)]
pub(super) struct Direct {
    outputs: Outputs,
    failed: Option<OutputError>,
}

impl Direct {
    pub(super) const fn new(outputs: Outputs) -> Self {
        Self { outputs, failed: None }
    }

    fn take(&mut self, event: Event) {
        if self.failed.is_none() {
            self.failed = self.outputs.write(event).err();
        }
    }

    fn end(mut self) -> relay::Written {
        let flushed = self.outputs.flush();
        (self.outputs, self.failed.map_or(flushed, Err))
    }
}

impl Way for Sender {
    fn take(&mut self, event: Event) {
        self.send(event);
    }

    fn dropped(&self) -> Dropped {
        Sender::dropped(self)
    }
}

/// A listener that passes on what was asked for.
#[derive(Debug)]
pub(super) struct Sink<W> {
    pub(super) way: W,
    exchanges: bool,
    messages: bool,
    flows: bool,
    /// Exchanges that are still wanted, `None` for all.
    left: Option<u64>,
    unwanted: u64,
    unwanted_messages: u64,
}

impl<W: Way> Sink<W> {
    pub(super) fn new(args: &CommonArgs, way: W) -> Self {
        Self {
            way,
            exchanges: args.events.contains(&EventArg::Exchange),
            messages: args.events.contains(&EventArg::WebSocket),
            flows: args.events.contains(&EventArg::Flow),
            left: args.count,
            unwanted: 0,
            unwanted_messages: 0,
        }
    }

    /// Whether as many exchanges have come as were wanted.
    pub(super) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// What was left out so far.
    pub(super) fn dropped(&self) -> Dropped {
        let Self { unwanted, unwanted_messages, .. } = *self;
        Dropped { unwanted, unwanted_messages, ..self.way.dropped() }
    }
}

impl<W: Way> Listener for Sink<W> {
    fn exchange(&mut self, exchange: Exchange) {
        if self.is_full() {
            self.unwanted += 1;
            return;
        }
        self.left = self.left.map(|left| left - 1);
        if self.exchanges {
            self.way.take(Event::Exchange(Box::new(exchange)));
        } else {
            self.unwanted += 1;
        }
    }

    fn websocket(&mut self, message: WebSocketMessage) {
        if self.messages && !self.is_full() {
            self.way.take(Event::WebSocket(Box::new(message)));
        } else {
            self.unwanted_messages += 1;
        }
    }

    fn gone(&mut self, summary: FlowSummary) {
        if self.flows {
            self.way.take(Event::Flow(Box::new(summary)));
        }
    }
}
