// SPDX-License-Identifier: GPL-2.0-only
//! A disk in memory is compared with its replica at a bookmark while it is written to: nothing is found but what is wrong, and
//! all of that, but where later writes have made it right.

mod common;

use common::InThisProcess;
use involfltctl::agent::Agent;
use involfltctl::blocks::Blocks;
use involfltctl::disk::Disk;
use involfltctl::driver::Driver;
use involfltctl::error::Result;
use involfltctl::replica::{Ended, Event, Listener, Progress, Pump, Side, Sink, Tag};
use proptest::prelude::*;
use std::cell::RefCell;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const NAME: &str = "/dev/sda:8192";
const SECTORS: usize = 8192;
const SETTLE: Duration = Duration::from_millis(20);

/// A write of so many sectors with this byte.
#[derive(Debug, Clone, Copy)]
struct Write {
    sector: usize,
    sectors: usize,
    byte: u8,
}

impl Write {
    fn range(self) -> std::ops::Range<usize> {
        self.sector..(self.sector + self.sectors).min(SECTORS)
    }
}

/// The disk, the driver that filters it, and its replica.
struct Machine {
    disk: RefCell<Vec<u8>>,
    driver: InThisProcess,
    /// Come one after the other while somebody reads.
    to_come: RefCell<Vec<Write>>,
    /// On the disk, and not noted yet.
    under_way: RefCell<Vec<Write>>,
    target: RefCell<Vec<u8>>,
}

impl Machine {
    fn begin(&self, write: Write) {
        let range = write.range();
        self.disk.borrow_mut()[range.start * 512..range.end * 512].fill(write.byte);
        self.under_way.borrow_mut().push(write);
    }

    fn complete(&self) {
        let Some(filtered) = self.driver.registry.find(NAME.as_bytes()) else { return };
        for write in self.under_way.borrow_mut().drain(..) {
            filtered.tracker.complete(write.sector as u64, write.range().len() as u64, false);
        }
    }
}

/// Reads the disk, which is written to meanwhile.
struct Reader<'a>(&'a Machine, Vec<u8>);

impl Blocks for Reader<'_> {
    fn read(&mut self, offset: u64, bytes: usize) -> std::io::Result<&[u8]> {
        self.0.complete();
        if let Some(write) = self.0.to_come.borrow_mut().pop() {
            self.0.begin(write);
        }
        self.1 = self.0.disk.borrow()[offset as usize..][..bytes].to_vec();
        Ok(&self.1)
    }
}

struct Target<'a>(&'a Machine, Vec<u8>);

impl Blocks for Target<'_> {
    fn read(&mut self, offset: u64, bytes: usize) -> std::io::Result<&[u8]> {
        self.1 = self.0.target.borrow()[offset as usize..][..bytes].to_vec();
        Ok(&self.1)
    }
}

struct Replica<'a>(&'a Machine, Progress);

impl Sink for Replica<'_> {
    fn progress(&self) -> Progress {
        self.1
    }
    fn data(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.0.target.borrow_mut()[offset as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }
    fn zeroes(&mut self, offset: u64, bytes: u64) -> Result<()> {
        self.data(offset, &vec![0; bytes as usize])
    }
    fn tag(&mut self, _: &Tag) -> Result<()> {
        Ok(())
    }
    fn sync(&mut self, progress: Progress) -> Result<()> {
        self.1 = progress;
        // Time goes by.
        self.0.complete();
        Ok(())
    }
}

struct Nobody;

impl Listener for Nobody {
    fn event(&mut self, _: Event) {}
}

fn write() -> impl Strategy<Value = Write> {
    (0..SECTORS, 1..300usize, any::<u8>()).prop_map(|(sector, sectors, byte)| Write { sector, sectors, byte })
}

proptest! {
    #[test]
    fn what_is_wrong_is_found_while_the_disk_is_written_to(
        before in prop::collection::vec(write(), 0..8),
        meanwhile in prop::collection::vec(write(), 0..12),
        flips in prop::collection::btree_set((0..SECTORS, 0..512usize), 0..4),
    ) {
        let machine = Machine {
            disk: RefCell::new(vec![0; SECTORS * 512]),
            driver: InThisProcess::load(),
            to_come: RefCell::default(),
            under_way: RefCell::default(),
            target: RefCell::new(vec![0xee; SECTORS * 512]),
        };
        let disk = Disk { node: NAME.into(), persistent_name: "a".into(), bytes: SECTORS as u64 * 512 };
        let agent = Agent::of(Driver::new(machine.driver.clone()), disk).unwrap();
        let (stop, mut nobody) = (AtomicBool::new(false), Nobody);
        let mut pump = Pump::new(&agent, Reader(&machine, Vec::new()), &stop, &mut nobody);
        let mut replica = Replica(&machine, Progress::Nothing);
        prop_assert_eq!(pump.replicate(&mut replica, None).unwrap(), Ended::CaughtUp);
        before.iter().for_each(|write| machine.begin(*write));
        machine.complete();
        for (sector, byte) in &flips {
            machine.target.borrow_mut()[sector * 512 + byte] ^= 1;
        }
        *machine.to_come.borrow_mut() = meanwhile.clone();
        let mut target = Target(&machine, Vec::new());
        let mut side = Side { name: "target", blocks: &mut target };
        let found = pump.compare_at("now", &mut replica, &mut side, SETTLE).unwrap();
        let ranges: Vec<_> = found.iter().map(|(offset, bytes)| offset..offset + bytes).collect();
        let differs = |sector: usize| ranges.iter().any(|range| range.contains(&(sector as u64 * 512)));
        for sector in 0..SECTORS {
            let is_flipped = flips.iter().any(|flip| flip.0 == sector);
            let is_written = before.iter().chain(&meanwhile).any(|write| write.range().contains(&sector));
            prop_assert!(is_flipped || !differs(sector), "sector {} is right", sector);
            prop_assert!(!is_flipped || is_written || differs(sector), "sector {} is wrong", sector);
        }
    }
}
