// SPDX-License-Identifier: GPL-2.0-only
//! Write-intent mode: where it is refused, and writes that wait for a file whose disk answers nothing.

use super::ctl::{ctl, says};
use super::{replug, suspend};
use crate::agent::{Agent, FILES};
use crate::dm;
use crate::order::poll;
use crate::sys::{Doing, Failure, Step, ensure, is_linux, open};
use crate::work::file_system::{self, BELOW};
use crate::work::{buffer::Buffer, scsi};
use crate::world::joined;
use guest::layout::{Disk, LIVE, MIB};
use nix::libc;
use std::fs;
use std::os::unix::fs::FileExt;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Whether the kernel's NVMe multipath is on.
const MULTIPATH: &str = "/sys/module/nvme_core/parameters/multipath";
/// Writes go on after this where nobody wants the mode any more.
const LATE: Duration = Duration::from_secs(5);
/// A command that waits fails after this.
const COMMAND: Duration = Duration::from_secs(30);
/// So many writes wait at once: more than the block layer begins together.
const MANY: u64 = 100;
/// So often it is tried to have them wait twice: on a busy machine one moment may be enough for two marks.
const TRIALS: u32 = 10;
/// WRITE(10) of a sector.
const WRITE: [u8; 10] = [0x2a, 0, 0, 1, 0x40, 0, 0, 0, 1, 0];
/// How Linux tells that a command failed, and not for what the disk said.
const DID_ERROR: &str = "host status 7";
/// What is begun has come to its wait after this.
const MOMENT: Duration = Duration::from_millis(100);
/// Ticks of a CPU in a second, as the kernel tells them.
const TICKS: u64 = 100;

/// Refusals by name; writes that wait, and go on in either way; a disk in the mode that is taken away.
pub fn scenario() -> Step<String> {
    refused(&LIVE[0], "EOPNOTSUPP")?;
    if !is_linux((5, 10))? {
        return Ok("refused, as this kernel can hold no writes".into());
    }
    file_system::mounted(&LIVE[0], FILES, || refused(&LIVE[0], "EDEADLK"))?;
    file_system::mounted_below(&LIVE[0], FILES, on_another_disk)
}

fn on_another_disk() -> Step<String> {
    refused(&LIVE[0], "EDEADLK")?;
    refused(&LIVE[3], "EOPNOTSUPP")?;
    waits_and_goes_on(&LIVE[1])?;
    many_wait_idly(&LIVE[1])?;
    command_fails(&LIVE[1])?;
    let suspended = outlasts_a_suspend(&LIVE[1])?;
    replug::once(&LIVE[1], || set(&LIVE[1], "1", 0).map(drop))?;
    // A multipath head is bio-based.
    let head = fs::read_to_string(MULTIPATH).is_ok_and(|parameter| parameter.trim() == "Y");
    match head {
        true => refused(&LIVE[2], "EOPNOTSUPP")?,
        false => goes_on(&LIVE[2])?,
    }
    Ok(format!(
        "refused where it cannot be; writes wait; a command fails in the end; {suspended}; a disk is taken away"
    ))
}

fn set(disk: &Disk, value: &str, code: i32) -> Step<serde_json::Value> {
    ctl(&["attr", "set", "WriteIntent", value, "--disk", disk.node], code)
}

fn refused(disk: &'static Disk, errno: &str) -> Step {
    let agent = Agent::attach(disk)?;
    says(disk.name, &set(disk, "1", 1)?, &[errno])?;
    write(disk, MIB)?;
    agent.detach()
}

fn write(disk: &Disk, offset: u64) -> Step {
    let buffer = Buffer::stamped(4096);
    open(disk.node, libc::O_DIRECT)?.write_all_at(buffer.bytes(), offset).doing(|| format!("write to {}", disk.name))
}

fn goes_on(disk: &'static Disk) -> Step {
    let agent = Agent::attach(disk)?;
    set(disk, "1", 0)?;
    write(disk, MIB)?;
    agent.detach()
}

/// The file's disk is suspended: a write to a region without a mark waits until it is resumed, or until some time after somebody
/// ended the mode. A write to a region with one does not.
fn waits_and_goes_on(disk: &'static Disk) -> Step {
    let mut agent = Agent::attach(disk)?;
    set(disk, "1", 0)?;
    write(disk, 40 * MIB)?;
    agent.drain_all()?;
    while_suspended(disk, 50 * MIB, |waits| {
        write(disk, 40 * MIB + 4096)?;
        thread::sleep(LATE + Duration::from_secs(2));
        ensure(!waits.is_finished(), || format!("{}: a write did not wait", disk.name))
    })?;
    let hole = agent.take_hole()?;
    ensure(hole.is_none(), || format!("{}: a write that waited: {hole:?}", disk.name))?;
    says(disk.name, &ctl(&["attr", "get", "WriteIntent", "--disk", disk.node], 0)?, &["\"1\""])?;
    let mut ends = None;
    while_suspended(disk, 60 * MIB, |waits| {
        ends = Some(thread::spawn(|| set(disk, "0", 0)));
        let gone_on = poll(|| waits.is_finished());
        ensure(gone_on, || format!("{}: a write waited though the mode was ended", disk.name))
    })?;
    ends.map_or(Ok(()), |ends| joined(ends.join()).map(drop))?;
    let hole = agent.take_hole()?;
    ensure(hole.as_deref().is_some_and(|hole| hole.contains("did not wait")), || {
        format!("{}: a write that did not wait: {hole:?}", disk.name)
    })?;
    agent.drain_all()?;
    agent.detach()
}

