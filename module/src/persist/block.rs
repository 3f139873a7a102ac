// SPDX-License-Identifier: GPL-2.0-only
//! One block of the file: its frame, which is the same for headers and bits.

use super::crc32c::crc32c;

/// Bytes of a block.
pub const BLOCK: usize = 4096;
/// Bytes of the frame, before what the block is for.
pub const FRAME: usize = 64;
/// Bits that a block has room for: at one for each 4 KiB of the disk, 126 MiB of it.
pub const BITS: u64 = ((BLOCK - FRAME) * 8) as u64;

const MAGIC: usize = 0;
const IDENTITY: usize = 8;
const INDEX: usize = 24;
const GENERATION: usize = 32;
const CHECKSUM: usize = 40;

/// What a file was given when it was made: 16 random bytes, which no other file has, nor an older one in the same place.
pub type Identity = [u8; 16];

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of the two headers.
    Header,
    /// Bits.
    Bits,
}

impl Kind {
    const fn magic(self) -> &'static [u8; 8] {
        match self {
            Kind::Header => b"INVFBMH1",
            Kind::Bits => b"INVFBMB1",
        }
    }
}

/// Numbers are little-endian, wherever the file was written.
pub fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    if let Some(to) = block.get_mut(at..at + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}

/// `N` bytes at an offset; zeroes past the end.
pub fn bytes_at<const N: usize>(block: &[u8; BLOCK], at: usize) -> [u8; N] {
    block.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

/// Where a block is, and when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The file's.
    pub identity: Identity,
    /// The block's number in the file.
    pub index: u64,
    /// Of a header, which of two is the later one; of bits, the generation of the header that was in force.
    pub generation: u64,
}

/// Frames `block`, whose contents past [`FRAME`] are ready. Gives its checksum.
pub fn seal(block: &mut [u8; BLOCK], kind: Kind, place: Place) -> u32 {
    put(block, MAGIC, kind.magic());
    put(block, IDENTITY, &place.identity);
    put(block, INDEX, &place.index.to_le_bytes());
    put(block, GENERATION, &place.generation.to_le_bytes());
    let checksum = checksum(block);
    put(block, CHECKSUM, &checksum.to_le_bytes());
    checksum
}

/// Where a block says that it is, with its checksum; `None` where it is no such block, or not whole.
pub fn open(block: &[u8; BLOCK], kind: Kind) -> Option<(Place, u32)> {
    let written = u32::from_le_bytes(bytes_at(block, CHECKSUM));
    let place = Place {
        identity: bytes_at(block, IDENTITY),
        index: u64::from_le_bytes(bytes_at(block, INDEX)),
        generation: u64::from_le_bytes(bytes_at(block, GENERATION)),
    };
    (bytes_at(block, MAGIC) == *kind.magic() && written == checksum(block)).then_some((place, written))
}

/// Of everything but the checksum itself, which counts as zero.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let before = crc32c(0, &block[..CHECKSUM]);
    crc32c(crc32c(before, &[0; 4]), &block[CHECKSUM + 4..])
}
