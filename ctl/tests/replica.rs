// SPDX-License-Identifier: GPL-2.0-only
//! Replication of a disk in memory through the driver's own code, with whatever may come between: the replica is the disk in
//! the end, or a full copy makes it so; and at a tag that is said to be a true point in time, it is what the disk was there.

mod common;

use common::InThisProcess;
use involflt::engine::{Hole, Registry};
use involflt::host::{Host, Written};
use involflt::platform::Platform;
use involfltctl::agent::Agent;
use involfltctl::blocks::Blocks;
use involfltctl::disk::Disk;
use involfltctl::driver::Driver;
use involfltctl::error::{Error, Result};
use involfltctl::point::Guid;
use involfltctl::replica::{Ended, Event, Listener, Progress, Pump, Sink, Tag};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

const NAME: &str = "/dev/sda:8000";
const BYTES: usize = 8000 * 512;
const BLOCK: usize = 4096;

/// A write of so many blocks with this byte.
#[derive(Debug, Clone, Copy)]
struct Write {
    block: usize,
    blocks: usize,
    byte: u8,
    seen: Seen,
}

/// How the driver sees a write, if its state allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It is marked before it is begun.
    Before,
    /// It is noted when it has completed.
    Behind,
    /// It is captured with its data, when it has completed.
    Data,
}

/// The disk and the driver that filters it.
struct Machine {
    disk: Vec<u8>,
    driver: InThisProcess,
    /// Come one after the other while somebody reads.
    to_come: Vec<Write>,
    /// What the disk was at each tag, by the tags' names.
    tagged: BTreeMap<String, Vec<u8>>,
}

impl Machine {
    fn registry(&self) -> &Registry<Host> {
        &self.driver.registry
    }

    fn write(&mut self, write: Write) {
        let range = write.block * BLOCK..((write.block + write.blocks) * BLOCK).min(BYTES);
        let (sector, sectors) = (range.start as u64 / 512, range.len() as u64 / 512);
        let filtered = self.registry().find(NAME.as_bytes());
        let seen = match &filtered {
            Some(disk) if !disk.tracker.wants_completion() => Seen::Before,
            _ => write.seen,
        };
        if let (Some(disk), Seen::Before) = (&filtered, seen) {
            disk.tracker.mark(sector, sectors);
        }
        self.disk[range.clone()].fill(write.byte);
        match (&filtered, seen) {
            (Some(disk), Seen::Behind) => disk.tracker.complete(sector, sectors, false),
            (Some(disk), Seen::Data) => {
                disk.tracker.written(sector, sectors, &mut Written(self.disk[range].to_vec()));
            }
            _ => {}
        }
    }

