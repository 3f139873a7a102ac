// SPDX-License-Identifier: GPL-2.0-only
//! When things were done last, for statistics.

use core::sync::atomic::{AtomicU64, Ordering};

/// A moment in 100 ns since the Unix epoch; 0 where it has not come yet.
#[derive(Debug, Default)]
pub struct Time(AtomicU64);

impl Time {
    /// It came at `now`.
    pub fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// It is as if it had not come. What it was.
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }

    /// When it came last.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Moments of the driver.
#[derive(Debug, Default)]
pub struct Times {
    /// It was loaded.
    pub loaded: Time,
    /// A drainer came.
    pub drainer_came: Time,
    /// The drainer went.
    pub drainer_went: Time,
    /// The agent's service came.
    pub service_came: Time,
    /// The service went.
    pub service_went: Time,
    /// Somebody asked for tags.
    pub tagged: Time,
}

/// Moments of a disk.
#[derive(Debug, Default)]
pub struct DiskTimes {
    /// Memory for it was there.
    pub created: Time,
    /// It was filtered.
    pub started: Time,
    /// An agent asked for that, the first time or again.
    pub asked: Time,
    /// Its changes were forgotten.
    pub cleared: Time,
    /// A block was given.
    pub got: Time,
    /// A block was committed.
    pub committed: Time,
    /// The agent said that it slows down, and has not got a block since.
    pub throttled: Time,
    /// It got one after that.
    pub unthrottled: Time,
    /// The agent began to copy the disk.
    pub resync_started: Time,
    /// It has copied all of it.
    pub resync_ended: Time,
}
