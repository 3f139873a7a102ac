// SPDX-License-Identifier: GPL-2.0-only
//! A journal over whatever may come between: any call fails, the power fails, what is not durable is lost or half there. The
//! target can be set to any tag that is left, and is then what it was there.

use involfltctl::error::Result;
use involfltctl::journal::{Journal, Place, Point, points};
use involfltctl::replica::{Store, Tag};
use involfltctl::time::Time;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

const BLOCK: usize = 512;
const BLOCKS: usize = 64;
const BYTES: usize = BLOCK * BLOCKS;

#[derive(Debug, Default, Clone)]
struct MemoryFile {
    bytes: Vec<u8>,
    /// What a power cut leaves, unless more of it has come to the disk by chance; none where not even the name would stay.
    durable: Option<Vec<u8>>,
}

/// A directory and a disk that fail together, after so many calls.
#[derive(Debug)]
struct Machine {
    calls_left: usize,
    files: BTreeMap<String, MemoryFile>,
    disk: Vec<u8>,
    /// Offset and what was there before.
    volatile: Vec<(usize, Vec<u8>)>,
    /// Decides what of what is not durable stays.
    chance: u64,
}

#[derive(Debug, Clone)]
struct Handle(Rc<RefCell<Machine>>);

impl Machine {
    fn call(&mut self) -> io::Result<()> {
        self.calls_left = self.calls_left.checked_sub(1).ok_or_else(|| io::Error::other("the power fails"))?;
        Ok(())
    }

    fn chance(&mut self, of: usize) -> usize {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) as usize % of.max(1)
    }

    fn lose_power(&mut self) {
        for (offset, before) in std::mem::take(&mut self.volatile).into_iter().rev() {
            if self.chance(2) == 0 {
                self.disk[offset..offset + before.len()].copy_from_slice(&before);
            }
        }
        for (name, mut file) in std::mem::take(&mut self.files) {
            let Some(durable) = file.durable.clone().or_else(|| (self.chance(2) == 0).then(Vec::new)) else { continue };
            if file.bytes.len() > durable.len() {
                // The length may be there and the bytes not.
                let (whole, kept) = (file.bytes.len(), self.chance(file.bytes.len() - durable.len() + 1));
                file.bytes.truncate(durable.len() + kept);
                if self.chance(2) == 0 {
                    file.bytes.resize(whole, 0);
                }
            } else if self.chance(2) == 0 {
                file.bytes = durable;
            }
            file.durable = Some(file.bytes.clone());
            self.files.insert(name, file);
        }
    }

    fn file(&mut self, name: &str) -> io::Result<&mut MemoryFile> {
        self.files.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Place for Handle {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().files.keys().cloned().collect())
    }
    fn read(&self, name: &str, at: u64, to: &mut [u8]) -> io::Result<usize> {
        let mut machine = self.0.borrow_mut();
        let bytes = &machine.file(name)?.bytes;
        let from = &bytes[bytes.len().min(at as usize)..];
        let count = from.len().min(to.len());
        to[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }
    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(self.0.borrow_mut().file(name)?.bytes.len() as u64)
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut machine = self.0.borrow_mut();
        machine.files.entry(name.into()).or_default();
        // What a call that fails has done is not known.
        let done = if machine.call().is_err() { machine.chance(bytes.len()) } else { bytes.len() };
        machine.file(name)?.bytes.extend_from_slice(&bytes[..done]);
        if done == bytes.len() { Ok(()) } else { Err(io::Error::other("the power fails")) }
    }
    fn cut(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        let mut machine = self.0.borrow_mut();
        machine.call()?;
        machine.file(name)?.bytes.truncate(bytes as usize);
        Ok(())
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut machine = self.0.borrow_mut();
        machine.call()?;
        let file = machine.file(name)?;
        file.durable = Some(file.bytes.clone());
        Ok(())
    }
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut machine = self.0.borrow_mut();
        machine.call()?;
        let file = MemoryFile { bytes: bytes.into(), durable: Some(bytes.into()) };
        machine.files.insert(name.into(), file);
        // It may have failed behind that.
        machine.call()
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut machine = self.0.borrow_mut();
        machine.call()?;
        machine.files.remove(name);
        machine.call()
    }
}

