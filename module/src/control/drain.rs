// SPDX-License-Identifier: GPL-2.0-only
//! Get and commit.

use crate::abi::commit;
use crate::abi::dirty_block::{self as block, tag};
use crate::control::latency;
use crate::control::user::Struct;
use crate::engine::{Block, Disk, Filtered, Registry, ResyncReport, Stamp};
use crate::persist::note_drain_blocked;
use crate::platform::{Errno, Platform, Result};

/// Bytes of a page.
const PAGE: u64 = 4096;

/// The open file's disk. No disk was ever started by it: EINVAL; the disk is not filtered any longer: EBUSY.
pub(super) fn file_disk<P: Platform>(registry: &Registry<P>, id: u64) -> Result<P::Shared<Disk<P>>> {
    if id == 0 {
        return Err(Errno::INVAL);
    }
    registry.find_id(id).ok_or(Errno::BUSY)
}

/// The disk was stopped while the request waited for its turn.
fn stopped(errno: Errno) -> Errno {
    if errno == Errno::NODEV {
        Errno::BUSY
    } else {
        errno
    }
}

pub(super) fn get<P: Platform>(registry: &Registry<P>, id: u64, argument: u64) -> Result<()> {
    let disk = file_disk(registry, id)?;
    if disk.is_drain_blocked() {
        return Err(Errno::FAULT);
    }
    let given = latency::timed::<P, _>(&disk.latencies.get, || {
        disk.with(|filtered| {
            get_from(filtered, argument)?;
            #[cfg(feature = "telemetry")]
            disk.counts.got(filtered.drain.transaction());
            Ok(())
        })
    });
    given.map_err(stopped)??;
    latency::got(&disk);
    Ok(())
}

fn get_from<P: Platform>(disk: &mut Filtered<P>, argument: u64) -> Result<()> {
    let reply = Struct::<P>::new(argument, block::BYTES)?;
    // Nothing is taken for a caller that cannot be answered.
    reply.put_u32(block::CHANGES, 0)?;
    disk.tell();
    let next = disk.drain.get(&disk.device)?;
    put_header(&reply, &next)?;
    put_resync(&reply, next.resync)?;
    put_tags(&reply, &next)?;
    put_changes(&reply, &next)
}

fn put_header<P: Platform>(reply: &Struct<P>, next: &Block<'_, P>) -> Result<()> {
    let (changes, bytes) = match next.data {
        Some(data) => (data.node.changes, data.node.bytes),
        None => (next.changes.offsets().len() as u32, next.changes.bytes()),
    };
    reply.put_u64(block::TRANSACTION, next.transaction)?;
    reply.put_u64(block::CHANGED_BYTES, bytes)?;
    reply.put_u32(block::CHANGES, changes)?;
    reply.put_u32(block::PENDING_CHANGES, next.pending_changes.try_into().unwrap_or(u32::MAX))?;
    reply.put_u64(block::PENDING_BYTES, next.pending_bytes)?;
    reply.put_u32(block::FLAGS, flags(next))?;
    let (address, stream) = next.stream.map_or((0, 0), |stream| (stream.address, stream.bytes));
    reply.put_u32(block::SPLIT_SEQUENCE, next.split.part)?;
    reply.put_u32(block::BUFFER_BYTES, PAGE as u32)?;
    reply.put_u16(block::BUFFERS, stream.div_ceil(PAGE) as u16)?;
    reply.put_u32(block::STREAM_BYTES, stream as u32)?;
    reply.put_u64(block::BUFFER, address)?;
    reply.put_u64(block::PREVIOUS_SEQUENCE, next.previous.stamp.sequence())?;
    reply.put_u64(block::PREVIOUS_TIME, next.previous.stamp.time())?;
    reply.put_u32(block::PREVIOUS_SPLIT, next.previous.split)?;
    reply.put_u32(block::STATE, next.state as u32)
}

fn flags<P: Platform>(next: &Block<'_, P>) -> u32 {
    let nothing = if is_without_changes(next) && next.tags.is_none() { block::FLAG_TIMESTAMP_ONLY } else { 0 };
    let stream = if next.stream.is_some() { block::FLAG_STREAM } else { 0 };
    let resync = if next.resync.is_some() { block::FLAG_RESYNC_REQUIRED } else { 0 };
    nothing | stream | next.split.flags | resync
}

