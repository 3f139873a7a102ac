// SPDX-License-Identifier: GPL-2.0-only
//! The bitmap and the drain against naive models, and under threads.

use involflt::engine::{Bitmap, Clock, Common, Drain, Queue, State};
use involflt::host::{Host, TrackedDisk};
use involflt::platform::{Attached, Platform};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const BLOCK: u64 = 4096;
const SECTORS_PER_BLOCK: u64 = 8;
/// Not a multiple of 64 blocks, and its last block is cut short.
const SECTORS: u64 = 1003 * SECTORS_PER_BLOCK - 3;

fn bitmap(blocks: u64) -> Bitmap<Box<[AtomicU64]>> {
    let words = Bitmap::<Box<[AtomicU64]>>::words_for(blocks).unwrap();
    Bitmap::new(std::iter::repeat_with(AtomicU64::default).take(words).collect(), blocks)
}

fn bits(bitmap: &Bitmap<Box<[AtomicU64]>>) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let mut from = 0;
    while let Some(run) = bitmap.take_run(from, u64::MAX) {
        found.extend(run.first..run.first + run.blocks);
        from = run.first + run.blocks;
    }
    found
}

proptest! {
    #[test]
    fn a_bitmap_has_the_bits_that_were_set(
        blocks in 1u64..300,
        ranges in prop::collection::vec((0u64..320, 0u64..200), 0..12),
    ) {
        let bitmap = bitmap(blocks);
        let mut model = BTreeSet::new();
        for (first, length) in ranges {
            bitmap.set(first, first + length);
            model.extend((first..first + length).filter(|&block| block < blocks));
            prop_assert_eq!(bitmap.dirty(), model.len() as u64);
        }
        prop_assert_eq!(bits(&bitmap), model);
        prop_assert_eq!(bitmap.dirty(), 0);
    }

    #[test]
    fn a_run_is_as_long_as_it_is_dirty_and_no_longer_than_asked(
        set in prop::collection::btree_set(0u64..200, 1..60),
        from in 0u64..200,
        most in 1u64..100,
    ) {
        let bitmap = bitmap(200);
        set.iter().for_each(|&block| bitmap.set(block, block + 1));
        let first = set.range(from..).next().copied();
        let length = first.map(|first| (first..).take_while(|block| set.contains(block)).count() as u64);
        let run = bitmap.take_run(from, most);
        prop_assert_eq!(run.map(|run| (run.first, run.blocks)), first.zip(length.map(|length| length.min(most))));
        let taken = run.map_or(0, |run| run.blocks);
        prop_assert_eq!(bitmap.dirty(), set.len() as u64 - taken);
    }

    #[test]
    fn moved_bits_are_in_one_place(
        old in prop::collection::btree_set(0u64..150, 0..50),
        new in prop::collection::btree_set(0u64..150, 0..50),
    ) {
        let (from, to) = (bitmap(150), bitmap(150));
        old.iter().for_each(|&block| to.set(block, block + 1));
        new.iter().for_each(|&block| from.set(block, block + 1));
        from.move_into(&to);
        let both: BTreeSet<u64> = old.union(&new).copied().collect();
        prop_assert_eq!((from.dirty(), to.dirty()), (0, both.len() as u64));
        prop_assert_eq!(bits(&to), both);
    }
}

/// What may happen to a disk that is drained.
#[derive(Debug, Clone)]
enum Step {
    Mark { sector: u64, sectors: u64 },
    MarkAll,
    Get,
    Commit { right: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..SECTORS + 20, 1u64..64).prop_map(|(sector, sectors)| Step::Mark { sector, sectors }),
        2 => (0..SECTORS, 1u64..SECTORS).prop_map(|(sector, sectors)| Step::Mark { sector, sectors }),
        1 => Just(Step::MarkAll),
        5 => Just(Step::Get),
        5 => any::<bool>().prop_map(|right| Step::Commit { right }),
    ]
}

