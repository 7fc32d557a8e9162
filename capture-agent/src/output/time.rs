//! Times as text.

use jiff::tz::TimeZone;

use crate::segment::Timestamp;

fn instant(time: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos())).unwrap_or(jiff::Timestamp::MAX)
}

/// RFC 3339 in UTC, with nanoseconds.
pub(super) fn rfc3339(time: Timestamp) -> String {
    const PRINTER: jiff::fmt::temporal::DateTimePrinter =
        jiff::fmt::temporal::DateTimePrinter::new().precision(Some(9));
    PRINTER.timestamp_to_string(&instant(time))
}

/// The time of day in this zone, with milliseconds.
pub(super) fn time_of_day(time: Timestamp, zone: &TimeZone) -> String {
    instant(time).to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_nanoseconds_and_end_in_z() {
        assert_eq!(rfc3339(Timestamp(1_700_000_000_000_000_001)), "2023-11-14T22:13:20.000000001Z");
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(Timestamp(u64::MAX)), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn the_time_of_day_is_cut_to_milliseconds() {
        let time = Timestamp(1_700_000_000_123_999_999);
        assert_eq!(time_of_day(time, &TimeZone::UTC), "22:13:20.123");
    }
}
