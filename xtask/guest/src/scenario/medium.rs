// SPDX-License-Identifier: GPL-2.0-only
//! A disk in which there is another medium of the same size: a loop device that gets another file.

use crate::agent::Agent;
use crate::module;
use crate::sys::{Doing, Failure, Step, ensure, ioctl_word, open};
use crate::work::{buffer::Buffer, null_blk};
use guest::layout::MIB;
use guest::protocol::MODULES;
use nix::libc;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

const NODE: &str = "/dev/loop0";
const MEDIA: [&str; 2] = ["/mnt/medium-0", "/mnt/medium-1"];
const SIZE: u64 = 8 * MIB;
const LOOP_SET_FD: u32 = 0x4c00;
const LOOP_CLR_FD: u32 = 0x4c01;

/// It is one hole, and changes go on being noted.
pub fn scenario() -> Step<String> {
    let file = format!("{MODULES}/loop.ko");
    if fs::exists(&file).doing(|| file.clone())? {
        module::load(&file)?;
    }
    if !fs::exists("/sys/block/loop0/diskseq").doing(|| "diskseq".into())? {
        return Err(Failure::Skipped("the kernel does not tell one medium from another".into()));
    }
    insert(MEDIA[0])?;
    let mut agent = Agent::attach(null_blk::at(NODE, SIZE))?;
    let done = changed(&mut agent);
    agent.detach().and(done)?;
    eject()?;
    MEDIA.into_iter().try_for_each(|medium| fs::remove_file(medium).doing(|| medium.into()))?;
    Ok("a loop device with another file".into())
}

fn changed(agent: &mut Agent) -> Step {
    written(agent, 0)?;
    eject()?;
    insert(MEDIA[1])?;
    let hole = agent.take_hole()?;
    ensure(hole.as_deref().is_some_and(|hole| hole.contains("medium")), || format!("{NODE}: hole {hole:?}"))?;
    written(agent, MIB)
}

/// What is written is drained, and nothing else; there is no hole.
fn written(agent: &mut Agent, offset: u64) -> Step {
    let buffer = Buffer::stamped(4096);
    open(NODE, libc::O_DIRECT)?.write_all_at(buffer.bytes(), offset).doing(|| format!("{NODE}: write"))?;
    agent.drain_all()?;
    let found: Vec<_> = std::mem::take(&mut agent.drained).iter().collect();
    ensure(found == [(offset, 4096)], || format!("{NODE}: drained {found:?} after a write at {offset}"))
}

fn insert(medium: &str) -> Step {
    File::create(medium).and_then(|file| file.set_len(SIZE)).doing(|| medium.into())?;
    let descriptor = open(medium, 0)?;
    ioctl_word(&open(NODE, 0)?, LOOP_SET_FD, descriptor.as_raw_fd() as usize)
        .map(drop)
        .doing(|| format!("insert {medium}"))
}

fn eject() -> Step {
    ioctl_word(&open(NODE, 0)?, LOOP_CLR_FD, 0).map(drop).doing(|| format!("eject {NODE}"))
}
