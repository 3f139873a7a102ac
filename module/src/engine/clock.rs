// SPDX-License-Identifier: GPL-2.0-only
//! Time and sequence stamps that never go back, across all disks.

/// A place in the order of changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// 100 ns since the Unix epoch.
    pub time: u64,
    /// One more than the stamp before.
    pub sequence: u64,
}

/// Gives stamps.
#[derive(Debug, Default)]
pub struct Clock {
    last: Stamp,
}

impl Clock {
    /// A clock that has given no stamp.
    pub const fn new() -> Self {
        Clock { last: Stamp { time: 0, sequence: 0 } }
    }

    /// The next stamp, at `now` or at the last stamp's time where the wall clock went back.
    pub fn stamp(&mut self, now: u64) -> Stamp {
        self.last = Stamp { time: now.max(self.last.time), sequence: self.last.sequence + 1 };
        self.last
    }
}
