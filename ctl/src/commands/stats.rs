// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl stats`.

use super::stop::named;
use crate::cli::Report;
use crate::driver::Driver;
use crate::error::Result;
use crate::output::{Cell, HEADING, table};
use crate::request::Transport;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Shows all that the driver counts: of itself, and of disks.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl stats
  involfltctl stats sdb --json | jq '.disks[0].writes'")]
pub struct Stats {
    /// Filtered disks: /dev paths, links to them, or kernel names [default: all, and the driver itself].
    #[arg(value_name = "DISK", value_hint = clap::ValueHint::AnyPath)]
    disks: Vec<String>,
}

impl Stats {
    /// Asks this machine's driver.
    pub fn run(self) -> Result<Report> {
        stats(&Driver::open()?, &self.disks)
    }
}

/// Statistics of these disks, or of the driver and of all disks where none is named.
pub fn stats(driver: &Driver<impl Transport>, disks: &[String]) -> Result<Report> {
    let filtered = driver.protected()?;
    let of_driver = if disks.is_empty() { Some(driver.global_statistics()?) } else { None };
    let names = if disks.is_empty() { filtered } else { named(&filtered, disks)? };
    let mut text = of_driver.as_ref().map_or(String::new(), |values| section("driver", values));
    let mut json = Map::new();
    if let Some(values) = of_driver {
        json.insert("driver".into(), object(values));
    }
    let mut each = Vec::new();
    for name in names {
        let values = driver.all_statistics(&name)?;
        text += &section(&name, &values);
        let mut object = object(values);
        object["disk"] = json!(name);
        each.push(object);
    }
    json.insert("disks".into(), each.into());
    Ok(Report::done(text, &json))
}

fn section(name: &str, values: &[(String, String)]) -> String {
    let rows: Vec<_> = values.iter().map(|(name, value)| [name.as_str(), value.as_str()].map(Cell::from)).collect();
    let mut text = String::new();
    // A String takes everything.
    let _ = writeln!(text, "{HEADING}{name}{HEADING:#}");
    let _ = writeln!(text, "{}", table(["NAME", "VALUE"], &rows));
    text
}

/// Numbers as numbers, everything else as text.
fn object(values: Vec<(String, String)>) -> Value {
    let value = |text: String| text.parse::<u64>().map_or(Value::String(text), Value::from);
    Value::Object(values.into_iter().map(|(name, text)| (name, value(text))).collect())
}
