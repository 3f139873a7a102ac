// SPDX-License-Identifier: GPL-2.0-only
//! The header: what the file is for, and whether its bits are true.

use super::block::{bytes_at, open, put, seal, Identity, Kind, Place, BITS, BLOCK, FRAME};
use crate::engine::{Previous, Stamp};
use crate::platform::{Ended, Sighting};

/// Whether the bits are true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They are: nothing has changed since they were written.
    Clean,
    /// They are not: changes were tracked in memory.
    InUse,
}

const VERSION: u32 = 2;

const AT_VERSION: usize = FRAME;
const AT_STATE: usize = FRAME + 4;
const AT_SECTORS: usize = FRAME + 8;
const AT_BLOCK_SHIFT: usize = FRAME + 16;
const AT_DIGEST: usize = FRAME + 20;
const AT_STAMP: usize = FRAME + 24;
const AT_RESYNC: usize = FRAME + 40;
const AT_RESYNC_COUNT: usize = FRAME + 48;
const AT_RESYNC_TIME: usize = FRAME + 56;
const AT_NAME: usize = FRAME + 64;
const AT_BOOT: usize = AT_NAME + NAME;
const AT_DEVICE: usize = AT_BOOT + BOOT;
const AT_WRITTEN: usize = AT_DEVICE + 8;
const AT_PREVIOUS: usize = AT_WRITTEN + 8;
const AT_PREVIOUS_SPLIT: usize = AT_PREVIOUS + 8;
const AT_SURE: usize = AT_PREVIOUS_SPLIT + 4;
const AT_ENDED: usize = AT_SURE + 4;
const AT_REGION_SHIFT: usize = AT_ENDED + 4;
const AT_CHECKED: usize = AT_REGION_SHIFT + 4;
/// Marks of regions, to the end of the block.
pub const AT_MARKS: usize = 512;
/// Beside the count at [`AT_ENDED`]: there is one.
const HAS_ENDED: u32 = 1 << 16;
/// 64-bit words of marks.
pub const MARKS: u64 = ((BLOCK - AT_MARKS) / 8) as u64;
/// Longest persistent name, in bytes.
const NAME: usize = 256;
/// Bytes of a boot's id: a UUID as text, filled up with NULs.
pub const BOOT: usize = 40;

/// A hole that was not taken back before the file was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resync {
    /// The driver's number of the first reason.
    pub reason: u32,
    /// How many there were, at least 1.
    pub count: u64,
    /// When the first came: 100 ns since the Unix epoch.
    pub time: u64,
}

/// By what the next start knows whether anybody has written to the disk since the file was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The boot's id; all zero where nobody knows it.
    pub boot: [u8; BOOT],
    /// The disk in that boot.
    pub disk: Sighting,
}

impl Seen {
    /// Nobody has seen anything.
    pub const NOTHING: Seen =
        Seen { boot: [0; BOOT], disk: Sighting { device: 0, written: 0, sure: false, untouched: false } };

    /// Whether nobody has written to the disk from this to `later`.
    pub fn is_still(&self, later: &Seen) -> bool {
        let same = |seen: &Seen| (seen.boot, seen.disk.device, seen.disk.written, seen.disk.sure);
        same(self) == same(later) && self.boot != Self::NOTHING.boot && self.disk.written != 0
    }
}

/// What the file is for, and whether its bits are true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The file's.
    pub identity: Identity,
    /// Grows with each header that is written.
    pub generation: u64,
    /// Whether the bits are true.
    pub state: State,
    /// Capacity of the disk, in 512-byte sectors.
    pub sectors: u64,
    /// log2 of the bytes that a bit is for, 9 to 40.
    pub block_shift: u32,
    /// CRC-32C over the checksums of all blocks of bits in order, each as four little-endian bytes.
    pub digest: u32,
    /// The latest stamp that was given.
    pub stamp: Stamp,
    /// A hole.
    pub resync: Option<Resync>,
    /// The disk's persistent name, filled up with NULs.
    pub name: [u8; NAME],
    /// The disk, when tracking ended.
    pub seen: Seen,
    /// The end of the block that was committed last.
    pub previous: Previous,
    /// The machine has stopped since the file was closed, or is to: the writable mounts of the file's file system that had ended
    /// then.
    pub ended: Option<Ended>,
    /// In use, the file says of the disk's regions which may have changed: log2 of the bytes of one.
    pub region_shift: Option<u32>,
}

