// SPDX-License-Identifier: GPL-2.0-only
//! Replication of a disk in memory through the driver's own code, with whatever may come between: the replica is the disk in
//! the end, or a full copy makes it so.

mod common;

use common::InThisProcess;
use involflt::engine::{Hole, Registry, Service};
use involflt::host::{Host, Written};
use involflt::platform::Platform;
use involfltctl::agent::Agent;
use involfltctl::blocks::Blocks;
use involfltctl::disk::Disk;
use involfltctl::driver::Driver;
use involfltctl::error::{Error, Result};
use involfltctl::replica::{Ended, Event, Listener, Progress, Pump, Sink, Tag};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

const NAME: &str = "/dev/sda:8000";
const BYTES: usize = 8000 * 512;
const BLOCK: usize = 4096;

/// A write of so many blocks with this byte.
#[derive(Debug, Clone, Copy)]
struct Write {
    block: usize,
    blocks: usize,
    byte: u8,
    /// Marked before it is begun, or noted when it has completed: with its data, where the driver captures that.
    marked: bool,
}

/// The disk and the driver that filters it.
struct Machine {
    disk: Vec<u8>,
    driver: InThisProcess,
    /// Come one after the other while somebody reads.
    to_come: Vec<Write>,
}

impl Machine {
    fn registry(&self) -> &Registry<Host> {
        &self.driver.registry
    }

    fn write(&mut self, write: Write) {
        let range = write.block * BLOCK..((write.block + write.blocks) * BLOCK).min(BYTES);
        let (sector, sectors) = (range.start as u64 / 512, range.len() as u64 / 512);
        let filtered = self.registry().find(NAME.as_bytes());
        let marked = |disk: &involflt::engine::Disk<Host>| write.marked || !disk.tracker.wants_completion();
        if let Some(disk) = filtered.as_ref().filter(|disk| marked(disk)) {
            disk.tracker.mark(sector, sectors);
        }
        self.disk[range.clone()].fill(write.byte);
        if let Some(disk) = filtered.as_ref().filter(|disk| !marked(disk)) {
            disk.tracker.written(sector, sectors, &mut Written(self.disk[range].to_vec()));
        }
    }
}

/// Reads the machine's disk, which is written to meanwhile.
struct Reader {
    machine: Rc<RefCell<Machine>>,
    read: Vec<u8>,
}

impl Blocks for Reader {
    fn read(&mut self, offset: u64, bytes: usize) -> std::io::Result<&[u8]> {
        let mut machine = self.machine.borrow_mut();
        self.read = machine.disk[offset as usize..][..bytes].to_vec();
        if let Some(write) = machine.to_come.pop() {
            machine.write(write);
        }
        Ok(&self.read)
    }
}

/// A replica that fails after so many calls, and keeps of what was not durable every second write.
struct Target {
    bytes: Vec<u8>,
    progress: Progress,
    /// Offset and what was there before.
    volatile: Vec<(usize, Vec<u8>)>,
    calls_left: usize,
}

impl Target {
    fn call(&mut self) -> Result<()> {
        self.calls_left = self.calls_left.checked_sub(1).ok_or_else(|| Error::failed("the target is lost"))?;
        Ok(())
    }

    fn put(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.call()?;
        let range = offset as usize..offset as usize + data.len();
        self.volatile.push((range.start, self.bytes[range.clone()].to_vec()));
        self.bytes[range].copy_from_slice(data);
        Ok(())
    }

    fn lose_power(&mut self) {
        for (index, (offset, before)) in self.volatile.drain(..).enumerate().collect::<Vec<_>>().into_iter().rev() {
            if index % 2 == 0 {
                self.bytes[offset..offset + before.len()].copy_from_slice(&before);
            }
        }
    }
}

impl Sink for Target {
    fn progress(&self) -> Progress {
        self.progress
    }
    fn data(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.put(offset, data)
    }
    fn zeroes(&mut self, offset: u64, bytes: u64) -> Result<()> {
        self.put(offset, &vec![0; bytes as usize])
    }
    fn tag(&mut self, _tag: &Tag) -> Result<()> {
        self.call()
    }
    fn sync(&mut self, progress: Progress) -> Result<()> {
        self.call()?;
        self.volatile.clear();
        self.progress = progress;
        // The power may fail before the driver is told.
        self.call()
    }
}

/// Counts full copies.
#[derive(Default)]
struct Copies(usize);

impl Listener for Copies {
    fn event(&mut self, event: Event) {
        self.0 += usize::from(matches!(event, Event::Copied { .. }));
    }
}

/// A round of replication; gives how it ended and the number of full copies.
fn replicate(machine: &Rc<RefCell<Machine>>, target: &mut Target) -> (Result<Ended>, usize) {
    let disk = Disk { node: NAME.into(), persistent_name: "a".into(), bytes: BYTES as u64 };
    let driver = machine.borrow().driver.clone();
    let agent = Agent::of(Driver::new(driver), disk).unwrap();
    let blocks = Reader { machine: machine.clone(), read: Vec::new() };
    let mut copies = Copies::default();
    let stop = AtomicBool::new(false);
    let ended = Pump::new(&agent, blocks, &stop, &mut copies).replicate(target, None);
    (ended, copies.0)
}

