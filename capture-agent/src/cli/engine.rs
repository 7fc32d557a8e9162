//! Arguments for how flows and streams are put together, which every command has that captures.

use std::time::Duration;

use bytesize::ByteSize;
use capture_agent::stream::{Deliver, Overlap};
use clap::{Args, ValueEnum};

use super::parse_duration;

/// How flows and streams are put together.
#[derive(Clone, Debug, Args)]
pub(crate) struct EngineArgs {
    /// Let a flow go after it has been silent for this long
    #[arg(long, value_name = "TIME", default_value = "300s", value_parser = parse_duration)]
    pub(crate) flow_timeout: Duration,
    /// Most flows at a time; past that the one with the oldest activity goes
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1 << 30))]
    pub(crate) max_flows: usize,
    /// Most memory for flows and what they hold; past that the one with the oldest activity goes
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub(crate) memory_limit: ByteSize,
    /// Which copy of a byte stands where segments overlap; one that was passed on stands in any case
    #[arg(long, value_name = "COPY", default_value = "first")]
    pub(crate) overlap: OverlapArg,
    /// When bytes are passed on
    #[arg(long, value_name = "WHEN", default_value = "in-order")]
    pub(crate) deliver: DeliverArg,
    /// Bytes that one direction of a flow may hold behind a hole before the hole is given up
    #[arg(long, value_name = "SIZE", default_value = "16MiB")]
    pub(crate) hole_bytes: ByteSize,
    /// How long a hole may stay open that the receiver has not acknowledged past
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) hole_time: Duration,
}

/// Which copy of a byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OverlapArg {
    /// The first that was seen
    First,
    /// The last that was seen
    Last,
}

impl From<OverlapArg> for Overlap {
    fn from(overlap: OverlapArg) -> Self {
        match overlap {
            OverlapArg::First => Self::First,
            OverlapArg::Last => Self::Last,
        }
    }
}

/// When bytes are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeliverArg {
    /// As soon as they are in order
    InOrder,
    /// As soon as their receiver has acknowledged them too. Live, segments that only acknowledge
    /// stay in the kernel: an acknowledgement comes with the next segment that carries data, SYN,
    /// FIN or RST, and bytes wait for it
    Acked,
}

impl From<DeliverArg> for Deliver {
    fn from(deliver: DeliverArg) -> Self {
        match deliver {
            DeliverArg::InOrder => Self::InOrder,
            DeliverArg::Acked => Self::Acked,
        }
    }
}

/// A size of something that can't be done without.
fn parse_size(text: &str) -> Result<ByteSize, String> {
    text.parse()
        .ok()
        .filter(|size| *size > ByteSize(0))
        .ok_or_else(|| format!("'{text}' is not a size like 512MiB or 1GiB"))
}
