// SPDX-License-Identifier: GPL-2.0-only
//! What the driver costs, in instructions a write, on a disk that costs next to nothing itself.
//!
//! The VM counts one nanosecond for each instruction (`-icount shift=0`), so its time stamp counter counts them.

use crate::agent::{Agent, FILES, become_service, persistent_name, set_common};
use crate::channel::Channel;
use crate::module;
use crate::order::wait_until;
use crate::sys::{Doing, Step, ensure, open};
use crate::work::{buffer::Buffer, null_blk};
use crate::world::joined;
use guest::protocol::{INVOLFLT, Measured, Message, Setting};
use involflt::abi::attribute::common::HIGH_WATER_NOT_STARTED;
use nix::libc;
use nix::mount::{MsFlags, mount};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

/// What the null_blk module is loaded with: requests that complete while they are given to it, by any processor.
pub const NULL_BLK: &std::ffi::CStr = c"irqmode=0 queue_mode=2 submit_queues=4 nr_devices=64 gb=1";
/// The disk with the bitmap files.
const DISK: &str = "/dev/vda";
const SIZE: u64 = 1 << 30;
const WRITES: u64 = 20_000;
/// Bytes that are written where the data of all of it is kept: half of what the smallest pool holds.
const DATA_BYTES: u64 = 32 << 20;
/// Extents that may wait: more than are written.
const EXTENTS: u32 = 65_536;

fn length(setting: &Setting) -> u64 {
    u64::from(setting.kib) << 10
}

fn writes_that_are_kept(setting: &Setting) -> u64 {
    WRITES.min(DATA_BYTES / length(setting))
}

/// Measures every setting in every state, and tells the host. Of large writes only the data costs more than of small ones.
pub fn run(channel: &mut Channel, settings: &[Setting]) -> Step {
    let first = settings[0];
    for setting in settings {
        measure(channel, setting, Measured::NOT_LOADED)?;
    }
    measure(channel, &first, Measured::AGAIN)?;
    module::load(INVOLFLT)?;
    measure(channel, &first, Measured::NOT_FILTERED)?;
    for setting in settings.iter().filter(|setting| setting.kib == first.kib) {
        filtered(channel, setting, Measured::BITMAP, 0)?;
        filtered(channel, setting, Measured::METADATA, EXTENTS)?;
    }
    if first.writers == 1 {
        file_system()?;
        filtered(channel, &first, Measured::WRITE_INTENT, EXTENTS)?;
    }
    let _service = become_service()?;
    settings.iter().try_for_each(|setting| filtered(channel, setting, Measured::DATA, EXTENTS))
}

/// Measures with the disks filtered, in the state that this limit of extents makes; it must still be the same then.
fn filtered(channel: &mut Channel, setting: &Setting, state: &str, limit: u32) -> Step {
    set_common(HIGH_WATER_NOT_STARTED, limit)?;
    let free = free_bytes()?;
    let agents =
        (0..setting.disks).map(|index| Agent::attach(null_blk::disk(index, SIZE))).collect::<Step<Vec<_>>>()?;
    let bytes = free.saturating_sub(free_bytes()?) / u64::from(setting.disks);
    if state == Measured::METADATA {
        channel.send(&Message::Memory { setting: *setting, bytes, extents: EXTENTS.into() });
    }
    if state == Measured::DATA {
        // Once, so that the pool has the memory that it will have: that is taken from the kernel only once, by a worker, which
        // needs the processor for it.
        let (disks, count) = (disks(setting)?, writes_that_are_kept(setting) / 32);
        for _ in 0..32 {
            write(&disks, setting, count)?;
            thread::sleep(Duration::from_millis(5));
        }
        agents.iter().try_for_each(Agent::drain_unread)?;
    }
    if state == Measured::WRITE_INTENT {
        agents.iter().try_for_each(Agent::intend)?;
        write(&disks(setting)?, setting, WRITES)?;
        agents.iter().try_for_each(Agent::drain_unread)?;
    }
    measure(channel, setting, state)?;
    let expected = if state == Measured::WRITE_INTENT { Measured::METADATA } else { state };
    for agent in &agents {
        let found = agent.statistics()?.text("state")?;
        ensure(found == expected, || format!("measured in the state {found}, not {expected}"))?;
    }
    match state {
        Measured::METADATA if setting.disks == 1 => drain(channel, setting, &agents[0], Measured::DRAIN)?,
        Measured::DATA if setting.disks == 1 => drain(channel, setting, &agents[0], Measured::DRAIN_DATA)?,
        _ => {}
    }
    agents.into_iter().try_for_each(Agent::detach)
}

