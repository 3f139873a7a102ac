// SPDX-License-Identifier: GPL-2.0-only
//! The filtered disks.

use crate::engine::{
    Churn, DiskTimes, Drain, Fate, Hole, Latencies, Moment, Point, Pool, TagSet, Timeouts, Times, Tracker,
};
use crate::persist::{is_quiet, Keep};
use crate::platform::{Attached, Errno, Event, Lock, Mutex, Opened, Platform, Result};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Most disks that are filtered at once. Two bitmaps a disk are what bounds it.
pub const MAX_DISKS: usize = 256;

/// A NUL-terminated name in a buffer of `N` bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Name<N> {
    /// The name in `bytes`, up to its NUL. Fails with [`Errno::INVAL`] when it is empty or has no NUL.
    pub fn new(bytes: [u8; N]) -> Result<Self> {
        match bytes.iter().position(|&byte| byte == 0) {
            None | Some(0) => Err(Errno::INVAL),
            Some(length) => Ok(Name { bytes, length }),
        }
    }

    /// The name `text`, which holds no NUL. Fails with [`Errno::INVAL`] when it is empty or does not fit with a NUL.
    pub fn from_slice(text: &[u8]) -> Result<Self> {
        let mut bytes = [0; N];
        bytes.get_mut(..text.len()).ok_or(Errno::INVAL)?.copy_from_slice(text);
        Name::new(bytes)
    }

    /// The name without its NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The name with its NUL.
    pub fn with_nul(&self) -> &[u8] {
        &self.bytes[..=self.length]
    }
}

/// What of a disk one request at a time uses, and may sleep over.
pub struct Filtered<P: Platform> {
    /// The filtered disk itself.
    pub device: P::Attached,
    /// Delivery of its changes.
    pub drain: Drain<P>,
    /// What outlives the module.
    pub keep: Keep<P>,
}

impl<P: Platform> Filtered<P> {
    fn root_is_there(&mut self, disk: &Disk<P>) {
        // As bits, which are stamped when they are delivered: the clock is set by what is kept.
        self.drain.put_back(&disk.tracker);
        if let Some(previous) = self.keep.root_is_there(&disk.persistent_name(), &disk.tracker) {
            self.drain.follow(previous);
            disk.block_drain(self.keep.is_drain_blocked());
            self.intend_again(disk);
        }
    }

    /// The disk is to be in write-intent mode, or not. Fails as [`Keep::begin_intent`] and [`Keep::end_intent`] do.
    pub fn intend(&mut self, disk: &Disk<P>, on: bool) -> Result<()> {
        match on {
            true => self.keep.begin_intent(&disk.persistent_name(), &disk.tracker, &self.device, &self.drain),
            false => self.keep.end_intent(&disk.tracker, &self.device),
        }
    }

    /// As was said before its start. Where it cannot be, its statistics say that it is not.
    fn intend_again(&mut self, disk: &Disk<P>) {
        if self.keep.is_write_intent() {
            let _ = self.intend(disk, true);
        }
    }

    /// What the agent has is said in the file, in write-intent mode.
    pub fn tell(&mut self) {
        self.keep.tell(self.device.tracker(), &self.device, &self.drain);
    }

    fn rehearse(&mut self, tracker: &Tracker<P>) -> bool {
        // Nobody drains any more, and so nobody else would look for what was not seen.
        self.device.refresh();
        self.drain.put_back(tracker);
        self.keep.rehearse(tracker)
    }

    fn finish(&mut self, disk: &Disk<P>) -> Result<()> {
        let previous = self.drain.previous();
        self.keep.finish(&disk.persistent_name(), &disk.tracker, previous)
    }
}

/// Most rounds in which files come to rest: each may change the disk of another one, and its own.
const ROUNDS: usize = 8;

/// What becomes of a disk's changes when it is filtered no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Changes {
    /// Its next start goes on with them.
    Kept,
    /// They are forgotten.
    Forgotten,
}

/// One disk, filtered or not any longer. It stays in memory as long as somebody uses it.
pub struct Disk<P: Platform> {
    /// Never 0, and never given twice.
    pub id: u64,
    /// The path by which the agent names it.
    pub path: Name<256>,
    /// What its writes are told to.
    pub tracker: P::Shared<Tracker<P>>,
    /// How long the agent's requests for it took.
    pub latencies: Latencies,
    /// When the agent asked for what.
    pub times: DiskTimes,
    /// What is counted of its drain.
    #[cfg(feature = "telemetry")]
    pub counts: crate::telemetry::Counts<P>,
    identity: u64,
    persistent_name: P::Lock<Name<256>>,
    drain_blocked: AtomicBool,
    read_only: AtomicBool,
    on_trust: AtomicBool,
    filtered: P::Mutex<Option<Filtered<P>>>,
}

