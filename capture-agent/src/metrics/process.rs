//! What the agent's process takes, by the names that Prometheus' clients have for it.
//!
//! Follows proc(5) and
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>. What the system does not
//! tell is left out.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// What a process takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    /// Seconds on CPUs, of all its threads.
    pub(super) cpu_s: f64,
    /// Memory that it has, in pages that are there.
    pub(super) resident_bytes: u64,
    /// Address space.
    pub(super) virtual_bytes: u64,
    /// Threads.
    pub(super) threads: u64,
    /// When it began, by the clock of the system.
    pub(super) start_s: f64,
    /// Descriptors that are open.
    pub(super) open_fds: Option<u64>,
    /// How many may be; `None` for any number.
    pub(super) max_fds: Option<u64>,
}

impl Process {
    /// This one, now.
    pub(super) fn this() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let system = fs::read_to_string("/proc/stat").ok()?;
        let boot = system.lines().find_map(|line| line.strip_prefix("btime "));
        let process = Self::parse(&stat, boot?.parse().ok()?)?;
        let open_fds = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64);
        Some(Self { open_fds, max_fds: getrlimit(Resource::Nofile).current, ..process })
    }

    /// Of `/proc/PID/stat`, on a system that began at `boot_s`.
    fn parse(stat: &str, boot_s: f64) -> Option<Self> {
        // The name may have any character in it; after it, the third field comes first.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second() as f64;
        Some(Self {
            cpu_s: seconds(field(14)? + field(15)?),
            threads: field(20)?,
            start_s: boot_s + seconds(field(22)?),
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * page_size() as u64,
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 150 0 0 20 0 5 0 1000 4096 3 1 0";
        let process = Process::parse(stat, 1_000.0).unwrap();
        let (ticks, page) = (clock_ticks_per_second() as f64, page_size() as u64);
        let expected = Process {
            cpu_s: 400.0 / ticks,
            resident_bytes: 3 * page,
            virtual_bytes: 4096,
            threads: 5,
            start_s: 1_000.0 + 1_000.0 / ticks,
            ..Process::default()
        };
        assert_eq!(process, expected);
        assert_eq!(Process::parse("7 (a) S 1", 0.0), None);
        assert_eq!(Process::parse("", 0.0), None);
    }

    #[test]
    fn this_process_is_told_of() {
        let process = Process::this().unwrap();
        assert!(process.resident_bytes > 1 << 20 && process.threads > 0, "{process:?}");
        assert!(process.open_fds.is_some_and(|count| count >= 3), "{process:?}");
        assert!(process.start_s > 1e9, "{process:?}");
    }
}
