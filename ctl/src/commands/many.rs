// SPDX-License-Identifier: GPL-2.0-only
//! One thing done to each of several disks: the others go on when one fails.

use crate::cli::Report;
use crate::error::{Error, Kind};
use crate::output::{BAD, GOOD, WARNING};
use serde_json::{Value, json};
use std::fmt::Write;

/// How it went with one disk.
pub enum Outcome {
    /// Done; one or two words that say what.
    Done(&'static str),
    /// There was nothing to do; a few words that say why.
    Skipped(&'static str),
    /// It failed.
    Failed(Error),
}

/// A line for each disk; the worst failure gives the exit code.
pub fn report(outcomes: &[(String, Outcome)]) -> Report {
    let text = outcomes.iter().map(|(disk, outcome)| line(disk, outcome)).collect();
    let disks: Vec<_> = outcomes.iter().map(|(disk, outcome)| value(disk, outcome)).collect();
    let failures = outcomes.iter().filter_map(|(_, outcome)| match outcome {
        Outcome::Failed(error) => Some(error.kind),
        _ => None,
    });
    let failed = failures.max_by_key(|kind| Kind::exit_code(*kind));
    Report { failed, ..Report::done(text, &json!({ "disks": disks })) }
}

fn line(disk: &str, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(word) => format!("{disk}: {GOOD}{word}{GOOD:#}\n"),
        Outcome::Skipped(why) => format!("{disk}: {WARNING}{why}{WARNING:#}\n"),
        Outcome::Failed(error) => {
            let mut line = format!("{BAD}error{BAD:#}: ");
            // A String takes everything.
            let _ = writeln!(line, "{error}");
            line
        }
    }
}

fn value(disk: &str, outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Done(word) => json!({ "disk": disk, "result": word }),
        Outcome::Skipped(why) => json!({ "disk": disk, "result": why }),
        Outcome::Failed(error) => json!({ "disk": disk, "error": error.json() }),
    }
}