impl Store for Handle {
    fn read(&mut self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        let mut machine = self.0.borrow_mut();
        machine.call()?;
        to.copy_from_slice(&machine.disk[offset as usize..][..to.len()]);
        Ok(())
    }
    fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut machine = self.0.borrow_mut();
        machine.call()?;
        let range = offset as usize..offset as usize + data.len();
        let before = machine.disk[range.clone()].to_vec();
        machine.volatile.push((range.start, before));
        machine.disk[range].copy_from_slice(data);
        Ok(())
    }
    fn zero(&mut self, offset: u64, bytes: u64) -> io::Result<()> {
        self.write(offset, &vec![0; bytes as usize])
    }
    fn sync(&mut self) -> io::Result<()> {
        let mut machine = self.0.borrow_mut();
        machine.call()?;
        machine.volatile.clear();
        Ok(())
    }
}

/// What comes to the target, one after the other; each is noted as done when it is durable.
#[derive(Debug, Clone)]
enum Batch {
    /// Block, blocks and byte of each.
    Writes(Vec<(usize, usize, u8)>),
    Tag,
}

#[derive(Debug, Clone)]
enum Step {
    Batch(Batch),
    /// The power fails after so many calls more.
    PowerCut(usize),
    /// The target is set to one of the tags, or to the present; the power fails after so many calls of it, and it is tried again.
    Set(usize, usize),
}

/// A target, its journal, and what the target has been at each tag.
struct Model {
    machine: Handle,
    journal: Option<Journal<Handle>>,
    limit: u64,
    /// By the names of tags, which are numbers.
    past: BTreeMap<String, Vec<u8>>,
    present: Vec<u8>,
    next_tag: usize,
}

impl Model {
    fn new(limit: u64, chance: u64) -> Self {
        let machine = Machine {
            calls_left: usize::MAX,
            files: BTreeMap::new(),
            disk: vec![0; BYTES],
            volatile: Vec::new(),
            chance,
        };
        let machine = Handle(Rc::new(RefCell::new(machine)));
        Model { machine, journal: None, limit, past: BTreeMap::new(), present: vec![0; BYTES], next_tag: 0 }
    }

    /// Does something until it is done: where the power fails, the journal is opened anew.
    fn insist(&mut self, work: impl Fn(&mut Journal<Handle>, &mut Handle) -> Result<()>) {
        loop {
            let done = self.journal().and_then(|mut journal| {
                work(&mut journal, &mut self.machine)?;
                self.journal = Some(journal);
                Ok(())
            });
            match done {
                Ok(()) => return,
                Err(error) => {
                    assert!(error.message.contains("the power fails"), "{error}");
                    let mut machine = self.machine.0.borrow_mut();
                    machine.lose_power();
                    machine.calls_left = usize::MAX;
                }
            }
        }
    }

    fn journal(&mut self) -> Result<Journal<Handle>> {
        match self.journal.take() {
            Some(journal) => Ok(journal),
            None => Journal::open(self.machine.clone(), "wwn-0x5", BYTES as u64, self.limit),
        }
    }

    fn batch(&mut self, batch: &Batch) {
        match batch {
            Batch::Writes(writes) => {
                self.insist(|journal, store| {
                    for &(block, blocks, byte) in writes {
                        let (offset, bytes) = range(block, blocks);
                        match byte {
                            0 => journal.zeroes(store, offset as u64, bytes as u64)?,
                            _ => journal.data(store, offset as u64, &vec![byte; bytes])?,
                        }
                    }
                    journal.sync(store)
                });
                for &(block, blocks, byte) in writes {
                    let (offset, bytes) = range(block, blocks);
                    self.present[offset..offset + bytes].fill(byte);
                }
            }
            Batch::Tag => {
                let name = self.next_tag.to_string();
                let tag = Tag { time: Time::from_units(self.next_tag as u64), name: name.clone(), is_exact: true };
                self.next_tag += 1;
                self.insist(|journal, store| journal.tag(store, &tag).and_then(|()| journal.sync(store)));
                self.past.insert(name, self.present.clone());
            }
        }
    }

    fn points(&self) -> Vec<Point> {
        points(&self.machine).unwrap()
    }

    fn set(&mut self, point: Option<&Point>) {
        let segment = point.map(|point| point.segment);
        self.insist(|journal, store| journal.set(store, segment));
        let expected = point.map_or(&self.present, |point| &self.past[&point.name]);
        assert!(self.machine.0.borrow().disk == *expected, "set to {point:?}");
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Batch(batch) => self.batch(batch),
            Step::PowerCut(calls) => self.machine.0.borrow_mut().calls_left = *calls,
            Step::Set(index, calls) => {
                // The power may fail within it and on the way back.
                self.machine.0.borrow_mut().calls_left = *calls;
                let points = self.points();
                self.set(points.get(index % (points.len() + 1)));
                assert_eq!(self.points().len(), points.len());
                self.set(points.get(index / 7 % (points.len() + 1)));
                self.set(None);
            }
        }
    }
}

