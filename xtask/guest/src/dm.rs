// SPDX-License-Identifier: GPL-2.0-only
//! Makes devices with device-mapper's own ioctls.

use crate::sys::{Doing, Fields, Step, ioctl, open};
use std::fs::File;

/// Size of `struct dm_ioctl`.
const HEADER: usize = 312;
/// Size of `struct dm_target_spec`.
const SPEC: usize = 40;
/// A target's parameters have this much room.
const PARAMETERS: usize = 88;
const NAME_AT: u64 = 48;

/// `_IOWR(0xfd, nr, struct dm_ioctl)`
const fn request(nr: u32) -> u32 {
    3 << 30 | (HEADER as u32) << 16 | 0xfd << 8 | nr
}
const DEV_CREATE: u32 = request(3);
const DEV_REMOVE: u32 = request(4);
const DEV_SUSPEND: u32 = request(6);
const TABLE_LOAD: u32 = request(9);

/// A part of a device.
pub struct Target {
    /// Its size in bytes.
    pub size: u64,
    /// What device-mapper calls its kind.
    pub kind: &'static str,
    /// As device-mapper's table has them.
    pub parameters: String,
}

/// `backing` from `offset` on.
pub fn part_of(backing: &str, offset: u64, size: u64) -> Target {
    Target { size, kind: "linear", parameters: format!("{backing} {}", offset / 512) }
}

fn header(name: &str, targets: &[Target]) -> Vec<u8> {
    let mut buffer = vec![0; HEADER + targets.len() * (SPEC + PARAMETERS)];
    let bytes = buffer.len() as u32;
    buffer.put(0, &4_u32.to_le_bytes());
    buffer.put(12, &bytes.to_le_bytes());
    buffer.put(16, &(HEADER as u32).to_le_bytes());
    buffer.put(20, &(targets.len() as u32).to_le_bytes());
    buffer.put(NAME_AT, name.as_bytes());
    buffer
}

fn table(name: &str, targets: &[Target]) -> Vec<u8> {
    let (mut buffer, mut sector) = (header(name, targets), 0);
    for (target, spec) in targets.iter().zip(buffer[HEADER..].chunks_exact_mut(SPEC + PARAMETERS)) {
        spec.put(0, &u64::to_le_bytes(sector));
        spec.put(8, &(target.size / 512).to_le_bytes());
        spec.put(20, &((SPEC + PARAMETERS) as u32).to_le_bytes());
        spec.put(24, target.kind.as_bytes());
        spec.put(SPEC as u64, target.parameters.as_bytes());
        sector += target.size / 512;
    }
    buffer
}

/// Makes the device `name` of these parts. It is `/dev/dm-` with the first number that is free.
pub fn create(name: &str, targets: &[Target]) -> Step {
    let control: File = open("/dev/mapper/control", 0)?;
    ioctl(&control, DEV_CREATE, &mut header(name, &[])).doing(|| format!("device-mapper {name}"))?;
    load(&control, name, targets)
}

/// Makes the device `name` of `size` bytes that is `backing` from `offset` on.
pub fn linear(name: &str, backing: &str, offset: u64, size: u64) -> Step {
    create(name, &[part_of(backing, offset, size)])
}

/// Removes the device `name`.
pub fn remove(name: &str) -> Step {
    let control = open("/dev/mapper/control", 0)?;
    ioctl(&control, DEV_REMOVE, &mut header(name, &[])).map(drop).doing(|| format!("device-mapper {name}: remove"))
}

/// What is given to the device `name` from here on waits there; no file system on it is frozen.
pub fn suspend(name: &str) -> Step {
    /// The flags for that, for a suspend, and to leave what is in flight alone.
    const FLAGS: u32 = 1 << 1 | 1 << 10 | 1 << 11;
    let mut buffer = header(name, &[]);
    buffer.put(28, &FLAGS.to_le_bytes());
    run(&open("/dev/mapper/control", 0)?, name, DEV_SUSPEND, &mut buffer)
}

/// It goes on.
pub fn resume(name: &str) -> Step {
    // Without the suspend flag, this resumes.
    run(&open("/dev/mapper/control", 0)?, name, DEV_SUSPEND, &mut header(name, &[]))
}

/// Gives the device `name` another size.
pub fn resize(name: &str, backing: &str, offset: u64, size: u64) -> Step {
    load(&open("/dev/mapper/control", 0)?, name, &[part_of(backing, offset, size)])
}

fn load(control: &File, name: &str, targets: &[Target]) -> Step {
    run(control, name, TABLE_LOAD, &mut table(name, targets))?;
    // The table goes live.
    resume(name)
}

fn run(control: &File, name: &str, nr: u32, buffer: &mut [u8]) -> Step {
    ioctl(control, nr, buffer).map(drop).doing(|| format!("device-mapper {name}"))
}
