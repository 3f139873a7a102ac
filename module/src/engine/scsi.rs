// SPDX-License-Identifier: GPL-2.0-only
//! What a SCSI command that came past the block layer's own operations (SG_IO, bsg) does to the disk.
//!
//! Operation codes and layouts as in SPC-5, SBC-4 and SAT-5; ATA commands as in ACS-4. Numbers in them are big-endian.

use crate::engine::passthrough::{number, Effect, DESCRIPTOR};

/// A command, with what it sends.
pub struct Command<'a> {
    /// The command descriptor block, 6 to 260 bytes.
    pub cdb: &'a [u8],
    /// The list of blocks that it sends; empty where it sends none, or there was no memory for it.
    pub data: &'a [u8],
    /// Bytes that it sends or fetches.
    pub bytes: u64,
    /// Whether it sends them.
    pub sends: bool,
}

/// First block and number of blocks of a descriptor of an UNMAP list.
fn extent(descriptor: &[u8]) -> (u64, u64) {
    (number(descriptor, 0, 8), number(descriptor, 8, 4))
}

/// Bytes before the descriptors of an UNMAP list.
const LIST_HEADER: usize = 8;

const UNMAP: u8 = 0x42;
const VARIABLE_LENGTH: u8 = 0x7f;
const ATA_PASS_THROUGH_12: u8 = 0xa1;
const ATA_PASS_THROUGH_16: u8 = 0x85;

/// Commands that send something, or nothing, and change no block: TEST UNIT READY, REWIND, REQUEST SENSE, INQUIRY, MODE
/// SELECT, RESERVE, RELEASE, START STOP UNIT, SEND DIAGNOSTIC, PREVENT ALLOW, SEEK, VERIFY, PRE-FETCH, SYNCHRONIZE CACHE,
/// WRITE BUFFER, LOG SELECT, PERSISTENT RESERVE OUT, MAINTENANCE OUT.
const HARMLESS: [u8; 25] = [
    0x00, 0x01, 0x03, 0x12, 0x15, 0x16, 0x17, 0x1b, 0x1d, 0x1e, 0x2b, 0x2f, 0x34, 0x35, 0x3b, 0x4c, 0x55, 0x56, 0x57,
    0x5f, 0x8f, 0x90, 0x91, 0xa4, 0xaf,
];

/// ATA commands that change no sector: CHECK POWER MODE, the power modes, FLUSH CACHE, READ LOG, IDENTIFY, SMART, SET
/// FEATURES, READ VERIFY.
const HARMLESS_ATA: [u8; 16] =
    [0x2f, 0x40, 0x42, 0x47, 0xa1, 0xb0, 0xe0, 0xe1, 0xe2, 0xe3, 0xe5, 0xe6, 0xe7, 0xea, 0xec, 0xef];