    /// Tags the disk, where its state allows.
    fn tag(&mut self) {
        let name = format!("tag {}", self.tagged.len());
        let guid = Guid::from_text(&format!("{:036}", self.tagged.len())).unwrap();
        if Driver::new(self.driver.clone()).tag_all(&guid, &name).is_ok() {
            self.tagged.insert(name, self.disk.clone());
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
    /// What it was at tags that are said to be true points in time.
    exact: Vec<(String, Vec<u8>)>,
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
    fn tag(&mut self, tag: &Tag) -> Result<()> {
        if tag.is_exact {
            self.exact.push((tag.name.clone(), self.bytes.clone()));
        }
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
    let agent = Agent::of(Driver::new(driver.clone()), disk).unwrap().capture(Driver::new(driver)).unwrap();
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
    /// The disk is tagged.
    Tag,
    /// The driver misses a change.
    Hole(Write),
}

fn write() -> impl Strategy<Value = Write> {
    let seen = prop_oneof![1 => Just(Seen::Before), 2 => Just(Seen::Behind), 6 => Just(Seen::Data)];
    // The longest ones come in several batches.
    let blocks = prop_oneof![12 => 1usize..40, 1 => 256usize..600];
    (0..BYTES / BLOCK, blocks, any::<u8>(), seen).prop_map(|(block, blocks, byte, seen)| Write {
        block,
        blocks,
        byte,
        seen,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => write().prop_map(Step::Write),
        4 => (0usize..40, prop::collection::vec(write(), 0..4)).prop_map(|(calls, writes)| Step::Round(calls, writes)),
        1 => write().prop_map(Step::Reload),
        1 => Just(Step::Other),
        3 => Just(Step::Tag),
        1 => write().prop_map(Step::Hole),
    ]
}

fn machine() -> (Rc<RefCell<Machine>>, Target) {
    // In MiB: the smallest there is.
    Host::common().limits.stream.store(1, Ordering::Relaxed);
    let machine =
        Machine { disk: vec![0; BYTES], driver: InThisProcess::load(), to_come: Vec::new(), tagged: BTreeMap::new() };
    let target = Target {
        bytes: vec![0xee; BYTES],
        progress: Progress::Nothing,
        volatile: Vec::new(),
        calls_left: usize::MAX,
        exact: Vec::new(),
    };
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
        Step::Tag => machine.borrow_mut().tag(),
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

/// A quarter of the cases that are asked for: each moves many megabytes.
fn some_cases() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.div_ceil(4), ..asked }
}

proptest! {
    #![proptest_config(some_cases())]

    #[test]
    fn the_replica_is_the_disk_whatever_comes_between(steps in prop::collection::vec(step(), 0..24)) {
        let (machine, mut target) = machine();
        steps.into_iter().for_each(|step| take(&machine, &mut target, step));
        target.calls_left = usize::MAX;
        let ended: Vec<_> = (0..2).map(|_| replicate(&machine, &mut target).0.unwrap()).collect();
        prop_assert_eq!(&ended[1], &Ended::CaughtUp, "after {:?}", ended[0]);
        prop_assert!(target.bytes == machine.borrow().disk, "the replica differs");
        for (name, bytes) in &target.exact {
            prop_assert!(machine.borrow().tagged[name] == *bytes, "the replica was not the disk at {}", name);
        }
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
    let write = Write { block: 7, blocks: 3, byte: 9, seen: Seen::Behind };
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

#[test]
fn a_full_copy_is_not_made_behind_any_part_of_a_long_write() {
    let (machine, mut target) = machine();
    assert_eq!(replicate(&machine, &mut target), (Ok(Ended::CaughtUp), 1));
    // Each in three parts, and a target that is lost during or behind any of them.
    for calls in 0..12 {
        // Data is captured as long as an agent is there.
        let disk = Disk { node: NAME.into(), persistent_name: "a".into(), bytes: BYTES as u64 };
        let driver = || Driver::new(machine.borrow().driver.clone());
        let agent = Agent::of(driver(), disk).unwrap().capture(driver()).unwrap();
        take(&machine, &mut target, Step::Write(Write { block: 9, blocks: 600, byte: calls as u8, seen: Seen::Data }));
        assert_eq!(agent.get().unwrap().unwrap().position.part, 1);
        drop(agent);
        take(&machine, &mut target, Step::Round(calls, Vec::new()));
        target.calls_left = usize::MAX;
        assert_eq!(replicate(&machine, &mut target), (Ok(Ended::CaughtUp), 0), "lost after {calls} calls");
        assert_eq!(replicate(&machine, &mut target), (Ok(Ended::CaughtUp), 0), "lost after {calls} calls");
        assert!(target.bytes == machine.borrow().disk);
    }
}

/// Writes and tags when everything was brought, then says stop.
struct Busy<'a> {
    machine: Rc<RefCell<Machine>>,
    stop: &'a AtomicBool,
    byte: u8,
}

impl Listener for Busy<'_> {
    fn event(&mut self, event: Event) {
        if event != Event::CaughtUp {
            return;
        }
        let mut machine = self.machine.borrow_mut();
        for _ in 0..5 {
            self.byte += 1;
            machine.write(Write { block: usize::from(self.byte) % 3, blocks: 3, byte: self.byte, seen: Seen::Data });
            machine.tag();
        }
        self.stop.store(self.byte == 15, Ordering::Relaxed);
    }
}

#[test]
fn tags_among_captured_writes_are_true() {
    let (machine, mut target) = machine();
    assert_eq!(replicate(&machine, &mut target).0, Ok(Ended::CaughtUp));
    let disk = Disk { node: NAME.into(), persistent_name: "a".into(), bytes: BYTES as u64 };
    let driver = || Driver::new(machine.borrow().driver.clone());
    let agent = Agent::of(driver(), disk).unwrap().capture(driver()).unwrap();
    let blocks = Reader { machine: machine.clone(), read: Vec::new() };
    let stop = AtomicBool::new(false);
    let mut busy = Busy { machine: machine.clone(), stop: &stop, byte: 0 };
    let ended = Pump::new(&agent, blocks, &stop, &mut busy).replicate(&mut target, Some(0));
    assert_eq!(ended, Ok(Ended::Stopped));
    let names: Vec<_> = target.exact.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, (0..10).map(|number| format!("tag {number}")).collect::<Vec<_>>());
    assert!(target.exact.iter().all(|(name, bytes)| machine.borrow().tagged[name] == *bytes));
}
