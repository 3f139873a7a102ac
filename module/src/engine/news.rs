// SPDX-License-Identifier: GPL-2.0-only
//! What the registry tells of its disks' churn.

use crate::engine::churn::{DiskSeen, LOOK};
use crate::engine::session::{Moment, Seen};
use crate::engine::{Disk, Fate, Op, Registry, TagSet};
use crate::platform::{Event, Mutex, Platform};
use core::sync::atomic::Ordering;

fn seen<P: Platform>(disk: &Disk<P>) -> DiskSeen {
    let written = Op::ALL.iter().map(|&(op, _, _)| disk.tracker.counters.bytes(op)).sum();
    let slowest = disk.latencies.take_slowest_commit() / 1000;
    let seen = Seen { written, pending: disk.tracker.pending_bytes(), slowest };
    DiskSeen { id: disk.id, name: disk.persistent_name(), seen }
}

impl<P: Platform> Registry<P> {
    /// Looks at the churn of all disks, at most once a second. Cheap where it is not time yet.
    pub fn look(&self) {
        let uptime = P::uptime();
        let next = self.next_look.load(Ordering::Relaxed);
        let after = uptime + LOOK;
        if uptime < next || self.next_look.compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let now = Moment { time: P::unix_time(), uptime };
        if self.churn.with_always(|churn| churn.look(now, self.disks().map(|disk| seen(&disk)))) {
            self.news.happen();
        }
    }

    /// Tags of one request have failed on those disks. As long as there is no drainer, nobody would have drained them.
    pub fn tags_failed(&self, is_it: impl Fn(u64) -> bool) {
        if self.has_drainer() && self.churn.with_always(|churn| churn.tags_failed(is_it)) {
            self.news.happen();
        }
    }

    /// Those of the set's tags that have this fate have failed.
    pub fn count_failed(&self, set: &TagSet<P>, fate: Fate) {
        if (0..set.disks()).any(|index| set.fate(index) == fate) {
            self.tags_failed(|id| set.is_on(id, fate));
        }
    }

    /// The set's tag was drained from the disk.
    pub fn tag_drained(&self, disk: &Disk<P>, set: &TagSet<P>) {
        self.churn.with_always(|churn| churn.tag_drained(disk.id, set.is_drained()));
        self.tags.happen();
    }
}
