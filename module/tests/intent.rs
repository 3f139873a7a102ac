// SPDX-License-Identifier: GPL-2.0-only
//! Write-intent mode against a disk that forgets what it was not told to flush: whenever the power is cut, the replica is equal
//! to the disk once what the driver says has changed is copied anew, or the driver says that this is not enough.

use involflt::engine::{Filtered, Hole, Name, Phase, Previous, Registry, Tracker};
use involflt::host::{Files, Host};
use involflt::persist::{self, Late};
use involflt::platform::{Errno, Mounts};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

const DISK: &[u8] = b"sda:16384";
const NAME: &[u8] = b"scsi-1";
/// Of 4 KiB: 8 regions of 1 MiB.
const BLOCKS: u64 = 2048;
const FILE: &str = "/etc/vxagent/involflt/scsi-1/InMage-scsi-1.VolumeLog";

/// A disk with a cache: what each write put to a block.
#[derive(Default)]
struct Source {
    durable: BTreeMap<u64, u64>,
    cached: Vec<(u64, u64)>,
    /// Those that the driver has let go on, and that have not completed.
    in_flight: Vec<(u64, u64)>,
    written: u64,
}

impl Source {
    fn now(&self) -> BTreeMap<u64, u64> {
        let mut now = self.durable.clone();
        now.extend(self.cached.iter().copied());
        now
    }

    fn flush(&mut self) {
        self.durable = self.now();
        self.cached.clear();
    }

    /// Of what was not flushed, or has not even completed, any part is there afterwards.
    fn cut(&mut self, kept: &mut impl FnMut() -> bool) {
        let lost = std::mem::take(&mut self.cached).into_iter().chain(std::mem::take(&mut self.in_flight));
        self.durable.extend(lost.filter(|_| kept()));
    }
}

/// What is left out, for the tests' own sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Writes do not wait for marks.
    Waiting,
    /// The disk's flush does nothing.
    Flush,
}

/// What the agent has: the disk up to its last batch, which it may not have committed.
#[derive(Default)]
struct Replica {
    blocks: BTreeMap<u64, u64>,
    batches: Option<(Previous, Previous)>,
}

struct Machine {
    module: Registry<Host>,
    source: Rc<RefCell<Source>>,
    replica: Replica,
    mounts: u16,
    left: Left,
    /// Cuts after which the replica went on.
    gone_on: u32,
}

/// What comes next.
#[derive(Debug, Clone)]
enum Step {
    Write(u64),
    /// The oldest write in flight completes.
    Complete,
    Flush,
    /// The agent takes this many batches, and commits the last one, or not.
    Drain(usize, bool),
    Pass(u64),
    /// Filtering ends and begins anew.
    Remove,
    /// A command of which nobody knows what it does.
    Hole,
    /// The machine is cut off after so many more calls on files.
    Cut(usize),
}

impl Machine {
    fn new(left: Left) -> Self {
        Files::with(|all| *all = Files::default());
        let source = Rc::new(RefCell::new(Source::default()));
        let module = Registry::new().unwrap();
        let mut machine = Machine { module, source, replica: Replica::default(), mounts: 5, left, gone_on: 0 };
        machine.start();
        machine.intend().unwrap();
        let on = b"1".to_vec();
        Files::with(|all| all.files.insert("/etc/vxagent/involflt/scsi-1/VolumeWriteIntent".into(), on));
        machine.copy();
        machine
    }

    fn start(&mut self) {
        Files::with(|all| all.mounts = Some(Mounts { count: self.mounts, checked: 0, writable: true }));
        self.module.start(Name::from_slice(DISK).unwrap(), Name::from_slice(NAME).unwrap()).unwrap();
        let (tracker, source, left) = (self.tracker(), self.source.clone(), self.left);
        let settled = move || complete_all(&tracker, &source);
        let source = self.source.clone();
        let flushed = move || {
            if left != Left::Flush {
                source.borrow_mut().flush();
            }
        };
        Host::disks_do(Rc::new(settled), Rc::new(flushed));
    }

