//! What is wanted of the events, on its way to the outputs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use capture_agent::event::{
    BodyKey, Content, Dropped, Endpoints, Event, Exchange, FlowData, FlowInfo, FlowSummary,
    HttpCounters, News, RawCounts, WebSocketMessage,
};
use capture_agent::filter::Verdict;
use capture_agent::flow::Direction;
use capture_agent::http::BodyPart;
use capture_agent::listener::{Data, FlowView, Listener};
use capture_agent::output::queue::Sender;
use capture_agent::output::relay::{self, Relay};
use capture_agent::output::{Ended, OutputError, Outputs, Takes};
use capture_agent::owner::Owners;

use super::sieve::Sieve;
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
    Here(Box<Direct>),
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

    /// Has the outputs hand to the system what they have.
    pub(super) fn flush(&mut self) {
        match self {
            Self::Here(direct) => direct.flush(),
            Self::Relay(relay) => relay.flush(),
        }
    }

    /// Tells those who watch how far the outputs have come; threads of their own do that themselves.
    pub(super) fn tell(&self) {
        if let Self::Here(direct) = self {
            direct.outputs.tell();
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

    fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.outputs.flush().err();
        }
    }

    fn end(mut self) -> relay::Written {
        let finished = self.outputs.finish();
        (self.outputs, self.failed.map_or(finished, Err))
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
    /// Who is asked about each flow that opens.
    owners: Option<Owners>,
    sieve: Sieve,
    exchanges: bool,
    messages: bool,
    flows: bool,
    /// What consumers take.
    takes: Takes,
    wanted: Wanted,
    numbers: Numbers,
    unwanted: Dropped,
    /// The exchanges that were asked for, shown or not.
    http: HttpCounters,
    /// What was made for consumers alone.
    raw: RawCounts,
    /// The endpoints of exchanges that pass, where there is to be a summary of them.
    endpoints: Option<Endpoints>,
}

/// Whether more is wanted, of all sinks that share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// How many exchanges still are; `None` for all.
    left: Option<Arc<AtomicU64>>,
    ended: Ended,
}

impl Wanted {
    fn new(count: Option<u64>) -> Self {
        let left = count.map(|count| Arc::new(AtomicU64::new(count)));
        Self { left, ended: Ended::default() }
    }

    /// Whether as many have come, or a consumer has ended the capture.
    pub(super) fn is_full(&self) -> bool {
        self.ended.is_set() || self.has_all()
    }

    fn has_all(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.load(Ordering::Relaxed) == 0)
    }

    /// Takes one, if there is one left.
    fn take(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        let take = |left: &Arc<AtomicU64>| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
        };
        self.left.as_ref().is_none_or(take)
    }
}

/// Numbers of flows that no other engine gives: every so many, from the first on.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    first: u64,
    step: u64,
}

impl Numbers {
    /// Makes a number that an engine gave one that no other gives.
    const fn settle(self, flow: &mut FlowInfo) {
        flow.number = self.settled(flow.number);
    }

    const fn settled(self, number: u64) -> u64 {
        number * self.step + self.first
    }
}

impl<W: Way> Sink<W> {
    pub(super) fn new(args: &CommonArgs, way: W) -> Self {
        Self {
            way,
            owners: None,
            sieve: Sieve::new(&args.filter),
            exchanges: args.events.contains(&EventArg::Exchange),
            messages: args.events.contains(&EventArg::WebSocket),
            flows: args.events.contains(&EventArg::Flow),
            takes: Takes::default(),
            wanted: Wanted::new(args.count),
            numbers: Numbers { first: 0, step: 1 },
            unwanted: Dropped::default(),
            http: HttpCounters::default(),
            raw: RawCounts::default(),
            endpoints: (!args.quiet).then(Endpoints::default),
        }
    }

    /// As many as there are ways, each for an engine with a part of the flows. They share what is
    /// wanted.
    pub(super) fn several(args: &CommonArgs, ways: Vec<W>) -> Vec<Self> {
        let (wanted, step) = (Wanted::new(args.count), ways.len() as u64);
        let sink = |(first, way)| Self {
            wanted: wanted.clone(),
            numbers: Numbers { first, step },
            ..Self::new(args, way)
        };
        (0..).zip(ways).map(sink).collect()
    }