/// A disk with its drain, and the plain truth beside it.
struct Drained {
    disk: TrackedDisk,
    drain: Drain<Host>,
    /// Blocks that were written and are in no committed block since.
    owed: BTreeSet<u64>,
    /// The block that is out: its transaction and what is in it.
    out: Option<(u64, Vec<u64>)>,
}

impl Drained {
    fn new() -> Self {
        let disk = TrackedDisk::new(SECTORS).unwrap();
        let drain = Drain::new(disk.tracker().same_shape().unwrap()).unwrap();
        Drained { disk, drain, owed: BTreeSet::new(), out: None }
    }

    fn mark(&mut self, sector: u64, sectors: u64) {
        self.disk.tracker().mark(sector, sectors);
        // A block is whole: what falls into the last one counts as it, also past the end that cuts it short.
        let blocks = (sector..sector + sectors).map(|sector| sector / SECTORS_PER_BLOCK);
        self.owed.extend(blocks.filter(|&block| block < SECTORS.div_ceil(SECTORS_PER_BLOCK)));
    }

    fn get(&mut self) -> (u64, Vec<u64>) {
        let block = self.drain.get(&self.disk).unwrap();
        let extents = block.changes.offsets().iter().zip(block.changes.lengths());
        let mut blocks = Vec::new();
        for (&offset, &length) in extents {
            let end = offset + u64::from(length);
            assert!(offset % BLOCK == 0 && length > 0 && end <= SECTORS * 512, "{offset}+{length}");
            blocks.extend(offset / BLOCK..end.div_ceil(BLOCK));
        }
        (block.transaction, blocks)
    }

    /// Gets a block and holds it against the one that is out.
    fn get_and_check(&mut self) {
        let got = self.get();
        match &self.out {
            Some(out) if !out.1.is_empty() => assert_eq!(&got, out, "a block is delivered again until it is committed"),
            _ => {}
        }
        assert!(got.1.iter().all(|block| self.owed.contains(block)), "a block that nobody wrote was reported");
        self.out = Some(got);
    }

    fn commit(&mut self, right: bool) {
        let transaction = self.out.as_ref().map_or(1, |out| out.0);
        let asked = if right { transaction } else { transaction + 1 };
        let outcome = self.drain.commit(&self.disk, asked, false);
        match self.out.take() {
            None => assert!(outcome.is_err(), "nothing was out"),
            Some(out) if right => {
                assert!(outcome.is_ok());
                self.settle(&out.1);
            }
            Some(out) => {
                assert_eq!(outcome.is_ok(), out.1.is_empty(), "a wrong id commits nothing");
                self.out = Some(out);
            }
        }
    }

    /// Blocks written again since they were taken are still owed: the tracker has them.
    fn settle(&mut self, committed: &[u64]) {
        let again: BTreeSet<u64> = {
            let fresh = bits_of_live(&self.disk);
            committed.iter().copied().filter(|block| fresh.contains(block)).collect()
        };
        for block in committed {
            if !again.contains(block) {
                self.owed.remove(block);
            }
        }
    }
}

/// The live bits, left as they are.
fn bits_of_live(disk: &TrackedDisk) -> BTreeSet<u64> {
    let live = disk.tracker().live();
    let mut found = BTreeSet::new();
    let mut from = 0;
    while let Some(run) = live.take_run(from, u64::MAX) {
        found.extend(run.first..run.first + run.blocks);
        from = run.first + run.blocks;
    }
    found.iter().for_each(|&block| live.set(block, block + 1));
    found
}