impl Header {
    /// Bits of the disk.
    pub fn bits(&self) -> u64 {
        self.sectors.div_ceil(1 << (self.block_shift - 9))
    }

    /// Blocks of bits.
    pub fn blocks(&self) -> u64 {
        self.bits().div_ceil(BITS)
    }

    /// The header as block `index` of the file. What the block has of marks stays in it.
    pub fn seal(&self, index: u64, block: &mut [u8; BLOCK]) {
        block[..AT_MARKS].fill(0);
        put(block, AT_REGION_SHIFT, &self.region_shift.unwrap_or(0).to_le_bytes());
        put(block, AT_VERSION, &VERSION.to_le_bytes());
        put(block, AT_STATE, &(self.state as u32).to_le_bytes());
        put(block, AT_SECTORS, &self.sectors.to_le_bytes());
        put(block, AT_BLOCK_SHIFT, &self.block_shift.to_le_bytes());
        put(block, AT_DIGEST, &self.digest.to_le_bytes());
        put(block, AT_STAMP, &self.stamp.time().to_le_bytes());
        if let Some(resync) = self.resync {
            put(block, AT_RESYNC, &resync.reason.to_le_bytes());
            put(block, AT_RESYNC_COUNT, &resync.count.to_le_bytes());
            put(block, AT_RESYNC_TIME, &resync.time.to_le_bytes());
        }
        put(block, AT_NAME, &self.name);
        put(block, AT_BOOT, &self.seen.boot);
        put(block, AT_DEVICE, &self.seen.disk.device.to_le_bytes());
        put(block, AT_WRITTEN, &self.seen.disk.written.to_le_bytes());
        if let Some(ended) = self.ended {
            put(block, AT_ENDED, &(HAS_ENDED | u32::from(ended.mounts)).to_le_bytes());
            put(block, AT_CHECKED, &ended.checked.to_le_bytes());
        }
        put(block, AT_SURE, &u32::from(self.seen.disk.sure).to_le_bytes());
        put(block, AT_PREVIOUS, &self.previous.stamp.time().to_le_bytes());
        put(block, AT_PREVIOUS_SPLIT, &self.previous.split.to_le_bytes());
        seal(block, Kind::Header, Place { identity: self.identity, index, generation: self.generation });
    }

    /// The header that block `index` of a file has; `None` where it has none, or one of another version.
    pub fn open(index: u64, block: &[u8; BLOCK]) -> Option<Header> {
        let (place, _) = open(block, Kind::Header).filter(|(place, _)| place.index == index)?;
        let u32_at = |at| u32::from_le_bytes(bytes_at(block, at));
        let u64_at = |at| u64::from_le_bytes(bytes_at(block, at));
        let block_shift = u32_at(AT_BLOCK_SHIFT);
        if u32_at(AT_VERSION) != VERSION || !(9..=40).contains(&block_shift) {
            return None;
        }
        let count = u64_at(AT_RESYNC_COUNT);
        Some(Header {
            identity: place.identity,
            generation: place.generation,
            state: if u32_at(AT_STATE) == State::Clean as u32 { State::Clean } else { State::InUse },
            sectors: u64_at(AT_SECTORS),
            block_shift,
            digest: u32_at(AT_DIGEST),
            stamp: Stamp::from_word(u64_at(AT_STAMP)),
            resync: (count != 0).then(|| Resync { reason: u32_at(AT_RESYNC), count, time: u64_at(AT_RESYNC_TIME) }),
            name: bytes_at(block, AT_NAME),
            seen: Seen {
                boot: bytes_at(block, AT_BOOT),
                disk: Sighting {
                    device: u64_at(AT_DEVICE),
                    written: u64_at(AT_WRITTEN),
                    sure: u32_at(AT_SURE) != 0,
                    untouched: false,
                },
            },
            ended: (u32_at(AT_ENDED) & HAS_ENDED != 0)
                .then(|| Ended { mounts: u32_at(AT_ENDED) as u16, checked: u32_at(AT_CHECKED) }),
            region_shift: Some(u32_at(AT_REGION_SHIFT)).filter(|shift| (9..64).contains(shift)),
            previous: Previous { stamp: Stamp::from_word(u64_at(AT_PREVIOUS)), split: u32_at(AT_PREVIOUS_SPLIT) },
        })
    }
}
