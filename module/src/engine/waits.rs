// SPDX-License-Identifier: GPL-2.0-only
//! Who waits for a disk's changes, and is woken once there are enough.

use crate::platform::{Event, Platform, Result, Waited};
use core::sync::atomic::{AtomicBool, Ordering};

/// Waiters of one disk. A write looks at one flag.
pub struct Waits<P: Platform> {
    /// Somebody waits whom nobody has woken yet.
    armed: AtomicBool,
    event: P::Event,
}

impl<P: Platform> Waits<P> {
    /// Nobody waits. Fails with [`crate::platform::Errno::NOMEM`].
    pub fn new() -> Result<Self> {
        Ok(Waits { armed: AtomicBool::new(false), event: P::event()? })
    }

    /// From now on a change wakes, where there are enough of them then. Whoever waits, or polls, looks afterwards whether
    /// there are enough already: a change takes a lock that looking takes too, so one of the two sees the other.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Whether somebody wants to know that there are enough changes.
    #[inline]
    pub fn armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// There are enough changes: wakes those who wait, once.
    #[cold]
    pub fn enough(&self) {
        if self.armed.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Wakes whoever waits or polls.
    pub fn wake(&self) {
        self.event.happen();
        P::wake_pollers();
    }

    /// Waits until `is_enough`, or somebody wakes, or `milliseconds` are over, or the thread has a signal.
    pub fn wait(&self, milliseconds: u32, is_enough: impl FnOnce() -> bool) -> Waited {
        let seen = self.event.count();
        self.arm();
        if is_enough() {
            return Waited::Happened;
        }
        self.event.wait(seen, milliseconds)
    }
}
