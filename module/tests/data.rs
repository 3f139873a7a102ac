// SPDX-License-Identifier: GPL-2.0-only
//! Captured data, against the disk's own bytes: whatever is captured, noted, marked or lost on the way, the replica is the
//! disk in the end, and where a block says that it is in write order, the replica is the disk as it was at that moment.

mod svd;

use involflt::engine::{Drain, Fate, Pool, Records, Service, Stamp, State, Tag, TagId, TagSet};
use involflt::host::{Host, OwnMemory, TrackedDisk, Written};
use involflt::platform::{Attached, Errno, Platform, User};
use proptest::prelude::*;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use svd::Parsed;

const SECTORS: u64 = 8021;

/// A sector is told by the number of the write that it is of.
type Content = Vec<u64>;

fn payload(version: u64, sectors: u64) -> Written {
    Written(version.to_ne_bytes().repeat(sectors as usize * 64))
}

/// The version of each sector in a change's data, every byte of which must be of one write.
fn versions(data: &[u8]) -> Vec<u64> {
    let sectors = data.chunks(512).map(|sector| {
        let version = u64::from_ne_bytes(sector[..8].try_into().unwrap());
        assert_eq!(sector, version.to_ne_bytes().repeat(64), "a sector is of one write");
        version
    });
    sectors.collect()
}

/// What happens to a disk.
#[derive(Debug, Clone)]
enum Event {
    Submit {
        sector: u64,
        sectors: u64,
    },
    Complete {
        which: usize,
        how: How,
    },
    Mark {
        sector: u64,
        sectors: u64,
    },
    Tag,
    Get,
    Commit,
    Work,
    Service {
        is_there: bool,
    },
    /// The kernel has none for the pool, and the agent none for a stream.
    Memory {
        refused: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Written,
    /// A discard, or another operation without data of its own.
    WithoutData,
    Failed,
}

fn event() -> impl Strategy<Value = Event> {
    let how = prop_oneof![12 => Just(How::Written), 1 => Just(How::WithoutData), 1 => Just(How::Failed)];
    prop_oneof![
        60 => (0..SECTORS, 1u64..40).prop_map(|(sector, sectors)| Event::Submit { sector, sectors }),
        3 => (0..SECTORS, 1u64..6000).prop_map(|(sector, sectors)| Event::Submit { sector, sectors }),
        60 => (any::<usize>(), how).prop_map(|(which, how)| Event::Complete { which, how }),
        1 => (0..SECTORS, 1u64..40).prop_map(|(sector, sectors)| Event::Mark { sector, sectors }),
        6 => Just(Event::Tag),
        20 => Just(Event::Get),
        30 => Just(Event::Commit),
        10 => Just(Event::Work),
        2 => any::<bool>().prop_map(|is_there| Event::Service { is_there }),
        4 => any::<bool>().prop_map(|refused| Event::Memory { refused }),
    ]
}

/// What reached the disk, and the last stamp that was given before.
struct Reached {
    after: Stamp,
    sector: u64,
    sectors: u64,
    version: u64,
}

struct World {
    disk: TrackedDisk,
    drain: Drain<Host>,
    pool: Arc<Pool<Host>>,
    on_disk: Content,
    on_replica: Content,
    reached: Vec<Reached>,
    version: u64,
    in_flight: Vec<(u64, u64, u64)>,
    out: Option<Out>,
    last: Stamp,
    tags: u64,
    has_memory: bool,
    /// Blocks and tags that were found to be in write order.
    in_order: u64,
}

/// A block as an agent has it.
struct Out {
    transaction: u64,
    extents: Vec<(u64, u64)>,
    stream: Option<Parsed>,
    has_tag: bool,
    state: State,
    last: Stamp,
    part: u32,
    flags: u32,
}

impl Out {
    fn is_empty(&self) -> bool {
        self.extents.is_empty() && self.stream.is_none() && !self.has_tag
    }
}

fn stamp_now() -> Stamp {
    Host::common().clock.last()
}

impl World {
    fn new(pool_bytes: u64) -> Self {
        Host::refuse_memory(false);
        Host::common().set_service(Service::Running);
        Host::common().limits.stream.store(1, Ordering::Relaxed);
        let pool = Arc::new(Pool::new().unwrap());
        pool.set_limit(pool_bytes);
        let disk = TrackedDisk::with_pool(SECTORS, pool.clone()).unwrap();
        let drain = Drain::new(disk.tracker().same_shape().unwrap()).unwrap();
        World {
            disk,
            drain,
            pool,
            on_disk: vec![0; SECTORS as usize],
            on_replica: vec![0; SECTORS as usize],
            reached: Vec::new(),
            version: 0,
            in_flight: Vec::new(),
            out: None,
            last: stamp_now(),
            tags: 0,
            has_memory: true,
            in_order: 0,
        }
    }

