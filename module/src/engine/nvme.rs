// SPDX-License-Identifier: GPL-2.0-only
//! What an NVMe command that came past the block layer's own operations does to the disk.
//!
//! Operation codes and layouts as in the NVM and the Zoned Namespace Command Set Specifications. Numbers are little-endian.

use crate::engine::passthrough::{number, Effect, DESCRIPTOR};

/// A command, with what it sends.
pub struct Command<'a> {
    /// The submission queue entry, 64 bytes.
    pub entry: &'a [u8],
    /// The list of blocks that it sends; empty where it sends none, or there was no memory for it.
    pub data: &'a [u8],
    /// Whether it fetches something.
    pub fetches: bool,
}

const WRITE: u8 = 0x01;
const WRITE_UNCORRECTABLE: u8 = 0x04;
const WRITE_ZEROES: u8 = 0x08;
const DATASET_MANAGEMENT: u8 = 0x09;
const ZONE_MANAGEMENT_SEND: u8 = 0x79;
const ZONE_APPEND: u8 = 0x7d;
/// FLUSH, READ, COMPARE, VERIFY, and reservations: REGISTER, REPORT, ACQUIRE, RELEASE.
const HARMLESS: [u8; 8] = [0x00, 0x02, 0x05, 0x0c, 0x0d, 0x0e, 0x11, 0x15];

/// Where the first block and the number of blocks are.
const FIRST: usize = 40;
const COUNT: usize = 48;
/// Command words 10, 11 and 13.
const WORD_10: usize = 40;
const WORD_11: usize = 44;
const WORD_13: usize = 52;
/// Of DATASET MANAGEMENT: the blocks are deallocated.
const DEALLOCATE: u64 = 4;
/// Of ZONE MANAGEMENT SEND: all zones, and the actions that change no data: close and open.
const ALL_ZONES: u64 = 0x100;
const CLOSE: u64 = 1;
const OPEN: u64 = 3;

impl<'a> Command<'a> {
    /// What it may change.
    pub fn effect(&self) -> Effect<'a> {
        match self.operation() {
            WRITE | WRITE_UNCORRECTABLE | WRITE_ZEROES => Effect::Blocks { first: self.first(), count: self.count() },
            DATASET_MANAGEMENT => self.dataset(),
            ZONE_MANAGEMENT_SEND => self.zones(),
            // It is written somewhere in its zone, whose size is not known here.
            ZONE_APPEND => Effect::From(self.first()),
            operation if self.fetches || HARMLESS.contains(&operation) => Effect::Nothing,
            _ => Effect::Unknown,
        }
    }

    /// Whether it is the write of `count` blocks from `first` on. As proof it counts where neither number is small.
    pub fn is_write(&self, first: u64, count: u64) -> bool {
        first != 0 && self.operation() == WRITE && self.first() == first && self.count() == count
    }

    fn operation(&self) -> u8 {
        self.entry.first().copied().unwrap_or(0xff)
    }

    fn number(&self, at: usize, bytes: usize) -> u64 {
        (at..at + bytes).rev().fold(0, |number, at| number << 8 | u64::from(self.entry.get(at).copied().unwrap_or(0)))
    }

    fn first(&self) -> u64 {
        self.number(FIRST, 8)
    }

    fn count(&self) -> u64 {
        self.number(COUNT, 2) + 1
    }

    fn dataset(&self) -> Effect<'a> {
        if self.number(WORD_11, 4) & DEALLOCATE == 0 {
            return Effect::Nothing;
        }
        let ranges = self.number(WORD_10, 1) as usize + 1;
        match self.data.get(..ranges * DESCRIPTOR) {
            Some(list) => Effect::Listed { list, extent },
            None => Effect::Unknown,
        }
    }

    fn zones(&self) -> Effect<'a> {
        let word = self.number(WORD_13, 4);
        match word & 0xff {
            CLOSE | OPEN => Effect::Nothing,
            _ if word & ALL_ZONES != 0 => Effect::From(0),
            _ => Effect::From(self.first()),
        }
    }
}

