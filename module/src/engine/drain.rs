// SPDX-License-Identifier: GPL-2.0-only
//! Get, apply, commit: a block of changes is out until it is committed, and delivered again until then.

use crate::abi::MAX_CHANGES;
use crate::engine::data::{DataBlock, Split, WHOLE};
use crate::engine::{svd, Bitmap, Fate, Next, ResyncReport, Stamp, State, Tag, TagSet, Tracker};
use crate::platform::{Attached, Errno, Mapping, Platform, Result, User};

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
    /// Its first change's; that of `last` where it has no data.
    pub first: Stamp,
    /// Its last change's, or when the block was closed.
    pub last: Stamp,
    /// Its extents; none when nothing is pending, or it has data.
    pub changes: &'a Changes,
    /// Its changes with their data.
    pub data: Option<&'a DataBlock<P>>,
    /// The stream that the caller was given, with data or with tags.
    pub stream: Option<Stream>,
    /// What it is a part of.
    pub split: Split,
    /// The block committed before.
    pub previous: Previous,
    /// Bytes that are dirty and not in this block.
    pub pending_bytes: u64,
    /// Changes and dirty blocks that are not in this block; there are at most so many extents.
    pub pending_changes: u64,
    /// Where its changes come from; without changes: the disk's state. Of data and of tags, [`State::Data`] says that an
    /// agent that has applied all until here has the disk as it was at that moment.
    pub state: State,
    /// A hole that the agent must know of.
    pub resync: Option<ResyncReport>,
    /// The tags that the block carries instead of changes.
    pub tags: Option<&'a TagSet<P>>,
}

/// A stream in the memory of the process that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Where it begins.
    pub address: u64,
    /// Its length.
    pub bytes: u64,
}

/// The drain of one disk.
pub struct Drain<P: Platform> {
    /// Bits that are being delivered: their writes have completed.
    taken: Bitmap<P::Words>,
    /// Where in `taken` delivery stands; nothing before it is set.
    cursor: u64,
    /// The number of the change node that what is in `taken` is before. Nodes that were noted before the bits were taken come
    /// first: their data may be older.
    bits_before: u64,
    /// The stamp of the next block of bits.
    bits_stamp: Stamp,
    /// When the agent had read what was delivered without data. Data that was captured before it brings the target back to
    /// older states, until all of that is delivered.
    read_at: Stamp,
    /// On the heap: a kernel stack is small.
    changes: P::Boxed<Changes>,
    out: Option<Out<P>>,
    transaction: u64,
    previous: Previous,
    committed_bytes: u64,
    network_failures: u64,
}

/// What a block carries.
enum What<P: Platform> {
    /// Extents, which the drain has.
    Extents,
    Data(DataBlock<P>),
    Tag(Tag<P>),
    Nothing,
}

/// The block that is out.
struct Out<P: Platform> {
    stamp: Stamp,
    state: State,
    what: What<P>,
    resync: Option<ResyncReport>,
    /// Where the agent has the stream.
    mapping: Option<P::Mapping>,
}

impl<P: Platform> Out<P> {
    fn new(stamp: Stamp, state: State, what: What<P>) -> Self {
        Out { stamp, state, what, resync: None, mapping: None }
    }

    fn data(&self) -> Option<&DataBlock<P>> {
        match &self.what {
            What::Data(data) => Some(data),
            _ => None,
        }
    }

    fn tag(&self) -> Option<&Tag<P>> {
        match &self.what {
            What::Tag(tag) => Some(tag),
            _ => None,
        }
    }

    fn split(&self) -> Split {
        self.data().map_or(WHOLE, |data| data.node.split)
    }

    /// Gives the block's stream to the calling process: its data, or its tags where they are among data. Anew each time,
    /// since a process may write to what is its own.
    fn show(&mut self) -> Result<Option<Stream>> {
        let bytes = match &self.what {
            What::Data(data) => data.bytes(),
            What::Tag(tag) if self.state == State::Data => tag_stream_bytes(&tag.set),
            _ => return Ok(None),
        };
        if !self.mapping.as_ref().is_some_and(P::Mapping::is_here) {
            self.mapping = Some(P::Mapping::new(bytes)?);
        }
        let address = self.mapping.as_ref().map_or(0, P::Mapping::address);
        match &self.what {
            What::Data(data) => data.tell(address)?,
            What::Tag(tag) => tell_tags(&tag.set, self.stamp, address)?,
            What::Extents | What::Nothing => {}
        }
        Ok(Some(Stream { address, bytes }))
    }
}

