// SPDX-License-Identifier: GPL-2.0-only
//! Get, apply, commit: a block of changes is out until it is committed, and delivered again until then.

use crate::abi::MAX_CHANGES;
use crate::engine::{Bitmap, Fate, Next, ResyncReport, Stamp, State, Tag, TagSet, Tracker};
use crate::platform::{Attached, Errno, Platform, Result};

/// Longest extent that is reported, in bytes: the ABI's length field has 32 bits, and agents read extents whole.
const MAX_EXTENT_BYTES: u64 = 1 << 20;

/// Extents of one block, in bytes from the start of the disk.
pub struct Changes {
    offsets: [u64; MAX_CHANGES],
    lengths: [u32; MAX_CHANGES],
    count: usize,
}

impl Changes {
    const fn new() -> Self {
        Changes { offsets: [0; MAX_CHANGES], lengths: [0; MAX_CHANGES], count: 0 }
    }

    /// Adds an extent; there is room for [`MAX_CHANGES`].
    pub(super) fn push(&mut self, offset: u64, length: u32) {
        self.offsets[self.count] = offset;
        self.lengths[self.count] = length;
        self.count += 1;
    }

    fn is_full(&self) -> bool {
        self.count == MAX_CHANGES
    }

    /// Offsets in bytes.
    pub fn offsets(&self) -> &[u64] {
        &self.offsets[..self.count]
    }

    /// Lengths in bytes, one for each offset.
    pub fn lengths(&self) -> &[u32] {
        &self.lengths[..self.count]
    }

    /// Bytes that all of them cover.
    pub fn bytes(&self) -> u64 {
        self.lengths().iter().map(|&length| u64::from(length)).sum()
    }
}

/// The end of the block that was committed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// When and in which place it ended.
    pub stamp: Stamp,
    /// Its split part.
    pub split: u32,
}

impl Previous {
    /// No block was committed.
    pub const NONE: Previous = Previous { stamp: Stamp::from_word(0), split: 0 };
    /// Nobody knows which one it was.
    pub const UNKNOWN: Previous = Previous { stamp: Stamp::from_word(u64::MAX), split: u32::MAX };
}

/// A block of changes, as it goes to the agent.
pub struct Block<'a, P: Platform> {
    /// What the agent commits it by.
    pub transaction: u64,
    /// When the block was closed.
    pub stamp: Stamp,
    /// Its extents; none when nothing is pending.
    pub changes: &'a Changes,
    /// The block committed before.
    pub previous: Previous,
    /// Bytes that are dirty and not in this block.
    pub pending_bytes: u64,
    /// Extents and dirty blocks that are not in this block; there are at most so many extents.
    pub pending_changes: u64,
    /// Where its changes come from; without changes: the disk's state.
    pub state: State,
    /// A hole that the agent must know of.
    pub resync: Option<ResyncReport>,
    /// The tags that the block carries instead of changes.
    pub tags: Option<&'a TagSet<P>>,
}

/// The drain of one disk.
pub struct Drain<P: Platform> {
    /// Bits that are being delivered: their writes have completed.
    taken: Bitmap<P::Words>,
    /// Where in `taken` delivery stands; nothing before it is set.
    cursor: u64,
    /// On the heap: a kernel stack is small.
    changes: P::Boxed<Changes>,
    out: Option<Out<P>>,
    transaction: u64,
    previous: Previous,
    committed_bytes: u64,
    network_failures: u64,
}

/// What is to be delivered next.
enum Found<P: Platform> {
    Changes(Stamp, State),
    Tag(Tag<P>),
    Nothing,
}

/// The block that is out.
struct Out<P: Platform> {
    stamp: Stamp,
    state: State,
    resync: Option<ResyncReport>,
    tag: Option<Tag<P>>,
}

impl<P: Platform> Drop for Out<P> {
    /// A tag that was out and is not committed is gone.
    fn drop(&mut self) {
        if let Some(tag) = &self.tag {
            tag.set.settle(tag.index, Fate::Deleted);
        }
    }
}