    fn intend(&self) -> Result<(), Errno> {
        let disk = self.module.find(DISK).unwrap();
        disk.with(|filtered| filtered.intend(&disk, true)).unwrap()
    }

    fn tracker(&self) -> Arc<Tracker<Host>> {
        self.module.find(DISK).unwrap().tracker.clone()
    }

    fn hole(&self) -> Option<Hole> {
        self.tracker().resync.report().map(|report| report.hole)
    }

    fn with<R>(&self, work: impl FnOnce(&mut Filtered<Host>) -> R) -> R {
        self.module.find(DISK).unwrap().with(work).unwrap()
    }

    fn is_off() -> bool {
        Files::with(|all| matches!(all.fault, Some((0, _))))
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write(block) => self.write(*block),
            Step::Complete => complete_one(&self.tracker(), &self.source),
            Step::Flush => self.source.borrow_mut().flush(),
            Step::Drain(batches, commits) => (0..*batches).for_each(|_| self.batch(*commits)),
            Step::Pass(milliseconds) => drop(Host::pass(*milliseconds)),
            Step::Remove => self.remove(),
            Step::Hole => self.unknown(),
            Step::Cut(calls) => Files::with(|all| all.fault = Some((*calls, Errno::IO))),
        }
    }

    /// What a write waits for is done before it goes on.
    fn write(&mut self, block: u64) {
        let tracker = self.tracker();
        while self.left != Left::Waiting && tracker.intent.must_wait(block * 8, 8) {
            if Self::is_off() {
                return;
            }
            persist::work(&tracker);
        }
        let mut source = self.source.borrow_mut();
        source.written += 1;
        let value = source.written;
        source.in_flight.push((block, value));
        Host::write_to_disks();
    }

    fn unknown(&mut self) {
        let tracker = self.tracker();
        while tracker.intent.must_wait(0, u64::MAX) {
            if Self::is_off() {
                return;
            }
            persist::work(&tracker);
        }
        tracker.hole(Hole::UnknownOp);
    }

    fn remove(&mut self) {
        complete_all(&self.tracker(), &self.source);
        // Where the file cannot be written any more the disk stays filtered.
        if self.module.remove(DISK).is_ok() && !Self::is_off() {
            self.start();
        }
    }

    /// Gets a batch, has it durable, and commits it, or is killed before.
    fn batch(&mut self, commits: bool) {
        if Self::is_off() {
            return;
        }
        let got = self.with(|disk| {
            disk.tell();
            let block = disk.drain.get(&disk.device).unwrap();
            let extents: Vec<_> = block.changes.offsets().iter().zip(block.changes.lengths()).collect();
            let blocks = extents.iter().flat_map(|(at, length)| **at / 4096..(**at + u64::from(**length)) / 4096);
            let position = Previous { stamp: block.last, split: block.split.part };
            (block.transaction, blocks.collect::<Vec<_>>(), position, block.previous, block.resync.is_some())
        });
        if Self::is_off() {
            return;
        }
        let (transaction, blocks, position, previous, resync) = got;
        let follows = self.replica.batches.is_some_and(|(last, before)| [last, before].contains(&previous));
        if resync || !follows {
            self.copy();
            return;
        }
        if blocks.is_empty() {
            return;
        }
        let now = self.source.borrow().now();
        for block in blocks {
            match now.get(&block) {
                Some(value) => self.replica.blocks.insert(block, *value),
                None => self.replica.blocks.remove(&block),
            };
        }
        self.replica.batches = Some((position, previous));
        if commits {
            self.commit(transaction, false);
        }
    }

    fn commit(&mut self, transaction: u64, resync: bool) {
        self.with(|disk| {
            disk.drain.commit(&disk.device, transaction, resync).unwrap();
            disk.tell();
        });
    }

    /// A full copy, as involfltctl makes it.
    fn copy(&mut self) {
        self.replica.batches = None;
        let (transaction, position) = self.with(|disk| {
            disk.drain.clear(&disk.device);
            let block = disk.drain.get(&disk.device).unwrap();
            (block.transaction, Previous { stamp: block.last, split: block.split.part })
        });
        self.commit(transaction, true);
        if !Self::is_off() {
            self.replica.blocks = self.source.borrow().now();
            self.replica.batches = Some((position, position));
        }
    }

    /// The power is cut, and comes back. `Err`: the replica differs.
    fn cut(&mut self, kept: &mut impl FnMut() -> bool) -> Result<(), String> {
        // A removal that was cut off has left no disk.
        let disk = self.module.find(DISK);
        let marks = disk.as_ref().map_or(0, |disk| disk.tracker.intent.marks());
        let is_on = |tracker: &Tracker<Host>| tracker.intent.phase() == Phase::On && tracker.resync.report().is_none();
        let was_on = !Self::is_off() && disk.is_some_and(|disk| is_on(&disk.tracker));
        Files::with(|all| all.fault = None);
        self.source.borrow_mut().cut(kept);
        Files::boot();
        Host::disks_appear();
        self.mounts += 1;
        self.module = Registry::new().unwrap();
        self.start();
        let dirty = self.tracker().live().dirty();
        if was_on && (self.hole().is_some() || dirty > marks * 256) {
            return Err(format!("{marks} regions were marked, and {dirty} blocks are dirty: {:?}", self.hole()));
        }
        let batches = self.replica.batches;
        let first = self.with(|disk| disk.drain.get(&disk.device).unwrap().previous);
        let goes_on = self.hole().is_none() && batches.is_some_and(|(last, before)| [last, before].contains(&first));
        if was_on && batches.is_some() && !goes_on {
            return Err(format!("the mode was on, and {first:?} is not of {batches:?}"));
        }
        self.gone_on += u32::from(goes_on);
        while self.with(|disk| disk.tracker_waits()) {
            self.batch(true);
        }
        if self.replica.batches.is_none() || !goes_on {
            self.copy();
        }
        let source = self.source.borrow().now();
        (self.replica.blocks == source).then_some(()).ok_or_else(|| {
            let different = |block: &u64| self.replica.blocks.get(block) != source.get(block);
            format!("silently different: blocks {:?}", (0..BLOCKS).filter(different).collect::<Vec<_>>())
        })
    }
}

