// SPDX-License-Identifier: GPL-2.0-only
//! Writes by `pwrite`: buffered, direct, synchronous.

use super::buffer::Buffer;
use super::{Area, Random};
use crate::sys::{Doing, Step, open};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Fills an area from start to end with writes of `length` bytes each, then makes them durable.
pub fn fill(file: &File, area: &Area, length: usize) -> Step<u64> {
    let mut buffer = Buffer::new(length);
    for offset in area.clone().step_by(length) {
        buffer.stamp();
        file.write_all_at(buffer.bytes(), offset).doing(|| format!("write {length} bytes at {offset}"))?;
    }
    file.sync_all().doing(|| "fsync".into())?;
    Ok(area.end - area.start)
}

/// Writes to random places, 512 bytes to 128 KiB each; returns the bytes written.
fn scatter(file: &File, area: &Area, count: u64, seed: u64) -> Step<u64> {
    let mut random = Random::new(seed);
    let mut bytes = 0;
    for _ in 0..count {
        let length = 512 << random.below(9);
        let offset = random.place(area, length, 512);
        let buffer = Buffer::stamped(length as usize);
        file.write_all_at(buffer.bytes(), offset).doing(|| format!("write {length} bytes at {offset}"))?;
        bytes += length;
    }
    Ok(bytes)
}

/// Opens the disk with `flags` and writes `count` times to random places of an area.
pub fn scattered(node: &str, flags: i32, area: &Area, count: u64) -> Step<String> {
    let bytes = scatter(&open(node, flags)?, area, count, count)?;
    Ok(format!("{} KiB in {count} writes", bytes >> 10))
}
