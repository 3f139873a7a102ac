// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl status`.

use super::signals;
use super::stop::named;
use crate::cli::Report;
use crate::driver::Driver;
use crate::error::Result;
use crate::output::{BAD, Cell, GOOD, bytes, table};
use crate::request::Transport;
use crate::statistics::{Resync, Statistics};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Shows state, pending changes and resync verdict of filtered disks.
///
/// A disk that needs a resync has changes that the driver could not note: its replica is right only after a full copy.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl status
  involfltctl status sdb
  involfltctl status --watch 5
  involfltctl status --json | jq '.disks[] | select(.resync)'")]
pub struct Status {
    /// Filtered disks: /dev paths, links to them, or kernel names [default: all].
    #[arg(value_name = "DISK", value_hint = clap::ValueHint::AnyPath)]
    disks: Vec<String>,
    /// Show it again every so many seconds, until stopped; with --json an object on each line.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
}

impl Status {
    /// Asks this machine's driver.
    pub fn run(self, json: bool) -> Result<Report> {
        let driver = Driver::open()?;
        match self.watch {
            None => status(&driver, &self.disks),
            Some(seconds) => self.watch(&driver, seconds, json),
        }
    }

    /// Ends with a signal, or when its reader has gone.
    fn watch(&self, driver: &Driver, seconds: u64, json: bool) -> Result<Report> {
        let stop = signals::stop()?;
        // On a terminal each table takes the last one's place.
        let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
        while !stop.load(Ordering::Relaxed) {
            let report = status(driver, &self.disks)?;
            let text = if json { format!("{}\n", report.json) } else { format!("{clear}{}", report.text) };
            let mut out = anstream::stdout();
            if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                break;
            }
            signals::sleep(&stop, Duration::from_secs(seconds));
        }
        Ok(Report::said())
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