/// First block and number of blocks of a range of DATASET MANAGEMENT.
fn extent(range: &[u8]) -> (u64, u64) {
    let number = |at, bytes| number(range, at, bytes).swap_bytes() >> (64 - 8 * bytes);
    (number(8, 8), number(4, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry with this operation, first block, and word 12.
    fn entry(operation: u8, first: u64, word_12: u32) -> [u8; 64] {
        let mut entry = [0; 64];
        entry[0] = operation;
        entry[40..48].copy_from_slice(&first.to_le_bytes());
        entry[48..52].copy_from_slice(&word_12.to_le_bytes());
        entry
    }

    fn effect(entry: &[u8]) -> String {
        format!("{:?}", Command { entry, data: &[], fetches: false }.effect())
    }

    #[test]
    fn writes_name_their_blocks_whatever_their_flags() {
        for operation in [WRITE, WRITE_UNCORRECTABLE, WRITE_ZEROES] {
            let expected = format!("{:?}", Effect::Blocks { first: 0x0102_0304_0506, count: 0x1_0000 });
            assert_eq!(effect(&entry(operation, 0x0102_0304_0506, 0x4200_ffff)), expected);
        }
        assert_eq!(effect(&entry(ZONE_APPEND, 7, 0)), format!("{:?}", Effect::From(7)));
    }

    #[test]
    fn a_deallocation_names_its_ranges_where_they_are_all_there() {
        let mut words = entry(DATASET_MANAGEMENT, 0, 0);
        words[40] = 1;
        assert_eq!(effect(&words), format!("{:?}", Effect::Nothing), "hints only");
        words[44] = 4;
        let mut ranges = [0u8; 32];
        ranges[4..8].copy_from_slice(&16u32.to_le_bytes());
        ranges[8..16].copy_from_slice(&0x1_0000_0001u64.to_le_bytes());
        let listed = |data| match (Command { entry: &words, data, fetches: false }).effect() {
            Effect::Listed { list, extent } => Some(list.chunks(16).map(extent).collect::<Vec<_>>()),
            _ => None,
        };
        assert_eq!(listed(&ranges), Some(vec![(0x1_0000_0001, 16), (0, 0)]));
        assert_eq!(listed(&ranges[..31]), None);
    }

    #[test]
    fn what_stores_nothing_changes_nothing_and_the_rest_is_unknown() {
        let nothing = format!("{:?}", Effect::Nothing);
        for operation in HARMLESS {
            assert_eq!(effect(&entry(operation, 7, 7)), nothing, "{operation:#x}");
        }
        let mut zone = entry(ZONE_MANAGEMENT_SEND, 7, 0);
        for (word_13, expected) in [(1, Effect::Nothing), (4, Effect::From(7)), (0x104, Effect::From(0))] {
            zone[52..56].copy_from_slice(&u32::to_le_bytes(word_13));
            assert_eq!(effect(&zone), format!("{expected:?}"), "{word_13:#x}");
        }
        // COPY, a vendor's, and none at all.
        for words in [&entry(0x19, 7, 0)[..], &entry(0xc1, 7, 0), &[]] {
            assert_eq!(effect(words), format!("{:?}", Effect::Unknown));
        }
        let fetched = entry(0xc2, 7, 0);
        let fetch = Command { entry: &fetched, data: &[], fetches: true };
        assert!(matches!(fetch.effect(), Effect::Nothing), "a vendor's, which fetches");
    }

    #[test]
    fn a_write_is_known_by_its_place_and_length() {
        let words = entry(WRITE, 0x1234, 7);
        let command = Command { entry: &words, data: &[], fetches: false };
        assert!(command.is_write(0x1234, 8));
        assert!(!command.is_write(0x1235, 8) && !command.is_write(0x1234, 7) && !command.is_write(0, 8));
        let words = entry(WRITE_ZEROES, 0x1234, 7);
        assert!(!Command { entry: &words, data: &[], fetches: false }.is_write(0x1234, 8));
    }
}
