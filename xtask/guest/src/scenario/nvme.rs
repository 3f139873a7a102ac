// SPDX-License-Identifier: GPL-2.0-only
//! NVMe commands that a program gives to a disk by itself: what they write is drained, and what nobody can decode is a hole.

use super::passthrough::{SECTOR, STEP, drained, in_one_piece_and_two};
use crate::sys::{Doing, Step, ensure, is_linux, open};
use crate::work;
use crate::work::buffer::Buffer;
use crate::work::nvme::{Command, send};
use crate::world::World;
use guest::layout::DISKS;
use nix::libc;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The NVMe disk's place in [`DISKS`].
const NVME: usize = 2;
/// Writes of which one, at the least, gets a request that a remembered write before it had, by which the driver finds the
/// commands: tags may go round, each of the two CPUs has 1023, and 256, 512 and 1024 others are the first that it bears.
const WRITES: u64 = 4096;

/// A command, what it sends, and the sectors that it changes: first, and how many.
type Case = (&'static str, Command, Vec<u8>, Vec<(u64, u64)>);

fn cases(first: u64) -> Vec<Case> {
    let at = |index: u64| first + index * STEP;
    let words = |index, count: u32| [at(index) as u32, (at(index) >> 32) as u32, count - 1];
    let mut ranges = vec![0; 32];
    for (slot, index) in [(0, 2_u64), (16, 3)] {
        ranges[slot + 4..slot + 8].copy_from_slice(&8_u32.to_le_bytes());
        ranges[slot + 8..slot + 16].copy_from_slice(&at(index).to_le_bytes());
    }
    vec![
        ("WRITE", (0x01, words(0, 16)), vec![0x5a; 16 * SECTOR as usize], vec![(at(0), 16)]),
        ("WRITE ZEROES", (0x08, words(1, 32)), Vec::new(), vec![(at(1), 32)]),
        ("DATASET MANAGEMENT, deallocate", (0x09, [1, 4, 0]), ranges.clone(), vec![(at(2), 8), (at(3), 8)]),
        ("DATASET MANAGEMENT, a hint", (0x09, [1, 1, 0]), ranges, Vec::new()),
        ("FLUSH", (0x00, [0; 3]), Vec::new(), Vec::new()),
    ]
}

/// Linux before 5.13 makes the command elsewhere than in the request's memory.
pub(super) fn is_decoded() -> Step<bool> {
    is_linux((5, 13))
}

/// So many writes of so many bytes, one behind the other.
pub(super) fn write_often(disk: &File, start: u64, bytes: usize) -> Step {
    for offset in (start..).step_by(bytes).take(WRITES as usize) {
        disk.write_all_at(Buffer::stamped(bytes).bytes(), offset).doing(|| format!("write at {offset}"))?;
    }
    Ok(())
}

/// After some writes, by which the driver finds where the commands are, each command's sectors are drained and nothing else.
pub fn scenario(world: &mut World) -> Step<String> {
    world.attach_all()?;
    let disk = open(DISKS[NVME].node, libc::O_DIRECT)?;
    write_often(&disk, work::OPEN.start, 4096)?;
    world.drain_all()?;
    let cases = cases(work::OPEN.start / SECTOR);
    let decoded = is_decoded()?;
    for (name, command, data, changed) in &cases {
        for mut data in in_one_piece_and_two(data) {
            let mut send = || send(&disk, *command, data.bytes_mut());
            if decoded {
                drained(world, NVME, name, send, changed)?;
            } else {
                send()?;
                hole(world, name)?;
            }
        }
    }
    // A vendor's command, which QEMU's disk does not have.
    let status = send(&disk, (0xc1, [0; 3]), &mut [])?;
    ensure(status != 0, || "a vendor's command was done".into())?;
    hole(world, "a vendor's command")?;
    if !decoded {
        // What the commands have changed was not drained.
        write_often(&disk, work::OPEN.start, 4096)?;
    }
    let how = if decoded { "decoded" } else { "holes" };
    Ok(format!("{} commands, {how}, and one that is not decoded", cases.len()))
}

fn hole(world: &World, name: &str) -> Step {
    let hole = world.agent(NVME).take_hole()?;
    ensure(hole.as_deref().is_some_and(|hole| hole.contains("passthrough")), || format!("{name}: hole {hole:?}"))
}
