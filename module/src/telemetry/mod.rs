// SPDX-License-Identifier: GPL-2.0-only
//! What became of tags, written to files for an agent to collect; `docs/telemetry.md` says what is recorded.
//!
//! A build has it only where it asks for it: `TELEMETRY=yes`, the feature `telemetry`.

mod counts;
mod files;
mod record;
mod turns;

pub use counts::{Counts, Mark, Seen};
pub use turns::{Turns, Why};

use crate::engine::{Registry, TagSet, MAX_DISKS};
use crate::platform::{Errno, Mutex, Platform, Result};
use counts::Marks;
use files::Files;
use record::{Asked, Line, LONGEST};

/// Sets of tags that are watched at once; of a set beyond them nothing is recorded but that it was lost.
const MAX_SETS: usize = 16;
/// Bytes of records that wait for the next file; what comes beyond them is lost, and counted.
const ROOM: usize = 256 << 10;
/// Between two files, in ms.
const PERIOD: u64 = 300_000;

/// The records, and the tags that they will be about.
pub struct Telemetry<P: Platform> {
    waiting: P::Mutex<Waiting<P>>,
    files: P::Mutex<Files>,
}

struct Waiting<P: Platform> {
    sets: [Option<Watched<P>>; MAX_SETS],
    records: Option<P::Bytes>,
    length: usize,
    last: u64,
    lost: u64,
    next_file: u64,
}

/// A set of tags that was asked for.
struct Watched<P: Platform> {
    set: P::Shared<TagSet<P>>,
    asked: u64,
    marks: Marks<P>,
    /// A bit for each of its disks.
    told: [u64; MAX_DISKS / 64],
}

impl<P: Platform> Watched<P> {
    /// A disk whose tag's fate is final and was not recorded; from now on it was.
    fn next(&mut self) -> Option<usize> {
        let is_new = |index: &usize| self.told[index / 64] >> (index % 64) & 1 == 0 && self.set.fate(*index).is_final();
        let index = (0..self.set.disks()).find(is_new)?;
        self.told[index / 64] |= 1 << (index % 64);
        Some(index)
    }
}

impl<P: Platform> Telemetry<P> {
    /// No records. Fails with [`Errno::NOMEM`].
    pub fn new() -> Result<Self> {
        let waiting = Waiting {
            sets: [const { None }; MAX_SETS],
            records: None,
            length: 0,
            last: 0,
            lost: 0,
            next_file: P::uptime() + PERIOD,
        };
        Ok(Telemetry { waiting: P::mutex(waiting)?, files: P::mutex(Files::default())? })
    }

    /// Tags were asked for under a barrier at the time `asked`; `failed` is why there are none. Their fates are recorded as
    /// they come.
    pub fn tagged(&self, registry: &Registry<P>, set: &P::Shared<TagSet<P>>, asked: u64, failed: Option<Errno>) {
        self.waiting.with_always(|waiting| match failed {
            Some(errno) => waiting.add(|line| Asked { registry, set, time: asked }.refused(line, errno)),
            None => waiting.watch(registry, set, asked),
        });
    }

    /// Records what has become of tags since the last look. Has a file written soon where it is time for one.
    pub fn look(&self, registry: &Registry<P>) {
        let due = self.waiting.with_always(|waiting| {
            waiting.look(registry);
            waiting.length != 0 && P::uptime() >= waiting.next_file
        });
        if due {
            P::soon();
        }
    }

    /// Writes a file where it is time for one.
    pub fn work(&self) {
        if self.waiting.with_always(|waiting| P::uptime() >= waiting.next_file) {
            self.flush();
        }
    }

    /// Writes all records to the next file. They wait on where there is no place for one; where writing fails they are lost.
    pub fn flush(&self) {
        // Whoever else is writing a file takes them along, or the next one does.
        let _ = self.files.try_with(|files| {
            if !files.has_place::<P>() {
                return;
            }
            let Some((records, length)) = self.waiting.with_always(Waiting::take) else { return };
            if files.write::<P>(&records[..length]).is_err() {
                self.waiting.with_always(|waiting| waiting.lost += 1);
            }
        });
    }
}

impl<P: Platform> Waiting<P> {
    fn watch(&mut self, registry: &Registry<P>, set: &P::Shared<TagSet<P>>, asked: u64) {
        let slot = self.sets.iter_mut().find(|slot| slot.is_none());
        match (slot, Marks::new(registry, set)) {
            (Some(slot), Ok(marks)) => {
                *slot = Some(Watched { set: set.clone(), asked, marks, told: [0; MAX_DISKS / 64] });
            }
            _ => self.lost += 1,
        }
    }

    fn look(&mut self, registry: &Registry<P>) {
        for slot in 0..MAX_SETS {
            let Some(mut watched) = self.sets[slot].take() else { continue };
            while let Some(index) = watched.next() {
                let asked = Asked { registry, set: &watched.set, time: watched.asked };
                self.add(|line| asked.settled(line, index, &watched.marks));
            }
            self.sets[slot] = (!watched.set.is_final()).then_some(watched);
        }
    }

    /// Adds a record, which `write` writes the fields of.
    fn add(&mut self, write: impl FnOnce(&mut Line<'_>) -> core::fmt::Result) {
        if self.records.is_none() {
            self.records = P::bytes(ROOM).ok();
        }
        let (last, lost, end) = (self.last + 1, self.lost, ROOM.min(self.length + LONGEST));
        let room = self.records.as_mut().and_then(|records| records.get_mut(self.length..end));
        let added = room.and_then(|room| {
            let mut line = Line::new(room, last, lost, P::unix_time()).ok()?;
            write(&mut line).ok()?;
            line.end().ok()
        });
        match added {
            Some(bytes) => (self.length, self.last, self.lost) = (self.length + bytes, last, 0),
            None => self.lost += 1,
        }
    }

    fn take(&mut self) -> Option<(P::Bytes, usize)> {
        self.next_file = P::uptime() + PERIOD;
        let length = core::mem::take(&mut self.length);
        if length == 0 {
            return None;
        }
        self.records.take().map(|records| (records, length))
    }
}