/// Where the driver keeps its files; a virtio-blk disk has it.
fn file_system() -> Step {
    wait_until(DISK, true)?;
    fs::create_dir_all(FILES).doing(|| FILES.into())?;
    mount(Some(DISK), FILES, Some("ext4"), MsFlags::empty(), None::<&str>).doing(|| format!("mount {DISK}"))?;
    // There is no mkdir here that the driver could call.
    let directory = format!("{FILES}/{}", persistent_name(null_blk::disk(0, SIZE).node));
    fs::create_dir_all(&directory).doing(|| directory.clone())
}

/// What it takes to drain what waits, and to copy as many bytes as it is for.
fn drain(channel: &mut Channel, setting: &Setting, agent: &Agent, state: &str) -> Step {
    let count = agent.statistics()?.get("pending_bytes")? / length(setting);
    let mut send = |state: &str, writes, instructions| {
        let state = state.to_string();
        channel.send(&Message::Measured(Measured { setting: *setting, state, writes, instructions }));
    };
    let start = instructions();
    agent.drain_unread()?;
    send(state, count, instructions() - start);
    let (from, mut to) = (vec![1_u8; length(setting) as usize], vec![0_u8; length(setting) as usize]);
    let start = instructions();
    for _ in 0..count {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
    }
    send(Measured::COPY, count, instructions() - start);
    Ok(())
}

/// Bytes of memory that nobody uses.
fn free_bytes() -> Step<u64> {
    let text = fs::read_to_string("/proc/meminfo").doing(|| "/proc/meminfo".into())?;
    let free = text.lines().find_map(|line| line.strip_prefix("MemFree:")?.trim().strip_suffix(" kB"));
    let free: u64 = free.unwrap_or_default().parse().doing(|| "MemFree of /proc/meminfo".into())?;
    Ok(free << 10)
}

fn disks(setting: &Setting) -> Step<Vec<File>> {
    (0..setting.written).map(|index| open(null_blk::disk(index, SIZE).node, libc::O_DIRECT)).collect()
}

fn measure(channel: &mut Channel, setting: &Setting, state: &str) -> Step {
    let disks = disks(setting)?;
    let count = if state == Measured::DATA { writes_that_are_kept(setting) * 9 / 10 } else { WRITES };
    write(&disks, setting, count / 20)?;
    let start = instructions();
    write(&disks, setting, count)?;
    let instructions = instructions() - start;
    let state = state.to_string();
    channel.send(&Message::Measured(Measured { setting: *setting, state, writes: count, instructions }));
    Ok(())
}

fn write(disks: &[File], setting: &Setting, count: u64) -> Step {
    let writers = setting.writers as usize;
    if writers == 1 {
        return writes(disks, length(setting), 0..count);
    }
    let each = count / writers as u64;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|index| {
                let disk = std::slice::from_ref(&disks[index % disks.len()]);
                scope.spawn(move || writes(disk, length(setting), index as u64 * each..(index as u64 + 1) * each))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| joined(thread.join()))
    })
}

/// Writes to the disks in turns, with gaps between the writes, so that no two become one extent.
fn writes(disks: &[File], length: u64, places: std::ops::Range<u64>) -> Step {
    let buffer = Buffer::new(length as usize);
    for (place, disk) in places.zip(disks.iter().cycle()) {
        let offset = place * 2 * length % SIZE;
        disk.write_all_at(buffer.bytes(), offset).doing(|| format!("null_blk: write at {offset}"))?;
    }
    Ok(())
}

fn instructions() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and the kernel lets programs use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}
