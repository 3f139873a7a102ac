// SPDX-License-Identifier: GPL-2.0-only
//! Churn that is more than an agent can drain, and clocks that jump: looked for once a second, at the requests of agents.

use crate::engine::registry::empty_table;
use crate::engine::session::{Moment, Seen, Session, Supported, THRESHOLD};
use crate::engine::{Name, MAX_DISKS};
use crate::platform::{Platform, Result};

/// Shortest time from one look to the next, in milliseconds.
pub const LOOK: u64 = 1000;

/// What an agent says is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChurnLimits {
    /// Tags that fail one after the other before that is news.
    pub tag_failures: u64,
    /// Bytes in a second that all disks together may write.
    pub all_disks: u64,
    /// Bytes in a second that one disk may write.
    pub disk: u64,
    /// Milliseconds that the wall clock may jump forwards.
    pub forwards: u64,
    /// Milliseconds that it may jump back.
    pub backwards: u64,
}

impl ChurnLimits {
    /// The ABI's.
    pub const DEFAULT: ChurnLimits =
        ChurnLimits { tag_failures: 3, all_disks: 50 << 20, disk: 25 << 20, forwards: 180_000, backwards: 3_600_000 };
    /// Width of a bucket of all disks, in bytes a second.
    const ALL_DISKS_BUCKET: u64 = 10 << 20;
    /// Width of a bucket of one disk.
    const DISK_BUCKET: u64 = 5 << 20;
}

/// A jump of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// What it should have said, in 100 ns since the Unix epoch.
    pub expected: u64,
    /// What it said.
    pub found: u64,
}

impl Jump {
    /// Whether it went forwards.
    pub fn is_forwards(&self) -> bool {
        self.found > self.expected
    }

    /// How far, in milliseconds.
    pub fn milliseconds(&self) -> u64 {
        self.found.abs_diff(self.expected) / 10_000
    }
}

/// A filtered disk at a look.
pub struct DiskSeen {
    /// Its id.
    pub id: u64,
    /// Its persistent name.
    pub name: Name<256>,
    /// What was seen; all bytes that were written since it is filtered.
    pub seen: Seen,
}

/// What is known of a disk's churn.
pub struct Row {
    id: u64,
    /// Its persistent name.
    pub name: Name<256>,
    /// Whether it was filtered at the last look.
    pub is_filtered: bool,
    /// Its session, or the last one.
    pub session: Session,
    written: u64,
    seen: Seen,
}

impl Row {
    fn is_over(&self) -> bool {
        self.is_filtered && self.seen.pending > THRESHOLD
    }
}

type Rows<P> = [Option<<P as Platform>::Boxed<Row>>; MAX_DISKS];

/// The churn of all disks.
pub struct Churn<P: Platform> {
    limits: ChurnLimits,
    last: Moment,
    all: Session,
    jump: Option<Jump>,
    last_jump: Option<Jump>,
    transaction: u64,
    has_news: bool,
    wakes: u64,
    rows: P::Boxed<Rows<P>>,
}

impl<P: Platform> Churn<P> {
    /// Nothing was seen before `now`. Fails with [`crate::platform::Errno::NOMEM`].
    pub fn new(now: Moment) -> Result<Self> {
        Ok(Churn {
            limits: ChurnLimits::DEFAULT,
            last: now,
            all: Session::default(),
            jump: None,
            last_jump: None,
            transaction: 1,
            has_news: false,
            wakes: 0,
            rows: empty_table::<P, _, MAX_DISKS>()?,
        })
    }

    /// Looks at all filtered disks, where [`LOOK`] is over since the last time. Whether there is news since.
    pub fn look(&mut self, now: Moment, disks: impl Iterator<Item = DiskSeen>) -> bool {
        let milliseconds = now.uptime.saturating_sub(self.last.uptime);
        if milliseconds < LOOK {
            return false;
        }
        let had_news = self.has_news;
        self.look_at_clock(now, milliseconds);
        self.last = now;
        self.make_room();
        self.rows.iter_mut().flatten().for_each(|row| (row.is_filtered, row.seen) = (false, Seen::default()));
        disks.for_each(|disk| self.note(disk));
        self.look_at_sessions(now, milliseconds);
        self.has_news && !had_news
    }

    fn look_at_clock(&mut self, now: Moment, milliseconds: u64) {
        let jump = Jump { expected: self.last.time.saturating_add(milliseconds * 10_000), found: now.time };
        let limit = if jump.is_forwards() { self.limits.forwards } else { self.limits.backwards };
        if jump.milliseconds() > limit {
            (self.jump, self.last_jump) = (Some(jump), Some(jump));
            self.has_news = true;
        }
    }

    /// Where all rows are taken, those of disks that were gone at the last look are forgotten.
    fn make_room(&mut self) {
        if self.rows.iter().all(Option::is_some) {
            self.forget_gone();
        }
    }

    fn forget_gone(&mut self) {
        for slot in self.rows.iter_mut() {
            slot.take_if(|row| !row.is_filtered);
        }
    }

