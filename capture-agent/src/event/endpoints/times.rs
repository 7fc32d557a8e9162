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

    /// The time that a part of the exchanges took at most; `None` where no time is known.
    #[must_use]
    pub fn quantile_ns(&self, part: f64) -> Option<u64> {
        let quantile = self.0.quantile(part).ok()??;
        Some(quantile.min(self.0.max()?).max(self.0.min()?) as u64)
    }

    /// The longest of them.
    #[must_use]
    pub fn longest_ns(&self) -> Option<u64> {
        self.0.max().map(|longest| longest as u64)
    }
}
