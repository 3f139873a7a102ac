// SPDX-License-Identifier: GPL-2.0-only
//! Disks that are made of disks: dm-multipath, md, and a filtered disk on a filtered disk.

use super::states::{missing, writes};
use crate::agent::{Agent, become_service};
use crate::contents::Contents;
use crate::sys::{Step, ensure, is_linux};
use crate::{dm, md, module};
use guest::extents::Extents;
use guest::layout::{BACKING_OFFSET, Disk, LIVE, LIVE_BACKING_NODE, MIB, NEXT_DM_NODE};
use guest::protocol::MODULES;
use std::path::Path;

const WRITES: u64 = 150;
/// Of each layer; what is written to ends before it.
const SIZE: u64 = 100 * MIB;
/// Features of dm-multipath by which it takes requests, or bios: that since Linux 4.8.
const MULTIPATH: [(&str, &str); 2] = [("requests", "0"), ("bios", "2 queue_mode bio")];

/// What was written is drained with its data, from each disk that it passed.
pub fn scenario() -> Step<String> {
    let service = become_service()?;
    ["dm_multipath", "dm_round_robin", "raid1"].into_iter().try_for_each(load)?;
    let multipath = &MULTIPATH[..if is_linux((4, 8))? { 2 } else { 1 }];
    for &(takes, features) in multipath {
        let path = LIVE[0].node;
        let parameters = format!("{features} 0 1 1 round-robin 0 1 1 {path} 1");
        dm::create("layer", &[dm::Target { size: SIZE, kind: "multipath", parameters }])?;
        one(disk("dm-multipath", NEXT_DM_NODE, SIZE), takes == "requests").and(dm::remove("layer"))?;
    }
    let takes: Vec<&str> = multipath.iter().map(|(takes, _)| *takes).collect();
    let mut done = vec![format!("dm-multipath of {}", takes.join(" and of "))];
    // Before, an array has no number of one's choice.
    if is_linux((4, 11))? {
        md::mirror([LIVE[1].node, LIVE[2].node], SIZE)?;
        one(disk("md", md::NODE, SIZE), false).and(md::stop())?;
        done.push("a RAID-1 of md".into());
    }
    both()?;
    done.push("dm-linear and the disk below".into());
    drop(service);
    Ok(done.join(", "))
}

/// What a kernel has built in is not there to be loaded.
fn load(name: &str) -> Step {
    let file = format!("{MODULES}/{name}.ko");
    if Path::new(&file).exists() { module::load(&file) } else { Ok(()) }
}

fn disk(name: &'static str, node: &'static str, size: u64) -> &'static Disk {
    Box::leak(Box::new(Disk { name, node, size, image_offset: 0, partitioned: false, ..LIVE[0] }))
}

/// A disk of which the one below is not filtered.
fn one(disk: &'static Disk, is_blk_mq: bool) -> Step {
    let mut agent = attach(disk)?;
    let found = crate::agent::is_blk_mq(&crate::sys::open(crate::agent::DEVICE, 0)?, disk.node)?;
    // Before Linux 5.0 there are requests without blk-mq.
    let expected = found == is_blk_mq || (!found && !is_linux((5, 0))?);
    ensure(expected, || format!("{}: blk-mq: {found}", disk.node))?;
    let written = writes(disk, WRITES)?;
    drained(&mut agent, &written)?;
    agent.detach()
}

/// The disk below sees the same writes, at other places.
fn both() -> Step {
    let mut below = attach(disk("below", LIVE_BACKING_NODE, BACKING_OFFSET + LIVE[3].size))?;
    let mut above = attach(&LIVE[3])?;
    let written = writes(above.disk, WRITES)?;
    drained(&mut above, &written)?;
    let mut moved = Extents::default();
    written.iter().for_each(|(offset, length)| moved.insert(BACKING_OFFSET + offset, length));
    drained(&mut below, &moved)?;
    above.detach().and(below.detach())
}

/// Filtered, with nothing that waits; the data that is drained is kept to be compared.
pub(super) fn attach(disk: &'static Disk) -> Step<Agent> {
    let mut agent = Agent::attach(disk)?;
    agent.drain_all()?;
    agent.contents = Some(Contents::default());
    Ok(agent)
}

/// All that was written is drained, with the data that is on the disk.
pub(super) fn drained(agent: &mut Agent, written: &Extents) -> Step {
    agent.drain_all()?;
    missing(agent, written)?;
    let contents = agent.contents.take().unwrap_or_default();
    ensure(contents.bytes > 0, || format!("{}: nothing was told with its data", agent.disk.name))?;
    contents.compare(agent.disk).map(drop)
}