fn is_without_changes<P: Platform>(next: &Block<'_, P>) -> bool {
    next.changes.offsets().is_empty() && next.data.is_none()
}

fn put_resync<P: Platform>(reply: &Struct<P>, resync: Option<ResyncReport>) -> Result<()> {
    let mut text = [0; block::RESYNC_TEXT_BYTES];
    let (count, code, time) = match resync {
        None => (0, 0, 0),
        Some(report) => {
            let reason = report.hole.text().as_bytes();
            text[..reason.len()].copy_from_slice(reason);
            (report.count, u64::from(report.hole.code()), report.time)
        }
    };
    reply.put_u64(block::RESYNC_COUNT, count)?;
    reply.put(block::RESYNC_TEXT, &text)?;
    reply.put_u64(block::RESYNC_CODE, code)?;
    reply.put_u64(block::RESYNC_TIME, time)
}

/// A tag record's header: type, no flags, length.
fn put_tag<P: Platform>(reply: &Struct<P>, offset: u64, kind: u16, length: u8) -> Result<()> {
    let kind = kind.to_ne_bytes();
    reply.put(block::TAGS + offset, &[kind[0], kind[1], 0, length])
}

fn put_time<P: Platform>(reply: &Struct<P>, offset: u64, stamp: Stamp) -> Result<()> {
    put_tag(reply, offset, tag::TIME, 24)?;
    reply.put_u32(block::TAGS + offset + 4, 0)?;
    reply.put_u64(block::TAGS + offset + 8, stamp.sequence())?;
    reply.put_u64(block::TAGS + offset + 16, stamp.time())
}

/// Without data there is no order within a block, so its first and last change have one stamp. Tags that are in a stream are
/// not in the list.
fn put_tags<P: Platform>(reply: &Struct<P>, next: &Block<'_, P>) -> Result<()> {
    let source = match next.stream {
        Some(_) => tag::SOURCE_DATA,
        None if is_without_changes(next) => tag::SOURCE_NONE,
        None => tag::SOURCE_METADATA,
    };
    put_tag(reply, 0, tag::START, 4)?;
    put_tag(reply, 4, tag::PADDING, 4)?;
    put_time(reply, 8, next.first)?;
    put_time(reply, 32, next.last)?;
    put_tag(reply, 56, tag::DATA_SOURCE, 8)?;
    reply.put_u32(block::TAGS + 60, source)?;
    let listed = next.tags.filter(|_| next.stream.is_none());
    let records = listed.map_or(&[][..], |set| set.records.as_bytes());
    reply.put(block::TAGS + 64, records)?;
    put_tag(reply, 64 + records.len() as u64, tag::END, 4)
}

fn put_changes<P: Platform>(reply: &Struct<P>, next: &Block<'_, P>) -> Result<()> {
    for (index, (&offset, &length)) in (0u64..).zip(next.changes.offsets().iter().zip(next.changes.lengths())) {
        reply.put_u64(block::OFFSETS + 8 * index, offset)?;
        reply.put_u32(block::LENGTHS + 4 * index, length)?;
        reply.put_u32(block::TIME_DELTAS + 4 * index, 0)?;
        reply.put_u32(block::SEQUENCE_DELTAS + 4 * index, 0)?;
    }
    Ok(())
}

pub(super) fn commit<P: Platform>(registry: &Registry<P>, id: u64, argument: u64) -> Result<()> {
    let disk = file_disk(registry, id)?;
    let request = Struct::<P>::new(argument, commit::BYTES)?;
    let transaction = request.u64(commit::TRANSACTION)?;
    let resync_started = request.u32(commit::FLAGS)? & commit::FLAG_RESYNC_STARTED != 0;
    let tags = disk.with(|filtered| {
        let tags = filtered.drain.commit(&filtered.device, transaction, resync_started)?;
        #[cfg(feature = "telemetry")]
        disk.counts.committed(filtered.drain.previous().stamp, filtered.drain.committed_bytes());
        filtered.tell();
        if tags.as_ref().is_some_and(|set| set.blocks_drain()) {
            disk.block_drain(true);
        }
        Ok(tags)
    });
    let tags = tags.map_err(stopped)??;
    latency::committed(&disk);
    if let Some(set) = tags {
        if set.blocks_drain() {
            note_drain_blocked::<P>(&disk.persistent_name(), true);
        }
        registry.tag_drained(&disk, &set);
    }
    Ok(())
}
