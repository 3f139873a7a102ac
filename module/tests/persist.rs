// SPDX-License-Identifier: GPL-2.0-only
//! The bitmap file against a disk that forgets: whatever of the unflushed writes a power cut lets through, whole or in part.

use involflt::engine::{Bitmap, Previous, Stamp};
use involflt::host::Host;
use involflt::persist::{BitmapFile, Blocks, Damage, Header, Resync, Seen, State, BLOCK};
use involflt::platform::{Errno, Result, Sighting};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;

const SECTOR: usize = 512;
/// Three blocks of bits, the last one not full.
const BITS: u64 = 2 * 32_256 + 100;
const SECTORS: u64 = BITS * 8 - 3;

type Block = [u8; BLOCK];

/// A file, what of it outlives a power cut, and what was written since.
#[derive(Default)]
struct Disk {
    durable: Vec<Block>,
    written: Vec<(usize, Block)>,
    /// Writes and flushes until the power is cut, or one fails.
    left: usize,
}

#[derive(Clone)]
struct File(Rc<RefCell<Disk>>);

impl File {
    fn new(blocks: usize) -> File {
        File(Rc::new(RefCell::new(Disk { durable: vec![[0; BLOCK]; blocks], written: Vec::new(), left: usize::MAX })))
    }

    fn step(&self) -> Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.left = disk.left.checked_sub(1).ok_or(Errno::INTR)?;
        Ok(())
    }

    /// Of each write since the last flush, the sectors whose bit is set come through; they come in the order of `order`.
    fn cut(&self, sectors: &[u8], order: &[usize]) {
        let mut disk = self.0.borrow_mut();
        let mut written: Vec<_> = std::mem::take(&mut disk.written);
        for at in order {
            let count = written.len().max(1);
            if !written.is_empty() {
                written.swap(0, at % count);
            }
        }
        for (at, (index, block)) in written.into_iter().enumerate() {
            let through = sectors.get(at % sectors.len().max(1)).copied().unwrap_or(0);
            disk.grow(index);
            for sector in 0..BLOCK / SECTOR {
                if through >> sector & 1 == 1 {
                    let range = sector * SECTOR..(sector + 1) * SECTOR;
                    disk.durable[index][range.clone()].copy_from_slice(&block[range]);
                }
            }
        }
        disk.left = usize::MAX;
    }
}

impl Disk {
    fn grow(&mut self, index: usize) {
        if self.durable.len() <= index {
            self.durable.resize(index + 1, [0; BLOCK]);
        }
    }
}

impl Blocks for File {
    fn blocks(&self) -> u64 {
        let disk = self.0.borrow();
        let written = disk.written.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
        disk.durable.len().max(written) as u64
    }

    fn read(&mut self, index: u64, to: &mut Block) -> Result<()> {
        let disk = self.0.borrow();
        let written = disk.written.iter().rev().find(|(at, _)| *at as u64 == index).map(|(_, block)| block);
        *to = *written.or(disk.durable.get(index as usize)).ok_or(Errno::INVAL)?;
        Ok(())
    }

    fn write(&mut self, index: u64, from: &Block) -> Result<()> {
        // The write at which the power is cut may have begun.
        self.0.borrow_mut().written.push((index as usize, *from));
        self.step()
    }

    fn flush(&mut self) -> Result<()> {
        self.step()?;
        let mut disk = self.0.borrow_mut();
        for (index, block) in std::mem::take(&mut disk.written) {
            disk.grow(index);
            disk.durable[index] = block;
        }
        Ok(())
    }
}

fn name() -> [u8; 256] {
    let mut name = [0; 256];
    name[..4].copy_from_slice(b"_sda");
    name
}

fn header() -> Header {
    Header {
        identity: *b"0123456789abcdef",
        generation: 0,
        state: State::InUse,
        sectors: SECTORS,
        block_shift: 12,
        digest: 0,
        stamp: Stamp::default(),
        resync: None,
        name: name(),
        seen: Seen { boot: [b'b'; 40], disk: Sighting { device: 7, written: 1234, sure: true, untouched: false } },
        previous: Previous { stamp: Stamp::from_word(98), split: 1 },
        ended: None,
        region_shift: None,
    }
}

fn bitmap(bits: &BTreeSet<u64>) -> Bitmap<Box<[AtomicU64]>> {
    let words = Bitmap::<Box<[AtomicU64]>>::words_for(BITS).unwrap();
    let bitmap = Bitmap::new(std::iter::repeat_with(AtomicU64::default).take(words).collect(), BITS);
    bits.iter().for_each(|bit| bitmap.set(*bit, bit + 1));
    bitmap
}

fn bits(bitmap: &Bitmap<Box<[AtomicU64]>>) -> BTreeSet<u64> {
    (0..BITS).filter(|bit| bitmap.word(bit / 64) >> (bit % 64) & 1 == 1).collect()
}

