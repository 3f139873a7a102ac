// SPDX-License-Identifier: GPL-2.0-only
//! The scenario `churn`: a disk that is written to and not drained, whose tags fail, is news; so is nothing else.

use super::states::{DEFAULT_LIMITS, set_limits};
use super::waits::harmless_signal;
use crate::agent::{DEVICE, persistent_name};
use crate::sys::{Doing, Fields, Step, ensure, ioctl, ioctl_word, is_errno, open};
use crate::work::{self, buffer::Buffer};
use crate::world::{World, joined};
use guest::layout::DISKS;
use involflt::abi::{GUID_BYTES, barrier, churn_all as all, churn_disk, churn_notify as notify, request};
use nix::libc;
use nix::sys::pthread::pthread_kill;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// More than the 8 MiB that may wait.
const WRITTEN: u64 = 12 * MIB;
/// Disks that an answer has room for: those of other scenarios too, which are told of if anything was told by then.
const ROOM: usize = 64;
const HEADER: usize = all::HEADER as usize;
const ANSWER: usize = notify::HEADER as usize + GUID_BYTES;
const BYTES: usize = ANSWER + HEADER + ROOM * churn_disk::BYTES;

/// What the driver tells of all disks and of the one that is asked for.
struct News(Vec<u8>);

impl News {
    fn all(&self, field: u64) -> u64 {
        self.0.u64_at(ANSWER as u64 + field)
    }

    fn disk(&self, field: u64) -> u64 {
        self.all(all::HEADER + field)
    }

    /// How often a disk is told of.
    fn times(&self, name: &str) -> usize {
        let rows = self.0[ANSWER + HEADER..].chunks(churn_disk::BYTES).take(self.all(all::DISKS) as u32 as usize);
        rows.filter(|row| row.starts_with(name.as_bytes()) && row[name.len()] == 0).count()
    }
}

/// Waits for news of the first disk.
fn wait(acknowledged: u64) -> Step<io::Result<News>> {
    let mut argument = vec![0xa5; BYTES];
    argument.put(0, &[0; ANSWER]);
    argument.put(notify::FLAGS, &notify::FLAG_ACKNOWLEDGE.to_le_bytes());
    argument.put(notify::TRANSACTION, &acknowledged.to_le_bytes());
    argument.put(notify::ROOM, &(ROOM as u32).to_le_bytes());
    argument.put(notify::DISKS, &1_u32.to_le_bytes());
    argument.put(notify::HEADER, b"dev_vda");
    Ok(ioctl(&open(DEVICE, 0)?, request::GET_CXSTATS_NOTIFY, &mut argument).map(|_| News(argument)))
}

/// Waits for news, while something is done to the waiter or else every tenth of a second.
fn wait_while(
    acknowledged: u64,
    mut work: impl FnMut(&JoinHandle<Step<io::Result<News>>>) -> Step,
) -> Step<io::Result<News>> {
    let waiting = std::thread::spawn(move || wait(acknowledged));
    let start = Instant::now();
    while !waiting.is_finished() {
        ensure(start.elapsed() < Duration::from_secs(60), || "there is no news in a minute".into())?;
        std::thread::sleep(Duration::from_millis(100));
        work(&waiting)?;
    }
    joined(waiting.join())
}

/// A barrier is refused as long as a disk has dirty bits: that is a tag that fails.
fn fail_tag(control: &File) -> Step {
    let mut argument = [0; barrier::CREATE_BYTES];
    argument.put(barrier::GUID, &[b'0'; 36]);
    argument.put(barrier::TIMEOUT, &100_u32.to_le_bytes());
    let answer = ioctl(control, request::CREATE_BARRIER_ALL, &mut argument);
    let good = answer.as_ref().is_err_and(|error| is_errno(error, &[libc::EPERM]));
    ensure(good, || format!("a barrier over dirty bits: {answer:?}"))
}

/// The first disk falls behind.
pub fn scenario(world: &mut World) -> Step<String> {
    world.attach_all()?;
    world.drain_all()?;
    let control = open(DEVICE, 0)?;
    ioctl(&control, request::PROCESS_START_NOTIFY, &mut [0; 4]).doing(|| "become the drainer".into())?;
    set_limits((0, 0))?;
    let file = open(DISKS[0].node, libc::O_DIRECT)?;
    for mib in 0..WRITTEN / MIB {
        let offset = work::OPEN.start + mib * MIB;
        file.write_all_at(Buffer::stamped(MIB as usize).bytes(), offset).doing(|| format!("write at {offset}"))?;
    }
    let news = wait_while(0, |_| fail_tag(&control))?.doing(|| "wait for news".into())?;
    let (pending, failures) = (news.disk(churn_disk::PENDING), news.all(all::TAG_FAILURES));
    ensure(pending >= WRITTEN && failures >= 3, || format!("{pending} bytes wait, {failures} tags failed"))?;
    let seconds: u64 = (0..11).map(|bucket| news.disk(churn_disk::CHURN + 8 * bucket)).sum();
    let (started, ended) = (news.disk(churn_disk::STARTED), news.disk(churn_disk::ENDED));
    ensure(seconds > 0 && started > 0 && ended == 0, || format!("{seconds} s from {started} to {ended}"))?;
    for disk in &DISKS {
        let times = news.times(&persistent_name(disk.node));
        ensure(times == 1, || format!("{} was told of {times} times", disk.name))?;
    }
    let transaction = news.all(all::TRANSACTION);
    ensure(transaction != 0, || "what was told cannot be acknowledged".into())?;

    set_limits(DEFAULT_LIMITS)?;
    world.drain_all()?;
    let wake =
        |_: &_| ioctl_word(&control, request::WAKEUP_GET_CXSTATS_NOTIFY_THREAD, 0).doing(|| "wake".into()).map(drop);
    let later = wait_while(transaction, wake)?.doing(|| "wait to be woken".into())?;
    let (transaction, started) = (later.all(all::TRANSACTION), later.disk(churn_disk::STARTED));
    ensure(transaction == 0 && started == 0, || format!("after it was acknowledged: {transaction}, {started}"))?;
    let signal = harmless_signal()?;
    let signalled = |waiter: &JoinHandle<_>| pthread_kill(waiter.as_pthread_t(), signal).doing(|| "signal".into());
    let interrupted = wait_while(0, signalled)?.err();
    let good = interrupted.as_ref().is_some_and(|error| is_errno(error, &[libc::EINTR]));
    ensure(good, || format!("a wait with a signal: {interrupted:?}"))?;
    Ok(format!("{failures} tags failed while {pending} bytes waited, told after {seconds} s"))
}
