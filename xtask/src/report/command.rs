// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask report`: shows the last result again.

use super::{SUPPORT, last, put, sorted, support, table, write};
use crate::display::Style;
use crate::error::{Error, Result};
use crate::work_tree;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use xshell::Shell;

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table
    Table,
    /// The text of matrix.json
    Json,
}

/// Shows the result of the last `build-matrix` again, and writes its `index.html` anew.
#[derive(Args)]
#[command(after_help = "Examples:
  cargo xtask report
  cargo xtask report --support                  docs/support-matrix.md
  cargo xtask report --dist /tmp/dist --format json")]
pub struct Report {
    /// Where `matrix.json` is.
    #[arg(long, value_name = "DIR", default_value = "dist")]
    dist: PathBuf,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write docs/support-matrix.md anew as well.
    #[arg(long)]
    support: bool,
}

impl Report {
    /// Prints the rows; an error of exit code 1 where one of them failed, of 2 where there is no result.
    pub fn run(self, _: &Shell) -> Result<()> {
        let results = last(&self.dist)?;
        write(&self.dist, &results)?;
        let rows = &results.rows;
        if self.support {
            let to = work_tree::top().join("docs").join(SUPPORT);
            put(&to, &support::render(&sorted(rows)))?;
            println!("{}: written", to.display());
        }
        match self.format {
            Format::Table => print!("{}", table(rows, Style::detect(&std::io::stdout()))),
            Format::Json => print!("{}", super::json::render(&sorted(rows), &results.left_out)?),
        }
        match rows.iter().filter(|row| row.failed()).count() {
            0 => Ok(()),
            failed => Err(Error::kernel(format!("{failed} of {} kernels failed", rows.len()))),
        }
    }
}
