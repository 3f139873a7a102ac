// SPDX-License-Identifier: GPL-2.0-only
//! Orderly reboots of a machine with its root on a filtered disk: no file changes, no resync but where it must be, no missed block.

mod command;

pub use command::RebootsCommand;

use super::powercut::Request;
use super::powercut::disk::{Disk, SECTOR};
use super::powercut::machine::{End, Machine};
use super::powercut::random::Random;
use super::{image, judge, kept, write_initramfs};
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::store;
use guest::extents::Extents;
use guest::layout::reboots::{BITMAP, ROOT, drains, restarts};
use guest::protocol::Plan;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// The root's file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FileSystem {
    /// With blocks that the driver pins.
    Ext4,
    /// Where it pins none.
    Xfs,
    /// Where it pins none either, and a file's blocks are others after each write.
    Btrfs,
}

impl FileSystem {
    /// As `mkfs` and `mount` have it.
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
            FileSystem::Btrfs => "btrfs",
        }
    }

    /// The modules that its VM has. Only this one has btrfs, which measures checksums for seconds when it is loaded.
    fn modules(self) -> Vec<&'static str> {
        let own = (self == FileSystem::Btrfs).then_some(self.name());
        image::DISKS_AND_FILE_SYSTEMS.into_iter().chain(own).collect()
    }

    fn make(self, path: &Path) -> Result<()> {
        let mut command = Command::new(format!("mkfs.{}", self.name()));
        let arguments: &[&str] = if self == FileSystem::Ext4 { &["-q", "-b", "4096"] } else { &["-q"] };
        super::disks::run(command.args(arguments).arg(path))
    }
}

/// What came of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reboots {
    /// How many there were.
    pub reboots: u32,
    /// How many there were by kexec, besides.
    pub restarts: u32,
    /// After how many a resync was required, as it had to be.
    pub resyncs: u32,
    /// Boots of which all changed blocks were looked for.
    pub judged: u32,
    /// Blocks that changed in those.
    pub changed: u64,
}

impl fmt::Display for Reboots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reboots { reboots, restarts, resyncs, judged, changed } = self;
        write!(
            f,
            "{reboots} reboots, and {restarts} by kexec, no file changed; {resyncs} ended in a resync, and had to; \
             {changed} blocks changed over {judged} of the others, 0 missed"
        )
    }
}

/// Reboots the machine so many times.
///
/// Fails with the kind [`crate::error::Kind::Kernel`] where it does not start again, a file has changed, a resync is required that
/// need not be or is not that must be, and where a changed block is missed.
pub fn run(request: &Request<'_>, kind: FileSystem, listener: &dyn Listener) -> Result<Reboots> {
    let id = request.kernel.id();
    let image = image::image(request.kernel, request.store, request.offline, &kind.modules())?;
    let dir = request.store.kind("vm-runs")?.join(format!("{id}-reboots-{}", std::process::id()));
    store::remove(&dir)?;
    fs::create_dir_all(&dir).at_path(&dir)?;
    let initramfs = dir.join("initramfs");
    write_initramfs(&initramfs, &image, request.module, request.programs, |modules| Plan {
        modules,
        reboots: Some(kind.name().to_string()),
        ..Plan::default()
    })?;
    let images = Images { before: dir.join("before.img"), after: dir.join("after.img") };
    File::create(&images.after).and_then(|file| file.set_len(ROOT.size)).at_path(&images.after)?;
    kind.make(&images.after)?;
    // The root's, and those of what such a machine starts by itself.
    let disks = [disk(&images.after)?, disk(&image.vmlinuz)?, disk(&initramfs)?];
    let log = request.out_dir.join(format!("{id}.reboots.log"));
    let (vmlinuz, bus) = (&*image.vmlinuz, request.bus);
    let machine = Machine { vmlinuz, initramfs: &initramfs, dir: &dir, log: &log, disks: &disks, bus };
    let stage = |number| {
        let stage = format!("reboots: {number} of {}", request.runs);
        listener.event(Event::Stage { subject: id.clone(), stage });
    };
    let reboots = reboots(request, kind, &machine, &images, &stage);
    store::remove(&dir)?;
    reboots.map_err(|error| error.at(format!("{id}: seed {}", request.seed)))
}

/// A disk with what a file has, up to the end of its last sector.
fn disk(path: &Path) -> Result<Mutex<Disk>> {
    let mut contents = fs::read(path).at_path(path)?;
    contents.resize(contents.len().next_multiple_of(SECTOR), 0);
    Ok(Mutex::new(Disk::new(contents)))
}

/// The disk as it was when the machine was last switched off, and the time before.
struct Images {
    before: PathBuf,
    after: PathBuf,
}

fn reboots(
    request: &Request<'_>,
    kind: FileSystem,
    machine: &Machine<'_>,
    images: &Images,
    stage: &dyn Fn(u32),
) -> Result<Reboots> {
    let mut random = Random::new(request.seed);
    let mut done = Reboots::default();
    let mut must = None;
    for number in 0..=request.runs {
        stage(number);
        let place = |error: Error| error.at(format!("start {number}"));
        let seed = request.seed + u64::from(number);
        let found = machine.boot(End::Stop(Duration::ZERO), seed).map_err(place)?;
        let resync = found.standing.resync;
        let is_right = match (&resync, &must) {
            (Some(resync), Some(must)) => resync.contains(must),
            (resync, must) => resync.is_none() && must.is_none(),
        };
        if !is_right {
            return Err(place(Error::kernel(format!("resync required: {resync:?}, where it must be {must:?}"))));
        }
        done.reboots = number;
        done.restarts += u32::from(kind == FileSystem::Ext4 && restarts(seed));
        done.resyncs += u32::from(must.is_some());
        let must_next: Option<String> = found.left.and_then(|left| left.resync);
        images.take(&machine.disks[0], &mut random)?;
        // Of the first boot, of one that has drained, and where the file must not be believed, it does not say all.
        if number > 0 && must.is_none() && must_next.is_none() && !drains(seed) {
            done.changed += images.judge(&request.programs.ctl).map_err(place)?;
            done.judged += 1;
        }
        must = must_next;
    }
    Ok(done)
}

impl Images {
    /// The machine is off; what it has not flushed is lost.
    fn take(&self, disk: &Mutex<Disk>, random: &mut Random) -> Result<()> {
        let mut disk = disk.lock().expect("nothing panics with a disk");
        disk.cut(random);
        let bytes = disk.read(0, ROOT.size as usize).map_err(|_| Error::infra("the root's disk has another size"))?;
        fs::rename(&self.after, &self.before).at_path(&self.after)?;
        fs::write(&self.after, bytes).at_path(&self.after)
    }

    /// Every changed block is in the bitmap file. How many there are; without the file all of them would be missed.
    fn judge(&self, tool: &Path) -> Result<u64> {
        let part = judge::Part { offset: 0, size: ROOT.size };
        let judged = |drained: &Extents| judge::judge(&self.before, &self.after, part, drained);
        let found = judged(&kept::changes(&self.after, BITMAP, tool)?)?;
        if found.missed != 0 || judged(&Extents::default())?.missed != found.changed {
            return Err(Error::kernel(format!(
                "of {} changed blocks {} missed: {found:?}",
                found.changed, found.missed
            )));
        }
        Ok(found.changed)
    }
}
