// SPDX-License-Identifier: GPL-2.0-only
//! `involfltctl verify`.

use super::drain::agent;
use super::journal::Keep;
use super::progress::Display;
use super::signals;
use crate::blocks::Direct;
use crate::cli::Report;
use crate::disk::{Disk, among};
use crate::driver::Driver;
use crate::error::{Error, Kind, Result};
use crate::output::{BAD, GOOD, bytes};
use crate::ranges::Ranges;
use crate::replica::{Event, Listener, Overwrite, Progress, Pump, Replica, Side, Sink, Source, compare, target_path};
use serde_json::json;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::time::Duration;

/// Ranges that are named at most.
const NAMED: usize = 16;

/// How long a write takes at most.
const SETTLE: Duration = Duration::from_secs(5);

/// Compares a disk with its replica, byte by byte. Exit code 0 when they are the same, 1 when they differ.
///
/// Without more, nothing may write to either meanwhile. With --tag, the disk may be in use: a tag is placed among its changes,
/// the target is brought up to that, and they are compared as they are there. `replicate` must not run meanwhile; afterwards
/// it goes on.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  involfltctl verify /dev/sdb /dev/sdc
  involfltctl verify sdb sdc --tag checked                  a disk that is in use
  involfltctl verify sdb /backup/sdb.img --json | jq .differs")]
pub struct Verify {
    /// The disk.
    #[arg(value_name = "DISK", value_hint = clap::ValueHint::AnyPath)]
    disk: String,
    /// The replica: a block device or a file, at least as large.
    #[arg(value_name = "TARGET", value_hint = clap::ValueHint::AnyPath)]
    target: String,
    /// Compare at a tag of this name, which is placed now.
    #[arg(long, value_name = "NAME")]
    tag: Option<String>,
    #[command(flatten)]
    journal: Keep,
}

impl Verify {
    /// Compares them.
    pub fn run(self, json: bool) -> Result<Report> {
        let (target, room) = open(&self.target)?;
        let mut display = Display::new(&self.disk, json);
        let (differs, size) = match &self.tag {
            None => self.at_rest(target, room, &mut display)?,
            Some(tag) => self.at_tag(tag, target, &mut display)?,
        };
        drop(display);
        Ok(self.report(&differs, size))
    }

    fn at_rest(&self, mut target: Direct, room: u64, display: &mut Display) -> Result<(Ranges, u64)> {
        if self.journal.at().is_some() {
            return Err(Error::input("--journal: only with --tag is anything written to the target"));
        }
        let (mut disk, of) = open(&self.disk)?;
        if room < of {
            return Err(Error::input(format!("{}: has {room} bytes, and {} {of}", self.target, self.disk)));
        }
        let mut target = Side { name: &self.target, blocks: &mut target };
        let differs = compare(&mut Side { name: &self.disk, blocks: &mut disk }, &mut target, of, &mut |bytes| {
            display.event(Event::Compared { bytes, of });
            Ok(())
        })?;
        Ok((differs, of))
    }

    fn at_tag(&self, tag: &str, mut target: Direct, display: &mut Display) -> Result<(Ranges, u64)> {
        let disk = Disk::find(&self.disk)?;
        if among(&Driver::open()?.protected()?, &disk.node).is_none() {
            return Err(Error::input(format!("{}: is not filtered", self.disk)).note(REPLICATE));
        }
        let source = Source { disk: &disk.persistent_name, bytes: disk.bytes };
        let mut replica = Replica::open(&self.target, source, Overwrite::No, self.journal.at())?;
        if !matches!(replica.progress(), Progress::All { .. }) {
            return Err(Error::input(format!("{}: has no full copy of {}", self.target, self.disk)).note(REPLICATE));
        }
        let (blocks, bytes) = open(&disk.node)?;
        let agent = agent(disk, self.journal.at().is_some())?;
        let stop = signals::stop()?;
        let mut target = Side { name: &self.target, blocks: &mut target };
        let differs = Pump::new(&agent, blocks, &stop, display).compare_at(tag, &mut replica, &mut target, SETTLE)?;
        Ok((differs, bytes))
    }

    fn report(&self, differs: &Ranges, size: u64) -> Report {
        let ranges: Vec<_> = differs.iter().collect();
        let total: u64 = ranges.iter().map(|(_, length)| length).sum();
        let named: Vec<_> = ranges.iter().map(|(offset, bytes)| json!({ "offset": offset, "bytes": bytes })).collect();
        let json =
            json!({ "disk": self.disk, "target": self.target, "tag": self.tag, "bytes": size, "differs": named });
        let at = self.tag.as_ref().map_or(String::new(), |tag| format!(" at the tag {tag}"));
        if ranges.is_empty() {
            let text = format!("{GOOD}the same{GOOD:#}{at}: {} and {}, {}\n", self.disk, self.target, bytes(size));
            return Report::done(text, &json);
        }
        let mut text = format!("{BAD}they differ{BAD:#}{at} in {} of {}:\n", bytes(total), bytes(size));
        text.extend(ranges.iter().take(NAMED).map(|(offset, length)| format!("  {length} bytes at {offset}\n")));
        if ranges.len() > NAMED {
            text += &format!("  and {} ranges more\n", ranges.len() - NAMED);
        }
        Report { failed: Some(Kind::Failed), ..Report::done(text, &json) }
    }
}

const REPLICATE: &str = "it needs a replica that is kept up to date: `involfltctl replicate`";

/// A disk or a file, and its size in bytes.
fn open(name: &str) -> Result<(Direct, u64)> {
    let path = target_path(name);
    let about = |error: std::io::Error| Error::input(format!("{}: {error}", path.display()));
    let size = File::open(&path).and_then(|mut file| file.seek(SeekFrom::End(0))).map_err(about)?;
    Ok((Direct::open(&path).map_err(about)?, size))
}
