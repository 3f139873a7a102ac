// SPDX-License-Identifier: GPL-2.0-only
//! Changes that outlive the module, and what becomes of them when their file does not.

use super::lifecycle::unload;
use crate::agent::{self, Agent, DEVICE, FILES};
use crate::sys::{Doing, Step, ensure, is_linux, open};
use crate::work::file_system::{self, BELOW};
use crate::work::{Area, buffer::Buffer};
use crate::world::joined;
use crate::{dm, module};
use guest::layout::{Disk, LIVE, MIB};
use guest::protocol::INVOLFLT;
use nix::libc;
use nix::mount::{MsFlags, mount};
use std::fs;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

/// What is begun has come to its wait after this.
const MOMENT: Duration = Duration::from_millis(200);
/// Written to by this scenario.
const AREA: Area = 40 * MIB..41 * MIB;

/// The disk's bitmap file.
fn file(disk: &Disk) -> String {
    let name = agent::persistent_name(disk.node);
    format!("{FILES}/{name}/InMage-{name}.VolumeLog")
}

/// On each kind of disk: a reload, and a file that is lost in each of the ways there are.
pub fn scenario() -> Step<String> {
    let numbered = is_linux((4, 14))?;
    for disk in &LIVE {
        if numbered {
            goes_on_after_a_reload(disk)?;
        }
        written_to_unseen(disk)?;
        in_use(disk)?;
        damaged(disk)?;
        deleted(disk)?;
    }
    on_its_own_disk(&LIVE[0])?;
    read_only(&LIVE[0])?;
    file_system::mounted(&LIVE[0], FILES, || full(&LIVE[1], numbered))?;
    file_system::mounted_below(&LIVE[0], FILES, || answers_nothing(&LIVE[1], numbered))?;
    // A disk that was not filtered for a while could then be another one of the same name.
    let reloaded = if numbered { "reloaded" } else { "not reloaded, as this kernel numbers no disks" };
    Ok(format!(
        "{} disks, each {reloaded}, written to unseen, unclean, damaged, deleted; a full file system, and one that hangs",
        LIVE.len()
    ))
}

fn write(disk: &Disk, offset: u64) -> Step {
    let buffer = Buffer::stamped(4096);
    open(disk.node, libc::O_DIRECT)?.write_all_at(buffer.bytes(), offset).doing(|| format!("write to {}", disk.name))
}

/// What was committed is gone, what was delivered or only noted is not, and nothing else has come.
fn goes_on_after_a_reload(disk: &'static Disk) -> Step {
    let mut agent = Agent::attach(disk)?;
    write(disk, AREA.start)?;
    agent.drain_all()?;
    write(disk, AREA.start + 16384)?;
    agent.get()?;
    write(disk, AREA.start + 65536)?;
    agent::unstack_all(&open(DEVICE, 0)?)?;
    drop(agent);
    unload()?;
    module::load(INVOLFLT)?;
    let mut agent = Agent::attach(disk)?;
    agent.drain_all()?;
    let found: Vec<_> = agent.drained.iter().collect();
    let expected = [(AREA.start + 16384, 4096), (AREA.start + 65536, 4096)];
    ensure(found == expected, || format!("{}: after a reload {found:?}, not {expected:?}", disk.name))?;
    agent.detach()
}

/// Starts the disk, which must need a resync for the reason; then stops it for good.
fn needs_resync(disk: &'static Disk, reason: &str) -> Step {
    let mut agent = Agent::attach(disk)?;
    let hole = agent.take_hole()?;
    ensure(hole.as_deref().is_some_and(|hole| hole.contains(reason)), || {
        format!("{}: {reason:?} was expected, not {hole:?}", disk.name)
    })?;
    agent.detach()
}

fn written_to_unseen(disk: &'static Disk) -> Step {
    Agent::attach(disk)?.remove()?;
    write(disk, AREA.start)?;
    needs_resync(disk, "may have changed")
}

/// The file as a machine leaves it that stops at once.
fn in_use(disk: &'static Disk) -> Step {
    let agent = Agent::attach(disk)?;
    let in_use = fs::read(file(disk)).doing(|| file(disk))?;
    agent.remove()?;
    fs::write(file(disk), in_use).doing(|| file(disk))?;
    needs_resync(disk, "without a clean end")
}

