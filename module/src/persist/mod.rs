// SPDX-License-Identifier: GPL-2.0-only
//! The bitmap file: what of a disk's changes outlives a shutdown. `docs/bitmap.md` has the layout and its reasons.
//!
//! Every block says whose it is, which one it is and when it was written, and has a checksum. Between [`BitmapFile::begin`]
//! and [`BitmapFile::close`] the file says "in use", so whatever ends the time between the two, it is no clean stop.

mod aging;
mod block;
pub mod common;
mod crc32c;
mod file;
mod header;
mod keep;
mod marker;
mod place;
mod proven;
mod quiet;

pub use block::{Identity, BLOCK};
pub use file::{read_bits, read_header, read_marks, unclean, BitmapFile, Bits, Blocks, Damage};
pub use header::{Header, Resync, Seen, State};
pub use keep::{note_drain_blocked, note_write_intent, Keep};
pub use marker::{late, work, Late, Marker};
pub use quiet::is_quiet;
