//! Writes down what the parsers find: messages of a dialogue, as they grow and end.

mod reading;

use super::anomaly::{Anomalies, Anomaly};
use super::dialogue::{AnswerFate, Dialogue};
use super::exchange::{Message, Network, State as Seen};
use super::framing::{self, Framing};
use super::head::{Fields, Parse, RequestHead, ResponseHead, Version};
use super::parser::{Handler, Hole, Loss, Lost, Start};
use super::streamed::About;
use super::tunnel::OpenTunnel;
use super::{HttpRules, Said};
use crate::flow::Direction;
use crate::segment::Timestamp;
use reading::{Reading, open_message, read};

/// What the two handlers below share: the flow's dialogue, and where what comes of it goes.
#[derive(Debug)]
pub(super) struct Scribe<'a> {
    /// The flow's dialogue.
    pub(super) dialogue: &'a mut Dialogue,
    /// What is kept, and how much.
    pub(super) rules: &'a HttpRules,
    /// Whether another copy of the bytes that come now differed.
    pub(super) conflict: bool,
    /// How long the flow took to open, where that was seen.
    pub(super) connect_ns: Option<u64>,
    /// What the network has done to the flow until now.
    pub(super) network: Network,
    /// What HTTP has given way to, if it has.
    pub(super) tunnel: &'a mut Option<Box<OpenTunnel>>,
    /// Stream offset of what the server says next.
    pub(super) answered_until: u64,
    /// Where what is finished goes.
    pub(super) out: &'a mut Said,
}

impl Scribe<'_> {
    fn pass(&mut self) {
        let keep = self.rules.kept_bytes();
        self.dialogue.pass(self.connect_ns, keep, &mut self.out.exchanges);
    }

    /// A response is over. If it has opened a tunnel, no more will be known of what still waits:
    /// all exchanges come out, before what the tunnel carries.
    fn pass_response(&mut self) {
        let Some(tunnel) = self.tunnel else { return self.pass() };
        let exchanges = &mut self.out.exchanges;
        self.dialogue.close(Seen::Cut, self.connect_ns, exchanges);
        let last = exchanges.iter().rfind(|exchange| exchange.response.is_some());
        tunnel.opened_by(last.map(|exchange| exchange.index));
    }

    /// What the body after this head is about, where it is to be handed on.
    fn about(
        &self,
        head: &impl Parse,
        request: Option<&RequestHead>,
        time: Timestamp,
    ) -> Option<About> {
        let head = head.common();
        let is_wanted = self.rules.stream.as_ref().is_some_and(|rules| rules.wants(head));
        is_wanted.then(|| About::new(head, request, time))
    }

    /// The same of an answer with this fate.
    fn about_answer(&self, head: &ResponseHead, fate: AnswerFate, start: Start) -> Option<About> {
        self.rules.stream.as_ref()?;
        let asked = self.dialogue.asked(fate);
        let time = asked.map_or(start, |ask| ask.start).arrival.mark.time;
        self.about(head, asked.map(|ask| &ask.message.head), time)
    }

    fn tunnelled(&mut self, direction: Direction, bytes: &[u8], time: Timestamp) {
        if let Some(tunnel) = self.tunnel {
            tunnel.take(direction, (bytes, time), self.rules, &mut self.out.messages);
        }
    }

    fn tunnel_gap(&mut self, direction: Direction, hole: Hole) {
        if let Some(tunnel) = self.tunnel {
            tunnel.gap(direction, hole, self.rules, &mut self.out.messages);
        }
    }

    fn tunnel_end(&mut self, direction: Direction, seen: Seen) {
        if let Some(tunnel) = self.tunnel {
            tunnel.finish(direction, seen, &mut self.out.messages);
        }
    }
}

/// Takes what is found in the client's direction.
#[derive(Debug)]
pub(super) struct Requests<'a>(pub(super) Scribe<'a>);

impl Requests<'_> {
    /// Lets something happen to the request that is being read, if there is one.
    fn read(&mut self, act: impl FnOnce(&mut Reading<'_, RequestHead>)) {
        let Scribe { dialogue, rules, network, out, .. } = &mut self.0;
        let Some(ask) = dialogue.current_ask() else { return };
        ask.progress.network = *network;
        let before = ask.progress.memory;
        let after = read(&mut ask.message, &mut ask.progress, rules, act);
        hand_on(&mut ask.message, Direction::ToServer, out);
        dialogue.hold(before, after);
    }
}

