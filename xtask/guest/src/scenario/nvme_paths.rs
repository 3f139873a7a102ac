// SPDX-License-Identifier: GPL-2.0-only
//! An NVMe disk behind two controllers, which the kernel's own NVMe multipath makes one disk of.

use super::layers::{attach, drained};
use super::states::writes;
use crate::agent::{Agent, become_service};
use crate::contents::Contents;
use crate::order::{entries, give_nvme, wait_for, wait_until};
use crate::sys::{Doing, Failure, Step, ensure};
use crate::work::null_blk;
use guest::extents::Extents;
use guest::layout::held::{NODE, PATHS, SHARED_SIZE};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const WRITES: u64 = 100;
/// A path goes and comes back so often: the driver has room for 16 paths of a disk, and must forget those that are gone.
const TIMES: u32 = 16;
const PARAMETER: &str = "/sys/module/nvme_core/parameters/multipath";
/// Takes the paths by turns.
const POLICY: (&str, &str) = ("/sys/class/nvme-subsystem/nvme-subsys2/iopolicy", "round-robin");
/// What the names of the paths' own disks begin with, which have no node.
const PATH: &str = "nvme2c";
/// The number of writes, among the numbers of a disk's `stat`.
const STAT_WRITES: usize = 4;

/// Both paths from the start, then one goes and comes back while the disk is written to.
pub fn scenario() -> Step<String> {
    match fs::read_to_string(PARAMETER).unwrap_or_default().trim() {
        "Y" => {}
        "N" => return Err(Failure::Skipped("NVMe multipath is off: nvme_core.multipath=N".into())),
        _ => return Err(Failure::Skipped("the kernel has no NVMe multipath (CONFIG_NVME_MULTIPATH)".into())),
    }
    let service = become_service()?;
    // The disk is named after the controller that is probed first.
    give_nvme(PATHS[0], true)?;
    wait_until(NODE, true)?;
    give_nvme(PATHS[1], true)?;
    wait_for_paths(2)?;
    fs::write(POLICY.0, POLICY.1).doing(|| POLICY.0.into())?;
    let mut agent = attach(null_blk::at(NODE, SHARED_SIZE))?;
    let done = each(&mut agent);
    let done = agent.detach().and(done);
    PATHS.iter().try_for_each(|controller| give_nvme(controller, false))?;
    wait_until(NODE, false)?;
    drop(service);
    done?;
    Ok(format!("both paths; one that goes and comes under load; one that does so {TIMES} times"))
}

fn each(agent: &mut Agent) -> Step {
    by_both(agent)?;
    let written = under_load(agent, || {
        give_nvme(PATHS[1], false)?;
        wait_for_paths(1)
    })?;
    drained(agent, &written)?;
    under_load(agent, || {
        give_nvme(PATHS[1], true)?;
        wait_for("writes by the path that came", || counts().len() == 2 && counts().iter().all(|&count| count > 8))
    })?;
    path_is_told_of(agent)?;
    by_both(agent)?;
    for _ in 0..TIMES {
        give_nvme(PATHS[1], false)?;
        wait_for_paths(1)?;
        give_nvme(PATHS[1], true)?;
        wait_for_paths(2)?;
        path_is_told_of(agent)?;
    }
    by_both(agent)
}

/// Each path takes a part of what is written, and all of it is drained, with its data.
fn by_both(agent: &mut Agent) -> Step {
    agent.contents = Some(Contents::default());
    let before = counts();
    let written = writes(agent.disk, WRITES)?;
    let after = counts();
    let both = after.len() == 2 && before.iter().zip(&after).all(|(before, after)| after > before);
    ensure(both, || format!("not each path was written to: {before:?}, then {after:?} writes"))?;
    drained(agent, &written)
}

/// Writes for as long as the work takes, and once more.
fn under_load(agent: &mut Agent, work: impl FnOnce() -> Step) -> Step<Extents> {
    agent.contents = Some(Contents::default());
    let (disk, working) = (agent.disk, AtomicBool::new(true));
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut written = writes(disk, WRITES)?;
            while working.load(Ordering::Relaxed) {
                writes(disk, WRITES)?.iter().for_each(|(offset, length)| written.insert(offset, length));
            }
            writes(disk, WRITES)?.iter().for_each(|(offset, length)| written.insert(offset, length));
            Ok(written)
        });
        let done = work();
        working.store(false, Ordering::Relaxed);
        let written = load.join().unwrap_or_else(|_| Err(Failure::Failed("the writer has panicked".into())));
        done.and(written)
    })
}

/// The resync that a path which came later is; what waits is drained.
fn path_is_told_of(agent: &mut Agent) -> Step {
    let hole = agent.take_hole()?;
    ensure(hole.as_deref().is_some_and(|hole| hole.contains("a path to the disk")), || {
        format!("a path came, and the driver says {hole:?}")
    })?;
    agent.contents = None;
    agent.drain_all()
}

fn wait_for_paths(count: usize) -> Step {
    wait_for(&format!("{count} paths"), || counts().len() == count)
}

/// The number of writes that each path has taken since it is there.
fn counts() -> Vec<u64> {
    let block = Path::new("/sys/block");
    let count = |name: &String| {
        let stat = fs::read_to_string(block.join(name).join("stat")).ok()?;
        stat.split_whitespace().nth(STAT_WRITES)?.parse().ok()
    };
    let mut names = entries(block);
    names.retain(|name| name.starts_with(PATH));
    names.sort();
    names.iter().filter_map(count).collect()
}