fn range(block: usize, blocks: usize) -> (usize, usize) {
    (block * BLOCK, blocks.min(BLOCKS - block) * BLOCK)
}

fn step() -> impl Strategy<Value = Step> {
    let write = (0..BLOCKS, 1usize..12, 0u8..4);
    prop_oneof![
        6 => prop::collection::vec(write, 1..5).prop_map(|writes| Step::Batch(Batch::Writes(writes))),
        3 => Just(Step::Batch(Batch::Tag)),
        3 => (0usize..16).prop_map(Step::PowerCut),
        2 => (any::<usize>(), 0usize..60).prop_map(|(index, calls)| Step::Set(index, calls)),
    ]
}

proptest! {
    #[test]
    fn the_target_can_be_set_to_any_tag(steps in prop::collection::vec(step(), 1..40), chance: u64) {
        let mut model = Model::new(u64::MAX, chance);
        steps.iter().for_each(|step| model.take(step));
        model.machine.0.borrow_mut().calls_left = usize::MAX;
        let points = model.points();
        // A tag whose batch was cut off may have come twice.
        let names: Vec<_> = points.iter().map(|point| point.name.parse::<usize>().unwrap()).collect();
        prop_assert!(names.is_sorted());
        prop_assert!((0..model.next_tag).all(|tag| names.contains(&tag)), "of {} tags: {names:?}", model.next_tag);
        points.iter().rev().for_each(|point| model.set(Some(point)));
        model.set(None);
    }

    #[test]
    fn a_journal_keeps_to_its_size_and_drops_the_oldest_tags(
        steps in prop::collection::vec(step(), 1..60),
        chance: u64,
        limit in 0u64..40_000,
    ) {
        let mut model = Model::new(limit, chance);
        for step in &steps {
            model.take(step);
            if model.machine.0.borrow().calls_left == usize::MAX && model.journal.is_some() && matches!(step, Step::Batch(_)) {
                let bytes: u64 = model.points().iter().map(|point| point.bytes).sum();
                prop_assert!(bytes <= limit, "{bytes} of {limit} bytes");
            }
        }
        model.machine.0.borrow_mut().calls_left = usize::MAX;
        let points = model.points();
        let names: Vec<_> = points.iter().map(|point| point.name.parse::<usize>().unwrap()).collect();
        let newest = names.first().map_or(0..0, |first| *first..model.next_tag);
        prop_assert!(newest.clone().all(|tag| names.contains(&tag)), "the tags {names:?} are not the newest ones");
        points.iter().rev().for_each(|point| model.set(Some(point)));
    }
}

#[test]
fn a_journal_without_a_tag_costs_nothing() {
    let mut model = Model::new(u64::MAX, 1);
    model.batch(&Batch::Writes(vec![(0, 64, 7)]));
    assert_eq!(model.machine.names().unwrap(), ["journal.json"]);
    model.batch(&Batch::Tag);
    model.batch(&Batch::Writes(vec![(0, 64, 7)]));
    // The same bytes again are no change.
    assert!(model.points()[0].bytes < 512, "{:?}", model.points());
}

#[test]
fn the_journal_of_another_disk_and_a_damaged_one_are_refused() {
    let mut model = Model::new(u64::MAX, 1);
    for batch in [Batch::Tag, Batch::Writes(vec![(0, 4, 7)]), Batch::Tag, Batch::Writes(vec![(0, 4, 8)])] {
        model.batch(&batch);
    }
    let other = Journal::open(model.machine.clone(), "wwn-0x6", BYTES as u64, 0).err().unwrap();
    assert!(other.message.contains("is that of wwn-0x5"), "{other}");
    let point = model.points().remove(0);
    let name = format!("{:012}.back", point.segment);
    model.machine.0.borrow_mut().files.get_mut(&name).unwrap().bytes[100] ^= 1;
    let mut journal = model.journal().unwrap();
    let error = journal.set(&mut model.machine, Some(point.segment)).unwrap_err();
    assert!(error.message.contains(&name) && error.message.contains("wrong checksum"), "{error}");
    model.machine.0.borrow_mut().files.remove(&name);
    let later = format!("{:012}.back", point.segment + 2);
    model.machine.append(&later, b"x").unwrap();
    model.machine.append(&name, b"x").unwrap();
    model.machine.remove(&format!("{:012}.back", point.segment + 1)).unwrap();
    let missing = Journal::open(model.machine.clone(), "wwn-0x5", BYTES as u64, 0).err().unwrap();
    assert!(missing.message.contains("is missing"), "{missing}");
}
