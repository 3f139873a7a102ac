// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl replicate`.

use super::drain::agent;
use super::journal::Keep;
use super::progress::Display;
use crate::blocks::Direct;
use crate::cli::Report;
use crate::commands::signals;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::replica::{Ended, Event, Listener, Overwrite, Progress, Pump, Remote, Replica, Sink, Source};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Makes a replica of a disk, and keeps it up to date.
///
/// First the disk is copied whole, then every change is brought along. Filtering is started if it is not already. When this
/// program is stopped, or the target is lost, or the machine crashes, the same command goes on where it stopped, with a
/// full copy only where changes were missed. What the replica has is noted in a file: beside a replica in a file
/// (TARGET.involflt.json), else in /var/lib/involflt/replicas.
///
/// With --journal, the target can be set to any tag that it was brought past: `involfltctl apply DIR TARGET --until-tag NAME`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl replicate /dev/sdb --to /dev/sdc
  involfltctl replicate sdb --to /backup/sdb.img --once     up to now, for cron
  involfltctl replicate sdb --to sdc --interval 1           at most a second behind, where it can
  involfltctl replicate sdb --to sdc --journal /backup/sdb.journal
  involfltctl replicate sdb --to nbd://backup/sdb
  involfltctl replicate sdb --to ssh://root@backup/srv/sdb.img

Stop it with Ctrl-C or SIGTERM: it ends the batch that it is at.")]
pub struct Replicate {
    /// The disk: a /dev path, a link to one, or a kernel name.
    #[arg(value_name = "DISK", value_hint = clap::ValueHint::AnyPath)]
    disk: String,
    /// The replica: a block device that nobody uses, a file, which is made if need be, an export of an NBD server
    /// (nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH), or one of these on another host that has this program
    /// (ssh://[USER@]HOST[:PORT]/PATH), where a journal is, too.
    #[arg(long, value_name = "TARGET", value_hint = clap::ValueHint::AnyPath)]
    to: String,
    /// Stop when nothing waits any more.
    #[arg(long)]
    once: bool,
    /// Look for changes at least so often.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, conflicts_with = "once",
          value_parser = clap::value_parser!(i32).range(1..=3600))]
    interval: i32,
    /// Have the driver capture what is written, in memory, and not only where: tags are true points in time then. --journal
    /// does so, too.
    #[arg(long)]
    data: bool,
    #[command(flatten)]
    journal: Keep,
    /// Overwrite what the target holds although it is not known as a replica.
    #[arg(long)]
    overwrite: bool,
}

impl Replicate {
    /// Replicates with this machine's driver.
    pub fn run(self, json: bool) -> Result<Report> {
        let stop = signals::stop()?;
        let mut display = Display::new(&self.disk, json);
        loop {
            let (ended, progress) = self.round(&stop, &mut display)?;
            match ended {
                Ended::CaughtUp | Ended::Stopped => return Ok(self.report(ended, progress)),
                Ended::Resync(resync) => display.event(Event::Anew { reason: resync.reason }),
                Ended::Broken => display.event(Event::Anew { reason: BROKEN.into() }),
            }
            drop(std::mem::replace(&mut display, Display::new(&self.disk, json)));
        }
    }

    /// Replicates until a full copy is needed, or until the end. The disk and the target are looked at anew each time: the
    /// disk may have another size.
    fn round(&self, stop: &AtomicBool, display: &mut Display) -> Result<(Ended, Progress)> {
        let disk = Disk::find(&self.disk)?;
        let source = Source { disk: &disk.persistent_name, bytes: disk.bytes };
        let overwrite = if self.overwrite { Overwrite::Yes } else { Overwrite::No };
        let mut replica: Box<dyn Sink> = match Remote::command(&self.to, overwrite, &self.journal.words()) {
            Some(command) => Box::new(Remote::behind(&self.to, command?, source)?),
            None => Box::new(Replica::open(&self.to, source, overwrite, self.journal.at())?),
        };
        let about = |error: std::io::Error| Error::failed(format!("{}: {error}", disk.node));
        let blocks = Direct::open(Path::new(&disk.node)).map_err(about)?;
        let agent = agent(disk.clone(), self.data || self.journal.at().is_some())?;
        let interval = (!self.once).then_some(self.interval);
        let ended = Pump::new(&agent, blocks, stop, display).replicate(&mut *replica, interval)?;
        Ok((ended, replica.progress()))
    }

    fn report(&self, ended: Ended, progress: Progress) -> Report {
        let text = match (&ended, progress) {
            (Ended::CaughtUp, _) => format!("{}: {} is up to date\n", self.disk, self.to),
            (_, Progress::All { .. }) => format!("{}: stopped; {} has all up to its last batch\n", self.disk, self.to),
            (_, _) => format!("{}: stopped; {} has a part of a full copy\n", self.disk, self.to),
        };
        let result = if ended == Ended::CaughtUp { "up to date" } else { "stopped" };
        Report::done(text, &json!({ "disk": self.disk, "target": self.to, "result": result, "replica": progress }))
    }
}

/// Why a replica is copied anew that had been followed.
const BROKEN: &str = "changes were drained that the replica does not have, or the driver was started anew";
