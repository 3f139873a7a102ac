// SPDX-License-Identifier: GPL-2.0-only
//! What of a disk's writes is kept: their data or extents as long as there is room for them, and dirty bits where there is
//! not.

use crate::engine::data::{Change, DataBlock, Place};
use crate::engine::pool::{Pool, Share};
use crate::engine::queue::{self, Oldest, NODES};
#[cfg(feature = "telemetry")]
use crate::engine::Service;
use crate::engine::{Changes, Fate, Queue, Stamp, Tag, Tags};
use crate::platform::{Lock, Platform, Result};
#[cfg(feature = "telemetry")]
use crate::telemetry::{Turns, Why};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, Ordering};

/// Capture state, which the ABI calls write-order state. Numbers as in the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// Dirty bits.
    Bitmap = 1,
    /// Extents.
    Metadata = 2,
    /// Data, in write order.
    Data = 3,
}

impl State {
    #[inline]
    fn from_number(number: u8) -> State {
        match number {
            3 => State::Data,
            2 => State::Metadata,
            _ => State::Bitmap,
        }
    }
}

/// The changes of one disk, and how more are noted.
pub struct Capture<P: Platform> {
    state: AtomicU8,
    /// Whether the disk's data may be captured.
    data_allowed: AtomicBool,
    share: P::Shared<Share<P>>,
    /// Of each node, how many changes have room in it and are not there yet. Not under the lock: whoever fills a change
    /// would take it once more.
    filling: P::Words,
    falls: AtomicU64,
    data_falls: AtomicU64,
    tags_lost: AtomicU64,
    /// When the state changed.
    #[cfg(feature = "telemetry")]
    pub turns: Turns,
    queue: P::Lock<Queue<P::Words>>,
    /// Under a lock of its own, which is taken before the queue's: a write takes the queue's alone.
    tags: P::Lock<Tags<P>>,
}

/// What is the next to be delivered.
pub enum Next<P: Platform> {
    /// A change node, with its stamp; its extents were moved.
    Node(Stamp),
    /// A change node with data.
    Data(DataBlock<P>),
    /// A tag.
    Tag(Tag<P>),
    /// A tag that nobody has committed or revoked yet.
    Held,
    /// Nothing waits.
    Nothing,
}

/// What is first in the queue.
enum First<P: Platform> {
    Node(Option<Oldest>),
    Tag(Tag<P>),
    Held,
}

impl<P: Platform> Capture<P> {
    /// Nothing waits. Data is captured in memory of `pool`. Fails with [`crate::platform::Errno::NOMEM`].
    pub fn new(pool: P::Shared<Pool<P>>) -> Result<Self> {
        let state = if P::common().high_water() == 0 { State::Bitmap } else { State::Metadata };
        let capture = Capture {
            state: AtomicU8::new(state as u8),
            data_allowed: AtomicBool::new(P::common().limits.data_for_new.load(Ordering::Relaxed) != 0),
            share: P::shared(Share::new(pool))?,
            filling: P::words(NODES as usize)?,
            falls: AtomicU64::new(0),
            data_falls: AtomicU64::new(0),
            tags_lost: AtomicU64::new(0),
            #[cfg(feature = "telemetry")]
            turns: Turns::default(),
            queue: P::lock(Queue::new(P::words(Queue::<P::Words>::WORDS)?))?,
            tags: P::lock(Tags::new()?)?,
        };
        capture.rise();
        Ok(capture)
    }

    /// The state.
    #[inline]
    pub fn state(&self) -> State {
        State::from_number(self.state.load(Ordering::Relaxed))
    }

    /// How often there was no more room for extents.
    pub fn falls(&self) -> u64 {
        self.falls.load(Ordering::Relaxed)
    }

    /// How often there was no more room for data.
    pub fn data_falls(&self) -> u64 {
        self.data_falls.load(Ordering::Relaxed)
    }

    /// Whether the disk's data may be captured.
    pub fn is_data_allowed(&self) -> bool {
        self.data_allowed.load(Ordering::Relaxed)
    }

    /// It may, or may not.
    pub fn allow_data(&self, allowed: bool) {
        self.data_allowed.store(allowed, Ordering::Relaxed);
        if !allowed {
            self.stop_data();
        }
    }

    /// Keeps a change of `sectors` (at least 1) from `sector` on with its data, all of it in `payload`. `false`: it must be
    /// noted without.
    pub fn keep(&self, sector: u64, sectors: u64, payload: &mut P::Payload) -> bool {
        if self.state() != State::Data || sectors > queue::MAX_CHANGE {
            return false;
        }
        let most = P::common().longest_stream();
        let change = Change::new(sector, sectors);
        let kept = match change.parts(most) {
            1 => self.reserve(change, most).is_ok_and(|place| {
                self.fill(&place, payload);
                true
            }),
            parts => self.keep_parts(change, parts, most, payload),
        };
        if !kept && self.change_state(State::Data, State::Metadata) {
            self.data_falls.fetch_add(1, Ordering::Relaxed);
        }
        kept
    }

    fn reserve(&self, change: Change, most: u64) -> core::result::Result<Place, queue::Full> {
        self.queue.with(|queue| {
            let place = queue.reserve(change, most, &*self.share, &P::common().clock)?;
            self.filling(place.node).fetch_add(1, Ordering::Relaxed);
            Ok(place)
        })
    }

