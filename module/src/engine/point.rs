// SPDX-License-Identifier: GPL-2.0-only
//! A consistency point: frozen file systems or held writes, the tags that mark them, and the time when all of it ends.

use crate::engine::{Disk, Fate, Name, Tag, TagId, TagSet, MAX_ID};
use crate::platform::{Errno, Platform, Result};

/// Volumes that can be frozen at once.
pub const MAX_FROZEN: usize = 64;
/// Sync tags that are remembered until nobody can ask for more.
const MAX_REMEMBERED: usize = 16;

/// A volume whose file system is frozen; dropping it thaws it.
pub struct FrozenVolume<P: Platform> {
    /// The name it was frozen by.
    pub name: Name<256>,
    _frozen: P::Frozen,
}

/// Frozen volumes, to be dropped where nothing is locked.
pub type Frozen<P> = [Option<<P as Platform>::Boxed<FrozenVolume<P>>>; MAX_FROZEN];

/// What [`Point::expire`] gives.
pub struct Expired<P: Platform> {
    /// What to thaw.
    pub frozen: Frozen<P>,
    /// Whose tags were taken back.
    pub revoked: Option<P::Shared<TagSet<P>>>,
}

/// Who waits for the tags of an id to be drained.
struct Watch<P: Platform> {
    serial: u64,
    id: TagId,
    blocks_drain: bool,
    set: Option<P::Shared<TagSet<P>>>,
}

/// The one consistency point that there can be, and the tags that somebody still asks about.
///
/// In the ABI's words: app active is `frozen` or `freezing`, crash active `barrier`, tag commit pending `pending`, shutdown `shut`.
pub struct Point<P: Platform> {
    id: TagId,
    freezing: bool,
    barrier: bool,
    shut: bool,
    pending: Option<P::Shared<TagSet<P>>>,
    /// In ms of uptime; 0 is never.
    deadline: u64,
    frozen: Frozen<P>,
    remembered: [Option<P::Shared<TagSet<P>>>; MAX_REMEMBERED],
    watch: Option<Watch<P>>,
    last_watch: u64,
}

impl<P: Platform> Point<P> {
    /// None.
    pub(super) fn new() -> Result<Self> {
        Ok(Point {
            id: TagId::new(&[0; MAX_ID])?,
            freezing: false,
            barrier: false,
            shut: false,
            pending: None,
            deadline: 0,
            frozen: [const { None }; MAX_FROZEN],
            remembered: [const { None }; MAX_REMEMBERED],
            watch: None,
            last_watch: 0,
        })
    }

    /// Whether file systems or writes stand still.
    pub fn is_open(&self) -> bool {
        self.freezing || self.barrier
    }

    fn is_none(&self) -> bool {
        !self.freezing && !self.barrier && !self.shut && self.pending.is_none()
    }

    fn end_in(&mut self, milliseconds: u32) {
        self.deadline = P::uptime() + u64::from(milliseconds);
        P::alarm(milliseconds);
    }

    /// File systems are about to be frozen, for so many milliseconds at most. Fails with [`Errno::AGAIN`] where there is another
    /// point, or this one has its tags.
    pub fn freeze(&mut self, id: TagId, milliseconds: u32) -> Result<()> {
        let more = self.freezing && self.id == id && self.pending.is_none() && !self.shut;
        if !more && !self.is_none() {
            return Err(Errno::AGAIN);
        }
        self.id = id;
        self.freezing = true;
        self.end_in(milliseconds);
        Ok(())
    }