impl<'a> Command<'a> {
    /// What it may change.
    pub fn effect(&self) -> Effect<'a> {
        let blocks = |lba: (usize, usize), count: (usize, usize)| Effect::Blocks {
            first: number(self.cdb, lba.0, lba.1),
            count: number(self.cdb, count.0, count.1),
        };
        // A count of 0 means "to the end" to WRITE SAME.
        let same = |effect| match effect {
            Effect::Blocks { first, count: 0 } => Effect::From(first),
            effect => effect,
        };
        match self.operation() {
            0x0a => self.write_6(),
            0x2a | 0x2e => blocks((2, 4), (7, 2)),
            0xaa | 0xae => blocks((2, 4), (6, 4)),
            0x8a | 0x8e | 0x8b => blocks((2, 8), (10, 4)),
            0x41 => same(blocks((2, 4), (7, 2))),
            0x93 => same(blocks((2, 8), (10, 4))),
            0x89 => blocks((2, 8), (13, 1)),
            0x9c => blocks((2, 8), (12, 2)),
            UNMAP => self.unmap(),
            VARIABLE_LENGTH => match number(self.cdb, 8, 2) {
                0x000b | 0x000c | 0x000e => blocks((12, 8), (28, 4)),
                0x000d => same(blocks((12, 8), (28, 4))),
                _ => self.other(),
            },
            ATA_PASS_THROUGH_12 => self.ata(9),
            ATA_PASS_THROUGH_16 => self.ata(14),
            _ => self.other(),
        }
    }

    fn operation(&self) -> u8 {
        self.cdb.first().copied().unwrap_or(0xff)
    }

    /// 21 bits of address, and a count of 0 means 256.
    fn write_6(&self) -> Effect<'a> {
        let count = match number(self.cdb, 4, 1) {
            0 => 256,
            count => count,
        };
        Effect::Blocks { first: number(self.cdb, 1, 3) & 0x1f_ffff, count }
    }

    fn unmap(&self) -> Effect<'a> {
        let listed = number(self.data, 2, 2) as usize / DESCRIPTOR * DESCRIPTOR;
        match self.data.get(LIST_HEADER..LIST_HEADER + listed) {
            Some(list) => Effect::Listed { list, extent },
            None if self.bytes == 0 => Effect::Nothing,
            None => Effect::Unknown,
        }
    }

    /// Whatever fetches data changes nothing, nor do the ATA commands that are known to.
    fn ata(&self, command: usize) -> Effect<'a> {
        let harmless = self.cdb.get(command).is_some_and(|command| HARMLESS_ATA.contains(command));
        if harmless {
            Effect::Nothing
        } else {
            self.other()
        }
    }

    fn other(&self) -> Effect<'a> {
        let fetches = !self.sends && self.bytes != 0;
        if fetches || HARMLESS.contains(&self.operation()) {
            Effect::Nothing
        } else {
            Effect::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `cdb` does, which sends 512 bytes.
    fn effect(cdb: &[u8]) -> String {
        format!("{:?}", Command { cdb, data: &[], bytes: 512, sends: true }.effect())
    }

    fn blocks(first: u64, count: u64) -> String {
        format!("{:?}", Effect::Blocks { first, count })
    }

    #[test]
    fn writes_of_every_length_name_their_blocks() {
        assert_eq!(effect(&[0x0a, 0xff, 2, 3, 4, 0]), blocks(0x1f_0203, 4));
        assert_eq!(effect(&[0x0a, 0, 0, 9, 0, 0]), blocks(9, 256));
        assert_eq!(effect(&[0x2a, 0, 1, 2, 3, 4, 0, 0, 8, 0]), blocks(0x0102_0304, 8));
        assert_eq!(effect(&[0xaa, 0, 1, 2, 3, 4, 0, 1, 0, 8, 0, 0]), blocks(0x0102_0304, 0x1_0008));
        let write_16 = [0x8a, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 16, 0, 0];
        assert_eq!(effect(&write_16), blocks(0x0102_0304_0506_0708, 16));
        let mut write_32 = [0; 32];
        write_32[0] = 0x7f;
        write_32[9] = 0x0b;
        write_32[19] = 7;
        write_32[31] = 3;
        assert_eq!(effect(&write_32), blocks(7, 3));
        assert_eq!(effect(&[0x89, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0]), blocks(7, 1));
    }

    #[test]
    fn write_same_of_no_blocks_goes_to_the_end() {
        assert_eq!(effect(&[0x41, 0, 0, 0, 0, 7, 0, 0, 0, 0]), format!("{:?}", Effect::From(7)));
        assert_eq!(effect(&[0x93, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0]), blocks(7, 2));
    }

    #[test]
    fn an_unmap_list_that_is_not_whole_is_unknown() {
        let mut data = [0; 40];
        data[3] = 32;
        data[8 + 7] = 9;
        data[8 + 11] = 4;
        let list = |data| match (Command { cdb: &[UNMAP; 10], data, bytes: 40, sends: true }).effect() {
            Effect::Listed { list, extent } => Some(list.chunks(16).map(extent).collect::<Vec<_>>()),
            _ => None,
        };
        assert_eq!(list(&data), Some(vec![(9, 4), (0, 0)]));
        assert_eq!(list(&data[..39]), None);
        assert_eq!(list(&[]), None);
    }

    #[test]
    fn what_fetches_or_is_harmless_changes_nothing_and_the_rest_is_unknown() {
        let asked =
            |cdb: &[u8], bytes, sends| matches!(Command { cdb, data: &[], bytes, sends }.effect(), Effect::Nothing);
        assert!(asked(&[0x28; 10], 4096, false), "READ");
        assert!(asked(&[0x35; 10], 0, false), "SYNCHRONIZE CACHE");
        assert!(asked(&[0x5f; 10], 24, true), "PERSISTENT RESERVE OUT");
        assert!(!asked(&[0x04; 6], 0, false), "FORMAT UNIT");
        assert!(!asked(&[0x48; 10], 0, false), "SANITIZE");
        assert!(!asked(&[0x83; 16], 64, true), "EXTENDED COPY");
        assert!(!asked(&[], 0, false), "no command");
        let mut ata = [0; 16];
        ata[0] = ATA_PASS_THROUGH_16;
        ata[14] = 0xec;
        assert!(asked(&ata, 512, false), "IDENTIFY DEVICE");
        ata[14] = 0xf4;
        assert!(!asked(&ata, 512, true), "SECURITY ERASE UNIT");
    }
}
