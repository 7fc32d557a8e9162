//! How much of a core the look-ups may take.
//!
//! It stops a flood of connections, or a host with very many processes, from turning a convenience
//! into load. What counts is the processor time that the thread has used, whatever it did.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The thread may use a fiftieth of a core in the long run,
const SHARE: u32 = 50;
/// and so much at once: a look through the processes of a large host.
const BURST: Duration = Duration::from_millis(50);
/// It goes on once it has earned this much, so that it does not wake for each look-up.
const WORTH_WAKING: Duration = Duration::from_millis(2);

/// The account of the thread that made it.
#[derive(Debug)]
pub(super) struct Budget {
    credit_ns: i64,
    wall: Instant,
    cpu: Duration,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { credit_ns: nanos(BURST), wall: Instant::now(), cpu: cpu() }
    }

    /// Whether nothing is left.
    pub(super) fn is_spent(&mut self) -> bool {
        let (wall, cpu) = (Instant::now(), cpu());
        let (passed, used) = (wall - self.wall, cpu.saturating_sub(self.cpu));
        (self.wall, self.cpu) = (wall, cpu);
        self.book(passed, used);
        self.credit_ns <= 0
    }

    fn book(&mut self, passed: Duration, used: Duration) {
        self.credit_ns = (self.credit_ns + nanos(passed / SHARE)).min(nanos(BURST)) - nanos(used);
    }

    /// How long until enough is there again.
    pub(super) fn recovery(&self) -> Duration {
        let short = nanos(WORTH_WAKING).saturating_sub(self.credit_ns).max(0);
        Duration::from_nanos(short.unsigned_abs()) * SHARE
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// Processor time of the calling thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_long_run_a_fiftieth_may_be_used() {
        let mut budget = Budget::new();
        let (second, a_fiftieth) = (Duration::from_secs(1), Duration::from_millis(20));
        for _ in 0..1000 {
            budget.book(second, a_fiftieth);
        }
        assert!(budget.credit_ns > 0);
        for _ in 0..1000 {
            budget.book(second, a_fiftieth + Duration::from_millis(1));
        }
        assert!(budget.credit_ns <= 0);
        // What was saved up is a burst, not the day.
        budget.book(Duration::from_secs(86_400), Duration::ZERO);
        assert_eq!(budget.credit_ns, nanos(BURST));
        assert_eq!(budget.recovery(), Duration::ZERO);
        budget.book(Duration::ZERO, BURST);
        assert_eq!(budget.recovery(), WORTH_WAKING * SHARE);
    }
}