proptest! {
    #[test]
    fn whatever_happens_every_written_block_is_delivered(steps in prop::collection::vec(step(), 0..60)) {
        let mut drained = Drained::new();
        for step in steps {
            match step {
                Step::Mark { sector, sectors } => drained.mark(sector, sectors),
                Step::MarkAll => {
                    drained.disk.tracker().mark_all();
                    drained.owed.extend(0..SECTORS.div_ceil(SECTORS_PER_BLOCK));
                }
                Step::Get => drained.get_and_check(),
                Step::Commit { right } => drained.commit(right),
            }
        }
        loop {
            drained.get_and_check();
            if drained.out.as_ref().is_some_and(|out| out.1.is_empty()) {
                break;
            }
            drained.commit(true);
        }
        prop_assert!(drained.owed.is_empty(), "never delivered: {:?}", drained.owed);
        prop_assert_eq!(drained.drain.pending_bytes(&drained.disk), 0);
    }
}

#[test]
fn a_write_past_the_end_is_a_hole_and_the_part_within_is_marked() {
    let disk = TrackedDisk::new(SECTORS).unwrap();
    disk.tracker().mark(SECTORS - 1, 1);
    assert!(disk.tracker().resync.report().is_none());
    disk.tracker().mark(SECTORS - 1, 2);
    disk.tracker().mark(u64::MAX, 1);
    assert_eq!(disk.tracker().live().dirty(), 1);
    assert!(disk.tracker().resync.report().is_some());
}

#[test]
fn a_write_that_begins_past_the_end_in_the_last_block_reports_that_block_and_a_hole() {
    let mut drained = Drained::new();
    drained.mark(SECTORS, 1);
    assert!(drained.disk.tracker().resync.report().is_some());
    assert_eq!(drained.get().1, [SECTORS / SECTORS_PER_BLOCK]);
}

#[test]
fn a_huge_disk_is_tracked_in_larger_blocks_to_its_end() {
    let sectors = 3u64 << 31;
    let disk = TrackedDisk::new(sectors).unwrap();
    let tracker = disk.tracker();
    assert!(tracker.block_shift() > 12);
    tracker.mark(sectors - 1, 1);
    let run = tracker.live().take_run(0, 1).unwrap();
    let start = run.first << (tracker.block_shift() - 9);
    assert!(start < sectors && sectors - start <= 1 << (tracker.block_shift() - 9));
}

#[test]
fn a_drain_waits_for_writes_in_flight_whenever_it_takes_bits() {
    let mut drained = Drained::new();
    drained.mark(0, 8);
    drained.get();
    assert_eq!(drained.disk.settled(), 1);
    drained.get();
    assert_eq!(drained.disk.settled(), 1, "redelivery takes nothing");
}

/// The last write to each block must be delivered after it was marked, also while all happens at once.
#[test]
fn threads_that_mark_while_another_drains_lose_nothing() {
    const BLOCKS: u64 = 640;
    const ROUNDS: u64 = 20_000;
    let disk = TrackedDisk::new(BLOCKS * SECTORS_PER_BLOCK).unwrap();
    let mut drain = Drain::<Host>::new(disk.tracker().same_shape().unwrap()).unwrap();
    let written: Vec<AtomicU64> = (0..BLOCKS).map(|_| AtomicU64::new(0)).collect();
    let mut seen = vec![0; BLOCKS as usize];
    let (stopped, tracker) = (AtomicBool::new(false), disk.tracker());
    std::thread::scope(|scope| {
        let writers: Vec<_> = (1..=3u64)
            .map(|seed| {
                let written = &written;
                scope.spawn(move || {
                    let mut random = seed;
                    for _ in 0..ROUNDS {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let block = (random >> 33) % BLOCKS;
                        written[block as usize].fetch_add(1, Ordering::Relaxed);
                        tracker.mark(block * SECTORS_PER_BLOCK, SECTORS_PER_BLOCK);
                    }
                })
            })
            .collect();
        let stopped = &stopped;
        scope.spawn(move || {
            writers.into_iter().for_each(|writer| writer.join().expect("a writer does not panic"));
            stopped.store(true, Ordering::Release);
        });
        loop {
            let last = stopped.load(Ordering::Acquire);
            let next = drain.get(&disk).unwrap();
            let blocks: Vec<u64> = next
                .changes
                .offsets()
                .iter()
                .zip(next.changes.lengths())
                .flat_map(|(&offset, &length)| offset / BLOCK..(offset + u64::from(length)) / BLOCK)
                .collect();
            let transaction = next.transaction;
            for &block in &blocks {
                seen[block as usize] = written[block as usize].load(Ordering::Relaxed);
            }
            drain.commit(&disk, transaction, false).expect("the block that is out");
            if last && blocks.is_empty() {
                break;
            }
        }
    });
    let written: Vec<u64> = written.into_iter().map(AtomicU64::into_inner).collect();
    assert_eq!(seen, written);
}

