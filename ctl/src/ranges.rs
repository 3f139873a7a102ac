// SPDX-License-Identifier: GPL-2.0-only
//! Sets of bytes of a disk.

use std::collections::BTreeMap;

/// A set of bytes, by their offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Where ranges begin and end. No two of them touch.
    ends: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds `bytes` from `offset` on. Their end must be a u64.
    pub fn insert(&mut self, offset: u64, bytes: u64) {
        let (mut start, mut end) = (offset, offset + bytes);
        while let Some((other, its_end)) = self.last_before(end + 1).filter(|&(_, its_end)| its_end >= start) {
            self.ends.remove(&other);
            (start, end) = (start.min(other), end.max(its_end));
        }
        self.ends.insert(start, end);
    }

    /// Takes `bytes` from `offset` on out of it. Their end must be a u64.
    pub fn remove(&mut self, offset: u64, bytes: u64) {
        let end = offset + bytes;
        while let Some((other, its_end)) = self.last_before(end).filter(|&(_, its_end)| its_end > offset) {
            self.ends.remove(&other);
            if other < offset {
                self.ends.insert(other, offset);
            }
            if its_end > end {
                self.ends.insert(end, its_end);
            }
        }
    }

    /// The last range that begins before an offset.
    fn last_before(&self, offset: u64) -> Option<(u64, u64)> {
        self.ends.range(..offset).next_back().map(|(&start, &end)| (start, end))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Offset and length of each range, in order; no two of them touch.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ends.iter().map(|(&start, &end)| (start, end - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_has_what_was_inserted_and_not_removed(
            steps in prop::collection::vec((any::<bool>(), 0u64..60, 1u64..30), 0..24),
        ) {
            let (mut ranges, mut model) = (Ranges::default(), [false; 100]);
            for (inserts, offset, bytes) in steps {
                match inserts {
                    true => ranges.insert(offset, bytes),
                    false => ranges.remove(offset, bytes),
                }
                model[offset as usize..(offset + bytes) as usize].fill(inserts);
            }
            let mut found = [false; 100];
            let mut last_end = None;
            for (offset, bytes) in ranges.iter() {
                prop_assert!(bytes > 0 && last_end.is_none_or(|end| end < offset));
                last_end = Some(offset + bytes);
                found[offset as usize..(offset + bytes) as usize].fill(true);
            }
            prop_assert_eq!(found, model);
            prop_assert_eq!(ranges.is_empty(), !model.contains(&true));
        }
    }
}
