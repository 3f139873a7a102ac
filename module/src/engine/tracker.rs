// SPDX-License-Identifier: GPL-2.0-only
//! What a filtered disk's writes are told to: the hot path. Nothing here allocates or waits.

use crate::abi::{threshold, MAX_CHANGES};
use crate::engine::passthrough::{Effect, DESCRIPTOR};
use crate::engine::{Bitmap, Capture, Counters, Hole, Intent, Op, Pool, Resync, State, Waits};
use crate::platform::{Platform, Result};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bits of a sector number (512 bytes).
const SECTOR_SHIFT: u32 = 9;
/// The smallest block that is tracked: 4 KiB.
const MIN_BLOCK_SHIFT: u32 = 12;
/// Blocks are doubled until a disk needs no more bits than this: 16 MiB for each of its two bitmaps.
const MAX_BLOCKS: u64 = 128 << 20;

/// The shared half of a disk's state.
///
/// A write is either noted when it has completed ([`Self::complete`]), or marked before it is begun ([`Self::mark`]); then
/// a drain proves that it has completed before it delivers the mark.
pub struct Tracker<P: Platform> {
    live: Bitmap<P::Words>,
    sectors: u64,
    /// The capacity when somebody looked last, in sectors.
    sectors_seen: AtomicU64,
    block_shift: u32,
    /// Its extents.
    pub capture: Capture<P>,
    /// What the disk was given to do.
    pub counters: Counters,
    /// Whether tracking has a hole.
    pub resync: Resync,
    /// Who waits for changes.
    pub waits: Waits<P>,
    /// Which regions may be written to, in write-intent mode.
    pub intent: Intent<P>,
    /// Dirty blocks that the drain has taken and not delivered yet.
    taken: AtomicU64,
    /// Whether changes are out that the agent reads from the disk.
    reads_disk: AtomicBool,
}

impl<P: Platform> Tracker<P> {
    /// A tracker for a disk of `sectors` 512-byte sectors, which captures data in memory of `pool`. Fails with
    /// [`crate::platform::Errno::NOMEM`].
    pub fn new(sectors: u64, pool: P::Shared<Pool<P>>) -> Result<Self> {
        let block_shift = Self::block_shift_for(sectors);
        let live = Self::empty_bitmap(sectors, block_shift)?;
        let capture = Capture::new(pool)?;
        Ok(Tracker {
            live,
            sectors,
            sectors_seen: AtomicU64::new(sectors),
            block_shift,
            capture,
            counters: Counters::default(),
            resync: Resync::default(),
            waits: Waits::new()?,
            intent: Intent::new(sectors)?,
            taken: AtomicU64::new(0),
            reads_disk: AtomicBool::new(false),
        })
    }

    fn block_shift_for(sectors: u64) -> u32 {
        let mut shift = MIN_BLOCK_SHIFT;
        while sectors.div_ceil(1 << (shift - SECTOR_SHIFT)) > MAX_BLOCKS {
            shift += 1;
        }
        shift
    }

    fn empty_bitmap(sectors: u64, block_shift: u32) -> Result<Bitmap<P::Words>> {
        Bitmap::empty::<P>(sectors.div_ceil(1 << (block_shift - SECTOR_SHIFT)))
    }

    /// A second bitmap of the same shape, into which a drain takes the bits. Fails with [`crate::platform::Errno::NOMEM`].
    pub fn same_shape(&self) -> Result<Bitmap<P::Words>> {
        Self::empty_bitmap(self.sectors, self.block_shift)
    }

    /// The bits that are set as writes come.
    pub fn live(&self) -> &Bitmap<P::Words> {
        &self.live
    }

    /// Marks the regions of write-intent mode that have dirty bits, or all.
    pub(crate) fn mark_regions(&self, all: bool) {
        let marked = &self.intent.marked;
        if all {
            return marked.set(0, marked.blocks());
        }
        let shift = self.region_block_shift();
        for word in (0..self.live.blocks().div_ceil(64)).filter(|word| self.live.word(*word) != 0) {
            let region = (word * 64) >> shift;
            marked.set(region, region + 1);
        }
    }

    /// Sets the dirty bits of those of the regions `64 * word` to `64 * word + 63` that are set in `marks`.
    pub(crate) fn set_region_bits(&self, word: u64, marks: u64) {
        let shift = self.region_block_shift();
        for region in (word * 64..(word + 1) * 64).filter(|region| marks >> (region % 64) & 1 == 1) {
            self.live.set(region << shift, (region + 1) << shift);
        }
    }

    /// log2 of the blocks of a region: of 64 at least.
    fn region_block_shift(&self) -> u32 {
        self.intent.shift() + SECTOR_SHIFT - self.block_shift
    }

    /// Capacity when the disk was attached, in 512-byte sectors.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// The disk has so many sectors now. Another number than the last time is a hole: what came beyond the old end is lost,
    /// and an agent must make its target as large.
    pub fn has_sectors(&self, sectors: u64) {
        if self.sectors_seen.swap(sectors, Ordering::Relaxed) != sectors {
            self.hole(Hole::Resized);
        }
    }

    /// log2 of the block size in bytes.
    pub fn block_shift(&self) -> u32 {
        self.block_shift
    }

