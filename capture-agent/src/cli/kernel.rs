//! Arguments for how the kernel half hands segments over, which `run` alone has.

use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use capture_ebpf::MAX_WORKERS;
use clap::Args;

use super::parse_duration;

/// How the kernel half hands segments over.
#[derive(Clone, Debug, Args)]
pub(crate) struct KernelArgs {
    /// Workers, each with a ring and a share of the flows [default: as many as CPUs, up to 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_WORKERS)))]
    pub(crate) workers: Option<u32>,
    /// Size of each worker's ring, from 1MiB to 2GiB; the next power of two is taken [default: what
    /// the links bring in 50 ms, all rings together no more than 1/64 of the memory]
    #[arg(long, value_name = "SIZE", value_parser = parse_ring_size)]
    pub(crate) ring_size: Option<ByteSize>,
    /// How long a segment may wait for others, so that they are read together
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = parse_latency)]
    pub(crate) latency: Duration,
    /// Payload of one side that is taken after the other side last spoke, or 'off' for all of it;
    /// what is past that stays in the kernel and is 'elided'. At least what --max-head-bytes and
    /// --bodies ask for is taken, and all where messages of WebSockets are among --events
    #[arg(long, value_name = "SIZE", default_value = "256KiB")]
    pub(crate) budget: Budget,
}

/// What is taken of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    /// So much of it.
    Bytes(ByteSize),
    /// All of it.
    Off,
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let bytes = text.parse().map_err(|_| format!("'{text}' is neither a size nor 'off'"))?;
        Ok(Self::Bytes(bytes))
    }
}

fn parse_ring_size(text: &str) -> Result<ByteSize, String> {
    text.parse()
        .ok()
        .filter(|size| (ByteSize::mib(1)..=ByteSize::gib(2)).contains(size))
        .ok_or_else(|| format!("'{text}' is not a size from 1MiB to 2GiB"))
}

fn parse_latency(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok()
        .filter(|latency| *latency <= Duration::from_secs(1))
        .ok_or_else(|| format!("'{text}' is not a time of 1s at most, like 5ms"))
}
