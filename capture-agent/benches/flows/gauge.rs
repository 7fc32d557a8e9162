//! Processor time, resident memory, allocations, and how figures are shown beside their bars.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};

/// Rounds of a measurement of time. Those that are compared take turns in each round, so that
/// a machine that is busy for a while is so for all of them.
pub(crate) const ROUNDS: usize = 5;

pub(crate) const MIB: f64 = 1_048_576.0;

/// The system's allocator with a counter: what a user has, and a few instructions.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static HEAP_BYTES: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One thread allocates here, so a load and a store count as well as what would lock the bus.
fn count(freed: usize, taken: usize) {
    ALLOCATIONS.store(ALLOCATIONS.load(Relaxed) + u64::from(taken > 0), Relaxed);
    HEAP_BYTES.store(HEAP_BYTES.load(Relaxed).wrapping_sub(freed).wrapping_add(taken), Relaxed);
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: what the caller promises is what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        // SAFETY: `place` came from `System` by this very layout.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        // SAFETY: `place` came from `System` by this very layout.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Allocations so far, and those made larger.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.load(Relaxed)
}

/// Bytes that are allocated now.
pub(crate) fn heap_bytes() -> usize {
    HEAP_BYTES.load(Relaxed)
}

/// Processor time of this thread.
pub(crate) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Processor time that something takes.
pub(crate) fn timed(act: impl FnOnce()) -> Duration {
    let before = processor_time();
    act();
    processor_time() - before
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident_bytes() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .context("no VmRSS in /proc/self/status")?;
    Ok(kib.parse::<f64>()? * 1024.0)
}

/// The middle one, or the upper one of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How far the largest is above the smallest, in percent of the smallest.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(0.0, f64::max);
    (largest / smallest - 1.0) * 100.0
}

/// The A/A figure: how far apart two measurements of the same thing are, in percent.
pub(crate) fn noise(one: &[f64], other: &[f64]) -> f64 {
    spread(&[median(one), median(other)])
}

/// The head of a table of figures.
pub(crate) fn head() {
    println!("| | figure | bar | met |\n|---|---|---|---|");
}

/// A figure without a bar.
pub(crate) fn figure(what: &str, value: f64, unit: &str) {
    println!("| {what} | {} | | |", with_unit(short(value), unit));
}

/// A figure, and the bar that it must not pass.
pub(crate) fn held_to(what: &str, value: f64, unit: &str, bar: f64) {
    let (value_text, bar_text) = (with_unit(short(value), unit), with_unit(bar.to_string(), unit));
    println!("| {what} | **{value_text}** | {bar_text} | {} |", met(value, bar));
}

pub(crate) const fn met(value: f64, bar: f64) -> &'static str {
    if value <= bar { "yes" } else { "**no**" }
}

fn with_unit(value: String, unit: &str) -> String {
    if unit.is_empty() { value } else { format!("{value} {unit}") }
}

/// Three digits, where there are that many.
fn short(value: f64) -> String {
    let decimals = match value {
        _ if value.fract() == 0.0 => 0,
        _ if value < 10.0 => 2,
        _ if value < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}
