// SPDX-License-Identifier: GPL-2.0-only
//! The scenario `tags`: where a tag lies among writes that a barrier or a frozen file system holds.

use crate::agent::{Agent, DEVICE};
use crate::sys::{Doing, Fields, Step, ensure, ioctl, is_errno, open};
use crate::work::{self, buffer::Buffer, file_system};
use crate::world::{World, file_system_node, joined};
use guest::layout::Disk;
use involflt::abi::{barrier, freeze, request, tag_info, volume_info};
use nix::libc;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// A busy machine may be slower than the longest barrier: then all is done anew.
const TRIES: usize = 20;
/// The name of every consistency point here.
const POINT: &[u8; 36] = b"00000000-1111-2222-3333-444444444444";

/// Under a barrier on all disks, then with each file system frozen, and what happens when nobody ends either.
pub fn scenario(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.drain_all()?;
    let control = open(DEVICE, 0)?;
    let tries = (1..=TRIES).find_map(|attempt| under_barrier(world, &control, attempt).transpose());
    let tries = tries.unwrap_or_else(|| Err(format!("no barrier of {TRIES} stood long enough").into()))?;
    forgotten_barrier(world, &control)?;
    for index in 0..world.agents.len() {
        frozen(&mut world.agent(index), &control)?;
    }
    forgotten_freeze(world.agent(0).disk, &control)?;
    Ok(format!("on each disk; the barrier stood at try {tries}"))
}

fn write(agent: &Agent, slot: u64) -> Step<Instant> {
    let file = open(agent.disk.node, libc::O_DIRECT)?;
    file.write_all_at(Buffer::stamped(4096).bytes(), place(slot).0).doing(|| format!("{}: write", agent.disk.name))?;
    Ok(Instant::now())
}

/// Slots do not touch.
fn place(slot: u64) -> (u64, u64) {
    (work::TAGS.start + slot * 8192, 4096)
}

fn create_barrier(control: &File, milliseconds: u32) -> io::Result<i32> {
    let mut argument = [0; barrier::CREATE_BYTES];
    argument.put(barrier::GUID, POINT);
    argument.put(barrier::TIMEOUT, &milliseconds.to_le_bytes());
    ioctl(control, request::CREATE_BARRIER_ALL, &mut argument)
}

fn end(control: &File, word: u32, flags: u32) -> io::Result<i32> {
    let mut argument = [0; barrier::BYTES];
    argument.put(barrier::GUID, POINT);
    argument.put(barrier::FLAGS, &flags.to_le_bytes());
    ioctl(control, word, &mut argument)
}

/// Places one tag of all disks, under a barrier of its own.
pub(super) fn under_io_barrier(control: &File, text: &str) -> io::Result<i32> {
    place_tag(control, request::IOBARRIER_TAG_VOLUME, text, None)
}

/// Places one tag, of all disks or of the one with that node.
fn tag(control: &File, text: &str, node: Option<&str>) -> io::Result<i32> {
    place_tag(control, request::TAG_VOLUME_V2, text, node)
}

fn place_tag(control: &File, word: u32, text: &str, node: Option<&str>) -> io::Result<i32> {
    let mut name = [0; tag_info::NAME_BYTES];
    name.put(0, &(text.len() as u16).to_le_bytes());
    name.put(2, text.as_bytes());
    let mut volume = node.map(volume).unwrap_or_default();
    let mut argument = [0; tag_info::BYTES];
    argument.put(tag_info::FLAGS, &if node.is_some() { 0 } else { tag_info::FLAG_ALL }.to_le_bytes());
    argument.put(tag_info::VOLUMES, &u32::from(node.is_some()).to_le_bytes());
    argument.put(tag_info::TAGS, &1_u32.to_le_bytes());
    argument.put(tag_info::TIMEOUT, &10_000_u32.to_le_bytes());
    argument.put(tag_info::GUID, POINT);
    argument.put(tag_info::LIST, &(volume.as_mut_ptr().expose_provenance() as u64).to_le_bytes());
    argument.put(tag_info::NAMES, &(name.as_mut_ptr().expose_provenance() as u64).to_le_bytes());
    ioctl(control, word, &mut argument)
}

fn volume(node: &str) -> Vec<u8> {
    let mut volume = vec![0; volume_info::BYTES];
    volume.put(volume_info::NAME, node.as_bytes());
    volume
}

/// Freezes or thaws.
fn still(control: &File, word: u32, node: &str, milliseconds: u32) -> io::Result<i32> {
    let mut volume = volume(node);
    let mut argument = [0; freeze::BYTES];
    argument.put(freeze::VOLUMES, &1_u32.to_le_bytes());
    argument.put(freeze::TIMEOUT, &milliseconds.to_le_bytes());
    argument.put(freeze::LIST, &(volume.as_mut_ptr().expose_provenance() as u64).to_le_bytes());
    argument.put(freeze::GUID, POINT);
    ioctl(control, word, &mut argument)
}

