// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl stop`.

use super::many::{self, Outcome};
use crate::cli::Report;
use crate::disk::among;
use crate::driver::Driver;
use crate::error::{Error, Result};
use crate::request::Transport;
use std::collections::BTreeSet;

/// Stops filtering of disks, and forgets their changes.
///
/// A replica of such a disk needs a full copy when filtering is started again.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl stop /dev/sdb
  involfltctl stop --all")]
pub struct Stop {
    /// Filtered disks: /dev paths, links to them, or kernel names.
    #[arg(value_name = "DISK", value_hint = clap::ValueHint::AnyPath, required_unless_present = "all")]
    disks: Vec<String>,
    /// Every filtered disk.
    #[arg(long, conflicts_with = "disks")]
    all: bool,
}

impl Stop {
    /// Stops filtering with this machine's driver.
    pub fn run(self) -> Result<Report> {
        let driver = Driver::open()?;
        let filtered = driver.protected()?;
        let names = if self.all { filtered } else { named(&filtered, &self.disks)? };
        Ok(stop(&driver, names))
    }
}

/// The driver's names of disks that a user named, each once. Fails with bad input for one that is not filtered.
pub fn named(filtered: &[String], disks: &[String]) -> Result<Vec<String>> {
    let find = |name: &String| {
        among(filtered, name)
            .cloned()
            .ok_or_else(|| Error::input(format!("{name}: is not filtered")).note("`involfltctl list` shows what is"))
    };
    let mut names = disks.iter().map(find).collect::<Result<Vec<_>>>()?;
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

/// Stops filtering of each disk, by the driver's names.
pub fn stop(driver: &Driver<impl Transport>, names: Vec<String>) -> Report {
    let stop = |name: &str| driver.stop(name).map_or_else(Outcome::Failed, |()| Outcome::Done("stopped"));
    let outcomes: Vec<_> = names.into_iter().map(|name| (name.clone(), stop(&name))).collect();
    many::report(&outcomes)
}