    fn submit(&mut self, sector: u64, sectors: u64) {
        let sectors = sectors.min(SECTORS - sector);
        self.version += 1;
        if self.disk.tracker().wants_completion() {
            self.in_flight.push((sector, sectors, self.version));
        } else {
            self.disk.tracker().mark(sector, sectors);
            self.reach(sector, sectors, self.version);
        }
    }

    /// As a passthrough command does, whatever the state.
    fn mark(&mut self, sector: u64, sectors: u64) {
        let sectors = sectors.min(SECTORS - sector);
        self.version += 1;
        self.disk.tracker().mark(sector, sectors);
        self.reach(sector, sectors, self.version);
    }

    fn reach(&mut self, sector: u64, sectors: u64, version: u64) {
        self.on_disk[sector as usize..(sector + sectors) as usize].fill(version);
        self.reached.push(Reached { after: stamp_now(), sector, sectors, version });
    }

    fn complete(&mut self, which: usize, how: How) {
        if self.in_flight.is_empty() {
            return;
        }
        let (sector, sectors, version) = self.in_flight.swap_remove(which % self.in_flight.len());
        self.reach(sector, if how == How::Failed { sectors.div_ceil(2) } else { sectors }, version);
        let tracker = self.disk.tracker();
        match how {
            How::Written => tracker.written(sector, sectors, &mut payload(version, sectors)),
            How::WithoutData => tracker.complete(sector, sectors, false),
            How::Failed => tracker.complete(sector, sectors, true),
        }
    }

    fn tag(&mut self) {
        if !self.disk.tracker().takes_tags() {
            return;
        }
        self.tags += 1;
        let mut records = Records::new().unwrap();
        let name = format!("tag {}", self.tags);
        let fill = |to: &mut [u8]| {
            to.copy_from_slice(name.as_bytes());
            Ok(())
        };
        records.push(name.len(), fill).unwrap();
        let set = Arc::new(TagSet::new(TagId::new(name.as_bytes()).unwrap(), records, [1].into_iter()).unwrap());
        set.set_in_write_order(0, self.disk.tracker().is_in_write_order());
        self.disk.tracker().capture.tag(&Tag { set, index: 0 }, Fate::Waiting);
    }

    fn get(&mut self) {
        let block = match self.drain.get(&self.disk) {
            Ok(block) => block,
            // It is out, and comes when there is room for it.
            Err(errno) => {
                assert_eq!((errno, self.has_memory), (Errno::NOMEM, false));
                self.out.take_if(|out| out.is_empty());
                return;
            }
        };
        let lengths = block.changes.lengths().iter().map(|&length| u64::from(length) >> 9);
        let stream = block.stream.map(|stream| {
            let mut bytes = vec![0; stream.bytes as usize];
            OwnMemory::read(stream.address, &mut bytes).unwrap();
            assert!(bytes.len() <= 1 << 20, "a stream is no longer than it may be");
            Parsed::of(&bytes)
        });
        let got = Out {
            transaction: block.transaction,
            extents: block.changes.offsets().iter().map(|offset| offset >> 9).zip(lengths).collect(),
            stream,
            has_tag: block.tags.is_some(),
            state: block.state,
            last: block.last,
            part: block.split.part,
            flags: block.split.flags,
        };
        assert!(block.first <= block.last);
        // The parts of one write have one stamp.
        assert!(block.previous.stamp < block.first || (block.previous.stamp == block.first && got.part > 1));
        assert_eq!(got.part > 1, got.flags & 6 != 0);
        if let Some(data) = block.data {
            let stream = got.stream.as_ref().expect("data is in a stream");
            assert_eq!((stream.first, stream.last), (block.first.time(), block.last.time()));
            assert_eq!(stream.changes.len(), data.node.changes as usize);
            assert_eq!(stream.changes.iter().map(|change| change.data.len() as u64).sum::<u64>(), data.node.bytes);
        }
        match &self.out {
            Some(out) if !out.is_empty() => {
                assert_eq!((out.transaction, &out.stream), (got.transaction, &got.stream), "delivered again");
            }
            _ => {}
        }
        self.out = Some(got);
    }

