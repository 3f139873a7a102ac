// SPDX-License-Identifier: GPL-2.0-only
//! What of a disk's writes is kept: extents as long as there is room for them, and dirty bits where there is not.

use crate::engine::{queue, Changes, Queue, Stamp};
use crate::platform::{Lock, Platform, Result};
use core::sync::atomic::{AtomicU64, AtomicU8, Ordering};

/// Capture state, which the ABI calls write-order state. Numbers as in the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Dirty bits.
    Bitmap = 1,
    /// Extents.
    Metadata = 2,
}

/// The extents of one disk, and whether more are noted.
pub struct Capture<P: Platform> {
    state: AtomicU8,
    falls: AtomicU64,
    queue: P::Lock<Queue<P::Words>>,
}

impl<P: Platform> Capture<P> {
    /// Nothing waits. Fails with [`crate::platform::Errno::NOMEM`].
    pub fn new() -> Result<Self> {
        let state = if P::common().high_water() == 0 { State::Bitmap } else { State::Metadata };
        let queue = P::lock(Queue::new(P::words(Queue::<P::Words>::WORDS)?))?;
        Ok(Capture { state: AtomicU8::new(state as u8), falls: AtomicU64::new(0), queue })
    }

    /// The state.
    #[inline]
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            2 => State::Metadata,
            _ => State::Bitmap,
        }
    }

    /// How often there was no more room for extents.
    pub fn falls(&self) -> u64 {
        self.falls.load(Ordering::Relaxed)
    }

    /// Notes that `sectors` (at least 1) from `sector` on have changed. `false`: they must be marked as dirty bits.
    pub fn note(&self, sector: u64, sectors: u64) -> bool {
        if self.state() == State::Bitmap || sectors > queue::MAX_CHANGE || sector >= queue::END - sectors {
            return false;
        }
        let common = P::common();
        let noted = self.queue.with(|queue| {
            queue.extents() < common.high_water() && queue.push(sector, sectors, &common.clock, P::unix_time).is_ok()
        });
        if !noted {
            self.fall();
        }
        noted
    }

    fn fall(&self) {
        if self.state.swap(State::Bitmap as u8, Ordering::Relaxed) != State::Bitmap as u8 {
            self.falls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes extents again where so few wait that there is room for more.
    pub fn rise(&self) {
        if self.state() == State::Bitmap && self.extents() < P::common().low_water() {
            self.state.store(State::Metadata as u8, Ordering::Relaxed);
        }
    }

    /// Moves the oldest node's extents into `changes`, which is empty, and gives its stamp.
    pub fn take(&self, changes: &mut Changes) -> Option<Stamp> {
        self.queue.with(|queue| queue.take(changes, &P::common().clock, P::unix_time))
    }

    /// Extents that wait.
    pub fn extents(&self) -> u64 {
        self.queue.with(|queue| queue.extents())
    }

    /// Bytes in them; what is in two extents counts twice.
    pub fn bytes(&self) -> u64 {
        self.queue.with(|queue| queue.sectors()) << 9
    }

    /// When the first extent that waits came, in 100 ns since the Unix epoch.
    pub fn oldest(&self) -> Option<u64> {
        self.queue.with(|queue| queue.oldest())
    }
}
