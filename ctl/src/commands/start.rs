// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl start`.

use super::many::{self, Outcome};
use crate::cli::Report;
use crate::config::{CONFIG, Config};
use crate::disk::{Disk, among, path_of};
use crate::driver::Driver;
use crate::error::Result;
use crate::request::Transport;
use std::path::Path;

/// Starts filtering of disks; one that is filtered already stays as it is.
///
/// From here on the driver notes every change to them. What was written before is not known to it: a new replica
/// begins with a full copy.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl start /dev/sdb
  involfltctl start sdb nvme0n1
  involfltctl start /dev/disk/by-id/wwn-0x5000c500a1b2c3d4
  involfltctl start --configured         what /etc/involflt/involflt.conf names, as far as it is there")]
pub struct Start {
    /// Whole disks: /dev paths, links to them, or kernel names.
    #[arg(value_name = "DISK", value_hint = clap::ValueHint::AnyPath, required_unless_present = "configured")]
    disks: Vec<String>,
    /// The disks of /etc/involflt/involflt.conf; one that is not there is passed over.
    #[arg(long, conflicts_with = "disks")]
    configured: bool,
}

impl Start {
    /// Starts filtering with this machine's driver.
    pub fn run(self) -> Result<Report> {
        let (mut disks, mut absent) = (self.disks, Vec::new());
        if self.configured {
            (disks, absent) =
                Config::read(Path::new(CONFIG))?.disks.into_iter().partition(|name| path_of(name).exists());
        }
        // All names are looked at before anything is done.
        let disks = disks.iter().map(|name| Disk::find(name)).collect::<Result<Vec<_>>>()?;
        start(&Driver::open()?, &disks, absent)
    }
}

/// Starts filtering of each disk; `absent` are names of disks that are not there, which is told.
pub fn start(driver: &Driver<impl Transport>, disks: &[Disk], absent: Vec<String>) -> Result<Report> {
    let filtered = driver.protected()?;
    let start = |disk: &Disk| {
        if among(&filtered, &disk.node).is_some() {
            return Outcome::Skipped("filtered already");
        }
        driver.start(disk).map_or_else(Outcome::Failed, |()| Outcome::Done("started"))
    };
    let started = disks.iter().map(|disk| (disk.node.clone(), start(disk)));
    let absent = absent.into_iter().map(|name| (name, Outcome::Skipped("not there, passed over")));
    Ok(many::report(&started.chain(absent).collect::<Vec<_>>()))
}
