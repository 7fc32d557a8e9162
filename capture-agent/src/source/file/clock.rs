//! Time stamps of pcapng: units since the epoch, to nanoseconds.
//!
//! Follows draft-ietf-opsawg-pcapng section 4.2, options `if_tsresol` and `if_tsoffset`. Whatever
//! a [`Timestamp`] cannot hold becomes the nearest one it can.

use crate::segment::Timestamp;

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// How an interface counts time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    unit: Unit,
    offset_ns: i128,
}

/// A unit of time against a nanosecond.
#[derive(Clone, Copy, Debug)]
enum Unit {
    /// This many nanoseconds.
    Times(u64),
    /// This part of a nanosecond.
    Part(u128),
    /// A second shifted right by this.
    Shift(u8),
}

impl Clock {
    /// By the options' values: `if_tsresol` is a negative power of 10, or of 2 with the top bit
    /// set; `if_tsoffset` is in seconds.
    pub(super) fn new(tsresol: u8, tsoffset_s: i64) -> Self {
        let exponent = tsresol & 0x7f;
        let unit = if tsresol & 0x80 != 0 {
            Unit::Shift(exponent)
        } else if exponent <= 9 {
            Unit::Times(10_u64.pow(9 - u32::from(exponent)))
        } else {
            // Units too small for any count of them to reach a nanosecond all end at 0.
            Unit::Part(10_u128.checked_pow(u32::from(exponent) - 9).unwrap_or(u128::MAX))
        };
        Self { unit, offset_ns: i128::from(tsoffset_s) * i128::from(NANOS_PER_SEC) }
    }

    pub(super) fn timestamp(self, count: u64) -> Timestamp {
        let count = u128::from(count);
        let since_offset = match self.unit {
            Unit::Times(nanos) => count * u128::from(nanos),
            Unit::Part(parts) => count / parts,
            Unit::Shift(bits) => (count * u128::from(NANOS_PER_SEC)) >> bits,
        };
        let nanos = since_offset.cast_signed() + self.offset_ns;
        Timestamp(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

impl Default for Clock {
    /// Microseconds since the epoch.
    fn default() -> Self {
        Self::new(6, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_ten_and_of_two() {
        for (tsresol, count, nanos) in [
            (0, 3, 3_000_000_000),
            (3, 1_500, 1_500_000_000),
            (6, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
            (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
            (12, 1_999, 1),
            (0x80, 3, 3_000_000_000),
            (0x80 | 10, 1_536, 1_500_000_000),
            (0x80 | 30, (7 << 30) | (1 << 29), 7_500_000_000),
        ] {
            let time = Clock::new(tsresol, 0).timestamp(count);
            assert_eq!(time, Timestamp(nanos), "tsresol {tsresol:#x}");
        }
    }

    #[test]
    fn offsets_move_time_both_ways() {
        assert_eq!(Clock::new(9, 10).timestamp(5), Timestamp(10_000_000_005));
        assert_eq!(Clock::new(9, -10).timestamp(10_000_000_005), Timestamp(5));
    }

    #[test]
    fn what_does_not_fit_is_clamped() {
        for tsresol in 0..=u8::MAX {
            for offset in [i64::MIN, -1, 0, 1, i64::MAX] {
                for count in [0, 1, u64::MAX] {
                    Clock::new(tsresol, offset).timestamp(count);
                }
            }
        }
        assert_eq!(Clock::new(0, 0).timestamp(u64::MAX), Timestamp(u64::MAX));
        assert_eq!(Clock::new(6, i64::MIN).timestamp(1), Timestamp(0));
        assert_eq!(Clock::new(64, 0).timestamp(u64::MAX), Timestamp(0));
        assert_eq!(Clock::new(0xff, 0).timestamp(u64::MAX), Timestamp(0));
    }
}
