//! Dates as logs have them, which can be compared as texts.

use std::fmt::Write as _;

/// RFC 3339 with nanoseconds, in UTC.
pub fn rfc3339(seconds: u64, nanos: u32) -> String {
    let (days, second) = (seconds / 86400, seconds % 86400);
    // Civil from days, counted from 1 March of the year 0 in eras of 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year_of_era + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = String::with_capacity(32);
    let _infallible = write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000005Z"),
            (951_782_399, "2000-02-28T23:59:59.000000005Z"),
            (951_868_799, "2000-02-29T23:59:59.000000005Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000000005Z"),
        ] {
            assert_eq!(rfc3339(seconds, 5), expected);
        }
    }
}
