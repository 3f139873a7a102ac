// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl status`.

use super::stop::named;
use crate::cli::Report;
use crate::driver::Driver;
use crate::error::Result;
use crate::output::{BAD, Cell, GOOD, bytes, table};
use crate::request::Transport;
use crate::statistics::{Resync, Statistics};
use serde::Serialize;

/// Shows state, pending changes and resync verdict of filtered disks.
///
/// A disk that needs a resync has changes that the driver could not note: its replica is right only after a full copy.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl status
  involfltctl status sdb
  involfltctl status --json | jq '.disks[] | select(.resync)'")]
pub struct Status {
    /// Filtered disks: /dev paths, links to them, or kernel names [default: all].
    #[arg(value_name = "DISK", value_hint = clap::ValueHint::AnyPath)]
    disks: Vec<String>,
}

impl Status {
    /// Asks this machine's driver.
    pub fn run(self) -> Result<Report> {
        status(&Driver::open()?, &self.disks)
    }
}

#[derive(Serialize)]
struct DiskStatus {
    disk: String,
    #[serde(flatten)]
    statistics: Statistics,
}

#[derive(Serialize)]
struct Disks {
    disks: Vec<DiskStatus>,
}

/// The status of these disks, or of all where none is named.
pub fn status(driver: &Driver<impl Transport>, disks: &[String]) -> Result<Report> {
    let filtered = driver.protected()?;
    let names = if disks.is_empty() { filtered } else { named(&filtered, disks)? };
    let ask = |disk: String| Ok(DiskStatus { statistics: driver.statistics(&disk)?, disk });
    let disks = names.into_iter().map(ask).collect::<Result<Vec<_>>>()?;
    let text = if disks.is_empty() { "no disk is filtered\n".into() } else { text(&disks) };
    Ok(Report::done(text, &Disks { disks }))
}

fn text(disks: &[DiskStatus]) -> String {
    let row = |disk: &DiskStatus| {
        let statistics = &disk.statistics;
        let resync = match &statistics.resync {
            None => Cell::styled("no", GOOD),
            Some(resync) => Cell::styled(verdict(resync), BAD),
        };
        let (size, pending) = (bytes(statistics.size_bytes), bytes(statistics.pending_bytes));
        [disk.disk.as_str().into(), statistics.state.as_str().into(), size.into(), pending.into(), resync]
    };
    let rows: Vec<_> = disks.iter().map(row).collect();
    table(["DISK", "STATE", "SIZE", "PENDING", "RESYNC"], &rows)
}

fn verdict(resync: &Resync) -> String {
    let Resync { code, reason, count, time } = resync;
    let since = time.map_or(String::new(), |time| format!(" since {time}"));
    let times = if *count == 1 { String::new() } else { format!(", {count} times") };
    format!("required{since}: {reason} ({code:#x}{times})")
}
