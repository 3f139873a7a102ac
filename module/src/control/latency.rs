// SPDX-License-Identifier: GPL-2.0-only
//! How long an agent's requests take.

use crate::abi::latency_stats as stats;
use crate::control::numbers::named;
use crate::control::user::Struct;
use crate::engine::{Disk, Latency, Registry, BUCKETS};
use crate::platform::{Errno, Platform, Result};

/// Microseconds from `start`, in 100 ns since the Unix epoch, to now. The clock may have been set back: then 0.
fn since<P: Platform>(start: u64) -> u64 {
    P::unix_time().saturating_sub(start) / 10
}

/// Does `work`, and notes how long it took.
pub(super) fn timed<P: Platform, T>(latency: &Latency, work: impl FnOnce() -> T) -> T {
    let start = P::unix_time();
    let result = work();
    latency.add(since::<P>(start));
    result
}

/// A block of the disk was given.
pub(super) fn got<P: Platform>(disk: &Disk<P>) {
    let now = P::unix_time();
    disk.times.got.set(now);
    if disk.times.throttled.take() != 0 {
        disk.times.unthrottled.set(now);
    }
}

/// It was committed.
pub(super) fn committed<P: Platform>(disk: &Disk<P>) {
    disk.latencies.committed(since::<P>(disk.times.got.get()));
    disk.times.committed.set(P::unix_time());
}

/// What was noted of a disk.
pub(super) fn tell<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, stats::BYTES)?;
    let disk = named(registry, &request)?.ok_or(Errno::INVAL)?;
    let latencies = &disk.latencies;
    put(&request, stats::RETURN, &latencies.get)?;
    put(&request, stats::WAIT, &latencies.wait)?;
    put(&request, stats::COMMIT, &latencies.commit)
}

fn put<P: Platform>(request: &Struct<P>, at: u64, latency: &Latency) -> Result<()> {
    request.zero(at, stats::GROUP_BYTES)?;
    for (index, (longest, count)) in (0..).zip(BUCKETS.into_iter().zip(latency.counts())) {
        request.put_u64(at + stats::BUCKETS + 8 * index, longest)?;
        request.put_u32(at + stats::COUNTS + 4 * index, count)?;
    }
    let mut available = 0;
    for micros in latency.last() {
        request.put_u64(at + stats::LAST + 8 * u64::from(available), micros)?;
        available += 1;
    }
    request.put_u32(at + stats::AVAILABLE, available)?;
    request.put_u64(at + stats::SHORTEST, latency.shortest())?;
    request.put_u64(at + stats::LONGEST, latency.longest())
}
