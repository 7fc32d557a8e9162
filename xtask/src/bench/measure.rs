//! Runs programs and tells what they took, by the kernel's account of them (wait4(2)).
//!
//! Invariant: this process stays small. What a child is said to have had resident at most includes
//! what its parent had when it was started.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use wait4::Wait4 as _;

use crate::tool::Tool as _;

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) wall: Duration,
    /// Processor time, user and system.
    pub(super) cpu: Duration,
    pub(super) resident_bytes: u64,
}

/// Where standard output goes.
#[derive(Clone, Debug)]
pub(super) enum Stdout {
    Nowhere,
    File(PathBuf),
}

/// Runs a command to its end.
pub(super) fn cost(command: &mut Command, stdout: &Stdout) -> Result<Cost> {
    let stdout = match stdout {
        Stdout::Nowhere => Stdio::null(),
        Stdout::File(path) => {
            File::create(path).with_context(|| format!("can't write {}", path.display()))?.into()
        }
    };
    command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null());
    let begin = Instant::now();
    let child = command.spawn().with_context(|| format!("can't run `{}`", command.line()))?;
    let used = child.wait4().with_context(|| format!("can't wait for `{}`", command.line()))?;
    let wall = begin.elapsed();
    if !used.status.success() {
        bail!("`{}` failed: {}", command.line(), used.status);
    }
    let cpu = used.rusage.utime + used.rusage.stime;
    Ok(Cost { wall, cpu, resident_bytes: used.rusage.maxrss })
}

/// The middle one, or the mean of the two in the middle.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied();
    let half = values.len() / 2;
    match (at(half), half.checked_sub(1).and_then(at)) {
        (Some(high), Some(low)) if values.len().is_multiple_of(2) => f64::midpoint(low, high),
        (Some(middle), _) => middle,
        (None, _) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([7.0]), 7.0);
        assert!(median([]).is_nan());
    }

    #[test]
    fn a_run_is_told_by_what_it_took() {
        let used = cost(Command::new("sh").args(["-c", "exit 0"]), &Stdout::Nowhere).unwrap();
        assert!(used.resident_bytes > 0 && used.wall > Duration::ZERO);
        let failed = cost(Command::new("sh").args(["-c", "exit 3"]), &Stdout::Nowhere);
        assert!(failed.unwrap_err().to_string().contains("exit 3"));
    }
}
