// SPDX-License-Identifier: GPL-2.0-only
//! What a disk or the driver counts, as numbers.

use crate::abi::{additional_stats, bitmap_stats, blk_mq, monitoring, request, resync_edge, threshold, GUID_BYTES};
use crate::control::user::Struct;
use crate::engine::{Disk, Registry};
use crate::platform::{Errno, Platform, Result};

/// The disk whose path is at the beginning of `request`.
pub(super) fn named<P: Platform>(registry: &Registry<P>, request: &Struct<P>) -> Result<Option<P::Shared<Disk<P>>>> {
    Ok(registry.find(request.name::<GUID_BYTES>(0)?.as_bytes()))
}

/// The wall clock, in 100 ns since the Unix epoch.
pub(super) fn time<P: Platform>(argument: u64) -> Result<()> {
    Struct::<P>::new(argument, 8)?.put_u64(0, P::unix_time())
}

/// A stamp that is later than every change that was drained, and earlier than every one that is not.
pub(super) fn resync_edge<P: Platform>(registry: &Registry<P>, word: u32, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, resync_edge::BYTES)?;
    let disk = named(registry, &request)?.ok_or(Errno::INVAL)?;
    let stamp = P::common().clock.stamp(P::unix_time());
    match word {
        request::RESYNC_START_NOTIFICATION => disk.times.resync_started.set(stamp.time()),
        _ => disk.times.resync_ended.set(stamp.time()),
    }
    request.put_u64(resync_edge::TIME, stamp.time())?;
    request.put_u64(resync_edge::SEQUENCE, stamp.sequence())
}

/// Bytes that wait when a waiting agent is woken.
pub(super) fn notify_threshold<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, threshold::BYTES)?;
    named(registry, &request)?.ok_or(Errno::INVAL)?;
    request.put_u32(threshold::THRESHOLD, threshold::VALUE)
}

/// Bytes that wait, since when, and the time.
pub(super) fn additional<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, additional_stats::BYTES)?;
    let disk = named(registry, &request)?.ok_or(Errno::INVAL)?;
    let now = P::unix_time();
    let oldest = disk.tracker.capture.oldest().unwrap_or(now);
    request.put_u64(additional_stats::PENDING, disk.tracker.pending_bytes())?;
    request.put_u64(additional_stats::OLDEST, oldest)?;
    request.put_u64(additional_stats::NOW, now.max(oldest))
}

/// The dirty bits: how much each stands for, and how much all of them.
pub(super) fn bitmap<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, bitmap_stats::BYTES)?;
    let disk = named(registry, &request)?.ok_or(Errno::FAULT)?;
    let bits = disk.tracker.pending_blocks();
    let shift = disk.tracker.block_shift();
    request.put_u64(bitmap_stats::GRANULARITY, 1 << shift)?;
    request.put_u64(bitmap_stats::BYTES_DIRTY, bits << shift)?;
    let blocks = (bits << shift).div_ceil(bitmap_stats::BLOCK_BYTES);
    request.put_u32(bitmap_stats::BLOCKS, blocks.try_into().unwrap_or(u32::MAX))
}

/// Whether a block device, filtered or not, is blk-mq. Fails with [`Errno::NODEV`] where it cannot be opened.
pub(super) fn blk_mq<P: Platform>(argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, blk_mq::BYTES)?;
    let name = request.name::<GUID_BYTES>(0)?;
    let answer = P::is_blk_mq(name.with_nul()).map_err(|_| Errno::NODEV)?;
    request.put_u32(blk_mq::ANSWER, answer.into())
}

/// Tags that were dropped, or bytes that were committed.
pub(super) fn monitoring<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, monitoring::BYTES)?;
    let disk = named(registry, &request)?.ok_or(Errno::INVAL)?;
    let value = match request.u32(monitoring::WHAT)? {
        monitoring::VALUE_TAGS => disk.tracker.capture.tags_lost(),
        monitoring::VALUE_CHURN => disk.with(|disk| disk.drain.committed_bytes())?,
        _ => return Err(Errno::INVAL),
    };
    request.put_u64(monitoring::ANSWER, value)
}
