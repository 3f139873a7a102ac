// SPDX-License-Identifier: GPL-2.0-only
//! Extents in the order in which their writes completed, in change nodes: the ABI's unit of delivery.

use crate::abi::MAX_CHANGES;
use crate::engine::{Changes, Clock, Stamp};
use crate::sync::{AtomicU64, Ordering};
use core::ops::Deref;

/// Longest extent, in sectors: agents read extents whole.
const MAX_EXTENT: u64 = 1 << (20 - 9);
/// Longest change that is noted as extents, in sectors: 64 MiB.
pub const MAX_CHANGE: u64 = 64 * MAX_EXTENT;
/// Change nodes that there is room for: the ABI's default limit of 65536 extents.
const NODES: u64 = 386;
/// A node: when its first extent came, its stamp, the number of its extents, and they.
const NODE_WORDS: usize = 3 + MAX_CHANGES;
const OPENED: usize = 0;
const STAMP: usize = 1;
const COUNT: usize = 2;
const EXTENTS: usize = 3;
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
    first: u64,
    open: u64,
    /// Extents of the open node.
    count: usize,
    extents: u64,
    sectors: u64,
}

impl<W: Deref<Target = [AtomicU64]>> Queue<W> {
    /// Words that a queue needs.
    pub const WORDS: usize = NODES as usize * NODE_WORDS;

    /// An empty queue in `words`, [`Self::WORDS`] of them.
    pub fn new(words: W) -> Self {
        debug_assert!(words.len() >= Self::WORDS);
        Queue { words, first: 0, open: 0, count: 0, extents: 0, sectors: 0 }
    }

    /// Extents that wait.
    pub fn extents(&self) -> u64 {
        self.extents
    }

    /// Sectors in them; one that is in two extents counts twice.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// When the first extent that waits came, in 100 ns since the Unix epoch.
    pub fn oldest(&self) -> Option<u64> {
        (self.extents() != 0).then(|| self.word(self.first, OPENED).load(Ordering::Relaxed))
    }

    fn word(&self, node: u64, index: usize) -> &AtomicU64 {
        &self.words[(node % NODES) as usize * NODE_WORDS + index]
    }

    /// Adds `sectors` (1 to [`MAX_CHANGE`]) from `sector` on, all before [`END`]; all or nothing. Neighbours become one
    /// extent.
    pub fn push(&mut self, sector: u64, sectors: u64, clock: &Clock, now: impl Fn() -> u64) -> Result<(), Full> {
        if self.join_last(sector, sectors) {
            return Ok(());
        }
        let room = (self.first + NODES - self.open) * MAX_CHANGES as u64 - self.count as u64;
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
        if self.count == 0 {
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
            self.word(self.open, OPENED).store(now(), Ordering::Relaxed);
        }
        self.word(self.open, EXTENTS + self.count).store(pack(sector, sectors), Ordering::Relaxed);
        self.count += 1;
        self.extents += 1;
        self.sectors += sectors;
        if self.count == MAX_CHANGES {
            self.close(clock.stamp(now()));
        }
    }

    /// Closes the open node, unless it is empty, and gives the number of the next one: what comes now is in it or later.
    pub fn cut(&mut self, clock: &Clock, now: impl Fn() -> u64) -> u64 {
        if self.count != 0 {
            self.close(clock.stamp(now()));
        }
        self.open
    }

    /// The number of the oldest node, which may be the open one.
    pub fn first(&self) -> u64 {
        self.first
    }

    fn close(&mut self, stamp: Stamp) {
        self.word(self.open, STAMP).store(stamp.time(), Ordering::Relaxed);
        self.word(self.open, COUNT).store(self.count as u64, Ordering::Relaxed);
        self.open += 1;
        self.count = 0;
    }

    /// Moves the oldest node's extents into `changes`, which is empty, and gives its stamp; the open node is closed for
    /// it where there is no other. `None` where nothing waits.
    pub fn take(&mut self, changes: &mut Changes, clock: &Clock, now: impl Fn() -> u64) -> Option<Stamp> {
        if self.first == self.open {
            if self.count == 0 {
                return None;
            }
            self.close(clock.stamp(now()));
        }
        let count = self.word(self.first, COUNT).load(Ordering::Relaxed) as usize;
        for index in 0..count {
            let (sector, sectors) = unpack(self.word(self.first, EXTENTS + index).load(Ordering::Relaxed));
            self.sectors -= sectors;
            changes.push(sector << 9, (sectors << 9) as u32);
        }
        let stamp = Stamp::from_word(self.word(self.first, STAMP).load(Ordering::Relaxed));
        self.first += 1;
        self.extents -= count as u64;
        Some(stamp)
    }
}

const fn pack(sector: u64, sectors: u64) -> u64 {
    (sector << LENGTH_BITS) | sectors
}

const fn unpack(word: u64) -> (u64, u64) {
    (word >> LENGTH_BITS, word & ((1 << LENGTH_BITS) - 1))
}
