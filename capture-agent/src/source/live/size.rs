//! How large a ring is that nobody has given a size.
//!
//! What comes in while a worker is kept from reading has to fit, and the rings may not take more
//! than a small part of the memory, in which they are locked.

use std::fs;

use super::Share;

/// How long a worker may be kept from reading, at full speed of the link.
const STALL_MS: u64 = 50;
/// The speed of links that don't tell theirs, in Mbit/s, both directions: veth and the like are as fast as memory.
pub(super) const UNKNOWN_SPEED: u64 = 2 * 10_000;
/// All rings together take so much of the memory at most: one part in so many.
const MEMORY_SHARE: u64 = 64;
/// Where the memory can't be asked for.
const UNKNOWN_MEMORY: u64 = 4 << 30;

/// A ring that takes the largest records with room to spare.
pub(super) const MIN_RING_BYTES: u32 = 1 << 20;
/// The largest power of two that its type holds.
pub(super) const MAX_RING_BYTES: u32 = 1 << 31;

/// Bytes of each of so many rings, for what links of these speeds can bring, and where several
/// namespaces share the memory.
pub(super) fn ring_bytes(speeds: impl Iterator<Item = u64>, share: Share) -> u32 {
    let memory = total_memory().unwrap_or(UNKNOWN_MEMORY) / u64::from(share.namespaces);
    size(speeds.sum(), memory, share.workers)
}

/// Bytes of a ring: the next power of two of what was asked for.
pub(super) const fn rounded(bytes: u32) -> u32 {
    match bytes.checked_next_power_of_two() {
        Some(bytes) if bytes >= MIN_RING_BYTES => bytes,
        Some(_) => MIN_RING_BYTES,
        None => MAX_RING_BYTES,
    }
}

fn size(mbit_per_s: u64, memory: u64, workers: u32) -> u32 {
    let stalled = mbit_per_s.saturating_mul(1_000_000 / 8 * STALL_MS / 1_000);
    let ring = stalled.min(memory / MEMORY_SHARE) / u64::from(workers.max(1));
    rounded(u32::try_from(ring).unwrap_or(MAX_RING_BYTES).min(MAX_RING_BYTES))
}

/// In Mbit/s, both directions. `/sys` shows the interfaces of the agent's own namespace alone.
pub(super) fn link_speed(name: &str, netns: Option<&str>) -> u64 {
    let told = match netns {
        None => fs::read_to_string(format!("/sys/class/net/{name}/speed")).ok(),
        Some(_) => None,
    };
    // A link that is down tells -1.
    let told = told.and_then(|text| text.trim().parse::<u64>().ok());
    told.map_or(UNKNOWN_SPEED, |speed| 2 * speed)
}

fn total_memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_fits_the_link_and_the_memory() {
        let gib = 1 << 30;
        // 1 Gbit/s both ways for 50 ms are 12.5 MB.
        assert_eq!(size(2_000, 64 * gib, 1), 16 << 20);
        assert_eq!(size(2_000, 64 * gib, 2), 8 << 20);
        // 100 Gbit/s would be 1.25 GB: a sixty-fourth of the memory is the bound.
        assert_eq!(size(200_000, 64 * gib, 4), 256 << 20);
        assert_eq!(size(200_000, u64::MAX, 1), MAX_RING_BYTES);
        assert_eq!(size(20, gib / 4, 16), MIN_RING_BYTES);
    }

    #[test]
    fn a_size_that_was_asked_for_becomes_a_power_of_two() {
        assert_eq!(rounded(1), MIN_RING_BYTES);
        assert_eq!(rounded((64 << 20) - 1), 64 << 20);
        assert_eq!(rounded(u32::MAX), MAX_RING_BYTES);
    }

    #[test]
    fn this_host_has_memory() {
        assert!(total_memory().is_some_and(|bytes| bytes > 1 << 26));
    }
}
