// SPDX-License-Identifier: GPL-2.0-only
//! Dirty bits of a disk, one for each block of it.

use crate::platform::{Errno, Platform, Result};
use crate::sync::{AtomicI64, AtomicU64, Ordering};
use core::ops::Deref;

const WORD_BITS: u64 = 64;

/// Consecutive dirty blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First block.
    pub first: u64,
    /// Number of blocks, at least 1.
    pub blocks: u64,
}

/// Bits that any number of threads may set while one takes them.
pub struct Bitmap<W> {
    words: W,
    blocks: u64,
    /// Bits that are set. Behind `words` for a moment while one sets and another takes, so it may dip below 0.
    dirty: AtomicI64,
}

impl<W: Deref<Target = [AtomicU64]>> Bitmap<W> {
    /// Words that a bitmap of `blocks` bits needs; `None` where the number is beyond the address space.
    pub fn words_for(blocks: u64) -> Option<usize> {
        usize::try_from(blocks.div_ceil(WORD_BITS)).ok()
    }

    /// A bitmap of `blocks` bits in `words`, which are zero and at least [`Self::words_for`] many.
    pub fn new(words: W, blocks: u64) -> Self {
        debug_assert!(words.len() as u64 * WORD_BITS >= blocks);
        Bitmap { words, blocks, dirty: AtomicI64::new(0) }
    }

    /// A bitmap of `blocks` bits, none of them set. Fails with [`Errno::NOMEM`].
    pub fn empty<P: Platform<Words = W>>(blocks: u64) -> Result<Self> {
        Ok(Bitmap::new(P::words(Self::words_for(blocks).ok_or(Errno::NOMEM)?)?, blocks))
    }

    /// Number of bits.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Number of bits that are set; exact while nobody sets or takes bits.
    pub fn dirty(&self) -> u64 {
        self.dirty.load(Ordering::Acquire).max(0) as u64
    }

    /// Sets the bits `first..end`, as far as they are in the bitmap.
    #[inline]
    pub fn set(&self, first: u64, end: u64) {
        let end = end.min(self.blocks);
        let mut at = first;
        while at < end {
            let stop = end.min((at / WORD_BITS + 1) * WORD_BITS);
            self.set_in_word(at, stop);
            at = stop;
        }
    }

    /// Sets `first..end`, all of them in one word.
    fn set_in_word(&self, first: u64, end: u64) {
        let Some(word) = self.words.get((first / WORD_BITS) as usize) else { return };
        let mask = (u64::MAX >> (WORD_BITS - (end - first))) << (first % WORD_BITS);
        let before = word.fetch_or(mask, Ordering::AcqRel);
        let new = (mask & !before).count_ones();
        if new != 0 {
            self.dirty.fetch_add(i64::from(new), Ordering::AcqRel);
        }
    }

    /// The bits `64 * index` to `64 * index + 63`, the lowest first; none past the end.
    pub fn word(&self, index: u64) -> u64 {
        let word = usize::try_from(index).ok().and_then(|index| self.words.get(index));
        word.map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Sets those of the bits `64 * index` to `64 * index + 63` that are set in `bits`, as far as they are in the bitmap.
    pub fn set_word(&self, index: u64, bits: u64) {
        let Some(word) = usize::try_from(index).ok().and_then(|index| self.words.get(index)) else { return };
        let room = self.blocks.saturating_sub(index * WORD_BITS);
        let bits = if room < WORD_BITS { bits & !(u64::MAX << room) } else { bits };
        let new = bits & !word.fetch_or(bits, Ordering::AcqRel);
        self.dirty.fetch_add(i64::from(new.count_ones()), Ordering::AcqRel);
    }

    /// Clears and gives the bits `64 * index` to `64 * index + 63`.
    pub fn take_word(&self, index: u64) -> u64 {
        let bits = self.word(index);
        self.clear_word(index, bits);
        bits
    }

    /// Clears those of the bits `64 * index` to `64 * index + 63` that are set in `bits`.
    pub fn clear_word(&self, index: u64, bits: u64) {
        let Some(word) = usize::try_from(index).ok().and_then(|index| self.words.get(index)) else { return };
        let cleared = word.fetch_and(!bits, Ordering::AcqRel) & bits;
        self.dirty.fetch_sub(i64::from(cleared.count_ones()), Ordering::AcqRel);
    }

    /// Clears all bits.
    pub fn clear_all(&self) {
        self.clear(0, self.blocks);
    }

    /// Whether all of the bits `first..end` are set.
    pub fn has(&self, first: u64, end: u64) -> bool {
        self.next(first, true).is_none_or(|clear| clear >= end)
    }

    /// Moves every set bit into `to`, a bitmap of the same size.
    pub fn move_into(&self, to: &Self) {
        for (from, to_word) in self.words.iter().zip(to.words.iter()) {
            if from.load(Ordering::Acquire) == 0 {
                continue;
            }
            let bits = from.swap(0, Ordering::AcqRel);
            self.dirty.fetch_sub(i64::from(bits.count_ones()), Ordering::AcqRel);
            let new = bits & !to_word.fetch_or(bits, Ordering::AcqRel);
            to.dirty.fetch_add(i64::from(new.count_ones()), Ordering::AcqRel);
        }
    }

    /// Clears and gives the first run at or after block `from`, of at most `most` (at least 1) blocks.
    pub fn take_run(&self, from: u64, most: u64) -> Option<Run> {
        let first = self.next(from, false)?;
        let end = self.next(first, true).unwrap_or(self.blocks).min(first.saturating_add(most));
        self.clear(first, end);
        Some(Run { first, blocks: end - first })
    }

    /// First block at or after `from` whose bit is set, or is clear where `clear` is asked for.
    fn next(&self, from: u64, clear: bool) -> Option<u64> {
        let flip = if clear { u64::MAX } else { 0 };
        let start = (from / WORD_BITS) as usize;
        let mut keep = u64::MAX << (from % WORD_BITS);
        for (index, word) in self.words.iter().enumerate().skip(start) {
            let bits = (word.load(Ordering::Acquire) ^ flip) & keep;
            if bits != 0 {
                let block = index as u64 * WORD_BITS + u64::from(bits.trailing_zeros());
                return (block < self.blocks).then_some(block);
            }
            keep = u64::MAX;
        }
        None
    }

    fn clear(&self, first: u64, end: u64) {
        let mut at = first;
        while at < end {
            let stop = end.min((at / WORD_BITS + 1) * WORD_BITS);
            let mask = (u64::MAX >> (WORD_BITS - (stop - at))) << (at % WORD_BITS);
            if let Some(word) = self.words.get((at / WORD_BITS) as usize) {
                let cleared = word.fetch_and(!mask, Ordering::AcqRel) & mask;
                self.dirty.fetch_sub(i64::from(cleared.count_ones()), Ordering::AcqRel);
            }
            at = stop;
        }
    }
}
