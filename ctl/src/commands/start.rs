// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl start`.

use super::many::{self, Outcome};
use crate::cli::Report;
use crate::config::{CONFIG, Config};
use crate::disk::{Disk, path_of};
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
    /// In an initramfs: the root file system is not there yet. What was kept of the disks is taken over by the next start
    /// without this.
    #[arg(long, requires = "configured")]
    before_root: bool,
}

impl Start {
    /// Starts filtering with this machine's driver.
    pub fn run(self) -> Result<Report> {
        if self.configured {
            return configured(self.before_root);
        }
        // All names are looked at before anything is done.
        let disks = self.disks.iter().map(|name| Disk::find(name)).collect::<Result<Vec<_>>>()?;
        Ok(many::report(&start(&after_root()?, &disks)?))
    }
}

/// The driver, with what it keeps in the root file system.
fn after_root() -> Result<Driver> {
    let driver = Driver::open()?;
    driver.root_is_there()?;
    Ok(driver)
}

/// Nobody sits before a boot to correct a name: the other disks are filtered all the same.
fn configured(before_root: bool) -> Result<Report> {
    let (there, absent): (Vec<_>, Vec<_>) =
        Config::read(Path::new(CONFIG))?.disks.into_iter().partition(|name| path_of(name).exists());
    let (mut disks, mut outcomes) = (Vec::new(), Vec::new());
    for name in there {
        match Disk::find(&name) {
            Ok(disk) => disks.push(disk),
            Err(error) => outcomes.push((name, Outcome::Failed(error))),
        }
    }
    outcomes.extend(absent.into_iter().map(|name| (name, Outcome::Skipped("not there, passed over"))));
    let driver = if before_root { Driver::open()? } else { after_root()? };
    outcomes.splice(0..0, start(&driver, &disks)?);
    Ok(many::report(&outcomes))
}

/// Starts filtering of each disk.
pub fn start(driver: &Driver<impl Transport>, disks: &[Disk]) -> Result<Vec<(String, Outcome)>> {
    let mut filtered = driver.protected()?.len();
    let mut outcomes = Vec::new();
    for disk in disks {
        // The driver knows a disk for what it is; by its name it could be one that has gone.
        let outcome = driver.start(disk).map_or_else(Outcome::Failed, |()| Outcome::Done("started"));
        let before = std::mem::replace(&mut filtered, driver.protected()?.len());
        let outcome = match outcome {
            Outcome::Done(_) if before == filtered => Outcome::Skipped("filtered already"),
            outcome => outcome,
        };
        outcomes.push((disk.node.clone(), outcome));
    }
    Ok(outcomes)
}