#[derive(Debug, Clone)]
enum Step {
    Write(Write),
    /// A round in which the target fails after so many calls; writes come meanwhile.
    Round(usize, Vec<Write>),
    /// The driver is loaded anew, and the disk written to before it is filtered again.
    Reload(Write),
    /// Another agent drains a batch.
    Other,
    /// The driver misses a change.
    Hole(Write),
}

fn write() -> impl Strategy<Value = Write> {
    (0..BYTES / BLOCK, 1usize..40, any::<u8>(), any::<bool>()).prop_map(|(block, blocks, byte, marked)| Write {
        block,
        blocks,
        byte,
        marked,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => write().prop_map(Step::Write),
        4 => (0usize..40, prop::collection::vec(write(), 0..4)).prop_map(|(calls, writes)| Step::Round(calls, writes)),
        1 => write().prop_map(Step::Reload),
        1 => Just(Step::Other),
        1 => write().prop_map(Step::Hole),
    ]
}

fn machine() -> (Rc<RefCell<Machine>>, Target) {
    let machine = Machine { disk: vec![0; BYTES], driver: InThisProcess::load(), to_come: Vec::new() };
    let target =
        Target { bytes: vec![0xee; BYTES], progress: Progress::Nothing, volatile: Vec::new(), calls_left: usize::MAX };
    (Rc::new(RefCell::new(machine)), target)
}

fn take(machine: &Rc<RefCell<Machine>>, target: &mut Target, step: Step) {
    match step {
        Step::Write(write) => machine.borrow_mut().write(write),
        Step::Round(calls, writes) => {
            machine.borrow_mut().to_come = writes;
            target.calls_left = calls;
            // How it ends is the target's business: it is lost in the middle.
            let _ = replicate(machine, target);
            target.lose_power();
            let left = std::mem::take(&mut machine.borrow_mut().to_come);
            left.into_iter().for_each(|write| machine.borrow_mut().write(write));
        }
        Step::Reload(write) => {
            machine.borrow_mut().driver = InThisProcess::load();
            machine.borrow_mut().write(write);
        }
        Step::Other => {
            let driver = Driver::new(machine.borrow().driver.clone());
            let disk = Disk { node: NAME.into(), persistent_name: "a".into(), bytes: BYTES as u64 };
            let agent = Agent::of(driver, disk).unwrap();
            let batch = agent.get().unwrap().unwrap();
            agent.commit(&batch, false).unwrap();
        }
        Step::Hole(write) => {
            let mut machine = machine.borrow_mut();
            let filtered = machine.registry().find(NAME.as_bytes());
            machine.disk[write.block * BLOCK] = write.byte;
            if let Some(disk) = filtered {
                disk.tracker.hole(Hole::NewPath);
            }
        }
    }
}

proptest! {
    #[test]
    fn the_replica_is_the_disk_whatever_comes_between(
        steps in prop::collection::vec(step(), 0..24),
        captures_data in any::<bool>(),
    ) {
        Host::common().set_service(if captures_data { Service::Running } else { Service::NotStarted });
        let (machine, mut target) = machine();
        steps.into_iter().for_each(|step| take(&machine, &mut target, step));
        target.calls_left = usize::MAX;
        let ended: Vec<_> = (0..2).map(|_| replicate(&machine, &mut target).0.unwrap()).collect();
        prop_assert_eq!(&ended[1], &Ended::CaughtUp, "after {:?}", ended[0]);
        prop_assert!(target.bytes == machine.borrow().disk, "the replica differs");
    }
}

#[test]
fn a_full_copy_is_made_once_and_again_only_when_changes_were_missed() {
    let (machine, mut target) = machine();
    let copies = |target: &mut Target| {
        let (ended, copies) = replicate(&machine, target);
        assert!(target.bytes == machine.borrow().disk || ended != Ok(Ended::CaughtUp));
        (ended.unwrap(), copies)
    };
    let write = Write { block: 7, blocks: 3, byte: 9, marked: false };
    assert_eq!(copies(&mut target), (Ended::CaughtUp, 1));
    machine.borrow_mut().write(write);
    assert_eq!(copies(&mut target), (Ended::CaughtUp, 0));
    take(&machine, &mut target, Step::Write(Write { byte: 5, ..write }));
    take(&machine, &mut target, Step::Other);
    assert_eq!(copies(&mut target), (Ended::Broken, 0));
    assert_eq!(copies(&mut target), (Ended::CaughtUp, 1));
    // A target that is lost in the middle of a batch, or before the driver is told, is gone on with.
    for calls in 0..6 {
        take(&machine, &mut target, Step::Write(Write { byte: calls as u8, ..write }));
        take(&machine, &mut target, Step::Round(calls, Vec::new()));
        target.calls_left = usize::MAX;
        assert_eq!(copies(&mut target), (Ended::CaughtUp, 0), "lost after {calls} calls");
    }
    take(&machine, &mut target, Step::Hole(write));
    assert!(matches!(copies(&mut target), (Ended::Resync(_), 0)));
    assert_eq!(copies(&mut target), (Ended::CaughtUp, 1));
    take(&machine, &mut target, Step::Reload(write));
    assert_eq!(copies(&mut target), (Ended::Broken, 0));
    assert_eq!(copies(&mut target), (Ended::CaughtUp, 1));
}