fn open(file: &mut File) -> std::result::Result<BitmapFile<Host>, Damage> {
    BitmapFile::open(file, &name(), SECTORS)
}

/// What the next boot finds: the bits, or why there are none.
fn found(file: &File) -> std::result::Result<(BTreeSet<u64>, Header), Damage> {
    let mut file = file.clone();
    let mut opened = open(&mut file)?;
    let loaded = bitmap(&BTreeSet::new());
    opened.load(&mut file, &loaded)?;
    Ok((bits(&loaded), *opened.header()))
}

fn created() -> (File, BitmapFile<Host>) {
    let mut file = File::new(0);
    let opened = BitmapFile::create(&mut file, header()).unwrap();
    (file, opened)
}

#[test]
fn a_clean_stop_keeps_bits_stamp_and_resync() {
    let (mut file, mut opened) = created();
    assert_eq!(found(&file).unwrap_err(), Damage::InUse);
    let dirty = BTreeSet::from([0, 63, 64, 32_255, 32_256, BITS - 1]);
    let resync = Some(Resync { reason: 3, count: 2, time: 77 });
    opened.close(&mut file, &bitmap(&dirty), Header { stamp: Stamp::from_word(99), resync, ..header() }).unwrap();
    let (bits, header) = found(&file).unwrap();
    assert_eq!((bits, header.stamp, header.resync), (dirty, Stamp::from_word(99), resync));
}

#[test]
fn bits_that_are_gone_do_not_come_back() {
    let (mut file, mut opened) = created();
    opened.close(&mut file, &bitmap(&(0..BITS).collect()), header()).unwrap();
    let mut opened = open(&mut file).unwrap();
    opened.load(&mut file, &bitmap(&BTreeSet::new())).unwrap();
    opened.begin(&mut file).unwrap();
    opened.close(&mut file, &bitmap(&BTreeSet::from([7])), header()).unwrap();
    assert_eq!(found(&file).unwrap().0, BTreeSet::from([7]));
}

#[test]
fn another_disk_s_file_is_not_taken() {
    let (mut file, mut opened) = created();
    opened.close(&mut file, &bitmap(&BTreeSet::new()), header()).unwrap();
    let mut other = name();
    other[3] = b'b';
    let mut damage = |name: &[u8; 256], sectors| BitmapFile::<Host>::open(&mut file, name, sectors).err();
    assert_eq!(damage(&other, SECTORS), Some(Damage::OtherDisk));
    assert_eq!(damage(&name(), SECTORS + 8), Some(Damage::OtherSize));
    assert_eq!(damage(&name(), SECTORS), None);
}

#[test]
fn damage_is_named() {
    let (mut file, mut opened) = created();
    opened.close(&mut file, &bitmap(&BTreeSet::from([5])), header()).unwrap();
    let damaged = |change: &dyn Fn(&mut Vec<Block>)| {
        let copy = File::new(0);
        copy.0.borrow_mut().durable = file.0.borrow().durable.clone();
        change(&mut copy.0.borrow_mut().durable);
        found(&copy).unwrap_err()
    };
    assert_eq!(damaged(&|blocks| blocks.truncate(4)), Damage::Truncated);
    assert_eq!(damaged(&|blocks| blocks.clear()), Damage::NotOurs);
    assert_eq!(damaged(&|blocks| blocks[..2].fill([0; BLOCK])), Damage::NotOurs);
    assert_eq!(damaged(&|blocks| blocks[3][200] ^= 1), Damage::Block(1));
    assert_eq!(damaged(&|blocks| blocks.swap(2, 3)), Damage::Block(0));
    assert!(found(&file).is_ok(), "and the file itself is good");
}

#[test]
fn a_block_that_never_reached_the_disk_is_missed() {
    let (mut file, mut opened) = created();
    let empty = file.0.borrow().durable.clone();
    opened.close(&mut file, &bitmap(&BTreeSet::from([5])), header()).unwrap();
    file.0.borrow_mut().durable[2] = empty[2];
    assert_eq!(found(&file).unwrap_err(), Damage::Stale);
}

