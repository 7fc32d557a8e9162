//! Times as text.

use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use crate::segment::Timestamp;

fn instant(time: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos())).unwrap_or(jiff::Timestamp::MAX)
}

/// A time that is written by RFC 3339, in UTC, with nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rfc3339(pub(crate) Timestamp);

impl Rfc3339 {
    /// Its text with milliseconds alone, for those who read no more.
    pub(crate) fn text_in_millis(self) -> [u8; 24] {
        let [millis @ .., _, _, _, _, _, _, _] = self.text();
        let mut text = *b"0000-00-00T00:00:00.000Z";
        if let Some(part) = text.first_chunk_mut() {
            *part = millis;
        }
        text
    }

    /// Its text, put together by hand: each record has some, and what prints dates in every way
    /// takes longer than the rest of a record's numbers.
    pub(crate) fn text(self) -> [u8; 30] {
        let nanos = self.0.as_nanos();
        let (seconds, nanos) = (nanos / 1_000_000_000, (nanos % 1_000_000_000) as u32);
        let (days, second) = (seconds / 86_400, (seconds % 86_400) as u32);
        let (year, month, day) = civil(days as u32);
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let pairs = [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, second / 3_600),
            (14, second / 60 % 60),
            (17, second % 60),
            (20, nanos / 10_000_000),
            (22, nanos / 100_000 % 100),
            (24, nanos / 1_000 % 100),
            (26, nanos / 10 % 100),
        ];
        for (at, pair) in pairs {
            if let Some([tens, ones]) = text.get_mut(at..at + 2) {
                (*tens, *ones) = (b'0' + (pair / 10) as u8, b'0' + (pair % 10) as u8);
            }
        }
        let [.., last, _] = &mut text;
        *last = b'0' + (nanos % 10) as u8;
        text
    }
}

/// Year, month and day, so many days after 1970-01-01: "Euclidean affine functions" (Neri and
/// Schneider, 2022), figure 12, where a year begins in March, so that the odd day is its last.
const fn civil(days: u32) -> (u32, u32, u32) {
    let n = 4 * (days + 719_468) + 3;
    let (century, n) = (n / 146_097, n % 146_097 / 4);
    let n = 4 * n + 3;
    let (year, day) = (100 * century + n / 1_461, n % 1_461 / 4);
    let n = 2_141 * day + 197_913;
    let (month, day) = (n >> 16, (n & 0xffff) / 2_141);
    if month > 12 { (year + 1, month - 12, day + 1) } else { (year, month, day + 1) }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// A time to the second in UTC, as it stands in names of files.
pub(crate) fn compact(time: Timestamp) -> String {
    instant(time).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The time of day in this zone, with milliseconds.
pub(crate) fn time_of_day(time: Timestamp, zone: &TimeZone) -> String {
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
    fn each_day_has_the_date_that_it_has() {
        for days in (0..u64::MAX / 86_400_000_000_000).step_by(3) {
            let time = Timestamp(days * 86_400_000_000_000);
            assert_eq!(rfc3339(time), instant(time).strftime("%FT%T.000000000Z").to_string());
        }
    }

    #[test]
    fn the_time_of_day_is_cut_to_milliseconds() {
        let time = Timestamp(1_700_000_000_123_999_999);
        assert_eq!(time_of_day(time, &TimeZone::UTC), "22:13:20.123");
    }
}
