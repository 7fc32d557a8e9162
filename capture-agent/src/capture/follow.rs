//! `follow`: what was said on one flow of a capture file.
//!
//! A file is read no further than the end of the flow. One that was named by its ends is the
//! exception: others may come between the same ends, and that they are left out must be said.

use std::io::{self, BufWriter, Stdout};

use anyhow::anyhow;
use capture_agent::event::FlowSummary;
use capture_agent::flow::{CloseReason, Direction, FlowKey};
use capture_agent::listener::{Data, FlowView, Listener};
use capture_agent::output::transcript::{Form, Transcript};
use capture_agent::output::{OutputError, Target, aside};

use super::control::Control;
use super::single::{self, Reader, Reading};
use super::unless_closed;
use crate::cli::{FollowArgs, Pick, SideArg};

/// Runs `follow`.
pub(crate) fn follow(args: &FollowArgs) -> anyhow::Result<()> {
    let control = Control::new()?;
    let args = args.clone();
    control.run(std::future::ready(Ok(())), move |stop| {
        let mut follower = Follower::new(&args);
        let reading = single::read(&args.single, &mut follower, &stop);
        follower.conclude(reading)
    })
}

/// Listens for one flow.
struct Follower {
    pick: Pick,
    side: SideArg,
    is_raw: bool,
    transcript: Transcript<BufWriter<Stdout>>,
    failed: Option<io::Error>,
    /// The number of the flow, once it was seen.
    number: Option<u64>,
    is_gone: bool,
    /// Flows between the same ends that came later: how many, and the number of the first.
    later: u64,
    next: Option<u64>,
}

impl Follower {
    fn new(args: &FollowArgs) -> Self {
        Self {
            pick: args.pick(),
            side: args.side,
            is_raw: args.form() == Form::Raw,
            transcript: Transcript::to_stdout(args.form()),
            failed: None,
            number: None,
            is_gone: false,
            later: 0,
            next: None,
        }
    }

    fn follows(&self, flow: &FlowView<'_>) -> bool {
        self.number == Some(flow.number)
    }

    fn data(&mut self, flow: &FlowView<'_>, direction: Direction, data: Data<'_>) {
        if self.follows(flow) && self.side.includes(direction) {
            self.write(|transcript| transcript.data(flow, direction, data));
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut Transcript<BufWriter<Stdout>>) -> io::Result<()>) {
        if self.failed.is_none() {
            self.failed = write(&mut self.transcript).err();
        }
    }

    /// Says what is to be said at the end.
    fn conclude(mut self, reading: Reading) -> anyhow::Result<()> {
        self.write(Transcript::flush);
        if let Some(error) = self.failed {
            return unless_closed(Err(OutputError::in_writing(Target::Stdout, error)));
        }
        let read = reading.result.map_err(anyhow::Error::from);
        let Some(number) = self.number else {
            let missing = missing(self.pick, reading.flows);
            return Err(match read {
                Ok(()) => anyhow!(missing),
                Err(error) => error.context(missing),
            });
        };
        if let (Pick::Between(ends), Some(next)) = (self.pick, self.next) {
            let flows = self.later + 1;
            aside::say(format_args!(
                "stream {number} is the first of {flows} flows between {ends}; the next is {next}"
            ));
        }
        read
    }
}

fn missing(pick: Pick, flows: u64) -> String {
    let flows = match flows {
        0 => "no flow was seen".to_owned(),
        1 => "1 flow was seen, number 0".to_owned(),
        count => format!("{count} flows were seen, numbers 0 to {}", count - 1),
    };
    match pick {
        Pick::Stream(number) => format!("there is no stream {number}: {flows}"),
        Pick::Between(ends) => format!("there is no flow between {ends}: {flows}"),
    }
}

impl Listener for Follower {
    fn opened(&mut self, flow: &FlowView<'_>) {
        let is_meant = match self.pick {
            Pick::Stream(number) => flow.number == number,
            Pick::Between(ends) => FlowKey::new(flow.client, flow.server) == ends.key(),
        };
        if !is_meant {
            return;
        }
        if self.number.is_none() {
            self.number = Some(flow.number);
        } else {
            self.later += 1;
            self.next.get_or_insert(flow.number);
        }
    }

    fn sent(&mut self, flow: &FlowView<'_>, data: Data<'_>) {
        self.data(flow, Direction::ToServer, data);
    }

    fn received(&mut self, flow: &FlowView<'_>, data: Data<'_>) {
        self.data(flow, Direction::ToClient, data);
    }

    fn gap(&mut self, flow: &FlowView<'_>, direction: Direction, offset: u64, len: u64) {
        if !self.follows(flow) || !self.side.includes(direction) {
            return;
        }
        if self.is_raw {
            let who = match direction {
                Direction::ToServer => "client",
                Direction::ToClient => "server",
            };
            aside::say(format_args!("not seen: {len} B of the {who}, from its byte {offset} on"));
        }
        self.write(|transcript| transcript.gap(flow, direction, len));
    }

    fn closed(&mut self, flow: &FlowView<'_>, reason: CloseReason) {
        if self.follows(flow) {
            self.write(|transcript| transcript.closed(flow, reason));
        }
    }

    fn gone(&mut self, summary: FlowSummary) {
        self.is_gone |= self.number == Some(summary.flow.number);
    }
}

impl Reader for Follower {
    fn has_enough(&self) -> bool {
        self.failed.is_some() || (self.is_gone && matches!(self.pick, Pick::Stream(_)))
    }

    fn pause(&mut self) {
        self.write(Transcript::flush);
    }
}