fn common() -> &'static Common {
    Host::common()
}

/// Lets `waiting` extents wait on a disk before it notes only bits, and `low` before it notes extents again.
fn limit(waiting: u64, low: u64) {
    common().limits.high_not_started.store(waiting, Ordering::Relaxed);
    common().limits.low.store(low, Ordering::Relaxed);
}

/// A new disk under limits of its own, with its drain.
fn disk_under(waiting: u64, low: u64) -> (TrackedDisk, Drain<Host>) {
    limit(waiting, low);
    let disk = TrackedDisk::new(SECTORS).unwrap();
    let drain = Drain::new(disk.tracker().same_shape().unwrap()).unwrap();
    (disk, drain)
}

#[test]
fn stamps_grow_whatever_the_wall_clock_does_and_whoever_asks() {
    let clock = Clock::new();
    let given: Vec<_> = [100, 100, 50, 0, 101, 200].iter().map(|&now| clock.stamp(now).time()).collect();
    assert_eq!(given, [100, 101, 102, 103, 104, 200]);
    let mut all: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..1000).map(|_| clock.stamp(7).sequence()).collect::<Vec<_>>())).collect();
        let each = threads.into_iter().map(|thread| thread.join().expect("no thread panics"));
        each.inspect(|given| assert!(given.is_sorted_by(|a, b| a < b))).flatten().collect()
    });
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4000, "a stamp was given twice");
}

#[test]
fn a_completed_write_is_told_to_the_sector_without_waiting_for_any_other() {
    let (disk, mut drain) = disk_under(8192, 4096);
    assert!(disk.tracker().wants_completion());
    disk.tracker().complete(3, 2, false);
    let block = drain.get(&disk).unwrap();
    assert_eq!((block.changes.offsets(), block.changes.lengths()), (&[3 * 512][..], &[1024][..]));
    assert_eq!(block.state, State::Metadata);
    assert_eq!(disk.settled(), 0);
}

#[test]
fn a_failed_write_is_told_and_counted() {
    let (disk, mut drain) = disk_under(8192, 4096);
    disk.tracker().complete(8, 8, true);
    assert_eq!(drain.get(&disk).unwrap().changes.offsets(), [4096]);
    assert_eq!(disk.tracker().counters.failures(), 1);
    assert!(disk.tracker().resync.report().is_none());
}

#[test]
fn neighbours_are_one_extent_up_to_a_mebibyte() {
    let mut queue = Queue::new(Host::words(Queue::<Box<[AtomicU64]>>::WORDS).unwrap());
    let clock = Clock::new();
    for (sector, sectors, extents) in
        [(0, 8, 1), (8, 8, 1), (12, 2, 1), (15, 8, 1), (0, 23, 1), (22, 2026, 1), (22, 2027, 2), (0, 8, 3), (17, 8, 4)]
    {
        queue.push(sector, sectors, &clock, || 1).unwrap();
        assert_eq!(queue.extents(), extents, "after {sectors} at {sector}");
    }
    assert_eq!(queue.sectors(), 2048 + 2027 + 16);
}

