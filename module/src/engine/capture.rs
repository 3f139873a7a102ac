// SPDX-License-Identifier: GPL-2.0-only
//! What of a disk's writes is kept: extents as long as there is room for them, and dirty bits where there is not.

use crate::engine::{queue, Changes, Fate, Queue, Stamp, Tag, Tags};
use crate::platform::{Lock, Platform, Result};
use core::sync::atomic::{AtomicU64, AtomicU8, Ordering};

/// Capture state, which the ABI calls write-order state. Numbers as in the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Dirty bits.
    Bitmap = 1,
    /// Extents.
    Metadata = 2,
}

/// The extents of one disk, and whether more are noted.
pub struct Capture<P: Platform> {
    state: AtomicU8,
    falls: AtomicU64,
    tags_lost: AtomicU64,
    queue: P::Lock<Queue<P::Words>>,
    /// Under a lock of its own, which is taken before the queue's: a write takes the queue's alone.
    tags: P::Lock<Tags<P>>,
}

/// What is the next to be delivered.
pub enum Next<P: Platform> {
    /// A change node, with its stamp; its extents were moved.
    Node(Stamp),
    /// A tag.
    Tag(Tag<P>),
    /// A tag that nobody has committed or revoked yet.
    Held,
    /// Nothing waits.
    Nothing,
}

impl<P: Platform> Capture<P> {
    /// Nothing waits. Fails with [`crate::platform::Errno::NOMEM`].
    pub fn new() -> Result<Self> {
        let state = if P::common().high_water() == 0 { State::Bitmap } else { State::Metadata };
        let queue = P::lock(Queue::new(P::words(Queue::<P::Words>::WORDS)?))?;
        let tags = P::lock(Tags::new()?)?;
        Ok(Capture {
            state: AtomicU8::new(state as u8),
            falls: AtomicU64::new(0),
            tags_lost: AtomicU64::new(0),
            queue,
            tags,
        })
    }

    /// The state.
    #[inline]
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            2 => State::Metadata,
            _ => State::Bitmap,
        }
    }

    /// How often there was no more room for extents.
    pub fn falls(&self) -> u64 {
        self.falls.load(Ordering::Relaxed)
    }

    /// Notes that `sectors` (at least 1) from `sector` on have changed. `false`: they must be marked as dirty bits.
    pub fn note(&self, sector: u64, sectors: u64) -> bool {
        if self.state() == State::Bitmap || sectors > queue::MAX_CHANGE || sector >= queue::END - sectors {
            return false;
        }
        let common = P::common();
        let noted = self.queue.with(|queue| {
            queue.extents() < common.high_water() && queue.push(sector, sectors, &common.clock, P::unix_time).is_ok()
        });
        if !noted {
            self.fall();
        }
        noted
    }

    fn fall(&self) {
        if self.state.swap(State::Bitmap as u8, Ordering::Relaxed) != State::Bitmap as u8 {
            self.falls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes extents again where so few wait that there is room for more.
    pub fn rise(&self) {
        if self.state() == State::Bitmap && self.extents() < P::common().low_water() {
            self.state.store(State::Metadata as u8, Ordering::Relaxed);
        }
    }

    /// What comes next: a tag before the oldest node, or that node, whose extents are moved into `changes`, which is empty.
    pub fn next(&self, changes: &mut Changes) -> Next<P> {
        loop {
            let next = self.tags.with(|tags| self.next_of(tags, changes));
            // One that was taken back is dropped here, with no lock held, and the one behind it comes.
            match next {
                Next::Tag(tag) if tag.set.fate(tag.index).is_final() => {}
                next => return next,
            }
        }
    }

    fn next_of(&self, tags: &mut Tags<P>, changes: &mut Changes) -> Next<P> {
        self.queue.with(|queue| match tags.first() {
            Some((before, tag)) if *before <= queue.first() => match tag.set.fate(tag.index) {
                Fate::Held => Next::Held,
                _ => tags.pop().map_or(Next::Nothing, Next::Tag),
            },
            _ => queue.take(changes, &P::common().clock, P::unix_time).map_or(Next::Nothing, Next::Node),
        })
    }

    /// Puts a tag behind all that was noted. `false`: there is no room for it.
    pub fn tag(&self, tag: &Tag<P>, fate: Fate) -> bool {
        let common = P::common();
        self.tags.with(|tags| {
            if tags.is_full() {
                return false;
            }
            // Both under one lock: the tag's stamp is later than those of the nodes before it, and earlier than the others'.
            let (before, stamp) = self.queue.with(|queue| {
                let before = queue.cut(&common.clock, P::unix_time);
                (before, common.clock.stamp(P::unix_time()))
            });
            tag.set.place(tag.index, fate, stamp);
            tags.push(before, tag.clone());
            true
        })
    }

    /// Forgets every tag. Each is told that it is deleted.
    pub fn delete_tags(&self) {
        while let Some(tag) = self.tags.with(Tags::pop) {
            tag.set.settle(tag.index, Fate::Deleted);
            self.lost_tags(tag.set.records.tags());
        }
    }

    /// So many tags were asked for, and will not be delivered.
    pub fn lost_tags(&self, tags: usize) {
        self.tags_lost.fetch_add(tags as u64, Ordering::Relaxed);
    }

    /// Tags that were asked for and were not delivered.
    pub fn tags_lost(&self) -> u64 {
        self.tags_lost.load(Ordering::Relaxed)
    }

    /// Whether a tag waits that could be delivered.
    pub fn has_tag(&self) -> bool {
        self.tags.with(|tags| tags.first().is_some_and(|(_, tag)| tag.set.fate(tag.index) == Fate::Waiting))
    }

    /// Extents that wait.
    pub fn extents(&self) -> u64 {
        self.queue.with(|queue| queue.extents())
    }

    /// Bytes in them; what is in two extents counts twice.
    pub fn bytes(&self) -> u64 {
        self.queue.with(|queue| queue.sectors()) << 9
    }

    /// When the first extent that waits came, in 100 ns since the Unix epoch.
    pub fn oldest(&self) -> Option<u64> {
        self.queue.with(|queue| queue.oldest())
    }
}
