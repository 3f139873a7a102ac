// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl tag`.

use super::stop::named;
use crate::cli::Report;
use crate::disk::path_of;
use crate::driver::Driver;
use crate::error::Result;
use crate::point::Guid;
use crate::request::Transport;
use serde_json::json;

/// Puts a tag at one place in the order of changes of several disks.
///
/// Without more, all filtered disks are tagged at one moment, while writes to them are held for it: what a power cut would
/// leave. With --freeze, file systems are frozen for it, which makes it what an unmount would leave. Whoever drains a disk
/// gets the tag between the changes before it and those after it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl tag nightly
  involfltctl tag before-upgrade --freeze /dev/sdb1
  involfltctl tag nightly --disk sdb --disk sdc")]
pub struct Tag {
    /// The tag's name.
    #[arg(value_name = "NAME")]
    name: String,
    /// A filtered disk to tag; several --disk add up [default: all].
    #[arg(long = "disk", value_name = "DISK", value_hint = clap::ValueHint::AnyPath)]
    disks: Vec<String>,
    /// A block device whose file system is frozen meanwhile; several --freeze add up.
    #[arg(long, value_name = "DEVICE", value_hint = clap::ValueHint::AnyPath)]
    freeze: Vec<String>,
}

impl Tag {
    /// Tags with this machine's driver.
    pub fn run(self) -> Result<Report> {
        let freeze: Vec<_> = self.freeze.iter().map(|name| path_of(name).display().to_string()).collect();
        tag(&Driver::open()?, &Guid::new()?, &self.name, &self.disks, &freeze)
    }
}

/// Tags these disks, or all where none is named.
pub fn tag(
    driver: &Driver<impl Transport>,
    guid: &Guid,
    name: &str,
    disks: &[String],
    freeze: &[String],
) -> Result<Report> {
    let filtered = driver.protected()?;
    let names = if disks.is_empty() { filtered } else { named(&filtered, disks)? };
    if disks.is_empty() && freeze.is_empty() {
        driver.tag_all(guid, name)?;
    } else {
        held(driver, guid, name, &names, freeze)?;
    }
    let text = format!("{name}: tagged {}\n", names.join(", "));
    Ok(Report::done(text, &json!({ "tag": name, "disks": names, "frozen": freeze })))
}

/// How long file systems stay frozen if this program does not come to thaw them.
const FREEZE_MILLISECONDS: u32 = 30_000;

/// File systems are thawed in any case, before the tags are let go or taken back.
fn held(driver: &Driver<impl Transport>, guid: &Guid, name: &str, disks: &[String], freeze: &[String]) -> Result<()> {
    if !freeze.is_empty() {
        driver.freeze(guid, freeze, FREEZE_MILLISECONDS)?;
    }
    let tagged = driver.tag(guid, name, disks);
    let thawed = if freeze.is_empty() { Ok(()) } else { driver.thaw(guid, freeze) };
    match tagged.and(thawed) {
        Ok(()) => driver.commit_tags(guid),
        Err(error) => {
            // The error says more than that there may be nothing to take back.
            let _ = driver.revoke_tags(guid);
            Err(error)
        }
    }
}
