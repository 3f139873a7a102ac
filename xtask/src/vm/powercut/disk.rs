// SPDX-License-Identifier: GPL-2.0-only
//! Disks with a write cache that a power cut empties, and the power that they share.

use super::random::Random;
use std::sync::Mutex;

/// Bytes that reach a disk whole or not at all.
pub const SECTOR: usize = 512;

/// A disk. What was written is read at once; only what was flushed is sure to be there after a cut.
pub struct Disk {
    durable: Vec<u8>,
    current: Vec<u8>,
    /// Writes since the last flush, in their order.
    pending: Vec<(usize, Vec<u8>)>,
}

/// A request is past the end of the disk.
#[derive(Debug, PartialEq, Eq)]
pub struct PastEnd;

impl Disk {
    /// A disk that holds `bytes`.
    pub fn new(bytes: Vec<u8>) -> Disk {
        Disk { current: bytes.clone(), durable: bytes, pending: Vec::new() }
    }

    /// What is on it. Nothing is in its cache after a cut.
    pub fn bytes(&self) -> &[u8] {
        &self.current
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.durable.len() as u64
    }

    /// The `length` bytes at `offset`.
    pub fn read(&self, offset: u64, length: usize) -> Result<&[u8], PastEnd> {
        let start = usize::try_from(offset).map_err(|_| PastEnd)?;
        self.current.get(start..start.saturating_add(length)).ok_or(PastEnd)
    }

    /// Writes to the cache, or with `through` to the disk itself.
    pub fn write(&mut self, offset: u64, bytes: Vec<u8>, through: bool) -> Result<(), PastEnd> {
        let start = usize::try_from(offset).map_err(|_| PastEnd)?;
        self.current.get_mut(start..start.saturating_add(bytes.len())).ok_or(PastEnd)?.copy_from_slice(&bytes);
        if through {
            // What is in the cache for the same place is older.
            self.durable[start..start + bytes.len()].copy_from_slice(&bytes);
            self.forget(start, bytes.len());
        } else {
            self.pending.push((start, bytes));
        }
        Ok(())
    }

    /// Takes the sectors of a place out of the cache.
    fn forget(&mut self, start: usize, length: usize) {
        let pending = std::mem::take(&mut self.pending);
        for (at, bytes) in pending {
            let outside = |sector: usize| sector + SECTOR <= start || sector >= start + length;
            let sectors = bytes.chunks(SECTOR).enumerate().map(|(index, sector)| (at + index * SECTOR, sector));
            let kept = sectors.filter(|(sector, _)| outside(*sector)).map(|(sector, bytes)| (sector, bytes.to_vec()));
            self.pending.extend(kept);
        }
    }

    /// Everything that was written is durable.
    pub fn flush(&mut self) {
        for (start, bytes) in self.pending.drain(..) {
            self.durable[start..start + bytes.len()].copy_from_slice(&bytes);
        }
    }

    /// A byte becomes another one, unseen by everybody. `offset` is below the size.
    pub fn spoil(&mut self, offset: u64) {
        let offset = offset as usize;
        self.durable[offset] ^= 1;
        self.current[offset] = self.durable[offset];
    }

    /// The power is cut: of each write in the cache nothing, all, or any of its sectors came through.
    pub fn cut(&mut self, random: &mut Random) {
        for (start, bytes) in std::mem::take(&mut self.pending) {
            let chance = random.below(3);
            for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                if chance == 0 || (chance == 1 && random.below(2) == 0) {
                    let at = start + index * SECTOR;
                    self.durable[at..at + sector.len()].copy_from_slice(sector);
                }
            }
        }
        self.current.copy_from_slice(&self.durable);
    }
}

/// The power of a machine: on, or on for so many more writes and flushes, or off.
#[derive(Debug, Default)]
pub struct Power(Mutex<State>);

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    On,
    For(u64),
    Off,
}

impl Power {
    /// It goes off after so many more writes and flushes.
    pub fn last_for(&self, requests: u64) {
        *self.0.lock().expect("nothing panics with the lock held") = State::For(requests);
    }

    /// It goes off now.
    pub fn off(&self) {
        *self.0.lock().expect("nothing panics with the lock held") = State::Off;
    }

    /// Whether it is off.
    pub fn is_off(&self) -> bool {
        matches!(*self.0.lock().expect("nothing panics with the lock held"), State::Off)
    }

    /// A write or flush comes. Whether the power is still on for it.
    pub fn spend(&self) -> bool {
        let mut state = self.0.lock().expect("nothing panics with the lock held");
        *state = match *state {
            State::On => State::On,
            State::Off | State::For(0) => State::Off,
            State::For(left) => State::For(left - 1),
        };
        !matches!(*state, State::Off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(byte: u8) -> Vec<u8> {
        vec![byte; SECTOR]
    }

    #[test]
    fn what_was_flushed_or_written_through_outlives_every_cut() {
        for seed in 0..50 {
            let mut disk = Disk::new(vec![0; 8 * SECTOR]);
            disk.write(0, sector(1), false).unwrap();
            disk.flush();
            disk.write(SECTOR as u64, [sector(2), sector(2)].concat(), false).unwrap();
            disk.write(SECTOR as u64, sector(3), true).unwrap();
            assert_eq!(disk.read(0, 2 * SECTOR).unwrap(), [sector(1), sector(3)].concat());
            disk.cut(&mut Random::new(seed));
            assert_eq!(disk.read(0, 2 * SECTOR).unwrap(), [sector(1), sector(3)].concat(), "seed {seed}");
        }
    }

    #[test]
    fn what_was_not_flushed_is_lost_kept_or_torn_at_sectors() {
        let mut found = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut disk = Disk::new(vec![0; 2 * SECTOR]);
            disk.write(0, [sector(7), sector(8)].concat(), false).unwrap();
            disk.cut(&mut Random::new(seed));
            let bytes = disk.read(0, 2 * SECTOR).unwrap();
            assert!(bytes.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
            found.insert((bytes[0], bytes[SECTOR]));
        }
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(0, 0), (0, 8), (7, 0), (7, 8)]);
    }

    #[test]
    fn a_request_past_the_end_is_refused() {
        let mut disk = Disk::new(vec![0; SECTOR]);
        assert_eq!(disk.read(1, SECTOR), Err(PastEnd));
        assert_eq!(disk.write(u64::MAX, sector(1), false), Err(PastEnd));
    }

    #[test]
    fn the_power_lasts_for_so_many_requests() {
        let power = Power::default();
        assert!(power.spend());
        power.last_for(2);
        assert_eq!([power.spend(), power.spend(), power.spend(), power.spend()], [true, true, false, false]);
        assert!(power.is_off());
    }
}
