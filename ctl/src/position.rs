// SPDX-License-Identifier: GPL-2.0-only
//! Where a batch stands in the order of all changes.

use serde::{Deserialize, Serialize};

/// Where a batch stands in the order of all changes of its disk. No two batches have the same one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Later batches have larger ones; 0 is before all of them.
    pub sequence: u64,
    /// A change that is too long for a batch comes in several, which share a sequence: the number of this one, from 1.
    pub part: u32,
}

impl Position {
    /// Whether it is that of a batch: nothing was committed before the first one.
    pub fn is_of_a_batch(self) -> bool {
        self.sequence != 0
    }
}

impl From<u64> for Position {
    /// The position of a batch that is no part of a longer change.
    fn from(sequence: u64) -> Self {
        Position { sequence, part: 1 }
    }
}
