// SPDX-License-Identifier: GPL-2.0-only
//! What the driver costs, in instructions a write, on a disk that costs next to nothing itself.
//!
//! The VM counts one nanosecond for each instruction (`-icount shift=0`), so its time stamp counter counts them.

use crate::agent::{Agent, set_common};
use crate::channel::Channel;
use crate::module;
use crate::sys::{Doing, Step, ensure, open};
use crate::work::{buffer::Buffer, null_blk};
use crate::world::joined;
use guest::protocol::{INVOLFLT, Measured, Message, Setting};
use involflt::abi::attribute::common::HIGH_WATER_NOT_STARTED;
use nix::libc;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// What the null_blk module is loaded with: requests that complete while they are given to it, by any processor.
pub const NULL_BLK: &std::ffi::CStr = c"irqmode=0 queue_mode=2 submit_queues=4 nr_devices=64 gb=1";
const SIZE: u64 = 1 << 30;
const WRITES: u64 = 20_000;
const LENGTH: u64 = 4096;
/// Extents that may wait: more than are written.
const EXTENTS: u32 = 65_536;

/// Measures every setting in every state, and tells the host.
pub fn run(channel: &mut Channel, settings: &[Setting]) -> Step {
    let first = settings[0];
    for setting in settings {
        measure(channel, setting, Measured::NOT_LOADED)?;
    }
    measure(channel, &first, Measured::AGAIN)?;
    module::load(INVOLFLT)?;
    measure(channel, &first, Measured::NOT_FILTERED)?;
    for setting in settings {
        filtered(channel, setting, Measured::BITMAP, 0)?;
        filtered(channel, setting, Measured::METADATA, EXTENTS)?;
    }
    Ok(())
}

/// Measures with the disks filtered, in the state that this limit of extents makes; it must still be the same then.
fn filtered(channel: &mut Channel, setting: &Setting, state: &str, limit: u32) -> Step {
    set_common(HIGH_WATER_NOT_STARTED, limit)?;
    let free = free_bytes()?;
    let mut agents =
        (0..setting.disks).map(|index| Agent::attach(null_blk::disk(index, SIZE))).collect::<Step<Vec<_>>>()?;
    let bytes = free.saturating_sub(free_bytes()?) / u64::from(setting.disks);
    channel.send(&Message::Memory { setting: *setting, bytes, extents: EXTENTS.into() });
    measure(channel, setting, state)?;
    for agent in &agents {
        let found = agent.statistics()?.text("state")?;
        ensure(found == state, || format!("measured in the state {found}, not {state}"))?;
    }
    if setting.disks == 1 && state == Measured::METADATA {
        drain(channel, setting, &mut agents[0])?;
    }
    agents.into_iter().try_for_each(Agent::detach)
}

/// What it takes to drain the extents that wait, and to copy as many bytes as they are for.
fn drain(channel: &mut Channel, setting: &Setting, agent: &mut Agent) -> Step {
    let count = agent.statistics()?.get("pending_bytes")? / LENGTH;
    let mut send = |state: &str, writes, instructions| {
        let state = state.to_string();
        channel.send(&Message::Measured(Measured { setting: *setting, state, writes, instructions }));
    };
    let start = instructions();
    agent.drain_all()?;
    send(Measured::DRAIN, count, instructions() - start);
    let (from, mut to) = (vec![1_u8; LENGTH as usize], vec![0_u8; LENGTH as usize]);
    let start = instructions();
    for _ in 0..WRITES {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
    }
    send(Measured::COPY, WRITES, instructions() - start);
    Ok(())
}

/// Bytes of memory that nobody uses.
fn free_bytes() -> Step<u64> {
    let text = fs::read_to_string("/proc/meminfo").doing(|| "/proc/meminfo".into())?;
    let free = text.lines().find_map(|line| line.strip_prefix("MemFree:")?.trim().strip_suffix(" kB"));
    let free: u64 = free.unwrap_or_default().parse().doing(|| "MemFree of /proc/meminfo".into())?;
    Ok(free << 10)
}

fn measure(channel: &mut Channel, setting: &Setting, state: &str) -> Step {
    let disks = (0..setting.written)
        .map(|index| open(null_blk::disk(index, SIZE).node, libc::O_DIRECT))
        .collect::<Step<Vec<_>>>()?;
    write(&disks, setting, WRITES / 20)?;
    let start = instructions();
    write(&disks, setting, WRITES)?;
    let instructions = instructions() - start;
    let state = state.to_string();
    channel.send(&Message::Measured(Measured { setting: *setting, state, writes: WRITES, instructions }));
    Ok(())
}

fn write(disks: &[File], setting: &Setting, count: u64) -> Step {
    let writers = setting.writers as usize;
    if writers == 1 {
        return writes(disks, 0..count);
    }
    let each = count / writers as u64;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|index| {
                let disk = std::slice::from_ref(&disks[index % disks.len()]);
                scope.spawn(move || writes(disk, index as u64 * each..(index as u64 + 1) * each))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| joined(thread.join()))
    })
}

/// Writes to the disks in turns, with gaps between the writes, so that no two become one extent.
fn writes(disks: &[File], places: std::ops::Range<u64>) -> Step {
    let buffer = Buffer::new(LENGTH as usize);
    for (place, disk) in places.zip(disks.iter().cycle()) {
        let offset = place * 2 * LENGTH;
        disk.write_all_at(buffer.bytes(), offset).doing(|| format!("null_blk: write at {offset}"))?;
    }
    Ok(())
}

fn instructions() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and the kernel lets programs use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}