impl Handler<RequestHead> for Requests<'_> {
    fn head(&mut self, head: RequestHead, start: Start, last_byte: Timestamp) -> Framing {
        let mut anomalies = Anomalies::default();
        let framing = framing::of_request(&head, &mut anomalies);
        if self.0.conflict {
            anomalies.add(Anomaly::ConflictingCopies);
        }
        let about = self.0.about(&head, Some(&head), start.arrival.mark.time);
        let message = open_message(head, start, last_byte);
        self.0.dialogue.ask(message, start, self.0.answered_until);
        self.read(|request| {
            request.progress.anomalies.extend(anomalies);
            request.begin_body(about);
        });
        self.0.pass();
        framing
    }

    fn headless(&mut self, _start: Start) -> bool {
        false
    }

    fn content(&mut self, bytes: &[u8], time: Timestamp) {
        let conflict = self.0.conflict;
        self.read(|request| request.content(bytes, time, conflict));
    }

    fn trailers(&mut self, fields: Fields) {
        self.read(|request| request.message.trailers = fields);
    }

    fn lost(&mut self, lost: Lost) {
        self.read(|request| request.lost(lost));
    }

    fn took_up(&mut self, bytes: u64) {
        self.read(|request| request.took_up(bytes));
    }

    fn is_alone(&self) -> bool {
        self.0.dialogue.has_no_answer_to_last()
    }

    fn awaits_tunnel(&self) -> bool {
        self.0.dialogue.awaits_tunnel()
    }

    fn end(&mut self, time: Timestamp) {
        self.read(|request| request.end(time));
        self.0.pass();
    }

    fn broken_off(&mut self, seen: Seen) {
        self.read(|request| request.broken_off(seen));
        self.0.pass();
    }

    fn anomaly(&mut self, anomaly: Anomaly) {
        self.read(|request| request.progress.anomalies.add(anomaly));
    }

    fn out_of_step(&mut self, _offset: u64, loss: Loss) {
        self.0.dialogue.lose_requests(loss);
    }

    fn midstream(&mut self, _bytes: u64, _first: Start, _last: Timestamp) {
        // Without its head a request says nothing; its response comes alone.
    }

    fn tunnelled(&mut self, bytes: &[u8], time: Timestamp) {
        self.0.tunnelled(Direction::ToServer, bytes, time);
    }

    fn tunnel_gap(&mut self, hole: Hole) {
        self.0.tunnel_gap(Direction::ToServer, hole);
    }

    fn tunnel_end(&mut self, seen: Seen) {
        self.0.tunnel_end(Direction::ToServer, seen);
    }
}

/// Takes what is found in the server's direction.
#[derive(Debug)]
pub(super) struct Responses<'a>(pub(super) Scribe<'a>);

impl Responses<'_> {
    /// Lets something happen to the response that is being read, if there is one.
    fn read(&mut self, act: impl FnOnce(&mut Reading<'_, ResponseHead>)) {
        let Scribe { dialogue, rules, network, out, .. } = &mut self.0;
        let Some(answer) = dialogue.current_answer() else { return };
        answer.progress.network = *network;
        let Some(message) = &mut answer.message else { return };
        let before = answer.progress.memory;
        let after = read(message, &mut answer.progress, rules, act);
        hand_on(message, Direction::ToClient, out);
        dialogue.hold(before, after);
    }
}

