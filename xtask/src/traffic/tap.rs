//! What the capture sees of a flow, and which of its bytes it never does.
//!
//! Invariant: a byte counts as lost where the capture has not seen it by the time that it sees its
//! receiver acknowledge it; the stream is then known to have been longer than what was seen.

use std::ops::Range;

use anyhow::Result;

use super::flow::{Flow, Packet, Pending, Side};
use super::frame::Segment;
use super::world::Shared;

/// Ranges of a stream that the capture did not see, as long as it may still see them sent again.
#[derive(Default)]
pub(super) struct Unseen(Vec<Range<u64>>);

impl Unseen {
    /// Takes away what lies in `range`, and returns it.
    fn cut(&mut self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut taken = Vec::new();
        for unseen in std::mem::take(&mut self.0) {
            let both = common(&unseen, range);
            if both.is_empty() {
                self.0.push(unseen);
                continue;
            }
            let rest = [unseen.start..both.start, both.end..unseen.end];
            self.0.extend(rest.into_iter().filter(|rest| !rest.is_empty()));
            taken.push(both);
        }
        taken
    }
}

fn common(a: &Range<u64>, b: &Range<u64>) -> Range<u64> {
    a.start.max(b.start)..a.end.min(b.end)
}

impl Flow {
    /// A segment passes the place of the capture.
    pub(super) fn passes(&mut self, packet: Packet, shared: &mut Shared) -> Result<()> {
        let from = packet.from;
        if packet.unseen {
            self.way(from).unseen.0.push(packet.range.clone());
        } else {
            self.show(&packet, shared)?;
            self.way(from).unseen.cut(&packet.range);
            self.lose(from.other(), packet.ack);
            if from == Side::Client {
                self.conclude(packet.ack, shared)?;
            }
        }
        if !packet.lost {
            let after_ns = self.way(from).after_ns;
            shared.after(after_ns, self.number, super::flow::What::Arrives(packet));
        }
        Ok(())
    }

    /// Writes a segment of the handshake, by how many of the two SYNs were before it.
    pub(super) fn show_handshake(&self, syns: u32, shared: &mut Shared) -> Result<()> {
        let from = if syns == 1 { Side::Server } else { Side::Client };
        let (from_addr, to_addr) = self.addrs(from);
        let segment = Segment {
            from: from_addr,
            to: to_addr,
            seq: self.end(from).isn.wrapping_add(u32::from(syns == 2)),
            ack: (syns > 0).then(|| self.end(from.other()).isn.wrapping_add(1)),
            syn: syns < 2,
            fin: false,
            push: false,
            mss: shared.planner.mix.segment_bytes,
        };
        shared.payload.clear();
        shared.show(&segment)
    }

    fn show(&self, packet: &Packet, shared: &mut Shared) -> Result<()> {
        let (sender, receiver) = (self.end(packet.from), self.end(packet.from.other()));
        let (from, to) = self.addrs(packet.from);
        let last = sender.outbox.end();
        let position = |isn: u32, offset: u64| isn.wrapping_add(1).wrapping_add(offset as u32);
        let segment = Segment {
            from,
            to,
            seq: position(sender.isn, packet.range.start),
            ack: Some(position(receiver.isn, packet.ack)),
            syn: false,
            fin: packet.range.end > last,
            push: packet.push,
            mss: shared.planner.mix.segment_bytes,
        };
        shared.payload.clear();
        let data = packet.range.start..packet.range.end.min(last);
        sender.outbox.copy(&shared.planner.arena, &data, &mut shared.payload);
        shared.show(&segment)
    }

    /// What lies before `offset` of what `side` says and was not seen is lost: to whom?
    fn lose(&mut self, side: Side, offset: u64) {
        for lost in self.way(side).unseen.cut(&(0..offset)) {
            for pending in &mut self.pending {
                let (place, part) = match side {
                    Side::Client => (Some(&pending.request), &mut pending.truth.request),
                    Side::Server => (pending.response.as_ref(), &mut pending.truth.response),
                };
                let both = place.map(|place| common(place, &lost)).unwrap_or_default();
                part.lost_bytes += both.end.saturating_sub(both.start);
            }
        }
    }

    /// Writes down the exchanges whose responses the client has to this offset.
    fn conclude(&mut self, offset: u64, shared: &mut Shared) -> Result<()> {
        let is_over = |pending: &Pending| {
            pending.response.as_ref().is_some_and(|response| response.end <= offset)
        };
        while let Some(request) =
            self.pending.front().filter(|it| is_over(it)).map(|it| &it.request)
        {
            // The acknowledgement of it may be among what the capture lacks.
            self.lose(Side::Client, request.end);
            if let Some(pending) = self.pending.pop_front() {
                self.answered -= 1;
                shared.truths.write(&pending.truth)?;
                shared.summary.exchange(&pending.truth);
            }
        }
        Ok(())
    }
}
