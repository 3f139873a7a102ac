// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl journal`, and the options of commands that keep one.

use crate::cli::Report;
use crate::error::{Error, Result};
use crate::journal::{self, Directory, Point};
use crate::output::{Cell, GOOD, WARNING, bytes, table};
use crate::replica::JournalAt;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Shows the tags to which the target of a journal can be set, with `involfltctl apply DIR TARGET --until-tag NAME`.
///
/// A tag is a true point in time when the target, set to it, is what the disk was at that moment. It is none when changes
/// were read from the disk that were made later: after a full copy, or when the driver had no memory for data.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl journal /backup/sdb.journal
  involfltctl journal /backup/sdb.journal --json | jq -r '.tags[] | select(.is_exact).name'")]
pub struct Journal {
    /// The journal's directory.
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
}

impl Journal {
    /// Reads the journal, which may be written to meanwhile.
    pub fn run(self) -> Result<Report> {
        let points = points(&self.dir)?;
        let row = |point: &Point| {
            let (exact, style) = if point.is_exact { ("yes", GOOD) } else { ("no", WARNING) };
            let (name, time) = (point.name.clone(), point.time.to_string());
            [name.into(), time.into(), Cell::styled(exact, style), bytes(point.bytes).into()]
        };
        let rows: Vec<_> = points.iter().map(row).collect();
        let text = table(["TAG", "TIME", "TRUE", "SIZE"], &rows);
        Ok(Report::done(text, &json!({ "journal": self.dir, "tags": points })))
    }
}

/// The tags in a journal.
pub(super) fn points(dir: &Path) -> Result<Vec<Point>> {
    let name = dir.display().to_string();
    let dir = fs::canonicalize(dir).map_err(|error| Error::input(format!("{name}: {error}")))?;
    let place = Directory::new(dir);
    match journal::identity(&place).map_err(|error| error.within(&name))? {
        None => Err(Error::input(format!("{name}: has no journal in it"))),
        Some(_) => journal::points(&place).map_err(|error| error.within(&name)),
    }
}

/// Whether a target keeps a journal.
#[derive(clap::Args)]
pub struct Keep {
    /// Keep in this directory what is overwritten, so that the target can be set to any tag.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    journal: Option<PathBuf>,
    /// Bytes that the journal takes at most, with K, M, G or T: beyond that, the oldest tags are dropped.
    #[arg(long, value_name = "SIZE", default_value = "16G", requires = "journal", value_parser = size)]
    journal_size: u64,
}

impl Keep {
    /// The same options for another program.
    pub fn words(&self) -> Vec<String> {
        self.journal
            .iter()
            .flat_map(|dir| {
                ["--journal".into(), dir.display().to_string(), "--journal-size".into(), self.journal_size.to_string()]
            })
            .collect()
    }

    /// The journal that is to be kept.
    pub fn at(&self) -> Option<JournalAt<'_>> {
        self.journal.as_deref().map(|dir| (dir, self.journal_size))
    }
}

fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("a number with K, M, G, T or nothing behind it".into()),
    };
    let number: u64 = number.parse().map_err(|error| format!("{error}"))?;
    number.checked_mul(1 << shift).ok_or_else(|| "it is too large".into())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        assert_eq!(["512", "4K", "1T"].map(|text| size(text).unwrap()), [512, 4096, 1 << 40]);
        for bad in ["", "G", "1g", "1.5G", "-1", "99999999T", "1GB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
