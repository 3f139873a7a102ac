// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl barrier`.

use super::signals;
use crate::cli::Report;
use crate::driver::Driver;
use crate::error::Result;
use crate::point::{Guid, MAX_BARRIER_MILLISECONDS};
use crate::request::Transport;
use serde_json::json;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Holds all reads and writes of all filtered disks for a moment, with a tag on each disk if one is named.
///
/// `tag` does the same for no longer than the tags take. This is for those who have something of their own to do meanwhile, or
/// who test what a barrier does to their machine.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl barrier --milliseconds 100
  involfltctl barrier --tag noon")]
pub struct Barrier {
    /// For so many milliseconds.
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_BARRIER_MILLISECONDS)))]
    milliseconds: u32,
    /// Tag every disk meanwhile.
    #[arg(long, value_name = "NAME")]
    tag: Option<String>,
}

impl Barrier {
    /// Holds with this machine's driver.
    pub fn run(self) -> Result<Report> {
        barrier(&Driver::open()?, &Guid::new()?, self.milliseconds, self.tag.as_deref())
    }
}

/// Holds everything for so long; what is held is let go in any case.
pub fn barrier(driver: &Driver<impl Transport>, guid: &Guid, milliseconds: u32, tag: Option<&str>) -> Result<Report> {
    driver.hold(guid, MAX_BARRIER_MILLISECONDS)?;
    let tagged = tag.map_or(Ok(()), |tag| driver.tag_held(guid, tag));
    signals::sleep(&AtomicBool::new(false), Duration::from_millis(milliseconds.into()));
    let let_go = driver.let_go(guid);
    tagged.and(let_go)?;
    if tag.is_some() {
        driver.commit_tags(guid)?;
    }
    let text = format!("held for {milliseconds} ms\n");
    Ok(Report::done(text, &json!({ "milliseconds": milliseconds, "tag": tag })))
}
