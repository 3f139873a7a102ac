// SPDX-License-Identifier: GPL-2.0-only
//! Power cuts: a VM that is cut at a random moment or stopped, again and again, and never has a replica that differs silently.

mod command;
pub mod disk;
pub mod machine;
mod nbd;
pub mod random;
mod repair;

pub use command::{PowerCut, again};
use machine::{End, Found};

use super::{Programs, image, write_initramfs};
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::lock::LockedKernel;
use crate::store::{self, Store};
use disk::Disk;
use guest::layout::powercut::{Bus, SOURCE_SIZE, STATE_SIZE};
use guest::protocol::{Plan, Standing};
use machine::Machine;
use random::Random;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// One end of so many is an orderly stop.
const STOPS: u64 = 3;
/// Work goes on for at most so many writes and flushes.
const MOST_REQUESTS: u64 = 800;
/// Before a stop it goes on for at most so long.
const MOST_WORK: Duration = Duration::from_secs(3);
/// Which of the disks has the replica.
const REPLICA: usize = 1;
/// And which the file system.
const STATE: usize = 2;

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
    /// Whether the source is in write-intent mode.
    pub intent: bool,
    /// How the disks are connected.
    pub bus: Bus,
}

/// A cut or a stop, and what was found after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// What it was.
    pub end: End,
    /// What had to be done after it.
    pub found: Standing,
    /// After a stop, what had to be done by what was known before it.
    pub due: Option<Standing>,
    /// Whether the file system's journal was torn, and e2fsck had to mend it.
    pub repaired: bool,
}

impl Cut {
    /// Whether an orderly stop, or in write-intent mode any end, has cost a resync or a full copy that was not due before it. Where
    /// the file system was torn, its bitmap file cannot be believed.
    fn has_lost(&self, intent: bool) -> bool {
        let nothing = (intent && !self.repaired).then_some(Standing { resync: None, copy: false });
        let due = self.due.as_ref().or(nothing.as_ref());
        due.is_some_and(|due| self.found.resync != due.resync || (self.found.copy && !due.copy))
    }
}

/// Cuts the power, or stops the machine, so many times. At last a byte of the replica is changed behind everybody's back, which
/// the comparison must find.
///
/// Fails with the kind [`crate::error::Kind::Kernel`] where the machine does not start again, where the replica differs, where an
/// orderly stop, or in write-intent mode a cut, has cost a resync or a full copy, and where the change is not found.
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
        powercut: true,
        intent: request.intent,
        bus: request.bus,
        ..Plan::default()
    })?;
    let log = request.out_dir.join(format!("{id}.powercut.log"));
    let (vmlinuz, bus) = (&*image.vmlinuz, request.bus);
    let machine = Machine { vmlinuz, initramfs: &initramfs, dir: &dir, log: &log, disks: &disks, bus };
    let note = |text: String| listener.event(Event::Note { subject: id.clone(), text });
    let mut random = Random::new(request.seed);
    let cuts = cuts(request, &machine, &mut random, &|number, cut| {
        stage(format!("powercut: {number} of {}", request.runs));
        if let Some(cut) = cut {
            note(format!("seed {}, end {number}: {}", request.seed, summary(cut)));
        }
    });
    let cuts = cuts.and_then(|cuts| control(&machine, &mut random).map(|()| cuts));
    store::remove(&dir)?;
    cuts.map_err(|error| error.at(format!("{id}: seed {}", request.seed)))
}

fn cuts(
    request: &Request<'_>,
    machine: &Machine<'_>,
    random: &mut Random,
    tell: &dyn Fn(u32, Option<&Cut>),
) -> Result<Vec<Cut>> {
    let mut cuts: Vec<Cut> = Vec::new();
    let mut before = None;
    for number in 0..=request.runs {
        let end = match random.below(STOPS) {
            _ if number == request.runs => End::Stop(Duration::ZERO),
            0 => End::Stop(MOST_WORK),
            _ => End::Cut(1 + random.below(MOST_REQUESTS)),
        };
        let place = |error: Error| error.at(format!("start {number}"));
        let boot = || machine.boot(end, request.seed + u64::from(number));
        let is_after_cut = matches!(before, Some((End::Cut(_), _)));
        let (found, repaired) = match boot() {
            Err(_) if is_after_cut && repair::is_torn(&machine.console_text()?) => {
                machine.mend(STATE)?;
                (boot(), true)
            }
            booted => (booted, false),
        };
        let found = found.map_err(place)?;
        if let Some(offset) = found.different {
            let text = format!("the replica differs at byte {offset}: {}", said(&found.standing));
            return Err(place(Error::kernel(text)));
        }
        if let Some((end, due)) = before.replace((end, found.left)) {
            cuts.push(Cut { end, found: found.standing, due, repaired });
        }
        tell(number, cuts.last());
        if let Some(lost) = cuts.last().filter(|cut| cut.has_lost(request.intent)) {
            return Err(place(Error::kernel(summary(lost))));
        }
        machine.disks.iter().for_each(|disk| disk.lock().expect("nothing panics with a disk").cut(random));
    }
    Ok(cuts)
}

/// Behind a stop without work, a byte of the replica changes: the comparison must find just that, or it would find nothing else.
fn control(machine: &Machine<'_>, random: &mut Random) -> Result<()> {
    let byte = random.below(SOURCE_SIZE);
    machine.disks[REPLICA].lock().expect("nothing panics with a disk").spoil(byte);
    let Found { different, standing, .. } = machine.boot(End::AtOnce, 0).map_err(|error| error.at("the control"))?;
    match different == Some(byte) {
        true => Ok(()),
        false => Err(Error::kernel(format!(
            "byte {byte} of the replica was changed, and byte {different:?} was found: {}",
            said(&standing)
        ))),
    }
}

/// A cut or a stop, in one line.
pub fn summary(cut: &Cut) -> String {
    match &cut.due {
        None if cut.repaired => format!("cut, e2fsck -y: {}", said(&cut.found)),
        None => format!("cut: {}", said(&cut.found)),
        Some(Standing { resync: None, copy: false }) => format!("stopped: {}", said(&cut.found)),
        Some(due) => format!("stopped with {} due: {}", said(due), said(&cut.found)),
    }
}

fn said(standing: &Standing) -> String {
    let resync =
        standing.resync.as_ref().map_or("no resync required".to_string(), |reason| format!("resync: {reason}"));
    format!("{resync}; {}", if standing.copy { "a full copy" } else { "gone on with" })
}

/// The source, its replica, and a file system for what outlives the machine.
fn disks(dir: &Path) -> Result<[Mutex<Disk>; 3]> {
    let path = dir.join("state.img");
    File::create(&path).and_then(|file| file.set_len(STATE_SIZE)).at_path(&path)?;
    // A small file system would have smaller blocks, which the driver does not pin.
    super::disks::run(Command::new("mkfs.ext4").args(["-q", "-b", "4096"]).arg(&path))?;
    let state = fs::read(&path).at_path(&path)?;
    let source = vec![0; SOURCE_SIZE as usize];
    Ok([source.clone(), source, state].map(|bytes| Mutex::new(Disk::new(bytes))))
}
