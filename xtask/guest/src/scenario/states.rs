// SPDX-License-Identifier: GPL-2.0-only
//! Capture states, forced by the driver's own limits: what was written under them must come out of the next drains.

use crate::agent::{self, Agent};
use crate::sys::{Doing, Step, ensure, open};
use crate::work::{self, Random, buffer::Buffer, ranges};
use crate::world::World;
use guest::extents::Extents;
use guest::layout::{DISKS, Disk};
use involflt::abi::attribute::common::{
    HIGH_WATER_NOT_STARTED, HIGH_WATER_RUNNING, HIGH_WATER_SHUTDOWN, LOW_WATER_RUNNING,
};
use nix::libc;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

/// The limits that the driver begins with.
pub(super) const DEFAULT_LIMITS: (u32, u32) = (8192, 16384);

/// Whether the agent's service is there, was there, or was not: a scenario before this one may have been it.
pub(super) fn set_limits((high, low): (u32, u32)) -> Step {
    let limits = [HIGH_WATER_NOT_STARTED, HIGH_WATER_RUNNING, HIGH_WATER_SHUTDOWN];
    limits.into_iter().try_for_each(|limit| agent::set_common(limit, high))?;
    agent::set_common(LOW_WATER_RUNNING, low)
}

/// Without room for a single extent every write is in a dirty bit.
pub fn bitmap(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.drain_all()?;
    set_limits((0, 0))?;
    let falls = falls(world)?;
    written_is_drained(world)?;
    for (index, before) in falls.iter().enumerate() {
        let statistics = world.agent(index).statistics()?;
        let (state, name) = (statistics.text("state")?, DISKS[index].name);
        ensure(state == "bitmap", || format!("{name}: the state is {state}"))?;
        let after = statistics.get("falls_to_bitmap")?;
        ensure(after == before + 1, || format!("{name}: fell {} times", after - before))?;
    }
    set_limits(DEFAULT_LIMITS)?;
    Ok("500 writes and discards on each disk".into())
}

/// With room for few extents a busy disk falls to dirty bits, and each drain brings it up again.
pub fn up_and_down(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.drain_all()?;
    set_limits((24, 8))?;
    let before = falls(world)?;
    written_is_drained(world)?;
    let after = falls(world)?;
    for (disk, (before, after)) in DISKS.iter().zip(before.iter().zip(&after)) {
        ensure(after > before, || format!("{}: never fell to dirty bits", disk.name))?;
        let state = world.agent(disk_index(disk)).statistics()?.text("state")?;
        ensure(state == "metadata", || format!("{}: the state after the last drain is {state}", disk.name))?;
    }
    set_limits(DEFAULT_LIMITS)?;
    let falls: Vec<_> = before.iter().zip(&after).map(|(before, after)| (after - before).to_string()).collect();
    Ok(format!("500 writes and discards on each disk; {} falls", falls.join(" + ")))
}

fn disk_index(disk: &Disk) -> usize {
    DISKS.iter().position(|other| other.name == disk.name).unwrap_or_default()
}

fn falls(world: &World) -> Step<Vec<u64>> {
    (0..DISKS.len()).map(|index| world.agent(index).statistics()?.get("falls_to_bitmap")).collect()
}

/// Writes to every disk while all are drained, drains to the end, and looks for each write in what was drained since.
pub(super) fn written_is_drained(world: &World) -> Step {
    let drained_before: Vec<_> =
        (0..DISKS.len()).map(|index| std::mem::take(&mut world.agent(index).drained)).collect();
    let written = Mutex::new(Vec::new());
    world.on_disks(&DISKS, |disk| {
        let places = writes(disk, 500)?;
        written.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((disk_index(disk), places));
        Ok(String::new())
    })?;
    world.drain_all()?;
    for (index, places) in written.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        missing(&world.agent(index), &places)?;
    }
    for (index, before) in drained_before.into_iter().enumerate() {
        let mut agent = world.agent(index);
        before.iter().for_each(|(offset, length)| agent.drained.insert(offset, length));
    }
    Ok(())
}

/// Each of these extents was drained.
pub(super) fn missing(agent: &Agent, written: &Extents) -> Step {
    for (offset, length) in written.iter() {
        ensure(agent.drained.covers(offset, length), || {
            format!("{}: {length} bytes at {offset} were written and not drained", agent.disk.name)
        })?;
    }
    Ok(())
}

/// So many direct writes of 512 bytes to 128 KiB, with a discard in every fifty.
pub(super) fn writes(disk: &Disk, count: u64) -> Step<Extents> {
    let file = open(disk.node, libc::O_DIRECT)?;
    let mut random = Random::new(disk.size ^ disk.node.len() as u64);
    let mut written = Extents::default();
    for index in 0..count {
        if index % 50 == 49 {
            let offset = random.place(&work::OPEN, 65536, 4096);
            ranges::discard_or_zero(&file, offset, 65536)?;
            written.insert(offset, 65536);
        } else {
            let length = 512 * (1 + random.below(if index % 8 == 0 { 256 } else { 8 }));
            let offset = random.place(&work::OPEN, length, 512);
            file.write_all_at(Buffer::stamped(length as usize).bytes(), offset)
                .doing(|| format!("{}: write {length} bytes at {offset}", disk.name))?;
            written.insert(offset, length);
        }
    }
    Ok(written)
}
