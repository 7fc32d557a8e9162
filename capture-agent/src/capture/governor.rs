//! Says on standard error when the kernel half begins to leave something out because a ring fills,
//! and when it takes everything again.

use std::time::{Duration, Instant};

use capture_ebpf::Governor;

/// How often the governors are looked at: what happens in between is counted all the same, and told
/// in the ledger.
const PERIOD: Duration = Duration::from_millis(250);

/// What was told of the governors so far.
#[derive(Debug)]
pub(super) struct GovernorLog {
    told: Vec<Governor>,
    looked: Instant,
    quiet: bool,
}

impl GovernorLog {
    pub(super) fn new(quiet: bool) -> Self {
        Self { told: Vec::new(), looked: Instant::now(), quiet }
    }

    /// Whether it is time to look again.
    pub(super) fn is_due(&mut self) -> bool {
        let due = !self.quiet && self.looked.elapsed() >= PERIOD;
        if due {
            self.looked = Instant::now();
        }
        due
    }

    /// What there is to say now that the governors stand so.
    pub(super) fn lines(&mut self, governors: &[Governor]) -> Vec<String> {
        self.told.resize(governors.len(), Governor::default());
        let rings = self.told.iter_mut().zip(governors).enumerate();
        let lines = rings.filter_map(|(ring, (told, now))| {
            let line = (*told != *now).then(|| line(ring, told, now));
            *told = *now;
            line
        });
        lines.collect()
    }
}

fn line(ring: usize, told: &Governor, now: &Governor) -> String {
    let steps =
        |governor: &Governor| -> u64 { governor.raised.iter().chain(&governor.lowered).sum() };
    let highest =
        (0..now.raised.len()).rev().find(|level| now.raised.get(*level) > told.raised.get(*level));
    let what = match now.level {
        0 => "everything is taken again",
        1 => "half full: of each side's turn 64 KiB are taken",
        2 => "filling: of each side's turn 16 KiB are taken",
        3 => "filling: of each side's turn 4 KiB are taken",
        4 => "nearly full: half of the flows are left out",
        _ => "nearly full: seven flows in eight are left out",
    };
    let steps = steps(now) - steps(told);
    let peak = highest.map_or(String::new(), |level| format!(", up to level {level}"));
    format!("ring {ring}: {what} (level {}, {steps} steps{peak})", now.level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once_and_its_end() {
        let mut log = GovernorLog::new(false);
        let calm = Governor::default();
        assert!(log.lines(&[calm, calm]).is_empty());
        let full = Governor { level: 4, raised: [0, 1, 0, 0, 1, 0], lowered: [0; 6] };
        let nearly_full =
            "ring 1: nearly full: half of the flows are left out (level 4, 2 steps, up to level 4)";
        assert_eq!(log.lines(&[calm, full]), [nearly_full]);
        assert!(log.lines(&[calm, full]).is_empty());
        let over = Governor { level: 0, lowered: [1, 1, 1, 1, 0, 0], ..full };
        assert_eq!(
            log.lines(&[calm, over]),
            ["ring 1: everything is taken again (level 0, 4 steps)"]
        );
    }
}
