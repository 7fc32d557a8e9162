//! What the traffic is made of: rates of kinds, and sizes.

use clap::Args;
use fastrand::Rng;

/// Shares are between 0 and 1.
#[derive(Args, Clone, Debug)]
pub(crate) struct Mix {
    /// Flows at a time
    #[arg(long, value_name = "N", default_value_t = 140,
          value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(super) flows: u32,
    /// Exchanges after which the connection is kept; after the others its client opens a new one
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
    pub(super) keep_alive: f64,
    /// Requests that are sent with others, of which none waits for an answer
    #[arg(long, value_name = "SHARE", default_value_t = 0.02, value_parser = share)]
    pub(super) pipelining: f64,
    /// Bodies in chunks
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = share)]
    pub(super) chunked: f64,
    /// Texts that are compressed
    #[arg(long, value_name = "SHARE", default_value_t = 0.3, value_parser = share)]
    pub(super) gzip: f64,
    /// Requests that upload something
    #[arg(long, value_name = "SHARE", default_value_t = 0.06, value_parser = share)]
    pub(super) post: f64,
    /// Requests for a head alone
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = share)]
    pub(super) head: f64,
    /// Answers that what the client has is still good
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share)]
    pub(super) not_modified: f64,
    /// Answers that there is nothing
    #[arg(long, value_name = "SHARE", default_value_t = 0.04, value_parser = share)]
    pub(super) not_found: f64,
    /// Smallest body
    #[arg(long, value_name = "SIZE", default_value = "200", value_parser = bytes)]
    pub(super) smallest: u64,
    /// Largest body
    #[arg(long, value_name = "SIZE", default_value = "20MB", value_parser = bytes)]
    pub(super) largest: u64,
    /// Mean of bodies before compression; most are much smaller, few much larger
    #[arg(long, value_name = "SIZE", default_value = "9.8KB", value_parser = bytes)]
    pub(super) mean: u64,
    /// Segments with data that overtake each other on the way
    #[arg(long, value_name = "SHARE", default_value_t = 0.001, value_parser = share)]
    pub(super) reordering: f64,
    /// Segments with data that are sent again: lost before the place of the capture, lost behind
    /// it, or not lost at all, a third each
    #[arg(long, value_name = "SHARE", default_value_t = 0.001, value_parser = share)]
    pub(super) retransmission: f64,
    /// Segments with data that reach their receiver and are not in the capture
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(super) loss: f64,
    /// Payload of a full segment; up to 65,000 as hosts merge them
    #[arg(long, value_name = "BYTES", default_value_t = 1460,
          value_parser = clap::value_parser!(u16).range(64..=65_000))]
    pub(super) segment_bytes: u16,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("'{text}' is not between 0 and 1"))
}

/// Bytes, or a number with a unit: `200`, `10KB`, `1.2GB`, `64KiB`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let size = text.parse::<bytesize::ByteSize>();
    size.map(|size| size.as_u64()).map_err(|_| format!("'{text}' is not a size like 10KB or 1.2GB"))
}

/// Sizes of bodies by a Pareto distribution between two bounds: what the web's are like (Crovella
/// and Bestavros, 1997). Most are near the smallest, and most bytes are in the largest.
pub(super) struct Sizes {
    smallest: f64,
    ratio: f64,
    shape: f64,
}

impl Sizes {
    pub(super) fn new(mix: &Mix) -> Self {
        let (smallest, largest) = (mix.smallest.max(1) as f64, mix.largest.max(1) as f64);
        let ratio = (largest / smallest).max(1.0);
        // The mean falls as the shape grows. The formula has holes at 0 and 1, which these miss.
        let (mut low, mut high) = (0.001, 20.0);
        for _ in 0..100 {
            let shape = f64::midpoint(low, high);
            if mean(smallest, ratio, shape) > mix.mean as f64 { low = shape } else { high = shape }
        }
        Self { smallest, ratio, shape: f64::midpoint(low, high) }
    }

    pub(super) fn draw(&self, rng: &mut Rng) -> u64 {
        // The inverse of the distribution.
        let below = rng.f64() * (1.0 - self.ratio.powf(-self.shape));
        let size = self.smallest * (1.0 - below).powf(-1.0 / self.shape);
        size.clamp(self.smallest, self.smallest * self.ratio) as u64
    }
}

fn mean(smallest: f64, ratio: f64, shape: f64) -> f64 {
    let share = shape / (1.0 - ratio.powf(-shape));
    smallest * share * (ratio.powf(1.0 - shape) - 1.0) / (1.0 - shape)
}
