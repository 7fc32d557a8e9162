//! Times as text.

use jiff::tz::{Offset, TimeZone};
use serde::{Serialize, Serializer};

use crate::segment::Timestamp;

fn instant(time: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos())).unwrap_or(jiff::Timestamp::MAX)
}

/// A time that is written by RFC 3339, in UTC, with nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rfc3339(pub(super) Timestamp);

impl Rfc3339 {
    /// Its text, put together by hand: each record has some, and what prints dates in every way
    /// takes longer than the rest of a record's numbers.
    pub(super) fn text(self) -> [u8; 30] {
        let time = Offset::UTC.to_datetime(instant(self.0));
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let numbers = [
            (0..4, u32::from(time.year().unsigned_abs())),
            (5..7, u32::from(time.month().unsigned_abs())),
            (8..10, u32::from(time.day().unsigned_abs())),
            (11..13, u32::from(time.hour().unsigned_abs())),
            (14..16, u32::from(time.minute().unsigned_abs())),
            (17..19, u32::from(time.second().unsigned_abs())),
            (20..29, time.subsec_nanosecond().unsigned_abs()),
        ];
        for (place, mut number) in numbers {
            for digit in text.get_mut(place).into_iter().flatten().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        text
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// The time of day in this zone, with milliseconds.
pub(super) fn time_of_day(time: Timestamp, zone: &TimeZone) -> String {
    instant(time).to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc3339(time: Timestamp) -> String {
        String::from_utf8(Rfc3339(time).text().to_vec()).unwrap()
    }

    #[test]
    fn times_have_nanoseconds_and_end_in_z() {
        assert_eq!(rfc3339(Timestamp(1_700_000_000_000_000_001)), "2023-11-14T22:13:20.000000001Z");
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(Timestamp(u64::MAX)), "2554-07-21T23:34:33.709551615Z");
        assert_eq!(rfc3339(Timestamp(951_868_799_999_999_999)), "2000-02-29T23:59:59.999999999Z");
    }

    #[test]
    fn the_time_of_day_is_cut_to_milliseconds() {
        let time = Timestamp(1_700_000_000_123_999_999);
        assert_eq!(time_of_day(time, &TimeZone::UTC), "22:13:20.123");
    }
}
