// SPDX-License-Identifier: GPL-2.0-only
//! What was measured, against its limits.

use crate::display::seconds;
use crate::plot::Bar;
use crate::timeline::Timeline;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Rows of the report that is kept.
pub const ROWS: usize = 60;
/// Milliseconds a kernel: 5 minutes for 60 kernels with their headers there, 15 from an empty store.
const HEADERS: u64 = 5_000;
const FROM_EMPTY: u64 = 15_000;
/// Milliseconds of a run that changes nothing, and of one more kernel.
const AGAIN: u64 = 5_000;
const ONE_MORE: u64 = 4_000;
/// Memory of the farm itself.
const MEMORY_KIB: u64 = 1 << 20;
/// So much more may a kernel take in the largest matrix than in one of half as many: noise, but no quadratic growth.
const GROWTH: f64 = 1.5;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Everything is downloaded and made.
    FromEmpty,
    /// Headers, build roots and tools are there.
    Headers,
    /// Nothing has changed.
    Again,
    /// One kernel has come; the time is what that adds to a run without it.
    OneMore,
    /// One line of the glue has changed.
    Glue,
}

impl Work {
    fn words(self) -> &'static str {
        match self {
            Work::FromEmpty => "from an empty store",
            Work::Headers => "headers in the store",
            Work::Again => "the same again",
            Work::OneMore => "one more kernel",
            Work::Glue => "a line of the glue changed",
        }
    }
}

