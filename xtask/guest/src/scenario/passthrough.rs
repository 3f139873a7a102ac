// SPDX-License-Identifier: GPL-2.0-only
//! SCSI commands that a program gives to a disk by itself: what they write is drained, and what nobody can decode is a
//! hole.

use crate::sys::{Failure, Step, ensure, open};
use crate::work::buffer::Buffer;
use crate::work::{self, scsi};
use crate::world::World;
use guest::extents::Extents;
use guest::layout::DISKS;

/// The SCSI disk's place in [`DISKS`].
const SCSI: usize = 1;
pub(super) const SECTOR: u64 = 512;
/// Sectors between one command's place and the next one's.
pub(super) const STEP: u64 = 64;
const CHECK_CONDITION: u8 = 2;

/// A command, what it sends, and the sectors that it changes: first, and how many.
type Case = (&'static str, Vec<u8>, Vec<u8>, Vec<(u64, u64)>);

/// Commands of every form that QEMU's disk knows, and some that change nothing.
fn cases(first: u64) -> Vec<Case> {
    let at = |index: u64| first + index * STEP;
    let sectors = |count: usize| vec![0x5a; count * SECTOR as usize];
    let lba = |index| (at(index) as u32).to_be_bytes();
    let [a, b, c, d] = lba(0);
    let [e, f, g, h] = lba(2);
    let mut cases: Vec<Case> = vec![
        ("WRITE(10)", vec![0x2a, 0, a, b, c, d, 0, 0, 8, 0], sectors(8), vec![(at(0), 8)]),
        ("WRITE AND VERIFY(10)", vec![0x2e, 0, e, f, g, h, 0, 0, 8, 0], sectors(8), vec![(at(2), 8)]),
        ("SYNCHRONIZE CACHE(10)", vec![0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0], Vec::new(), Vec::new()),
        ("TEST UNIT READY", vec![0; 6], Vec::new(), Vec::new()),
    ];
    let long = |operation: u8, index: u64, count: u32| {
        let mut cdb = vec![0; 16];
        cdb[0] = operation;
        cdb[2..10].copy_from_slice(&at(index).to_be_bytes());
        cdb[10..14].copy_from_slice(&count.to_be_bytes());
        cdb
    };
    cases.push(("WRITE(16)", long(0x8a, 1, 16), sectors(16), vec![(at(1), 16)]));
    cases.push(("WRITE SAME(16)", long(0x93, 3, 32), vec![0; SECTOR as usize], vec![(at(3), 32)]));
    let mut list = vec![0; 8 + 2 * 16];
    list[..2].copy_from_slice(&38_u16.to_be_bytes());
    list[2..4].copy_from_slice(&32_u16.to_be_bytes());
    for (slot, index) in [(8, 4_u64), (24, 5)] {
        list[slot..slot + 8].copy_from_slice(&at(index).to_be_bytes());
        list[slot + 8..slot + 12].copy_from_slice(&8_u32.to_be_bytes());
    }
    let unmap = vec![0x42, 0, 0, 0, 0, 0, 0, 0, list.len() as u8, 0];
    cases.push(("UNMAP", unmap, list, vec![(at(4), 8), (at(5), 8)]));
    cases
}

/// Each command's sectors are drained and nothing else, then a command that nobody can decode makes a hole.
pub fn passthrough(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.drain_all()?;
    let disk = open(DISKS[SCSI].node, 0)?;
    let cases = cases(work::OPEN.start / SECTOR);
    for (name, cdb, data, changed) in &cases {
        for mut data in in_one_piece_and_two(data) {
            let send = || scsi::send(&disk, cdb, data.bytes_mut()).map(i32::from);
            drained(world, SCSI, name, send, changed)?;
        }
    }
    // SANITIZE, which QEMU's disk does not have.
    let status = scsi::send(&disk, &[0x48, 0, 0, 0, 0, 0, 0, 0, 0, 0], &mut [])?;
    ensure(status == CHECK_CONDITION, || format!("SANITIZE: status {status}"))?;
    let hole = world.agent(SCSI).take_hole()?;
    ensure(hole.as_deref().is_some_and(|hole| hole.contains("passthrough")), || format!("SANITIZE: hole {hole:?}"))?;
    Ok(format!("{} commands, and one that is not decoded", cases.len()))
}

/// What a command sends, as it lies in a page, and across the end of one.
pub(super) fn in_one_piece_and_two(data: &[u8]) -> [Buffer; 2] {
    let mut whole = Buffer::new(data.len());
    whole.bytes_mut().copy_from_slice(data);
    [whole, Buffer::across_pages(data)]
}

/// What a command changes is drained, and nothing else; its status is 0.
pub(super) fn drained(
    world: &World,
    disk: usize,
    name: &str,
    send: impl FnOnce() -> Step<i32>,
    changed: &[(u64, u64)],
) -> Step {
    let before = std::mem::take(&mut world.agent(disk).drained);
    let status = send()?;
    ensure(status == 0, || format!("{name}: status {status}"))?;
    let mut agent = world.agent(disk);
    agent.drain_all().map_err(|failure| match failure {
        Failure::Failed(text) => Failure::Failed(format!("{name}: {text}")),
        skipped => skipped,
    })?;
    let mut expected = Extents::default();
    for (first, count) in changed {
        expected.insert(first * SECTOR, count * SECTOR);
    }
    // Dirty bits are of 4 KiB, and so is every place here.
    let new = std::mem::replace(&mut agent.drained, before);
    let same = new.iter().eq(expected.iter());
    new.iter().for_each(|(offset, length)| agent.drained.insert(offset, length));
    ensure(same, || format!("{name}: drained {:?}, not {changed:?} (sectors)", new.iter().collect::<Vec<_>>()))
}
