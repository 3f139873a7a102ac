// SPDX-License-Identifier: GPL-2.0-only
//! What a module with telemetry leaves in files, and that one without leaves nothing.

use super::lifecycle::unload;
use super::tags;
use crate::agent::{Agent, DEVICE, guid};
use crate::module;
use crate::sys::{Doing, Fields, Step, ensure, ioctl, open};
use crate::work::buffer::Buffer;
use guest::layout::{DISKS, Disk};
use guest::protocol::INVOLFLT;
use involflt::abi::{request, resync_edge, stats_v2};
use nix::libc;
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

const FOLDER: &str = "/var/log";
/// Bytes of the write that is drained.
const WRITTEN: u64 = 4096;

/// Two disks are started, and each gets two tags under a barrier: the first is drained behind a write; behind the second one
/// disk begins a resync and is drained, and the other is stopped. When the module goes, its records are in a file.
pub fn scenario() -> Step<String> {
    fs::create_dir_all(FOLDER).doing(|| FOLDER.into())?;
    let before = records()?.len();
    let mut agents = DISKS[..2].iter().map(Agent::attach).collect::<Step<Vec<_>>>()?;
    agents.iter_mut().try_for_each(Agent::drain_all)?;
    let control = open(DEVICE, 0)?;
    agents.iter().try_for_each(|agent| write_again(agent.disk))?;
    tag(&control)?;
    agents.iter_mut().try_for_each(Agent::drain_all)?;
    tag(&control)?;
    begin_resync(&control, agents[0].disk)?;
    agents[0].drain_all()?;
    let statistics = statistics(&control, agents[0].disk)?;
    agents.into_iter().try_for_each(Agent::detach)?;
    drop(control);
    unload()?;
    let records = records()?.split_off(before);
    module::load(INVOLFLT)?;
    if !is_compiled_in()? {
        ensure(records.is_empty(), || format!("a module without telemetry has left {records:?}"))?;
        return Ok("not compiled in, and no file".into());
    }
    check(&records, &statistics).map_err(|text| format!("{text} in the records {records:?}"))?;
    Ok(format!("{} records", records.len()))
}

/// Writes what is there already: the disk stays as it is.
fn write_again(disk: &Disk) -> Step {
    let mut buffer = Buffer::new(WRITTEN as usize);
    let file = open(disk.node, libc::O_DIRECT)?;
    file.read_exact_at(buffer.bytes_mut(), 0).doing(|| format!("{}: read", disk.name))?;
    file.write_all_at(buffer.bytes(), 0).doing(|| format!("{}: write", disk.name))
}

fn tag(control: &File) -> Step {
    let placed = tags::under_io_barrier(control, "telemetry").doing(|| "a tag under a barrier".into())?;
    ensure(placed == 0, || format!("a tag under a barrier: {placed}"))
}

fn begin_resync(control: &File, disk: &Disk) -> Step {
    let mut edge = [0; resync_edge::BYTES];
    edge.put(0, &guid(disk.node));
    ioctl(control, request::RESYNC_START_NOTIFICATION, &mut edge).doing(|| "begin a resync".into()).map(drop)
}

fn statistics(control: &File, disk: &Disk) -> Step<Vec<u8>> {
    let mut statistics = vec![0; stats_v2::BYTES];
    statistics.put(stats_v2::GUID, &guid(disk.node));
    ioctl(control, request::GET_VOLUME_STATS_V2, &mut statistics).doing(|| "statistics v2".into())?;
    Ok(statistics)
}

/// The records are the tags' in the order of their ends, and say what the statistics of the first disk do. Else: what is wrong.
fn check(records: &[Value], statistics: &[u8]) -> Result<(), String> {
    // Drained on both disks; then drained on the first, and gone with the second.
    let states: Vec<&str> = records.iter().filter_map(|record| record["TagState"].as_str()).collect();
    let [first, other, second, stopped] = records else { return Err(format!("{} records", records.len())) };
    same("the fates", &states, &["12", "12", "12", "2"])?;
    for (record, disk) in [first, other, second].into_iter().zip([&DISKS[0], &DISKS[1], &DISKS[0]]) {
        same("a disk's name", &record["DiskName"], &disk.node)?;
    }
    same("the name of a disk that was stopped", &stopped["DiskName"], &Value::Null)?;
    let number = |record: &Value, key: &str| {
        let text = record[key].as_str().ok_or_else(|| format!("no {key}"))?;
        text.parse::<u64>().map_err(|error| format!("{key}: {error}"))
    };
    same("bytes before the tag", &number(first, "PendChgOnInsert")?, &WRITTEN)?;
    same("bytes that were committed", &number(first, "DrainDataToCmp")?, &WRITTEN)?;
    same("bytes behind the first tag", &number(second, "PendChgOnInsert")?, &0)?;
    let commits = ["CommitDBCountCurr", "CommitDBCountCmp"].map(|key| number(first, key));
    let [placed, drained] = commits;
    // The write, and the tag.
    same("commits from the tag to its own", &(drained? - placed?), &2)?;
    same("the tag before", &second["PrevTagEndSeq"], &first["TagEndSeq"])?;
    let resync = (number(first, "ResyncStartTime")?, number(second, "ResyncStartTime")?);
    if resync.0 != 0 || resync.1 <= number(second, "TagInsertTime")? {
        return Err(format!("the resync at {resync:?}"));
    }
    let as_statistics = [
        ("DrvLoadTime", stats_v2::LOADED),
        ("DevCntxtCreateTime", stats_v2::CREATED),
        ("StartFilterKrnlTime", stats_v2::STARTED),
        ("ChurnToCmp", stats_v2::TRACKED),
    ];
    as_statistics.into_iter().try_for_each(|(key, offset)| same(key, &number(second, key)?, &statistics.u64_at(offset)))
}

fn same<A: PartialEq<B> + std::fmt::Debug, B: std::fmt::Debug>(
    what: &str,
    found: &A,
    wanted: &B,
) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?}, not {wanted:?}")) }
}

/// As `modinfo` would say it.
fn is_compiled_in() -> Step<bool> {
    let module = fs::read(INVOLFLT).doing(|| INVOLFLT.into())?;
    let has = |text: &[u8]| module.windows(text.len()).any(|part| part == text);
    match (has(b"\0telemetry=yes\0"), has(b"\0telemetry=no\0")) {
        (yes, no) if yes != no => Ok(yes),
        _ => Err(format!("{INVOLFLT} does not say whether it has telemetry").into()),
    }
}

/// Of all files, in their order.
fn records() -> Step<Vec<Value>> {
    let path = |number: u32| format!("{FOLDER}/involflt_telemetry_completed_{number}.log");
    let texts = (0..).map_while(|number| fs::read_to_string(path(number)).ok());
    let lines = texts.flat_map(|text| text.lines().map(str::to_string).collect::<Vec<_>>());
    lines
        .map(|line| {
            let record: Value = serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?;
            Ok(record["Map"].clone())
        })
        .collect()
}
