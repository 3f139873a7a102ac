// SPDX-License-Identifier: GPL-2.0-only
//! How long things took: how many took how long, the last ones, the shortest and the longest. Atomics only.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Longest time that counts in each bucket but the last, in microseconds; the last has all that is longer.
pub const BUCKETS: [u64; 12] =
    [10, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000, u64::MAX];
/// Times that are remembered.
pub const LAST: usize = 12;

/// Times of one kind, in microseconds. What is read while it is added to may be of both before and after.
#[derive(Debug)]
pub struct Latency {
    counts: [AtomicU32; BUCKETS.len()],
    last: [AtomicU64; LAST],
    total: AtomicU64,
    /// All ones before the first.
    shortest: AtomicU64,
    longest: AtomicU64,
}

impl Latency {
    /// Something took so long.
    pub fn add(&self, micros: u64) {
        let bucket = BUCKETS.iter().position(|&longest| micros <= longest).unwrap_or(BUCKETS.len() - 1);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let index = self.total.fetch_add(1, Ordering::Relaxed) % LAST as u64;
        self.last[index as usize].store(micros, Ordering::Relaxed);
        self.shortest.fetch_min(micros, Ordering::Relaxed);
        self.longest.fetch_max(micros, Ordering::Relaxed);
    }

    /// How many are in each of [`BUCKETS`].
    pub fn counts(&self) -> impl Iterator<Item = u32> + '_ {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed))
    }

    /// The last ones, at most [`LAST`], oldest first.
    pub fn last(&self) -> impl Iterator<Item = u64> + '_ {
        let total = self.total.load(Ordering::Relaxed);
        (total.saturating_sub(LAST as u64)..total)
            .map(|number| self.last[(number % LAST as u64) as usize].load(Ordering::Relaxed))
    }

    /// The shortest; 0 where there is none.
    pub fn shortest(&self) -> u64 {
        match self.total.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.shortest.load(Ordering::Relaxed),
        }
    }

    /// The longest; 0 where there is none.
    pub fn longest(&self) -> u64 {
        self.longest.load(Ordering::Relaxed)
    }
}

impl Default for Latency {
    fn default() -> Self {
        Latency {
            counts: Default::default(),
            last: Default::default(),
            total: AtomicU64::new(0),
            shortest: AtomicU64::new(u64::MAX),
            longest: AtomicU64::new(0),
        }
    }
}

/// How long an agent's requests for one disk took.
#[derive(Debug, Default)]
pub struct Latencies {
    /// A get of a block.
    pub get: Latency,
    /// A wait for changes.
    pub wait: Latency,
    /// From the last get of a block to its commit.
    pub commit: Latency,
    /// Longest time from a get to a commit that nobody has taken yet, in microseconds.
    slowest_commit: AtomicU64,
}

impl Latencies {
    /// A block was committed, so long after its last get.
    pub fn committed(&self, micros: u64) {
        self.commit.add(micros);
        self.slowest_commit.fetch_max(micros, Ordering::Relaxed);
    }

    /// Longest time from a get to a commit since this was called last, in microseconds.
    pub fn take_slowest_commit(&self) -> u64 {
        self.slowest_commit.swap(0, Ordering::Relaxed)
    }
}
