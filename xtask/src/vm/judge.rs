// SPDX-License-Identifier: GPL-2.0-only
//! The judge: a disk's image before and after, against what was drained.

use crate::error::{AtPath, Result};
use guest::extents::Extents;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a block as the counts have it.
pub const BLOCK: usize = 4096;
const SECTOR: usize = 512;
const CHUNK: usize = 1 << 20;

/// What the judge found on one disk; counts are of blocks of 4096 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// Blocks whose bytes differ.
    pub changed: u64,
    /// Blocks with something in them that was drained.
    pub reported: u64,
    /// Blocks with a changed sector that was not drained.
    pub missed: u64,
    /// Offset in bytes of the first missed block.
    pub first_missed: Option<u64>,
}

/// A disk's part of its image file.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Size in bytes, a multiple of [`BLOCK`].
    pub size: u64,
}

/// Compares a part of two image files, and looks for every changed block in what was drained.
pub fn judge(before: &Path, after: &Path, part: Part, drained: &Extents) -> Result<Finding> {
    let (old, new) = (File::open(before).at_path(before)?, File::open(after).at_path(after)?);
    let (mut old_bytes, mut new_bytes) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut finding = Finding::default();
    let mut at = 0;
    while at < part.size {
        let length = (part.size - at).min(CHUNK as u64) as usize;
        old.read_exact_at(&mut old_bytes[..length], part.offset + at).at_path(before)?;
        new.read_exact_at(&mut new_bytes[..length], part.offset + at).at_path(after)?;
        finding.compare(at, &old_bytes[..length], &new_bytes[..length], drained);
        at += length as u64;
    }
    Ok(finding)
}

/// Compares a part of one image file with a part of another one that is as large: the offset in them of the first byte that
/// differs.
pub fn first_difference(one: (&Path, Part), other: (&Path, Part)) -> Result<Option<u64>> {
    let ((one, part), (other, at_other)) = (one, other);
    let (left, right) = (File::open(one).at_path(one)?, File::open(other).at_path(other)?);
    let (mut left_bytes, mut right_bytes) = (vec![0; CHUNK], vec![0; CHUNK]);
    for at in (0..part.size).step_by(CHUNK) {
        let length = (part.size - at).min(CHUNK as u64) as usize;
        left.read_exact_at(&mut left_bytes[..length], part.offset + at).at_path(one)?;
        right.read_exact_at(&mut right_bytes[..length], at_other.offset + at).at_path(other)?;
        if left_bytes[..length] != right_bytes[..length] {
            let differs = left_bytes.iter().zip(&right_bytes).position(|(left, right)| left != right);
            return Ok(differs.map(|index| at + index as u64));
        }
    }
    Ok(None)
}

impl Finding {
    fn compare(&mut self, start: u64, old: &[u8], new: &[u8], drained: &Extents) {
        for (index, (old, new)) in old.chunks(BLOCK).zip(new.chunks(BLOCK)).enumerate() {
            let offset = start + (index * BLOCK) as u64;
            self.reported += u64::from(drained.touches(offset, BLOCK as u64));
            if old == new {
                continue;
            }
            self.changed += 1;
            if !sectors_seen(offset, old, new, drained) {
                self.missed += 1;
                self.first_missed.get_or_insert(offset);
            }
        }
    }
}

/// A change may be reported to the sector; a sector with a changed byte must be reported whole.
fn sectors_seen(start: u64, old: &[u8], new: &[u8], drained: &Extents) -> bool {
    let sectors = old.chunks(SECTOR).zip(new.chunks(SECTOR)).enumerate();
    sectors.filter(|(_, (old, new))| old != new).all(|(index, _)| {
        let offset = start + (index * SECTOR) as u64;
        drained.covers(offset, SECTOR as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// Two images of 3 MiB and 8 KiB, the disk from 8 KiB on; `changes` are byte offsets in the disk.
    struct Images(PathBuf);

    impl Images {
        fn new(name: &str, changes: &[u64]) -> Images {
            let dir = std::env::temp_dir().join(format!("involflt-judge-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            let mut bytes: Vec<u8> = (0..3 * CHUNK + 8192).map(|index| (index % 251) as u8).collect();
            std::fs::write(dir.join("before"), &bytes).unwrap();
            changes.iter().for_each(|&at| bytes[at as usize + 8192] ^= 1);
            bytes[0] ^= 1;
            std::fs::write(dir.join("after"), &bytes).unwrap();
            Images(dir)
        }

        fn judge(&self, drained: &[(u64, u64)]) -> Finding {
            let mut extents = Extents::default();
            drained.iter().for_each(|&(offset, length)| extents.insert(offset, length));
            let part = Part { offset: 8192, size: 3 * CHUNK as u64 };
            judge(&self.0.join("before"), &self.0.join("after"), part, &extents).unwrap()
        }
    }

    impl Drop for Images {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn changes_that_were_all_drained_leave_nothing_missed() {
        let images = Images::new("all", &[5, 4095, 4096, 2 * CHUNK as u64]);
        let finding = images.judge(&[(0, 8192), (2 * CHUNK as u64, 4096)]);
        assert_eq!(finding, Finding { changed: 3, reported: 3, missed: 0, first_missed: None });
    }

    #[test]
    fn a_block_that_was_not_drained_is_missed_and_named() {
        let images = Images::new("missed", &[0, 8192, CHUNK as u64 + 7]);
        let finding = images.judge(&[(0, 8192), (CHUNK as u64, 4096)]);
        assert_eq!(finding, Finding { changed: 3, reported: 3, missed: 1, first_missed: Some(8192) });
        assert_eq!(images.judge(&[]).missed, 3);
    }

    #[test]
    fn a_report_of_other_sectors_of_the_block_does_not_count() {
        let images = Images::new("sector", &[600]);
        assert_eq!(images.judge(&[(512, 512)]).missed, 0);
        assert_eq!(images.judge(&[(0, 512), (1024, 3072)]).missed, 1);
        assert_eq!(images.judge(&[(512, 511)]).missed, 1);
    }

    #[test]
    fn a_replica_with_one_other_byte_is_found() {
        for at in [0, CHUNK as u64 - 1, 3 * CHUNK as u64 - 1] {
            let images = Images::new(&format!("replica-{at}"), &[at]);
            let part = |size| Part { offset: 8192, size };
            let difference = |size| {
                first_difference((&images.0.join("before"), part(size)), (&images.0.join("after"), part(size))).unwrap()
            };
            assert_eq!((difference(3 * CHUNK as u64), difference(at)), (Some(at), None));
        }
    }

    #[test]
    fn a_report_of_unchanged_blocks_is_no_fault() {
        let images = Images::new("more", &[0]);
        let finding = images.judge(&[(0, CHUNK as u64)]);
        assert_eq!(finding, Finding { changed: 1, reported: 256, missed: 0, first_missed: None });
    }
}