impl<P: Platform> Drain<P> {
    /// A drain that delivers by way of `taken`, an empty bitmap of the tracker's shape.
    /// Fails with [`Errno::NOMEM`].
    pub fn new(taken: Bitmap<P::Words>) -> Result<Self> {
        Ok(Drain {
            taken,
            cursor: 0,
            changes: P::boxed(Changes::new())?,
            out: None,
            transaction: 0,
            previous: Previous::NONE,
            committed_bytes: 0,
            network_failures: 0,
        })
    }

    /// The block that is out, or the next one, which is without changes and tags when nothing is pending. Such a block is
    /// not delivered again: the next one takes its place. Fails with [`Errno::AGAIN`] where the next one is a tag that
    /// nobody has committed or revoked yet.
    pub fn get(&mut self, disk: &P::Attached) -> Result<Block<'_, P>> {
        if !self.is_to_be_committed() {
            self.out = None;
            self.out = Some(self.next(disk)?);
        }
        let pending_bytes = self.pending_bytes(disk);
        let pending_changes = self.pending_blocks(disk) + disk.tracker().capture.extents();
        let out = self.out.as_mut().ok_or(Errno::AGAIN)?;
        out.resync = disk.tracker().resync.report();
        Ok(Block {
            transaction: self.transaction,
            stamp: out.stamp,
            changes: &self.changes,
            previous: self.previous,
            pending_bytes,
            pending_changes,
            state: out.state,
            resync: out.resync,
            tags: out.tag.as_ref().map(|tag| &*tag.set),
        })
    }

    /// Whether the block that is out says something that is not to be lost.
    fn is_to_be_committed(&self) -> bool {
        self.out.as_ref().is_some_and(|out| self.changes.count != 0 || out.tag.is_some())
    }

    fn next(&mut self, disk: &P::Attached) -> Result<Out<P>> {
        disk.refresh();
        self.changes.count = 0;
        self.transaction += 1;
        let found = self.next_changes(disk);
        disk.tracker().set_taken(self.taken.dirty());
        let now = disk.tracker().capture.state();
        let (stamp, state, tag) = match found? {
            Found::Changes(stamp, state) => (stamp, state, None),
            Found::Tag(tag) => (tag.set.stamp(tag.index), now, Some(tag)),
            Found::Nothing => (Self::stamp(), now, None),
        };
        Ok(Out { stamp, state, resync: None, tag })
    }

    fn stamp() -> Stamp {
        P::common().clock.stamp(P::unix_time())
    }

    /// Dirty bits come first, unless so many extents wait that there may soon be no room for more.
    fn next_changes(&mut self, disk: &P::Attached) -> Result<Found<P>> {
        let waiting = disk.tracker().capture.extents();
        let bits = if waiting == 0 || waiting < P::common().low_water() { self.next_bits(disk) } else { None };
        if let Some((stamp, state)) = bits {
            return Ok(Found::Changes(stamp, state));
        }
        match disk.tracker().capture.next(&mut self.changes) {
            Next::Node(stamp) => Ok(Found::Changes(stamp, State::Metadata)),
            Next::Tag(tag) => Ok(Found::Tag(tag)),
            Next::Held => Err(Errno::AGAIN),
            Next::Nothing => Ok(Found::Nothing),
        }
    }

    fn next_bits(&mut self, disk: &P::Attached) -> Option<(Stamp, State)> {
        let tracker = disk.tracker();
        self.refill(disk);
        self.fill(tracker.block_shift(), tracker.sectors() << 9);
        (self.changes.count != 0).then(|| (Self::stamp(), State::Bitmap))
    }

    /// Takes what was marked since the last time, and waits until those writes have completed. Before that the disk
    /// rises to a better state, so that what comes now is not marked, and marks come to an end however busy the disk is.
    fn refill(&mut self, disk: &P::Attached) {
        let tracker = disk.tracker();
        if self.taken.dirty() != 0 {
            return;
        }
        tracker.capture.rise();
        if tracker.live().dirty() != 0 {
            tracker.live().move_into(&self.taken);
            self.cursor = 0;
            disk.settle();
        }
    }

    fn fill(&mut self, block_shift: u32, disk_bytes: u64) {
        while !self.changes.is_full() {
            let Some(run) = self.taken.take_run(self.cursor, (MAX_EXTENT_BYTES >> block_shift).max(1)) else { break };
            self.cursor = run.first + run.blocks;
            let offset = run.first << block_shift;
            let end = (self.cursor << block_shift).min(disk_bytes);
            self.changes.push(offset, (end - offset) as u32);
        }
    }

    /// The agent has the block: it is not delivered again. `resync_started` takes back the hole it was told of.
    ///
    /// Gives the set of the tag that the block carried. Fails with [`Errno::FAULT`] when no block is out or it is another
    /// one, and changes nothing. A block without changes needs no commit: a wrong id is then no error, as agents expect.
    pub fn commit(
        &mut self,
        disk: &P::Attached,
        transaction: u64,
        resync_started: bool,
    ) -> Result<Option<P::Shared<TagSet<P>>>> {
        let must = self.is_to_be_committed();
        let Some(out) = &mut self.out else { return Err(Errno::FAULT) };
        if transaction != self.transaction {
            return if must { Err(Errno::FAULT) } else { Ok(None) };
        }
        if let (true, Some(reported)) = (resync_started, out.resync) {
            disk.tracker().resync.acknowledge(reported);
        }
        self.previous = Previous { stamp: out.stamp, split: 1 };
        self.committed_bytes += self.changes.bytes();
        let tag = out.tag.take();
        self.changes.count = 0;
        self.out = None;
        Ok(tag.map(|tag| {
            tag.set.settle(tag.index, Fate::Drained);
            tag.set
        }))
    }

    /// The agent could not bring the block that is out to its target, because of the network where that is said.
    /// Fails with [`Errno::FAULT`] when no block is out or it is another one.
    pub fn commit_failed(&mut self, transaction: u64, network: bool) -> Result<()> {
        if self.out.is_none() || transaction != self.transaction {
            return Err(Errno::FAULT);
        }
        self.network_failures += u64::from(network);
        Ok(())
    }

    /// How often the network failed the agent.
    pub fn network_failures(&self) -> u64 {
        self.network_failures
    }

    /// Bytes that were committed.
    pub fn committed_bytes(&self) -> u64 {
        self.committed_bytes
    }

    /// Forgets every change, the block that is out, and that a resync is required. What is in flight is kept.
    pub fn clear(&mut self, disk: &P::Attached) {
        let tracker = disk.tracker();
        // As many blocks as wait now: a busy disk would never come to an end.
        tracker.capture.delete_tags();
        for _ in 0..=self.pending_blocks(disk) + tracker.capture.extents() {
            if self.next(disk).is_err() || self.changes.count == 0 {
                break;
            }
        }
        if let Some(reported) = tracker.resync.report() {
            tracker.resync.acknowledge(reported);
        }
        self.changes.count = 0;
        self.out = None;
    }

    /// What was committed last was so before a reload or a boot.
    pub(super) fn follow(&mut self, previous: Previous) {
        self.previous = previous;
    }

    /// Marks all that waits as dirty bits of `tracker`: what is out, what was taken, and the extents. Tags are deleted.
    pub(super) fn put_back(&mut self, tracker: &Tracker<P>) {
        tracker.capture.delete_tags();
        self.out = None;
        self.mark_changes(tracker);
        while let Next::Node(_) = tracker.capture.next(&mut self.changes) {
            self.mark_changes(tracker);
        }
        self.taken.move_into(tracker.live());
        tracker.set_taken(0);
    }

    fn mark_changes(&mut self, tracker: &Tracker<P>) {
        for (offset, length) in self.changes.offsets().iter().zip(self.changes.lengths()) {
            tracker.mark(offset >> 9, u64::from(*length) >> 9);
        }
        self.changes.count = 0;
    }

    /// The end of the block that was committed last.
    pub fn previous(&self) -> Previous {
        self.previous
    }

    /// Dirty blocks that wait, those of the block that is out not counted.
    pub fn pending_blocks(&self, disk: &P::Attached) -> u64 {
        self.taken.dirty() + disk.tracker().live().dirty()
    }

    /// Bytes that wait, those of the block that is out not counted.
    pub fn pending_bytes(&self, disk: &P::Attached) -> u64 {
        disk.tracker().pending_bytes()
    }

    /// The disk's state as a whole: extents alone, or dirty bits as well.
    pub fn state(&self, disk: &P::Attached) -> State {
        match self.pending_blocks(disk) {
            0 => disk.tracker().capture.state(),
            _ => State::Bitmap,
        }
    }
}
