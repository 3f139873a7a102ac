// SPDX-License-Identifier: GPL-2.0-only
//! A disk that grows, and shrinks again.

use super::keep;
use crate::agent::Agent;
use crate::dm;
use crate::sys::{Doing, Step, ensure, is_linux, open};
use crate::work::buffer::Buffer;
use crate::world::World;
use guest::layout::{BACKING_NODE, DISKS, Disk, LINEAR_NAME, LIVE, LIVE_BACKING_NODE, LIVE_LINEAR_NAME, MIB};
use nix::libc;
use std::os::unix::fs::FileExt;

/// The dm-linear disk's place in [`DISKS`].
const LINEAR: usize = 3;

/// Each new size is one hole, and changes go on being noted.
pub fn resize(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.drain_all()?;
    let disk = &DISKS[LINEAR];
    for size in [disk.size + 8 * MIB, disk.size] {
        dm::resize(LINEAR_NAME, BACKING_NODE, disk.image_offset, size)?;
        let hole = world.agent(LINEAR).take_hole()?;
        ensure(hole.as_deref().is_some_and(|hole| hole.contains("size")), || format!("{size} bytes: hole {hole:?}"))?;
        let again = world.agent(LINEAR).take_hole()?;
        ensure(again.is_none(), || format!("{size} bytes, said twice: {again:?}"))?;
    }
    begins_anew(&LIVE[LINEAR])?;
    Ok("grown by 8 MiB, and back; a grown disk has bits for all of it at its next start".into())
}

/// A disk that has grown has a larger bitmap, and a larger file, from its next start on.
fn begins_anew(disk: &'static Disk) -> Step {
    let resize = |size| dm::resize(LIVE_LINEAR_NAME, LIVE_BACKING_NODE, disk.image_offset, size);
    resize(disk.size - 8 * MIB)?;
    let agent = Agent::attach(disk)?;
    resize(disk.size)?;
    agent.remove()?;
    let mut agent = Agent::attach(disk)?;
    let hole = agent.take_hole()?;
    ensure(hole.as_deref().is_some_and(|hole| hole.contains("size")), || format!("{}: hole {hole:?}", disk.name))?;
    let end = disk.size - 4096;
    let file = open(disk.node, libc::O_DIRECT)?;
    file.write_all_at(Buffer::stamped(4096).bytes(), end).doing(|| format!("write to {}", disk.name))?;
    drop(file);
    // What waits goes to the file, and comes from it, where the kernel numbers disks.
    if is_linux((4, 14))? {
        agent.remove()?;
        agent = Agent::attach(disk)?;
    }
    keep::goes_on_with(agent, end)
}