/// A session of the driver, as far as it gets.
fn session(file: &mut File, dirty: &BTreeSet<u64>, begun: &mut bool) -> Result<()> {
    let mut opened = match open(file) {
        Ok(mut opened) => {
            opened.load(file, &bitmap(&BTreeSet::new())).expect("it was closed");
            opened
        }
        Err(_) => BitmapFile::create(file, header())?,
    };
    opened.begin(file)?;
    *begun = true;
    opened.close(file, &bitmap(dirty), header())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// After a cut the file says what the last clean stop said and nothing has changed since, or that it knows nothing.
    #[test]
    fn a_power_cut_never_makes_old_bits_true(
        before in prop::collection::btree_set(0..BITS, 0..20),
        after in prop::collection::btree_set(0..BITS, 0..20),
        steps in 0..20_usize,
        sectors in prop::collection::vec(any::<u8>(), 1..8),
        order in prop::collection::vec(0..8_usize, 0..8),
    ) {
        let (mut file, mut opened) = created();
        opened.close(&mut file, &bitmap(&before), header()).unwrap();
        file.0.borrow_mut().left = steps;
        let mut begun = false;
        let done = session(&mut file, &after, &mut begun);
        file.cut(&sectors, &order);
        match found(&file) {
            Ok((bits, _)) if done.is_ok() => prop_assert_eq!(bits, after),
            // Closing had not ended, and yet all of it had come through.
            Ok((bits, _)) if begun => prop_assert_eq!(bits, after),
            Ok((bits, _)) => prop_assert_eq!(bits, before),
            Err(_) => prop_assert!(done.is_err(), "a clean stop was lost"),
        }
    }
}

/// What a call that fails leaves behind.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Nothing: EROFS, or ENOSPC before the first byte.
    Refused(Errno),
    /// A write that came through as far as half of its block, and then had no room: ENOSPC.
    Short,
    /// EIO. A flush has then lost what was written, as Linux forgets what it could not write.
    Broken,
}

/// A file of which one call fails, and those after it do not.
struct Faulty {
    file: File,
    fault: Fault,
    /// Calls until then.
    left: usize,
}

impl Faulty {
    /// Whether this is the call.
    fn fails(&mut self) -> bool {
        self.left = self.left.wrapping_sub(1);
        self.left == usize::MAX
    }

    fn errno(&self) -> Errno {
        match self.fault {
            Fault::Refused(errno) => errno,
            Fault::Short => Errno::NOSPC,
            Fault::Broken => Errno(5),
        }
    }
}

impl Blocks for Faulty {
    fn blocks(&self) -> u64 {
        self.file.blocks()
    }

    fn read(&mut self, index: u64, to: &mut Block) -> Result<()> {
        match self.fails() {
            true => Err(self.errno()),
            false => self.file.read(index, to),
        }
    }

    fn write(&mut self, index: u64, from: &Block) -> Result<()> {
        if !self.fails() {
            return self.file.write(index, from);
        }
        if let Fault::Short = self.fault {
            let mut half = [0; BLOCK];
            self.file.read(index, &mut half)?;
            half[..BLOCK / 2].copy_from_slice(&from[..BLOCK / 2]);
            self.file.write(index, &half)?;
        }
        Err(self.errno())
    }

    fn flush(&mut self) -> Result<()> {
        if !self.fails() {
            return self.file.flush();
        }
        if let Fault::Broken = self.fault {
            self.file.0.borrow_mut().written.clear();
        }
        Err(self.errno())
    }
}

/// A session of the driver with a file that was closed cleanly, as far as it gets. What is damaged ends it, too.
fn faulty_session(mut file: Faulty, dirty: &BTreeSet<u64>, begun: &mut bool) -> Result<()> {
    let mut opened = BitmapFile::<Host>::open(&mut file, &name(), SECTORS).map_err(|_| Errno::INVAL)?;
    opened.load(&mut file, &bitmap(&BTreeSet::new())).map_err(|_| Errno::INVAL)?;
    opened.begin(&mut file)?;
    *begun = true;
    opened.close(&mut file, &bitmap(dirty), header())
}

#[test]
fn any_one_call_that_fails_ends_in_the_right_bits_or_in_a_resync() {
    let (before, after) = (BTreeSet::from([1, 40_000]), BTreeSet::from([2, 40_001, BITS - 1]));
    for fault in [Fault::Refused(Errno(30)), Fault::Refused(Errno::NOSPC), Fault::Short, Fault::Broken] {
        let mut failed = 0;
        for left in 0.. {
            let (mut file, mut opened) = created();
            opened.close(&mut file, &bitmap(&before), header()).unwrap();
            let mut begun = false;
            let done = faulty_session(Faulty { file: file.clone(), fault, left }, &after, &mut begun);
            // What a next boot of this machine finds, and what it finds after a power cut that lets nothing more through.
            for cut in [false, true] {
                if cut {
                    file.cut(&[0], &[]);
                }
                let place = format!("{fault:?} at call {left}, cut {cut}");
                match found(&file) {
                    Ok((bits, _)) => assert_eq!(bits, if begun { after.clone() } else { before.clone() }, "{place}"),
                    Err(_) => assert!(done.is_err(), "{place}: a clean stop was lost"),
                }
            }
            if done.is_ok() {
                break;
            }
            failed += 1;
        }
        // Two headers and three blocks of bits are read; two headers, three blocks and two headers are written, with flushes.
        assert!(failed >= 15, "{fault:?}: {failed} calls failed, not every one of a session");
    }
}