    /// The agent brings the block to the replica, reading from the disk what it was given without data.
    fn commit(&mut self) {
        let Some(out) = self.out.take() else { return };
        for &(sector, sectors) in &out.extents {
            let range = sector as usize..(sector + sectors) as usize;
            self.on_replica[range.clone()].copy_from_slice(&self.on_disk[range]);
        }
        for change in out.stream.iter().flat_map(|stream| &stream.changes) {
            let sector = change.offset as usize / 512;
            let versions = versions(&change.data);
            self.on_replica[sector..sector + versions.len()].copy_from_slice(&versions);
        }
        // A write that is split is on the replica with its last part.
        let is_whole = out.flags & 3 == 0;
        if out.state == State::Data && out.stream.is_some() && is_whole {
            self.in_order += 1;
            assert!(self.on_replica == self.at(out.last), "in write order, and not the disk as it was");
        }
        self.last = out.last;
        self.drain.commit(&self.disk, out.transaction, false).unwrap();
    }

    /// The disk as it was at a stamp.
    fn at(&self, stamp: Stamp) -> Content {
        let mut content = vec![0; SECTORS as usize];
        for write in self.reached.iter().filter(|write| write.after < stamp) {
            content[write.sector as usize..(write.sector + write.sectors) as usize].fill(write.version);
        }
        content
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Submit { sector, sectors } => self.submit(sector, sectors),
            Event::Complete { which, how } => self.complete(which, how),
            Event::Mark { sector, sectors } => self.mark(sector, sectors),
            Event::Tag => self.tag(),
            Event::Get => self.get(),
            Event::Commit => self.commit(),
            Event::Work => {
                if Host::has_work() {
                    self.pool.grow();
                }
            }
            Event::Memory { refused } => {
                self.has_memory = !refused;
                Host::refuse_memory(refused);
            }
            Event::Service { is_there: true } => {
                Host::common().set_service(Service::Running);
                self.disk.tracker().capture.rise();
            }
            Event::Service { is_there: false } => {
                Host::common().set_service(Service::Shutdown);
                self.disk.tracker().capture.stop_data();
            }
        }
    }

