// SPDX-License-Identifier: GPL-2.0-only
//! Somebody else takes the machine's memory: writes go on, less of them is kept, and when memory is back, all is as before.

use super::states::{DEFAULT_LIMITS, set_limits};
use crate::agent::{Agent, Batch, Statistics, become_service, global_stats, set_common};
use crate::sys::{Doing, Failure, Step, ensure, open};
use crate::work::{Area, OPEN, Random, buffer::Buffer};
use crate::world::{World, joined};
use guest::layout::{DISKS, Disk, MIB};
use involflt::abi::attribute::common::POOL;
use nix::libc;
use std::fs;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

/// A blk-mq and a bio-based disk, each of which writes more than the pool has for it while it cannot grow.
const BUSY: [usize; 2] = [0, 3];
/// A disk that has what it is promised, whatever the others take.
const IDLE: usize = 1;
/// What the pool begins with at most, and what it may then grow to, in MiB: more than all that is written at once.
const POOL_MIB: (u32, u32) = (64, 256);
/// Fewer extents than are noted, so that there are dirty bits in the end.
const LIMITS: (u32, u32) = (128, 64);
/// Available memory that the hog leaves, in bytes. The driver takes none of it.
const LEFT: u64 = 40 * MIB;
/// What is written to on a busy disk: with what all others are promised, the pool has less than that.
const AREA: Area = OPEN.start..OPEN.start + 48 * MIB;
const PIECE: usize = 64 << 10;
/// No write takes so long by itself, even under emulation; one that waited for memory would wait for the hog.
const STALL: Duration = Duration::from_secs(10);

/// Writes on two disks with and without a hog; what was drained is in a replica then, which is what the disks are.
pub fn scenario(world: &mut World) -> Step<String> {
    let service = become_service()?;
    world.attach_all()?;
    world.drain_all()?;
    set_common(POOL, POOL_MIB.0)?;
    set_common(POOL, POOL_MIB.1)?;
    let mut replicas = BUSY.map(|index| Replica::of(&DISKS[index])).into_iter().collect::<Step<Vec<_>>>()?;
    let before = Falls::of_all(world)?;
    let (longest, pool) = under_pressure(world)?;
    let falls = Falls::of_all(world)?;
    for (disk, (before, after)) in BUSY.iter().zip(before.iter().zip(&falls)) {
        let name = DISKS[*disk].name;
        ensure(after.to_metadata == before.to_metadata + 1, || format!("{name}: from {before:?} to {after:?}"))?;
        ensure(after.to_bitmap == before.to_bitmap + 1, || format!("{name}: from {before:?} to {after:?}"))?;
    }
    set_limits(DEFAULT_LIMITS)?;
    drain(world, &mut replicas)?;
    on_busy(write_all)?;
    let grown = pool_grows(pool)?;
    drain(world, &mut replicas)?;
    for replica in &replicas {
        replica.compare()?;
    }
    set_common(POOL, POOL_MIB.0)?;
    drop(service);
    Ok(format!(
        "two disks fell to extents and to dirty bits; {} ms for the longest write; a pool of {} MiB, then {}",
        longest.as_millis(),
        pool / MIB,
        grown / MIB
    ))
}

/// Writes while a hog has the memory; gives the time of the longest one, and the bytes of the pool, which cannot grow.
fn under_pressure(world: &World) -> Step<(Duration, u64)> {
    let pool = pool()?;
    let hog = Hog::new()?;
    let longest = on_busy(write_all)?;
    keeps_its_promise(&mut world.agent(IDLE))?;
    set_limits(LIMITS)?;
    let scattered = on_busy(write_scattered)?;
    ensure(pool == self::pool()?, || format!("the pool has grown from {pool} bytes"))?;
    for index in BUSY {
        let (state, name) = (world.agent(index).statistics()?.text("state")?, DISKS[index].name);
        ensure(state == "bitmap", || format!("{name}: {state} without memory"))?;
    }
    drop(hog);
    Ok((longest.max(scattered), pool))
}

/// Memory that somebody has and does not give back: there is no swap.
struct Hog(#[expect(dead_code, reason = "it is there to be had")] Vec<Vec<u8>>);

impl Hog {
    fn new() -> Step<Hog> {
        let mut memory = Vec::new();
        loop {
            let mut more = vec![0; available()?.saturating_sub(LEFT) as usize];
            if more.is_empty() {
                return Ok(Hog(memory));
            }
            // A page is there once something was written to it.
            more.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
            memory.push(more);
        }
    }
}

/// Memory that the kernel says is available, in bytes.
fn available() -> Step<u64> {
    let text = fs::read_to_string("/proc/meminfo").doing(|| "/proc/meminfo".into())?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.strip_suffix("kB"));
    let kib: u64 = line.unwrap_or_default().trim().parse().doing(|| "MemAvailable".into())?;
    Ok(kib << 10)
}

fn pool() -> Step<u64> {
    global_stats()?.get("data_pool_bytes")
}