    /// `sectors` (at least 1) from `sector` on may change. What lies past the end is a hole.
    pub fn mark(&self, sector: u64, sectors: u64) {
        let end = sector.saturating_add(sectors);
        if end > self.sectors {
            self.hole(Hole::OutOfRange);
        }
        let shift = self.block_shift - SECTOR_SHIFT;
        self.live.set(sector >> shift, end.min(self.sectors).div_ceil(1 << shift));
        self.changed();
    }

    /// Something was noted or marked.
    #[inline]
    fn changed(&self) {
        if self.waits.armed() && self.is_enough() {
            self.waits.enough();
        }
    }

    /// Whether a tag can be put among the changes: dirty bits have no place in their order.
    pub fn takes_tags(&self) -> bool {
        self.capture.state() != State::Bitmap && self.pending_blocks() == 0
    }

    /// Whether what an agent has, with all that waits, is the disk as it was at one moment: everything waits with its data,
    /// and nothing is out without.
    pub fn is_in_write_order(&self) -> bool {
        self.capture.state() == State::Data
            && self.capture.extents() == 0
            && self.pending_blocks() == 0
            && !self.reads_disk.load(Ordering::Relaxed)
    }

    /// Whether changes are out that the agent reads from the disk.
    pub(super) fn set_reads_disk(&self, reads: bool) {
        self.reads_disk.store(reads, Ordering::Relaxed);
    }

    /// Whether so much waits that an agent should be told: 4 MiB, as many extents as a block holds, or a tag.
    pub fn is_enough(&self) -> bool {
        let extents = self.capture.extents();
        extents >= MAX_CHANGES as u64 || self.pending_bytes() >= u64::from(threshold::VALUE) || self.capture.has_tag()
    }

    /// Bytes that wait, those of a block that is out not counted.
    pub fn pending_bytes(&self) -> u64 {
        (self.pending_blocks() << self.block_shift) + self.capture.bytes()
    }

    /// Dirty blocks that wait, those of a block that is out not counted.
    pub fn pending_blocks(&self) -> u64 {
        self.live.dirty() + self.taken.load(Ordering::Relaxed)
    }

    /// The drain has `blocks` dirty blocks that it has not delivered yet.
    pub(super) fn set_taken(&self, blocks: u64) {
        self.taken.store(blocks, Ordering::Relaxed);
    }

    /// Whether a write should be told when it has completed. Otherwise it must be marked before it is begun.
    #[inline]
    pub fn wants_completion(&self) -> bool {
        self.capture.state() != State::Bitmap
    }

    /// A write of `payload`, which has `sectors` sectors (at least 1), to `sector` and what follows has completed.
    pub fn written(&self, sector: u64, sectors: u64, payload: &mut P::Payload) {
        let within = sector.saturating_add(sectors) <= self.sectors;
        if within && self.capture.keep(sector, sectors, payload) {
            self.changed();
        } else {
            self.complete(sector, sectors, false);
        }
    }

    /// A write to `sectors` (at least 1) from `sector` on has completed. One that failed has changed nobody knows what.
    pub fn complete(&self, sector: u64, sectors: u64, failed: bool) {
        if failed {
            self.counters.failed();
        }
        let within = sector.saturating_add(sectors) <= self.sectors;
        if within && self.capture.note(sector, sectors) {
            self.changed();
        } else {
            self.mark(sector, sectors);
        }
    }

    /// A command came past the block layer's own operations, and is about to be given to the disk, whose logical blocks have
    /// `block_sectors` sectors. What it may change is marked; where nobody knows, that is a hole. `true`: it must wait, until
    /// write-intent mode is off, and nothing is marked.
    pub fn passthrough(&self, effect: Effect<'_>, block_sectors: u64) -> bool {
        if matches!(effect, Effect::Nothing) {
            return false;
        }
        if self.intent.must_wait(0, u64::MAX) {
            return true;
        }
        match effect {
            Effect::Nothing => {}
            Effect::Blocks { first, count } => self.mark_blocks(first, count, block_sectors),
            Effect::From(first) => {
                let blocks = self.sectors.checked_div(block_sectors).unwrap_or(0);
                self.mark_blocks(first, blocks.saturating_sub(first), block_sectors)
            }
            Effect::Listed { list, extent } => list.chunks_exact(DESCRIPTOR).map(extent).for_each(|(first, count)| {
                self.mark_blocks(first, count, block_sectors);
            }),
            Effect::Unknown => self.hole(Hole::Passthrough),
        }
        false
    }

    /// A disk refuses what goes past its end.
    fn mark_blocks(&self, first: u64, count: u64, block_sectors: u64) {
        let (sector, sectors) = (first.saturating_mul(block_sectors), count.saturating_mul(block_sectors));
        if sectors != 0 && sector.saturating_add(sectors) <= self.sectors {
            self.mark(sector, sectors);
        }
    }

    /// The whole disk may change.
    pub fn mark_all(&self) {
        self.live.set(0, self.live.blocks());
        self.changed();
    }

    /// A change could not be tracked. What the file says of regions is not all then.
    pub fn hole(&self, hole: Hole) {
        self.resync.raise(hole, P::unix_time());
        self.intent.leave();
    }

    /// The disk's driver is given an operation. Before it may have completed, so that the counts are never behind.
    pub fn count(&self, op: Op, bytes: u64) {
        self.counters.add(op, bytes);
    }

    /// The disk's driver has refused the operation that was counted, which will come again or has failed.
    pub fn uncount(&self, op: Op, bytes: u64) {
        self.counters.take_back(op, bytes);
    }
}
