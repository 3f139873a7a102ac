// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl list`.

use crate::cli::Report;
use crate::driver::Driver;
use crate::error::Result;
use crate::request::Transport;
use serde_json::json;

/// Lists the filtered disks, one a line.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl list
  involfltctl list --json | jq -r '.disks[].disk'")]
pub struct List {}

impl List {
    /// Lists what this machine's driver filters.
    pub fn run(self) -> Result<Report> {
        list(&Driver::open()?)
    }
}

/// The filtered disks.
pub fn list(driver: &Driver<impl Transport>) -> Result<Report> {
    let names = driver.protected()?;
    let disks: Vec<_> = names.iter().map(|name| json!({ "disk": name })).collect();
    let text = names.iter().map(|name| format!("{name}\n")).collect();
    Ok(Report::done(text, &json!({ "disks": disks })))
}
