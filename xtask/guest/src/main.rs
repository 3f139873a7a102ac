// SPDX-License-Identifier: GPL-2.0-only
//! The program that a test VM runs as its init: finds the disks, runs the scenarios, tells the host.

mod agent;
mod bench;
mod channel;
mod contents;
mod dm;
mod kexec;
mod md;
mod module;
mod order;
mod powercut;
mod privilege;
mod reboots;
mod scenario;
#[path = "../../../module/tests/svd/mod.rs"]
mod svd;
mod sys;
mod work;
mod world;

use channel::Channel;
use guest::layout;
use guest::protocol::{MKDIR, MODULES, Message, PLAN, Plan};
use nix::mount::{MsFlags, mount};
use std::fs;
use sys::{Doing, Failure, Step, ensure};

fn main() {
    let mut arguments = std::env::args();
    if arguments.next().as_deref() == Some(MKDIR) {
        make_directory(arguments.next_back());
        return;
    }
    if arguments.next().as_deref() == Some(privilege::CHILD) {
        privilege::child(arguments.next().as_deref());
    }
    if let Err(Failure::Failed(reason) | Failure::Skipped(reason)) = init() {
        // The console's log is the only place left where this can be read.
        eprintln!("involflt guest: {reason}");
    }
    nix::unistd::sync();
    let _ = nix::sys::reboot::reboot(nix::sys::reboot::RebootMode::RB_POWER_OFF);
}

/// What `mkdir -p` does. Whoever called it sees whether the directory is there.
fn make_directory(path: Option<String>) {
    if let Some(Err(error)) = path.as_ref().map(fs::create_dir_all) {
        eprintln!("involflt guest: mkdir {path:?}: {error}");
    }
}

fn init() -> Step {
    for (kind, place) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/mnt")] {
        mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>).doing(|| format!("mount {place}"))?;
    }
    let mut channel = Channel::open().doing(|| "open the results channel".into())?;
    let outcome = prepare().and_then(|plan| work(&plan, &mut channel));
    match &outcome {
        Ok(()) => channel.send(&Message::Finished),
        Err(Failure::Failed(reason) | Failure::Skipped(reason)) => {
            channel.send(&Message::Abort { reason: reason.clone() })
        }
    }
    outcome
}

fn work(plan: &Plan, channel: &mut Channel) -> Step {
    if !plan.bench.is_empty() {
        return bench::run(channel, &plan.bench);
    }
    if plan.powercut {
        return powercut::run(channel, plan.intent, plan.bus);
    }
    if let Some(kind) = &plan.reboots {
        return reboots::run(kind, channel);
    }
    find_disks()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").doing(|| "osrelease".into())?;
    channel.send(&Message::Ready { kernel: kernel.trim().into() });
    scenario::run_all(plan, channel);
    Ok(())
}

/// Scenarios load these as they want them.
const ON_DEMAND: [&str; 7] =
    ["null_blk.ko", "loop.ko", "dm_multipath.ko", "dm_round_robin.ko", "raid1.ko", "zonefs.ko", "nvme_loop.ko"];

/// Loads the kernel's own modules.
fn prepare() -> Step<Plan> {
    let plan = fs::read_to_string(PLAN).doing(|| PLAN.into())?;
    let plan: Plan = serde_json::from_str(&plan).doing(|| PLAN.into())?;
    // A task that hangs is to show in the log before the host's patience ends.
    let _ = fs::write("/proc/sys/kernel/hung_task_timeout_secs", "30");
    for name in &plan.modules {
        let parameters = match (name.as_str(), plan.nvme_multipath) {
            ("nvme_core.ko", true) => c"multipath=Y",
            ("nvme_core.ko", false) => c"multipath=N",
            ("scsi_mod.ko", _) if plan.powercut => order::SCAN,
            ("null_blk.ko", _) if !plan.bench.is_empty() => bench::NULL_BLK,
            (name, _) if ON_DEMAND.contains(&name) => continue,
            _ => c"",
        };
        module::load_with(&format!("{MODULES}/{name}"), parameters)?;
    }
    Ok(plan)
}

/// Sees that every disk is there, and makes those of dm.
fn find_disks() -> Step {
    order::put_in_order()?;
    wait_for_disks()?;
    let serials = [
        ("vda", layout::DATA_SERIAL),
        ("vdb", layout::BACKING_SERIAL),
        ("vdc", layout::LIVE_SERIAL),
        ("vdd", layout::LIVE_BACKING_SERIAL),
        ("vde", layout::REPLICAS_SERIAL),
    ];
    for (node, serial) in serials {
        let found = fs::read_to_string(format!("/sys/block/{node}/serial")).doing(|| format!("serial of {node}"))?;
        ensure(found.trim() == serial, || format!("{node} has the serial {found:?}, not {serial}"))?;
    }
    let linear = layout::DISKS.iter().find(|disk| !disk.partitioned).expect("a dm-linear disk");
    dm::linear(layout::LINEAR_NAME, layout::BACKING_NODE, linear.image_offset, linear.size)?;
    dm::linear("linear-fs", linear.node, layout::FS_START, linear.size - layout::FS_START)?;
    let live = layout::LIVE.iter().find(|disk| !disk.partitioned).expect("a dm-linear disk");
    dm::linear(layout::LIVE_LINEAR_NAME, layout::LIVE_BACKING_NODE, live.image_offset, live.size)?;
    for (index, disk) in layout::LIVE.iter().enumerate() {
        let name = format!("replica-{index}");
        dm::linear(&name, layout::REPLICAS_NODE, layout::replica_offset(index), disk.size)?;
    }
    Ok(())
}

/// Disks are probed in the background; 30 seconds is long even under emulation.
fn wait_for_disks() -> Step {
    let disks = layout::DISKS.iter().chain(&layout::LIVE);
    let nodes = disks.filter(|disk| disk.partitioned).map(world::file_system_node);
    let backing = [layout::BACKING_NODE, layout::LIVE_BACKING_NODE, layout::REPLICAS_NODE];
    nodes.chain(backing.map(str::to_owned)).try_for_each(|node| order::wait_until(&node, true))
}
