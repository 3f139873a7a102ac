// SPDX-License-Identifier: GPL-2.0-only
//! A stream of a disk's changes: what `drain` writes and `apply` reads.
//!
//! A stream is a row of records, all numbers little-endian:
//!
//! | bytes | |
//! |---|---|
//! | 4 | kind, in ASCII |
//! | 4 | length of the payload, at most [`MAX_PAYLOAD`] |
//! | 8 | number of the record in its stream, from 0 |
//! | … | payload |
//! | 4 | CRC-32C of all of the above |
//!
//! The first record is `HEAD` (`involflt`, version u32, kind u32: 0 for changes and 1 for a full copy, size of the disk in
//! bytes u64, position of the batch that the stream follows, persistent name of the disk), the last one is `DONE` (bytes of data in
//! the stream u64). Between them come, in the order in which they are to be applied:
//!
//! - `EXTN`: offset u64, data;
//! - `ZERO`: offset u64, number of zero bytes u64;
//! - `TAGN`: time in 100 ns since the Unix epoch u64, name of a tag that stands here;
//! - `TAGX`: the same, where all before it is what the disk was at this moment;
//! - `SYNC`: position of a batch, which ends here: it is whole, and the driver is told so when this record is durable. The
//!   next stream follows it, or the one before where the driver was not told any more;
//! - `RSYN`: code u64, reason. Changes were missed: the target needs a full copy.
//!
//! A position is the sequence of a batch as u64 and its part as u32.
//!
//! Where a program answers, as `involfltctl serve` does, there is also `NOTE`: 8 zeroes, and what is to be noted when all
//! before it is durable. A kind that is not known is an error, never passed over.

use crate::position::Position;
use crate::time::Time;

mod read;
mod write;

pub use read::{Fault, Reader};
pub use write::Writer;

/// The version of the format that this program writes, and the only one it reads.
pub const VERSION: u32 = 2;
/// Bytes of data in a record at most.
pub const MAX_DATA: usize = 1 << 20;
/// Bytes of a payload at most.
pub const MAX_PAYLOAD: usize = MAX_DATA + 8;

const MAGIC: &[u8; 8] = b"involflt";
const FRAME_BYTES: usize = 16;
const CRC_BYTES: usize = 4;

/// What a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Persistent name of the disk that it is of.
    pub disk: String,
    /// Size of that disk in bytes.
    pub bytes: u64,
    /// What it is to be applied to.
    pub follows: Follows,
}

/// What a stream is to be applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Anything: it is a full copy.
    Nothing,
    /// A target that has all changes up to this batch.
    Batch(Position),
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// When it was made.
    pub time: Time,
    /// Its name.
    pub name: String,
    /// Whether what is before it is what the disk was at this moment.
    pub is_exact: bool,
}

/// A record after the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Data of the disk: not empty, at most [`MAX_DATA`], and inside of the disk.
    Extent {
        /// Where it belongs, in bytes.
        offset: u64,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Zeroes: at least one byte, and inside of the disk.
    Zeroes {
        /// Where they belong, in bytes.
        offset: u64,
        /// Their number.
        bytes: u64,
    },
    /// A tag.
    Tag(Tag),
    /// The end of a batch.
    Sync(Position),
    /// Changes were missed: the target needs a full copy.
    Resync {
        /// The driver's code of the reason.
        code: u64,
        /// The reason.
        reason: String,
    },
    /// All before it is to be made durable, and this noted; only where the other side answers.
    Note(String),
    /// The stream is whole.
    End,
}
