// SPDX-License-Identifier: GPL-2.0-only
//! Changes in the order in which their writes completed, in change nodes: the ABI's unit of delivery. Extents are kept
//! here; what belongs to nodes with data is in `data`.

use crate::abi::MAX_CHANGES;
use crate::engine::{Changes, Clock, Stamp};
use crate::sync::{AtomicU64, Ordering};
use core::ops::Deref;

/// Longest extent, in sectors: agents read extents whole.
const MAX_EXTENT: u64 = 1 << (20 - 9);
/// Longest change that is noted as extents, in sectors: 64 MiB.
pub const MAX_CHANGE: u64 = 64 * MAX_EXTENT;
/// Change nodes that there is room for: the ABI's default limit of 65536 extents.
pub const NODES: u64 = 386;
/// A node: when its first change came, the stamp of its last one, their number, and extents, or what `data` keeps there.
const NODE_WORDS: usize = 3 + MAX_CHANGES;
pub(super) const OPENED: usize = 0;
pub(super) const STAMP: usize = 1;
pub(super) const COUNT: usize = 2;
const EXTENTS: usize = 3;
/// In a closed node's number of changes: it has data.
pub(super) const DATA: u64 = 1 << 32;
/// An extent is one word: its length below, its first sector above.
const LENGTH_BITS: u32 = 16;
/// Sectors at and after this one do not fit (128 PiB).
pub const END: u64 = 1 << (64 - LENGTH_BITS);

/// There is no room for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A ring of change nodes. Nodes from `first` to before `open` are closed and stamped; the open one may be empty.
///
/// All memory is there from the start, 8 bytes an extent: nothing on a write's way asks for any.
pub struct Queue<W> {
    words: W,
    pub(super) first: u64,
    pub(super) open: u64,
    /// Changes of the open node.
    pub(super) count: usize,
    /// Whether the open node has data; of one without changes it says nothing.
    pub(super) is_data: bool,
    extents: u64,
    pub(super) data_changes: u64,
    pub(super) sectors: u64,
}

/// The oldest node.
pub enum Oldest {
    /// Extents, which were moved, with their stamp.
    Extents(Stamp),
    /// Data, in the node with this number: it is taken by [`Queue::take_data`] when all of it is there.
    Data(u64),
}

impl<W: Deref<Target = [AtomicU64]>> Queue<W> {
    /// Words that a queue needs.
    pub const WORDS: usize = NODES as usize * NODE_WORDS;

    /// An empty queue in `words`, [`Self::WORDS`] of them.
    pub fn new(words: W) -> Self {
        debug_assert!(words.len() >= Self::WORDS);
        Queue { words, first: 0, open: 0, count: 0, is_data: false, extents: 0, data_changes: 0, sectors: 0 }
    }

    /// Changes that wait with their data.
    pub fn data_changes(&self) -> u64 {
        self.data_changes
    }

    /// Nodes that can be opened, the open one counted.
    pub(super) fn nodes_left(&self) -> u64 {
        self.first + NODES - self.open
    }

    /// Extents that wait.
    pub fn extents(&self) -> u64 {
        self.extents
    }

    /// Sectors in all changes; one that is in two counts twice.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// When the first change that waits came, in 100 ns since the Unix epoch.
    pub fn oldest(&self) -> Option<u64> {
        (self.extents + self.data_changes != 0).then(|| self.get(self.first, OPENED))
    }

    #[inline]
    pub(super) fn get(&self, node: u64, index: usize) -> u64 {
        self.word(node, index).load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn set(&self, node: u64, index: usize, value: u64) {
        self.word(node, index).store(value, Ordering::Relaxed);
    }

    #[inline]
    fn word(&self, node: u64, index: usize) -> &AtomicU64 {
        &self.words[(node % NODES) as usize * NODE_WORDS + index]
    }

    /// Adds `sectors` (1 to [`MAX_CHANGE`]) from `sector` on, all before [`END`]; all or nothing. Neighbours become one
    /// extent.
    pub fn push(&mut self, sector: u64, sectors: u64, clock: &Clock, now: impl Fn() -> u64) -> Result<(), Full> {
        if self.join_last(sector, sectors) {
            return Ok(());
        }
        if self.is_data {
            self.cut(clock, &now);
        }
        let room = self.nodes_left() * MAX_CHANGES as u64 - self.count as u64;
        if sectors.div_ceil(MAX_EXTENT) > room {
            return Err(Full);
        }
        let mut at = sector;
        while at < sector + sectors {
            let length = (sector + sectors - at).min(MAX_EXTENT);
            self.push_extent(at, length, clock, &now);
            at += length;
        }
        Ok(())
    }

    /// Makes the last extent longer where the change begins in it or at its end.
    fn join_last(&mut self, sector: u64, sectors: u64) -> bool {
        if self.count == 0 || self.is_data {
            return false;
        }
        let last = self.word(self.open, EXTENTS + self.count - 1);
        let (start, length) = unpack(last.load(Ordering::Relaxed));
        if sector < start || sector > start + length || sector + sectors > start + MAX_EXTENT {
            return false;
        }
        let joined = length.max(sector + sectors - start);
        last.store(pack(start, joined), Ordering::Relaxed);
        self.sectors += joined - length;
        true
    }

    fn push_extent(&mut self, sector: u64, sectors: u64, clock: &Clock, now: &impl Fn() -> u64) {
        if self.count == 0 {
            self.set(self.open, OPENED, now());
        }
        self.set(self.open, EXTENTS + self.count, pack(sector, sectors));
        self.count += 1;
        self.extents += 1;
        self.sectors += sectors;
        if self.count == MAX_CHANGES {
            self.cut(clock, now);
        }
    }

    /// Closes the open node, unless it is empty, and gives the number of the next one: what comes now is in it or later.
    pub fn cut(&mut self, clock: &Clock, now: impl Fn() -> u64) -> u64 {
        if self.count != 0 {
            let kind = if self.is_data { DATA } else { 0 };
            // A node with data has its last change's stamp already.
            if !self.is_data {
                self.set(self.open, STAMP, clock.stamp(now()).time());
            }
            self.set(self.open, COUNT, self.count as u64 | kind);
            self.open += 1;
            self.count = 0;
        }
        self.is_data = false;
        self.open
    }

    /// The number of the oldest node, which may be the open one.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Moves the oldest node's extents into `changes`, which is empty, or tells that it has data; the open node is closed
    /// for it where there is no other. `None` where nothing waits.
    pub fn take(&mut self, changes: &mut Changes, clock: &Clock, now: impl Fn() -> u64) -> Option<Oldest> {
        if self.first == self.open && self.cut(clock, now) == self.first {
            return None;
        }
        let count = self.get(self.first, COUNT);
        if count & DATA != 0 {
            return Some(Oldest::Data(self.first));
        }
        for index in 0..count as usize {
            let (sector, sectors) = unpack(self.get(self.first, EXTENTS + index));
            self.sectors -= sectors;
            changes.push(sector << 9, (sectors << 9) as u32);
        }
        let stamp = Stamp::from_word(self.get(self.first, STAMP));
        self.first += 1;
        self.extents -= count;
        Some(Oldest::Extents(stamp))
    }
}

const fn pack(sector: u64, sectors: u64) -> u64 {
    (sector << LENGTH_BITS) | sectors
}

const fn unpack(word: u64) -> (u64, u64) {
    (word >> LENGTH_BITS, word & ((1 << LENGTH_BITS) - 1))
}
