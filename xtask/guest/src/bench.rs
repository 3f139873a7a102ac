// SPDX-License-Identifier: GPL-2.0-only
//! What the driver costs, in instructions a write, on a disk that costs next to nothing itself.
//!
//! The VM counts one nanosecond for each instruction (`-icount shift=0`), so its time stamp counter counts them.

use crate::agent::{Agent, set_common};
use crate::channel::Channel;
use crate::module;
use crate::sys::{Doing, Step, ensure, open};
use crate::work::buffer::Buffer;
use guest::layout::{Disk, FileSystem};
use guest::protocol::{INVOLFLT, Measured, Message};
use involflt::abi::attribute::common::HIGH_WATER_NOT_STARTED;
use nix::libc;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// What the null_blk module is loaded with: one queue, and requests that complete while they are given to it.
pub const NULL_BLK: &std::ffi::CStr = c"irqmode=0 queue_mode=2 submit_queues=1 nr_devices=1 gb=1";
/// No file system is made on it.
static DISK: Disk = Disk {
    name: "null_blk",
    node: "/dev/nullb0",
    size: 1 << 30,
    image_offset: 0,
    file_system: FileSystem::Ext4,
    partitioned: false,
};
const WRITES: u64 = 20_000;
const LENGTH: u64 = 4096;

/// Measures every state and tells the host.
pub fn run(channel: &mut Channel) -> Step {
    measure(channel, Measured::NOT_LOADED)?;
    module::load(INVOLFLT)?;
    measure(channel, Measured::NOT_FILTERED)?;
    filtered(channel, Measured::BITMAP, 0)?;
    filtered(channel, Measured::METADATA, 65536)
}

/// Measures with the disk filtered, in the state that this limit of extents makes; the state must still be the same then.
fn filtered(channel: &mut Channel, state: &str, limit: u32) -> Step {
    set_common(HIGH_WATER_NOT_STARTED, limit)?;
    let agent = Agent::attach(&DISK)?;
    measure(channel, state)?;
    let found = agent.statistics()?.text("state")?;
    ensure(found == state, || format!("measured in the state {found}, not {state}"))?;
    agent.detach()
}

fn measure(channel: &mut Channel, state: &str) -> Step {
    let file = open(DISK.node, libc::O_DIRECT)?;
    let buffer = Buffer::new(LENGTH as usize);
    writes(&file, &buffer, WRITES / 20)?;
    let start = instructions();
    writes(&file, &buffer, WRITES)?;
    let instructions = instructions() - start;
    channel.send(&Message::Measured(Measured { state: state.into(), writes: WRITES, instructions }));
    Ok(())
}

/// Writes with gaps between them, so that no two become one extent.
fn writes(file: &File, buffer: &Buffer, count: u64) -> Step {
    for index in 0..count {
        let offset = index * 2 * LENGTH;
        file.write_all_at(buffer.bytes(), offset).doing(|| format!("{}: write at {offset}", DISK.node))?;
    }
    Ok(())
}

fn instructions() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and the kernel lets programs use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}
