// SPDX-License-Identifier: GPL-2.0-only
//! The scenario `waits`: who waits for a disk's changes is woken, and holds up nobody.

use crate::agent::{Agent, Waiter};
use crate::sys::{Doing, Step, ensure, is_errno, open};
use crate::work::{self, buffer::Buffer};
use guest::layout::DISKS;
use nix::libc;
use nix::poll::PollFlags;
use nix::sys::pthread::pthread_kill;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A wait that nobody ends.
const SECONDS: i32 = 60;
/// A wait that somebody has ended is over long before.
const LONG: Duration = Duration::from_secs(40);

/// On a blk-mq and on a bio-based disk.
pub fn scenario() -> Step<String> {
    let signal = harmless_signal()?;
    for disk in [&DISKS[0], &DISKS[3]] {
        let mut agent = Agent::attach(disk)?;
        agent.drain_all()?;
        changes_wake(&mut agent)?;
        others_wake(&agent, signal)?;
        stop_wakes(agent)?;
    }
    Ok("on a blk-mq and a bio-based disk".into())
}

/// A signal that ends a wait, and nothing else.
pub(super) fn harmless_signal() -> Step<Signal> {
    let interrupted = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &interrupted) }.doing(|| "set a signal handler".into())?;
    Ok(Signal::SIGUSR1)
}

extern "C" fn nothing(_: libc::c_int) {}

type Waiting = JoinHandle<(io::Result<()>, Duration)>;

fn waiting(waiter: Waiter) -> Waiting {
    std::thread::spawn(move || {
        let start = Instant::now();
        (waiter.wait(SECONDS), start.elapsed())
    })
}

/// The thread's wait has ended in time, with this errno or with none.
fn woken(thread: Waiting, errno: Option<i32>, what: &str) -> Step {
    let Ok((answer, time)) = thread.join() else { return Err(format!("{what}: the waiter panicked").into()) };
    let good = match errno {
        None => answer.is_ok(),
        Some(errno) => answer.as_ref().is_err_and(|error| is_errno(error, &[errno])),
    };
    ensure(good && time < LONG, || format!("{what}: {answer:?} after {time:?}"))
}

/// Small writes that do not touch: each is an extent.
fn write(agent: &Agent, extents: u64) -> Step {
    let file = open(agent.disk.node, libc::O_DIRECT)?;
    let buffer = Buffer::stamped(512);
    (0..extents).try_for_each(|index| {
        let offset = work::RELOAD.start + 4096 * index;
        file.write_all_at(buffer.bytes(), offset).doing(|| format!("{}: write at {offset}", agent.disk.name))
    })
}

/// Nothing: the wait times out. A few: it times out and says that there is something. Enough: it ends, and so does a poll.
fn changes_wake(agent: &mut Agent) -> Step {
    let (name, waiter) = (agent.disk.name, agent.waiter()?);
    let nothing = waiter.wait(0);
    ensure(nothing.as_ref().is_err_and(|error| is_errno(error, &[libc::ETIMEDOUT])), || {
        format!("{name}: a wait for nothing: {nothing:?}")
    })?;
    let polled = waiter.poll(0);
    ensure(polled == Ok(PollFlags::empty()), || format!("{name}: a poll of nothing: {polled:?}"))?;
    write(agent, 5)?;
    waiter.wait(1).doing(|| format!("{name}: a wait for a few changes"))?;
    let thread = waiting(agent.waiter()?);
    write(agent, 180)?;
    woken(thread, None, &format!("{name}: a wait for 180 extents"))?;
    let polled = waiter.poll(10_000);
    ensure(polled.is_ok_and(|found| found.contains(PollFlags::POLLIN)), || format!("{name}: a poll: {polled:?}"))?;
    agent.drain_all()
}

/// A wake-up and a signal end a wait, and meanwhile the same disk answers.
fn others_wake(agent: &Agent, signal: Signal) -> Step {
    let (name, waiter) = (agent.disk.name, agent.waiter()?);
    let thread = waiting(agent.waiter()?);
    agent.statistics()?;
    while !thread.is_finished() {
        waiter.wake_all().doing(|| format!("{name}: wake"))?;
        std::thread::sleep(Duration::from_millis(10));
    }
    woken(thread, None, &format!("{name}: a wait that was woken"))?;
    let thread = waiting(agent.waiter()?);
    while !thread.is_finished() {
        pthread_kill(thread.as_pthread_t(), signal).doing(|| format!("{name}: signal"))?;
        std::thread::sleep(Duration::from_millis(10));
    }
    woken(thread, Some(libc::EINTR), &format!("{name}: a wait that was interrupted"))
}

/// Who waits for a disk that is stopped hears of it, and so does who polls it.
fn stop_wakes(agent: Agent) -> Step {
    let (name, waiter) = (agent.disk.name, agent.waiter()?);
    let thread = waiting(agent.waiter()?);
    std::thread::sleep(Duration::from_millis(50));
    agent.detach()?;
    woken(thread, Some(libc::EBUSY), &format!("{name}: a wait for a disk that was stopped"))?;
    let polled = waiter.poll(0);
    ensure(polled.is_ok_and(|found| found.contains(PollFlags::POLLHUP)), || format!("{name}: a poll: {polled:?}"))
}
