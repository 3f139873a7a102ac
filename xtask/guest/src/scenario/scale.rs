// SPDX-License-Identifier: GPL-2.0-only
//! More disks, and a larger one, than anybody has.

use crate::agent::Agent;
use crate::sys::{Doing, Step, ensure, open};
use crate::work::{buffer::Buffer, null_blk};
use crate::world::World;
use guest::layout::MIB;
use nix::libc;
use std::ffi::CStr;
use std::os::unix::fs::FileExt;

const BLOCK: u64 = 4096;
const TIB: u64 = 1 << 40;

/// 64 disks at once, each with a change of its own; then one of 32 TiB with changes at both ends and in the middle.
pub fn many_and_large(_: &mut World) -> Step<String> {
    with_disks(c"queue_mode=2 irqmode=0 gb=1 nr_devices=64", 64, 1 << 30, |index| vec![(u64::from(index) + 1) * MIB])?;
    let size = 32 * TIB;
    with_disks(c"queue_mode=2 irqmode=0 gb=32768 nr_devices=1", 1, size, |_| vec![0, 16 * TIB + BLOCK, size - BLOCK])?;
    Ok("64 disks at once; 32 TiB".into())
}

/// Filters all of them, writes a block at each of a disk's places, and drains just those.
fn with_disks(parameters: &CStr, count: u32, size: u64, places: impl Fn(u32) -> Vec<u64>) -> Step {
    null_blk::load(parameters)?;
    let mut agents = (0..count).map(|index| Agent::attach(null_blk::disk(index, size))).collect::<Step<Vec<_>>>()?;
    let buffer = Buffer::new(BLOCK as usize);
    for (agent, index) in agents.iter().zip(0..) {
        let disk = open(agent.disk.node, libc::O_DIRECT)?;
        for place in places(index) {
            disk.write_all_at(buffer.bytes(), place).doing(|| format!("{}: write at {place}", agent.disk.node))?;
        }
    }
    for (agent, index) in agents.iter_mut().zip(0..) {
        agent.drain_all()?;
        let (drained, written) = (agent.drained.iter(), places(index).into_iter().map(|place| (place, BLOCK)));
        let node = agent.disk.node;
        ensure(drained.eq(written), || format!("{node}: drained {:?}", agent.drained.iter().collect::<Vec<_>>()))?;
    }
    agents.into_iter().try_for_each(Agent::detach)?;
    null_blk::unload()
}
