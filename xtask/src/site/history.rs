// SPDX-License-Identifier: GPL-2.0-only
//! What became of each kernel from run to run: `history.json` of a site.

use crate::error::{Error, Result};
use crate::result::{Row, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Raised when a reader of the old form would misread the new one.
const FORMAT: u32 = 1;

/// A day, as ISO 8601 has it: `2026-11-27`. They sort as they follow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(String);

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Day, String> {
        let digits = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
        let is_day = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| (at == 4 || at == 7) == (byte == b'-'))
            && digits(5, 7).is_some_and(|month| (1..=12).contains(&month))
            && digits(8, 10).is_some_and(|day| (1..=31).contains(&day));
        is_day.then(|| Day(text.into())).ok_or_else(|| format!("{text:?} is no day: write it as 2026-11-27"))
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Day, String> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> String {
        day.0
    }
}

impl fmt::Display for Day {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

/// From this day on, it stood so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The day of the run.
    pub day: Day,
    /// How it stood then.
    pub state: State,
}

/// One kernel's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Distribution and suite, when it was last seen.
    pub distro: String,
    /// The suite.
    pub suite: String,
    /// Kernel release.
    pub kernel: String,
    /// The day of the last run that had it.
    pub last_seen: Day,
    /// The oldest first; never empty.
    pub changes: Vec<Change>,
}

impl Record {
    /// The day of the first run that had it.
    pub fn first_seen(&self) -> Option<&Day> {
        self.changes.first().map(|change| &change.day)
    }

    /// The day on which it was first good.
    pub fn first_good(&self) -> Option<&Day> {
        self.changes.iter().find(|change| change.state == State::Good).map(|change| &change.day)
    }
}

/// All kernels that any run had, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    format: u32,
    /// The records.
    pub kernels: BTreeMap<String, Record>,
}

impl Default for History {
    fn default() -> History {
        History { format: FORMAT, kernels: BTreeMap::new() }
    }
}

impl History {
    /// Reads a `history.json`.
    pub fn parse(text: &str) -> Result<History> {
        let history: History = serde_json::from_str(text).map_err(|error| Error::input(error.to_string()))?;
        match history.format {
            FORMAT if history.kernels.values().all(|record| !record.changes.is_empty()) => Ok(history),
            FORMAT => Err(Error::input("a kernel without a change")),
            other => Err(Error::input(format!("format {other} where {FORMAT} was expected"))),
        }
    }

    /// The file's text.
    pub fn render(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::infra(format!("history: {error}")))?;
        Ok(text + "\n")
    }

    /// Adds a run. The last run of a day is the one that counts for it; a day before one that is there is bad input.
    pub fn add(&mut self, rows: &[Row], day: &Day) -> Result<()> {
        let last = self.kernels.values().map(|record| &record.last_seen).max();
        if let Some(last) = last.filter(|last| *last > day) {
            return Err(Error::input(format!("{day} is before {last}, of which the history has a run already")));
        }
        for row in rows {
            let (distro, suite, kernel) = (row.distro.clone(), row.suite.clone(), row.kernel.clone());
            let before = self.kernels.remove(&row.id).map_or_else(Vec::new, |record| record.changes);
            let mut changes: Vec<Change> = before.into_iter().filter(|change| change.day < *day).collect();
            let state = row.state();
            if changes.last().is_none_or(|last| last.state != state) {
                changes.push(Change { day: day.clone(), state });
            }
            let last_seen = day.clone();
            self.kernels.insert(row.id.clone(), Record { distro, suite, kernel, last_seen, changes });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::result::Status;

    fn day(number: u32) -> Day {
        format!("2026-11-{number:02}").parse().unwrap()
    }

    fn changes(history: &History, id: &str) -> Vec<(String, State)> {
        history.kernels[id].changes.iter().map(|change| (change.day.to_string(), change.state)).collect()
    }

    #[test]
    fn only_changes_are_kept_and_the_last_run_of_a_day_counts() {
        let mut history = History::default();
        let mut rows = sample::rows();
        let id = rows[0].id.clone();
        history.add(&rows, &day(1)).unwrap();
        history.add(&rows, &day(2)).unwrap();
        rows[0].booted = Status::Failed;
        history.add(&rows, &day(3)).unwrap();
        assert_eq!(changes(&history, &id), [("2026-11-01".into(), State::Good), ("2026-11-03".into(), State::Failed)]);
        rows[0].booted = Status::Passed;
        history.add(&rows, &day(3)).unwrap();
        assert_eq!(changes(&history, &id), [("2026-11-01".into(), State::Good)]);
        let record = &history.kernels[&id];
        assert_eq!((record.first_seen(), record.first_good()), (Some(&day(1)), Some(&day(1))));
        assert_eq!(record.last_seen, day(3));
        assert_eq!(history.kernels[&rows[1].id].first_good(), None);
        assert_eq!(History::parse(&history.render().unwrap()).unwrap(), history);
    }

    #[test]
    fn a_kernel_that_is_gone_stays_as_it_was() {
        let mut history = History::default();
        let rows = sample::rows();
        history.add(&rows, &day(1)).unwrap();
        history.add(&rows[1..], &day(5)).unwrap();
        assert_eq!(history.kernels[&rows[0].id].last_seen, day(1));
        let error = history.add(&rows, &day(4)).unwrap_err();
        assert_eq!(error.kind.exit_code(), 2);
    }

    #[test]
    fn what_is_no_day_or_no_history_is_refused() {
        for text in ["", "2026-1-01", "2026-13-01", "2026-01-32", "2026/01/01", "20260101xx", "2026-01-0é"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        for text in ["", "{}", r#"{"format": 2, "kernels": {}}"#] {
            assert_eq!(History::parse(text).unwrap_err().kind.exit_code(), 2, "{text}");
        }
    }
}
