// SPDX-License-Identifier: GPL-2.0-only
//! Ways to write to a disk.

pub mod buffer;
pub mod file_system;
pub mod libaio;
pub mod null_blk;
pub mod nvme;
pub mod plain;
pub mod ranges;
pub mod scsi;
pub mod uring;

use crate::sys::{self, Step};
use guest::layout::{MIB, RAW_SIZE, RAW_START};
use nix::libc;
use std::ops::Range;

/// A part of a disk, in bytes from its start.
pub type Area = Range<u64>;

/// Has random contents from the start, for discards to change.
pub const DISCARD: Area = RAW_START..RAW_START + 8 * MIB;
/// Has random contents from the start, for write-zeroes to change.
pub const ZEROES: Area = DISCARD.end..DISCARD.end + 8 * MIB;
/// Written to by direct writes during the attach storm.
pub const STORM_DIRECT: Area = ZEROES.end..ZEROES.end + 4 * MIB;
/// Written to by buffered writes during the attach storm.
pub const STORM_BUFFERED: Area = STORM_DIRECT.end..STORM_DIRECT.end + 4 * MIB;
/// Written to by `drain-protocol`.
pub const PROTOCOL: Area = STORM_BUFFERED.end..STORM_BUFFERED.end + MIB;
/// Written to by `tags`; the end of what [`PROTOCOL`] has.
pub const TAGS: Area = PROTOCOL.end - 512 * 1024..PROTOCOL.end;
/// Written to by `statistics`.
pub const STATISTICS: Area = PROTOCOL.end..PROTOCOL.end + 6 * MIB;
/// The write that the judge's own test keeps from the judge.
pub const CONTROL: Area = STATISTICS.end..STATISTICS.end + MIB;
/// Written to by `reload` while no disk is attached for the judge; written again before the judge looks.
pub const RELOAD: Area = CONTROL.end..CONTROL.end + MIB;
/// For everything else.
pub const OPEN: Area = RAW_START + 32 * MIB..RAW_START + RAW_SIZE;

/// Writes the area [`RELOAD`].
pub fn touch_reload(node: &str) -> Step {
    plain::fill(&sys::open(node, libc::O_DIRECT)?, &RELOAD, MIB as usize).map(drop)
}

/// A generator of numbers that only need to be spread out (xorshift64*).
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit
    }

    /// The offset of a place for `length` bytes in an area, at a multiple of `align`.
    pub fn place(&mut self, area: &Area, length: u64, align: u64) -> u64 {
        area.start + self.below((area.end - area.start - length) / align + 1) * align
    }
}
