// SPDX-License-Identifier: GPL-2.0-only
//! Power cuts: a VM that is cut at a random moment or stopped, again and again, and never has a replica that differs silently.

mod command;
mod disk;
mod machine;
mod nbd;
mod random;

pub use command::PowerCut;
pub use machine::{End, Found};

use super::{Programs, image, write_initramfs};
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::lock::LockedKernel;
use crate::store::{self, Store};
use disk::Disk;
use guest::layout::powercut::{SOURCE, STATE_SIZE};
use guest::protocol::Plan;
use machine::Machine;
use random::Random;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// One end of so many is an orderly stop.
const STOPS: u64 = 3;
/// Work goes on for at most so many writes and flushes.
const MOST_REQUESTS: u64 = 800;

/// What a run needs.
pub struct Request<'a> {
    /// The kernel to boot.
    pub kernel: &'a LockedKernel,
    /// Where its packages are.
    pub store: &'a Store,
    /// Whether to leave the network alone.
    pub offline: bool,
    /// The `involflt.ko` built for this kernel.
    pub module: &'a Path,
    /// The programs that run in the VM.
    pub programs: &'a Programs,
    /// Directory for the console's log, `<kernel id>.powercut.log`.
    pub out_dir: &'a Path,
    /// Number of cuts and stops.
    pub runs: u32,
    /// Where all random numbers come from but the guest's timing.
    pub seed: u64,
}

/// A cut or a stop, and what was found after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// What it was.
    pub end: End,
    /// What was found.
    pub found: Found,
}

/// Cuts the power, or stops the machine, so many times.
///
/// Fails with the kind [`crate::error::Kind::Kernel`] where the machine does not start again, and where the replica differs.
pub fn run(request: &Request<'_>, listener: &dyn Listener) -> Result<Vec<Cut>> {
    let id = request.kernel.id();
    let stage = |stage: String| listener.event(Event::Stage { subject: id.clone(), stage });
    let image = image::image(request.kernel, request.store, request.offline, &image::DISKS_AND_FILE_SYSTEMS)?;
    let dir = request.store.kind("vm-runs")?.join(format!("{id}-powercut-{}", std::process::id()));
    store::remove(&dir)?;
    fs::create_dir_all(&dir).at_path(&dir)?;
    fs::create_dir_all(request.out_dir).at_path(request.out_dir)?;
    let disks = disks(&dir)?;
    let initramfs = dir.join("initramfs");
    write_initramfs(&initramfs, &image, request.module, request.programs, |modules| Plan {
        modules,
        scenarios: Vec::new(),
        nvme_multipath: false,
        powercut: true,
        bench: Vec::new(),
    })?;
    let log = request.out_dir.join(format!("{id}.powercut.log"));
    let machine = Machine { vmlinuz: &image.vmlinuz, initramfs: &initramfs, dir: &dir, log: &log, disks: &disks };
    let cuts = cuts(request, &machine, &|number| stage(format!("powercut: {number} of {}", request.runs)));
    store::remove(&dir)?;
    cuts
}

fn cuts(request: &Request<'_>, machine: &Machine<'_>, stage: &dyn Fn(u32)) -> Result<Vec<Cut>> {
    let mut random = Random::new(request.seed);
    let mut cuts = Vec::new();
    let mut before = None;
    for number in 0..=request.runs {
        stage(number);
        let end = match random.below(STOPS) {
            _ if number == request.runs => End::AtOnce,
            0 => End::Stop,
            _ => End::Cut(1 + random.below(MOST_REQUESTS)),
        };
        let place = |error: Error| error.at(format!("{}: after cut {number}", request.kernel.id()));
        let found = machine.boot(end, request.seed + u64::from(number)).map_err(place)?;
        if let Some(offset) = found.different {
            let text = format!("the replica differs at byte {offset}: {}", said(&found));
            return Err(place(Error::kernel(text)));
        }
        if let Some(end) = before {
            cuts.push(Cut { end, found });
        }
        before = Some(end);
        machine.disks.iter().for_each(|disk| disk.lock().expect("nothing panics with a disk").cut(&mut random));
    }
    Ok(cuts)
}

/// The orderly stops among them, and how many of those were not gone on from.
pub fn stops(cuts: &[Cut]) -> (usize, usize) {
    let stops = || cuts.iter().filter(|cut| cut.end == End::Stop);
    (stops().count(), stops().filter(|cut| cut.found.resync.is_some() || cut.found.copied).count())
}

/// What the driver and the replication said.
pub fn said(found: &Found) -> String {
    let resync = found.resync.as_ref().map_or("no resync required".to_string(), |reason| format!("resync: {reason}"));
    format!("{resync}; {}", if found.copied { "a full copy" } else { "gone on with" })
}

/// The source, its replica, and a file system for what outlives the machine.
fn disks(dir: &Path) -> Result<[Mutex<Disk>; 3]> {
    let path = dir.join("state.img");
    File::create(&path).and_then(|file| file.set_len(STATE_SIZE)).at_path(&path)?;
    // A small file system would have smaller blocks, which the driver does not pin.
    super::disks::run(Command::new("mkfs.ext4").args(["-q", "-b", "4096"]).arg(&path))?;
    let state = fs::read(&path).at_path(&path)?;
    let source = vec![0; SOURCE.size as usize];
    Ok([source.clone(), source, state].map(|bytes| Mutex::new(Disk::new(bytes))))
}
