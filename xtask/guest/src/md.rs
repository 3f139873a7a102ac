// SPDX-License-Identifier: GPL-2.0-only
//! Makes a RAID-1 of two disks with md's own ioctls. Nothing of it is on the disks.

use crate::order::wait_until;
use crate::sys::{Doing, Fields, Step, ioctl, ioctl_word, open};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Its device.
pub const NODE: &str = "/dev/md0";
const NEW_ARRAY: &str = "/sys/module/md_mod/parameters/new_array";

/// `_IOW(MD_MAJOR, nr, …)` of so many bytes.
const fn request(nr: u32, bytes: u32) -> u32 {
    1 << 30 | bytes << 16 | 9 << 8 | nr
}
const ADD_NEW_DISK: u32 = request(0x21, DISK as u32);
const SET_ARRAY_INFO: u32 = request(0x23, ARRAY as u32);
const RUN_ARRAY: u32 = request(0x30, 12);
/// `_IO(MD_MAJOR, 0x32)`
const STOP_ARRAY: u32 = 9 << 8 | 0x32;
/// Sizes of `mdu_array_info_t` and `mdu_disk_info_t`.
const ARRAY: usize = 72;
const DISK: usize = 20;

/// Puts 32-bit numbers at 32-bit places.
fn words<const N: usize>(values: &[(u64, u32)]) -> [u8; N] {
    let mut buffer = [0; N];
    values.iter().for_each(|(place, value)| buffer.put(4 * place, &value.to_le_bytes()));
    buffer
}

/// Makes the array of these disks' first `size` bytes, which are taken to be the same.
pub fn mirror(legs: [&str; 2], size: u64) -> Step {
    fs::write(NEW_ARRAY, "md0").doing(|| NEW_ARRAY.into())?;
    wait_until(NODE, true)?;
    let array = open(NODE, 0)?;
    // Level, KiB, disks, disks in use, nothing on the disks, clean.
    let mut info = words::<ARRAY>(&[(4, 1), (5, (size >> 10) as u32), (6, 2), (7, 2), (9, 1), (11, 1)]);
    ioctl(&array, SET_ARRAY_INFO, &mut info).doing(|| format!("{NODE}: set array info"))?;
    for (leg, number) in legs.into_iter().zip(0..) {
        let device = fs::metadata(leg).doing(|| leg.into())?.rdev();
        let (major, minor) = (nix::sys::stat::major(device) as u32, nix::sys::stat::minor(device) as u32);
        // Number, device, place, active and in sync.
        let mut disk = words::<DISK>(&[(0, number), (1, major), (2, minor), (3, number), (4, 6)]);
        ioctl(&array, ADD_NEW_DISK, &mut disk).doing(|| format!("{NODE}: add {leg}"))?;
    }
    ioctl(&array, RUN_ARRAY, &mut [0; 12]).map(drop).doing(|| format!("{NODE}: run"))
}

/// Ends it.
pub fn stop() -> Step {
    ioctl_word(&open(NODE, 0)?, STOP_ARRAY, 0).map(drop).doing(|| format!("{NODE}: stop"))
}