/// Waits until the pool has more bytes than that; gives their number.
fn pool_grows(bytes: u64) -> Step<u64> {
    for _ in 0..100 {
        let now = pool()?;
        if now > bytes {
            return Ok(now);
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err(Failure::Failed(format!("the pool still has {bytes} bytes")))
}

/// Runs `work` on both busy disks at once; gives the longest time.
fn on_busy(work: impl Fn(&'static Disk) -> Step<Duration> + Sync) -> Step<Duration> {
    thread::scope(|scope| {
        let work = &work;
        let threads = BUSY.map(|index| scope.spawn(move || work(&DISKS[index])));
        threads.into_iter().try_fold(Duration::ZERO, |longest, thread| Ok(joined(thread.join())?.max(longest)))
    })
}

/// Writes the area from start to end.
fn write_all(disk: &'static Disk) -> Step<Duration> {
    write(disk, AREA.step_by(PIECE).map(|offset| (offset, PIECE)))
}

/// Writes 512 bytes to 4 KiB to places that are mostly no neighbours.
fn write_scattered(disk: &'static Disk) -> Step<Duration> {
    let mut random = Random::new(disk.size);
    write(
        disk,
        (0..200).map(|_| {
            let length = 512 * (1 + random.below(8));
            (random.place(&AREA, length, 512), length as usize)
        }),
    )
}

/// Direct writes; gives the time that the longest one took. None may fail or stall.
fn write(disk: &'static Disk, places: impl Iterator<Item = (u64, usize)>) -> Step<Duration> {
    let file = open(disk.node, libc::O_DIRECT)?;
    let mut buffer = Buffer::new(PIECE);
    let mut longest = Duration::ZERO;
    for (offset, length) in places {
        buffer.stamp();
        let start = Instant::now();
        file.write_all_at(&buffer.bytes()[..length], offset).doing(|| format!("{}: write at {offset}", disk.name))?;
        longest = longest.max(start.elapsed());
    }
    ensure(longest < STALL, || format!("{}: a write took {longest:?}", disk.name))?;
    Ok(longest)
}

/// Others have taken all that nobody was promised; this disk's data is captured all the same.
fn keeps_its_promise(agent: &mut Agent) -> Step {
    let disk = agent.disk;
    write(disk, [(AREA.start, PIECE)].into_iter())?;
    let batch = agent.get()?;
    ensure(!batch.data.is_empty(), || format!("{}: no data of a disk that has its promise", disk.name))?;
    agent.drain_all()
}

/// How often a disk had no room.
#[derive(Debug)]
struct Falls {
    to_metadata: u64,
    to_bitmap: u64,
}

impl Falls {
    fn of(statistics: &Statistics) -> Step<Falls> {
        let (to_metadata, to_bitmap) = (statistics.get("falls_to_metadata")?, statistics.get("falls_to_bitmap")?);
        Ok(Falls { to_metadata, to_bitmap })
    }

    fn of_all(world: &World) -> Step<Vec<Falls>> {
        BUSY.iter().map(|&index| Falls::of(&world.agent(index).statistics()?)).collect()
    }
}

/// Brings all that waits to the replicas; each disk is in the data state then, without anybody having put it there.
fn drain(world: &World, replicas: &mut [Replica]) -> Step {
    for (index, replica) in BUSY.into_iter().zip(replicas) {
        let mut agent = world.agent(index);
        loop {
            let batch = agent.get()?;
            if batch.is_empty() {
                break;
            }
            replica.apply(&batch)?;
            agent.finish(&batch)?;
        }
        let state = agent.statistics()?.text("state")?;
        ensure(state == "data", || format!("{}: {state} after all was drained", agent.disk.name))?;
    }
    Ok(())
}

/// What a disk's area should hold, in memory.
struct Replica {
    disk: &'static Disk,
    bytes: Vec<u8>,
}

impl Replica {
    fn of(disk: &'static Disk) -> Step<Replica> {
        let mut replica = Replica { disk, bytes: vec![0; (AREA.end - AREA.start) as usize] };
        replica.read(AREA.start, AREA.end - AREA.start)?;
        Ok(replica)
    }

    /// Where in memory these bytes of the disk are.
    fn place(&mut self, offset: u64, length: u64) -> Step<&mut [u8]> {
        let start = offset.checked_sub(AREA.start).map(|start| start as usize);
        let place = start.and_then(|start| self.bytes.get_mut(start..start + length as usize));
        place.ok_or_else(|| format!("{}: {length} bytes at {offset} that nobody wrote", self.disk.name).into())
    }

    /// Takes what the disk has there.
    fn read(&mut self, offset: u64, length: u64) -> Step {
        let (disk, file) = (self.disk, open(self.disk.node, libc::O_DIRECT)?);
        let mut buffer = Buffer::new(MIB as usize);
        for start in (offset..offset + length).step_by(MIB as usize) {
            let part = (offset + length - start).min(MIB);
            let bytes = &mut buffer.bytes_mut()[..part as usize];
            file.read_exact_at(bytes, start).doing(|| format!("{}: read at {start}", disk.name))?;
            self.place(start, part)?.copy_from_slice(bytes);
        }
        Ok(())
    }

    /// Takes the data of a batch, or reads what has none.
    fn apply(&mut self, batch: &Batch) -> Step {
        for change in &batch.data {
            self.place(change.offset, change.data.len() as u64)?.copy_from_slice(&change.data);
        }
        let without = if batch.data.is_empty() { batch.changes.as_slice() } else { &[] };
        without.iter().try_for_each(|&(offset, length)| self.read(offset, length))
    }

    fn compare(&self) -> Step {
        let disk = Replica::of(self.disk)?;
        let different = self.bytes.iter().zip(&disk.bytes).position(|(replica, disk)| replica != disk);
        ensure(different.is_none(), || {
            format!("{}: the replica differs {} bytes behind {}", self.disk.name, different.unwrap_or(0), AREA.start)
        })
    }
}
