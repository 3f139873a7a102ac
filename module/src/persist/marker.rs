// SPDX-License-Identifier: GPL-2.0-only
//! Marks of regions in the headers of a bitmap file, written past its file system, while its disk is in write-intent mode.

use super::proven::Proven;
use super::{BitmapFile, Header, BLOCK};
use crate::engine::{Bitmap, Hole, Intent, Phase, Tracker};
use crate::platform::{Mutex, Platform, Result};

/// Has a disk's file as long as the mode is on.
pub struct Marker<P: Platform> {
    file: BitmapFile<P>,
    pinned: P::Pinned,
    there: P::Boxed<[u8; BLOCK]>,
    /// Regions whose marks are on their way.
    pending: Bitmap<P::Words>,
}

/// Memory for a marker.
pub(super) struct Room<P: Platform> {
    there: P::Boxed<[u8; BLOCK]>,
    pending: Bitmap<P::Words>,
}

impl<P: Platform> Room<P> {
    /// Fails with [`crate::platform::Errno::NOMEM`].
    pub fn new(intent: &Intent<P>) -> Result<Self> {
        Ok(Room { there: P::boxed([0; BLOCK])?, pending: Bitmap::empty::<P>(intent.regions())? })
    }
}

impl<P: Platform> Marker<P> {
    pub(super) fn new(file: BitmapFile<P>, pinned: P::Pinned, room: Room<P>) -> Self {
        Marker { file, pinned, there: room.there, pending: room.pending }
    }

    /// The file as it is now.
    pub(super) fn into_file(self) -> (BitmapFile<P>, P::Pinned) {
        (self.file, self.pinned)
    }

    /// Of the header that is written next, what the disk has come to: latest stamp, hole, and what was committed.
    pub(super) fn header_mut(&mut self) -> &mut Header {
        self.file.header_mut()
    }

    /// Writes a header with all marks. Fails as reading and writing do, and with [`crate::platform::Errno::STALE`] where the
    /// block is not the file's.
    #[inline(never)]
    pub(super) fn write(&mut self, intent: &Intent<P>) -> Result<()> {
        let header = self.file.header_mut();
        header.stamp = P::common().clock.last();
        let mut blocks = Proven::<P>::new(&mut self.pinned, header.identity, &mut self.there);
        self.file.mark(&mut blocks, [&intent.marked, &self.pending])
    }

    /// Writes the marks that writes wait for. Where that fails the mode ends; fails where that does.
    fn mark(&mut self, intent: &Intent<P>) -> Result<()> {
        intent.wanted.move_into(&self.pending);
        if self.pending.dirty() == 0 {
            return Ok(());
        }
        if self.write(intent).is_err() {
            intent.leave();
            return self.leave(intent);
        }
        self.pending.move_into(&intent.marked);
        Ok(())
    }

    /// Ends the mode where it is to end. Fails where the file cannot be written.
    pub(super) fn end(&mut self, intent: &Intent<P>) -> Result<()> {
        match intent.phase() {
            Phase::Leaving | Phase::Late => self.leave(intent),
            _ => Ok(()),
        }
    }

    /// The file says that it is in use, and no regions: the next start would find an unclean stop. Fails as writing does.
    #[inline(never)]
    pub(super) fn leave(&mut self, intent: &Intent<P>) -> Result<()> {
        let identity = self.file.header().identity;
        self.file.leave(&mut Proven::<P>::new(&mut self.pinned, identity, &mut self.there))?;
        intent.end();
        Ok(())
    }
}

/// Does what writes to the disk wait for. Whether it is to be tried again.
pub fn work<P: Platform>(tracker: &Tracker<P>) -> bool {
    let intent = &tracker.intent;
    let done = intent.marker.with_always(|marker| match marker {
        Some(marker) if intent.phase() == Phase::On => marker.mark(intent).and_then(|()| marker.end(intent)),
        Some(marker) => marker.end(intent),
        None => Ok(()),
    });
    done.is_err()
}

/// Seconds that writes wait while the mode is tried, or when nobody wants it any more.
const LATE: u32 = 5;

/// Whether writes wait any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Late {
    /// They do.
    Waits = 0,
    /// Not any longer: the file may say less than may have changed, and an agent hears of it.
    GoesOn = 1,
    /// There is nothing to wait for.
    Over = 2,
}

/// Writes have waited for so many `seconds`.
pub fn late<P: Platform>(tracker: &Tracker<P>, seconds: u32) -> Late {
    let (intent, is_late) = (&tracker.intent, seconds >= LATE);
    if is_late && intent.give_up() {
        tracker.hole(Hole::NoMark);
        return Late::GoesOn;
    }
    if is_late {
        intent.give_up_trying();
    }
    if matches!(intent.phase(), Phase::Late | Phase::Off) {
        Late::Over
    } else {
        Late::Waits
    }
}