/// `docs/farm.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Processors that the farm could use.
    pub processors: usize,
    /// Runnable tasks before, the farm's own not among them.
    pub load_before: f64,
    /// Runnable tasks after, the farm's own among them.
    pub load_after: f64,
    /// In the order in which they were measured.
    pub measured: Vec<Measurement>,
    /// The most memory that the farm itself had, in KiB.
    pub memory_kib: u64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurement {
    work: Work,
    /// Kernels of the matrix.
    kernels: usize,
    /// Those that failed.
    failed: usize,
    /// Modules that were built.
    built: usize,
    /// Rust objects that were built.
    rust_objects: usize,
    /// Wall-clock time, in milliseconds.
    millis: u64,
    /// As long may it take.
    limit: Option<u64>,
    /// The critical path: time by stage, in milliseconds, the longest first.
    path: Vec<(String, u64)>,
    /// Why modules were built, each reason once.
    reasons: Vec<String>,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Measurement {
    /// A run that has just ended.
    pub fn new(work: Work, [kernels, failed]: [usize; 2], timeline: &Timeline) -> Self {
        let path = timeline.critical_path();
        let stages: Vec<(String, u64)> = path.stages.into_iter().map(|(name, time)| (name, millis(time))).collect();
        let downloads: u64 = stages.iter().filter(|(name, _)| name == "download").map(|(_, millis)| millis).sum();
        let limit = match work {
            Work::FromEmpty => Some(FROM_EMPTY * kernels as u64 + downloads),
            Work::Headers => Some(HEADERS * kernels as u64),
            Work::Again => Some(AGAIN),
            Work::OneMore => Some(ONE_MORE),
            Work::Glue => None,
        };
        let built = timeline.of_stage("compile");
        let mut reasons: Vec<String> = built.iter().map(|(_, reason)| reason.clone()).collect();
        reasons.sort();
        reasons.dedup();
        Measurement {
            work,
            kernels,
            failed,
            built: built.len(),
            rust_objects: timeline.of_stage("Rust object").len(),
            millis: millis(path.whole),
            limit,
            path: stages,
            reasons,
        }
    }

    /// The same, with only the time that another run did not take.
    pub fn beyond_that(self, other: &Measurement) -> Self {
        Measurement { millis: self.millis.saturating_sub(other.millis), ..self }
    }

    fn words(&self) -> String {
        format!("{}, {}", self.kernels, self.work.words())
    }

    /// Percent of the limit.
    fn percent(&self) -> Option<u64> {
        self.limit.map(|limit| self.millis * 100 / limit.max(1))
    }
}

impl Report {
    /// What the picture is called.
    pub fn title(&self) -> String {
        format!("Kernels and work, {} processors: time in percent of the limit", self.processors)
    }

    /// The picture's bars, of percents.
    pub fn bars(&self) -> Vec<Bar> {
        let bar = |one: &Measurement| {
            let length = i64::try_from(one.percent()?).unwrap_or(i64::MAX);
            Some(Bar { words: one.words(), length, number: seconds(one.millis), limit: Some(100) })
        };
        self.measured.iter().filter_map(bar).collect()
    }

    /// What a kernel takes in the largest matrix, in parts of what it takes in one of half as many.
    fn growth(&self) -> Option<f64> {
        let headers = self.measured.iter().filter(|one| one.work == Work::Headers);
        let mut each = headers.map(|one| one.millis as f64 / one.kernels as f64).rev();
        Some(each.next()? / each.next()?)
    }

    /// The first limit that is not kept.
    pub fn beyond(&self) -> Option<String> {
        if let Some(bad) = self.measured.iter().find(|one| one.failed > 0) {
            return Some(format!("{}: {} kernels failed, which is no measurement", bad.words(), bad.failed));
        }
        let is_slow = |one: &&Measurement| one.limit.is_some_and(|limit| one.millis > limit);
        if let Some(slow) = self.measured.iter().find(is_slow) {
            let limit = seconds(slow.limit.unwrap_or(0));
            return Some(format!("{}: {}, at most {limit} are allowed", slow.words(), seconds(slow.millis)));
        }
        if self.memory_kib > MEMORY_KIB {
            return Some(format!("{} MiB of memory, at most {} are allowed", self.memory_kib >> 10, MEMORY_KIB >> 10));
        }
        let growth = self.growth().filter(|growth| *growth > GROWTH)?;
        Some(format!("a kernel takes {growth:.2} times as long in a matrix of twice as many, at most {GROWTH}"))
    }

    /// Prints all of it.
    pub fn print(&self) {
        print!("{self}");
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Report { processors, load_before, load_after, .. } = self;
        writeln!(f, "{processors} processors; load {load_before} before, {load_after} after")?;
        writeln!(f, "  {:<32}{:>6}{:>14}{:>14}{:>9}", "kernels and work", "built", "time", "limit", "percent")?;
        for one in &self.measured {
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
            let (limit, percent) = (or_none(one.limit.map(seconds)), or_none(one.percent().map(|one| one.to_string())));
            let (words, time) = (one.words(), seconds(one.millis));
            writeln!(f, "  {words:<32}{:>6}{time:>14}{limit:>14}{percent:>9}", one.built)?;
            let path: Vec<String> =
                one.path.iter().map(|(stage, time)| format!("{stage} {}", seconds(*time))).collect();
            if !path.is_empty() {
                writeln!(f, "      critical path: {}", path.join(", "))?;
            }
            for reason in &one.reasons {
                writeln!(f, "      built: {reason}; Rust objects: {}", one.rust_objects)?;
            }
        }
        if let Some(growth) = self.growth() {
            writeln!(f, "  a kernel in a matrix of twice as many: {growth:.2} times the time (at most {GROWTH})")?;
        }
        writeln!(f, "  memory: {} MiB (at most {})", self.memory_kib >> 10, MEMORY_KIB >> 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(work: Work, kernels: usize, millis: u64, limit: Option<u64>) -> Measurement {
        let path = vec![("compile".to_string(), millis / 2), ("pack".to_string(), millis / 4)];
        Measurement {
            work,
            kernels,
            failed: 0,
            built: kernels,
            rust_objects: 1,
            millis,
            limit,
            path,
            reasons: Vec::new(),
        }
    }

    fn sample() -> Report {
        let glue = Measurement {
            rust_objects: 0,
            path: Vec::new(),
            reasons: vec!["module/glue/main.c changed".into()],
            ..one(Work::Glue, 10, 30_000, None)
        };
        let measured = vec![
            one(Work::Headers, 30, 60_000, Some(150_000)),
            one(Work::Headers, 60, 120_000, Some(300_000)),
            one(Work::OneMore, 61, 3_500, Some(4_000)),
            glue,
        ];
        Report { processors: 2, load_before: 0.5, load_after: 2.25, measured, memory_kib: 102_400 }
    }

    #[test]
    fn the_report_is_this_text() {
        let expected = "\
2 processors; load 0.5 before, 2.25 after
  kernels and work                 built          time         limit  percent
  30, headers in the store            30        60.0 s    2 min 30 s       40
      critical path: compile 30.0 s, pack 15.0 s
  60, headers in the store            60    2 min 00 s    5 min 00 s       40
      critical path: compile 60.0 s, pack 30.0 s
  61, one more kernel                 61         3.5 s         4.0 s       87
      critical path: compile 1.7 s, pack 0.8 s
  10, a line of the glue changed      10        30.0 s             -        -
      built: module/glue/main.c changed; Rust objects: 0
  a kernel in a matrix of twice as many: 1.00 times the time (at most 1.5)
  memory: 100 MiB (at most 1024)
";
        assert_eq!(sample().to_string(), expected);
        assert_eq!(sample().beyond(), None);
        assert_eq!(sample().bars().len(), 3);
    }

    #[test]
    fn each_limit_is_named_when_it_is_not_kept() {
        let beyond = |change: &dyn Fn(&mut Report)| {
            let mut report = sample();
            change(&mut report);
            report.beyond().unwrap()
        };
        let slow = beyond(&|report| report.measured[2].millis = 4_001);
        assert_eq!(slow, "61, one more kernel: 4.0 s, at most 4.0 s are allowed");
        assert!(beyond(&|report| report.memory_kib = (1 << 20) + 1).starts_with("1024 MiB of memory"));
        let failed = beyond(&|report| report.measured[0].failed = 1);
        assert!(failed.starts_with("30, headers in the store: 1 kernels failed"));
        let quadratic = beyond(&|report| report.measured[1].millis = 240_000);
        assert_eq!(quadratic, "a kernel takes 2.00 times as long in a matrix of twice as many, at most 1.5");
    }
}
