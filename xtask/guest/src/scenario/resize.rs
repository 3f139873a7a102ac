// SPDX-License-Identifier: GPL-2.0-only
//! A disk that grows, and shrinks again.

use crate::dm;
use crate::sys::{Step, ensure};
use crate::world::World;
use guest::layout::{BACKING_NODE, DISKS, LINEAR_NAME, MIB};

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
    Ok("grown by 8 MiB, and back".into())
}
