// SPDX-License-Identifier: GPL-2.0-only
//! Tags that are held until they are committed, and the barriers under which they are placed.

use crate::abi::{barrier, tag_info, volume_info, TAG_GUID_BYTES};
use crate::control::user::Struct;
use crate::engine::{Disk, Fate, Point, Records, Registry, TagId, TagSet, MAX_DISKS};
use crate::platform::{Errno, Event, Mutex, Platform, Result, User};
use crate::sync::Ordering;

/// The answer where all was done, and where a part of it was.
const ALL: u32 = 0;
const PARTLY: u32 = 1;

/// The ids of `count` disks, as `id` finds them. Fails as it does.
pub(super) fn disks_of<P: Platform>(count: usize, mut id: impl FnMut(u64) -> Result<u64>) -> Result<P::Words> {
    let disks = P::words(count)?;
    for (index, word) in (0..).zip(disks.iter()) {
        word.store(id(index)?, Ordering::Relaxed);
    }
    Ok(disks)
}

/// A set of tags for disks of those ids.
pub(super) fn set<P: Platform>(id: TagId, records: Records<P>, disks: &P::Words) -> Result<P::Shared<TagSet<P>>> {
    P::shared(TagSet::new(id, records, disks.iter().map(|word| word.load(Ordering::Relaxed)))?)
}

/// Whether every disk of the set is filtered and can take a tag. If not, that is a failure of tags.
pub(super) fn all_take<P: Platform>(registry: &Registry<P>, set: &TagSet<P>) -> bool {
    let takes = |disk: P::Shared<Disk<P>>| disk.tracker.takes_tags();
    let all = (0..set.disks()).all(|index| registry.find_id(set.disk(index)).is_some_and(takes));
    if !all {
        count_unready(registry);
    }
    all
}

/// Tags have failed because there are disks that cannot take them.
fn count_unready<P: Platform>(registry: &Registry<P>) {
    registry.tags_failed(|id| registry.find_id(id).is_some_and(|disk| !disk.tracker.takes_tags()));
}

/// Places the set's tags on its disks. The number of those that took it.
pub(super) fn place_on<P: Platform>(
    registry: &Registry<P>,
    point: &mut Point<P>,
    set: &P::Shared<TagSet<P>>,
    fate: impl Fn(usize) -> Fate,
) -> usize {
    let place = |index: &usize| match registry.find_id(set.disk(*index)) {
        Some(disk) => point.place(set, *index, &disk, fate(*index)),
        None => {
            set.settle(*index, Fate::Refused);
            false
        }
    };
    registry.times.tagged.set(P::unix_time());
    let placed = (0..set.disks()).filter(place).count();
    registry.count_failed(set, Fate::Refused);
    placed
}

/// The name of a consistency point.
pub(super) fn guid<P: Platform>(request: &Struct<P>, offset: u64) -> Result<TagId> {
    TagId::new(&request.bytes::<TAG_GUID_BYTES>(offset)?)
}

/// A number of milliseconds from 1 to `most`. Fails with [`Errno::INVAL`] for any other.
pub(super) fn timeout<P: Platform>(request: &Struct<P>, offset: u64, most: u32) -> Result<u32> {
    let milliseconds = request.u32(offset)?;
    if (1..=most).contains(&milliseconds) {
        Ok(milliseconds)
    } else {
        Err(Errno::INVAL)
    }
}

/// The volumes of a request, in the caller's memory.
pub(super) struct Volumes<P: Platform> {
    list: Struct<P>,
    /// Their number, at most as many as there can be disks.
    pub(super) count: usize,
}

impl<P: Platform> Volumes<P> {
    /// So many at `address`. Fails with [`Errno::INVAL`] where that are too many.
    pub(super) fn new(address: u64, count: u32) -> Result<Self> {
        let count = count as usize;
        if count > MAX_DISKS {
            return Err(Errno::INVAL);
        }
        Ok(Volumes { list: Struct::new(address, count * volume_info::BYTES)?, count })
    }

    fn at(index: u64) -> u64 {
        index * volume_info::BYTES as u64
    }