#[test]
fn a_node_that_is_full_is_stamped_then_and_an_open_one_when_it_is_taken() {
    let (disk, mut drain) = disk_under(8192, 4096);
    (0..200).for_each(|index| disk.tracker().complete(16 * index, 8, false));
    let between = common().clock.stamp(0);
    let mut stamps = Vec::new();
    for changes in [170, 30] {
        let block = drain.get(&disk).unwrap();
        assert_eq!(block.changes.offsets().len(), changes);
        stamps.push(block.last);
        let transaction = block.transaction;
        drain.commit(&disk, transaction, false).unwrap();
    }
    assert!(stamps[0] < between && between < stamps[1], "{stamps:?}, {between:?}");
}

#[test]
fn too_many_extents_make_bits_of_what_comes_and_draining_makes_extents_again() {
    let (disk, mut drain) = disk_under(200, 100);
    (0..250).for_each(|index| disk.tracker().complete(16 * index, 8, false));
    assert_eq!((disk.tracker().capture.extents(), disk.tracker().live().dirty()), (200, 50));
    assert!(!disk.tracker().wants_completion());
    assert_eq!((disk.tracker().capture.falls(), drain.state(&disk)), (1, State::Bitmap));
    let mut got = Vec::new();
    loop {
        let block = drain.get(&disk).unwrap();
        if block.changes.offsets().is_empty() {
            break;
        }
        got.push((block.state, block.changes.offsets().len()));
        let transaction = block.transaction;
        drain.commit(&disk, transaction, false).unwrap();
    }
    assert_eq!(got, [(State::Metadata, 170), (State::Metadata, 30), (State::Bitmap, 50)]);
    assert!(disk.tracker().wants_completion());
    assert_eq!((drain.state(&disk), drain.pending_bytes(&disk)), (State::Metadata, 0));
}

#[test]
fn without_room_for_an_extent_there_are_bits_only() {
    let (disk, mut drain) = disk_under(0, 0);
    assert!(!disk.tracker().wants_completion());
    disk.tracker().complete(0, 8, false);
    let block = drain.get(&disk).unwrap();
    assert_eq!((block.state, block.changes.offsets()), (State::Bitmap, &[0][..]));
    assert!(!disk.tracker().wants_completion());
}

#[test]
fn a_full_ring_and_a_change_that_is_too_long_make_bits_and_lose_nothing() {
    let sectors = 1 << 31;
    limit(u64::MAX, u64::MAX);
    let disk = TrackedDisk::new(sectors).unwrap();
    let tracker = disk.tracker();
    tracker.complete(0, (64 << 11) + 1, false);
    assert_eq!(tracker.capture.extents(), 0);
    assert!(tracker.live().dirty() > 0);
    let disk = TrackedDisk::new(sectors).unwrap();
    let tracker = disk.tracker();
    (0..70_000).for_each(|index| tracker.complete(4096 * index, 8, false));
    assert_eq!(tracker.capture.extents(), 386 * 170);
    assert_eq!(tracker.live().dirty(), 70_000 - 386 * 170);
}

/// What may happen to a disk whose writes take time.
#[derive(Debug, Clone)]
enum Event {
    Submit { sector: u64, sectors: u64 },
    Complete { which: usize, failed: bool },
    Get,
    Commit,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..SECTORS, 1u64..40).prop_map(|(sector, sectors)| Event::Submit { sector, sectors }),
        1 => (0..SECTORS, 1u64..6000).prop_map(|(sector, sectors)| Event::Submit { sector, sectors }),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(which, failed)| Event::Complete { which, failed }),
        2 => Just(Event::Get),
        3 => Just(Event::Commit),
    ]
}

/// A disk as its users see it: which version of each sector is on it, and which the replica has.
struct Replicated {
    disk: TrackedDisk,
    drain: Drain<Host>,
    on_disk: Vec<u64>,
    on_replica: Vec<u64>,
    version: u64,
    in_flight: Vec<(u64, u64)>,
    out: Option<(u64, Vec<(u64, u64)>)>,
    last: involflt::engine::Stamp,
}

