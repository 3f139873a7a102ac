// SPDX-License-Identifier: GPL-2.0-only
//! The scenarios, one function each, and the order they run in.

mod bookmarks;
mod c_agent;
mod churn;
mod ctl;
mod data;
mod failures;
mod hibernate;
mod keep;
mod layers;
mod lifecycle;
mod medium;
mod memory_pressure;
mod nvme;
mod nvme_paths;
mod passthrough;
mod replicate;
mod replug;
mod requests;
mod resize;
mod scale;
mod states;
mod suspend;
mod tags;
mod telemetry;
mod tracking;
mod waits;
mod write_intent;
mod writes;
mod zone_append;
mod zones;

use crate::channel::Channel;
use crate::sys::{Doing, Failure, Step};
use crate::work::{self, buffer::Buffer};
use crate::world::World;
use crate::{module, privilege};
use guest::layout::DISKS;
use guest::protocol::{INVOLFLT, Message, Outcome, Plan, SCENARIOS};
use nix::libc;
use std::os::unix::fs::FileExt;
use std::time::Instant;

type Function = fn(&mut World) -> Step<String>;

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "load" => lifecycle::load,
        "privilege" => |_| privilege::scenario(),
        "bad-requests" => |_| requests::scenario(),
        "reload" => lifecycle::reload,
        "replug" => |_| replug::scenario(),
        "keep" => |_| keep::scenario(),
        "ctl" => |_| ctl::scenario(),
        "write-intent" => |_| write_intent::scenario(),
        "hibernate" => |_| hibernate::scenario(),
        "c-agent" => |_| c_agent::scenario(),
        "attach-storm" => lifecycle::attach_storm,
        "drain-protocol" => tracking::drain_protocol,
        "statistics" => tracking::statistics,
        "tags" => tags::scenario,
        "telemetry" => |_| telemetry::scenario(),
        "churn" => churn::scenario,
        "waits" => |_| waits::scenario(),
        "buffered-plugged" => writes::buffered_plugged,
        "direct" => writes::direct,
        "synchronous" => writes::synchronous,
        "io-uring" => writes::io_uring,
        "libaio" => writes::libaio,
        "discard" => writes::discard,
        "write-zeroes" => writes::write_zeroes,
        "many-and-large" => scale::many_and_large,
        "resize" => resize::resize,
        "passthrough" => passthrough::passthrough,
        "nvme-passthrough" => nvme::scenario,
        "suspend" => suspend::suspend,
        "two-disks" => writes::two_disks,
        "bitmap" => states::bitmap,
        "up-and-down" => states::up_and_down,
        "data" => data::scenario,
        "memory-pressure" => memory_pressure::scenario,
        "failures" => |_| failures::scenario(),
        "zones" => |_| zones::scenario(),
        "zone-append" => |_| zone_append::scenario(),
        "medium" => |_| medium::scenario(),
        "layers" => |_| layers::scenario(),
        "nvme-paths" => |_| nvme_paths::scenario(),
        "bookmarks" => |_| bookmarks::scenario(),
        "replicate" => |_| replicate::scenario(),
        "file-systems" => writes::file_systems,
        _ => return None,
    })
}

/// Runs what the plan names, in the order of [`SCENARIOS`], then hands over what was drained.
pub fn run_all(plan: &Plan, channel: &mut Channel) {
    let mut world = World::default();
    for scenario in SCENARIOS.iter().filter(|scenario| plan.scenarios.iter().any(|name| name == scenario.name)) {
        channel.send(&Message::Begin { scenario: scenario.name.into() });
        let (start, result) = (Instant::now(), run(scenario.name, &mut world));
        let (outcome, detail) = split(result);
        let millis = start.elapsed().as_millis() as u64;
        channel.send(&Message::End { scenario: scenario.name.into(), outcome, detail, millis });
        if !matches!(module::is_loaded("involflt"), Ok(true)) {
            // The one line of this scenario says why; the others could only repeat it.
            break;
        }
    }
    let (outcome, detail) = split(hand_over(&mut world, channel));
    if outcome == Outcome::Failed {
        channel.send(&Message::Abort { reason: format!("the last drain: {detail}") });
    }
}

/// Every scenario needs the module; the ones that write need every disk attached, which the ones before them undo.
fn run(name: &str, world: &mut World) -> Step<String> {
    module::load(INVOLFLT)?;
    let work = function(name).ok_or_else(|| format!("no function for the scenario {name}"))?;
    let detail = work(world)?;
    if !world.agents.is_empty() {
        world.drain_all()?;
    }
    Ok(detail)
}

fn split(result: Step<String>) -> (Outcome, String) {
    match result {
        Ok(detail) => (Outcome::Passed, detail),
        Err(Failure::Failed(detail)) => (Outcome::Failed, detail),
        Err(Failure::Skipped(detail)) => (Outcome::Skipped, detail),
    }
}

/// Writes what the judge's own test needs, drains to the end, tells the host, and leaves with the module unloaded.
fn hand_over(world: &mut World, channel: &mut Channel) -> Step<String> {
    if world.agents.is_empty() {
        return Ok(String::new());
    }
    for disk in &DISKS {
        let file = crate::sys::open(disk.node, libc::O_DIRECT)?;
        work::touch_reload(disk.node)?;
        let buffer = Buffer::stamped(4096);
        file.write_all_at(buffer.bytes(), work::CONTROL.start).doing(|| disk.name.into())?;
        channel.send(&Message::Control { disk: disk.name.into(), offset: work::CONTROL.start, length: 4096 });
    }
    world.drain_all()?;
    for agent in std::mem::take(&mut world.agents) {
        let agent = agent.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        channel.drained(agent.disk.name, &agent.drained);
        agent.detach()?;
    }
    module::unload(c"involflt").doing(|| "unload at the end".into())?;
    Ok(String::new())
}
