// SPDX-License-Identifier: GPL-2.0-only
//! What a command may change that came past the block layer's own operations, whatever kind of disk it is for.

/// Bytes of a descriptor in a list of blocks, of SCSI's UNMAP and of NVMe's DATASET MANAGEMENT.
pub const DESCRIPTOR: usize = 16;

/// First block and number of blocks of a descriptor.
pub type Extent = fn(&[u8]) -> (u64, u64);

/// What a command may change, in logical blocks of the disk.
#[derive(Debug, Clone, Copy)]
pub enum Effect<'a> {
    /// Nothing that is stored.
    Nothing,
    /// `count` blocks from `first` on.
    Blocks {
        /// The first one.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Every block from this one on.
    From(u64),
    /// The blocks that a list names.
    Listed {
        /// Descriptors of [`DESCRIPTOR`] bytes.
        list: &'a [u8],
        /// What each says.
        extent: Extent,
    },
    /// Nobody knows.
    Unknown,
}

/// The big-endian number in `length` bytes (at most 8) from `at` on; what is past the end counts as 0.
pub(super) fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    (at..at + length).fold(0, |number, at| number << 8 | u64::from(bytes.get(at).copied().unwrap_or(0)))
}
