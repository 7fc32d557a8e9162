//! Arguments of the commands that look at the flows of one capture file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use capture_agent::flow::{Direction, FlowKey};
use capture_agent::output::transcript::Form;
use capture_agent::segment::Endpoint;
use capture_agent::selection::HostNet;
use clap::{Args, ValueEnum};

use super::{EngineArgs, TakenArgs};

/// A capture file and what of it is looked at.
#[derive(Clone, Debug, Args)]
pub(crate) struct SingleArgs {
    /// Capture file; '-' is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What of it is taken.
    #[command(flatten)]
    pub(crate) taken: TakenArgs,
    /// Only TCP from or to these addresses or networks; may be given several times
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) host: Vec<HostNet>,
    /// How flows and streams are put together.
    #[command(flatten, next_help_heading = "Flows and streams")]
    pub(crate) engine: EngineArgs,
}

/// Arguments of `flows`.
#[derive(Clone, Debug, Args)]
pub(crate) struct FlowsArgs {
    /// Format of standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: FlowsFormat,
    /// The file.
    #[command(flatten)]
    pub(crate) single: SingleArgs,
}

/// A format for flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlowsFormat {
    /// A line a flow, for people
    Text,
    /// An object a line, for programs
    Jsonl,
}

/// Arguments of `follow`.
#[derive(Clone, Debug, Args)]
pub(crate) struct FollowArgs {
    /// The flow.
    #[command(flatten)]
    pick: PickArgs,
    /// Whose bytes to write
    #[arg(long, value_name = "SIDE", default_value = "both")]
    pub(crate) side: SideArg,
    /// Write the bytes themselves, in the order in which they were said
    #[arg(long, conflicts_with = "hex")]
    raw: bool,
    /// Write the bytes in hexadecimal, with offsets; the server's are indented
    #[arg(long)]
    hex: bool,
    /// The file.
    #[command(flatten)]
    pub(crate) single: SingleArgs,
}

impl FollowArgs {
    /// Which flow to follow.
    pub(crate) fn pick(&self) -> Pick {
        match (self.pick.stream, self.pick.flow) {
            (_, Some(flow)) => Pick::Between(flow),
            (stream, None) => Pick::Stream(stream.unwrap_or_default()),
        }
    }

    /// How to write it.
    pub(crate) const fn form(&self) -> Form {
        match (self.raw, self.hex) {
            (true, _) => Form::Raw,
            (_, true) => Form::Hex,
            _ => Form::Text,
        }
    }
}

/// One flow, by number or by its ends.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct PickArgs {
    /// The flow of this number, as 'capture-agent flows' counts them
    #[arg(long, value_name = "N")]
    stream: Option<u64>,
    /// The flow between these ends, in either order, like 10.0.0.5:51234-10.0.0.1:80 or
    /// [::1]:51234-[::1]:80; the first where there are several, and standard error says so
    #[arg(long, value_name = "A:P-B:P")]
    flow: Option<Ends>,
}

/// Which flow to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// The flow of this number.
    Stream(u64),
    /// The first flow between these ends.
    Between(Ends),
}

/// The two ends of a flow, as they were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends(Endpoint, Endpoint);

impl Ends {
    /// The key of flows between them.
    pub(crate) fn key(self) -> FlowKey {
        FlowKey::new(self.0, self.1)
    }
}

impl FromStr for Ends {
    type Err = String;

    /// Two ends with a hyphen between them, or with an arrow as in the agent's own output.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let end = |text: &str| {
            let end: SocketAddr = text.trim().parse().ok()?;
            Some(Endpoint::new(end.ip(), end.port()))
        };
        text.split_once('-')
            .or_else(|| text.split_once('→'))
            .and_then(|(one, other)| Some(Self(end(one)?, end(other)?)))
            .ok_or_else(|| {
                "not two ends like 10.0.0.5:51234-10.0.0.1:80 or [::1]:51234-[::1]:80".to_owned()
            })
    }
}

impl std::fmt::Display for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} and {}", self.0, self.1)
    }
}

/// Whose bytes to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SideArg {
    /// The client's
    Client,
    /// The server's
    Server,
    /// Both
    Both,
}

impl SideArg {
    /// Whether what goes in this direction is wanted.
    pub(crate) const fn includes(self, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => !matches!(self, Self::Server),
            Direction::ToClient => !matches!(self, Self::Client),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_flow_come_in_either_order_and_family() {
        let key = |text: &str| text.parse::<Ends>().map(Ends::key);
        let v4 = key("10.0.0.5:51234-10.0.0.1:80").unwrap();
        assert_eq!(key("10.0.0.1:80-10.0.0.5:51234"), Ok(v4));
        assert_eq!(key("10.0.0.5:51234 → 10.0.0.1:80"), Ok(v4));
        let v6 = key("[2001:db8::5]:51234-[2001:db8::1]:80").unwrap();
        assert_eq!(key("[2001:db8::1]:80-[2001:db8::5]:51234"), Ok(v6));
        for bad in ["", "-", "10.0.0.5:51234", "10.0.0.5-10.0.0.1:80", "::1:80-::1:81", "a:1-b:2"] {
            assert!(key(bad).is_err(), "{bad}");
        }
    }
}