    /// What is wanted of the exchanges, by all that share it.
    pub(super) fn wanted(&self) -> Wanted {
        self.wanted.clone()
    }

    /// Gives the outputs what they ask for: the owner of each flow, and what consumers take, until
    /// one of them ends the capture.
    pub(super) fn for_outputs(self, outputs: &Asked) -> Self {
        let Asked { owners, takes, ended } = outputs.clone();
        let wanted = Wanted { ended, ..self.wanted };
        Self {
            owners,
            exchanges: self.exchanges || takes.exchanges,
            flows: self.flows || takes.flows,
            takes,
            wanted,
            ..self
        }
    }

    /// Whether nothing more is wanted.
    pub(super) fn is_full(&self) -> bool {
        self.wanted.is_full()
    }

    /// What was left out so far.
    pub(super) fn dropped(&self) -> Dropped {
        let mut dropped = self.way.dropped();
        dropped.merge(&self.unwanted);
        dropped
    }

    /// The exchanges that were asked for, in sum.
    pub(super) const fn http(&self) -> HttpCounters {
        self.http
    }

    /// The endpoints of exchanges that have passed, once there are no more.
    pub(super) const fn take_endpoints(&mut self) -> Option<Endpoints> {
        self.endpoints.take()
    }

    /// What was made for consumers alone.
    pub(super) const fn raw(&self) -> RawCounts {
        self.raw
    }

    fn data(&mut self, flow: &FlowView<'_>, direction: Direction, data: Data<'_>) {
        if !self.takes.data {
            return;
        }
        let Data { offset, bytes, time } = data;
        self.raw.data_bytes += bytes.len() as u64;
        let flow = self.info(flow);
        let data = FlowData { flow, direction, offset, time, bytes: bytes.to_vec() };
        self.way.take(Event::Data(Box::new(data)));
    }

    fn info(&self, flow: &FlowView<'_>) -> FlowInfo {
        let mut info = flow.info();
        self.numbers.settle(&mut info);
        info
    }
}

/// What the outputs ask of those who make events.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    owners: Option<Owners>,
    takes: Takes,
    ended: Ended,
}

impl Asked {
    pub(super) fn by(outputs: &Outputs) -> Self {
        let owners = outputs.owners().cloned();
        Self { owners, takes: outputs.takes(), ended: outputs.ended() }
    }
}

impl<W: Way> Listener for Sink<W> {
    fn wants_data(&self) -> bool {
        self.takes.data
    }

    fn opened(&mut self, flow: &FlowView<'_>) {
        if let Some(owners) = &self.owners {
            owners.ask(flow);
        }
        if self.takes.opened {
            self.raw.opened += 1;
            let flow = self.info(flow);
            self.way.take(Event::Opened(Box::new(flow)));
        }
    }

    fn sent(&mut self, flow: &FlowView<'_>, data: Data<'_>) {
        self.data(flow, Direction::ToServer, data);
    }

    fn received(&mut self, flow: &FlowView<'_>, data: Data<'_>) {
        self.data(flow, Direction::ToClient, data);
    }

    fn content(&mut self, flow: &FlowView<'_>, part: BodyPart) {
        if self.is_full() || !self.exchanges {
            self.unwanted.unwanted_content_bytes += part.bytes.len() as u64;
            return;
        }
        let flow_number = self.numbers.settled(flow.number);
        let body = BodyKey { flow: flow_number, direction: part.direction, message: part.message };
        let content = Content { body, server: flow.server, news: News::Part(part) };
        self.way.take(Event::Content(Box::new(content)));
    }

