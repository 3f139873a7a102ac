// SPDX-License-Identifier: GPL-2.0-only
//! Write-intent mode: before the first write to a region of the disk, the bitmap file says on its own disk that there may be
//! one. What is written to is then known after a power cut.

use crate::engine::Bitmap;
use crate::persist::Marker;
use crate::platform::{Platform, Result};
use crate::sync::{fence, AtomicU8, Ordering};
use core::sync::atomic::AtomicBool;

/// Bits for which a header of the bitmap file has room.
pub const MAX_REGIONS: u64 = 28_672;
/// log2 of the sectors of the smallest region: 1 MiB.
const MIN_SHIFT: u32 = 11;

/// How far the mode has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The file says no regions.
    Off = 0,
    /// It says none yet, and it is noted which are written to.
    Watching = 1,
    /// It says every region that may have changed.
    On = 2,
    /// It is to say no regions any longer, and no write may begin before that.
    Leaving = 3,
    /// It is to say none, but writes wait for that no more: nobody wants the mode, or it has not begun.
    Late = 4,
    /// It says none yet, and each write waits: nothing depends on a mark whose own write waits for one.
    Trying = 5,
}

/// The regions of a disk.
pub struct Intent<P: Platform> {
    phase: AtomicU8,
    unwanted: AtomicBool,
    sectors: u64,
    shift: u32,
    /// Those that somebody was about to write to since somebody looked.
    pub(crate) touched: Bitmap<P::Words>,
    /// Those that a write waits for.
    pub(crate) wanted: Bitmap<P::Words>,
    /// Those that the file says.
    pub(crate) marked: Bitmap<P::Words>,
    /// What writes the file in this mode. Whoever has it never waits for a write to this disk.
    pub(crate) marker: P::Mutex<Option<Marker<P>>>,
}

impl<P: Platform> Intent<P> {
    /// The mode is off. Fails with [`crate::platform::Errno::NOMEM`].
    pub fn new(sectors: u64) -> Result<Self> {
        let mut shift = MIN_SHIFT;
        while sectors.div_ceil(1 << shift) > MAX_REGIONS {
            shift += 1;
        }
        let bitmap = || Bitmap::empty::<P>(sectors.div_ceil(1 << shift));
        Ok(Intent {
            phase: AtomicU8::new(Phase::Off as u8),
            unwanted: AtomicBool::new(false),
            sectors,
            shift,
            touched: bitmap()?,
            wanted: bitmap()?,
            marked: bitmap()?,
            marker: P::mutex(None)?,
        })
    }

    /// log2 of the sectors of a region.
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// Number of regions.
    pub fn regions(&self) -> u64 {
        self.marked.blocks()
    }

    /// How many of them the file says.
    pub fn marks(&self) -> u64 {
        self.marked.dirty()
    }

    /// How far the mode has come.
    #[inline]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            1 => Phase::Watching,
            2 => Phase::On,
            3 => Phase::Leaving,
            4 => Phase::Late,
            5 => Phase::Trying,
            _ => Phase::Off,
        }
    }

    /// Whether a write to `sectors` from `sector` on must wait until the file's disk has its mark. One past the end of the
    /// disk waits until the mode is off.
    #[inline]
    pub fn must_wait(&self, sector: u64, sectors: u64) -> bool {
        self.phase() != Phase::Off && self.is_held(sector, sectors)
    }

    fn is_held(&self, sector: u64, sectors: u64) -> bool {
        let end = sector.saturating_add(sectors);
        if end > self.sectors {
            self.leave();
        }
        let (first, end) = (sector >> self.shift, end.min(self.sectors).div_ceil(1 << self.shift));
        self.touched.set(first, end);
        // Whoever takes a mark back, or turns the mode on, looks here behind that: it sees the touch, or this sees what it did.
        fence(Ordering::SeqCst);
        match self.phase() {
            Phase::Off | Phase::Watching | Phase::Late => false,
            Phase::On if self.marked.has(first, end) => false,
            Phase::On | Phase::Trying | Phase::Leaving => {
                self.wanted.set(first, end);
                true
            }
        }
    }

    /// Begins to note which regions are written to. What is in flight is not noted.
    pub(crate) fn watch(&self) {
        [&self.touched, &self.wanted, &self.marked].into_iter().for_each(Bitmap::clear_all);
        self.set(Phase::Watching);
    }

    /// Writes wait from here on; the regions that were written to are marked.
    pub(crate) fn begin(&self) {
        self.set(Phase::Trying);
        fence(Ordering::SeqCst);
        (0..self.words()).for_each(|word| self.marked.set_word(word, self.touched.word(word)));
    }

    /// From here on the file may say regions, and writes to those that are marked go on. `false`: writes have waited too long, or
    /// the mode must end.
    pub(crate) fn trust(&self) -> bool {
        self.change(Phase::Trying, Phase::On)
    }

    /// A change cannot be tracked, or a mark not written: the file must not be believed any longer.
    pub(crate) fn leave(&self) {
        let _ = self.change(Phase::On, Phase::Leaving) || self.change(Phase::Trying, Phase::Leaving);
    }

    /// An administrator wants the mode, or wants it no longer, even if that cannot be written to the file.
    pub fn is_wanted(&self, wanted: bool) {
        self.unwanted.store(!wanted, Ordering::SeqCst);
    }

    /// Writes have waited too long: if that is for the trial, they go on.
    pub(crate) fn give_up_trying(&self) {
        self.change(Phase::Trying, Phase::Late);
    }

    /// Writes have waited too long. Whether they go on, though the file may still say regions: nobody wants the mode.
    pub(crate) fn give_up(&self) -> bool {
        self.unwanted.load(Ordering::SeqCst)
            && (self.change(Phase::On, Phase::Late) || self.change(Phase::Leaving, Phase::Late))
    }

    /// The file says no regions.
    pub(crate) fn end(&self) {
        self.set(Phase::Off);
    }

    /// Words of each bitmap.
    pub(crate) fn words(&self) -> u64 {
        self.regions().div_ceil(64)
    }

    /// Takes the marks `bits` of a word back, but of regions that somebody is about to write to.
    pub(crate) fn unmark(&self, word: u64, bits: u64) {
        self.marked.clear_word(word, bits);
        fence(Ordering::SeqCst);
        self.marked.set_word(word, bits & self.touched.word(word));
    }

    fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    fn change(&self, from: Phase, to: Phase) -> bool {
        self.phase.compare_exchange(from as u8, to as u8, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}
