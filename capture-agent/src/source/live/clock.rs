//! The kernel's clock as UTC.
//!
//! The kernel half stamps segments with `CLOCK_MONOTONIC`. What lies between it and UTC is
//! measured at the start and again every second, and adopted anew only where it has jumped: both
//! clocks are slewed together, so a small difference is the measurement's own and would only make
//! neighbouring segments jitter.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::segment::Timestamp;

/// A difference of this much is a clock that was set.
const STEP_NS: i64 = 1_000_000;
/// How often the offset is measured.
const PERIOD: Duration = Duration::from_secs(1);
/// Readings of which the tightest counts: an interruption between two clocks widens one.
const READINGS: usize = 5;

/// Turns kernel times into UTC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    offset_ns: i64,
    measured: Instant,
}

impl Clock {
    /// A clock with a freshly measured offset.
    pub(super) fn new() -> Self {
        Self { offset_ns: measure(), measured: Instant::now() }
    }

    /// Measures again when it is time to.
    pub(super) fn refresh(&mut self) {
        if self.measured.elapsed() >= PERIOD {
            self.adopt(measure());
            self.measured = Instant::now();
        }
    }

    fn adopt(&mut self, offset_ns: i64) {
        if offset_ns.abs_diff(self.offset_ns) > STEP_NS.unsigned_abs() {
            self.offset_ns = offset_ns;
        }
    }

    /// UTC for a `CLOCK_MONOTONIC` time in nanoseconds.
    pub(super) const fn utc(&self, monotonic_ns: u64) -> Timestamp {
        Timestamp(monotonic_ns.saturating_add_signed(self.offset_ns))
    }
}

/// Nanoseconds from `CLOCK_MONOTONIC` to UTC.
fn measure() -> i64 {
    let reading = || {
        let before = nanos(clock_gettime(ClockId::Monotonic));
        let utc = nanos(clock_gettime(ClockId::Realtime));
        let after = nanos(clock_gettime(ClockId::Monotonic));
        (after - before, utc - before - (after - before) / 2)
    };
    (0..READINGS).map(|_| reading()).min().map_or(0, |(_, offset_ns)| offset_ns)
}

const fn nanos(time: Timespec) -> i64 {
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_time_now_is_utc_now() {
        let clock = Clock::new();
        let utc = clock.utc(nanos(clock_gettime(ClockId::Monotonic)).unsigned_abs());
        let now = nanos(clock_gettime(ClockId::Realtime)).unsigned_abs();
        assert!(now.abs_diff(utc.as_nanos()) < 100_000_000, "{now} {utc:?}");
    }

    #[test]
    fn a_step_is_adopted_and_jitter_is_not() {
        let mut clock = Clock { offset_ns: 1_000_000_000, measured: Instant::now() };
        clock.adopt(1_000_900_000);
        assert_eq!(clock.utc(5), Timestamp(1_000_000_005));
        clock.adopt(7_000_000_000);
        assert_eq!(clock.utc(5), Timestamp(7_000_000_005));
        clock.adopt(-2);
        assert_eq!(clock.utc(5), Timestamp(3));
    }
}
