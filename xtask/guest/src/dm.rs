// SPDX-License-Identifier: GPL-2.0-only
//! Makes dm-linear devices with device-mapper's own ioctls.

use crate::sys::{Doing, Fields, Step, ioctl, open};
use std::fs::File;

/// Size of `struct dm_ioctl`.
const HEADER: u64 = 312;
/// Size of `struct dm_target_spec`.
const TARGET: u64 = 40;
const NAME_AT: u64 = 48;
const SIZE: usize = (HEADER + TARGET) as usize + 64;

/// `_IOWR(0xfd, nr, struct dm_ioctl)`
const fn request(nr: u32) -> u32 {
    3 << 30 | (HEADER as u32) << 16 | 0xfd << 8 | nr
}
const DEV_CREATE: u32 = request(3);
const DEV_REMOVE: u32 = request(4);
const DEV_SUSPEND: u32 = request(6);
const TABLE_LOAD: u32 = request(9);

fn header(name: &str, targets: u32) -> [u8; SIZE] {
    let mut buffer = [0; SIZE];
    buffer.put(0, &4_u32.to_le_bytes());
    buffer.put(12, &(SIZE as u32).to_le_bytes());
    buffer.put(16, &(HEADER as u32).to_le_bytes());
    buffer.put(20, &targets.to_le_bytes());
    buffer.put(NAME_AT, name.as_bytes());
    buffer
}

/// Makes the device `name` of `size` bytes that is `backing` from `offset` on. The first one made is `/dev/dm-0`.
pub fn linear(name: &str, backing: &str, offset: u64, size: u64) -> Step {
    let control: File = open("/dev/mapper/control", 0)?;
    ioctl(&control, DEV_CREATE, &mut header(name, 0)).doing(|| format!("device-mapper {name}"))?;
    load(&control, name, backing, offset, size)
}

/// Removes the device `name`.
pub fn remove(name: &str) -> Step {
    let control = open("/dev/mapper/control", 0)?;
    ioctl(&control, DEV_REMOVE, &mut header(name, 0)).map(drop).doing(|| format!("device-mapper {name}: remove"))
}

/// Gives the device `name` another size.
pub fn resize(name: &str, backing: &str, offset: u64, size: u64) -> Step {
    load(&open("/dev/mapper/control", 0)?, name, backing, offset, size)
}

fn load(control: &File, name: &str, backing: &str, offset: u64, size: u64) -> Step {
    let run = |nr, buffer: &mut [u8]| ioctl(control, nr, buffer).doing(|| format!("device-mapper {name}"));
    let mut table = header(name, 1);
    table.put(HEADER + 8, &(size / 512).to_le_bytes());
    table.put(HEADER + 24, b"linear");
    table.put(HEADER + TARGET, format!("{backing} {}", offset / 512).as_bytes());
    run(TABLE_LOAD, &mut table)?;
    // Without the suspend flag, this resumes: the table goes live.
    run(DEV_SUSPEND, &mut header(name, 0))?;
    Ok(())
}
