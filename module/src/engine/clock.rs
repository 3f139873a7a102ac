// SPDX-License-Identifier: GPL-2.0-only
//! Stamps that never go back, across all disks.

use core::sync::atomic::{AtomicU64, Ordering};

/// A place in the order of changes, later than every stamp that was given before it.
///
/// Time and sequence are one number: whoever sorts by either, or by both, gets the same order, and a sequence never
/// begins anew at a boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(u64);

impl Stamp {
    /// The stamp that was stored as `word`.
    pub const fn from_word(word: u64) -> Stamp {
        Stamp(word)
    }

    /// The stamp one unit later.
    pub const fn next(self) -> Stamp {
        Stamp(self.0 + 1)
    }

    /// 100 ns since the Unix epoch.
    pub const fn time(self) -> u64 {
        self.0
    }

    /// More than the sequence of the stamp before.
    pub const fn sequence(self) -> u64 {
        self.0
    }
}

/// Gives stamps, to any number of threads.
#[derive(Debug, Default)]
pub struct Clock {
    last: AtomicU64,
}

impl Clock {
    /// A clock that has given no stamp.
    pub const fn new() -> Self {
        Clock { last: AtomicU64::new(0) }
    }

    /// The last stamp that was given.
    pub fn last(&self) -> Stamp {
        Stamp(self.last.load(Ordering::Acquire))
    }

    /// Every stamp from now on is later than `stamp`, which was given before a reload or a boot.
    pub fn is_after(&self, stamp: Stamp) {
        self.last.fetch_max(stamp.0, Ordering::AcqRel);
    }

    /// The next stamp: at `now`, or just after the last one where the wall clock went back or stands still.
    pub fn stamp(&self, now: u64) -> Stamp {
        self.stamps(now, 1)
    }

    /// The next `count` stamps (at least 1), of which it gives the first: each is one unit later than the one before.
    pub fn stamps(&self, now: u64, count: u64) -> Stamp {
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let next = now.max(last + 1);
            match self.last.compare_exchange_weak(last, next + (count - 1), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Stamp(next),
                Err(seen) => last = seen,
            }
        }
    }
}
