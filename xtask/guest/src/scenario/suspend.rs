// SPDX-License-Identifier: GPL-2.0-only
//! The machine is suspended to memory (ACPI S3) while disks are written to, and woken by its clock.

use crate::order::wait_for;
use crate::sys::{Doing, Failure, Step, ensure, is_linux};
use crate::work::{self, plain};
use crate::world::World;
use guest::layout::DISKS;
use nix::libc;
use nix::time::{ClockId, clock_gettime};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const STATE: &str = "/sys/power/state";
/// Which state `mem` is: `deep` is the one in which nothing but memory has power.
const DEPTH: &str = "/sys/power/mem_sleep";
const ALARM: &str = "/sys/class/rtc/rtc0/wakealarm";

/// What was in flight is seen, and what is written afterwards.
pub fn suspend(world: &mut World) -> Step<String> {
    if !fs::read_to_string(DEPTH).unwrap_or_default().contains("deep") {
        return Err(Failure::Skipped(format!("{DEPTH} has no deep")));
    }
    if !is_linux((6, 1))? {
        return Err(Failure::Skipped("QEMU's NVMe disk does not come back to such a kernel, filtered or not".into()));
    }
    world.attach_all()?;
    let (begun, awake) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let slept = wait_for("the first writes", || begun.load(Ordering::Relaxed)).and_then(|()| sleep());
            awake.store(true, Ordering::Relaxed);
            slept
        });
        let written = world.on_disks(&DISKS, |disk| {
            let write = || plain::scattered(disk.node, libc::O_DIRECT, &work::OPEN, 20);
            while !awake.load(Ordering::Relaxed) {
                write()?;
                begun.store(true, Ordering::Relaxed);
            }
            write()
        });
        let slept = sleeper.join().map_err(|_| "the thread that suspends panicked".to_string())??;
        written.map(|_| format!("{slept} s, while all disks were written to"))
    })
}

/// Suspends the machine, and gives the seconds for which it was.
fn sleep() -> Step<u64> {
    let write = |file: &str, text: &str| fs::write(file, text).doing(|| format!("{file}: {text}"));
    write(DEPTH, "deep")?;
    write(ALARM, "0")?;
    write(ALARM, "+3")?;
    let before = suspended()?;
    write(STATE, "mem")?;
    let slept = suspended()?.saturating_sub(before).as_secs();
    ensure(slept > 0, || "the machine was not suspended".into())?;
    Ok(slept)
}

/// For how long the machine was suspended since it started: the one clock goes on meanwhile, the other stands.
fn suspended() -> Step<Duration> {
    let now = |clock| clock_gettime(clock).map(Duration::from).doing(|| "ask for the time".into());
    Ok(now(ClockId::CLOCK_BOOTTIME)?.saturating_sub(now(ClockId::CLOCK_MONOTONIC)?))
}
