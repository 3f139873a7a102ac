// SPDX-License-Identifier: GPL-2.0-only
//! Change nodes with data. A node's changes are written where they are to be read: as the stream that an agent gets, in
//! chunks of the pool. Whoever adds a change takes its room under the queue's lock, and fills it without.

use crate::abi::dirty_block::{FLAG_SPLIT_END, FLAG_SPLIT_PART, FLAG_SPLIT_START};
use crate::engine::pool::{Chunks, Share};
use crate::engine::queue::{COUNT, DATA, OPENED, STAMP};
use crate::engine::{svd, Clock, Full, Queue, Stamp};
use crate::platform::{Platform, Result, CHUNK};
use crate::sync::AtomicU64;
use core::ops::Deref;

/// A change whose stamp is so much later than the first one's does not fit behind it: the ABI has 32 bits.
const MAX_DELTA: u64 = 0xffff_fffe;

/// Which part of a write that is larger than a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// From 1; a whole write is the first part of one.
    pub part: u32,
    /// The ABI's flags of it; none of a whole write.
    pub flags: u32,
}

/// All of a write.
pub const WHOLE: Split = Split { part: 1, flags: 0 };

/// What a closed node says of itself.
#[derive(Debug, Clone, Copy)]
pub struct DataNode {
    /// Its first change's.
    pub first: Stamp,
    /// Its last change's.
    pub last: Stamp,
    /// Its changes.
    pub changes: u32,
    /// Bytes that they changed.
    pub bytes: u64,
    /// What they are parts of.
    pub split: Split,
    /// Bytes of the stream, without its end.
    stream: u64,
    chunks: Chunks,
}

/// Where a change goes that has its room.
#[derive(Debug)]
pub struct Place {
    /// The number of its node.
    pub node: u64,
    chunk: u32,
    offset: usize,
    header: [u8; svd::CHANGE_BYTES as usize],
    length: usize,
}

impl Place {
    /// Writes the change, with the payload's next bytes as its data.
    pub fn fill<P: Platform>(&self, share: &Share<P>, payload: &mut P::Payload) {
        let mut cursor = share.cursor(self.chunk, self.offset);
        cursor.write(&self.header);
        cursor.fill(self.length, payload);
    }
}

/// Words of a node in the queue's ring, behind those that every node has.
mod word {
    pub const FIRST: usize = 3;
    pub const BYTES: usize = 4;
    pub const STREAM: usize = 5;
    pub const HEAD: usize = 6;
    pub const TAIL: usize = 7;
    pub const CHUNKS: usize = 8;
    /// The chunk that the stream's end is in.
    pub const END: usize = 9;
    pub const SPLIT: usize = 10;
}

/// A change of a disk, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    offset: u64,
    length: u64,
}

impl Change {
    /// `sectors` (at least 1) from `sector` on.
    pub fn new(sector: u64, sectors: u64) -> Self {
        Change { offset: sector << 9, length: sectors << 9 }
    }

    /// How many nodes it takes whose streams have at most `most` bytes.
    pub fn parts(self, most: u64) -> u64 {
        self.length.div_ceil(most_in_node(most))
    }

    /// One of these parts, from 0.
    pub fn part(self, part: u64, most: u64) -> Change {
        let before = part * most_in_node(most);
        Change { offset: self.offset + before, length: (self.length - before).min(most_in_node(most)) }
    }

    fn split(self, part: u64, most: u64) -> Split {
        let flags = match part {
            0 => FLAG_SPLIT_START,
            part if part + 1 == self.parts(most) => FLAG_SPLIT_END,
            _ => FLAG_SPLIT_PART,
        };
        Split { part: part as u32 + 1, flags }
    }
}

/// The most that a change may have in a node whose stream has `most` bytes, in bytes.
pub fn most_in_node(most: u64) -> u64 {
    (most - svd::BEFORE - svd::CHANGE_BYTES - svd::AFTER) & !511
}

impl<W: Deref<Target = [AtomicU64]>> Queue<W> {
    /// Takes room for a change that fits into a node whose stream has at most `most` bytes.
    pub fn reserve<P: Platform>(
        &mut self,
        change: Change,
        most: u64,
        share: &Share<P>,
        clock: &Clock,
    ) -> core::result::Result<Place, Full> {
        // Extents that are open get their stamp when they are closed: before this one.
        if !self.is_data {
            self.cut(clock, P::unix_time);
        }
        let stamp = clock.stamp(P::unix_time());
        if self.fits(change, stamp, most) {
            self.lengthen(change, share)?;
        } else {
            let chunks = share.take(chunks_for(change)).ok_or(Full)?;
            if self.open_data(stamp, WHOLE, chunks, clock, P::unix_time).is_err() {
                share.give(chunks);
                return Err(Full);
            }
        }
        Ok(self.append(change, stamp, share))
    }

