// SPDX-License-Identifier: GPL-2.0-only
//! When a disk's capture state changed, and why it fell.

use crate::engine::{State, Time};
use core::sync::atomic::{AtomicU64, Ordering};

/// Why a state fell, by the ABI's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Why {
    /// The agent's service went.
    ServiceWent = 1,
    /// There is no room for extents.
    Bits = 2,
    /// The agent has switched data off.
    DataOff = 5,
    /// There is no room for data.
    NoRoom = 6,
}

/// Changes of one disk's capture state.
#[derive(Debug, Default)]
pub struct Turns {
    /// When the state changed last.
    pub changed: Time,
    /// When it fell last.
    pub fell: Time,
    before: AtomicU64,
    fell_to: AtomicU64,
    why: AtomicU64,
    seconds: AtomicU64,
    asked: AtomicU64,
}

impl Turns {
    /// It has changed `now`, in 100 ns since the Unix epoch; where it fell, `why` says why.
    pub fn turned(&self, from: State, to: State, why: Why, now: u64) {
        let since = self.changed.get();
        self.changed.set(now);
        self.before.store(from as u64, Ordering::Relaxed);
        if to < from {
            self.fell.set(now);
            self.fell_to.store(to as u64, Ordering::Relaxed);
            self.why.store(why as u64, Ordering::Relaxed);
            self.seconds.store(now.saturating_sub(since) / 10_000_000, Ordering::Relaxed);
            let is_asked = matches!(why, Why::ServiceWent | Why::DataOff);
            self.asked.fetch_add(is_asked.into(), Ordering::Relaxed);
        }
    }

    /// The state before the one of now, by the ABI's number; 0 where there was none.
    pub fn before(&self) -> u64 {
        self.before.load(Ordering::Relaxed)
    }

    /// The state that it fell to last, by the ABI's number; 0 where it never fell.
    pub fn fell_to(&self) -> u64 {
        self.fell_to.load(Ordering::Relaxed)
    }

    /// Why that was, by the ABI's number.
    pub fn why(&self) -> u64 {
        self.why.load(Ordering::Relaxed)
    }

    /// How long the state before that fall had lasted, in seconds.
    pub fn seconds(&self) -> u64 {
        self.seconds.load(Ordering::Relaxed)
    }

    /// How often it fell because nobody wanted data.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}