/// A write before the barrier, a tag under it, a write that it holds. `None` where it did not stand so long.
fn under_barrier(world: &World, control: &File, attempt: usize) -> Step<Option<usize>> {
    world.drain_all()?;
    for index in 0..world.agents.len() {
        write(&world.agent(index), 0)?;
    }
    let text = format!("crash {attempt}");
    create_barrier(control, barrier::MAX_TIMEOUT).doing(|| "create a barrier".into())?;
    let (stood, removed, written) = std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..world.agents.len()).map(|index| scope.spawn(move || write(&world.agent(index), 1))).collect();
        std::thread::sleep(Duration::from_millis(20));
        let stood = matches!(tag(control, &text, None), Ok(0));
        let removed = Instant::now();
        let stood = stood && end(control, request::REMOVE_BARRIER_ALL, 0).is_ok();
        let written: Vec<_> = writers.into_iter().map(|writer| joined(writer.join())).collect();
        (stood, removed, written)
    });
    let written = written.into_iter().collect::<Step<Vec<_>>>()?;
    if !stood {
        return Ok(None);
    }
    ensure(written.iter().all(|&at| at >= removed), || "a write went past the barrier".into())?;
    // Nothing behind the tag is delivered before somebody decides.
    let waits = || (0..world.agents.len()).try_for_each(|index| held(&mut world.agent(index)));
    waits()?;
    end(control, request::TAG_COMMIT_V2, barrier::VALUE_COMMIT).doing(|| "commit the tag".into())?;
    for index in 0..world.agents.len() {
        delivered(&mut world.agent(index), &text, place(1))?;
    }
    Ok(Some(attempt))
}

/// The write before the tag comes, then the tag holds up the drain.
fn held(agent: &mut Agent) -> Step {
    let name = agent.disk.name;
    ensure(agent.drain_once()?, || format!("{name}: nothing before the tag"))?;
    match agent.get() {
        Err(failure) if format!("{failure:?}").contains("os error 11") => Ok(()),
        other => Err(format!("{name}: a tag that is not committed: {other:?}").into()),
    }
}

/// The tag, again until it is committed, and then what is behind it.
fn delivered(agent: &mut Agent, text: &str, behind: (u64, u64)) -> Step {
    let name = agent.disk.name;
    let batch = agent.get()?;
    ensure(batch.tags == [text] && batch.changes.is_empty(), || format!("{name}: not the tag {text}: {batch:?}"))?;
    let again = agent.get()?;
    ensure(batch == again, || format!("{name}: {batch:?} came again as {again:?}"))?;
    agent.drain_once()?;
    let batch = agent.get()?;
    ensure(batch.changes == [behind], || format!("{name}: behind the tag {text}: {batch:?}"))?;
    agent.drain_all()
}

/// A barrier that nobody removes is gone when its time is over.
fn forgotten_barrier(world: &World, control: &File) -> Step {
    create_barrier(control, 50).doing(|| "create a barrier of 50 ms".into())?;
    for index in 0..world.agents.len() {
        write(&world.agent(index), 2)?;
    }
    let removed = end(control, request::REMOVE_BARRIER_ALL, 0);
    ensure(removed.as_ref().is_err_and(|error| is_errno(error, &[libc::EINVAL])), || {
        format!("the removal of a barrier whose time is over: {removed:?}")
    })
}

/// Files written before a freeze are before the tag, and a file that is written meanwhile is not done before the thaw.
fn frozen(agent: &mut Agent, control: &File) -> Step {
    let (disk, node) = (agent.disk, file_system_node(agent.disk));
    let at = format!("/mnt/{}", disk.name);
    fs::create_dir_all(&at).doing(|| at.clone())?;
    file_system::mounted(disk, &at, || {
        still(control, request::FREEZE_VOLUME, &node, 30_000).doing(|| format!("freeze {node}"))?;
        let file = format!("{at}/frozen");
        let (thawed, written) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| fs::write(&file, b"x").map(|()| Instant::now()));
            std::thread::sleep(Duration::from_millis(20));
            let tagged = tag(control, "application", Some(disk.node));
            let thawed = Instant::now();
            let thaw = still(control, request::THAW_VOLUME, &node, 0);
            let written = joined(writer.join().map(|written| written.doing(|| file.clone())));
            tagged
                .doing(|| format!("{node}: tag"))
                .and(thaw.doing(|| format!("thaw {node}")))
                .map(|_| (thawed, written))
        })?;
        ensure(written? >= thawed, || format!("{node}: a file was written while it was frozen"))?;
        end(control, request::TAG_COMMIT_V2, barrier::VALUE_COMMIT).doing(|| format!("{node}: commit the tag"))?;
        let mut found = Vec::new();
        while found.is_empty() {
            let batch = agent.get()?;
            ensure(!(batch.changes.is_empty() && batch.tags.is_empty()), || format!("{node}: no tag"))?;
            found = batch.tags;
            agent.drain_once()?;
        }
        ensure(found == ["application"], || format!("{node}: {found:?}"))?;
        Ok(())
    })
}

/// A file system that nobody thaws is thawed when its time is over.
fn forgotten_freeze(disk: &Disk, control: &File) -> Step {
    let (at, node) = (format!("/mnt/{}", disk.name), file_system_node(disk));
    file_system::mounted(disk, &at, || {
        still(control, request::FREEZE_VOLUME, &node, 2000).doing(|| format!("freeze {node} for 2 s"))?;
        let file = format!("{at}/forgotten");
        fs::write(&file, b"y").doing(|| file)?;
        let thawed = still(control, request::THAW_VOLUME, &node, 0);
        ensure(thawed.as_ref().is_err_and(|error| is_errno(error, &[libc::EINVAL])), || {
            format!("{node}: a thaw when the time is over: {thawed:?}")
        })
    })
}
