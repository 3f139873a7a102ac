// SPDX-License-Identifier: GPL-2.0-only
//! What the driver says of single operations: batches and counters.

use crate::agent::Agent;
use crate::sys::{Doing, Failure, Step, ensure, is_errno, is_linux, open};
use crate::work::{self, buffer::Buffer, ranges};
use crate::world::World;
use guest::layout::MIB;
use nix::libc;
use std::fs::File;
use std::os::unix::fs::FileExt;

fn write(file: &File, offset: u64, length: usize) -> Step {
    file.write_all_at(Buffer::stamped(length).bytes(), offset).doing(|| format!("write {length} bytes at {offset}"))
}

/// On every disk: one write is one extent, delivered until committed; a wrong commit is refused; then there is nothing.
pub fn drain_protocol(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.drain_all()?;
    for index in 0..world.agents.len() {
        one_write(&mut world.agent(index))?;
    }
    Ok("one write, one extent, on each disk".into())
}

fn one_write(agent: &mut Agent) -> Step {
    let name = agent.disk.name;
    let place = (work::PROTOCOL.start + 4096, 8192);
    write(&open(agent.disk.node, libc::O_DIRECT)?, place.0, place.1 as usize)?;
    let batch = agent.get()?;
    ensure(batch.changes == [place], || format!("{name}: {:?} after one write of {place:?}", batch.changes))?;
    let again = agent.get()?;
    ensure(again == batch, || format!("{name}: not committed, {batch:?} came again as {again:?}"))?;
    let wrong = agent.commit(batch.transaction + 1000);
    ensure(wrong.is_err_and(|error| is_errno(&error, &[libc::EFAULT, libc::EINVAL])), || {
        format!("{name}: a commit of a wrong transaction is not refused")
    })?;
    ensure(agent.drain_once()?, || format!("{name}: the batch is gone after a refused commit"))?;
    ensure(!agent.drain_once()?, || format!("{name}: changes after the only one was committed"))
}

/// On every disk, exact counts of direct writes; of discards and write-zeroes where one call is one command.
pub fn statistics(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.drain_all()?;
    (0..world.agents.len()).try_for_each(|index| counts(&world.agent(index)))?;
    Ok("72 writes, 1 discard and 1 write-zeroes counted on each disk".into())
}

/// Does `work` and expects the counters to grow by one of `expected`, at once.
fn expect<const N: usize>(agent: &Agent, keys: [&str; N], expected: &[[u64; N]], work: impl FnOnce() -> Step) -> Step {
    let read = || -> Step<[u64; N]> {
        let (statistics, mut values) = (agent.statistics()?, [0; N]);
        for (value, key) in values.iter_mut().zip(keys) {
            *value = statistics.get(key)?;
        }
        Ok(values)
    };
    let before = read()?;
    work()?;
    let after = read()?;
    let found = std::array::from_fn(|index| after[index] - before[index]);
    if expected.contains(&found) {
        return Ok(());
    }
    Err(Failure::Failed(format!("{}: {keys:?} grew by {found:?}, not by one of {expected:?}", agent.disk.name)))
}

fn counts(agent: &Agent) -> Step {
    let file = open(agent.disk.node, libc::O_DIRECT)?;
    let start = work::STATISTICS.start;
    expect(agent, ["writes", "write_bytes", "discards"], &[[72, 64 * 4096 + 8 * 65536, 0]], || {
        (0..64).try_for_each(|index| write(&file, start + index * 8192, 4096))?;
        (0..8).try_for_each(|index| write(&file, start + MIB + index * 65536, 65536))
    })?;
    // virtio-blk has no discard before Linux 5.0.
    let discarded = if is_linux((5, 0))? { [1, MIB, 0] } else { [0; 3] };
    expect(agent, ["discards", "discard_bytes", "writes"], &[[1, MIB, 0], discarded], || {
        match ranges::discard(&file, start + 2 * MIB, MIB) {
            Err(Failure::Skipped(_)) if discarded == [0; 3] => Ok(()),
            done => done,
        }
    })?;
    // A disk without the command gets pages of zeroes instead. Before Linux 4.10 a SCSI disk's is one of SCSI's own.
    let zeroed = [[1, 65536, 0], [0, 0, 65536], [0; 3]];
    let zeroed = &zeroed[..if is_linux((4, 10))? { 2 } else { 3 }];
    expect(agent, ["write_zeroes", "write_zeroes_bytes", "write_bytes"], zeroed, || {
        ranges::zero(&file, start + 4 * MIB, 65536)
    })
}
