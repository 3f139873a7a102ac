// SPDX-License-Identifier: GPL-2.0-only
//! A time in which more waited than an agent should let wait, and what was written and drained meanwhile.

/// Bytes that wait when a session is on.
pub const THRESHOLD: u64 = 8 << 20;
/// Buckets of churn.
pub const CHURN_BUCKETS: usize = 11;

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, in 100 ns since the Unix epoch.
    pub time: u64,
    /// A clock that never goes back, in milliseconds.
    pub uptime: u64,
}

/// How fast writes may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supported {
    /// Bytes in a second that one bucket is wide.
    pub bucket: u64,
    /// Bytes in a second that are not too much.
    pub most: u64,
}

/// What was seen since the look before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Bytes that were written.
    pub written: u64,
    /// Bytes that wait now.
    pub pending: u64,
    /// Longest time from a block's last get to its commit, in milliseconds.
    pub slowest: u64,
}

/// Failures of the network that the agent has told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Network {
    /// Their number.
    pub failures: u64,
    /// When the first came.
    pub first: u64,
    /// When the last came.
    pub last: u64,
    /// The agent's number for the last.
    pub error: u64,
}

/// A session of one disk, or of all of them. Times are in 100 ns since the Unix epoch, 0 where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Session {
    /// When it began; 0: there was none.
    pub started: u64,
    /// When it ended; 0: it is on.
    pub ended: u64,
    /// Seconds with so much churn: each bucket is as wide as the first, and the last one has all above.
    pub churn: [u64; CHURN_BUCKETS],
    /// Seconds with so much more churn than is supported.
    pub excess: [u64; CHURN_BUCKETS],
    /// Bytes of churn beyond what is supported.
    pub excess_bytes: u64,
    /// Most bytes of churn in a second.
    pub peak: u64,
    /// When more than is supported was seen first.
    pub first_peak: u64,
    /// When it was seen last.
    pub last_peak: u64,
    /// Bytes that waited at the last look.
    pub pending: u64,
    /// Most bytes that waited.
    pub most_pending: u64,
    /// When that was.
    pub most_pending_time: u64,
    /// Whether more waited after a second in which the churn was not too much.
    pub is_slow: bool,
    /// Failures of tags since the last tag that was drained.
    pub tag_failures: u64,
    /// Longest time from a block's last get to its commit, in milliseconds.
    pub slowest: u64,
    /// Of one disk: what the agent told of the network.
    pub network: Network,
}

impl Session {
    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.started != 0 && self.ended == 0
    }

    /// Somebody looks at `now`, `milliseconds` (at least 1) after the look before, and it is to be `on` from then on. With
    /// `keep` a session that has ended is not replaced by a new one but goes on.
    pub(super) fn look(
        &mut self,
        now: Moment,
        milliseconds: u64,
        seen: Seen,
        (on, keep): (bool, bool),
        supported: Supported,
    ) {
        let was_on = self.is_on();
        if on && !was_on {
            self.begin(now, keep);
        }
        if on || was_on {
            // Nobody knows since when of a session that is found to have begun.
            let seconds = if was_on { (milliseconds + 500) / 1000 } else { 1 };
            let rate = seen.written.saturating_mul(1000) / milliseconds;
            self.count(now.time, seconds, rate, supported);
            self.is_slow |= was_on && seen.pending > self.pending && rate <= supported.most;
            self.note_pending(now.time, seen.pending);
            self.slowest = self.slowest.max(seen.slowest);
        }
        if was_on && !on {
            self.ended = now.time;
        }
    }

    fn begin(&mut self, now: Moment, keep: bool) {
        if keep && self.started != 0 {
            self.ended = 0;
        } else {
            *self = Session { started: now.time, ..Session::default() };
        }
    }

    /// So many seconds had `rate` bytes each.
    fn count(&mut self, now: u64, seconds: u64, rate: u64, supported: Supported) {
        self.churn[bucket(rate, supported)] += seconds;
        self.peak = self.peak.max(rate);
        let excess = rate.saturating_sub(supported.most);
        if excess == 0 {
            return;
        }
        self.excess[bucket(excess, supported)] += seconds;
        self.excess_bytes = self.excess_bytes.saturating_add(excess.saturating_mul(seconds));
        if self.first_peak == 0 {
            self.first_peak = now;
        }
        self.last_peak = now;
    }

    fn note_pending(&mut self, now: u64, pending: u64) {
        self.pending = pending;
        if pending > self.most_pending {
            (self.most_pending, self.most_pending_time) = (pending, now);
        }
    }

    /// The network failed the agent.
    pub(super) fn network_failed(&mut self, now: u64, error: u64) {
        let first = if self.network.failures == 0 { now } else { self.network.first };
        self.network = Network { failures: self.network.failures + 1, first, last: now, error };
    }
}

fn bucket(rate: u64, supported: Supported) -> usize {
    ((rate / supported.bucket) as usize).min(CHURN_BUCKETS - 1)
}