    fn exchange(&mut self, mut exchange: Exchange) {
        self.numbers.settle(&mut exchange.flow);
        // Beyond the count nothing is looked into.
        let verdict = if self.is_full() {
            Verdict::Matches
        } else {
            self.sieve.verdict(&mut exchange, self.owners.as_ref())
        };
        let passes = verdict == Verdict::Matches;
        let is_counted = passes && self.wanted.take();
        if is_counted {
            self.http.add(&exchange);
            self.endpoints.iter_mut().for_each(|endpoints| endpoints.add(&exchange));
        }
        if is_counted && self.exchanges {
            return self.way.take(Event::Exchange(Box::new(exchange)));
        }
        let left_out = &mut self.unwanted;
        left_out.unwanted += u64::from(passes);
        left_out.beyond_count += u64::from(passes && !is_counted);
        left_out.filtered += u64::from(!passes);
        left_out.undecided += u64::from(verdict == Verdict::Undecided);
        let server = exchange.flow.server;
        for (body, _) in exchange.streamed() {
            let content = Content { body, server, news: News::Unwanted };
            self.way.take(Event::Content(Box::new(content)));
        }
    }

    fn websocket(&mut self, mut message: WebSocketMessage) {
        if self.messages && !self.is_full() {
            self.numbers.settle(&mut message.flow);
            self.way.take(Event::WebSocket(Box::new(message)));
        } else {
            self.unwanted.unwanted_messages += 1;
        }
    }

    fn gone(&mut self, mut summary: FlowSummary) {
        if self.flows {
            self.numbers.settle(&mut summary.flow);
            self.way.take(Event::Flow(Box::new(summary)));
        } else {
            self.unwanted.unwanted_flows += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use capture_agent::flow::FlowId;
    use capture_agent::http;
    use capture_agent::segment::Endpoint;
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    impl Way for Vec<Event> {
        fn take(&mut self, event: Event) {
            self.push(event);
        }

        fn dropped(&self) -> Dropped {
            Dropped::default()
        }
    }

    fn sinks(arguments: &str, workers: usize) -> Vec<Sink<Vec<Event>>> {
        let arguments = format!("capture-agent run {arguments}");
        let cli = Cli::try_parse_from(arguments.split_whitespace()).unwrap();
        let Command::Run(args) = cli.command else { panic!("not run") };
        Sink::several(&args.common, vec![Vec::new(); workers])
    }

    fn exchange(number: u64) -> Exchange {
        let end = Endpoint::v4([10, 0, 0, 1], 80);
        let flow = FlowInfo {
            id: FlowId(0),
            number,
            start: capture_agent::segment::Timestamp::default(),
            client: end,
            server: end,
            iface: None,
            local: None,
            owner: None,
        };
        let http = http::Exchange {
            index: 0,
            request: None,
            response: None,
            informational: Vec::new(),
            timing: http::Timing::default(),
            network: http::Network::default(),
            anomalies: http::Anomalies::default(),
        };
        Exchange { flow, http }
    }

    #[test]
    fn a_count_is_exact_over_all_workers_at_once() {
        let sinks = sinks("--count 777", 4);
        let wanted = sinks[0].wanted();
        let workers = sinks.into_iter().map(|mut sink| {
            thread::spawn(move || {
                (0..1_000).for_each(|number| sink.exchange(exchange(number)));
                sink
            })
        });
        let workers: Vec<_> = workers.collect();
        let sinks: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        let taken: usize = sinks.iter().map(|sink| sink.way.len()).sum();
        let counted: u64 = sinks.iter().map(|sink| sink.http().sum()).sum();
        let beyond: u64 = sinks.iter().map(|sink| sink.dropped().beyond_count).sum();
        let unwanted: u64 = sinks.iter().map(|sink| sink.dropped().unwanted).sum();
        assert_eq!((taken, unwanted), (777, 4_000 - 777));
        assert_eq!((counted, beyond), (777, 4_000 - 777));
        assert!(wanted.is_full());
    }

    #[test]
    fn no_two_workers_give_a_flow_the_same_number() {
        let mut numbers = Vec::new();
        for mut sink in sinks("", 3) {
            (0..10).for_each(|number| sink.exchange(exchange(number)));
            numbers.extend(sink.way.iter().map(|event| match event {
                Event::Exchange(exchange) => exchange.flow.number,
                _ => panic!("{event:?}"),
            }));
        }
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..30));
    }
}