    /// Without memory for its row a disk is not noted, and may be at the next look.
    fn note(&mut self, disk: DiskSeen) {
        let Some(row) = self.row(disk.id, disk.name) else { return };
        // An operation that its driver has refused is taken back, so it may be less than before.
        let written = disk.seen.written.saturating_sub(row.written);
        row.seen = Seen { written, ..disk.seen };
        (row.name, row.is_filtered, row.written) = (disk.name, true, disk.seen.written);
    }

    fn row(&mut self, id: u64, name: Name<256>) -> Option<&mut Row> {
        let known = self.rows.iter().position(|row| row.as_ref().is_some_and(|row| row.id == id));
        let free = self.rows.iter().position(Option::is_none);
        let slot = &mut self.rows[known.or(free)?];
        if known.is_none() {
            let row =
                Row { id, name, is_filtered: true, session: Session::default(), written: 0, seen: Seen::default() };
            *slot = Some(P::boxed(row).ok()?);
        }
        slot.as_deref_mut()
    }

    fn look_at_sessions(&mut self, now: Moment, milliseconds: u64) {
        let (on, keep) = (self.rows.iter().flatten().any(|row| row.is_over()), self.has_news);
        if on && !self.all.is_on() && !keep {
            self.forget_sessions();
        }
        let mut sum = Seen::default();
        let supported = Supported { bucket: ChurnLimits::DISK_BUCKET, most: self.limits.disk };
        for row in self.rows.iter_mut().flatten() {
            let (seen, is_over) = (row.seen, row.is_over());
            row.session.look(now, milliseconds, seen, (is_over, keep), supported);
            sum.written = sum.written.saturating_add(seen.written);
            sum.pending = sum.pending.saturating_add(seen.pending);
            sum.slowest = sum.slowest.max(seen.slowest);
        }
        let supported = Supported { bucket: ChurnLimits::ALL_DISKS_BUCKET, most: self.limits.all_disks };
        self.all.look(now, milliseconds, sum, (on, keep), supported);
    }

    /// Sessions that are over, and disks that are gone.
    fn forget_sessions(&mut self) {
        self.all = Session::default();
        self.forget_gone();
        self.rows.iter_mut().flatten().for_each(|row| row.session = Session::default());
    }

    /// An agent says what is too much.
    pub fn set_limits(&mut self, limits: ChurnLimits) {
        self.limits = limits;
        self.look_at_failures();
    }

    fn look_at_failures(&mut self) {
        self.has_news |= self.all.tag_failures >= self.limits.tag_failures;
    }

    /// Tags of one request have failed on the disks for which `is_it` says so. Whether that is news. Where nothing waits for
    /// long, it is for another reason than churn.
    pub fn tags_failed(&mut self, is_it: impl Fn(u64) -> bool) -> bool {
        let had_news = self.has_news;
        if self.all.is_on() {
            self.all.tag_failures += 1;
            let on = |row: &&mut P::Boxed<Row>| row.session.is_on() && is_it(row.id);
            self.rows.iter_mut().flatten().filter(on).for_each(|row| row.session.tag_failures += 1);
        }
        self.look_at_failures();
        self.has_news && !had_news
    }

    /// A tag was drained from the disk, and by that from all disks of its request where that is `whole`.
    pub fn tag_drained(&mut self, id: u64, whole: bool) {
        self.rows.iter_mut().flatten().filter(|row| row.id == id).for_each(|row| row.session.tag_failures = 0);
        if whole {
            self.all.tag_failures = 0;
        }
    }

    /// The network failed the agent while the disk had a session.
    pub fn network_failed(&mut self, id: u64, time: u64, error: u64) {
        let row = self.rows.iter_mut().flatten().find(|row| row.id == id && row.session.is_on());
        if let Some(row) = row {
            row.session.network_failed(time, error);
        }
    }

    /// What tells of the news: a number that acknowledges them, 0 where there are none.
    pub fn news(&self) -> u64 {
        if self.has_news {
            self.transaction
        } else {
            0
        }
    }

    /// An agent has the news of that number: they are forgotten. What is on begins anew.
    pub fn acknowledge(&mut self, transaction: u64) {
        if self.has_news && transaction == self.transaction {
            self.transaction += 1;
            (self.has_news, self.jump) = (false, None);
            self.forget_sessions();
        }
    }

    /// The session of all disks.
    pub fn all(&self) -> &Session {
        &self.all
    }

    /// The jump of the clock that is news.
    pub fn jump(&self) -> Option<Jump> {
        self.jump
    }

    /// The last jump of the clock.
    pub fn last_jump(&self) -> Option<Jump> {
        self.last_jump
    }

    /// What is known of each disk, of those that are filtered, and of others whose sessions are not forgotten.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().flatten().map(|row| &**row)
    }

    /// Those who wait for news do so no longer.
    pub fn wake(&mut self) {
        self.wakes += 1;
    }

    /// How often they were woken.
    pub fn wakes(&self) -> u64 {
        self.wakes
    }
}