    fn drain_all(&mut self) {
        self.apply(Event::Memory { refused: false });
        while !self.in_flight.is_empty() {
            self.complete(0, How::Written);
        }
        self.commit();
        loop {
            self.get();
            if self.out.as_ref().is_some_and(Out::is_empty) {
                return;
            }
            self.commit();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn the_replica_is_the_disk_in_the_end_and_at_every_moment_that_is_said_to_be_in_order(
        events in prop::collection::vec(event(), 0..500),
        slabs in 1u64..4,
    ) {
        let mut world = World::new(slabs << 22);
        for event in events {
            world.apply(event);
        }
        world.drain_all();
        prop_assert!(world.on_disk == world.on_replica);
        let capture = &world.disk.tracker().capture;
        prop_assert_eq!((capture.data_changes(), capture.extents(), world.drain.pending_bytes(&world.disk)), (0, 0, 0));
        world.out = None;
        prop_assert_eq!(capture.data_memory(), 0, "every chunk is given back");
    }
}

#[test]
fn a_quiet_disk_with_a_fast_agent_is_in_write_order_at_every_block() {
    let mut world = World::new(64 << 20);
    for round in 0..200 {
        world.submit(round * 16, 16);
        world.complete(0, How::Written);
        if round % 10 == 0 {
            world.tag();
        }
        if round % 7 == 0 {
            world.get();
            world.commit();
        }
    }
    world.drain_all();
    assert!(world.in_order > 40, "{} blocks in write order", world.in_order);
    assert_eq!(world.disk.tracker().capture.data_falls(), 0);
}

#[test]
fn a_write_that_is_larger_than_a_block_is_a_chain() {
    let mut world = World::new(64 << 20);
    world.submit(1, 6000);
    world.complete(0, How::Written);
    let mut parts = Vec::new();
    loop {
        world.get();
        let out = world.out.as_ref().unwrap();
        if out.is_empty() {
            break;
        }
        parts.push((out.part, out.flags, out.stream.as_ref().unwrap().changes[0].data.len()));
        world.commit();
    }
    let most = ((1 << 20) - 196 - 32 - 32) & !511;
    assert_eq!(parts, [(1, 1, most), (2, 2, most), (3, 4, 6000 * 512 - 2 * most)]);
    assert!(world.on_disk == world.on_replica);
}

#[test]
fn without_memory_extents_are_noted_and_data_again_when_it_is_drained() {
    let mut world = World::new(4 << 20);
    // Each write is a node of its own here: a tag closes it.
    while world.disk.tracker().capture.state() == State::Data {
        world.submit(0, 8);
        world.complete(0, How::Written);
        world.tag();
        if world.tags == 64 {
            world.disk.tracker().capture.delete_tags();
            world.tags = 0;
        }
    }
    assert_eq!(world.disk.tracker().capture.data_falls(), 1);
    assert_eq!(world.disk.tracker().capture.data_memory(), 4 << 20, "every chunk there is");
    world.submit(100, 8);
    world.complete(0, How::Written);
    assert_eq!(world.disk.tracker().capture.extents(), 2, "the write that found no room, and the one behind it");
    assert!(!world.disk.tracker().is_in_write_order());
    world.drain_all();
    assert!(world.on_disk == world.on_replica);
    assert_eq!(world.disk.tracker().capture.state(), State::Data);
    assert!(world.disk.tracker().is_in_write_order());
}

#[test]
fn two_disks_have_what_they_are_promised_however_much_the_other_one_wants() {
    Host::common().set_service(Service::Running);
    let pool = Arc::new(Pool::<Host>::new().unwrap());
    pool.set_limit(20 << 20);
    let disks = [(); 2].map(|()| TrackedDisk::with_pool(1 << 20, pool.clone()).unwrap());
    let mut greedy = 0;
    while disks[0].tracker().capture.state() == State::Data {
        disks[0].tracker().written(greedy * 2048, 2048, &mut payload(1, 2048));
        pool.grow();
        greedy += 1;
    }
    assert!((11..=13).contains(&greedy), "{greedy} MiB of 20, of which 8 are the other one's");
    for write in 0..7 {
        disks[1].tracker().written(write * 2048, 2048, &mut payload(1, 2048));
    }
    assert_eq!(disks[1].tracker().capture.state(), State::Data);
    drop(disks);
    assert_eq!(pool.bytes(), 0, "a pool without disks has no memory");
}

#[test]
fn a_limit_that_is_lowered_gives_memory_back() {
    let mut world = World::new(64 << 20);
    for write in 0..40 {
        world.submit(0, 2048);
        world.complete(0, How::Written);
        if write % 2 == 0 {
            world.pool.grow();
        }
    }
    let before = world.pool.bytes();
    world.drain_all();
    world.out = None;
    world.pool.set_limit(4 << 20);
    assert!(before > 16 << 20 && world.pool.bytes() == 4 << 20, "{before} and then {}", world.pool.bytes());
    world.submit(5, 100);
    world.complete(0, How::Written);
    world.drain_all();
    assert!(world.on_disk == world.on_replica);
}
