// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl doctor`.

use crate::cli::Report;
use crate::doctor::{Check, Verdict, checks, facts};
use crate::error::{Kind, Result};
use crate::output::{BAD, GOOD, WARNING};
use serde_json::json;

/// Looks at everything that filtering depends on, and says what to do about what is wrong.
///
/// Kernel, module, platform, signature, Secure Boot, device, driver, hooks, configured disks. Exit code 0 when nothing is
/// wrong, 1 otherwise.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo involfltctl doctor
  involfltctl doctor --json | jq -r '.checks[] | select(.verdict == \"wrong\") | .cure'")]
pub struct Doctor {}

impl Doctor {
    /// Looks at this machine.
    pub fn run(self) -> Result<Report> {
        Ok(report(&checks::all(&facts::here())))
    }
}

/// The report of these checks.
pub fn report(checks: &[Check]) -> Report {
    let wrong = checks.iter().filter(|check| check.verdict == Verdict::Wrong).count();
    let last = match wrong {
        0 => format!("{GOOD}nothing is wrong{GOOD:#}\n"),
        1 => format!("{BAD}1 thing is wrong{BAD:#}\n"),
        wrong => format!("{BAD}{wrong} things are wrong{BAD:#}\n"),
    };
    let text = checks.iter().map(lines).collect::<String>() + "\n" + &last;
    let json = json!({ "healthy": wrong == 0, "checks": checks });
    Report { failed: (wrong > 0).then_some(Kind::Failed), ..Report::done(text, &json) }
}

fn lines(check: &Check) -> String {
    let (style, word) = match check.verdict {
        Verdict::Ok => (GOOD, "ok"),
        Verdict::Note => (WARNING, "note"),
        Verdict::Wrong => (BAD, "wrong"),
    };
    let Check { name, found, cure, .. } = check;
    let cure = cure.as_ref().map_or(String::new(), |cure| format!("{:20} -> {cure}\n", ""));
    format!("{style}{word:6}{style:#} {name:13} {found}\n{cure}")
}
