// SPDX-License-Identifier: GPL-2.0-only
//! Operations on ranges that carry no data: discard and write-zeroes.

use crate::sys::{Doing, Failure, Fields, Step, ioctl, is_errno};
use nix::libc;
use std::fs::File;

/// `_IO(0x12, 119)`
const BLKDISCARD: u32 = 0x1277;
/// `_IO(0x12, 127)`
const BLKZEROOUT: u32 = 0x127f;

fn range(file: &File, request: u32, what: &str, offset: u64, length: u64) -> Step {
    let mut argument = [0; 16];
    argument.put(0, &offset.to_le_bytes());
    argument.put(8, &length.to_le_bytes());
    match ioctl(file, request, &mut argument) {
        Ok(_) => Ok(()),
        Err(error) if is_errno(&error, &[libc::EOPNOTSUPP]) => Err(Failure::Skipped(format!("the disk has no {what}"))),
        Err(error) => Err(error).doing(|| format!("{what} of {length} bytes at {offset}")),
    }
}

/// Discards a range.
pub fn discard(file: &File, offset: u64, length: u64) -> Step {
    range(file, BLKDISCARD, "discard", offset, length)
}

/// Discards a range, or writes zeroes where the disk has no discard: virtio-blk before Linux 5.0.
pub fn discard_or_zero(file: &File, offset: u64, length: u64) -> Step {
    match discard(file, offset, length) {
        Err(Failure::Skipped(_)) => zero(file, offset, length),
        done => done,
    }
}

/// Writes zeroes to a range; the kernel writes pages of zeroes where the disk has no such command.
pub fn zero(file: &File, offset: u64, length: u64) -> Step {
    range(file, BLKZEROOUT, "write-zeroes", offset, length)
}