    /// Takes room for a change that does not fit into a node, in nodes of its own with one stamp. All or nothing. Gives the
    /// number of the first one; each is [`Self::part`] of it.
    pub fn reserve_parts<P: Platform>(
        &mut self,
        change: Change,
        most: u64,
        share: &Share<P>,
        clock: &Clock,
    ) -> core::result::Result<u64, Full> {
        if self.nodes_left() <= change.parts(most) {
            return Err(Full);
        }
        let needed = (0..change.parts(most)).map(|part| chunks_for(change.part(part, most))).sum();
        let mut chunks = share.take(needed).ok_or(Full)?;
        let first = self.cut(clock, P::unix_time);
        let stamp = clock.stamp(P::unix_time());
        for part in 0..change.parts(most) {
            let piece = change.part(part, most);
            let (mine, rest) = share.split(chunks, chunks_for(piece)).unwrap_or((chunks, chunks));
            chunks = rest;
            self.open_data(stamp, change.split(part, most), mine, clock, P::unix_time)?;
            self.append(piece, stamp, share);
            self.cut(clock, P::unix_time);
        }
        Ok(first)
    }

    /// Where a part goes whose node is `node`.
    pub fn part(&self, node: u64, piece: Change) -> Place {
        self.place(node, piece, self.get(node, word::HEAD) as u32, svd::BEFORE, 0)
    }

    fn fits(&self, change: Change, stamp: Stamp, most: u64) -> bool {
        self.is_data
            && self.count != 0
            && self.get(self.open, word::STREAM) + svd::CHANGE_BYTES + change.length + svd::AFTER <= most
            && stamp.time() - self.get(self.open, word::FIRST) < MAX_DELTA
    }

    /// Closes the open node and opens one with data in those chunks.
    fn open_data(
        &mut self,
        stamp: Stamp,
        split: Split,
        chunks: Chunks,
        clock: &Clock,
        now: impl Fn() -> u64,
    ) -> core::result::Result<(), Full> {
        if self.nodes_left() <= u64::from(self.count != 0) {
            return Err(Full);
        }
        self.cut(clock, now);
        self.is_data = true;
        self.set(self.open, OPENED, stamp.time());
        self.set(self.open, word::FIRST, stamp.time());
        self.set(self.open, word::BYTES, 0);
        self.set(self.open, word::STREAM, svd::BEFORE);
        self.set(self.open, word::HEAD, chunks.first.into());
        self.set(self.open, word::END, chunks.first.into());
        self.set(self.open, word::TAIL, chunks.last.into());
        self.set(self.open, word::CHUNKS, chunks.count);
        self.set(self.open, word::SPLIT, u64::from(split.part) | (u64::from(split.flags) << 32));
        Ok(())
    }

    /// Takes chunks for one more change, and for the stream's end behind it.
    fn lengthen<P: Platform>(&mut self, change: Change, share: &Share<P>) -> core::result::Result<(), Full> {
        let stream = self.get(self.open, word::STREAM) + svd::CHANGE_BYTES + change.length + svd::AFTER;
        let missing = stream.div_ceil(CHUNK as u64).saturating_sub(self.get(self.open, word::CHUNKS));
        if missing != 0 {
            let more = share.take(missing).ok_or(Full)?;
            let all = share.join_chains(self.chunks(self.open), more);
            self.set(self.open, word::TAIL, all.last.into());
            self.set(self.open, word::CHUNKS, all.count);
        }
        Ok(())
    }

    /// Adds a change to the open node, which has room for it.
    fn append<P: Platform>(&mut self, change: Change, stamp: Stamp, share: &Share<P>) -> Place {
        let node = self.open;
        let (stream, end) = (self.get(node, word::STREAM), self.get(node, word::END) as u32);
        let behind = stream + svd::CHANGE_BYTES + change.length;
        let steps = behind / CHUNK as u64 - stream / CHUNK as u64;
        // The chain goes on for as long as the stream's end, so it has that chunk.
        self.set(node, word::END, share.at(end, steps).unwrap_or(end).into());
        self.set(node, word::STREAM, behind);
        self.set(node, word::BYTES, self.get(node, word::BYTES) + change.length);
        self.set(node, STAMP, stamp.time());
        self.count += 1;
        self.data_changes += 1;
        self.sectors += change.length >> 9;
        let delta = stamp.time() - self.get(node, word::FIRST);
        self.place(node, change, end, stream, delta as u32)
    }