    #[cold]
    fn keep_parts(&self, change: Change, parts: u64, most: u64, payload: &mut P::Payload) -> bool {
        let reserved = self.queue.with(|queue| {
            let first = queue.reserve_parts(change, most, &*self.share, &P::common().clock)?;
            for node in first..first + parts {
                self.filling(node).fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, queue::Full>(first)
        });
        let Ok(first) = reserved else { return false };
        for part in 0..parts {
            let place = self.queue.with(|queue| queue.part(first + part, change.part(part, most)));
            self.fill(&place, payload);
        }
        true
    }

    fn fill(&self, place: &Place, payload: &mut P::Payload) {
        place.fill(&*self.share, payload);
        self.filling(place.node).fetch_sub(1, Ordering::Release);
    }

    fn filling(&self, node: u64) -> &crate::sync::AtomicU64 {
        &self.filling[(node % NODES) as usize]
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
        let from = State::from_number(self.state.swap(State::Bitmap as u8, Ordering::Relaxed));
        if from != State::Bitmap {
            self.falls.fetch_add(1, Ordering::Relaxed);
            #[cfg(feature = "telemetry")]
            self.turned(from, State::Bitmap);
        }
    }

    /// Captures no more data, but extents.
    pub fn stop_data(&self) {
        self.change_state(State::Data, State::Metadata);
    }

    /// Whether it was the state `from`.
    fn change_state(&self, from: State, to: State) -> bool {
        let is_changed =
            self.state.compare_exchange(from as u8, to as u8, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        #[cfg(feature = "telemetry")]
        if is_changed {
            self.turned(from, to);
        }
        is_changed
    }

    #[cfg(feature = "telemetry")]
    fn turned(&self, from: State, to: State) {
        let why = if to == State::Bitmap {
            Why::Bits
        } else if P::common().service() != Service::Running {
            Why::ServiceWent
        } else if P::common().captures_data() && self.is_data_allowed() {
            Why::NoRoom
        } else {
            Why::DataOff
        };
        self.turns.turned(from, to, why, P::unix_time());
    }

    /// Notes extents again where so few wait that there is room for more, and data where its service is there, and no more
    /// of it waits than the disk is promised room for. May sleep.
    pub fn rise(&self) {
        if self.state() == State::Bitmap && self.extents() < P::common().low_water() {
            self.change_state(State::Bitmap, State::Metadata);
        }
        if P::common().captures_data() && self.is_data_allowed() && self.share.is_within_promise() {
            self.share.join();
            self.change_state(State::Metadata, State::Data);
        }
    }

    /// A place behind all that was noted, for up to `blocks` blocks of dirty bits: the number of the node that they are
    /// before, and the first of as many stamps.
    pub fn place_for_bits(&self, blocks: u64) -> (u64, Stamp) {
        let clock = &P::common().clock;
        self.queue.with(|queue| (queue.cut(clock, P::unix_time), clock.stamps(P::unix_time(), blocks)))
    }

    /// Whether changes or a tag are to be delivered before the bits with that place and stamp.
    pub fn is_before_bits(&self, node: u64, stamp: Stamp) -> bool {
        self.tags.with(|tags| {
            let is_tag = tags.first().is_some_and(|(_, tag)| tag.set.stamp(tag.index) < stamp);
            is_tag || self.queue.with(|queue| queue.first() < node)
        })
    }

    /// What comes next: a tag before the oldest node, or that node, whose extents are moved into `changes`, which is empty.
    pub fn next(&self, changes: &mut Changes) -> Next<P> {
        loop {
            let first = self.tags.with(|tags| self.first_of(tags, changes));
            match first {
                // One that was taken back is dropped here, with no lock held, and the one behind it comes.
                First::Tag(tag) if tag.set.fate(tag.index).is_final() => {}
                First::Tag(tag) => return Next::Tag(tag),
                First::Held => return Next::Held,
                First::Node(None) => return Next::Nothing,
                First::Node(Some(Oldest::Extents(stamp))) => return Next::Node(stamp),
                First::Node(Some(Oldest::Data(node))) => return Next::Data(self.take_data(node)),
            }
        }
    }

    fn first_of(&self, tags: &mut Tags<P>, changes: &mut Changes) -> First<P> {
        self.queue.with(|queue| match tags.first() {
            Some((before, tag)) if *before <= queue.first() => match tag.set.fate(tag.index) {
                Fate::Held => First::Held,
                _ => tags.pop().map_or(First::Node(None), First::Tag),
            },
            _ => First::Node(queue.take(changes, &P::common().clock, P::unix_time)),
        })
    }

    /// Takes a node with data as soon as all of it is there: whoever fills it does not sleep.
    fn take_data(&self, node: u64) -> DataBlock<P> {
        while self.filling(node).load(Ordering::Acquire) != 0 {
            P::pause();
        }
        DataBlock::new(self.queue.with(|queue| queue.take_data()), self.share.clone())
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

    /// Changes that wait with their data.
    pub fn data_changes(&self) -> u64 {
        self.queue.with(|queue| queue.data_changes())
    }

    /// Memory of the pool that the disk uses, in bytes.
    pub fn data_memory(&self) -> u64 {
        self.share.bytes()
    }

    /// Bytes in all changes; what is in two counts twice.
    pub fn bytes(&self) -> u64 {
        self.queue.with(|queue| queue.sectors()) << 9
    }

    /// When the first change that waits came, in 100 ns since the Unix epoch.
    pub fn oldest(&self) -> Option<u64> {
        self.queue.with(|queue| queue.oldest())
    }
}

impl<P: Platform> Drop for Capture<P> {
    /// No write is on its way any longer.
    fn drop(&mut self) {
        self.queue.with(|queue| queue.drop_data(&*self.share));
    }
}