/// Many writes wait for a second mark, with a file's disk that answers until the first is there: they are submitted once more, and
/// must wait again. The CPUs have nothing to do meanwhile, and all writes come to their end.
fn many_wait_idly(disk: &'static Disk) -> Step {
    let mut trials = (0..TRIALS).map(|_| busy_while_many_wait(disk));
    let busy = trials.find_map(Step::transpose).transpose()?;
    let Some(busy) = busy else {
        return Err(format!("{}: in {TRIALS} trials there was no second mark to wait for", disk.name).into());
    };
    ensure(busy < TICKS / 2, || format!("{}: {busy} of {TICKS} ticks busy while writes wait", disk.name))
}

/// Ticks in which a CPU had something to do while writes waited for their second mark. `None`: the file's disk answered for so
/// long that it came along with the first.
fn busy_while_many_wait(disk: &'static Disk) -> Step<Option<u64>> {
    let agent = Agent::attach(disk)?;
    set(disk, "1", 0)?;
    let (mut busy, mut waits) = (Ok(0), 0);
    while_suspended(disk, 45 * MIB, |first| {
        // Its mark is on its way, alone.
        thread::sleep(MOMENT);
        let others: Vec<_> =
            (0..MANY).map(|index| thread::spawn(move || write(disk, (1 + index % 32) * MIB + index * 8192))).collect();
        thread::sleep(MOMENT);
        let waiting = || others.iter().filter(|write| !write.is_finished()).count() as u64;
        let before = waiting();
        busy = until_marked(first).and_then(|()| busy_in_a_second());
        waits = waiting();
        dm::resume(BELOW)?;
        others.into_iter().try_for_each(|write| joined(write.join()))?;
        ensure(before == MANY && [0, MANY].contains(&waits), || {
            format!("{}: {before} of {MANY} writes waited, and {waits} behind the first mark", disk.name)
        })
    })?;
    let busy = busy?;
    agent.detach()?;
    Ok((waits == MANY).then_some(busy))
}

/// A command waits too, and fails: its tag, and whatever freezes the queue, would wait with it. When the file has been written it
/// does not.
fn command_fails(disk: &'static Disk) -> Step {
    let agent = Agent::attach(disk)?;
    set(disk, "1", 0)?;
    let file = open(disk.node, 0)?;
    let send = || scsi::send(&file, &WRITE, &mut [0x5a; 512]);
    dm::suspend(BELOW)?;
    let began = Instant::now();
    let (failed, waited) = (send(), began.elapsed());
    dm::resume(BELOW)?;
    ensure(matches!(&failed, Err(Failure::Failed(text)) if text.contains(DID_ERROR)), || {
        format!("{}: a command that waited for {waited:?}: {failed:?}", disk.name)
    })?;
    ensure(waited >= COMMAND, || format!("{}: a command failed after {waited:?}", disk.name))?;
    set(disk, "0", 0)?;
    let status = send()?;
    ensure(status == 0, || format!("{}: a command: status {status}", disk.name))?;
    agent.detach()
}

/// The machine is suspended while one write after the other wants a mark; the mode stays, and nothing is missed.
fn outlasts_a_suspend(disk: &'static Disk) -> Step<String> {
    if let Some(reason) = suspend::why_not()? {
        return Ok(format!("not suspended: {reason}"));
    }
    let mut agent = Agent::attach(disk)?;
    set(disk, "1", 0)?;
    let mut regions = (1..96).cycle();
    let slept = suspend::during(|sleep| {
        sleep.outlast(|| {
            thread::sleep(MOMENT / 5);
            write(disk, regions.next().unwrap_or(1) * MIB)
        })
    })?;
    says(disk.name, &ctl(&["attr", "get", "WriteIntent", "--disk", disk.node], 0)?, &["\"1\""])?;
    let hole = agent.take_hole()?;
    ensure(hole.is_none(), || format!("{}: after a suspend: {hole:?}", disk.name))?;
    agent.drain_all()?;
    agent.detach()?;
    Ok(format!("suspended for {slept} s"))
}

/// The suspended disk answers for moments, each longer than the one before, until the write has gone on.
fn until_marked(write: &JoinHandle<Step>) -> Step {
    for tries in 0..20 {
        if write.is_finished() {
            return Ok(());
        }
        dm::resume(BELOW)?;
        thread::sleep(MOMENT * tries * tries / 400);
        dm::suspend(BELOW)?;
        thread::sleep(MOMENT);
    }
    Err("a write waited though the file's disk answered".to_string().into())
}

fn busy_in_a_second() -> Step<u64> {
    let before = busy_ticks()?;
    thread::sleep(Duration::from_secs(1));
    Ok(busy_ticks()?.saturating_sub(before))
}

/// Ticks in which a CPU had something to do.
fn busy_ticks() -> Step<u64> {
    const STAT: &str = "/proc/stat";
    let stat = fs::read_to_string(STAT).doing(|| STAT.into())?;
    let ticks: Vec<u64> =
        stat.lines().next().unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
    match ticks[..] {
        // Idle, and idle for want of a disk, are the fourth and fifth.
        [user, nice, system, _, _, irq, softirq, ..] => Ok(user + nice + system + irq + softirq),
        _ => Err(format!("{STAT}: {stat:?}").into()),
    }
}

/// Does `work` with what writes at `offset`, while the file's disk is suspended.
fn while_suspended(disk: &'static Disk, offset: u64, work: impl FnOnce(&JoinHandle<Step>) -> Step) -> Step {
    dm::suspend(BELOW)?;
    let writes = thread::spawn(move || write(disk, offset));
    let worked = work(&writes);
    dm::resume(BELOW)?;
    worked.and(joined(writes.join()))
}
