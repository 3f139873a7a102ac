// SPDX-License-Identifier: GPL-2.0-only
//! Tags: bookmarks that wait between a disk's changes, one set of them for each request that asks for them.

use crate::abi::dirty_block::tag;
use crate::engine::registry::empty_table;
use crate::engine::Stamp;
use crate::platform::{Errno, Platform, Result};
use crate::sync::{AtomicU64, Ordering};

/// Tags of one disk that can wait.
pub const MAX_TAGS: usize = 64;
/// Longest id of a set: the ABI's GUIDs have 36 bytes, and a sync tag brings an id of its own.
pub const MAX_ID: usize = 64;
/// Room for a set's records in a block, in bytes: what the tag list's fixed records leave, and the end of the list.
pub const MAX_RECORDS: usize = 3584 - 64 - 4;

/// What has become of a set's tag on one disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Fate {
    /// Not among the disk's changes yet.
    Absent = 0,
    /// Among them, and nothing after it is delivered before somebody commits or revokes the set.
    Held = 1,
    /// Among them.
    Waiting = 2,
    /// Delivered, and that was committed.
    Drained = 3,
    /// Taken back: revoked, or the set's time was over.
    Revoked = 4,
    /// Gone with its disk's changes: cleared, or the disk was stopped.
    Deleted = 5,
    /// The disk could not take it.
    Refused = 6,
}

impl Fate {
    fn from_word(word: u64) -> Fate {
        match word {
            1 => Fate::Held,
            2 => Fate::Waiting,
            3 => Fate::Drained,
            4 => Fate::Revoked,
            5 => Fate::Deleted,
            6 => Fate::Refused,
            _ => Fate::Absent,
        }
    }

    /// Whether nothing more will become of it.
    pub fn is_final(self) -> bool {
        !matches!(self, Fate::Absent | Fate::Held | Fate::Waiting)
    }
}

/// The name of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagId {
    bytes: [u8; MAX_ID],
    length: usize,
}

impl TagId {
    /// The id `bytes`, which is not text and may hold anything. Fails with [`Errno::INVAL`] when it is empty or too long.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let mut id = TagId { bytes: [0; MAX_ID], length: bytes.len() };
        id.bytes.get_mut(..bytes.len()).filter(|_| !bytes.is_empty()).ok_or(Errno::INVAL)?.copy_from_slice(bytes);
        Ok(id)
    }

    /// The id.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The records of a set's tags, as a block carries them.
pub struct Records<P: Platform> {
    bytes: P::Bytes,
    length: usize,
    tags: usize,
}

impl<P: Platform> Records<P> {
    /// No tags. Fails with [`Errno::NOMEM`].
    pub fn new() -> Result<Self> {
        Ok(Records { bytes: P::bytes(MAX_RECORDS)?, length: 0, tags: 0 })
    }

    /// Adds one tag of `length` bytes (1 to 65535), which `fill` writes. Fails as it does, and with [`Errno::INVAL`] where
    /// there is no room.
    ///
    /// A record is a header (type u16, flags u8, its whole length u8; or 1 as the flags, and the length as a u32 behind),
    /// the length of the data (u16), the data, and zeroes up to a multiple of 4.
    pub fn push(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<()> {
        let data = u16::try_from(length).ok().filter(|&length| length != 0).ok_or(Errno::INVAL)?;
        let short = (4 + 2 + length).next_multiple_of(4);
        let (header, whole) = if short < 0xff { (4, short) } else { (8, short + 4) };
        let record = self.bytes.get_mut(self.length..self.length + whole).ok_or(Errno::INVAL)?;
        record.fill(0);
        record[..2].copy_from_slice(&tag::USER.to_ne_bytes());
        if header == 4 {
            record[3] = whole as u8;
        } else {
            record[2] = tag::FLAG_LONG;
            record[4..8].copy_from_slice(&(whole as u32).to_ne_bytes());
        }
        record[header..header + 2].copy_from_slice(&data.to_ne_bytes());
        fill(&mut record[header + 2..header + 2 + length])?;
        self.length += whole;
        self.tags += 1;
        Ok(())
    }

    /// The records.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// What the tags hold, as they were pushed.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.as_bytes();
        core::iter::from_fn(move || {
            let (header, whole) = match rest.first_chunk::<4>()? {
                [_, _, tag::FLAG_LONG, _] => (8, u32::from_ne_bytes(*rest.get(4..)?.first_chunk()?) as usize),
                [.., whole] => (4, usize::from(*whole)),
            };
            let (record, behind) = rest.split_at_checked(whole)?;
            rest = behind;
            let (length, name) = record.get(header..)?.split_first_chunk()?;
            name.get(..usize::from(u16::from_ne_bytes(*length)))
        })
    }

    /// Number of tags.
    pub fn tags(&self) -> usize {
        self.tags
    }
}

/// A set's tag on one disk: words of the table of [`TagSet`].
const DISK: usize = 0;
const FATE: usize = 1;
const STAMP: usize = 2;
const IN_ORDER: usize = 3;
const WORDS: usize = 4;

/// The tags of one request, and what has become of them on each of its disks.
pub struct TagSet<P: Platform> {
    /// Its name.
    pub id: TagId,
    /// Its tags.
    pub records: Records<P>,
    table: P::Words,
    blocks_drain: AtomicU64,
}

impl<P: Platform> TagSet<P> {
    /// A set for as many disks as `disks` has ids; 0 is a disk that is not there. Fails with [`Errno::NOMEM`].
    pub fn new(id: TagId, records: Records<P>, disks: impl Iterator<Item = u64> + Clone) -> Result<Self> {
        let table = P::words(disks.clone().count() * WORDS)?;
        for (row, disk) in table.chunks(WORDS).zip(disks) {
            row[DISK].store(disk, Ordering::Relaxed);
        }
        Ok(TagSet { id, records, table, blocks_drain: AtomicU64::new(0) })
    }

