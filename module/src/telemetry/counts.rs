// SPDX-License-Identifier: GPL-2.0-only
//! What is counted of a disk's drain, and what the counts were at its tags.

use crate::engine::{Op, Registry, Stamp, TagSet, Tracker};
use crate::platform::{Lock, Platform, Result};
use crate::sync::Ordering;

/// The counts of a disk at one moment, since it is filtered: bytes that wait, bytes that were written, blocks that were
/// given, given again and committed, bytes that were committed, and commits that failed.
pub type Seen = [u64; 7];

/// A tag's stamp, and the counts at some moment of it; the first stamp there is where there was no tag.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark {
    /// When the tag was placed.
    pub stamp: Stamp,
    /// The counts.
    pub seen: Seen,
}

#[derive(Default)]
struct State {
    got: u64,
    again: u64,
    commits: u64,
    bytes: u64,
    failed: u64,
    transaction: u64,
    end: Stamp,
    last: Mark,
    drained: Mark,
}

/// The counts of one disk.
pub struct Counts<P: Platform>(P::Lock<State>);

impl<P: Platform> Counts<P> {
    /// Nothing was counted. Fails with [`crate::platform::Errno::NOMEM`].
    pub fn new() -> Result<Self> {
        Ok(Counts(P::lock(State::default())?))
    }

    /// A block was given, with the number of its transaction; the same number is the same block once more.
    pub fn got(&self, transaction: u64) {
        self.0.with(|state| {
            state.got += 1;
            state.again += u64::from(state.transaction == transaction);
            state.transaction = transaction;
        });
    }

    /// A block was committed, which ended at `end`; `bytes` were committed so far.
    pub fn committed(&self, end: Stamp, bytes: u64) {
        self.0.with(|state| {
            state.commits += 1;
            (state.end, state.bytes) = (end, bytes);
        });
    }

    /// The agent could not bring a block to its target.
    pub fn failed(&self) {
        self.0.with(|state| state.failed += 1);
    }

    /// The end of the block that was committed last.
    pub fn end(&self) -> Stamp {
        self.0.with(|state| state.end)
    }

    /// The counts now.
    pub fn seen(&self, tracker: &Tracker<P>) -> Seen {
        let written = Op::ALL.iter().map(|&(op, _, _)| tracker.counters.bytes(op)).sum();
        let pending = tracker.pending_bytes();
        self.0.with(|state| [pending, written, state.got, state.again, state.commits, state.bytes, state.failed])
    }

    /// A tag was placed. The one before it.
    fn tagged(&self, mark: Mark) -> Mark {
        self.0.with(|state| core::mem::replace(&mut state.last, mark))
    }

    /// The disk's last tag that was drained, with the counts at its commit.
    pub fn drained(&self) -> Mark {
        self.0.with(|state| state.drained)
    }

    /// That is now this one.
    pub fn set_drained(&self, mark: Mark) {
        self.0.with(|state| state.drained = mark);
    }
}

/// Words of a mark, and of a disk.
const WORDS: usize = 8;
const ROW: usize = 2 * WORDS;

/// What was counted of each disk of a set when its tag was placed, and when the tag before that was.
pub struct Marks<P: Platform>(P::Words);

impl<P: Platform> Marks<P> {
    /// The set's tags were just placed. Fails with [`crate::platform::Errno::NOMEM`].
    pub fn new(registry: &Registry<P>, set: &TagSet<P>) -> Result<Self> {
        let marks = Marks(P::words(set.disks() * ROW)?);
        for index in 0..set.disks() {
            let Some(disk) = registry.find_id(set.disk(index)).filter(|_| set.is_placed(index)) else { continue };
            let now = Mark { stamp: set.stamp(index), seen: disk.counts.seen(&disk.tracker) };
            marks.put(index * ROW, disk.counts.tagged(now));
            marks.put(index * ROW + WORDS, now);
        }
        Ok(marks)
    }

    /// The tag before the set's tag on its `index`th disk.
    pub fn before(&self, index: usize) -> Mark {
        self.at(index * ROW)
    }

    /// The set's tag on its `index`th disk.
    pub fn placed(&self, index: usize) -> Mark {
        self.at(index * ROW + WORDS)
    }

    fn put(&self, at: usize, mark: Mark) {
        self.0[at].store(mark.stamp.time(), Ordering::Relaxed);
        self.0[at + 1..].iter().zip(mark.seen).for_each(|(word, value)| word.store(value, Ordering::Relaxed));
    }

    fn at(&self, at: usize) -> Mark {
        let mut seen = Seen::default();
        seen.iter_mut().zip(&self.0[at + 1..]).for_each(|(value, word)| *value = word.load(Ordering::Relaxed));
        Mark { stamp: Stamp::from_word(self.0[at].load(Ordering::Relaxed)), seen }
    }
}