    /// The name of one of them.
    pub(super) fn name(&self, index: u64) -> Result<crate::engine::Name<256>> {
        self.list.name(Self::at(index) + volume_info::NAME)
    }

    fn flags(&self, index: u64) -> Result<u32> {
        self.list.u32(Self::at(index) + volume_info::FLAGS)
    }

    /// Says what has become of it.
    pub(super) fn put(&self, index: u64, status: u32) -> Result<()> {
        self.list.put_u32(Self::at(index) + volume_info::STATUS, status)
    }
}

/// What a tag request says, but for its volumes.
struct Request<P: Platform> {
    id: TagId,
    flags: u32,
    records: Records<P>,
    volumes: Volumes<P>,
    input: Struct<P>,
}

impl<P: Platform> Request<P> {
    fn new(argument: u64) -> Result<Self> {
        let input = Struct::<P>::new(argument, tag_info::BYTES)?;
        Ok(Request {
            id: guid(&input, tag_info::GUID)?,
            flags: input.u32(tag_info::FLAGS)?,
            records: records(input.u64(tag_info::NAMES)?, input.u32(tag_info::TAGS)?)?,
            volumes: Volumes::new(input.u64(tag_info::LIST)?, input.u32(tag_info::VOLUMES)?)?,
            input,
        })
    }

    fn timeout(&self, registry: &Registry<P>) -> Result<u32> {
        timeout(&self.input, tag_info::TIMEOUT, registry.timeouts.tags())
    }
}

/// At least one name.
fn records<P: Platform>(address: u64, count: u32) -> Result<Records<P>> {
    let mut records = Records::new()?;
    if count == 0 {
        return Err(Errno::INVAL);
    }
    for index in 0..u64::from(count) {
        // More than fit are refused before this becomes large.
        let start = address.checked_add(index * tag_info::NAME_BYTES as u64).ok_or(Errno::FAULT)?;
        let name = Struct::<P>::new(start, tag_info::NAME_BYTES)?;
        let length = usize::from(u16::from_ne_bytes(name.bytes(0)?));
        if length > tag_info::NAME_BYTES - 2 {
            return Err(Errno::INVAL);
        }
        records.push(length, |to| P::User::read(start + 2, to))?;
    }
    Ok(records)
}

/// The ids of all filtered disks. Fails with [`Errno::NODEV`] where there are none.
fn all_disks<P: Platform>(registry: &Registry<P>) -> Result<P::Words> {
    let mut disks = registry.disks();
    let count = registry.disks().count();
    if count == 0 {
        return Err(Errno::NODEV);
    }
    // One that is stopped meanwhile leaves a 0.
    disks_of::<P>(count, |_| Ok(disks.next().map_or(0, |disk| disk.id)))
}

/// Tags that are held: on all disks under a barrier, or on those that are listed.
///
/// Fails with [`Errno::INVAL`] where the consistency point does not allow it, and with [`Errno::AGAIN`] where no disk has taken
/// its tag. [`PARTLY`]: some have not.
#[inline(never)]
pub(super) fn held<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<u32> {
    let request = Request::<P>::new(argument)?;
    let (id, all) = (request.id, request.flags & tag_info::FLAG_ALL != 0);
    let disks = if all {
        all_disks(registry)?
    } else {
        disks_of::<P>(request.volumes.count, |index| {
            let name = request.volumes.name(index)?;
            Ok(registry.find(name.as_bytes()).map_or(0, |disk| disk.id))
        })?
    };
    let timeout = request.timeout(registry);
    let set = set::<P>(id, request.records, &disks)?;
    let placed = registry.point.with(|point| {
        point.may_tag(id, all)?;
        let timeout = if point.is_open() { registry.timeouts.tags() } else { timeout? };
        let placed = place_on(registry, point, &set, |_| Fate::Held);
        if placed != 0 {
            point.pend(set.clone(), timeout);
        }
        Ok(placed)
    })??;
    registry.tags.happen();
    if !all {
        (0..set.disks()).try_for_each(|index| request.volumes.put(index as u64, status(&set, index)))?;
    }
    answer(placed, set.disks())
}