    /// Keeps a volume that was frozen for the point. Gives it back where the point is over, or has too many.
    pub fn keep(&mut self, id: TagId, volume: P::Boxed<FrozenVolume<P>>) -> Option<P::Boxed<FrozenVolume<P>>> {
        match self.frozen.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) if self.freezing && self.id == id => *slot = Some(volume),
            _ => return Some(volume),
        }
        None
    }

    /// Gives the volume, to be thawed; `Ok(None)` where it is not frozen. Fails with [`Errno::INVAL`] where the point is
    /// another one.
    pub fn thaw(&mut self, id: TagId, name: &[u8]) -> Result<Option<P::Boxed<FrozenVolume<P>>>> {
        if !self.freezing || self.id != id {
            return Err(Errno::INVAL);
        }
        let named = |slot: &&mut Option<P::Boxed<FrozenVolume<P>>>| {
            slot.as_ref().is_some_and(|volume| volume.name.as_bytes() == name)
        };
        Ok(self.frozen.iter_mut().find(named).and_then(Option::take))
    }

    /// The freezing for the point is over where no volume is frozen any longer. Tags that nobody has decided on have so many milliseconds.
    pub fn thawed(&mut self, id: TagId, milliseconds: u32) {
        if self.freezing && self.id == id && self.frozen.iter().all(Option::is_none) {
            self.freezing = false;
            self.left(milliseconds);
        }
    }

    fn left(&mut self, milliseconds: u32) {
        match self.pending {
            Some(_) => self.end_in(milliseconds),
            None => self.deadline = 0,
        }
    }

    /// From now on new writes are held, on all disks, for so many milliseconds at most. Fails with [`Errno::AGAIN`] where
    /// there is another point.
    pub fn hold(&mut self, id: TagId, milliseconds: u32) -> Result<()> {
        if !self.is_none() {
            return Err(Errno::AGAIN);
        }
        self.id = id;
        self.barrier = true;
        self.end_in(milliseconds);
        P::hold();
        Ok(())
    }

    /// Lets the writes go. Fails with [`Errno::INVAL`] where they are held for another point, or not any longer.
    pub fn let_go(&mut self, id: TagId, milliseconds: u32) -> Result<()> {
        if !self.barrier || self.id != id {
            return Err(Errno::INVAL);
        }
        P::release();
        self.barrier = false;
        self.left(milliseconds);
        Ok(())
    }

    /// Whether tags with that id may be placed now: of all disks while their writes are held for it (`all`), or of some disks
    /// while file systems are frozen for it, or there is no point at all. Fails with [`Errno::INVAL`] otherwise.
    pub fn may_tag(&self, id: TagId, all: bool) -> Result<()> {
        let this = self.id == id && self.pending.is_none() && !self.shut;
        let good = if all { self.barrier && this } else { self.is_none() || (self.freezing && this) };
        if good {
            Ok(())
        } else {
            Err(Errno::INVAL)
        }
    }

    /// Whether tags may be placed that need no point: not once the system shuts down.
    pub fn is_shut(&self) -> bool {
        self.shut
    }

    /// Puts the set's tag among each disk's changes, with that fate; who watches for the set is told of it.
    pub fn place(&mut self, set: &P::Shared<TagSet<P>>, index: usize, disk: &Disk<P>, fate: Fate) -> bool {
        if let Some(watch) = self.watch.as_mut().filter(|watch| watch.id == set.id) {
            if watch.blocks_drain {
                set.block_drain();
            }
            watch.set = Some(set.clone());
        }
        let tag = Tag { set: set.clone(), index };
        set.set_in_write_order(index, disk.tracker.is_in_write_order());
        let placed = disk.tracker.takes_tags() && disk.tracker.capture.tag(&tag, fate);
        if !placed {
            set.settle(index, Fate::Refused);
            disk.tracker.capture.lost_tags(set.records.tags());
        }
        placed
    }

    /// The set is held until it is committed or revoked, and where there was no point, for so many milliseconds.
    pub fn pend(&mut self, set: P::Shared<TagSet<P>>, milliseconds: u32) {
        if self.is_none() {
            self.id = set.id;
            self.end_in(milliseconds);
        }
        self.pending = Some(set);
    }

    /// Commits or revokes the tags that are held. Fails with [`Errno::INVAL`] where there are none, they have another id, or
    /// file systems or writes still stand still.
    pub fn decide(&mut self, id: TagId, commit: bool) -> Result<P::Shared<TagSet<P>>> {
        if self.freezing || self.barrier || self.id != id {
            return Err(Errno::INVAL);
        }
        let set = self.pending.take().ok_or(Errno::INVAL)?;
        self.deadline = 0;
        set.decide(commit);
        Ok(set)
    }

    /// Ends the point where its time is over, or at once. Otherwise the alarm is set again.
    pub fn expire(&mut self, at_once: bool) -> Option<Expired<P>> {
        let now = P::uptime();
        if !at_once && self.deadline == 0 {
            return None;
        }
        if !at_once && now < self.deadline {
            P::alarm((self.deadline - now) as u32);
            return None;
        }
        if self.barrier {
            P::release();
        }
        (self.freezing, self.barrier, self.deadline) = (false, false, 0);
        let revoked = self.pending.take();
        if let Some(set) = &revoked {
            set.decide(false);
        }
        Some(Expired { frozen: core::mem::replace(&mut self.frozen, [const { None }; MAX_FROZEN]), revoked })
    }

    /// There will be no point any more.
    pub fn shut(&mut self) {
        self.shut = true;
    }

    /// Remembers a set until it is asked for and nothing more will become of it. Fails with [`Errno::INVAL`] where one with that id is
    /// remembered, and with [`Errno::AGAIN`] where there are too many.
    pub fn remember(&mut self, set: P::Shared<TagSet<P>>) -> Result<()> {
        if self.remembered(set.id).is_some() {
            return Err(Errno::INVAL);
        }
        *self.remembered.iter_mut().find(|slot| slot.is_none()).ok_or(Errno::AGAIN)? = Some(set);
        Ok(())
    }

    /// The set that is remembered by its id.
    pub fn remembered(&self, id: TagId) -> Option<P::Shared<TagSet<P>>> {
        self.remembered.iter().flatten().find(|set| set.id == id).cloned()
    }

    /// Forgets the set.
    pub fn forget(&mut self, id: TagId) {
        self.remembered
            .iter_mut()
            .filter(|slot| slot.as_ref().is_some_and(|set| set.id == id))
            .for_each(|slot| *slot = None);
    }

    /// Somebody waits for the tags of that id. Gives the number of the watch. Fails with [`Errno::BUSY`] where somebody waits
    /// already.
    pub fn watch(&mut self, id: TagId, blocks_drain: bool) -> Result<u64> {
        if self.watch.is_some() {
            return Err(Errno::BUSY);
        }
        self.last_watch += 1;
        self.watch = Some(Watch { serial: self.last_watch, id, blocks_drain, set: None });
        Ok(self.last_watch)
    }

    /// The set that is watched for, once it is there. Fails with [`Errno::INTR`] where the watch was ended.
    pub fn watched(&self, serial: u64) -> Result<Option<P::Shared<TagSet<P>>>> {
        self.watch.as_ref().filter(|watch| watch.serial == serial).map(|watch| watch.set.clone()).ok_or(Errno::INTR)
    }

    /// That watch ends.
    pub fn unwatch(&mut self, serial: u64) {
        self.watch.take_if(|watch| watch.serial == serial);
    }

    /// Whoever watches does so no longer.
    pub fn unwatch_any(&mut self) {
        self.watch = None;
    }
}

impl<P: Platform> FrozenVolume<P> {
    /// Freezes the file system on the block device `name`. Fails as that does.
    pub fn new(name: Name<256>) -> Result<P::Boxed<Self>> {
        let frozen = P::freeze(name.with_nul())?;
        P::boxed(FrozenVolume { name, _frozen: frozen })
    }
}
