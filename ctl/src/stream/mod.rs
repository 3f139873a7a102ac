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
//! The first record is `HEAD` (`involflt`, version u32, size of the disk in bytes u64, its name), the last one is
//! `DONE` (bytes of data in the stream, u64); between them come `EXTN` (offset u64, data) in the order in which they
//! are to be written, and `RSYN` (code u64, reason) where changes were missed. A kind that is not known is an error,
//! never passed over.

mod crc;
mod read;
mod write;

pub use read::{Fault, Reader};
pub use write::Writer;

/// The version of the format that this program writes, and the only one it reads.
pub const VERSION: u32 = 1;
/// Bytes of data in a record at most.
pub const MAX_DATA: usize = 1 << 20;
/// Bytes of a payload at most.
pub const MAX_PAYLOAD: usize = MAX_DATA + 8;

const MAGIC: &[u8; 8] = b"involflt";
const FRAME_BYTES: usize = 16;
const CRC_BYTES: usize = 4;

/// The disk that a stream is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its name on its own machine.
    pub name: String,
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
    /// Changes were missed: the target needs a full copy.
    Resync {
        /// The driver's code of the reason.
        code: u64,
        /// The reason.
        reason: String,
    },
    /// The stream is whole.
    End,
}