fn status<P: Platform>(set: &TagSet<P>, index: usize) -> u32 {
    match (set.disk(index), set.fate(index)) {
        (0, _) => volume_info::VALUE_NOT_PROTECTED,
        (_, Fate::Refused | Fate::Absent) => volume_info::VALUE_FAILED,
        _ if set.is_in_write_order(index) => volume_info::VALUE_DONE,
        _ => volume_info::VALUE_METADATA,
    }
}

fn answer(placed: usize, disks: usize) -> Result<u32> {
    match placed {
        0 => Err(Errno::AGAIN),
        _ if placed == disks => Ok(ALL),
        _ => Ok(PARTLY),
    }
}

/// Barrier, tags on all disks, and the end of the barrier. Tags of disks that the list flags are held.
#[inline(never)]
pub(super) fn with_barrier<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<u32> {
    let request = Request::<P>::new(argument)?;
    let disks = all_disks(registry)?;
    let held = disks_of::<P>(request.volumes.count, |index| {
        let name = request.volumes.name(index)?;
        let flagged = request.volumes.flags(index)? & volume_info::FLAG_HELD != 0;
        Ok(registry.find(name.as_bytes()).filter(|_| flagged).map_or(0, |disk| disk.id))
    })?;
    let is_held = |id: u64| id != 0 && held.iter().any(|word| word.load(Ordering::Relaxed) == id);
    let timeout =
        if held.iter().any(|word| word.load(Ordering::Relaxed) != 0) { request.timeout(registry)? } else { 0 };
    let set = set::<P>(request.id, request.records, &disks)?;
    #[cfg(feature = "telemetry")]
    let asked = P::unix_time();
    let placed = place_under_barrier(registry, &set, timeout, is_held);
    #[cfg(feature = "telemetry")]
    registry.telemetry.tagged(registry, &set, asked, placed.err());
    let placed = placed?;
    registry.decided(&set);
    answer(placed, set.disks())
}

/// Places the set's tags while all writes are held, which is over then; with a `timeout`, in ms, those that `is_held` says of a
/// disk's id are pending.
fn place_under_barrier<P: Platform>(
    registry: &Registry<P>,
    set: &P::Shared<TagSet<P>>,
    timeout: u32,
    is_held: impl Fn(u64) -> bool,
) -> Result<usize> {
    registry.point.with(|point| {
        if !all_take(registry, set) {
            return Err(Errno::PERM);
        }
        point.hold(set.id, registry.timeouts.barrier())?;
        let fate = |index| if is_held(set.disk(index)) { Fate::Held } else { Fate::Waiting };
        let placed = place_on(registry, point, set, fate);
        if timeout != 0 {
            point.pend(set.clone(), timeout);
        }
        point.let_go(set.id, timeout)?;
        Ok(placed)
    })?
}

/// From now on writes are held on all disks. Fails with [`Errno::NODEV`] where there is none, with [`Errno::PERM`] where one of
/// them could not take a tag, and with [`Errno::AGAIN`] where there is a consistency point.
pub(super) fn create_barrier<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, barrier::CREATE_BYTES)?;
    let id = guid(&request, barrier::GUID)?;
    let timeout = timeout(&request, barrier::TIMEOUT, registry.timeouts.barrier())?;
    if registry.disks().next().is_none() {
        return Err(Errno::NODEV);
    }
    if !registry.disks().all(|disk| disk.tracker.takes_tags()) {
        count_unready(registry);
        return Err(Errno::PERM);
    }
    registry.point.with(|point| point.hold(id, timeout))?
}

/// Lets them go.
pub(super) fn remove_barrier<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let id = guid(&Struct::<P>::new(argument, barrier::BYTES)?, barrier::GUID)?;
    registry.point.with(|point| point.let_go(id, registry.timeouts.tags()))?
}

/// Commits or revokes the tags that are held.
pub(super) fn decide<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Struct::<P>::new(argument, barrier::BYTES)?;
    let id = guid(&request, barrier::GUID)?;
    let commit = match request.u32(barrier::FLAGS)? {
        barrier::VALUE_REVOKE => false,
        barrier::VALUE_COMMIT => true,
        _ => return Err(Errno::INVAL),
    };
    let set = registry.point.with(|point| point.decide(id, commit))??;
    registry.decided(&set);
    Ok(())
}