/// Whether anything waits.
trait Waits {
    fn tracker_waits(&mut self) -> bool;
}

impl Waits for Filtered<Host> {
    fn tracker_waits(&mut self) -> bool {
        !self.drain.get(&self.device).unwrap().changes.offsets().is_empty()
    }
}

fn complete_one(tracker: &Tracker<Host>, source: &RefCell<Source>) {
    let mut source = source.borrow_mut();
    if source.in_flight.is_empty() {
        return;
    }
    let (block, value) = source.in_flight.remove(0);
    source.cached.push((block, value));
    tracker.complete(block * 8, 8, false);
}

fn complete_all(tracker: &Tracker<Host>, source: &RefCell<Source>) {
    while !source.borrow().in_flight.is_empty() {
        complete_one(tracker, source);
    }
}

/// Sessions that end in a cut each; how often the replica went on after it.
fn run(left: Left, sessions: &[Vec<Step>], mut seed: u64) -> Result<u32, String> {
    let mut machine = Machine::new(left);
    let mut kept = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 62 & 1 == 1
    };
    for session in sessions {
        for step in session {
            machine.step(step);
            if Machine::is_off() {
                break;
            }
        }
        machine.cut(&mut kept)?;
    }
    Ok(machine.gone_on)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..BLOCKS).prop_map(Step::Write),
        8 => Just(Step::Complete),
        1 => Just(Step::Flush),
        6 => (1..4_usize, any::<bool>()).prop_map(|(batches, commits)| Step::Drain(batches, commits)),
        4 => (1..12_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Remove),
        1 => (0..12_usize).prop_map(Step::Cut),
    ]
}

