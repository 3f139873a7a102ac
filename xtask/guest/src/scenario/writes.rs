// SPDX-License-Identifier: GPL-2.0-only
//! Work that the judge then looks at: every block it changes must have been drained.

use crate::sys::{Step, ensure, open};
use crate::work::{self, file_system, libaio as aio, plain, ranges, uring};
use crate::world::World;
use guest::layout::{DISKS, MIB};
use nix::libc;

/// 64 MiB of buffered writes on an idle disk, written back in plugged batches, are all seen: what a driver misses that
/// wraps `queue_rq` and forgets `queue_rqs`.
pub fn buffered_plugged(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.drain_all()?;
    let before: Vec<_> = (0..DISKS.len()).map(|index| world.agent(index).statistics()).collect::<Step<_>>()?;
    let said = world.on_disks(&DISKS, |disk| {
        plain::fill(&open(disk.node, 0)?, &work::OPEN, MIB as usize).map(|bytes| format!("{} MiB", bytes / MIB))
    })?;
    for (index, before) in before.iter().enumerate() {
        let agent = world.agent(index);
        let seen = agent.statistics()?.get("write_bytes")? - before.get("write_bytes")?;
        let written = work::OPEN.end - work::OPEN.start;
        ensure(seen >= written, || format!("{}: {seen} of {written} bytes seen", agent.disk.name))?;
    }
    Ok(said)
}

/// Direct writes of many sizes to random places.
pub fn direct(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.on_disks(&DISKS, |disk| plain::scattered(disk.node, libc::O_DIRECT, &work::OPEN, 300))
}

/// Synchronous buffered writes of many sizes to random places.
pub fn synchronous(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.on_disks(&DISKS, |disk| plain::scattered(disk.node, libc::O_SYNC, &work::OPEN, 100))
}

/// Batches of io_uring.
pub fn io_uring(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.on_disks(&DISKS, |disk| uring::batches(disk.node, &work::OPEN, 8, 32))
}

/// Batches of io_submit.
pub fn libaio(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.on_disks(&DISKS, |disk| aio::batches(disk.node, &work::OPEN, 8, 32))
}

/// Discards of several sizes, of random data.
pub fn discard(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.on_disks(&DISKS, |disk| {
        let (file, start) = (open(disk.node, 0)?, work::DISCARD.start);
        for (offset, length) in [(0, MIB), (MIB + 4096, 4096), (2 * MIB, 65536), (3 * MIB, 4 * MIB)] {
            ranges::discard(&file, start + offset, length)?;
        }
        Ok("5188 KiB".into())
    })
}

/// Write-zeroes of several sizes, over random data.
pub fn write_zeroes(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.on_disks(&DISKS, |disk| {
        let (file, start) = (open(disk.node, 0)?, work::ZEROES.start);
        for (offset, length) in [(0, MIB), (MIB + 512, 512), (2 * MIB, 65536), (3 * MIB, 4 * MIB)] {
            ranges::zero(&file, start + offset, length)?;
        }
        Ok("5184.5 KiB".into())
    })
}

/// Two disks of different kinds, each with direct and buffered writers, drained at intervals.
pub fn two_disks(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.on_disks(&[DISKS[0], DISKS[3]], |disk| {
        let (middle, end) = (work::OPEN.start + 32 * MIB, work::OPEN.end);
        let direct = plain::scattered(disk.node, libc::O_DIRECT, &(work::OPEN.start..middle), 150)?;
        let buffered = plain::scattered(disk.node, 0, &(middle..end), 150)?;
        Ok(format!("{direct} direct, {buffered} buffered"))
    })
}

/// The file system of every disk.
pub fn file_systems(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.on_disks(&DISKS, file_system::cycle)
}