impl Handler<ResponseHead> for Responses<'_> {
    fn head(&mut self, head: ResponseHead, start: Start, last_byte: Timestamp) -> Framing {
        let conflict = self.0.conflict;
        let dialogue = &mut *self.0.dialogue;
        let Some(fate) = dialogue.answer(start).map(|answer| answer.fate) else {
            return Framing::Unknown;
        };
        let mut anomalies = Anomalies::default();
        let asked = dialogue.asked(fate).map(|ask| &ask.message.head);
        let framing = framing::of_response(&head, asked.map(RequestHead::method), &mut anomalies);
        if framing == Framing::Tunnel {
            let mut tunnel = OpenTunnel::new(asked, &head);
            if !is_last_word(dialogue, fate) {
                tunnel.lose_step(Direction::ToServer);
            }
            *self.0.tunnel = Some(Box::new(tunnel));
        }
        if conflict {
            anomalies.add(Anomaly::ConflictingCopies);
        }
        let Some(answer) = dialogue.answers.back_mut() else { return Framing::Unknown };
        answer.progress.anomalies.extend(anomalies);
        if framing == Framing::Interim {
            dialogue.interim(head);
            return framing;
        }
        let fate = answer.fate;
        let about = self.0.about_answer(&head, fate, start);
        let Some(answer) = self.0.dialogue.answers.back_mut() else { return Framing::Unknown };
        answer.message = Some(open_message(head, start, last_byte));
        self.read(|response| response.begin_body(about));
        framing
    }

    fn headless(&mut self, start: Start) -> bool {
        let dialogue = &mut *self.0.dialogue;
        // Only a request makes what follows an answer.
        if !dialogue.has_request_for(start) {
            return false;
        }
        let Some(answer) = dialogue.answer(start) else { return false };
        let time = start.arrival.mark.time;
        let head = ResponseHead::headless();
        let fate = answer.fate;
        let about = self.0.about_answer(&head, fate, start);
        let dialogue = &mut *self.0.dialogue;
        let Some(answer) = dialogue.answers.back_mut() else { return false };
        answer.message = Some(open_message(head, start, time));
        let asked = dialogue.asked(fate).and_then(|ask| ask.message.head.head().version());
        self.read(|response| {
            if asked != Some(Version::HTTP_09) {
                response.progress.anomalies.add(Anomaly::HeadlessResponse);
            }
            response.begin_body(about);
        });
        true
    }

    fn content(&mut self, bytes: &[u8], time: Timestamp) {
        let conflict = self.0.conflict;
        self.read(|response| response.content(bytes, time, conflict));
    }

    fn trailers(&mut self, fields: Fields) {
        self.read(|response| response.message.trailers = fields);
    }

    fn lost(&mut self, lost: Lost) {
        self.read(|response| response.lost(lost));
    }

    fn took_up(&mut self, bytes: u64) {
        self.read(|response| response.took_up(bytes));
    }

    fn is_alone(&self) -> bool {
        let dialogue = &self.0.dialogue;
        dialogue.answers.back().is_some_and(|answer| is_last_word(dialogue, answer.fate))
    }

    fn awaits_tunnel(&self) -> bool {
        false
    }

    fn end(&mut self, time: Timestamp) {
        self.read(|response| response.end(time));
        self.0.pass_response();
    }

    fn broken_off(&mut self, seen: Seen) {
        self.read(|response| response.broken_off(seen));
        if let Some(tunnel) = self.0.tunnel {
            // Not all of its head is there: neither where it ends, nor what was agreed on.
            Direction::BOTH.into_iter().for_each(|direction| tunnel.lose_step(direction));
        }
        self.0.pass_response();
    }

    fn anomaly(&mut self, anomaly: Anomaly) {
        self.read(|response| response.progress.anomalies.add(anomaly));
    }

    fn out_of_step(&mut self, offset: u64, _loss: Loss) {
        self.0.dialogue.lose_responses(offset);
        self.0.pass();
    }

    fn midstream(&mut self, bytes: u64, first: Start, last: Timestamp) {
        let mut message = open_message(ResponseHead::unseen(), first, last);
        message.state = Seen::Midstream;
        message.body.wire_bytes = bytes;
        message.body.truncated = self.0.rules.keep_body_bytes > 0;
        self.0.dialogue.midstream(message, first, self.0.network);
    }

    fn tunnelled(&mut self, bytes: &[u8], time: Timestamp) {
        self.0.tunnelled(Direction::ToClient, bytes, time);
    }

    fn tunnel_gap(&mut self, hole: Hole) {
        self.0.tunnel_gap(Direction::ToClient, hole);
    }

    fn tunnel_end(&mut self, seen: Seen) {
        self.0.tunnel_end(Direction::ToClient, seen);
    }
}

/// Hands on what has come in of a body, where it is to be.
fn hand_on<H>(message: &mut Message<H>, direction: Direction, out: &mut Said) {
    if let Some(streamed) = &mut message.body.streamed {
        streamed.hand_on(direction, message.offset, &mut out.parts);
    }
}

/// Whether the client has said nothing after the request that is answered.
fn is_last_word(dialogue: &Dialogue, fate: AnswerFate) -> bool {
    let last = dialogue.asks.back().filter(|last| last.progress.over);
    dialogue.requests_lost == Loss::None
        && last.is_some_and(|last| fate == AnswerFate::Answers(last.id))
}