fn sessions() -> impl Strategy<Value = Vec<Vec<Step>>> {
    prop::collection::vec(prop::collection::vec(step(), 0..60), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn after_a_cut_the_replica_is_equal_without_a_full_copy(sessions in sessions(), seed in any::<u64>()) {
        if let Err(said) = run(Left::Nothing, &sessions, seed) {
            prop_assert!(false, "{}", said);
        }
    }

    /// The same, where changes cannot be tracked: then a full copy is due.
    #[test]
    fn after_a_hole_nothing_is_believed(mut sessions in sessions(), at in 0..60_usize, seed in any::<u64>()) {
        let session = &mut sessions[0];
        session.insert(at.min(session.len()), Step::Hole);
        if let Err(said) = run(Left::Nothing, &sessions, seed) {
            prop_assert!(false, "{}", said);
        }
    }
}

/// Whether some run of a few hundred finds that `left` was left out.
fn is_found(left: Left) -> bool {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    (0..400).any(|seed| {
        let sessions = sessions().new_tree(&mut runner).unwrap().current();
        run(left, &sessions, seed).is_err_and(|said| said.starts_with("silently different"))
    })
}

#[test]
fn the_comparison_finds_what_is_left_out() {
    assert!(!is_found(Left::Nothing));
    assert!(is_found(Left::Waiting));
    assert!(is_found(Left::Flush));
}

/// The header of the file says so.
fn says_regions() -> bool {
    Files::with(|all| {
        let header = |block: usize| &all.files[FILE][block * 4096..(block + 1) * 4096];
        let newest = [header(0), header(1)].into_iter().max_by_key(|block| block[32]).unwrap();
        newest[460..464] != [0; 4]
    })
}

#[test]
fn marks_come_before_a_write_and_go_when_it_was_drained_and_is_old() {
    let mut machine = Machine::new(Left::Nothing);
    let tracker = machine.tracker();
    assert_eq!((tracker.intent.marks(), says_regions()), (0, true));
    assert!(tracker.intent.must_wait(0, 8), "a first write");
    assert!(tracker.intent.must_wait(0, 8), "its mark is not written yet");
    persist::work(&tracker);
    assert!(!tracker.intent.must_wait(0, 8) && !tracker.intent.must_wait(2040, 8), "the region is marked");
    assert!(tracker.intent.must_wait(2040, 16), "the next one is not");
    persist::work(&tracker);
    assert_eq!(tracker.intent.marks(), 2);
    machine.write(1);
    complete_all(&tracker, &machine.source);
    Host::pass(10_001);
    machine.batch(true);
    assert_eq!(tracker.intent.marks(), 2, "they were written to meanwhile");
    Host::pass(10_001);
    machine.batch(true);
    assert_eq!(tracker.intent.marks(), 0);
    assert!(tracker.intent.must_wait(0, 8));
}

/// Seconds after which something happens if it ever does.
const LONG: u32 = 1_000_000;

#[test]
fn a_write_waits_for_a_file_that_fails_as_long_as_it_does_and_is_in_no_mark_then() {
    let mut machine = Machine::new(Left::Nothing);
    let tracker = machine.tracker();
    assert!(tracker.intent.must_wait(0, 8));
    Files::with(|all| all.fault = Some((0, Errno::IO)));
    assert!(persist::work(&tracker), "it is to be tried again");
    assert_eq!(persist::late(&tracker, LONG), Late::Waits);
    assert!(tracker.intent.must_wait(0, 8), "the file still says regions");
    Files::with(|all| all.fault = None);
    assert!(!persist::work(&tracker));
    assert!(!tracker.intent.must_wait(0, 8));
    assert_eq!((tracker.intent.phase(), says_regions()), (Phase::Off, false));
    machine.source.borrow_mut().cut(&mut || true);
    machine.cut(&mut || true).unwrap();
    assert_eq!(machine.gone_on, 0);
}

#[test]
fn who_ends_the_mode_lets_writes_go_without_the_file_and_an_agent_hears_of_it() {
    let machine = Machine::new(Left::Nothing);
    let tracker = machine.tracker();
    assert!(tracker.intent.must_wait(0, 8));
    Files::with(|all| all.fault = Some((0, Errno::IO)));
    assert_eq!(machine.module.stop(DISK), Err(Errno::IO), "its file would be believed");
    assert!(persist::work(&tracker) && tracker.intent.must_wait(0, 8));
    assert_eq!(persist::late(&tracker, 4), Late::Waits);
    assert_eq!(persist::late(&tracker, 5), Late::GoesOn);
    assert_eq!(persist::late(&tracker, 6), Late::Over);
    assert!(!tracker.intent.must_wait(0, 8));
    assert_eq!(machine.hole(), Some(Hole::NoMark));
    assert!(persist::work(&tracker), "the end of it is tried again");
    Files::with(|all| all.fault = None);
    assert!(!persist::work(&tracker));
    assert_eq!((tracker.intent.phase(), says_regions()), (Phase::Off, false));
    machine.module.stop(DISK).unwrap();
}

#[test]
fn a_trial_that_fails_leaves_the_mode_off_and_no_write_waits() {
    let mut machine = Machine::new(Left::Nothing);
    machine.with(|disk| disk.intend(&machine.module.find(DISK).unwrap(), false)).unwrap();
    Files::with(|all| all.fault = Some((3, Errno::IO)));
    assert_eq!(machine.intend(), Err(Errno::IO));
    let tracker = machine.tracker();
    assert!(!tracker.intent.must_wait(0, 8));
    Files::with(|all| all.fault = None);
    assert_eq!((tracker.intent.phase(), says_regions()), (Phase::Off, false));
    machine.write(1);
    complete_all(&tracker, &machine.source);
    assert_eq!(machine.intend(), Ok(()));
}

#[test]
fn one_mark_that_fails_ends_the_mode_at_once_where_the_file_can_still_be_written() {
    let machine = Machine::new(Left::Nothing);
    let tracker = machine.tracker();
    assert!(tracker.intent.must_wait(0, 8));
    let there = Files::with(|all| all.files[FILE].clone());
    // The block that the mark is to be written to is another one's.
    let index = if there[32] > there[4096 + 32] { 1 } else { 0 };
    Files::with(|all| all.files.get_mut(FILE).unwrap()[index * 4096] ^= 1);
    assert!(!persist::work(&tracker));
    assert_eq!((tracker.intent.phase(), machine.hole()), (Phase::Off, None));
    assert!(!tracker.intent.must_wait(0, 8) && !says_regions());
}

#[test]
fn where_blocks_are_moved_the_mode_is_refused() {
    Files::with(|all| *all = Files::default());
    let module = Registry::<Host>::new().unwrap();
    module.start(Name::from_slice(DISK).unwrap(), Name::from_slice(NAME).unwrap()).unwrap();
    let disk = module.find(DISK).unwrap();
    assert_eq!(disk.with(|filtered| filtered.intend(&disk, true)).unwrap(), Err(Errno::OPNOTSUPP));
    assert_eq!(disk.tracker.intent.phase(), Phase::Off);
}

#[test]
fn an_orderly_stop_in_the_mode_costs_nothing_and_the_mode_goes_on() {
    let mut machine = Machine::new(Left::Nothing);
    machine.write(1);
    machine.remove();
    assert_eq!((machine.hole(), machine.tracker().live().dirty()), (None, 1));
    assert_eq!(machine.tracker().intent.phase(), Phase::On);
    assert_eq!(machine.tracker().intent.marks(), 1, "of what waits, and nothing else");
}
