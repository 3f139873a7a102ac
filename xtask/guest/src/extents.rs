// SPDX-License-Identifier: GPL-2.0-only
//! A set of byte ranges.

use std::collections::BTreeMap;

/// Byte ranges of one disk, merged where they touch or overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extents {
    /// Start to end, neither overlapping nor touching.
    ranges: BTreeMap<u64, u64>,
}

impl Extents {
    /// Adds `length` bytes from `offset`.
    pub fn insert(&mut self, offset: u64, length: u64) {
        if length == 0 {
            return;
        }
        let (mut start, mut end) = (offset, offset.saturating_add(length));
        while let Some((&other, &other_end)) = self.ranges.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            self.ranges.remove(&other);
            start = start.min(other);
            end = end.max(other_end);
        }
        self.ranges.insert(start, end);
    }

    /// Takes `length` bytes from `offset` away.
    pub fn remove(&mut self, offset: u64, length: u64) {
        let end = offset.saturating_add(length);
        while let Some((&other, &other_end)) = self.ranges.range(..end).next_back() {
            if other_end <= offset {
                break;
            }
            self.ranges.remove(&other);
            if other_end > end {
                self.ranges.insert(end, other_end);
            }
            if other < offset {
                self.ranges.insert(other, offset);
            }
        }
    }

    /// Whether every byte of `length` bytes from `offset` is in the set.
    pub fn covers(&self, offset: u64, length: u64) -> bool {
        let last = self.ranges.range(..=offset).next_back();
        length == 0 || last.is_some_and(|(_, &end)| end >= offset.saturating_add(length))
    }

    /// Whether some byte of `length` bytes from `offset` is in the set.
    pub fn touches(&self, offset: u64, length: u64) -> bool {
        let last = self.ranges.range(..offset.saturating_add(length)).next_back();
        length != 0 && last.is_some_and(|(_, &end)| end > offset)
    }

    /// Offset and length of each range, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().map(|(&start, &end)| (start, end - start))
    }

    /// Bytes in the set.
    pub fn bytes(&self) -> u64 {
        self.iter().map(|(_, length)| length).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u64, u64)]) -> Extents {
        let mut set = Extents::default();
        ranges.iter().for_each(|&(offset, length)| set.insert(offset, length));
        set
    }

    fn list(set: &Extents) -> Vec<(u64, u64)> {
        set.iter().collect()
    }

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        assert_eq!(list(&set(&[(0, 4), (8, 4), (4, 4)])), [(0, 12)]);
        assert_eq!(list(&set(&[(10, 5), (0, 3), (2, 9)])), [(0, 15)]);
        assert_eq!(list(&set(&[(0, 100), (10, 5)])), [(0, 100)]);
        assert_eq!(list(&set(&[(5, 0)])), []);
    }

    #[test]
    fn what_is_removed_is_no_longer_covered() {
        let mut ranges = set(&[(0, 100), (200, 50)]);
        ranges.remove(90, 120);
        assert_eq!(list(&ranges), [(0, 90), (210, 40)]);
        ranges.remove(10, 10);
        assert_eq!(list(&ranges), [(0, 10), (20, 70), (210, 40)]);
        assert!(ranges.covers(20, 70) && !ranges.covers(19, 2) && !ranges.covers(80, 11));
        assert!(ranges.touches(0, 1) && !ranges.touches(10, 10) && ranges.touches(10, 11));
        assert_eq!(ranges.bytes(), 120);
    }

    #[test]
    fn the_set_agrees_with_one_flag_a_byte() {
        let mut ranges = Extents::default();
        let mut flags = [false; 64];
        let mut random = 7_u64;
        for _ in 0..2000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (offset, length) = ((random >> 33) % 56, (random >> 41) % 8);
            let add = random >> 63 == 1;
            if add {
                ranges.insert(offset, length)
            } else {
                ranges.remove(offset, length)
            }
            flags[offset as usize..(offset + length) as usize].fill(add);
            assert_eq!(ranges.bytes(), flags.iter().filter(|&&flag| flag).count() as u64);
            assert!((0..64).all(|byte| ranges.covers(byte, 1) == flags[byte as usize]));
        }
    }
}