impl<P: Platform> Drop for Out<P> {
    /// A tag that was out and is not committed is gone.
    fn drop(&mut self) {
        if let What::Tag(tag) = &self.what {
            tag.set.settle(tag.index, Fate::Deleted);
        }
    }
}

fn tag_stream_bytes<P: Platform>(set: &TagSet<P>) -> u64 {
    let tags: usize = set.records.names().map(|name| svd::USER_BYTES + name.len()).sum();
    (svd::OPENING + tags) as u64 + svd::AFTER
}

fn tell_tags<P: Platform>(set: &TagSet<P>, stamp: Stamp, mut to: u64) -> Result<()> {
    let mut tell = |bytes: &[u8]| {
        let at = to;
        to += bytes.len() as u64;
        P::User::write(at, bytes)
    };
    tell(&svd::opening(stamp))?;
    for name in set.records.names() {
        tell(&svd::user(name.len() as u32))?;
        tell(name)?;
    }
    tell(&svd::closing(stamp))
}

impl<P: Platform> Drain<P> {
    /// A drain that delivers by way of `taken`, an empty bitmap of the tracker's shape.
    /// Fails with [`Errno::NOMEM`].
    pub fn new(taken: Bitmap<P::Words>) -> Result<Self> {
        Ok(Drain {
            taken,
            cursor: 0,
            bits_before: 0,
            bits_stamp: Stamp::default(),
            read_at: Stamp::default(),
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
    /// nobody has committed or revoked yet, and with [`Errno::NOMEM`] or [`Errno::FAULT`] where the caller has no memory for
    /// a stream; the block is out then.
    pub fn get(&mut self, disk: &P::Attached) -> Result<Block<'_, P>> {
        if !self.is_to_be_committed() {
            self.out = None;
            self.out = Some(self.next(disk)?);
        }
        let pending_bytes = self.pending_bytes(disk);
        let capture = &disk.tracker().capture;
        let pending_changes = self.pending_blocks(disk) + capture.extents() + capture.data_changes();
        let out = self.out.as_mut().ok_or(Errno::AGAIN)?;
        out.resync = disk.tracker().resync.report();
        let stream = out.show()?;
        Ok(Block {
            transaction: self.transaction,
            first: out.data().map_or(out.stamp, |data| data.node.first),
            last: out.stamp,
            changes: &self.changes,
            data: out.data(),
            stream,
            split: out.split(),
            previous: self.previous,
            pending_bytes,
            pending_changes,
            state: out.state,
            resync: out.resync,
            tags: out.tag().map(|tag| &*tag.set),
        })
    }

    /// Whether the block that is out says something that is not to be lost.
    fn is_to_be_committed(&self) -> bool {
        self.out.as_ref().is_some_and(|out| !matches!(out.what, What::Nothing))
    }

    fn next(&mut self, disk: &P::Attached) -> Result<Out<P>> {
        disk.refresh();
        self.changes.count = 0;
        self.transaction += 1;
        let out = self.next_out(disk);
        disk.tracker().set_taken(self.taken.dirty());
        disk.tracker().set_reads_disk(self.changes.count != 0);
        out
    }

    /// Dirty bits come when the changes that were noted before they were taken have been delivered.
    fn next_out(&mut self, disk: &P::Attached) -> Result<Out<P>> {
        if let Some(stamp) = self.next_bits(disk) {
            return Ok(Out::new(stamp, State::Bitmap, What::Extents));
        }
        let capture = &disk.tracker().capture;
        Ok(match capture.next(&mut self.changes) {
            Next::Node(stamp) => Out::new(stamp, State::Metadata, What::Extents),
            Next::Data(data) => {
                let last = data.node.last;
                // A bit that waits may be of a write that is older.
                let in_order = last > self.read_at && self.pending_blocks(disk) == 0;
                Out::new(last, if in_order { State::Data } else { State::Metadata }, What::Data(data))
            }
            Next::Tag(tag) => {
                let stamp = tag.set.stamp(tag.index);
                let in_order = tag.set.is_in_write_order(tag.index) && stamp > self.read_at;
                let state = if in_order { State::Data } else { capture.state().min(State::Metadata) };
                Out::new(stamp, state, What::Tag(tag))
            }
            Next::Held => return Err(Errno::AGAIN),
            Next::Nothing => Out::new(Self::stamp(), capture.state(), What::Nothing),
        })
    }

    fn stamp() -> Stamp {
        P::common().clock.stamp(P::unix_time())
    }

    fn next_bits(&mut self, disk: &P::Attached) -> Option<Stamp> {
        let tracker = disk.tracker();
        self.refill(disk);
        if self.taken.dirty() == 0 || tracker.capture.is_before_bits(self.bits_before, self.bits_stamp) {
            return None;
        }
        // So many extents wait that there may soon be no room for more: they go first.
        let waiting = tracker.capture.extents();
        if waiting != 0 && waiting >= P::common().low_water() {
            self.place_bits(disk);
            return None;
        }
        self.fill(tracker.block_shift(), tracker.sectors() << 9);
        let stamp = self.bits_stamp;
        self.bits_stamp = stamp.next();
        Some(stamp)
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
            self.place_bits(disk);
        }
    }

    /// Puts the bits behind all that was noted.
    fn place_bits(&mut self, disk: &P::Attached) {
        // A block has as many extents as it can, and an extent has a bit at least.
        let blocks = self.taken.dirty() / MAX_CHANGES as u64 + 1;
        (self.bits_before, self.bits_stamp) = disk.tracker().capture.place_for_bits(blocks);
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
        self.previous = Previous { stamp: out.stamp, split: out.split().part };
        self.committed_bytes += self.changes.bytes() + out.data().map_or(0, |data| data.node.bytes);
        if self.changes.count != 0 {
            self.read_at = P::common().clock.last();
            disk.tracker().set_reads_disk(false);
        }
        let set = out.tag().map(|tag| {
            tag.set.settle(tag.index, Fate::Drained);
            tag.set.clone()
        });
        self.changes.count = 0;
        self.out = None;
        Ok(set)
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

    /// The number of the block that was given last.
    #[cfg(feature = "telemetry")]
    pub fn transaction(&self) -> u64 {
        self.transaction
    }

    /// How often the network failed the agent.
    pub fn network_failures(&self) -> u64 {
        self.network_failures
    }

    /// Bytes that were committed.
    pub fn committed_bytes(&self) -> u64 {
        self.committed_bytes
    }

    /// Whether nothing waits, or is out, of what was noted before the place of [`crate::engine::Capture::place_for_bits`].
    pub fn is_committed(&self, tracker: &Tracker<P>, node: u64, stamp: Stamp) -> bool {
        let bits = self.taken.dirty() + tracker.live().dirty();
        bits == 0 && !self.is_to_be_committed() && !tracker.capture.is_before_bits(node, stamp)
    }

    /// Whether nothing but dirty bits waits, and nothing is out.
    pub(crate) fn has_bits_alone(&self, tracker: &Tracker<P>) -> bool {
        let noted = tracker.capture.extents() + tracker.capture.data_changes();
        self.taken.dirty() == 0 && !self.is_to_be_committed() && noted == 0
    }

    /// Forgets every change, the block that is out, and that a resync is required. What is in flight is kept.
    pub fn clear(&mut self, disk: &P::Attached) {
        let tracker = disk.tracker();
        // As many blocks as wait now: a busy disk would never come to an end.
        tracker.capture.delete_tags();
        for _ in 0..=self.pending_blocks(disk) + tracker.capture.extents() + tracker.capture.data_changes() {
            self.out = self.next(disk).ok();
            if !self.is_to_be_committed() {
                break;
            }
        }
        tracker.set_reads_disk(false);
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

    /// Marks all that waits as dirty bits of `tracker`: what is out, what was taken, extents and data. Tags are deleted.
    pub(super) fn put_back(&mut self, tracker: &Tracker<P>) {
        tracker.capture.delete_tags();
        if let Some(data) = self.out.take().as_ref().and_then(Out::data) {
            mark_data(tracker, data);
        }
        self.mark_changes(tracker);
        loop {
            match tracker.capture.next(&mut self.changes) {
                Next::Node(_) => self.mark_changes(tracker),
                Next::Data(data) => mark_data(tracker, &data),
                Next::Tag(_) | Next::Held | Next::Nothing => break,
            }
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

    /// The disk's state as a whole: data alone, or extents, or dirty bits as well.
    pub fn state(&self, disk: &P::Attached) -> State {
        let capture = &disk.tracker().capture;
        match (self.pending_blocks(disk), capture.extents()) {
            (0, 0) => capture.state(),
            (0, _) => capture.state().min(State::Metadata),
            _ => State::Bitmap,
        }
    }
}

fn mark_data<P: Platform>(tracker: &Tracker<P>, data: &DataBlock<P>) {
    data.each_change(|offset, length| tracker.mark(offset >> 9, u64::from(length) >> 9));
}
