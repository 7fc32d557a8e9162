//! How long exchanges took.

use sketches_ddsketch::{Config, DDSketch};

/// How far a quantile may be from the truth, as a part of it.
const ACCURACY: f64 = 0.02;
/// Most steps that times are told apart by: enough for nine orders of magnitude.
const STEPS: u32 = 512;
/// What is shorter is as good as nothing.
const LEAST_NS: f64 = 100.0;

/// Quantiles of times.
#[derive(Clone)]
pub struct Times(DDSketch);

impl Default for Times {
    fn default() -> Self {
        Self(DDSketch::new(Config::new(ACCURACY, STEPS, LEAST_NS)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "quantiles are within 2% anyway")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what comes out lies between times that went in"
)]
impl Times {
    pub(super) fn add(&mut self, nanos: u64) {
        self.0.add(nanos as f64);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        // It fails only where the two are not set up alike.
        let _ = self.0.merge(&other.0);
    }

    /// The time that so many exchanges in a hundred took at most; `None` where no time is known.
    #[must_use]
    pub fn percentile_ns(&self, percent: u64) -> Option<u64> {
        let count = self.0.count() as u64;
        // Of few, the sketch would take one too early for that: it rounds down.
        let rank = count.saturating_mul(percent).div_ceil(100).checked_sub(1)?;
        if rank + 1 == count {
            return self.longest_ns();
        }
        let quantile = self.0.quantile((rank as f64 + 0.5) / (count - 1) as f64).ok()??;
        Some(quantile.clamp(self.0.min()?, self.0.max()?) as u64)
    }

    /// The longest of them.
    #[must_use]
    pub fn longest_ns(&self) -> Option<u64> {
        self.0.max().map(|longest| longest as u64)
    }
}
