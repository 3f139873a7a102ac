// SPDX-License-Identifier: GPL-2.0-only
//! Data that is captured: what is told of a write is what the disk holds.

use super::{states, writes};
use crate::agent::{Agent, become_service, set_common};
use crate::contents::Contents;
use crate::sys::{Doing, Step, ensure};
use crate::work::{self, plain};
use crate::world::World;
use guest::layout::{DISKS, MIB};
use involflt::abi::attribute::common::MAX_STREAM;
use std::fs;

/// Direct and buffered writes, discards and file systems on every disk, while it is drained. At rest, each sector whose data
/// was told holds it.
pub fn scenario(world: &mut World) -> Step<String> {
    let service = become_service()?;
    world.attach_all()?;
    world.drain_all()?;
    (0..DISKS.len()).for_each(|index| world.agent(index).contents = Some(Contents::default()));
    states::written_is_drained(world)?;
    world.on_disks(&DISKS, |disk| plain::scattered(disk.node, 0, &work::OPEN, 100))?;
    a_stream_comes_again_and_is_taken_back(&mut world.agent(0))?;
    set_common(MAX_STREAM, 1)?;
    writes::file_systems(world)?;
    set_common(MAX_STREAM, 4)?;
    world.drain_all()?;
    let told = (0..DISKS.len()).map(|index| compare(&mut world.agent(index))).collect::<Step<Vec<_>>>()?;
    drop(service);
    for (index, disk) in DISKS.iter().enumerate() {
        let state = world.agent(index).statistics()?.text("state")?;
        ensure(state == "metadata", || format!("{}: {state} without a service", disk.name))?;
    }
    Ok(told.join("; "))
}

fn compare(agent: &mut Agent) -> Step<String> {
    let name = agent.disk.name;
    let statistics = agent.statistics()?;
    let (state, falls) = (statistics.text("state")?, statistics.get("falls_to_metadata")?);
    ensure(state == "data", || format!("{name}: {state} in the end, after {falls} falls"))?;
    let contents = agent.contents.take().unwrap_or_default();
    // Discards have no data; all else has it while there is memory.
    ensure(contents.bytes > MIB, || format!("{name}: {} bytes with data", contents.bytes))?;
    let compared = contents.compare(agent.disk)?;
    Ok(format!("{name}: {} KiB as told, {} KiB without data", compared >> 10, contents.bytes_without >> 10))
}

/// A stream is given again until it is committed, and then its memory is gone.
fn a_stream_comes_again_and_is_taken_back(agent: &mut Agent) -> Step {
    agent.drain_all()?;
    plain::scattered(agent.disk.node, 0, &work::OPEN, 3)?;
    nix::unistd::sync();
    let first = agent.get()?;
    ensure(!first.data.is_empty() && first == agent.get()?, || "another batch before the commit".into())?;
    let address = first.stream.unwrap_or_default();
    ensure(is_mapped(address)?, || format!("no memory at {address:#x}"))?;
    ensure(agent.drain_once()?, || "nothing was drained".into())?;
    ensure(!is_mapped(address)?, || format!("memory at {address:#x} after the commit"))
}

/// Whether this process has memory there.
fn is_mapped(address: u64) -> Step<bool> {
    let maps = fs::read_to_string("/proc/self/maps").doing(|| "/proc/self/maps".into())?;
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap_or_default();
    let ranges = maps.lines().filter_map(|line| line.split([' ', '-']).next().zip(line.split([' ', '-']).nth(1)));
    Ok(ranges.map(|(start, end)| number(start)..number(end)).any(|range| range.contains(&address)))
}
