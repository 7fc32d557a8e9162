//! A hash of a flow, the same in both directions.

/// The odd part of 2^64 over the golden ratio, which spreads near keys well (Fibonacci hashing).
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// What is decided by a flow's hash, each by bits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHash(pub u64);

impl FlowHash {
    /// Which of so many workers has the flow.
    #[inline(always)]
    #[must_use]
    pub const fn worker(self, workers: u32) -> u32 {
        (((self.0 >> 32) * workers as u64) >> 32) as u32
    }

    /// Whether the flow is the one in so many that is taken.
    #[inline(always)]
    #[must_use]
    pub const fn is_sample(self, one_in: u32) -> bool {
        ((self.0 >> 32) * one_in as u64) >> 32 == 0
    }

    /// Which eighth of the flows it belongs to, from 0.
    #[inline(always)]
    #[must_use]
    pub const fn eighth(self) -> u32 {
        (self.0 as u32) >> 29
    }

    /// Its place among so many, a power of two up to 2^24.
    #[inline(always)]
    #[must_use]
    pub const fn place(self, places: u32) -> u32 {
        self.0 as u32 & (places - 1)
    }

    /// What tells it from another flow in its place; never 0.
    #[inline(always)]
    #[must_use]
    pub const fn tag(self) -> u32 {
        (self.0 >> 32) as u32 | 1
    }
}

/// The hash of the flow between two ends. By the same `seed` it is always the same.
#[inline(always)]
#[must_use]
pub fn flow_hash(addrs: [[u8; 16]; 2], ports: [u16; 2], seed: u64) -> FlowHash {
    let fold = |addr: [u8; 16]| {
        let addr = u128::from_ne_bytes(addr);
        let upper = (addr as u64 ^ seed).wrapping_mul(MULTIPLIER);
        (upper ^ (addr >> 64) as u64).wrapping_mul(MULTIPLIER)
    };
    let [[one, other], [src, dst]] = [addrs.map(fold), ports.map(u64::from)];
    let ports = (src * dst) ^ ((src ^ dst) << 32);
    let hash = (one.wrapping_add(other) ^ ports).wrapping_mul(MULTIPLIER);
    // The upper bits of a product are the good ones: they come down, and go up again.
    let hash = (hash ^ hash >> 32).wrapping_mul(MULTIPLIER);
    FlowHash(hash ^ hash >> 29)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn hash(client: u32, port: u16, seed: u64) -> FlowHash {
        let mut addr = [0; 16];
        addr[12..].copy_from_slice(&client.to_be_bytes());
        flow_hash([addr, [7; 16]], [port, 80], seed)
    }

    #[test]
    fn both_directions_have_one_hash() {
        let (a, b) = ([1; 16], [2; 16]);
        assert_eq!(flow_hash([a, b], [5_000, 80], 9), flow_hash([b, a], [80, 5_000], 9));
        assert_ne!(flow_hash([a, b], [5_000, 80], 9), flow_hash([a, b], [5_000, 80], 8));
        assert_ne!(flow_hash([a, b], [5_000, 80], 9), flow_hash([a, b], [5_001, 80], 9));
    }

    #[test]
    fn near_flows_spread_over_workers_samples_eighths_and_places() {
        for seed in [0, 1, 0xdead_beef_0000_0001] {
            let flows = || (0..64).flat_map(|c| (0..1_000).map(move |p| (c, 30_000 + p)));
            let count = |test: &dyn Fn(FlowHash) -> bool| {
                flows().filter(|(client, port)| test(hash(*client, *port, seed))).count()
            };
            for workers in [2, 3, 16] {
                let fair = 64_000 / workers as usize;
                for worker in 0..workers {
                    let share = count(&|hash| hash.worker(workers) == worker);
                    assert!(share.abs_diff(fair) < fair / 10, "{seed} {worker}/{workers}: {share}");
                }
            }
            let sampled = count(&|hash| hash.is_sample(100));
            assert!(sampled.abs_diff(640) < 120, "{seed}: {sampled}");
            for eighth in 0..8 {
                let share = count(&|hash| hash.eighth() == eighth);
                assert!(share.abs_diff(8_000) < 800, "{seed} {eighth}: {share}");
            }
            let places: std::collections::HashSet<u32> =
                flows().map(|(client, port)| hash(client, port, seed).place(1 << 17)).collect();
            // Balls in bins: 131,072 (1 - e^(-64,000/131,072)) = 50,640.
            assert!(places.len().abs_diff(50_640) < 600, "{seed}: {}", places.len());
        }
    }
}
