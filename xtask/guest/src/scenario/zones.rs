// SPDX-License-Identifier: GPL-2.0-only
//! A disk of zones: what is done to a zone as a whole is a change of all of it.

use crate::agent::Agent;
use crate::dm;
use crate::sys::{Doing, Failure, Fields, Step, ensure, ioctl, is_errno, open};
use crate::work::{buffer::Buffer, null_blk};
use guest::layout::{MIB, NEXT_DM_NODE};
use nix::libc;
use std::fs::File;
use std::os::unix::fs::FileExt;

const ZONE: u64 = 4 * MIB;
const SIZE: u64 = 1 << 30;
/// `_IOW(0x12, nr, struct blk_zone_range)`
const fn request(nr: u32) -> u32 {
    1 << 30 | 16 << 16 | 0x12 << 8 | nr
}
pub(super) const BLKRESETZONE: u32 = request(131);
const BLKOPENZONE: u32 = request(134);
const BLKFINISHZONE: u32 = request(136);

/// A blk-mq disk, and a bio-based one on it.
pub fn scenario() -> Step<String> {
    let parameters = c"queue_mode=2 irqmode=0 gb=1 nr_devices=1 zoned=1 zone_size=4";
    null_blk::load(parameters)?;
    let done = on_both(null_blk::disk(0, SIZE).node);
    null_blk::unload().and(done)?;
    Ok("writes, finish, reset, and reset of all, on a blk-mq and a bio-based disk".into())
}

fn on_both(node: &'static str) -> Step {
    of_disk(node)?;
    dm::linear("zones", node, 0, SIZE)?;
    let done = of_disk(NEXT_DM_NODE);
    dm::remove("zones").and(done)
}

fn of_disk(node: &'static str) -> Step {
    let mut agent = Agent::attach(null_blk::at(node, SIZE))?;
    let done = each_operation(&mut agent);
    agent.detach().and(done)
}

fn each_operation(agent: &mut Agent) -> Step {
    let file = open(agent.disk.node, libc::O_DIRECT)?;
    changes(agent, "a write", &[&[(0, 65536)]], || {
        file.write_all_at(Buffer::stamped(65536).bytes(), 0).doing(|| "write".into())
    })?;
    changes(agent, "open", &[&[]], || manage(&file, BLKOPENZONE, 2 * ZONE, ZONE))?;
    changes(agent, "finish", &[&[(ZONE, ZONE)]], || manage(&file, BLKFINISHZONE, ZONE, ZONE))?;
    changes(agent, "reset", &[&[(0, ZONE)]], || manage(&file, BLKRESETZONE, 0, ZONE))?;
    // Some kernels reset a bio-based disk's zones one by one, and those alone that have been opened.
    let all: [&[_]; 2] = [&[(0, SIZE)], &[(ZONE, 2 * ZONE)]];
    changes(agent, "reset of all", &all, || manage(&file, BLKRESETZONE, 0, SIZE))
}

pub(super) fn manage(file: &File, word: u32, offset: u64, length: u64) -> Step {
    let mut range = [0; 16];
    range.put(0, &(offset / 512).to_le_bytes());
    range.put(8, &(length / 512).to_le_bytes());
    match ioctl(file, word, &mut range) {
        Ok(_) => Ok(()),
        Err(error) if is_errno(&error, &[libc::ENOTTY]) => {
            Err(Failure::Skipped("the kernel opens and finishes no zones, or has none".into()))
        }
        Err(error) => Err(error).doing(|| format!("zone operation {word:#x} at {offset}")),
    }
}

/// Just the extents of one of these lists are drained after the work.
fn changes(agent: &mut Agent, what: &str, expected: &[&[(u64, u64)]], work: impl FnOnce() -> Step) -> Step {
    work()?;
    let found = drained(agent)?;
    ensure(expected.contains(&&*found), || {
        format!("{}: {what}: drained {found:?}, not one of {expected:?}", agent.disk.node)
    })
}

/// What was drained since it was asked last.
pub(super) fn drained(agent: &mut Agent) -> Step<Vec<(u64, u64)>> {
    agent.drain_all()?;
    Ok(std::mem::take(&mut agent.drained).iter().collect())
}