impl Replicated {
    fn new(waiting: u64, low: u64) -> Self {
        let (disk, drain) = disk_under(waiting, low);
        let (on_disk, on_replica) = (vec![0; SECTORS as usize], vec![0; SECTORS as usize]);
        let last = common().clock.stamp(0);
        Replicated { disk, drain, on_disk, on_replica, version: 0, in_flight: Vec::new(), out: None, last }
    }

    /// A write that is marked reaches the disk before any drain of its mark answers: here it does so at once.
    fn submit(&mut self, sector: u64, sectors: u64) {
        let sectors = sectors.min(SECTORS - sector);
        if self.disk.tracker().wants_completion() {
            self.in_flight.push((sector, sectors));
        } else {
            self.disk.tracker().mark(sector, sectors);
            self.reach(sector, sectors);
        }
    }

    fn reach(&mut self, sector: u64, sectors: u64) {
        self.version += 1;
        self.on_disk[sector as usize..(sector + sectors) as usize].fill(self.version);
    }

    /// A failed write has changed half of its sectors.
    fn complete(&mut self, which: usize, failed: bool) {
        if self.in_flight.is_empty() {
            return;
        }
        let (sector, sectors) = self.in_flight.swap_remove(which % self.in_flight.len());
        self.reach(sector, if failed { sectors.div_ceil(2) } else { sectors });
        self.disk.tracker().complete(sector, sectors, failed);
    }

    fn get(&mut self) {
        let block = self.drain.get(&self.disk).unwrap();
        let lengths = block.changes.lengths().iter().map(|&length| u64::from(length) >> 9);
        let changes: Vec<_> = block.changes.offsets().iter().map(|offset| offset >> 9).zip(lengths).collect();
        let got = (block.transaction, changes);
        match &self.out {
            Some(out) if !out.1.is_empty() => assert_eq!(&got, out, "delivered again until it is committed"),
            _ => assert!(self.last < block.last, "stamps grow"),
        }
        assert!(block.previous.stamp < block.last, "a block is later than the one before");
        assert!(got.1.len() <= 170);
        self.last = block.last;
        self.out = Some(got);
    }

    /// The agent reads the disk between get and commit.
    fn commit(&mut self) {
        let Some((transaction, changes)) = self.out.take() else { return };
        for (sector, sectors) in changes {
            assert!(sectors > 0 && sectors <= 2048 && sector + sectors <= SECTORS);
            let range = sector as usize..(sector + sectors) as usize;
            self.on_replica[range.clone()].copy_from_slice(&self.on_disk[range]);
        }
        self.drain.commit(&self.disk, transaction, false).unwrap();
    }
}

proptest! {
    #[test]
    fn after_a_last_drain_the_replica_is_the_disk_in_every_state(
        events in prop::collection::vec(event(), 0..400),
        waiting in prop_oneof![Just(0u64), 1u64..40, Just(200), Just(8192)],
        low in 0u64..400,
    ) {
        let mut replicated = Replicated::new(waiting, low);
        for event in events {
            match event {
                Event::Submit { sector, sectors } => replicated.submit(sector, sectors),
                Event::Complete { which, failed } => replicated.complete(which, failed),
                Event::Get => replicated.get(),
                Event::Commit => replicated.commit(),
            }
        }
        while !replicated.in_flight.is_empty() {
            replicated.complete(0, false);
        }
        replicated.commit();
        loop {
            replicated.get();
            if replicated.out.as_ref().is_some_and(|out| out.1.is_empty()) {
                break;
            }
            replicated.commit();
        }
        prop_assert!(replicated.on_disk == replicated.on_replica);
        prop_assert_eq!(replicated.drain.pending_bytes(&replicated.disk), 0);
        prop_assert!(replicated.disk.tracker().resync.report().is_none());
    }
}
