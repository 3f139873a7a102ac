// SPDX-License-Identifier: GPL-2.0-only
//! The driver's time.

use serde::{Serialize, Serializer};
use std::fmt;

/// A moment: units of 100 ns since the Unix epoch. Shown as in RFC 3339, in UTC, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// The moment `units` of 100 ns after the Unix epoch.
    pub fn from_units(units: u64) -> Self {
        Time(units)
    }

    /// Units of 100 ns since the Unix epoch.
    pub fn units(self) -> u64 {
        self.0
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar: the year is taken to begin in
/// March, so that the leap day is its last one, and an era of 400 years has 146,097 days.
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 10_000_000;
        let ((year, month, day), second) = (civil(seconds / 86_400), seconds % 86_400);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn times_are_those_of_date() {
        // `date --utc --date=@SECONDS --iso-8601=seconds`
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_795_436_645, "2026-11-23T12:24:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Time::from_units(seconds * 10_000_000 + 9_999_999).to_string(), text);
        }
    }
}
