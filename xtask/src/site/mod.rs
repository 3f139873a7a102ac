// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask site`: the results of all runs as pages that a web server serves as they are, without JavaScript.

mod history;
mod kernel;
mod list;

use crate::error::{AtPath, Error, Result};
use crate::publish::{Files, SUMS, sums_of};
use crate::report::{self, put};
use crate::work_tree;
use history::{Day, History};
use kernel::Facts;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xshell::Shell;

/// The memory of a site.
const HISTORY: &str = "history.json";

/// Adds the results of dist/ to a site: the support matrix with its history, and a page for each kernel.
///
/// `history.json` in it remembers since when each kernel is there, when it was first good, and every change. A run of the
/// same day replaces that day's. Pages of kernels that are no longer in the matrix stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask site /srv/involflt/site                  then serve that directory
  cargo xtask site site --dist dist --day 2026-11-27   a run of another day

Exit codes: 0 written; 2 no result in dist/, a history that cannot be read, or a day before its last one.")]
pub struct Site {
    /// Where the site is; it is made where it is not there.
    #[arg(value_name = "DIR")]
    site: PathBuf,
    /// What `build-matrix` or `gather` made.
    #[arg(long, value_name = "DIR", default_value = "dist")]
    dist: PathBuf,
    /// The day of the run, as 2026-11-27 [default: today, in UTC].
    #[arg(long, value_name = "DAY")]
    day: Option<Day>,
}

impl Site {
    /// Writes the pages of all kernels first and those that lead to them last, so that no link leads nowhere.
    pub fn run(self, _: &Shell) -> Result<()> {
        let results = report::last(&self.dist)?;
        let day = self.day.map_or_else(today, Ok)?;
        let memory = self.site.join(HISTORY);
        let mut history = match memory.exists() {
            true => History::parse(&fs::read_to_string(&memory).at_path(&memory)?)
                .map_err(|error| error.at(memory.display()))?,
            false => History::default(),
        };
        history.add(&results.rows, &day).map_err(|error| error.at(memory.display()))?;
        let facts = Facts::read(&self.dist, &work_tree::top().join("module"))?;
        for row in &results.rows {
            let Some(record) = history.kernels.get(&row.id) else { continue };
            facts.write(row, record, &self.site.join(kernel::DIR).join(&row.id))?;
        }
        let lists = list::all(&results.rows, &history)?;
        for (name, text) in &lists {
            put(&self.site.join(name), text)?;
        }
        put(&memory, &history.render()?)?;
        println!("{}: {} kernels, {} lists, as of {day}", self.site.display(), results.rows.len(), lists.len());
        Ok(())
    }
}

fn today() -> Result<Day> {
    let output = Command::new("date").args(["--utc", "+%F"]).output().at_path("date")?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|error| Error::infra(format!("date: {error}")))
}

/// The files of the repositories with their SHA-256; none where no packages were made.
fn published(dist: &Path) -> Result<Files> {
    let sums = dist.join(SUMS);
    if sums.exists() { sums_of(&sums) } else { Ok(Files::new()) }
}
