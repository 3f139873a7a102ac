// SPDX-License-Identifier: GPL-2.0-only
//! How long a consistency point may stand, each a tunable of the ABI.

use crate::abi::{barrier, freeze, tag_info};
use core::sync::atomic::{AtomicU64, Ordering};

/// Longest times, in milliseconds.
#[derive(Debug)]
pub struct Timeouts {
    /// Of a barrier: `VacpIObarrierTimeout`.
    pub barrier: AtomicU64,
    /// Of frozen file systems: `FsFreezeTimeout`.
    pub freeze: AtomicU64,
    /// Of tags that wait to be committed: `VacpAppTagCommitTimeout`.
    pub tags: AtomicU64,
}

impl Timeouts {
    /// Longest barrier that can be set: after 30 seconds the kernel begins to complain of who waits for a disk.
    pub const MAX_BARRIER: u64 = 10_000;
    /// The same of frozen file systems, and of tags: an hour.
    pub const MAX: u64 = 3_600_000;

    /// The longest barrier.
    pub fn barrier(&self) -> u32 {
        self.barrier.load(Ordering::Relaxed) as u32
    }

    /// The longest time that file systems are frozen.
    pub fn freeze(&self) -> u32 {
        self.freeze.load(Ordering::Relaxed) as u32
    }

    /// The longest time that tags wait.
    pub fn tags(&self) -> u32 {
        self.tags.load(Ordering::Relaxed) as u32
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let new = |milliseconds: u32| AtomicU64::new(milliseconds.into());
        Timeouts {
            barrier: new(barrier::MAX_TIMEOUT),
            freeze: new(freeze::MAX_TIMEOUT),
            tags: new(tag_info::MAX_TIMEOUT),
        }
    }
}