    /// Number of its disks.
    pub fn disks(&self) -> usize {
        self.table.len() / WORDS
    }

    fn word(&self, index: usize, word: usize) -> &AtomicU64 {
        &self.table[index * WORDS + word]
    }

    /// The id of its `index`th disk, or 0.
    pub fn disk(&self, index: usize) -> u64 {
        self.word(index, DISK).load(Ordering::Relaxed)
    }

    /// Where in the set the disk with `id` is.
    pub fn index_of(&self, id: u64) -> Option<usize> {
        (0..self.disks()).find(|&index| self.disk(index) == id)
    }

    /// What has become of the tag on its `index`th disk.
    pub fn fate(&self, index: usize) -> Fate {
        Fate::from_word(self.word(index, FATE).load(Ordering::Acquire))
    }

    /// Its stamp on that disk; the first stamp there is where it is absent.
    pub fn stamp(&self, index: usize) -> Stamp {
        Stamp::from_word(self.word(index, STAMP).load(Ordering::Relaxed))
    }

    /// Whether that disk has taken it.
    #[cfg(feature = "telemetry")]
    pub fn is_placed(&self, index: usize) -> bool {
        self.stamp(index) != Stamp::default()
    }

    /// Whether nothing without data was before it on that disk when it was placed.
    pub fn is_in_write_order(&self, index: usize) -> bool {
        self.word(index, IN_ORDER).load(Ordering::Relaxed) != 0
    }

    /// Says whether that is so.
    pub fn set_in_write_order(&self, index: usize, in_order: bool) {
        self.word(index, IN_ORDER).store(in_order.into(), Ordering::Relaxed);
    }

    pub(super) fn place(&self, index: usize, fate: Fate, stamp: Stamp) {
        self.word(index, STAMP).store(stamp.time(), Ordering::Relaxed);
        self.word(index, FATE).store(fate as u64, Ordering::Release);
    }

    /// The tag's fate, from one that is not final.
    pub fn settle(&self, index: usize, fate: Fate) {
        let word = self.word(index, FATE);
        let change = |seen: u64| (!Fate::from_word(seen).is_final()).then_some(fate as u64);
        // One that is final stays what it is.
        let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
    }

    /// Lets every tag that is held be delivered, or takes it back.
    pub fn decide(&self, commit: bool) {
        let to = if commit { Fate::Waiting } else { Fate::Revoked };
        for index in 0..self.disks() {
            let word = self.word(index, FATE);
            // One that is not held has its fate already.
            let _ = word.compare_exchange(Fate::Held as u64, to as u64, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// Takes back every tag that was not delivered.
    pub fn revoke(&self) {
        (0..self.disks()).for_each(|index| self.settle(index, Fate::Revoked));
    }

    /// Whether nothing more will become of any of its tags.
    pub fn is_final(&self) -> bool {
        (0..self.disks()).all(|index| self.fate(index).is_final())
    }

    /// Whether all of its tags were drained.
    pub fn is_drained(&self) -> bool {
        (0..self.disks()).all(|index| self.fate(index) == Fate::Drained)
    }

    /// Whether the disk with `id` has a tag of the set with that fate.
    pub fn is_on(&self, id: u64, fate: Fate) -> bool {
        self.index_of(id).is_some_and(|index| self.fate(index) == fate)
    }

    /// From now on a disk whose tag is drained is not drained any further.
    pub fn block_drain(&self) {
        self.blocks_drain.store(1, Ordering::Release);
    }

    /// Whether it is not.
    pub fn blocks_drain(&self) -> bool {
        self.blocks_drain.load(Ordering::Acquire) != 0
    }
}

/// A tag of one disk.
pub struct Tag<P: Platform> {
    /// The set it belongs to.
    pub set: P::Shared<TagSet<P>>,
    /// Where in the set its disk is.
    pub index: usize,
}

impl<P: Platform> Clone for Tag<P> {
    fn clone(&self) -> Self {
        Tag { set: self.set.clone(), index: self.index }
    }
}

/// A tag, and the change node that it is before.
type Place<P> = Option<(u64, Tag<P>)>;

/// The tags that wait on one disk, each before a change node.
pub struct Tags<P: Platform> {
    ring: P::Boxed<[Place<P>; MAX_TAGS]>,
    first: usize,
    count: usize,
}

impl<P: Platform> Tags<P> {
    /// None. Fails with [`Errno::NOMEM`].
    pub fn new() -> Result<Self> {
        Ok(Tags { ring: empty_table::<P, _, MAX_TAGS>()?, first: 0, count: 0 })
    }

    /// Whether there is no room for one more.
    pub fn is_full(&self) -> bool {
        self.count == MAX_TAGS
    }

    /// Adds one before the change node `before`; there is room, and it is not before the last one's node.
    pub fn push(&mut self, before: u64, tag: Tag<P>) {
        self.ring[(self.first + self.count) % MAX_TAGS] = Some((before, tag));
        self.count += 1;
    }

    /// The first one, and the node it is before.
    pub fn first(&self) -> Option<&(u64, Tag<P>)> {
        if self.count == 0 {
            return None;
        }
        self.ring[self.first].as_ref()
    }

    /// Takes the first one away.
    pub fn pop(&mut self) -> Option<Tag<P>> {
        if self.count == 0 {
            return None;
        }
        let (_, tag) = self.ring[self.first].take()?;
        self.first = (self.first + 1) % MAX_TAGS;
        self.count -= 1;
        Some(tag)
    }
}