impl<P: Platform> Disk<P> {
    /// Does `work` on the disk while no other request does. Fails with [`Errno::NODEV`] when it is not filtered any longer,
    /// and with [`Errno::INTR`] when the caller is killed while it waits for its turn.
    pub fn with<R>(&self, work: impl FnOnce(&mut Filtered<P>) -> R) -> Result<R> {
        self.filtered.with(|filtered| filtered.as_mut().map(work))?.ok_or(Errno::NODEV)
    }

    /// Does `work` on the disk if it is filtered and no request has it.
    fn try_with<R>(&self, work: impl FnOnce(&mut Filtered<P>) -> R) -> Option<R> {
        self.filtered.try_with(|filtered| filtered.as_mut().map(work))?
    }

    /// Its persistent name.
    pub fn persistent_name(&self) -> Name<256> {
        self.persistent_name.with(|name| *name)
    }

    /// Whether it was said to be read only.
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    /// Says that it is read only. Nothing enforces that.
    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::Relaxed);
    }

    /// It was started as one that is known, before anybody could look whether it is.
    pub fn take_on_trust(&self) {
        self.on_trust.store(true, Ordering::Relaxed);
    }

    /// Gives it another one. Fails with [`Errno::INVAL`] when it does not have the `old` one.
    pub fn rename(&self, old: &[u8], new: Name<256>) -> Result<()> {
        self.persistent_name.with(|name| {
            if name.as_bytes() != old {
                return Err(Errno::INVAL);
            }
            *name = new;
            Ok(())
        })
    }

    /// Whether the agent has forbidden delivery for now.
    pub fn is_drain_blocked(&self) -> bool {
        self.drain_blocked.load(Ordering::Relaxed)
    }

    /// Forbids delivery, or allows it.
    pub fn block_drain(&self, blocked: bool) {
        self.drain_blocked.store(blocked, Ordering::Relaxed);
    }
}

/// A table without entries, on the heap. Not inlined: a kernel stack has room for one of them, not for all that a caller makes.
/// Fails with [`Errno::NOMEM`].
#[inline(never)]
pub(super) fn empty_table<P: Platform, T: Send, const N: usize>() -> Result<P::Boxed<[Option<T>; N]>> {
    P::boxed([const { None }; N])
}

type Disks<P> = [Option<<P as Platform>::Shared<Disk<P>>>; MAX_DISKS];

/// What the registry's mutex keeps.
struct Slots<P: Platform> {
    disks: P::Boxed<Disks<P>>,
    starting: P::Boxed<[Option<Starting>; MAX_STARTING]>,
    last_id: u64,
    closed: bool,
    drainer: bool,
}

/// Disks that can be attached at the same time.
const MAX_STARTING: usize = 64;

/// A disk that is being attached.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Starting {
    identity: u64,
    /// Hash of its persistent name.
    name: u64,
}

impl Starting {
    fn new(identity: u64, name: &Name<256>) -> Self {
        // FNV-1a: two names with one hash cost the later disk its bitmap file, and only while both are being attached.
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        Starting { identity, name: name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, hash) }
    }
}

/// What a disk that is to be started finds.
enum Reserved {
    /// It is filtered already, with this id.
    Already(u64),
    /// It can be attached.
    New {
        /// No other disk has its persistent name.
        own_name: bool,
    },
}

impl<P: Platform> Slots<P> {
    /// The disk if it is filtered already; otherwise notes that it is being attached.
    fn reserve(&mut self, disk: Starting, name: &Name<256>) -> Result<Reserved> {
        if self.closed {
            return Err(Errno::INVAL);
        }
        if let Some(filtered) = self.disks.iter().flatten().find(|filtered| filtered.identity == disk.identity) {
            return Ok(Reserved::Already(filtered.id));
        }
        let starting = || self.starting.iter().flatten();
        if starting().any(|other| other.identity == disk.identity) {
            return Err(Errno::BUSY);
        }
        if self.disks.iter().flatten().count() + starting().count() >= MAX_DISKS {
            return Err(Errno::NOSPC);
        }
        let own_name = !starting().any(|other| other.name == disk.name)
            && !self.disks.iter().flatten().any(|other| other.persistent_name() == *name);
        *self.starting.iter_mut().find(|starting| starting.is_none()).ok_or(Errno::BUSY)? = Some(disk);
        Ok(Reserved::New { own_name })
    }

