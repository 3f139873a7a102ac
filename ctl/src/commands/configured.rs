// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl configured`, which the udev rules ask.

use crate::cli::Report;
use crate::config::{CONFIG, Config};
use crate::error::{Kind, Result};
use serde_json::json;
use std::path::Path;

/// Says whether a disk, known by one or more names, is to be filtered from boot on: exit code 0 if so, 1 if not.
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Configured {
    /// Names of one disk: paths, or names below /dev.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

impl Configured {
    /// Asks this machine's configuration.
    pub fn run(self) -> Result<Report> {
        let configured = Config::read(Path::new(CONFIG))?.has(&self.names);
        let text = if configured { "yes\n" } else { "no\n" };
        let report = Report::done(text.into(), &json!({ "configured": configured }));
        Ok(Report { failed: (!configured).then_some(Kind::Failed), ..report })
    }
}
