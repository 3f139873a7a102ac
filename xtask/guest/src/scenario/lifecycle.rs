// SPDX-License-Identifier: GPL-2.0-only
//! Load, unload, attach, detach.

use crate::agent::{self, Agent, DEVICE};
use crate::module;
use crate::sys::{Doing, Step, ensure, is_linux, open};
use crate::work::{self, Area, plain};
use crate::world::{World, joined};
use guest::layout::{DISKS, Disk};
use guest::protocol::INVOLFLT;
use nix::errno::Errno;
use nix::libc;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often each disk is attached and detached during writes: 100 times over all four.
const STORM: u64 = 25;

/// The module is there, and answers.
pub fn load(_: &mut World) -> Step<String> {
    ensure(module::is_loaded("involflt")?, || "involflt is not in /proc/modules".into())?;
    let device = open(DEVICE, 0)?;
    let version = agent::version(&device).doing(|| "get driver version".into())?;
    ensure(version == involflt::abi::version::WORDS, || format!("version {version:?}"))?;
    let protected = agent::protected(&device)?;
    ensure(protected.is_empty(), || format!("protected before anything was attached: {protected:?}"))?;
    let kinds = DISKS.iter().map(|disk| agent::is_blk_mq(&device, disk.node)).collect::<Step<Vec<_>>>()?;
    // Before Linux 5.0 a SCSI disk may have requests without blk-mq.
    let scsi = kinds[1] || !is_linux((5, 0))?;
    ensure(kinds[0] && scsi && !kinds[3], || format!("blk-mq: {kinds:?}"))?;
    Ok(format!("driver {}.{}.{}.{}", version[0], version[1], version[2], version[3]))
}

/// Unload is refused while a disk is filtered, even with the agent gone; clean after stop and after "unstack all".
pub fn reload(_: &mut World) -> Step<String> {
    for disk in &DISKS {
        pages_are_stable(disk)?;
    }
    for disk in &DISKS[..3] {
        let agent = Agent::attach(disk)?;
        refused()?;
        drop(agent);
        refused()?;
        work::touch_reload(disk.node)?;
        Agent::attach(disk)?.detach()?;
        unload()?;
        module::load(INVOLFLT)?;
    }
    let agents: Vec<_> = DISKS.iter().map(Agent::attach).collect::<Step<_>>()?;
    let device = open(DEVICE, 0)?;
    let protected = agent::protected(&device)?;
    let nodes: Vec<_> = DISKS.iter().map(|disk| disk.node).collect();
    ensure(protected == nodes, || format!("protected: {protected:?}, not {nodes:?}"))?;
    agent::unstack_all(&device)?;
    let after = agent::version(&device).err().and_then(|error| error.raw_os_error());
    ensure(after == Some(libc::EINVAL), || format!("a request after \"unstack all\" gave {after:?}, not EINVAL"))?;
    drop((agents, device));
    unload()?;
    module::load(INVOLFLT)?;
    // The disks are known now; stopped, they are new again.
    DISKS.iter().try_for_each(|disk| Agent::attach(disk)?.detach())?;
    Ok("refused 6 times, 4 times clean".into())
}

/// Pages on their way to a filtered disk do not change, and afterwards all is as it was before.
fn pages_are_stable(disk: &'static Disk) -> Step {
    let before = has_stable_pages(disk)?;
    let agent = Agent::attach(disk)?;
    let meanwhile = has_stable_pages(disk)?;
    agent.detach()?;
    let after = has_stable_pages(disk)?;
    ensure(meanwhile && before == after, || {
        format!("{}: stable pages: {before}, then filtered {meanwhile}, then {after}", disk.name)
    })
}

fn has_stable_pages(disk: &Disk) -> Step<bool> {
    let block = disk.node.replace("/dev/", "/sys/block/");
    // Linux before 5.9 says it of what the page cache knows of a disk.
    let files = [format!("{block}/queue/stable_writes"), format!("{block}/bdi/stable_pages_required")];
    let text = files.iter().find_map(|file| fs::read_to_string(file).ok());
    let text = text.ok_or_else(|| format!("none of {files:?} can be read"))?;
    Ok(text.trim() == "1")
}

fn refused() -> Step {
    let answer = module::unload(c"involflt");
    ensure(matches!(answer, Err(Errno::EBUSY | Errno::EWOULDBLOCK)), || {
        format!("unload while a disk is filtered: {answer:?}, EBUSY or EWOULDBLOCK was expected")
    })
}

/// Unloads the module, which no disk may use.
pub fn unload() -> Step {
    module::unload(c"involflt").doing(|| "unload".into())?;
    ensure(!module::is_loaded("involflt")?, || "involflt is still in /proc/modules".into())
}

/// Every disk at once is attached and detached under direct and buffered writes. The last attach stays, and after it
/// the writers go once more over all they have written: every block that has changed must be seen.
pub fn attach_storm(world: &mut World) -> Step<String> {
    world.attach_all()?;
    detach_all(world)?;
    let agents: Vec<Agent> = std::thread::scope(|scope| {
        let threads: Vec<_> = DISKS.iter().map(|disk| scope.spawn(|| storm(disk))).collect();
        threads.into_iter().map(|thread| joined(thread.join())).collect::<Step<_>>()
    })?;
    world.agents = agents.into_iter().map(Mutex::new).collect();
    Ok(format!("{} times, {STORM} on each disk", STORM * DISKS.len() as u64))
}

fn detach_all(world: &mut World) -> Step {
    let agents = std::mem::take(&mut world.agents);
    agents
        .into_iter()
        .try_for_each(|agent| agent.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).detach())
}

fn storm(disk: &'static Disk) -> Step<Agent> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let direct = scope.spawn(|| write_until(disk, libc::O_DIRECT, &work::STORM_DIRECT, &stop));
        let buffered = scope.spawn(|| write_until(disk, 0, &work::STORM_BUFFERED, &stop));
        let agent = attach_and_detach(disk);
        stop.store(true, Ordering::SeqCst);
        for writer in [direct, buffered] {
            joined(writer.join())?;
        }
        agent
    })
}

/// Writes an area again and again; once more from its start after being told to stop.
fn write_until(disk: &Disk, flags: i32, area: &Area, stop: &AtomicBool) -> Step {
    let file = open(disk.node, flags)?;
    while !stop.load(Ordering::SeqCst) {
        plain::fill(&file, area, 64 << 10)?;
    }
    plain::fill(&file, area, 64 << 10).map(drop)
}

fn attach_and_detach(disk: &'static Disk) -> Step<Agent> {
    for round in 0..STORM {
        let mut agent = Agent::attach(disk)?;
        std::thread::sleep(Duration::from_millis(round % 8));
        if round % 5 == 0 {
            agent.drain_once()?;
        }
        agent.detach()?;
    }
    Agent::attach(disk)
}
