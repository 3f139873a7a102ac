// SPDX-License-Identifier: GPL-2.0-only
//! Marks that are taken back: of regions that nobody has written to for a while, and of which the agent has every change.

use crate::engine::{Bitmap, Drain, Intent, Stamp, Tracker};
use crate::platform::{Attached, Platform, Result};

/// So many milliseconds a region is left alone before its mark is taken back.
const QUIET: u64 = 10_000;

/// The marks that are to be taken back next.
pub struct Aging<P: Platform> {
    regions: Bitmap<P::Words>,
    /// A place behind all their changes.
    behind: Option<(u64, Stamp)>,
    /// When the regions were looked at last, in milliseconds of uptime.
    looked: u64,
}

impl<P: Platform> Aging<P> {
    /// None. Fails with [`crate::platform::Errno::NOMEM`].
    pub fn new(intent: &Intent<P>) -> Result<Self> {
        Ok(Aging { regions: Bitmap::empty::<P>(intent.regions())?, behind: None, looked: P::uptime() })
    }

    /// Chooses those that nobody has written to since the last look. What was written there is on the disk when this returns:
    /// else the agent could have what a power cut takes from the disk. Waits for writes to the disk.
    pub fn look(&mut self, tracker: &Tracker<P>, device: &P::Attached) {
        let now = P::uptime();
        if self.behind.is_some() || now.saturating_sub(self.looked) < QUIET {
            return;
        }
        self.looked = now;
        let intent = &tracker.intent;
        self.regions.clear_all();
        for word in 0..intent.words() {
            let touched = intent.touched.take_word(word);
            self.regions.set_word(word, intent.marked.word(word) & !touched);
        }
        if self.regions.dirty() == 0 {
            return;
        }
        // Those that were begun before they were quiet have completed then, and are noted.
        device.settle();
        if device.flush().is_ok() {
            self.behind = Some(tracker.capture.place_for_bits(1));
        }
    }

    /// Takes them back in memory, if the agent has committed all their changes. Whether there were any.
    pub fn unmark(&mut self, tracker: &Tracker<P>, drain: &Drain<P>) -> bool {
        let Some((node, stamp)) = self.behind else { return false };
        if !drain.is_committed(tracker, node, stamp) {
            return false;
        }
        self.behind = None;
        (0..tracker.intent.words()).for_each(|word| tracker.intent.unmark(word, self.regions.take_word(word)));
        true
    }
}
