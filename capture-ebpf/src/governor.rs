//! What is left out as a ring fills: bodies first, heads last, then whole flows.
//!
//! Levels go up with the ring's fill at once, and down by one at a time as it has drained by an
//! eighth more, so that they don't flutter.

use crate::FlowHash;

/// Level 0 takes everything that the budget allows.
pub const LEVELS: usize = 6;

/// Sixteenths of the ring from which each level holds.
const FROM_SIXTEENTHS: [u64; LEVELS] = [0, 8, 10, 12, 13, 14];

/// Sixteenths that the ring must have drained below a level before it ends.
const SLACK_SIXTEENTHS: u64 = 2;

/// How one ring is governed, and how often each level was entered.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Governor {
    /// The level that holds, below [`LEVELS`].
    pub level: u64,
    /// How often each level was entered from below; level 0 never is.
    pub raised: [u64; LEVELS],
    /// How often each level was entered from above.
    pub lowered: [u64; LEVELS],
}

/// The level after this one, where `used` of a ring's `size` bytes are.
#[inline(always)]
#[must_use]
pub const fn next_level(level: u64, used: u64, size: u64) -> u64 {
    let sixteenth = size / 16;
    let due = level_at(used, sixteenth);
    if due > level {
        due
    } else if level > 0 && level_at(used + SLACK_SIXTEENTHS * sixteenth, sixteenth) < level {
        level - 1
    } else {
        level
    }
}

#[inline(always)]
const fn level_at(used: u64, sixteenth: u64) -> u64 {
    if used < FROM_SIXTEENTHS[1] * sixteenth {
        0
    } else if used < FROM_SIXTEENTHS[2] * sixteenth {
        1
    } else if used < FROM_SIXTEENTHS[3] * sixteenth {
        2
    } else if used < FROM_SIXTEENTHS[4] * sixteenth {
        3
    } else if used < FROM_SIXTEENTHS[5] * sixteenth {
        4
    } else {
        5
    }
}

/// What is left of a budget of payload bytes.
#[inline(always)]
#[must_use]
pub const fn budget(level: u64, budget: u32) -> u32 {
    let most = match level {
        0 => budget,
        1 => 64 << 10,
        2 => 16 << 10,
        // Still room for the longest heads that are common.
        _ => 4 << 10,
    };
    if most < budget { most } else { budget }
}

/// Whether a flow is left out altogether. It is the same flows that a level leaves out each time.
#[inline(always)]
#[must_use]
pub const fn sheds(level: u64, flow: FlowHash) -> bool {
    match level {
        0..=3 => false,
        4 => flow.eighth() < 4,
        _ => flow.eighth() < 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1 << 20;

    #[test]
    fn a_level_comes_at_once_and_goes_step_by_step() {
        let mut level = 0;
        for (sixteenths, expected) in [
            (0, 0),
            (7, 0),
            (8, 1),
            (7, 1),
            (6, 1),
            (5, 0),
            (15, 5),
            (13, 5),
            (11, 4),
            (11, 4),
            (10, 3),
            (3, 2),
            (0, 1),
            (0, 0),
            (16, 5),
        ] {
            level = next_level(level, sixteenths * SIZE / 16, SIZE);
            assert_eq!(level, expected, "at {sixteenths}");
        }
    }

    #[test]
    fn bodies_go_first_then_heads_then_flows_and_the_same_ones() {
        assert_eq!(
            [0, 1, 2, 3, 5].map(|level| budget(level, 256 << 10)),
            [256 << 10, 64 << 10, 16 << 10, 4 << 10, 4 << 10]
        );
        assert_eq!(budget(1, 1_000), 1_000);
        let flows = (0..8_u64).map(|eighth| FlowHash(eighth << 29));
        for flow in flows {
            assert!(!sheds(3, flow));
            assert!(!sheds(4, flow) || sheds(5, flow));
        }
    }
}
