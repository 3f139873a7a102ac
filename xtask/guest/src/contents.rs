// SPDX-License-Identifier: GPL-2.0-only
//! What captured data says that a disk holds, held against the disk.

use crate::agent::Batch;
use crate::sys::{Doing, Step, ensure, open};
use crate::work::buffer::Buffer;
use guest::layout::Disk;
use nix::libc;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;

const SECTOR: u64 = 512;
/// Bytes that are read at once.
const WINDOW: u64 = 256 << 10;

/// The hash of what each sector was given last; nothing of a sector that was changed since without its data being told.
#[derive(Debug, Default)]
pub struct Contents {
    sectors: BTreeMap<u64, u64>,
    /// Bytes that came with their data.
    pub bytes: u64,
    /// Bytes that did not.
    pub bytes_without: u64,
}

fn hash(sector: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    sector.hash(&mut hasher);
    hasher.finish()
}

impl Contents {
    /// A batch is committed.
    pub fn apply(&mut self, batch: &Batch) {
        for change in &batch.data {
            self.bytes += change.data.len() as u64;
            for (sector, data) in (change.offset / SECTOR..).zip(change.data.chunks(SECTOR as usize)) {
                self.sectors.insert(sector, hash(data));
            }
        }
        let without = if batch.data.is_empty() { batch.changes.as_slice() } else { &[] };
        for &(offset, length) in without {
            self.bytes_without += length;
            let end = (offset + length).div_ceil(SECTOR);
            let behind = self.sectors.split_off(&(offset / SECTOR));
            self.sectors.extend(behind.into_iter().filter(|&(sector, _)| sector >= end));
        }
    }

    /// Compares with the disk, past the page cache; nobody writes to it. Gives the number of bytes that were compared.
    pub fn compare(&self, disk: &Disk) -> Step<u64> {
        let file = open(disk.node, libc::O_DIRECT)?;
        let mut window = Buffer::new(WINDOW as usize);
        let mut start = u64::MAX;
        for (&sector, &told) in &self.sectors {
            let offset = sector * SECTOR;
            if start != offset / WINDOW * WINDOW {
                start = offset / WINDOW * WINDOW;
                let bytes = WINDOW.min(disk.size - start) as usize;
                file.read_exact_at(&mut window.bytes_mut()[..bytes], start)
                    .doing(|| format!("{}: read at {start}", disk.name))?;
            }
            let found = hash(&window.bytes()[(offset - start) as usize..][..SECTOR as usize]);
            ensure(found == told, || format!("{}: the data told for {offset} is not what is there", disk.name))?;
        }
        Ok(self.sectors.len() as u64 * SECTOR)
    }
}
