// SPDX-License-Identifier: GPL-2.0-only
//! Counts of what passed, failed and was skipped, each said as it comes.

use crate::result::Status;

/// The counts.
#[derive(Debug, Default)]
pub struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// One test's end. `again` is the command that runs it alone, printed where it failed.
    pub fn add(&mut self, name: &str, status: Status, detail: &str, again: &str) {
        match status {
            Status::Passed => {
                self.passed += 1;
                println!("passed   {name}: {detail}");
            }
            Status::Failed => {
                self.failed += 1;
                println!("FAILED   {name}: {detail}\n         again: {again}");
            }
            Status::Skipped => {
                self.skipped += 1;
                println!("skipped  {name}: {detail}");
            }
        }
    }

    /// One test whose outcome is a result: the text of either says more.
    pub fn check(&mut self, name: &str, outcome: Result<String, String>, again: &str) {
        match outcome {
            Ok(detail) => self.add(name, Status::Passed, &detail, again),
            Err(detail) => self.add(name, Status::Failed, &detail, again),
        }
    }

    /// Tests that another runner has counted and told of.
    pub fn add_counts(&mut self, passed: u64, failed: u64, skipped: u64) {
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
    }

    /// How many failed.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// The closing line.
    pub fn line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_counts_everything() {
        let mut tally = Tally::default();
        tally.check("a", Ok("fine".into()), "a");
        tally.check("b", Err("not".into()), "b");
        tally.add("c", Status::Skipped, "no such disk", "c");
        tally.add_counts(10, 1, 2);
        assert_eq!(tally.line(), "11 passed, 2 failed, 3 skipped");
        assert_eq!(tally.failed(), 2);
    }
}
