// SPDX-License-Identifier: GPL-2.0-only
//! The machine is suspended to memory (ACPI S3) while disks are written to, and woken by its clock.

use crate::order::wait_for;
use crate::sys::{Doing, Failure, Step, ensure, is_linux, set};
use crate::work::{self, plain};
use crate::world::{World, joined};
use guest::layout::{DISKS, Disk};
use nix::libc;
use nix::time::{ClockId, clock_gettime};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What is done to the machine as soon as it is written here.
pub(super) const STATE: &str = "/sys/power/state";
/// Which state `mem` is: `deep` is the one in which nothing but memory has power.
const DEPTH: &str = "/sys/power/mem_sleep";
const ALARM: &str = "/sys/class/rtc/rtc0/wakealarm";

/// What was in flight is seen, and what is written afterwards.
pub fn suspend(world: &mut World) -> Step<String> {
    if let Some(reason) = why_not()? {
        return Err(Failure::Skipped(reason));
    }
    world.attach_all()?;
    let slept = during(|sleep| {
        let write = |disk: &Disk| plain::scattered(disk.node, libc::O_DIRECT, &work::OPEN, 20).map(drop);
        world.on_disks(&DISKS, |disk| sleep.outlast(|| write(disk)).map(|()| String::new())).map(drop)
    })?;
    Ok(format!("{slept} s, while all disks were written to"))
}

/// Why the machine cannot be suspended, if it cannot.
pub(super) fn why_not() -> Step<Option<String>> {
    if !fs::read_to_string(DEPTH).unwrap_or_default().contains("deep") {
        return Ok(Some(format!("{DEPTH} has no deep")));
    }
    let comes_back = is_linux((6, 1))?;
    Ok((!comes_back).then(|| "QEMU's NVMe disk does not come back to such a kernel, filtered or not".into()))
}

/// From before the machine is suspended until it is awake again.
#[derive(Default)]
pub(super) struct Sleep {
    begun: AtomicBool,
    awake: AtomicBool,
}

impl Sleep {
    /// Writes again and again meanwhile, and once more.
    pub(super) fn outlast(&self, mut write: impl FnMut() -> Step) -> Step {
        while !self.awake.load(Ordering::Relaxed) {
            write()?;
            self.begun.store(true, Ordering::Relaxed);
        }
        write()
    }
}

/// Suspends the machine when `work` has begun to write, and gives the seconds for which it was.
pub(super) fn during(work: impl FnOnce(&Sleep) -> Step) -> Step<u64> {
    let sleep = &Sleep::default();
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let begun = wait_for("the first writes", || sleep.begun.load(Ordering::Relaxed));
            let slept = begun.and_then(|()| suspended_by_itself());
            sleep.awake.store(true, Ordering::Relaxed);
            slept
        });
        let worked = work(sleep);
        joined(sleeper.join()).and_then(|slept| worked.map(|()| slept))
    })
}

/// Suspends the machine, and gives the seconds for which it was.
fn suspended_by_itself() -> Step<u64> {
    set(DEPTH, "deep")?;
    set(ALARM, "0")?;
    set(ALARM, "+3")?;
    let before = suspended()?;
    set(STATE, "mem")?;
    let slept = suspended()?.saturating_sub(before).as_secs();
    ensure(slept > 0, || "the machine was not suspended".into())?;
    Ok(slept)
}

/// For how long the machine was suspended since it started: the one clock goes on meanwhile, the other stands.
fn suspended() -> Step<Duration> {
    let now = |clock| clock_gettime(clock).map(Duration::from).doing(|| "ask for the time".into());
    Ok(now(ClockId::CLOCK_BOOTTIME)?.saturating_sub(now(ClockId::CLOCK_MONOTONIC)?))
}