    fn release(&mut self, disk: Starting) {
        self.starting.iter_mut().filter(|starting| **starting == Some(disk)).for_each(|starting| *starting = None);
    }

    fn insert(&mut self, disk: P::Shared<Disk<P>>) -> Result<()> {
        if self.closed {
            return Err(Errno::INVAL);
        }
        *self.disks.iter_mut().find(|slot| slot.is_none()).ok_or(Errno::NOSPC)? = Some(disk);
        Ok(())
    }
}

/// All filtered disks, and what they share. Any number of threads may use it.
///
/// Its own mutex is held for a search or a note, never over anything that waits for a disk or for an agent's memory. Each
/// disk has a mutex of its own ([`Disk::with`]). Whoever has a disk's may take the registry's, never the other way.
pub struct Registry<P: Platform> {
    slots: P::Mutex<Slots<P>>,
    /// The consistency point. Nobody has it while a disk or an agent is waited for.
    pub point: P::Mutex<Point<P>>,
    /// Memory for the data of all disks.
    pub pool: P::Shared<Pool<P>>,
    /// Something has become of a tag, or those who wait for that are woken.
    pub tags: P::Event,
    /// The churn of the disks. Whoever has it may take the registry's mutex, never a disk's or the consistency point.
    pub churn: P::Mutex<Churn<P>>,
    /// There is news of their churn, or those who wait for that are woken.
    pub news: P::Event,
    /// When things were done.
    pub times: Times,
    /// How long a consistency point may stand.
    pub timeouts: Timeouts,
    /// A tunable of the ABI that says nothing to this driver, `DirtyBlocksToPurgeWhenHighWaterMarkIsReached`.
    pub purged: AtomicU64,
    /// What an agent can collect of what became of tags.
    #[cfg(feature = "telemetry")]
    pub telemetry: crate::telemetry::Telemetry<P>,
    /// When the churn is looked at again, in ms of uptime.
    pub(super) next_look: AtomicU64,
}

impl<P: Platform> Registry<P> {
    /// No disks. Fails with [`Errno::NOMEM`].
    pub fn new() -> Result<Self> {
        let slots = Slots {
            disks: empty_table::<P, _, MAX_DISKS>()?,
            starting: empty_table::<P, _, MAX_STARTING>()?,
            last_id: 0,
            closed: false,
            drainer: false,
        };
        let now = Moment { time: P::unix_time(), uptime: P::uptime() };
        let times = Times::default();
        times.loaded.set(now.time);
        Ok(Registry {
            times,
            timeouts: Timeouts::default(),
            purged: AtomicU64::new(8192),
            slots: P::mutex(slots)?,
            point: P::mutex(Point::new()?)?,
            pool: P::shared(Pool::new()?)?,
            tags: P::event()?,
            churn: P::mutex(Churn::new(now)?)?,
            news: P::event()?,
            #[cfg(feature = "telemetry")]
            telemetry: crate::telemetry::Telemetry::new()?,
            next_look: AtomicU64::new(0),
        })
    }

    /// Whether [`Self::stop_all`] has been called.
    pub fn is_closed(&self) -> bool {
        self.slots.with_always(|slots| slots.closed)
    }