    fn place(&self, node: u64, change: Change, chunk: u32, stream: u64, delta: u32) -> Place {
        Place {
            node,
            chunk,
            offset: stream as usize % CHUNK,
            header: svd::change(change.offset, change.length as u32, delta),
            length: change.length as usize,
        }
    }

    #[inline]
    fn chunks(&self, node: u64) -> Chunks {
        Chunks {
            first: self.get(node, word::HEAD) as u32,
            last: self.get(node, word::TAIL) as u32,
            count: self.get(node, word::CHUNKS),
        }
    }

    /// Gives back the chunks of all nodes, which are of no use after that.
    pub fn drop_data<P: Platform>(&mut self, share: &Share<P>) {
        let end = self.open + u64::from(self.count != 0);
        let open = (self.count != 0 && self.is_data).then_some(self.open);
        let has_data = |node: &u64| open == Some(*node) || (*node < self.open && self.get(*node, COUNT) & DATA != 0);
        (self.first..end).filter(has_data).for_each(|node| share.give(self.chunks(node)));
        self.first = end;
    }

    /// Takes the oldest node, which is closed and has data that is all there.
    pub fn take_data(&mut self) -> DataNode {
        let node = self.first;
        let (changes, split) = (self.get(node, COUNT) & !DATA, self.get(node, word::SPLIT));
        let bytes = self.get(node, word::BYTES);
        self.first += 1;
        self.data_changes -= changes;
        self.sectors -= bytes >> 9;
        DataNode {
            first: Stamp::from_word(self.get(node, word::FIRST)),
            last: Stamp::from_word(self.get(node, STAMP)),
            changes: changes as u32,
            bytes,
            split: Split { part: split as u32, flags: (split >> 32) as u32 },
            stream: self.get(node, word::STREAM),
            chunks: self.chunks(node),
        }
    }
}

/// Chunks of a node that has one change.
fn chunks_for(change: Change) -> u64 {
    (svd::BEFORE + svd::CHANGE_BYTES + change.length + svd::AFTER).div_ceil(CHUNK as u64)
}

/// A node with data that was taken from its queue. Its chunks are given back when it is dropped.
pub struct DataBlock<P: Platform> {
    /// What it says of itself.
    pub node: DataNode,
    share: P::Shared<Share<P>>,
}

impl<P: Platform> DataBlock<P> {
    /// Writes the stream's beginning and end.
    pub(super) fn new(node: DataNode, share: P::Shared<Share<P>>) -> Self {
        let mut start = share.cursor(node.chunks.first, 0);
        start.write(&svd::opening(node.first));
        start.write(&svd::content(node.stream - svd::BEFORE));
        let chunk = share.at(node.chunks.first, node.stream / CHUNK as u64).unwrap_or(node.chunks.last);
        share.cursor(chunk, node.stream as usize % CHUNK).write(&svd::closing(node.last));
        DataBlock { node, share }
    }

    /// Bytes of the stream.
    pub fn bytes(&self) -> u64 {
        self.node.stream + svd::AFTER
    }

    /// Tells offset and length of each change, in bytes.
    pub(super) fn each_change(&self, mut tell: impl FnMut(u64, u32)) {
        let mut cursor = self.share.cursor(self.node.chunks.first, 0);
        cursor.skip(svd::BEFORE);
        for _ in 0..self.node.changes {
            let mut header = [0; svd::CHANGE_BYTES as usize];
            cursor.read(&mut header);
            let (offset, length) = svd::offset_and_length(&header);
            tell(offset, length);
            cursor.skip(length.into());
        }
    }

    /// Copies the stream to the calling process. Fails with [`crate::platform::Errno::FAULT`].
    pub(super) fn tell(&self, to: u64) -> Result<()> {
        self.share.cursor(self.node.chunks.first, 0).tell(self.bytes(), to)
    }
}

impl<P: Platform> Drop for DataBlock<P> {
    fn drop(&mut self) {
        self.share.give(self.node.chunks);
    }
}