fn damaged(disk: &'static Disk) -> Step {
    Agent::attach(disk)?.remove()?;
    let mut bad = fs::read(file(disk)).doing(|| file(disk))?;
    bad[2 * 4096 + 100] ^= 1;
    fs::write(file(disk), &bad).doing(|| file(disk))?;
    needs_resync(disk, "damaged")?;
    let aside = format!("{}.bad", file(disk));
    let kept = fs::read(&aside).doing(|| aside.clone())?;
    ensure(kept == bad, || format!("{aside} is not the bad file"))
}

fn deleted(disk: &'static Disk) -> Step {
    Agent::attach(disk)?.remove()?;
    fs::remove_file(file(disk)).doing(|| file(disk))?;
    needs_resync(disk, "gone")
}

/// The file's own writes are changes of its disk, and come to an end.
fn on_its_own_disk(disk: &'static Disk) -> Step {
    file_system::mounted(disk, FILES, || {
        Agent::attach(disk)?.remove()?;
        needs_resync(disk, "may have changed")
    })
}

/// What is delivered is a write at this offset, and nothing else.
pub(super) fn goes_on_with(mut agent: Agent, offset: u64) -> Step {
    agent.drain_all()?;
    let (name, found) = (agent.disk.name, agent.drained.iter().collect::<Vec<_>>());
    ensure(found == [(offset, 4096)], || format!("{name}: {found:?}, not a write at {offset}"))?;
    agent.detach()
}

/// The file system is full: a file that is there needs no more room, and one that is not there cannot be made.
fn full(disk: &'static Disk, numbered: bool) -> Step {
    let rest = format!("{FILES}/rest");
    Agent::attach(disk)?.remove()?;
    file_system::fill(&rest)?;
    let agent = Agent::attach(disk)?;
    write(disk, AREA.start)?;
    agent.remove()?;
    let agent = Agent::attach(disk)?;
    if numbered {
        goes_on_with(agent, AREA.start)?
    } else {
        agent.detach()?
    }
    file_system::fill(&rest)?;
    let agent = Agent::attach(disk)?;
    let state = agent.statistics()?.text("bitmap_file")?;
    ensure(state == "none, error 28", || format!("on a full file system: bitmap_file: {state}"))?;
    agent.detach()?;
    fs::remove_file(&rest).doing(|| rest.clone())
}

/// The file's disk answers nothing: whoever ends or begins the filtering waits, but no write does. One that comes before a start is
/// done was not seen.
fn answers_nothing(disk: &'static Disk, numbered: bool) -> Step {
    let agent = Agent::attach(disk)?;
    suspended(move || agent.remove(), Some(disk), None)?;
    let agent = Agent::attach(disk)?;
    if numbered {
        goes_on_with(agent, AREA.start)?
    } else {
        agent.detach()?
    }
    Agent::attach(disk)?.remove()?;
    let mut agent = suspended(move || Agent::attach(disk), None, Some(disk))?;
    let hole = agent.take_hole()?;
    ensure(hole.as_deref().is_some_and(|hole| hole.contains("may have changed")), || {
        format!("{}: a write during a start: {hole:?}", disk.name)
    })?;
    agent.detach()
}

/// Does `work`, which must wait, while the file's disk is suspended; a disk is written to before it, or while it waits.
fn suspended<T: Send + 'static>(
    work: impl FnOnce() -> Step<T> + Send + 'static,
    before: Option<&Disk>,
    meanwhile: Option<&Disk>,
) -> Step<T> {
    dm::suspend(BELOW)?;
    let written = before.map_or(Ok(()), |disk| write(disk, AREA.start));
    let works = thread::spawn(work);
    thread::sleep(MOMENT);
    let written = written.and_then(|()| meanwhile.map_or(Ok(()), |disk| write(disk, AREA.start)));
    let waits = !works.is_finished();
    dm::resume(BELOW)?;
    let done = joined(works.join())?;
    ensure(waits, || "nothing waited for a file whose disk answers nothing".into())?;
    written.map(|()| done)
}

/// Nothing can be kept, and the disk is filtered.
fn read_only(disk: &'static Disk) -> Step {
    file_system::mounted(disk, FILES, || {
        let remount = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, FILES, None::<&str>, remount, None::<&str>).doing(|| format!("remount {FILES}"))?;
        let agent = Agent::attach(disk)?;
        let state = agent.statistics()?.text("bitmap_file")?;
        ensure(state == "none, error 30", || format!("on a read-only file system: bitmap_file: {state}"))?;
        agent.detach()
    })
}