    /// The filtered disks.
    pub fn disks(&self) -> impl Iterator<Item = P::Shared<Disk<P>>> + '_ {
        (0..MAX_DISKS).filter_map(|index| self.disk_at(index))
    }

    // Once, not in each of the loops.
    #[inline(never)]
    fn disk_at(&self, index: usize) -> Option<P::Shared<Disk<P>>> {
        self.slots.with_always(|slots| slots.disks[index].clone())
    }

    fn find_by(&self, is_it: impl Fn(&Disk<P>) -> bool) -> Option<P::Shared<Disk<P>>> {
        self.slots.with_always(|slots| slots.disks.iter().flatten().find(|disk| is_it(disk)).cloned())
    }

    /// The disk that is filtered as `path`.
    pub fn find(&self, path: &[u8]) -> Option<P::Shared<Disk<P>>> {
        self.find_by(|disk| disk.path.as_bytes() == path)
    }

    /// The disk with `id`.
    pub fn find_id(&self, id: u64) -> Option<P::Shared<Disk<P>>> {
        self.find_by(|disk| disk.id == id)
    }

    /// The disk with the persistent name.
    pub fn find_persistent(&self, name: &[u8]) -> Option<P::Shared<Disk<P>>> {
        self.find_by(|disk| disk.persistent_name().as_bytes() == name)
    }

    /// The disk that is filtered as `path` or has the persistent name.
    pub fn find_by_any_name(&self, name: &[u8]) -> Option<P::Shared<Disk<P>>> {
        self.find(name).or_else(|| self.find_persistent(name))
    }

    /// Filters the disk at `path` and gives its id; a disk that is filtered already stays as it is, whatever its path. It goes
    /// on with the changes that were kept of it ([`Keep::begin`]).
    ///
    /// Fails as opening and attaching the disk do, with [`Errno::NOSPC`] beyond [`MAX_DISKS`], and with [`Errno::BUSY`] where
    /// another caller is starting the same disk.
    pub fn start(&self, path: Name<256>, persistent_name: Name<256>) -> Result<u64> {
        let opened = P::Opened::open(path.with_nul())?;
        let starting = Starting::new(opened.geometry().identity, &persistent_name);
        let own_name = match self.slots.with_always(|slots| slots.reserve(starting, &persistent_name))? {
            Reserved::Already(id) => return Ok(id),
            Reserved::New { own_name } => own_name,
        };
        let started = self.attach(opened, path, persistent_name, own_name);
        self.slots.with_always(|slots| slots.release(starting));
        started
    }

    fn attach(&self, opened: P::Opened, path: Name<256>, persistent_name: Name<256>, own_name: bool) -> Result<u64> {
        let geometry = opened.geometry();
        let tracker = P::shared(Tracker::<P>::new(geometry.sectors, self.pool.clone())?)?;
        let mut drain = Drain::new(tracker.same_shape()?)?;
        let id = self.slots.with_always(|slots| {
            slots.last_id += 1;
            slots.last_id
        });
        let disk: P::Shared<Disk<P>> = P::shared(Disk {
            id,
            path,
            tracker: tracker.clone(),
            latencies: Latencies::default(),
            times: DiskTimes::default(),
            #[cfg(feature = "telemetry")]
            counts: crate::telemetry::Counts::new()?,
            identity: geometry.identity,
            persistent_name: P::lock(persistent_name)?,
            drain_blocked: AtomicBool::new(false),
            read_only: AtomicBool::new(false),
            on_trust: AtomicBool::new(false),
            filtered: P::mutex::<Option<Filtered<P>>>(None)?,
        })?;
        let mut keep = if own_name { Keep::begin(&persistent_name, &tracker) } else { Keep::nothing(Errno::EXIST) };
        disk.times.created.set(P::unix_time());
        disk.block_drain(keep.is_drain_blocked());
        let device = opened.attach(tracker)?;
        disk.times.started.set(P::unix_time());
        drain.follow(keep.attached(&disk.tracker, device.seen()));
        disk.filtered.with_always(|filtered| *filtered = Some(Filtered { device, drain, keep }));
        let inserted = self.slots.with_always(|slots| slots.insert(disk.clone()));
        if let Err(errno) = inserted {
            disk.filtered.with_always(|filtered| *filtered = None);
            return Err(errno);
        }
        disk.filtered.with_always(|filtered| filtered.iter_mut().for_each(|filtered| filtered.intend_again(&disk)));
        Ok(id)
    }

    /// Filters the disk no longer, and forgets its changes; whoever waits for them is woken. Fails with [`Errno::NODEV`]
    /// when it is not filtered.
    pub fn stop(&self, path: &[u8]) -> Result<()> {
        let disk = self.find(path).ok_or(Errno::NODEV)?;
        disk.tracker.intent.is_wanted(false);
        self.stop_disk(&disk, Changes::Forgotten)
    }

    /// Filters the disk no longer; its next start goes on with its changes. Otherwise as [`Self::stop`].
    pub fn remove(&self, path: &[u8]) -> Result<()> {
        self.stop_disk(&*self.find(path).ok_or(Errno::NODEV)?, Changes::Kept)
    }

    fn stop_disk(&self, disk: &Disk<P>, changes: Changes) -> Result<()> {
        disk.filtered.with(|filtered| {
            let mut stopped = filtered.take().ok_or(Errno::NODEV)?;
            // A file that says which regions changed would be believed, whatever is written from here on.
            let ended = stopped.keep.end_intent(&disk.tracker, &stopped.device);
            if let Err(errno) = ended.and_then(|()| stopped.device.detach()) {
                *filtered = Some(stopped);
                return Err(errno);
            }
            Self::end(disk, stopped, changes);
            self.slots.with_always(|slots| {
                slots
                    .disks
                    .iter_mut()
                    .filter(|slot| slot.as_ref().is_some_and(|other| other.id == disk.id))
                    .for_each(|slot| *slot = None)
            });
            Ok(())
        })??;
        disk.tracker.capture.delete_tags();
        disk.tracker.waits.wake();
        self.tags.happen();
        Ok(())
    }

    /// The root file system is there, and with it what was kept of the disks that are filtered already. Those that were taken
    /// on trust, and are not known there, are filtered no longer.
    pub fn root_is_there(&self) {
        for disk in self.disks() {
            if disk.on_trust.swap(false, Ordering::Relaxed) && !Keep::<P>::is_known(&disk.persistent_name()) {
                // Where it cannot be detached it is filtered on, as a new disk.
                if self.stop_disk(&disk, Changes::Forgotten).is_ok() {
                    continue;
                }
            }
            // A disk that is gone meanwhile has nothing to take over.
            let _ = disk.with(|filtered| filtered.root_is_there(&disk));
        }
    }

    /// The machine stops: each disk's last word goes to its file, past the file system, which is read-only by now. All files come
    /// to rest first, as one may be on a disk that another one is for. A disk that is in use by a request is left out.
    pub fn machine_stops(&self) {
        if !is_quiet::<P>() {
            return;
        }
        for _ in 0..ROUNDS {
            let rest = self.disks().filter_map(|disk| disk.try_with(|filtered| filtered.rehearse(&disk.tracker)));
            if rest.fold(true, |all, rest| all & rest) {
                for disk in self.disks() {
                    // A file that cannot be written says that it is in use, and the next start says why.
                    let _ = disk.try_with(|filtered| filtered.finish(&disk));
                }
                return;
            }
        }
    }

    /// The machine goes on with memory that was copied a while ago. What was written to disks since then is noted nowhere.
    pub fn machine_woke(&self) {
        self.disks().for_each(|disk| disk.tracker.hole(Hole::Unwatched));
    }

    /// What outlives a disk that is detached.
    fn end(disk: &Disk<P>, mut stopped: Filtered<P>, changes: Changes) {
        let name = disk.persistent_name();
        match changes {
            Changes::Forgotten => stopped.keep.forget(&name),
            Changes::Kept => {
                stopped.drain.put_back(&disk.tracker);
                let (seen, previous) = (stopped.device.seen(), stopped.drain.previous());
                // Where it fails the file does not say "clean", and the next start says why.
                let _ = stopped.keep.close(&name, &disk.tracker, seen, previous);
            }
        }
    }

    /// Something was decided about a set: its disks can be drained further, and tags that were taken back are counted.
    pub fn decided(&self, set: &TagSet<P>) {
        for index in 0..set.disks() {
            let Some(disk) = self.find_id(set.disk(index)) else { continue };
            if set.fate(index) == Fate::Revoked {
                disk.tracker.capture.lost_tags(set.records.tags());
            }
            disk.tracker.waits.wake();
        }
        self.count_failed(set, Fate::Revoked);
        self.tags.happen();
    }

    /// Ends the consistency point where its time is over, or at once: file systems are thawed, writes let go, tags that
    /// nobody has committed taken back.
    pub fn expire(&self, at_once: bool) {
        let expired = self.point.with_always(|point| point.expire(at_once));
        if let Some(set) = expired.as_ref().and_then(|expired| expired.revoked.as_ref()) {
            self.decided(set);
        }
    }

    /// A drainer has come. Fails with [`Errno::INVAL`] where there is one.
    pub fn drainer_comes(&self) -> Result<()> {
        self.slots.with_always(|slots| {
            if slots.drainer {
                return Err(Errno::INVAL);
            }
            slots.drainer = true;
            self.times.drainer_came.set(P::unix_time());
            Ok(())
        })
    }

    /// Whether there is one.
    pub fn has_drainer(&self) -> bool {
        self.slots.with_always(|slots| slots.drainer)
    }

    /// The drainer has gone. What it did not commit is delivered again to the next one.
    pub fn drainer_goes(&self) {
        self.slots.with_always(|slots| slots.drainer = false);
        self.times.drainer_went.set(P::unix_time());
    }

    /// Filters nothing any longer, and is closed from then on; when the module is loaded again, the disks go on with their
    /// changes. Fails as detaching does; disks that came before are gone.
    pub fn stop_all(&self) -> Result<()> {
        self.slots.with_always(|slots| slots.closed = true);
        let stopped = self.disks().try_for_each(|disk| match self.stop_disk(&disk, Changes::Kept) {
            Err(Errno::NODEV) => Ok(()),
            stopped => stopped,
        });
        if stopped.is_err() {
            self.slots.with_always(|slots| slots.closed = false);
        }
        stopped
    }
}
