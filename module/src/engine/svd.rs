// SPDX-License-Identifier: GPL-2.0-only
//! The records of a stream of changes, or of tags, as agents read it. Numbers are in the machine's own order, which the
//! first record tells. Source: section 3.4 of the ABI's description.

use crate::abi::svd::{CHANGE, CONTENT, FIRST_TIME, HEADER, LAST_TIME, ORDER, USER};
use crate::engine::Stamp;

/// Bytes of the order, the header and the first time.
pub const OPENING: usize = 4 + 140 + 32;
/// Bytes of the record that tells how long the changes are.
pub const CONTENT_BYTES: usize = 20;
/// Bytes before the first change.
pub const BEFORE: u64 = (OPENING + CONTENT_BYTES) as u64;
/// Bytes of a change before its data.
pub const CHANGE_BYTES: u64 = 32;
/// Bytes of the last time, which ends a stream.
pub const AFTER: u64 = 32;
/// Bytes of a tag before its name.
pub const USER_BYTES: usize = 12;

/// A record in the making.
struct Record<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Record<N> {
    /// A record begins with what it is, how many of them there are, and flags.
    fn new(tag: u32, flags: u32) -> Self {
        Record { bytes: [0; N], length: 0 }.u32(tag).u32(1).u32(flags)
    }

    fn put(mut self, bytes: &[u8]) -> Self {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
        self
    }

    fn u32(self, value: u32) -> Self {
        self.put(&value.to_ne_bytes())
    }

    fn u64(self, value: u64) -> Self {
        self.put(&value.to_ne_bytes())
    }

    /// A time record of a tag list is in it: type 3, no flags, 24 bytes with the four that are not there.
    fn stamp(self, stamp: Stamp) -> Self {
        self.put(&3u16.to_ne_bytes()).put(&[0, 24]).u64(stamp.sequence()).u64(stamp.time())
    }
}

/// What a stream begins with: the order of bytes, a header of zeroes, and the stamp of its first change.
pub fn opening(first: Stamp) -> [u8; OPENING] {
    let mut bytes = [0; OPENING];
    bytes[..4].copy_from_slice(&ORDER.to_ne_bytes());
    bytes[4..144].copy_from_slice(&Record::<140>::new(HEADER, 0).bytes);
    bytes[144..].copy_from_slice(&Record::<32>::new(FIRST_TIME, 0).stamp(first).bytes);
    bytes
}

/// So many bytes of changes follow.
pub fn content(bytes: u64) -> [u8; CONTENT_BYTES] {
    Record::new(CONTENT, 0).u64(bytes).bytes
}

/// A change of `length` bytes at `offset`, so much later than the first one; its data follows.
#[inline]
pub fn change(offset: u64, length: u32, delta: u32) -> [u8; CHANGE_BYTES as usize] {
    // Not as a `Record`: this is what each write with data makes.
    let mut bytes = [0; CHANGE_BYTES as usize];
    bytes[..4].copy_from_slice(&CHANGE.to_ne_bytes());
    bytes[4..8].copy_from_slice(&1u32.to_ne_bytes());
    bytes[12..16].copy_from_slice(&length.to_ne_bytes());
    bytes[16..24].copy_from_slice(&offset.to_ne_bytes());
    bytes[24..28].copy_from_slice(&delta.to_ne_bytes());
    bytes[28..].copy_from_slice(&delta.to_ne_bytes());
    bytes
}

/// Where a change is and how long, of what [`change`] has made.
pub fn offset_and_length(record: &[u8; CHANGE_BYTES as usize]) -> (u64, u32) {
    let [.., l0, l1, l2, l3, o0, o1, o2, o3, o4, o5, o6, o7, _, _, _, _, _, _, _, _] = *record;
    (u64::from_ne_bytes([o0, o1, o2, o3, o4, o5, o6, o7]), u32::from_ne_bytes([l0, l1, l2, l3]))
}

/// A tag; its name of `length` bytes follows.
pub fn user(length: u32) -> [u8; USER_BYTES] {
    Record::new(USER, length).bytes
}

/// What a stream ends with: the stamp of its last change.
pub fn closing(last: Stamp) -> [u8; AFTER as usize] {
    Record::new(LAST_TIME, 0).stamp(last).bytes
}
