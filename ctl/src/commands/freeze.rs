// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl freeze` and `involfltctl thaw`.

use crate::cli::Report;
use crate::disk::path_of;
use crate::driver::Driver;
use crate::error::{Error, Result};
use crate::point::{Guid, MAX_FREEZE_MILLISECONDS};
use crate::request::Transport;
use serde_json::json;

/// Freezes file systems, until `thaw` or for so many seconds.
///
/// Everything that was written is on the disks then, and nothing more is: programs that write wait. It prints the name of the
/// consistency point, by which `thaw` knows it. `tag --freeze` does all of it at once.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  point=$(involfltctl freeze /dev/sdb1 --seconds 20)
  involfltctl thaw $point /dev/sdb1")]
pub struct Freeze {
    /// Block devices with mounted file systems.
    #[arg(value_name = "DEVICE", required = true, value_hint = clap::ValueHint::AnyPath)]
    devices: Vec<String>,
    /// Thaw them after so many seconds in any case.
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_FREEZE_MILLISECONDS / 1000)))]
    seconds: u32,
}

/// Thaws file systems that `freeze` has frozen.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl thaw $point /dev/sdb1                      as `freeze` printed it")]
pub struct Thaw {
    /// What `freeze` printed.
    #[arg(value_name = "POINT")]
    point: String,
    /// The same devices.
    #[arg(value_name = "DEVICE", required = true, value_hint = clap::ValueHint::AnyPath)]
    devices: Vec<String>,
}

impl Freeze {
    /// Freezes with this machine's driver.
    pub fn run(self) -> Result<Report> {
        freeze(&Driver::open()?, Guid::new()?, &paths(&self.devices), 1000 * self.seconds)
    }
}

impl Thaw {
    /// Thaws with this machine's driver.
    pub fn run(self) -> Result<Report> {
        thaw(&Driver::open()?, &self.point, &paths(&self.devices))
    }
}

fn paths(names: &[String]) -> Vec<String> {
    names.iter().map(|name| path_of(name).display().to_string()).collect()
}

/// Freezes them for so many milliseconds at most; where one of them fails, none stays frozen.
pub fn freeze(driver: &Driver<impl Transport>, guid: Guid, devices: &[String], milliseconds: u32) -> Result<Report> {
    driver.freeze(&guid, devices, milliseconds)?;
    Ok(Report::done(format!("{guid}\n"), &json!({ "point": guid.to_string(), "frozen": devices })))
}

/// Thaws them.
pub fn thaw(driver: &Driver<impl Transport>, point: &str, devices: &[String]) -> Result<Report> {
    let guid = Guid::from_text(point).ok_or_else(|| {
        Error::input(format!("{point}: is no consistency point")).note("give what `involfltctl freeze` printed")
    })?;
    driver.thaw(&guid, devices)?;
    Ok(Report::done(String::from("thawed\n"), &json!({ "point": point, "thawed": devices })))
}
